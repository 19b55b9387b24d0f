"""Proofs of where a flow ends beside the trainer: they agree, a trainer that ends elsewhere clashes, and the facts of a
proof hold along recorded flows."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest

from benchmarks.proofs import LAWS, clash
from harness import drive
from harness.certificates.flow_gates import Region, Unit
from harness.problem.instances import Instance
from harness.problem.limits import Limit
from harness.proofs import predicted, proof_of_flow
from harness.proofs.gates import regions
from harness.survey.laws import drawn
from tests.support import sabotage
from tests.support.draws import first

DRAWS = 400


def instances(seed: int) -> Iterator[Instance]:
    """In turn of every law of the benchmark."""
    for index in range(DRAWS):
        for cell in LAWS.values():
            yield drawn(cell, seed, index)[0]


def has_proof(instance: Instance) -> bool:
    guess = predicted(instance)
    return guess is not None and proof_of_flow(instance, *guess) is not None


@cache
def proven() -> tuple[Instance, ...]:
    return tuple(first(80, filter(has_proof, instances(1))))


def test_a_proof_never_contradicts_the_trainer() -> None:
    limits = drive(list(proven()))
    found = [clash(limit) for limit in limits]
    assert all(exists for exists, _ in found)
    assert [why for _, why in found if why] == []
    assert sum(limit.point is not None for limit in limits) > 0.9 * len(limits)


@pytest.mark.parametrize(
    "trainer",
    [sabotage.one_label_flipped, sabotage.newton_jumps_elsewhere, sabotage.flow_of_the_squared_loss],
    ids=["one label flipped", "a jump", "squared loss"],
)
def test_a_trainer_that_ends_elsewhere_clashes(trainer: sabotage.Trainer) -> None:
    limits: list[Limit] = trainer(list(proven()[:20]))
    assert any(clash(limit)[1] for limit in limits)


def test_the_facts_hold_along_recorded_flows() -> None:
    """Signs and gates, at every recorded direction; to the relative error of a step where a gate is never strict."""
    seen = {1: 0, -1: 0, 0: 0}
    for limit in drive(list(proven()[:40]), record=True):
        if limit.path is None:
            continue
        region = next(regions(limit.instance))[0]
        for unit in region.units:
            for gate, count in holds(limit, region, unit).items():
                seen[gate] += count
    assert min(seen.values()) > 0, seen


def holds(limit: Limit, region: Region, unit: Unit) -> dict[int, int]:
    """How many gates of each kind were seen to be as they are said to be."""
    assert limit.path is not None
    instance = limit.instance
    rows = limit.path["direction"][np.isfinite(limit.path["log_norm"])][1:]
    size = instance.network.sizes[0]
    w, v = rows[:, list(unit.neuron.incoming)], rows[:, size + unit.neuron.outgoing]
    assert (unit.s * v >= 0.0).all()
    found: dict[int, int] = {}
    for i, gate in enumerate(unit.gates):
        z = w @ np.array([float(a) for a in unit.neuron.patches[i]])
        if gate == 1:
            assert (z > 0.0).all()
        elif gate == -1 and unit.s:
            assert (z < 0.0).all()
        elif unit.on:
            # it never grows, and the norm does
            assert (np.diff(z[z > 0.0]) <= 1e-9).all()
        found[gate] = found.get(gate, 0) + 1
    if not unit.on and len(rows):
        last = float(np.abs(np.append(w[-1], v[-1])).max())
        assert last <= float(np.abs(np.append(w[0], v[0])).max()) + 1e-12
    return found
