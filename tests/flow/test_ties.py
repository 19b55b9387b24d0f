"""Margins that nearly tie: a held softmax does not let go of them, and what is constant drifts with them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from harness import Instance, drive
from harness.flow.undecided import TIE
from harness.problem.networks import fully_connected

CASES = Path(__file__).parents[1] / "cases"


@pytest.mark.parametrize("scale", [0, 4, -4])
@pytest.mark.parametrize("name", ["false-counterexample-mild", "false-counterexample", "false-optimum"])
def test_a_limit_that_a_later_held_softmax_moves_is_not_believed(name: str, scale: int) -> None:
    # integrated apart: an input that is constant but for the nearly tied points crosses its kink, or stops before it
    instance = Instance.from_json((CASES / f"near-tie-{name}.json").read_text(encoding="utf-8"))
    larger, smaller = Fraction(4) ** scale, Fraction(2) ** -scale
    x = [[a * larger for a in row] for row in instance.x]
    (limit,) = drive([instance.changed(x=x, theta0=[[a * smaller for a in row] for row in instance.theta0])])
    assert (limit.status, limit.reason.lower()) == ("undecided", f"{TIE}.")


@pytest.mark.parametrize("device", ["cpu", "cpu:0"])
def test_a_near_tie_that_changes_nothing_is_believed(device: str) -> None:
    network = fully_connected("linear", (2,))
    instance = Instance.of(network, "exponential", [[1, 0], [0, 1], [0.5, 0.5001]], [1, 1, 1], [[1, 3]])
    (limit,) = drive([instance], device=device)
    assert limit.status == "converged"
    assert limit.value == pytest.approx(1.0, abs=1e-12)
