"""Exact numbers: what is taken for one, and how one is written.

A number is an integer, a fraction or a float at its exact binary value.  Ties and zeros are decided on these; the flow
runs on their nearest floats, so a number whose nearest float is infinite, or is zero although the number is not, is
refused.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from fractions import Fraction
from numbers import Integral

from harness.problem.fields import FieldError

Vector = tuple[Fraction, ...]
Rows = tuple[Vector, ...]

# Python converts at most 4300 digits between int and text; 14000 bits are 4215 digits.
_MAX_BITS = 14_000
_MAX_DIGITS = 4_300
_NUMBER = re.compile(
    r"(?P<sign>[+-]?)(?:(?P<p>[0-9]+)/(?P<q>[0-9]+)|"
    r"(?P<whole>[0-9]*)(?:\.(?P<part>[0-9]*))?(?:[eE](?P<exponent>[+-]?[0-9]+))?)"
)


def exact(value: object, field: str) -> Fraction:
    """An int, float or Fraction as a Fraction in the range of nonzero floats."""
    if isinstance(value, float):
        if not math.isfinite(value):
            raise FieldError(field, "NaN and infinities are not allowed")
        return Fraction(value)
    if isinstance(value, bool) or not isinstance(value, Integral | Fraction):
        raise FieldError(field, f"expected a number, found {kind(value)}")
    number = Fraction(int(value) if isinstance(value, Integral) else value)
    try:
        rounded = nearest(number)
    except OverflowError:
        raise FieldError(field, "overflow: the nearest float is infinite") from None
    if number and not rounded:
        raise FieldError(field, "underflow: the number is not zero, but its nearest float is")
    if max(number.numerator.bit_length(), number.denominator.bit_length()) > _MAX_BITS:
        raise FieldError(field, "the number has too many digits")
    return number


def nearest(number: Fraction) -> float:
    """As float() gives it, which asks a Fraction for its parts in a way that takes four times as long.

    Raises OverflowError.
    """
    numerator, denominator = number.as_integer_ratio()
    return numerator / denominator


def in_integers(rows: Rows) -> list[list[int]]:
    """Every row times a number above 0: for signs, since integers look for no common divisors."""
    scales = [math.lcm(*(a.denominator for a in row)) for row in rows]
    return [[a.numerator * (scale // a.denominator) for a in row] for row, scale in zip(rows, scales, strict=True)]


def as_label(number: Fraction, field: str) -> int:
    if number not in (1, -1):
        raise FieldError(field, "a label must be 1 or -1")
    return int(number)


def as_class(value: object, classes: int, field: str) -> int:
    number = exact(value, field)
    if number not in range(classes):
        raise FieldError(field, f"a class must be one of 0 .. {classes - 1}")
    return int(number)


def exact_rows(rows: Sequence[Sequence[object]], field: str) -> Rows:
    return tuple(tuple(exact(a, f"{field}[{i}][{j}]") for j, a in enumerate(row)) for i, row in enumerate(rows))


def number_from_text(text: str, field: str) -> Fraction:
    """The exact value of "3", "-1/4", "0.25" or "-3e2"."""
    match = _NUMBER.fullmatch(text)
    if match is None or not any(match.group("p", "whole", "part")):
        raise FieldError(field, f"{quoted(text)} is not a number")
    p, q, whole, part, exponent = match.group("p", "q", "whole", "part", "exponent")
    numerator = p if p is not None else (whole or "") + (part or "")
    if max(len(numerator), len(q or "")) > _MAX_DIGITS:
        raise FieldError(field, "the number has too many digits")
    number = Fraction(int(numerator))
    if p is not None:
        if not int(q):
            raise FieldError(field, "division by zero")
        number /= int(q)
    elif number:
        # An exponent this large decides on its own, and its power must not be computed.
        digits = (exponent or "0").lstrip("+-0") or "0"
        power = min(int(digits[:6]) if len(digits) <= 6 else 10**6, 10**6)
        if power > 3 * _MAX_DIGITS:
            flow = "underflow" if "-" in (exponent or "") else "overflow"
            raise FieldError(field, f"{flow}: {quoted(text)} is out of the range of floats")
        power = -power if "-" in (exponent or "") else power
        number *= Fraction(10) ** (power - len(part or ""))
    return exact(-number if match["sign"] == "-" else number, field)


def number_text(number: Fraction) -> str:
    """One number as JSON: what a person would write, else a float if it is one, else "p/q"."""
    p, q = number.numerator, number.denominator
    if (q == 1 and abs(p) < 10**15) or (abs(p) < 10**4 and q < 10**4):
        return f'"{number}"'
    nearest = float(number)
    return repr(nearest) if Fraction(nearest) == number else f'"{number}"'


def as_json(number: float | Fraction) -> int | str:
    """A number, a float at its exact value, as certificates have it: an integer or "p/q"."""
    p, q = (number if isinstance(number, Fraction) else float(number)).as_integer_ratio()
    return p if q == 1 else f"{p}/{q}"


def rows_text(rows: Rows) -> str:
    return "[" + ", ".join("[" + ", ".join(map(number_text, row)) + "]" for row in rows) + "]"


def dot(a: Sequence[Fraction], b: Sequence[Fraction]) -> Fraction:
    """a . b, exactly."""
    parts = [(p.numerator * q.numerator, p.denominator * q.denominator) for p, q in zip(a, b, strict=True) if p and q]
    # over one denominator: fractions would look for common divisors after every sum
    common = math.lcm(*(denominator for _, denominator in parts))
    return Fraction(sum(numerator * (common // denominator) for numerator, denominator in parts), common)


def squared_norm(a: Sequence[Fraction]) -> Fraction:
    """|a|^2, exactly."""
    return dot(a, a)


def less(a: Sequence[Fraction], factor: Fraction, b: Sequence[Fraction]) -> Vector:
    """a - factor b, exactly."""
    return tuple(p - factor * q for p, q in zip(a, b, strict=True))


def less_components(a: Sequence[Fraction], along: Iterable[Sequence[Fraction]]) -> Vector:
    """a less its components along these vectors, exactly: by Gram-Schmidt."""
    basis: list[tuple[Vector, Fraction]] = []
    rest = tuple(a)
    for b in along:
        own = tuple(b)
        for e, length in basis:
            own = less(own, dot(own, e) / length, e)
        if any(own):
            basis.append((own, squared_norm(own)))
            rest = less(rest, dot(rest, own) / basis[-1][1], own)
    return rest


def kind(value: object) -> str:
    """What a value is called in JSON, for messages."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case dict():
            return "an object"
        case list() | tuple():
            return "an array"
        case _:
            return type(value).__name__


def quoted(text: str) -> str:
    """Text from the input, on one line and not too long."""
    return json.dumps(text if len(text) <= 40 else text[:40] + "...")
