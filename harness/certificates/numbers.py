"""Reading certificates: exact numbers, arrays and objects, from JSON that nobody vouches for.

A number is a JSON integer, a string "p" or "p/q", or a JSON float taken at its exact binary value.  All
arithmetic on them is exact (fractions.Fraction).  Whatever has the wrong shape raises FieldError, which names
the field; whatever is well formed but false raises Rejected with a sentence.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

from harness.problem.fields import FieldError
from harness.problem.numbers import Vector, kind

# "optimal" means a proven lower bound of at least (1 - GAP) times the value.
GAP = Fraction(1, 10**9)

# Every float is a p/q of at most 325 digits a side; longer numbers only slow the checker down.
MAX_DIGITS = 400
_RATIONAL = re.compile(r"([+-]?[0-9]+)(?:/([0-9]+))?", re.ASCII)
_MAX_BITS = math.ceil(MAX_DIGITS * math.log2(10))


class Rejected(Exception):
    """The certificate is well formed and does not prove what it says; the text says why."""


def least_positive(margins: Iterable[Fraction]) -> Fraction:
    """The least margin of theta.  Raises Rejected where it is not positive."""
    least = min(margins)
    if least <= 0:
        raise Rejected("theta has a margin that is not positive")
    return least


def number(value: object, field: str) -> Fraction:
    """An exact number.  Raises FieldError on anything else: booleans, NaN, "1/0", too many digits."""
    if isinstance(value, float):
        if not math.isfinite(value):
            raise FieldError(field, "NaN and infinities are not allowed")
        return Fraction(value)
    if isinstance(value, int) and not isinstance(value, bool):
        if value.bit_length() > _MAX_BITS:
            raise FieldError(field, f"more than {MAX_DIGITS} digits")
        return Fraction(value)
    if isinstance(value, str):
        # The length is tested first: the pattern and int() must not see a giant text.
        if len(value) > 2 * MAX_DIGITS + 2:
            raise FieldError(field, f"more than {MAX_DIGITS} digits")
        match = _RATIONAL.fullmatch(value)
        if match is None:
            raise FieldError(field, 'expected a number or a string "p/q"')
        p, q = match.group(1), match.group(2) or "1"
        if max(len(p.lstrip("+-")), len(q)) > MAX_DIGITS:
            raise FieldError(field, f"more than {MAX_DIGITS} digits")
        if not int(q):
            raise FieldError(field, "division by zero")
        return Fraction(int(p), int(q))
    raise FieldError(field, f"expected a number, found {kind(value)}")


def array(value: object, field: str, length: int | None = None) -> Sequence[Any]:
    """A JSON array, of the given length if one is given."""
    if not isinstance(value, list | tuple):
        raise FieldError(field, f"expected an array, found {kind(value)}")
    if length is not None and len(value) != length:
        raise FieldError(field, f"{len(value)} entries where {length} are needed")
    return value


def fields(value: object, field: str, required: Sequence[str], optional: Sequence[str] | None = ()) -> dict[str, Any]:
    """A JSON object with these keys; optional None allows any others."""
    if not isinstance(value, dict):
        raise FieldError(field, f"expected an object, found {kind(value)}")
    for key in required:
        if key not in value:
            raise FieldError(f"{field}.{key}", "missing")
    if optional is not None:
        for key in value:
            if key not in required and key not in optional:
                raise FieldError(field, f"unknown key {_quoted(key)}")
    return value


def choice(value: object, field: str, allowed: Sequence[Any]) -> Any:
    """One of the allowed strings or integers; a boolean is not an integer."""
    if not isinstance(value, str | int) or isinstance(value, bool) or value not in allowed:
        raise FieldError(field, f"must be {'one of ' if len(allowed) > 1 else ''}{', '.join(map(str, allowed))}")
    return value


def integer(value: object, field: str, low: int, high: int) -> int:
    """An integer from low to high; a boolean or a float is none."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise FieldError(field, f"expected an integer from {low} to {high}")
    return value


def vector(value: object, field: str, length: int) -> Vector:
    """An array of so many numbers."""
    return tuple(number(a, f"{field}[{i}]") for i, a in enumerate(array(value, field, length)))


def rows(value: object, field: str, lengths: Sequence[int]) -> tuple[Vector, ...]:
    """An array of vectors of these lengths."""
    outer = array(value, field, len(lengths))
    return tuple(vector(row, f"{field}[{i}]", size) for i, (row, size) in enumerate(zip(outer, lengths, strict=True)))


def by_sample(value: object, field: str, n: int) -> dict[int, Fraction]:
    """Numbers that belong to samples, zeros left out: an array of n, an object {"sample": number}, or null."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        return {i: a for i, a in enumerate(vector(value, field, n)) if a}
    found: dict[int, Fraction] = {}
    for key, entry in value.items():
        if not isinstance(key, str) or not re.fullmatch("0|[1-9][0-9]{0,8}", key, re.ASCII) or int(key) >= n:
            raise FieldError(field, f"{_quoted(key)} is not a sample")
        found[int(key)] = number(entry, f"{field}.{key}")
    return {i: a for i, a in found.items() if a}


def samples(value: object, field: str, n: int) -> frozenset[int]:
    """A set of samples, given as an array of their indices, each once."""
    chosen = array(value, field)
    for i, sample in enumerate(chosen):
        if isinstance(sample, bool) or not isinstance(sample, int) or not 0 <= sample < n:
            raise FieldError(f"{field}[{i}]", f"expected a sample from 0 to {n - 1}")
    if len(set(chosen)) != len(chosen):
        raise FieldError(field, "a sample occurs twice")
    return frozenset(chosen)


def float_down(value: Fraction) -> float:
    """The largest float that is at most value."""
    try:
        nearest = float(value)
    except OverflowError:
        return sys.float_info.max if value > 0 else -math.inf
    return nearest if Fraction(nearest) <= value else math.nextafter(nearest, -math.inf)


def float_up(value: Fraction) -> float:
    """The smallest float that is at least value."""
    return -float_down(-value)


def sqrt_down(value: Fraction) -> float:
    """A float at most the square root of value >= 0, and within two units in the last place of it."""
    p, q = value.numerator, value.denominator
    # Enough fractional bits that the integer root has more than a float's 53.
    bits = max(0, (q.bit_length() - p.bit_length()) // 2 + 64)
    return float_down(Fraction(math.isqrt((p << 2 * bits) // q), 1 << bits))


# Roots are rounded by at most this, relatively.
ROUNDED = Fraction(1, 2**44)


def root_down(value: Fraction, m: int) -> Fraction:
    """At most the m-th root of value >= 0, and less by a share of at most 2 ROUNDED."""
    if not value:
        return Fraction(0)
    scale = (value.numerator.bit_length() - value.denominator.bit_length()) // m
    # Between 1/2 and 2^(m + 1) now, where floats have all their digits.
    rest = value / Fraction(2) ** (m * scale)
    root = Fraction(float(rest) ** (1.0 / m)) * (1 - ROUNDED) * Fraction(2) ** scale
    if root**m > value:
        raise Rejected("a root could not be bounded")
    return root


def root_up(value: Fraction, m: int) -> Fraction:
    """At least the m-th root of value >= 0, and hardly more."""
    root = root_down(value, m) * (1 + 4 * ROUNDED)
    if root**m < value:
        raise Rejected("a root could not be bounded")
    return root


def _quoted(key: object) -> str:
    text = key if isinstance(key, str) else str(type(key).__name__)
    return ascii(text if len(text) <= 40 else text[:40] + "...")
