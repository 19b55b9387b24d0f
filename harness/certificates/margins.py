"""Bounds of the largest margin in a norm, in rationals.

    gamma_N = the largest min_i z_i . u over N(u) <= 1,   z_i = y_i x_i,  N the norm of l_p.

Every u bounds it from below, by min_i z_i . u / N(u), and all weights lambda >= 0 of sum 1 from above, by
N*(sum_i lambda_i z_i): min_i z_i . u <= sum_i lambda_i z_i . u <= N*(sum_i lambda_i z_i) N(u).  It is never negative,
since u may be zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import isqrt

from harness.certificates.numbers import Rejected, root_down, root_up
from harness.problem.numbers import Vector, dot, squared_norm


@dataclass(frozen=True)
class Margin:
    """below <= gamma_N <= above."""

    below: Fraction
    above: Fraction


def margin(rows: Sequence[Vector], p: Fraction | None, u: Sequence[Fraction], weights: Sequence[Fraction]) -> Margin:
    """rows: the z_i.  p: of the norm, from 1 on, None for infinity.  u: a direction.  weights: one a row, of any sum.

    Raises Rejected where the weights bound nothing.
    """
    total = sum(weights, Fraction(0))
    if any(a < 0 for a in weights) or not total:
        raise Rejected("the weights are negative, or all zero")
    q = None if p == 1 else Fraction(1) if p is None else p / (p - 1)
    pull = [dot(weights, column) for column in zip(*rows, strict=True)]
    least = min(dot(row, u) for row in rows)
    below = least / norm_up(u, p) if least > 0 else Fraction(0)
    return Margin(below, norm_up(pull, q) / total)


def norm_up(v: Sequence[Fraction], p: Fraction | None) -> Fraction:
    """At least the norm of v in l_p; exactly it where p is 1 or infinite."""
    if p is None:
        return max(map(abs, v), default=Fraction(0))
    if p == 1:
        return sum(map(abs, v), Fraction(0))
    if p == 2:
        return _euclidean(v, 1)
    a, b = p.numerator, p.denominator
    return root_up(sum((root_up(abs(c) ** a, b) for c in v), Fraction(0)) ** b, a)


def norm_down(v: Sequence[Fraction], p: Fraction | None) -> Fraction:
    """At most the norm of v in l_p; exactly it where p is 1 or infinite."""
    if p is None or p == 1:
        return norm_up(v, p)
    if p == 2:
        return _euclidean(v, 0)
    a, b = p.numerator, p.denominator
    return root_down(sum((root_down(abs(c) ** a, b) for c in v), Fraction(0)) ** b, a)


def _euclidean(v: Sequence[Fraction], more: int) -> Fraction:
    """The l_2 norm rounded down to 128 bits, and so many units of the last added where it is none of them."""
    square = squared_norm(v)
    p, q = square.numerator, square.denominator
    bits = max(0, 128 + (q.bit_length() - p.bit_length()) // 2)
    root = isqrt((p << 2 * bits) // q)
    exact = root * root * q == p << 2 * bits
    return Fraction(root + (0 if exact else more), 1 << bits)
