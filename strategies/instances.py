"""Strategies for whole instances: a network, a loss, points, labels and a start.

Every draw is padded to the largest dimension and then cut to the coordinates that are kept; neurons and points are
lists of rows, any of which can be marked absent; and the sizes of the network follow. So coordinates, neurons and
points can each be dropped without changing what the other draws mean.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from hypothesis import strategies as st

from harness.problem.instances import Instance, Loss
from harness.problem.networks import Network, circulant, convolutional, diagonal, fully_connected, sparse
from strategies.architectures import Architecture
from strategies.architectures import networks as all_networks
from strategies.datasets import LABELS, Row, dot, label_of, labelled, margins_of, nonzero_row, outputs
from strategies.initialisations import STYLES, Start, Style, initialisations, styled, styles
from strategies.numbers import Exact, exact_numbers, numbers

LOSSES: tuple[Loss, ...] = ("exponential", "logistic")

# How the labels come about, simplest first: from the start itself, from a vector, freely.
_LABELLINGS = ("start", "start", "start", "start", "vector")
# The largest output of a start is mostly the same one on all points, where vectors tell classes apart.
_OF_CLASSES = ("start", "vector")


@dataclass(frozen=True)
class _Palette:
    """The numbers one instance is made of. exact: whether they are integers and small fractions."""

    name: str
    exact: bool = True

    @property
    def numbers(self) -> st.SearchStrategy[Exact]:
        return _PALETTES[self.name]


# The exact palettes are beginnings of one table, so that the same choice means the same number in all of them.
_PALETTES: dict[str, st.SearchStrategy[Exact]] = {
    "signs": exact_numbers(1, ()),
    "integers": exact_numbers(denominators=()),
    "fractions": exact_numbers(),
    "floats": numbers(),
}
_EXACT = (_Palette("signs"), *[_Palette("integers")] * 3, *[_Palette("fractions")] * 3)
_ALL = (*_EXACT, _Palette("floats", exact=False))


def instances(
    *,
    networks: st.SearchStrategy[Architecture] | st.SearchStrategy[Network] | None = None,
    losses: Sequence[Loss] = LOSSES,
    separable: bool = True,
    max_points: int | None = None,
    max_dimension: int = 3,
    max_width: int = 3,
    floats: bool = True,
) -> st.SearchStrategy[Instance]:
    """Instances, most of which the flow separates.

    networks: architectures (strategies.architectures), whose sizes are drawn within max_dimension and max_width, or
        networks as they are. Depth 2 of every kind unless given.
    losses: drawn from these; shrinks to the first.
    separable: False lets some draws have free labels, which the flow may or may not separate.
    max_points: 4 unless given, 6 with several outputs.
    floats: whether one in eight instances is made of floats; the others are of integers or small fractions.

    Four draws in five, with several outputs one in two, are labelled by the start's own output: y_i = sign
    Phi(theta0; x_i), or the class of the largest. Points where it is zero, or tied, are dropped, and what is trained of
    theta0 is scaled by the least power of two that brings the loss below that of the zero network, so the flow starts
    out separated. A relu start that is off everywhere has its first layer mirrored or the hidden ones above made
    positive first, where these are trained. Where no point gets a label all the same, all labels are 1, or the first
    class. The other draws are labelled by a drawn vector, y_i = sign(u . x_i), or by one a class, and start anywhere.

    In half of the draws, and while shrinking, signs are turned where the problem stays the same (fewer_signs).

    Shrinks to x = (1), y = 1, one neuron, zero parameters, exponential loss, linear, fully connected; towards fewer
    points, neurons and coordinates, then integers before fractions before floats, then small numbers, 1 before -1.
    """
    return _instances(
        all_networks() if networks is None else networks,
        st.sampled_from(losses),
        () if separable else ("free",),
        st.sampled_from(_ALL if floats else _EXACT),
        max_points,
        max_dimension,
        max_width,
    )


@st.composite
def _instances(
    draw: st.DrawFn,
    networks: st.SearchStrategy[Architecture | Network],
    losses: st.SearchStrategy[Loss],
    besides: tuple[str, ...],
    palettes: st.SearchStrategy[_Palette],
    max_points: int | None,
    max_dimension: int,
    max_width: int,
) -> Instance:
    drawn = draw(networks)
    loss = draw(losses)
    palette = draw(palettes)
    any_signs = draw(st.booleans())
    dimension = drawn.widths[0] if isinstance(drawn, Network) else max_dimension
    columns = range(dimension) if isinstance(drawn, Network) else _kept(draw(_flags(dimension)))
    most = max_points or (4 if drawn.outputs == 1 else 6)
    rows = _present(draw(_rows(palette, dimension, most)), absent=(0, 1))
    if isinstance(drawn, Architecture) and drawn.biased:
        rows = [(label, (*row, 1)) for label, row in rows]
        columns, dimension = (*columns, dimension), dimension + 1
    x = [nonzero_row([row[c] for c in columns]) for _, row in rows]
    if isinstance(drawn, Network):
        network = drawn
        theta = draw(initialisations(network, x, numbers=palette.numbers, balanced=None if palette.exact else False))
    else:
        network, theta = _start(draw, drawn, palette, columns, dimension, max_width, x)
    if not any_signs and not network.shared and all(network.trained):
        x, theta = fewer_signs(network, x, theta)

    labelling = draw(_labellings((*(_LABELLINGS if network.outputs == 1 else _OF_CLASSES), *besides)))
    if labelling == "free":
        free = tuple(_free(network, i, label) for i, (label, _) in enumerate(rows))
        return Instance.of(network, loss, _tuples(x), free, _tuples(theta))
    if labelling == "vector":
        teachers = [draw(_padded(palette, dimension)) for _ in range(network.outputs)]
        own = [nonzero_row([teacher[c] for c in columns]) for teacher in teachers]
        taught = [[dot(row, teacher) for teacher in own] for row in x]
    else:
        taught = outputs(network, theta, x)
        if not _tells(taught) and network.activation == "relu":
            # All paths are off on all points, which they would stay.
            for turned in _turned(network, theta):
                theta, taught = turned, outputs(network, turned, x)
                if _tells(taught):
                    break
    if not _tells(taught):
        return Instance.of(network, loss, _tuples(x), (_free(network, 0, 1),) * len(x), _tuples(theta))
    x, y = labelled(x, taught)
    if labelling == "start":
        margins = [[float(a) for a in margins_of(row)] for row in taught if label_of(row) is not None]
        scale = separating_scale(loss, margins, network.degree)
        theta = [[scale * a for a in u] if own else u for u, own in zip(theta, network.trained, strict=True)]
    return Instance.of(network, loss, _tuples(x), tuple(y), _tuples(theta))


def _free(network: Network, place: int, label: int) -> int:
    """A label as drawn, or a class from it and the place of the point."""
    return label if network.outputs == 1 else (place + (label < 0)) % network.outputs


def _tells(taught: Sequence[Sequence[Exact]]) -> bool:
    """Whether some point gets a label."""
    return any(label_of(row) is not None for row in taught)


def _turned(network: Network, theta: Start) -> Iterator[Start]:
    """Starts of a relu network that are on where this one may be off: mirrored, and with the middle layers positive.

    Layers that are fixed stay.
    """
    first, *others = network.trained
    mirrored = [-a for a in theta[0]] if first else theta[0]
    middle = [[abs(a) for a in u] if own else u for u, own in zip(theta[1:-1], others, strict=False)]
    yield [mirrored, *theta[1:]]
    if middle:
        yield [theta[0], *middle, theta[-1]]
        yield [mirrored, *middle, theta[-1]]


def fewer_signs(network: Network, x: Sequence[Row], theta: Start) -> tuple[list[Row], Start]:
    """The same problem up to symmetry, with fewer minus signs; for networks without shared or fixed weights.

    Turning the sign of a coordinate of every point and of the weights on it changes nothing else, nor does, in a
    linear network of depth 2, turning a neuron's incoming and outgoing weights. The first nonzero value of every
    coordinate becomes positive, and the first nonzero incoming weight of every neuron of such a linear network. While
    shrinking, no single number could change its sign alone.
    """
    x, new = list(x), [list(u) for u in theta]
    for column in range(network.widths[0]):
        if next((row[column] for row in x if row[column]), 1) < 0:
            x = [(*row[:column], -row[column], *row[column + 1 :]) for row in x]
            for k in (row[column] for row in network.patterns[0] if row[column] >= 0):
                new[0][k] = -new[0][k]
    if network.activation == "linear" and network.depth == 2:
        for incoming, outgoing in zip(network.patterns[0], zip(*network.patterns[1], strict=True), strict=True):
            present = [k for k in incoming if k >= 0]
            if next((new[0][k] for k in present if new[0][k]), 1) < 0:
                for k in present:
                    new[0][k] = -new[0][k]
                for k in outgoing:
                    if k >= 0:
                        new[1][k] = -new[1][k]
    return x, new


def separating_scale(loss: Loss, margins: Sequence[Sequence[float]], degree: int) -> int:
    """The least power of two s that brings the loss at margins s^degree q > 0, a row a point, below that of zero."""
    scale = 1
    while _total(loss, [[scale**degree * q for q in row] for row in margins]) >= _total(loss, [[0.0]]):
        scale *= 2
    return scale


def _total(loss: Loss, margins: Sequence[Sequence[float]]) -> float:
    terms = [math.fsum(math.exp(-q) for q in row) for row in margins]
    return math.fsum(terms if loss == "exponential" else map(math.log1p, terms))


def _start(
    draw: st.DrawFn,
    architecture: Architecture,
    palette: _Palette,
    columns: Sequence[int],
    dimension: int,
    max_width: int,
    x: Sequence[Row],
) -> tuple[Network, Start]:
    """The network and its start, drawn together: one row of draws a neuron."""
    activation, kind, depth = architecture.activation, architecture.kind, architecture.depth
    slope, classes = architecture.slope, architecture.outputs
    if kind == "diagonal":
        paths = draw(_paths(palette, architecture, dimension))
        kept = [paths[c] for c in columns]
        network = diagonal(activation, len(columns), depth, negative_slope=slope, outputs=classes)
        theta = [[path[layer] for _, path in kept] for layer in range(depth - 1)]
        theta.append([path[depth - 1 + k] for k in range(classes) for _, path in kept])
        chosen = [[style for style, _ in kept] for _ in range(depth - 1)]
    elif kind == "convolutional":
        size, stride, u, v = draw(_filters(palette, dimension, classes))
        wide = min(size, len(columns))
        network = convolutional(activation, len(columns), wide, stride, negative_slope=slope, outputs=classes)
        theta = [[*u[: network.sizes[0]]], [*v[: network.sizes[1]]]]
        chosen: list[list[Style]] = [["generic"] * network.widths[1]]
    elif kind == "circulant":
        _, _, u, v = draw(_filters(palette, dimension, classes))
        network = circulant(activation, len(columns), negative_slope=slope, outputs=classes)
        theta = [[*u[: network.sizes[0]]], [*v[: network.sizes[1]]]]
        chosen = [["generic"] * network.widths[1]]
    elif depth > 2:
        hidden = draw(_widths(depth - 1, max_width))
        network = fully_connected(activation, (len(columns), *hidden), negative_slope=slope, outputs=classes)
        fixed = [
            draw(_padded(palette, size)) if layer in architecture.fixed else ()
            for layer, size in enumerate(network.sizes, start=1)
        ]
        network = architecture.fixing(network, fixed)
        balanced = None if palette.exact else False
        return network, draw(initialisations(network, x, numbers=palette.numbers, balanced=balanced))
    else:
        neurons = _present(draw(_neurons(palette, architecture, dimension, max_width)), absent=(None, "generic"))
        seen = [[bool(patch[c]) for c in columns] for *_, patch in neurons]
        heard = [bool(patch[dimension]) for *_, patch in neurons]
        if not any(heard) or not any(map(any, seen)):
            # Such a network has no data term at all; the patches are then taken as full.
            seen, heard = [[True] * len(columns) for _ in neurons], [True] * len(neurons)
        network = sparse(activation, (seen, [heard] * classes), negative_slope=slope)
        theta = [
            [
                w[c]
                for (_, w, *_), row in zip(neurons, seen, strict=True)
                for c, s in zip(columns, row, strict=True)
                if s
            ],
            [v[k] for k in range(classes) for (_, _, *v, _), h in zip(neurons, heard, strict=True) if h],
        ]
        chosen = [[style for style, *_ in neurons]]
    for row in chosen:
        if row[0] != "tied":
            # A network of such neurons only is no use; which neuron is the first one that lives does not matter.
            row[0] = "generic"
    network = architecture.fixing(network, theta)
    theta = [u if fixed is None else list(fixed) for u, fixed in zip(theta, network.fixed, strict=True)]
    balanced = palette.exact and draw(st.booleans())
    return network, styled(network, theta, chosen, x, balanced=balanced)


# --- the draws; cached, since building and checking a strategy costs more than drawing from it ---


def _tuples(rows: Sequence[Sequence[Any]]) -> tuple[tuple[Any, ...], ...]:
    return tuple(map(tuple, rows))


def _kept(flags: Sequence[bool]) -> tuple[int, ...]:
    """The coordinates that are kept: the first where none is flagged."""
    return tuple(c for c, flag in enumerate(flags) if flag) or (0,)


@lru_cache
def _labellings(names: tuple[str, ...]) -> st.SearchStrategy[str]:
    return st.sampled_from(names)


@lru_cache
def _flags(dimension: int) -> st.SearchStrategy[tuple[bool, ...]]:
    # Two coordinates in three stay, which makes two and three dimensions likelier than one.
    return st.tuples(*[st.sampled_from((False, True, True))] * dimension)


@lru_cache
def _padded(palette: _Palette, dimension: int) -> st.SearchStrategy[tuple[Exact, ...]]:
    return st.tuples(*[palette.numbers] * dimension)


def _present(rows: Sequence[tuple[Any, ...]], absent: tuple[Any, Any]) -> list[tuple[Any, ...]]:
    """The rows that do not begin with the mark of an absent one; if there is none, the first, with another mark.

    Lists shrink by deleting elements, but the shrinker deletes few choices at once, fewer than a long row has. To
    become absent takes a row one choice.
    """
    mark, other = absent
    return [row for row in rows if row[0] != mark] or [(other, *rows[0][1:])]


@lru_cache
def _rows(palette: _Palette, dimension: int, most: int) -> st.SearchStrategy[list[tuple[int, tuple[Exact, ...]]]]:
    """Rows (label, x), 0 for an absent point. The label goes with its point; only free labels use it."""
    row = st.tuples(st.sampled_from((0, *[LABELS[0]] * 4, *[LABELS[1]] * 4)), _padded(palette, dimension))
    return st.lists(row, min_size=1, max_size=most)


@lru_cache
def _neurons(palette: _Palette, architecture: Architecture, dimension: int, most: int) -> st.SearchStrategy[list[Any]]:
    """Rows (style, w, a weight for every output, patch), style None for an absent neuron.

    patch says which coordinates are seen, and last whether the output hears the neuron.
    """
    if architecture.kind == "sparse":
        patch = st.tuples(*[st.sampled_from((1, 1, 0))] * dimension, st.sampled_from((1,) * 7 + (0,)))
    else:
        patch = st.just((1,) * (dimension + 1))
    style = st.sampled_from((None, *STYLES[architecture.activation] * 2))
    neuron = st.tuples(style, _padded(palette, dimension), *[palette.numbers] * architecture.outputs, patch)
    return st.lists(neuron, min_size=1, max_size=most)


@lru_cache
def _paths(palette: _Palette, architecture: Architecture, dimension: int) -> st.SearchStrategy[tuple[Any, ...]]:
    """For every coordinate its style and its weights from layer 1 to the last."""
    weights = _padded(palette, architecture.depth - 1 + architecture.outputs)
    return st.tuples(*[st.tuples(styles(architecture.activation), weights)] * dimension)


@lru_cache
def _filters(palette: _Palette, dimension: int, classes: int) -> st.SearchStrategy[tuple[Any, ...]]:
    """Filter size, stride, and as many weights of either layer as the largest such network has."""
    first, last = _padded(palette, dimension), _padded(palette, dimension * classes)
    return st.tuples(st.integers(1, dimension), st.integers(1, 2), first, last)


@lru_cache
def _widths(layers: int, most: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.tuples(*[st.integers(1, most)] * layers)
