"""Numbers, lists and tables as Markdown that a person reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def vector(numbers: Iterable[Any]) -> str:
    return "(" + ", ".join(map(short, numbers)) + ")"


def short(number: Any, digits: int = 6) -> str:
    """A number as a person would write it: exact if it is short, else rounded to so many digits."""
    exact_number = Fraction(number)
    if max(abs(exact_number.numerator), exact_number.denominator) < 1000:
        return str(exact_number)
    return f"{float(exact_number):.{digits}g}"


def counted(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
