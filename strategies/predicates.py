"""Data that meet a predicate of harness.problem.predicates, built and not filtered for.

Every builder draws a few small integers and makes of them points of the kind, and a start from which most flows
separate them: beside the neurons that are drawn there is one for every class, which is on at the points of its class.
Where a predicate is strict the draws at its very edge are the commonest, and `inside=False` gives those just beyond.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any, cast

from hypothesis import strategies as st

from harness.problem.instances import Instance
from harness.problem.networks import Network, diagonal, fully_connected
from harness.problem.predicates import open_cells
from harness.problem.problems import Problem
from strategies.architectures import Architecture
from strategies.datasets import Row, dot, linearly_separable_datasets, nonzero_row, outputs
from strategies.initialisations import STYLES, Start, Style, initialisations, styled
from strategies.instances import LOSSES, separating_scale
from strategies.numbers import Exact, exact_numbers, integers

Architectures = st.SearchStrategy[Architecture]
Data = tuple[list[Row], list[int]]

# What is added to the diagonal of near-orthogonal points beyond the least that will do.
_SLACK = (0, 0, 0, 1, 2, 5)
_SMALL = integers(2)
_LABELS = st.sampled_from((1, -1))
# A diagonal beyond which no points of the kind are looked for.
_MOST = 1 << 24


# --- data ---


@st.composite
def near_orthogonal_points(
    draw: st.DrawFn,
    meets: Callable[[list[Row], list[int]], bool],
    max_size: int = 3,
    *,
    inside: bool = True,
    classes: bool = False,
) -> Data:
    """Two points or more, c e_i plus a row of small integers each; the first two are not orthogonal as a rule.

    meets: the predicate, true for large c.  c is the least that meets it, or a little more; with inside=False the
    largest that does not.  classes: whether both are there.  Rows may be stretched.  Shrinks to two points, (c, 1) and
    (0, c).
    """
    drawn = draw(st.lists(st.tuples(_LABELS, st.tuples(*[_SMALL] * max_size)), min_size=2, max_size=max_size))
    stretched = draw(st.tuples(*[st.sampled_from((1, 1, 1, 2))] * max_size))
    slack = draw(st.sampled_from(_SLACK))
    rows, y = [list(row[: len(drawn)]) for _, row in drawn], [label for label, _ in drawn]
    if classes and len(set(y)) == 1:
        y[-1] = -y[0]
    for i, row in enumerate(rows):
        row[i] = 0
    if not rows[0][1] + rows[1][0]:
        # else the first two would be orthogonal, or nearly
        rows[0][1] += 1

    def at(c: int) -> list[Row]:
        return [
            tuple(s * (a + (c if i == k else 0)) for k, a in enumerate(row))
            for i, (row, s) in enumerate(zip(rows, stretched, strict=False))
        ]

    c = _least(lambda size: meets(at(size), y))
    if not inside:
        return at(max(c - 1, 1)), y
    # Some rows are orthogonal for one c, and meet it there alone.
    return at(c + slack if meets(at(c + slack), y) else c), y


def _least(meets: Callable[[int], bool]) -> int:
    """A number that meets it, next to one that does not."""
    high = 1
    while not meets(high) and high < _MOST:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if meets(middle) else (middle, high)
    return high


@st.composite
def orthogonally_separable_points(draw: st.DrawFn, dimension: int, max_size: int = 4, *, weak: bool = False) -> Data:
    """Points of +1 in an orthant and of -1 in the opposite one, turned by a rational rotation in some draws.

    Those of a class share a positive coordinate, unless weak; classes may have coordinates of their own, and their
    products are zero then.  Shrinks to one point (1, 0, ..., 0) of +1.
    """
    sizes = st.tuples(*[st.integers(0, 3)] * dimension)
    drawn = draw(st.lists(st.tuples(_LABELS, sizes), min_size=1, max_size=max_size))
    apart, turned = draw(st.booleans()), draw(st.sampled_from((False, False, True)))
    x: list[Row] = []
    for label, size in drawn:
        row = list(size)
        anchor = 0 if label > 0 or not apart else dimension - 1
        if apart:
            # each class has the other's anchor at zero
            row[dimension - 1 if anchor == 0 and dimension > 1 else 0] = 0
        if not weak or not any(row):
            row[anchor] = max(row[anchor], 1)
        x.append(tuple(label * a for a in row))
    if turned and dimension > 1:
        x = [(3 * a - 4 * b, 4 * a + 3 * b, *(5 * c for c in rest)) for a, b, *rest in x]
    return x, [label for label, _ in drawn]


@st.composite
def mirrored_points(draw: st.DrawFn, dimension: int, max_size: int = 2, *, inside: bool = True) -> Data:
    """Points that a vector separates, and their mirror images with turned labels.

    inside=False leaves out the last.  Shrinks to (1, 0) and (-1, 0).
    """
    x, y = draw(linearly_separable_datasets(dimension, max_size=max_size, numbers=integers(3)))
    count = len(x) if inside else len(x) - 1
    return [*x, *(tuple(-a for a in row) for row in x[:count])], [*y, *(-label for label in y[:count])]


# --- starts ---


@st.composite
def instances_on(
    draw: st.DrawFn,
    data: Callable[[Architecture], st.SearchStrategy[Data]],
    networks: Architectures,
    max_width: int = 3,
) -> Instance:
    """An instance on drawn data: fully connected, of depth 2 or deeper, with one output.

    data: a strategy of points and labels for the architecture that was drawn.  Of every class one neuron is on at its
    points, unless its points cancel; up to max_width others are as drawn.  Shrinks to those alone, exponential loss.
    """
    architecture = draw(networks)
    x, y = draw(data(architecture))
    return draw(starts_on(architecture, x, y, max_width))


@st.composite
def starts_on(draw: st.DrawFn, architecture: Architecture, x: list[Row], y: list[int], max_width: int = 3) -> Instance:
    """An instance of the architecture on these data, as of instances_on."""
    dimension, loss = len(x[0]), draw(st.sampled_from(LOSSES))
    style = st.sampled_from(STYLES[architecture.activation])
    others = draw(st.lists(st.tuples(style, st.tuples(*[_SMALL] * dimension), _SMALL), max_size=max_width))
    tilt = draw(st.tuples(*[integers(1)] * dimension))
    helpers: list[tuple[Style, Row, int]] = []
    for label in (1, -1) if architecture.signed else sorted(set(y), reverse=True):
        own = [
            tuple(label * its * a for a in row) for row, its in zip(x, y, strict=True) if its == label or label not in y
        ]
        # even a linear neuron of a class does well with this one
        w = nonzero_row([2 * a + b for a, b in zip(map(sum, zip(*own, strict=True)), tilt, strict=True)])
        helpers.append(("generic", w, label))
    rows = [*helpers, *others]
    if architecture.depth > 2:
        network, theta = _deep(architecture, rows)
    else:
        network = fully_connected(architecture.activation, (dimension, len(rows)), negative_slope=architecture.slope)
        theta: Start = [[a for _, w, _ in rows for a in w], [v for *_, v in rows]]
    network = architecture.fixing(network, theta)
    theta = [u if fixed is None else list(fixed) for u, fixed in zip(theta, network.fixed, strict=True)]
    if architecture.depth == 2:
        theta = styled(network, theta, [[style for style, *_ in rows]], x)
    return Instance.of(network, loss, x, tuple(y), _rows(theta))


def _deep(architecture: Architecture, rows: Sequence[tuple[Style, Row, int]]) -> tuple[Network, Start]:
    """Every neuron of the first layer has a path of its own upwards."""
    width, dimension = len(rows), len(rows[0][1])
    network = fully_connected(
        architecture.activation, (dimension, *[width] * (architecture.depth - 1)), negative_slope=architecture.slope
    )
    identity: list[Exact] = [int(r == c) for r in range(width) for c in range(width)]
    theta: Start = [[a for _, w, _ in rows for a in w], *[list(identity) for _ in range(architecture.depth - 2)]]
    return network, [*theta, [v for *_, v in rows]]


def near_orthogonal_instances(
    meets: Callable[[Problem], bool],
    networks: Architectures,
    max_points: int = 3,
    *,
    inside: bool = True,
    classes: bool = False,
) -> st.SearchStrategy[Instance]:
    """On near-orthogonal points that meet a predicate, or with inside=False just miss it; classes: on both of these."""

    def data(architecture: Architecture) -> st.SearchStrategy[Data]:
        def of(x: list[Row], y: list[int]) -> bool:
            return meets(Problem(_example(architecture, len(x[0])), cast("Any", tuple(x)), tuple(y)))

        return near_orthogonal_points(of, max_points, inside=inside, classes=classes)

    return instances_on(data, networks)


def _example(architecture: Architecture, dimension: int) -> Network:
    """A network of the architecture, of two neurons a layer."""
    network = fully_connected(
        architecture.activation, (dimension, *[2] * (architecture.depth - 1)), negative_slope=architecture.slope
    )
    return architecture.fixing(network, [[1] * (size - 1) + [-1] for size in network.sizes])


def orthogonally_separable_instances(networks: Architectures, *, weak: bool = False) -> st.SearchStrategy[Instance]:
    """On points with products of one sign within, and of the other between the classes."""
    data = st.integers(1, 3).flatmap(lambda d: orthogonally_separable_points(d, weak=weak))
    return instances_on(lambda _: data, networks)


def mirrored_instances(networks: Architectures, *, inside: bool = True) -> st.SearchStrategy[Instance]:
    """On data that are their own mirror image with turned labels, or but for one point, and separable."""
    data = st.integers(1, 3).flatmap(lambda dimension: mirrored_points(dimension, inside=inside))
    return instances_on(lambda _: data, networks)


@st.composite
def univariate_instances(draw: st.DrawFn, max_points: int = 5) -> Instance:
    """Relu, depth 2, three points (t, 1) or more, labels of the start's own output.

    Neurons come in twos, that face one way and switch in one gap between the points or outside them, at two places.
    Shrinks to t = 1, 2, 3 and one pair that is on everywhere.
    """
    steps = draw(st.lists(st.sampled_from((1, 1, 2, 3)), min_size=2, max_size=max_points - 1))
    t = [draw(st.sampled_from((1, 2, -1, -3, Fraction(-1, 3))))]
    for step in steps:
        t.append(t[-1] + step)
    middles = [Fraction(t[0] - 1), *(Fraction(a + b) / 2 for a, b in pairwise(t)), Fraction(t[-1] + 1)]
    gap = st.integers(0, len(t))
    pair = st.tuples(gap, st.sampled_from((1, -1)), st.sampled_from((1, -1)), st.sampled_from((1, 2, 3)))
    theta: Start = [[], []]
    for place, facing, v, size in draw(st.lists(pair, min_size=1, max_size=3)):
        for shift, length in ((Fraction(1, 4), 1), (Fraction(-1, 3), size)):
            theta[0] += [facing * length, -facing * length * (middles[place] + shift)]
            theta[1].append(v * length)
    network = fully_connected("relu", (2, len(theta[1])))
    x: list[Row] = [(a, 1) for a in t]
    told = [out[0] for out in outputs(network, theta, x)]
    scale = separating_scale("exponential", [[abs(float(a)) or 1.0] for a in told], 2)
    y = tuple(-1 if a < 0 else 1 for a in told)
    return Instance.of(network, draw(st.sampled_from(LOSSES)), x, y, _rows([[scale * a for a in u] for u in theta]))


@st.composite
def diagonal_instances(draw: st.DrawFn, *, balanced: bool) -> Instance:
    """Linear and diagonal, depth 2, labels of a vector, and a start that is balanced in every coordinate or in none.

    Balanced: half of the vectors are those of the start's own orthant.  Shrinks to x = (1), y = 1, u = v = (1), or
    u = (1), v = (0).
    """
    dimension = draw(st.integers(1, 3))
    x, y = draw(linearly_separable_datasets(dimension, max_size=3, numbers=integers(3)))
    nonzero = st.sampled_from((1, -1, 2, -2, 3, -3))
    u = [draw(nonzero) for _ in range(dimension)]
    if balanced:
        v = [draw(_LABELS) * abs(a) for a in u]
        if draw(st.booleans()):
            inner = draw(st.tuples(*[st.integers(1, 3)] * dimension))
            teacher = [a * (1 if b * c > 0 else -1) for a, b, c in zip(inner, u, v, strict=True)]
            y = [1 if dot(row, teacher) >= 0 else -1 for row in x]
    else:
        v = [draw(st.sampled_from([b for b in (0, 1, -1, 2, -2, 3) if abs(b) != abs(a)])) for a in u]
        u, v = (v, u) if draw(st.booleans()) else (u, v)
    scale = draw(st.sampled_from((Fraction(1), Fraction(1), Fraction(1, 4))))
    theta = [[scale * a for a in u], [scale * a for a in v]]
    return Instance.of(diagonal("linear", dimension, 2), draw(st.sampled_from(LOSSES)), x, tuple(y), _rows(theta))


@st.composite
def basis_instances(draw: st.DrawFn) -> Instance:
    """Linear, depth 2, on the standard basis with drawn classes, stretched in one draw of four.

    Shrinks to one point a class, two classes.
    """
    classes = draw(st.integers(2, 3))
    y = [*range(classes), *draw(st.lists(st.integers(0, classes - 1), max_size=2))]
    network = fully_connected("linear", (len(y), draw(st.integers(1, classes))), outputs=classes)
    length = draw(st.sampled_from((1, 1, 1, 2)))
    x: list[Row] = [tuple(length * int(i == c) for c in range(len(y))) for i in range(len(y))]
    theta = draw(initialisations(network, x, numbers=exact_numbers(2), balanced=False))
    return Instance.of(network, draw(st.sampled_from(LOSSES)), x, tuple(y), _rows(theta))


def covering(x: Sequence[Row], y: Sequence[int], smaller: int) -> Instance:
    """Relu, depth 2, in the plane: small and balanced, with a neuron in every open cell for either sign of v.

    Every neuron has a direction of rational norm next to the middle of its cell.  smaller: by which factor it is than
    it has to be, or more.
    """
    problem = Problem(fully_connected("relu", (2, 1)), cast("Any", tuple(x)), tuple(y))
    rows: list[tuple[list[Exact], int]] = []
    for cell in open_cells(problem):
        w = _inside(problem, cell)
        rows += [(w, sign) for sign in (1, -1)]
    width = len(rows)
    # norm(theta)^2 R_max = 2 R_max width scale^2
    largest = max(dot(row, row) for row in x)
    scale = Fraction(1, 40 * (math.isqrt(int(largest)) + 1) * (math.isqrt(2 * width) + 1)) / smaller
    theta: Start = [
        [scale * a for w, _ in rows for a in w],
        [scale * sign for _, sign in rows],
    ]
    network = fully_connected("relu", (2, width))
    return Instance.of(network, "exponential", x, tuple(y), _rows(theta))


def _inside(problem: Problem, cell: tuple[int, ...]) -> list[Exact]:
    """A vector of norm 1 with rational coordinates in the open cell, near its middle."""
    angles = [math.atan2(float(b), float(a)) + turn for a, b in problem.x for turn in (math.pi / 2, -math.pi / 2)]
    edges = sorted({round(angle % (2 * math.pi), 9) for angle in angles})
    for low, high in zip(edges, [*edges[1:], edges[0] + 2 * math.pi], strict=True):
        middle = (low + high) / 2
        # of an angle in the right half plane, where half of it has a tangent of at most 1
        turn = 1 if math.cos(middle) >= 0 else -1
        half = Fraction(math.tan(math.atan2(turn * math.sin(middle), abs(math.cos(middle))) / 2)).limit_denominator(64)
        one = 1 + half * half
        w: list[Exact] = [turn * (1 - half * half) / one, turn * 2 * half / one]
        if all(s * dot(w, x) > 0 for s, x in zip(cell, problem.x, strict=True)):
            return w
    raise ValueError("a cell too thin for a vector of few digits")


def _rows(theta: Sequence[Sequence[Exact]]) -> tuple[tuple[Fraction, ...], ...]:
    return tuple(tuple(map(Fraction, u)) for u in theta)
