"""What the polish returns belongs together: the point, its margins and its multipliers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.families import suite
from harness.flow import run
from harness.flow.follow import follow
from harness.flow.settling.polish import FAILED, SADDLE
from harness.survey.laws import Cell, drawn

CELL = Cell(
    family="fully connected",
    activation="leaky_relu",
    slope=0.5,
    width=4,
    n=3,
    d=2,
    data="integer",
    labels="start",
    start="integer",
)


def test_a_saddle_that_was_found_with_units_left_out_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Later tries fail, and leave theta anywhere. At a KKT point |theta|^2 = m sum lambda_i q_i."""
    off: list[float] = []
    polish = run.polish

    def watched(cell: Any, theta: Any, directions: Any, curved: Any, q: Any, multipliers: Any) -> tuple[int, float]:
        code, error = polish(cell, theta, directions, curved, q, multipliers)
        if code == SADDLE:
            off.append(abs(CELL.depth * float(multipliers @ q) / float(theta @ theta) - 1.0))
        assert code == FAILED or q.min() > 0.0
        return code, error

    monkeypatch.setattr(run, "polish", watched)
    follow(drawn(CELL, 5, 33)[0])
    assert len(off) > 10
    assert max(off) < 1e-6


def test_a_basis_of_unit_vectors_is_multiplied_with_in_no_other_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """By picking rows, which is to leave out products with 0 and 1: bit for bit."""
    polish, units = run.polish, 0

    def compared(cell: Any, theta: Any, directions: Any, curved: Any, q: Any, multipliers: Any) -> tuple[int, float]:
        nonlocal units
        units += len(directions.picks) > 0
        dense = directions._replace(picks=directions.picks[:0].copy(), signs=directions.signs[:0].copy())
        again = theta.copy(), q.copy(), multipliers.copy()
        found = polish(cell, theta, directions, curved, q, multipliers)
        assert polish(cell, again[0], dense, curved, *again[1:]) == found
        if found[0] != FAILED:
            for one, other in zip((theta, q, multipliers), again, strict=True):
                np.testing.assert_array_equal(one, other)
        return found

    monkeypatch.setattr(run, "polish", compared)
    for instance in suite(41, 24, "generic"):
        follow(instance)
    assert units > 40


@pytest.mark.parametrize("left", [1e234, float("nan")])
def test_what_a_polish_that_failed_has_left_is_not_looked_at(left: float) -> None:
    """Whatever its arrays hold: numpy would warn of it, and warnings are errors here."""
    one = run.Run(suite(2031, 1, "generic")[0], run.Settings(), record=False)
    assert one.offer(FAILED, np.full(len(one.theta), left), np.zeros(one.instance.n), np.zeros(one.instance.n)) is None
