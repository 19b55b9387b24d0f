"""How far the exponential loss of a linear classifier has fallen, in rationals.

L(w) = sum_i exp(-z_i . w).  That log(1/L(w)) exceeds log(1/L(w_0)) by a rational c means that
sum_i exp(c - z_i . w) <= sum_i exp(-z_i . w_0), and both sides lie between rationals (exponentials.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from harness.certificates.exponentials import exponentials
from harness.certificates.numbers import Vector, dot

# The larger gains and losses are not computed with: e^c has too many digits.
MOST = Fraction(2**14)


def gained(rows: Sequence[Vector], start: Vector, w: Vector, c: Fraction) -> bool | None:
    """Whether log(1/L(w)) >= log(1/L(start)) + c; None where the bounds do not tell.

    rows: the z_i.  start, w: in rationals.
    """
    asked = min(max(c, -MOST), MOST)
    low, high = loss(rows, w, asked)
    before_low, before_high = loss(rows, start)
    if high <= before_low and asked >= c:
        return True
    return False if low > before_high and asked <= c else None


def loss(rows: Sequence[Vector], w: Vector, c: Fraction = Fraction(0)) -> tuple[Fraction, Fraction]:
    """Bounds of e^c L(w) from below and above."""
    return exponentials(c - dot(row, w) for row in rows)
