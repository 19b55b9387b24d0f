"""Counterexamples with a proof of their flow go first; starts that point along a limit, and data next to it."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from harness import drive
from harness.certificates import verify_file
from harness.claims.table import CLAIMS
from harness.harvest.finding import proven
from harness.harvest.rays import rays, varied
from harness.problem.instances import Instance
from harness.problem.networks import Network, diagonal
from harness.problem.sizes import rank, size
from harness.proofs import predicted, proof_of_flow
from harness.records.folders import store
from harness.records.record import RECORD, load

# The flow goes on in a plane, and the limit is (1, 1) times a root in every layer.
PLANE = Instance.of(diagonal("linear", 2, 3), "exponential", ((1, 1),), (1,), ((0, 0), (1, 1), (1, 1)))


def has_proof(instance: Instance) -> bool:
    guess = predicted(instance)
    return guess is not None and proof_of_flow(instance, *guess) is not None


def test_a_start_along_the_limit_has_a_proof() -> None:
    assert not has_proof(PLANE)
    (limit,) = drive([PLANE])
    found = list(rays(limit))
    assert found
    assert all(one.problem == PLANE.problem for one in found)
    assert has_proof(found[0])
    # the golden section is no ratio of short numbers
    shared = Network("linear", (((1, -1), (0, 1)), ((0, 1),)))
    (limit,) = drive([Instance.of(shared, "exponential", ((1, -1),), (1,), ((0, 1), (0, 1)))])
    assert limit.point is not None
    assert not list(rays(limit))


def test_what_is_next_to_an_instance() -> None:
    found = list(varied(PLANE))
    assert len(set(found)) == len(found)
    assert PLANE not in found
    before = [a for row in (*PLANE.x, *PLANE.theta0) for a in row]
    for one in found:
        after = [a for row in (*one.x, *one.theta0) for a in row]
        assert 1 <= sum(a != b for a, b in zip(before, after, strict=True)) <= 2
        assert (one.x == PLANE.x) or (one.theta0 == PLANE.theta0)


def test_one_with_a_proof_takes_the_place_of_a_smaller_one(tmp_path: Path) -> None:
    claim = CLAIMS["deep-local"]
    smaller, larger = proven(claim, PLANE), proven(claim, PLANE.changed(theta0=((1, 1),) * 3))
    assert smaller is not None
    assert larger is not None
    assert smaller.flow is None
    assert larger.flow is not None
    assert size(smaller.instance) < size(larger.instance)
    assert rank(larger.instance, True) < rank(smaller.instance, False)
    first = store(smaller.record(), tmp_path)
    put = store(larger.record(), tmp_path)
    assert put.path == first.path
    assert put.written
    assert put.reason == "its flow is proven to end there"
    assert verify_file(put.path / RECORD).sentence.endswith("the flow ends there: proven")
    # nor does it come back, and the proof alone is worth writing
    assert not store(smaller.record(), tmp_path).written
    (tmp_path / "other").mkdir()
    other = store(replace(larger, flow=None).record(), tmp_path / "other")
    assert store(larger.record(), tmp_path / "other").reason == "what was stored, with a proof of where its flow ends"
    assert load(other.path / RECORD).proven


def test_fewer_points_come_before_a_proof() -> None:
    two = PLANE.changed(x=((Fraction(1), Fraction(1)), (Fraction(1), Fraction(2))), y=(1, 1))
    assert rank(PLANE, False) < rank(two, True)


def test_what_is_stored_says_that_it_is_proven() -> None:
    for path in Path("reports").glob(f"*/{RECORD}"):
        record = load(path)
        assert record.proven == ("flow" in json.loads(path.read_text(encoding="utf-8")))
        assert record.proven == (verify_file(path).end is not None)
