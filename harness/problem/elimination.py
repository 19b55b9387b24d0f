"""Gaussian elimination over the rationals."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction


def echelon(rows: Sequence[Sequence[Fraction]]) -> tuple[list[list[Fraction]], list[int]]:
    """The reduced row echelon form without its zero rows, and the column of the leading 1 of each row."""
    table = [list(row) for row in rows]
    pivots: list[int] = []
    for column in range(len(table[0]) if table else 0):
        done = len(pivots)
        pivot = next((r for r in range(done, len(table)) if table[r][column]), None)
        if pivot is None:
            continue
        table[done], table[pivot] = table[pivot], table[done]
        lead = table[done][column]
        table[done] = [v / lead for v in table[done]]
        for r, row in enumerate(table):
            if r != done and row[column]:
                table[r] = [v - row[column] * w for v, w in zip(row, table[done], strict=True)]
        pivots.append(column)
    return table[: len(pivots)], pivots
