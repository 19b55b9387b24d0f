"""The independent reference trainer: against values found by hand, and the compiled trainer against it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from harness.instances import Instance
from tests.support.reference import follow

# Inputs on which wrong limits were once believed or true ones refused, and their values, known by hand.
VALUES = {
    "late-kink-1": 4 / 3,
    "late-kink-degenerate-2": 1.4,
    "nine-on-a-kink-8": 1.0 + math.sqrt(2.0),
    "nine-on-a-kink-9": 1.0 + math.sqrt(2.0),
    "not-unique-two-points": 1.0 / math.sqrt(5.0),
    "one-neuron-crossing-start1": math.sqrt(10.0) / 8.0,
    "one-neuron-crossing-start2": math.sqrt(10.0) / 8.0,
    "prime-theta": 0.5,
    "prime-x-diag": 1000000000 / 2147483647,
    "sym-diaglin3-swap": 1.5 * 2.0 ** (1.0 / 3.0),
}
SEPARATES_NEVER = ["not-unique-one-neuron", "moons10-relu-3-4-1-s0"]


def case(name: str) -> Instance:
    return Instance.from_json((Path(__file__).parent / "cases" / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", VALUES)
def test_values_known_by_hand(name: str) -> None:
    record = follow(case(name), 60.0)
    assert (record.status, record.reason) == ("followed", "")
    assert record.value == pytest.approx(VALUES[name], rel=1e-6)


@pytest.mark.parametrize("name", SEPARATES_NEVER)
def test_flows_that_never_separate(name: str) -> None:
    assert follow(case(name)).status == "not separated"
