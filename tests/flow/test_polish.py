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


@pytest.mark.parametrize("left", [1e234, float("nan")])
def test_what_a_polish_that_failed_has_left_is_not_looked_at(left: float) -> None:
    """Whatever its arrays hold: numpy would warn of it, and warnings are errors here."""
    one = run.Run(suite(2031, 1, "generic")[0], run.Settings(), record=False)
    assert one.offer(FAILED, np.full(len(one.theta), left), np.zeros(one.instance.n), np.zeros(one.instance.n)) is None
