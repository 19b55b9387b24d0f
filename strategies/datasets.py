"""Strategies for datasets: lists of nonzero rows, and labels from a teacher instead of a filter."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

from harness.problem.networks import Network, preactivations
from strategies.numbers import Exact, exact_numbers

Row = tuple[Exact, ...]
LABELS = (1, -1)


def points(
    dimension: int,
    *,
    min_size: int = 1,
    max_size: int = 4,
    numbers: st.SearchStrategy[Any] | None = None,
) -> st.SearchStrategy[list[Row]]:
    """Lists of rows of the given dimension, none of them zero. Rows may repeat.

    numbers: the coordinates, exact numbers unless given. Shrinks to fewer rows, each towards (1, 0, ..., 0).
    """
    coordinates = st.tuples(*[exact_numbers() if numbers is None else numbers] * dimension)
    return st.lists(coordinates.map(nonzero_row), min_size=min_size, max_size=max_size)


@st.composite
def linearly_separable_datasets(
    draw: st.DrawFn,
    dimension: int,
    *,
    max_size: int = 4,
    numbers: st.SearchStrategy[Any] | None = None,
) -> tuple[list[Row], list[int]]:
    """Points x and labels y = sign(x . u) of a drawn teacher u; u is not returned.

    Points on the teacher's hyperplane are dropped. Shrinks to x = (1, 0, ..., 0), y = 1.
    """
    coordinates = exact_numbers() if numbers is None else numbers
    x = draw(points(dimension, max_size=max_size, numbers=coordinates))
    teacher = nonzero_row(draw(st.tuples(*[coordinates] * dimension)))
    x, y = labelled(x, [[dot(row, teacher)] for row in x])
    # All points on the hyperplane: the teacher itself is then a point off it.
    return (x, y) if x else ([teacher], [1])


def nonzero_row(row: Sequence[Exact]) -> Row:
    """The row itself, or (1, 0, ..., 0) for the zero row: a repair, where a filter would reject the draw."""
    return tuple(row) if any(row) else (1, *row[1:])


def dot(a: Sequence[Exact], b: Sequence[Exact]) -> Exact:
    """The inner product of two rows of the same length."""
    return sum((p * q for p, q in zip(a, b, strict=True)), start=0)


def labelled(x: Sequence[Row], outputs: Sequence[Sequence[Exact]]) -> tuple[list[Row], list[int]]:
    """Points with the labels that a teacher's outputs on them give; points without one are dropped."""
    told = [(row, label_of(output)) for row, output in zip(x, outputs, strict=True)]
    kept = [(row, label) for row, label in told if label is not None]
    return [row for row, _ in kept], [label for _, label in kept]


def outputs(network: Network, theta: Sequence[Sequence[Exact]], x: Sequence[Row]) -> list[list[Exact | Fraction]]:
    """Phi(theta; x_i), exactly, one number an output."""
    return [preactivations(network, theta, row)[-1] for row in x]


def label_of(outputs: Sequence[Exact]) -> int | None:
    """The sign of a single output, or the class of the largest of several; None where that is not one."""
    if len(outputs) == 1:
        return (1 if outputs[0] > 0 else -1) if outputs[0] else None
    top = max(outputs)
    return None if outputs.count(top) > 1 else outputs.index(top)


def margins_of(outputs: Sequence[Exact]) -> list[Exact]:
    """What a point of the label that the outputs give has for margins."""
    if len(outputs) == 1:
        return [abs(outputs[0])]
    own = label_of(outputs)
    return [max(outputs) - a for k, a in enumerate(outputs) if k != own]
