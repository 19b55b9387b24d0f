"""A recorded flow once more, by an integrator that shares no code with the trainer, from its start to beyond its end.

The record has to begin at theta0, with no second solution beside it; every step has to be one of the flow (steps.py);
what the flow keeps for ever the record has to keep (kept.py); and from its end on the flow has to come closer to the
limit and to leave dead what is dead there (onward.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.claims.retrace.field import Field
from harness.claims.retrace.kept import Kept
from harness.claims.retrace.onward import Onward, leaves, onward
from harness.claims.retrace.steps import Rows, branches, detour

if TYPE_CHECKING:
    from harness.problem.limits import Limit

__all__ = ["Field", "Onward", "Retraced", "retrace"]

ROUNDING = 1e-12


@dataclass(frozen=True)
class Retraced:
    """begins: whether the record is one, from theta0 on.  branches: whether more than one solution departs from there,
    None if that is not known.

    detour: how far its steps are from the flow, together.  leaves: how far it goes from what the flow keeps.  onward:
    where the flow goes from its end.  Both are relative to the neurons; detour and onward are None where that takes too
    long.
    """

    begins: bool
    branches: bool | None
    detour: float | None
    leaves: float
    onward: Onward | None


def retrace(limit: Limit) -> Retraced:
    """limit: converged, with its path."""
    path = limit.path
    assert path is not None, "only a recorded flow can be followed once more"
    assert limit.theta is not None
    rows = Rows(*(path[key] for key in ("log_norm", "sigma", "direction", "booked")))
    field, kept = Field(limit.instance), Kept(limit.instance)
    network = limit.instance.network
    start, end = network.flat(limit.instance.theta0_float), network.flat(limit.theta)
    if not begins(rows, start):
        return Retraced(False, False, np.inf, np.inf, None)
    off = detour(field, rows, start)
    left = leaves(field, kept, rows.direction)
    further = onward(field, kept, rows.theta[-1], end)
    return Retraced(True, branches(field, rows, start), off, left, further)


def begins(rows: Rows, start: np.ndarray) -> bool:
    """Whether the rows go forward from the start (N,), in its direction and at its log-norm to rounding."""
    norm = np.linalg.norm(start)
    if not len(rows.sigma) or not rows.ordered or not norm:
        return False
    apart = np.append(rows.direction[0] - start / norm, rows.log_norm[0] - np.log(norm))
    return bool(np.abs(apart).max() <= ROUNDING)
