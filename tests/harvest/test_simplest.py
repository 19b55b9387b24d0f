"""Better points in short numbers: the simplest that does, in a record that is made, stored or decided about again."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import pytest

import harness
from harness.certificates import check, verify
from harness.cli import main
from harness.harvest.simplest import simplest
from harness.oracles.verdict import Verdict
from harness.problem.networks import fully_connected
from harness.problem.points import Point
from harness.records.folders import store
from harness.records.record import RECORD, Record, load, stored
from harness.records.simplicity import simplicity
from tests.support.counterexamples import depth2_local
from tests.support.points import active_global, fc_relu_local, nonzero_local, point


def right_angle() -> Point:
    """x = (1, 0), (-1, 1), neuron 1 dead: value sqrt(5), where (1, 0), (0, 1) is feasible and costs 2."""
    return point(fully_connected("relu", (2, 2)), [[1, 0], [-1, 1]], [1, 1], [[0, 0, 1, 2], [0, 5**0.5]])


def with_better(record: Record, better: list[list[Any]]) -> Record:
    data = copy.deepcopy(record.data)
    data["certificate"]["better"] = better
    return Record(data)


def clumsy() -> Record:
    """depth2-local with a rounded better point, where (0, 1/2), (0, 1/2) does."""
    return with_better(depth2_local(), [[0, "129/256"], [0, "129/256"]])


def cost(certificate: Mapping[str, Any]) -> Fraction:
    return sum((Fraction(a) ** 2 for row in certificate["better"] for a in row), start=Fraction(0)) / 2


def test_the_oracle_finds_the_exact_point_where_integers_do() -> None:
    local = harness.decide(right_angle()).local
    assert local.certificate is not None
    assert local.certificate["better"] == [[1, 0, 0, 1], [1, 1]]
    assert local.bound == 2.0


def test_a_rounded_point_becomes_the_simplest_one() -> None:
    record = clumsy()
    found = simplest(
        record.instance.problem, record.data["certificate"], lambda c: check(record.instance.problem, dict(c)).accepted
    )
    assert found["better"] == [[0, "1/2"], [0, "1/2"]]
    assert simplicity(found) == (2, Fraction(1, 4))
    assert simplicity(record.data["certificate"]) == (256, Fraction(129, 256) ** 2)
    assert verify({**record.data, "certificate": found}).accepted


@pytest.mark.parametrize(
    "verdict",
    [
        *(harness.decide(found).local for found in (right_angle(), fc_relu_local(), nonzero_local())),
        harness.decide(active_global()).global_,
        harness.decide(nonzero_local()).trained_layers[0].local,
        harness.decide(active_global()).trained_layers[0].global_,
    ],
)
def test_what_the_simplest_point_keeps(verdict: Verdict) -> None:
    """Accepted, no less simple, no less than half of the gain, and the problem's own layers alone are changed."""
    certificate = verdict.certificate
    assert certificate is not None
    instance = next(
        found.problem
        for found in (right_angle(), fc_relu_local(), nonzero_local(), active_global())
        if _accepted(found, certificate)
    )
    found = simplest(instance, certificate, lambda c: check(instance, dict(c)).accepted)
    assert check(instance, dict(found)).accepted
    assert simplicity(found) <= simplicity(certificate)
    assert simplicity(found)[0] <= 24
    assert verdict.bound is not None
    if certificate["problem"] == "full":
        assert float(cost(found)) <= (verdict.value + verdict.bound) / 2 + 1e-9
    else:
        assert found["better"][1] == certificate["better"][1]
    rest = {key: part for key, part in found.items() if key != "better"}
    assert rest == {key: part for key, part in certificate.items() if key != "better"}


def _accepted(found: Point, certificate: dict[str, Any]) -> bool:
    return check(found.problem, certificate).accepted


def test_nothing_simpler_was_passed_over() -> None:
    """All points of depth2-local in halves, one by one: what does is no simpler."""
    record = depth2_local()
    certificate = record.data["certificate"]
    found = simplest(record.instance.problem, certificate, lambda c: check(record.instance.problem, dict(c)).accepted)
    cap = (1 + cost(certificate)) / 2
    halves = [Fraction(k, 2) for k in range(-2, 3)]
    others = [
        {**certificate, "better": [[str(a) for a in point[:2]], [str(a) for a in point[2:]]]}
        for point in product(halves, repeat=4)
    ]
    accepted = [c for c in others if cost(c) <= cap and check(record.instance.problem, c).accepted]
    assert accepted
    assert min(map(simplicity, accepted)) == simplicity(found)


def test_what_no_simpler_point_is_found_for_stays() -> None:
    record = clumsy()
    certificate = record.data["certificate"]
    assert simplest(record.instance.problem, certificate, lambda c: False) is certificate
    curve = {"kind": "curve", "d": [[1], ["1/3"]], "e": None}
    assert simplest(record.instance.problem, curve, lambda c: True) is curve
    assert simplicity(curve) == (3, 0)


def test_the_same_one_with_a_simpler_proof_takes_the_place(tmp_path: Path) -> None:
    assert store(clumsy(), tmp_path).written
    put = store(depth2_local(), tmp_path)
    assert (put.written, put.new, put.reason) == (True, False, "what was stored, with a simpler proof")
    assert [record.data for record in stored(tmp_path)] == [depth2_local().data]
    assert not store(clumsy(), tmp_path).written
    assert [record.data for record in stored(tmp_path)] == [depth2_local().data]


def test_what_is_stored_is_simplified_without_a_hunt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    robustness = {"robust": False, "seed": 5}
    record = Record({**clumsy().data, "robustness": robustness, "found": {"seed": 7, "examples": 11, "software": {}}})
    path = store(record, tmp_path).path / RECORD
    assert main(["harvest", "--stored", "--out", str(tmp_path)]) == 0
    assert "depth2-local: what was stored, with a proof of where its flow ends" in capsys.readouterr().out
    renewed = load(path)
    assert renewed.data["certificate"]["better"] == [[0, "1/2"], [0, "1/2"]]
    assert renewed.data["robustness"] == robustness
    assert (renewed.data["found"]["seed"], renewed.data["found"]["examples"]) == (7, 11)
    assert "| 2 | (·, 1/2) | 1/2 |" in path.with_name("README.md").read_text(encoding="utf-8")
    before = path.read_bytes()
    assert main(["harvest", "--stored", "--out", str(tmp_path)]) == 0
    assert "the same one is stored already" in capsys.readouterr().out
    assert path.read_bytes() == before
