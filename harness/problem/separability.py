"""Whether a vector separates rows: in rationals, with a witness either way.

Gordan: of these two exactly one exists,

    w      with  row . w > 0             for every row,
    alpha  with  sum_i alpha_i row_i = 0,  alpha >= 0,  sum(alpha) = 1.

The simplex method decides it on the second system (phase 1, Bland's rule, which cannot cycle), and a solution of its
dual is the first.  Whatever it says is checked before it is returned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from harness.problem.numbers import Vector, dot


@dataclass(frozen=True)
class Separation:
    """vector: w, or alpha where none separates.  Exactly one of them is there."""

    vector: Vector | None
    alpha: Vector | None

    def __bool__(self) -> bool:
        return self.vector is not None

    def proves(self, rows: Sequence[Sequence[Fraction]]) -> bool:
        """Whether the witness is one, by its definition."""
        if self.vector is not None:
            return all(dot(row, self.vector) > 0 for row in rows)
        alpha = self.alpha or ()
        combined = (
            sum((a * v for a, v in zip(alpha, column, strict=True)), Fraction(0)) for column in zip(*rows, strict=True)
        )
        return min(alpha) >= 0 and sum(alpha) == 1 and not any(combined)


def separation(rows: Sequence[Sequence[Fraction]]) -> Separation:
    """rows: at least one, of one length of at least one."""
    found = _simplex(rows)
    if not found.proves(rows):
        raise ArithmeticError("the simplex method ended without a witness")
    return found


def _simplex(rows: Sequence[Sequence[Fraction]]) -> Separation:
    """Minimise the sum of the artificial variables of  sum_i alpha_i (row_i, 1) = (0, 1)."""
    count, height = len(rows), len(rows[0]) + 1
    columns = [*zip(*rows, strict=True), (Fraction(1),) * count]
    table = [
        [*column, *(Fraction(int(r == k)) for k in range(height)), Fraction(int(r == height - 1))]
        for r, column in enumerate(columns)
    ]
    basis = [count + r for r in range(height)]
    # Reduced costs, and minus the cost; that of an artificial variable is 1.
    cost = [-sum((line[k] for line in table), Fraction(0)) for k in range(count)]
    cost += [Fraction(0)] * height + [Fraction(-1)]
    while (entering := next((k for k in range(count) if cost[k] < 0), None)) is not None:
        ratios = [(line[-1] / line[entering], basis[r], r) for r, line in enumerate(table) if line[entering] > 0]
        # The cost is at least zero, so that some ratio bounds the step.
        leaving = min(ratios)[2]
        basis[leaving] = entering
        _pivot([*table, cost], leaving, entering)
    if not cost[-1]:
        values = {k: line[-1] for k, line in zip(basis, table, strict=True)}
        return Separation(None, tuple(values.get(k, Fraction(0)) for k in range(count)))
    # The dual solution: 1 less the reduced costs of the artificial variables.  It bounds every row from above by
    # minus its last entry.
    dual = [1 - cost[count + r] for r in range(height)]
    return Separation(tuple(-a for a in dual[:-1]), None)


def _pivot(lines: list[list[Fraction]], at: int, column: int) -> None:
    lead = lines[at][column]
    pivot = lines[at]
    pivot[:] = [v / lead for v in pivot]
    for r, line in enumerate(lines):
        factor = line[column]
        if r != at and factor:
            line[:] = [v - factor * w for v, w in zip(line, pivot, strict=True)]
