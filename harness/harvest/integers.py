"""Instances of small integers, for the hunts.

Many of the ways in which a limit can fail need an exact coincidence (points at right angles, a zero, a tie, balanced
norms), and small integers have coincidences most often; the commonest are drawn outright.  Nothing here is about any
one claim.  What is found is shrunk by harness.harvest.shrink and not by Hypothesis, so that a whole batch of instances
is a single choice, a string of bytes, one for every number: Hypothesis takes longer over thirty choices than a flow
takes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from fractions import Fraction
from functools import cache
from itertools import product
from typing import TypeVar

from hypothesis import strategies as st

from harness.problem.fields import FieldError
from harness.problem.instances import Instance
from harness.problem.networks import (
    Activation,
    Network,
    circulant,
    convolutional,
    diagonal,
    fully_connected,
    preactivations,
    sparse,
)
from strategies import Architecture
from strategies.datasets import nonzero_row
from strategies.initialisations import STYLES, Style, styled
from strategies.predicates import covering

Item = TypeVar("Item")

LARGEST = 3
# A row of numbers: one by one, the row before again, all of one size, or a second half that mirrors the first.
_ROWS = ("free", "free", "free", "again", "level", "mirrored")
# More bytes than the largest instance takes; 0 is read beyond the end.
_BYTES = 96


def batches(
    architectures: Sequence[Architecture],
    count: int,
    *,
    max_points: int,
    max_width: int,
    max_dimension: int,
    zeros: bool = True,
) -> st.SearchStrategy[list[Instance]]:
    """So many instances at once: every number a small integer, exponential loss.

    max_width: of every hidden layer; a diagonal network has no more coordinates either.  zeros: whether neurons that
    start at zero are worth drawing, which numbers drawn one by one seldom do.  Labels are the signs of the start's own
    outputs, 1 where that is zero, or the class of the first largest, so most flows separate the data.  Half of the
    draws are as large as they may be.
    """

    return _batches(
        count, lambda choices: _instance(choices, architectures, max_points, max_width, max_dimension, zeros)
    )


def coverings(points: int, count: int) -> st.SearchStrategy[list[Instance]]:
    """So many instances at once of so many points in the plane, whose starts are small and cover all cells."""

    def read(choices: _Choices) -> Instance:
        x = [nonzero_row([choices.below(2 * LARGEST + 1) - LARGEST for _ in range(2)]) for _ in range(points)]
        return covering(x, [choices.among((1, -1)) for _ in x], choices.among((1, 10)))

    return _batches(count, read)


def _batches(count: int, read: Callable[[_Choices], Instance]) -> st.SearchStrategy[list[Instance]]:
    starts = range(0, count * _BYTES, _BYTES)
    return st.binary(min_size=count * _BYTES, max_size=count * _BYTES).map(
        lambda data: [read(_Choices(data[start : start + _BYTES])) for start in starts]
    )


def _instance(
    choices: _Choices,
    architectures: Sequence[Architecture],
    max_points: int,
    max_width: int,
    max_dimension: int,
    zeros: bool,
) -> Instance:
    architecture = choices.among(architectures)
    n = choices.count(max_points)
    d = choices.count(min(max_width, max_dimension) if architecture.kind == "diagonal" else max_dimension)
    x: list[tuple[int, ...]] = []
    for _ in range(n):
        x.append(tuple(_point(choices, d, x)))
    if architecture.biased:
        x, d = [(*point, 1) for point in x], d + 1
    network = _network(choices, architecture, d, max_width)
    drawn = [_parameters(choices, network, layer) for layer in range(network.depth)]
    network = architecture.fixing(network, drawn)
    theta = [u if fixed is None else fixed for u, fixed in zip(drawn, network.fixed, strict=True)]
    styles: tuple[Style, ...] = STYLES[network.activation]
    if not zeros:
        styles = tuple(style for style in styles if style != "zero")
    chosen: list[list[Style]] = [[choices.among(styles) for _ in range(k)] for k in network.widths[1:-1]]
    if architecture.kind == "diagonal":
        # A style is one of the whole path.
        chosen = [chosen[0]] * len(chosen)
    theta0 = styled(network, theta, chosen, x, balanced=bool(choices.below(2)))
    labels = tuple(_label(preactivations(network, theta0, point)[-1]) for point in x)
    return Instance.of(network, "exponential", x, labels, theta0)


def _label(outputs: Sequence[int | Fraction]) -> int:
    if len(outputs) == 1:
        return -1 if outputs[0] < 0 else 1
    return outputs.index(max(outputs))


class _Choices:
    """Small choices, read off bytes."""

    def __init__(self, data: bytes) -> None:
        self._bytes = iter(data)
        # The smaller the numbers, the more of them coincide.
        self.largest = 1 + self.below(LARGEST)

    def below(self, n: int) -> int:
        """A number from 0 to n - 1, n at most 256."""
        return next(self._bytes, 0) * n >> 8

    def among(self, items: Sequence[Item]) -> Item:
        return items[self.below(len(items))]

    def count(self, most: int) -> int:
        """From 1 to most, half of the time most."""
        return most if self.below(2) else 1 + self.below(most)

    def row(self, length: int, before: Sequence[int] = ()) -> list[int]:
        kind = self.among(_ROWS)
        if kind == "again" and len(before) == length:
            return list(before)
        numbers = [self.below(2 * self.largest + 1) - self.largest for _ in range(length)]
        if kind == "level" and numbers:
            size = abs(numbers[0]) or 1
            numbers = [-size if a < 0 else size for a in numbers]
        if kind == "mirrored":
            sign = 1 - 2 * self.below(2)
            numbers[(length + 1) // 2 :] = [sign * a for a in reversed(numbers[: length // 2])]
        return numbers


def _point(choices: _Choices, d: int, before: Sequence[Sequence[int]]) -> list[int]:
    """A nonzero row; one in six is the one before turned by a right angle: what is learnt from one then leaves the
    inputs of the other alone."""
    if before and d > 1 and not choices.below(6):
        a, b = before[-1][:2]
        return [-b, a, *[0] * (d - 2)] if a or b else [1, *[0] * (d - 1)]
    row = choices.row(d)
    return row if any(row) else [1, *row[1:]]


def _network(choices: _Choices, architecture: Architecture, d: int, max_width: int) -> Network:
    kind, activation, depth = architecture.kind, architecture.activation, architecture.depth
    slope, outputs = architecture.slope, architecture.outputs
    if kind == "diagonal":
        return diagonal(activation, d, depth, negative_slope=slope, outputs=outputs)
    if kind == "circulant":
        return circulant(activation, d, negative_slope=slope, outputs=outputs)
    if kind == "convolutional":
        return choices.among(_convolutions(activation, d, max_width, slope, outputs))
    width = choices.count(max_width)
    if kind == "fully connected":
        return fully_connected(activation, (d, *[width] * (depth - 1)), negative_slope=slope, outputs=outputs)
    masks = [[choices.below(3) > 0 for _ in range(d)] for _ in range(width)]
    if not any(map(any, masks)):
        masks[0][0] = True
    return sparse(activation, (masks, [[True] * width] * outputs), negative_slope=slope)


@cache
def _convolutions(activation: Activation, d: int, width: int, slope: Fraction | None, outputs: int) -> list[Network]:
    """One filter at two or more positions, at most so many; the only one there is if there are none."""
    found = []
    for size, stride, padding, last in product(range(1, d + 1), (1, 2), (0, 1), (None, -1)):
        with suppress(FieldError):
            # Without its last position, a padded one is padded on one side only: causal.
            rows = convolutional("linear", d, size, stride, padding).patterns[0][:last]
            top = tuple(tuple(range(k * len(rows), (k + 1) * len(rows))) for k in range(outputs))
            network = Network(activation, (rows, top), slope)
            if network.shared and len(rows) <= width and (padding or last is None):
                found.append(network)
    return found or [convolutional(activation, d, d, negative_slope=slope, outputs=outputs)]


def _parameters(choices: _Choices, network: Network, layer: int) -> list[int]:
    """A row a neuron; one row where neurons share their weights or have one each."""
    pattern, size = network.patterns[layer], network.sizes[layer]
    lengths = [sum(k >= 0 for k in row) for row in pattern]
    if sum(lengths) > size or max(lengths) == 1:
        return choices.row(size)
    flat: list[int] = []
    row: list[int] = []
    for length in lengths:
        row = choices.row(length, row)
        flat += row
    return flat
