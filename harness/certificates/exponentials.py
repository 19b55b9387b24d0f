"""Sums of exponentials of rationals, between two rationals.

e^x = (e^(x / 2^k))^(2^k) with abs(x) / 2^k <= 1/2: of that the first terms of the series, whose rest is below one unit
of the last place, and then k squarings.  Everything is kept as integers of BITS bits times a power of two, rounded to
the safe side, so that e^-1000 has as many digits as e^-1.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from harness.certificates.numbers import Rejected

BITS = 128
_TERMS = 40
# Below minus this e^x is only known to be between zero and e^-MOST; above it e^x has too many digits.
MOST = Fraction(2**12)


def exponentials(exponents: Sequence[Fraction]) -> tuple[Fraction, Fraction]:
    """Bounds from below and above of the sum of e^x.  Raises Rejected where an x is above MOST."""
    bounds = [exponential(x) for x in exponents]
    return sum((low for low, _ in bounds), Fraction(0)), sum((high for _, high in bounds), Fraction(0))


def exponential(x: Fraction) -> tuple[Fraction, Fraction]:
    """Bounds of e^x from below and above; equal at 0.  Raises Rejected where x is above MOST."""
    if x > MOST:
        raise Rejected("an exponential is too large to be computed with")
    if x < -MOST:
        return Fraction(0), exponential(-MOST)[1]
    if x <= 0:
        low, high = exponential(-x) if x else (Fraction(1), Fraction(1))
        return 1 / high, 1 / low
    halvings = (x.numerator // x.denominator).bit_length() + 1
    scaled = (x.numerator << BITS) // (x.denominator << halvings)
    low, high, exponent = _series(scaled), _series(scaled + 1) + _TERMS + 1, -BITS
    for _ in range(halvings):
        low, high, exponent = low * low, high * high, 2 * exponent
        spare = low.bit_length() - BITS
        low, high, exponent = low >> spare, -(-high >> spare), exponent + spare
    unit = Fraction(2) ** exponent
    return low * unit, high * unit


def _series(scaled: int) -> int:
    """e^(scaled / 2^BITS) times 2^BITS for scaled <= 2^(BITS - 1) + 1, too small by at most _TERMS + 1.

    Every term is rounded down; the rest of the series is below one unit.
    """
    term = total = 1 << BITS
    for k in range(1, _TERMS):
        term = (term * scaled >> BITS) // k
        total += term
    return total
