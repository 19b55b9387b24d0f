"""Strategies for the numbers of an instance: integers first, then small fractions, then floats.

Exact numbers come from one ordered table, so that a number is a single choice and shrinks along the table:
0, 1, -1, 2, -2, ..., then 1/2, -1/2, 3/2, -3/2, ..., 1/3, ...  An integer is an int, anything else a Fraction.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

from hypothesis import strategies as st

Exact = int | Fraction

# Small enough that products of a few of them stay readable; 4 is the least size that gives margins far apart.
MAX_INTEGER = 4
DENOMINATORS = (2, 3, 4)


def integers(max_integer: int = MAX_INTEGER) -> st.SearchStrategy[int]:
    """Integers of absolute value up to max_integer. Shrinks to 0, and to 1 before -1."""
    return st.integers(-max_integer, max_integer)


def exact_numbers(
    max_integer: int = MAX_INTEGER, denominators: Sequence[int] = DENOMINATORS
) -> st.SearchStrategy[Exact]:
    """Integers up to max_integer and fractions p/q of absolute value up to 2, q one of the denominators.

    Shrinks to an integer where one will do, then to 0, and to 1 before -1. Raises ValueError for a denominator
    below 2 or a negative max_integer.
    """
    return st.sampled_from(_table(max_integer, tuple(denominators)))


def float_numbers(least: float = 0.125, most: float = 4.0) -> st.SearchStrategy[Fraction]:
    """0 and floats of absolute value in [least, most], as the Fraction of their exact binary value.

    Moderate magnitudes only: 1e-300 is a test of the floats and not of a theorem. Shrinks to 0 and whole numbers.
    """
    # Tiny floats become 0 where a filter would throw the whole draw away.
    return st.floats(-most, most).map(lambda a: Fraction(a) if abs(a) >= least else Fraction(0))


def numbers() -> st.SearchStrategy[Exact]:
    """Exact numbers or, in one of two draws, floats. Shrinks to the exact ones."""
    return st.one_of(exact_numbers(), float_numbers())


@lru_cache
def _table(max_integer: int, denominators: tuple[int, ...]) -> tuple[Exact, ...]:
    if max_integer < 0 or any(q < 2 for q in denominators):
        raise ValueError("needs max_integer >= 0 and denominators >= 2")
    table: list[Exact] = [0]
    for a in range(1, max_integer + 1):
        table += [a, -a]
    for q in denominators:
        for p in range(1, 2 * q):
            fraction = Fraction(p, q)
            if fraction.denominator == q:
                table += [fraction, -fraction]
    return tuple(table)
