"""Symmetric matrices of rationals: whether one is positive semidefinite, and a bound on its least eigenvalue; exactly.

Entries are brought to one denominator and eliminated without fractions (Bareiss), so that they stay minors of
the matrix and do not grow beyond Hadamard's bound.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np


def positive_semidefinite(matrix: Sequence[Sequence[Fraction]]) -> bool:
    """Whether z'Az >= 0 for all z; A is taken as symmetric, and only its lower triangle is read."""
    size = len(matrix)
    common = math.lcm(1, *(matrix[r][c].denominator for r in range(size) for c in range(r + 1)))
    a = [[int(matrix[r][c] * common) for c in range(r + 1)] for r in range(size)]
    rows = list(range(size))
    previous = 1
    while rows:
        if any(a[r][r] < 0 for r in rows):
            return False
        pivot = max(rows, key=lambda r: a[r][r])
        lead = a[pivot][pivot]
        if not lead:
            # A zero diagonal needs a zero matrix.
            return not any(_at(a, r, c) for r in rows for c in rows)
        rows.remove(pivot)
        column = {r: _at(a, r, pivot) for r in rows}
        for r in rows:
            for c in rows:
                if c <= r:
                    # Exact by Bareiss: the result is a minor of the matrix.
                    a[r][c] = (lead * a[r][c] - column[r] * column[c]) // previous
        previous = lead
    return True


# Matrices are rounded to this many binary places before they are tested with `exceeds`.
PLACES = 44


def exceeds(matrix: Sequence[Sequence[Fraction]], least: Fraction) -> bool:
    """Whether every eigenvalue is clearly at least this much; only the lower triangle is read."""
    size, unit = len(matrix), 1 << PLACES
    # Rounding moves every entry by at most half a unit, and so no eigenvalue by more than size / 2 units.
    shift = least + Fraction(size, 2 * unit)
    return positive_semidefinite(
        [
            [Fraction(round(matrix[r][c] * unit), unit) - (shift if r == c else 0) for c in range(r + 1)]
            for r in range(size)
        ]
    )


def least_eigenvalue(matrix: Sequence[Sequence[Fraction]]) -> Fraction:
    """A positive number that is at most the least eigenvalue, by a guess in floats that is then proven; else 0."""
    try:
        guess = float(np.linalg.eigvalsh(np.array([[float(v) for v in row] for row in matrix]))[0])
    except (OverflowError, np.linalg.LinAlgError):
        return Fraction(0)
    if not 0.0 < guess < math.inf:
        return Fraction(0)
    low = Fraction(guess / 2)
    shifted = [[v - (low if r == c else 0) for c, v in enumerate(row)] for r, row in enumerate(matrix)]
    return low if positive_semidefinite(shifted) else Fraction(0)


def _at(a: Sequence[Sequence[int]], r: int, c: int) -> int:
    return a[r][c] if c <= r else a[c][r]
