"""What the checker answers, whatever the kind of certificate."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from harness.certificates.numbers import GAP, Rejected, float_down, float_up


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


def proven(bound: Fraction, value: Fraction, where: str) -> Checked:
    """The answer where no feasible point, of where that is said in words, has a value below the bound.

    Raises Rejected where the bound is not within GAP of theta's value.
    """
    below, above = float_down(bound), float_up(value)
    if bound < (1 - GAP) * value:
        raise Rejected(f"the bound is {below:.12g}, less than (1 - 1e-9) times the value {above:.12g}")
    gap = max(0.0, float_up(1 - bound / value))
    return Checked(True, f"no feasible point {where} costs less than {below:.12g}", above, below, gap)
