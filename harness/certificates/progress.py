"""How far the exponential loss of a linear classifier has fallen, in rationals.

L(w) = sum_i exp(-z_i . w).  That log(1/L(w)) exceeds log(1/L(w_0)) by a rational c means that
sum_i exp(c - z_i . w) <= sum_i exp(-z_i . w_0), and both sides lie between rationals (exponentials.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from harness.certificates.exponentials import exponentials
from harness.problem.numbers import Vector, dot


def gained(rows: Sequence[Vector], start: Vector, w: Vector, c: Fraction) -> bool | None:
    """Whether log(1/L(w)) >= log(1/L(start)) + c; None where the bounds do not tell.

    rows: the z_i.  start, w: in rationals.
    """
    now, before = ([-dot(row, v) for row in rows] for v in (w, start))
    # both sides times the same number, so that none is too large
    most = max(max(now) + c, max(before))
    low, high = exponentials([c + x - most for x in now])
    before_low, before_high = exponentials([x - most for x in before])
    if high <= before_low:
        return True
    return False if low > before_high else None


def loss(rows: Sequence[Vector], w: Vector) -> tuple[Fraction, Fraction]:
    """Bounds of L(w) from below and above.  Raises Rejected where it is too large to be computed with."""
    return exponentials([-dot(row, w) for row in rows])
