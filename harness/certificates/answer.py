"""What the checker answers, whatever the kind of certificate."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Checked:
    """The checker's answer; nothing in it is taken from the certificate's word.

    reason: one sentence.  value: what theta costs at min q = 1; infinite where min q <= 0.
    bound: for optimal a lower bound of every feasible point of the region, for not optimal the value of the better
    point.  gap: for optimal 1 - bound/value, at most 1e-9; for not optimal 1 - bound/L, by how much the better point
    undercuts every feasible point with the structure.  Both None where the certificate is rejected.  Floats, rounded
    to the safe side.
    """

    accepted: bool
    reason: str
    value: float
    bound: float | None = None
    gap: float | None = None
