"""The random laws of a survey: a cell fixes the network, the data, the labels and the start; an index, the instance.

Every instance has a stream of its own, Philox keyed by (seed, index), so it depends on nothing but these two and its
cell: not on the number of workers, the order, or how many instances there are.

Points, n rows in d dimensions:

- gaussian: standard normal coordinates;
- integer: coordinates uniform on -3 .. 3, no row zero;
- near-orthogonal: a random orthonormal frame, one vector a point, plus a normal perturbation of norm about 0.1;
- oblique: the same with a perturbation of norm about t, t uniform on [0, 1], on both sides of the bounds that claims
  have on how orthogonal points are;
- clustered: two standard normal centres; every point is one of them, by a fair coin, plus 0.2 times a normal vector;
- orthogonally separable: the moduli of normal coordinates, all of them turned by a fair coin a point;
- mirrored: half as many normal points, and their mirror images;
- hidden bias: normal first coordinates, and 1 for the second;
- basis: the standard basis.

Labels: of a "linear teacher" (the sign of x . u, u normal), of a "network teacher" (another network of the same
architecture with normal weights), the sign of the "start"'s own output, that of the "sum" of the coordinates, or
"random", by a fair coin. An output of 0 is +1. With several outputs a label is the class of the largest, or drawn
uniformly, and a linear teacher has a vector for each.

Starts: every parameter `scale` times a standard normal number ("gaussian"), or times an integer uniform on -2 .. 2
("integer"), in which zeros and ties are common. outgoing, if it is given, then fixes the outgoing norm of every hidden
neuron to this multiple of its incoming norm (1 is balanced); with shared weights, the norms of the layers. A layer that
is fixed stays as it is then; of the last one, with one output, only the signs are kept, 1 and -1.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args

import numpy as np

from harness.problem.evaluation import evaluate
from harness.problem.fields import FieldError
from harness.problem.instances import Instance, Loss
from harness.problem.networks import Activation, Network, circulant, convolutional, diagonal, fully_connected, sparse

Family = Literal["fully connected", "diagonal", "locally connected", "convolutional", "circulant", "scalar"]
Data = Literal[
    "gaussian",
    "integer",
    "near-orthogonal",
    "oblique",
    "clustered",
    "orthogonally separable",
    "mirrored",
    "hidden bias",
    "basis",
]
Labels = Literal["linear teacher", "network teacher", "start", "sum", "random"]
Start = Literal["gaussian", "integer"]

_CHOICES: dict[str, tuple[str, ...]] = {
    "family": get_args(Family),
    "activation": get_args(Activation),
    "data": get_args(Data),
    "labels": get_args(Labels),
    "start": get_args(Start),
    "loss": get_args(Loss),
}
# What a network has that is trained everywhere and has one output, and a slope of its own only where it is leaky.
USUAL = {"slope": None, "fixed": None, "outputs": 1}
_GIVEN_WIDTH = ("diagonal", "convolutional", "circulant", "scalar")
# One in a hundred is decided exactly whatever the floats say.
AUDIT = 100


@dataclass(frozen=True)
class Cell:
    """One point of a survey's grid. width: neurons a hidden layer, None where the family and d fix it.

    "locally connected" has a window of two coordinates a hidden neuron of the first layer; "convolutional" one filter
    of two coordinates, "circulant" one as wide as the input, moved around it, "scalar" one of a single number.
    slope: the negative one, of "leaky_relu" alone. fixed: a layer that is not trained, from 1 on.
    Raises FieldError.
    """

    family: Family = "fully connected"
    activation: Activation = "relu"
    depth: int = 2
    width: int | None = None
    n: int = 4
    d: int = 2
    data: Data = "gaussian"
    labels: Labels = "linear teacher"
    start: Start = "gaussian"
    scale: float = 1.0
    outgoing: float | None = None
    loss: Loss = "exponential"
    slope: float | None = None
    fixed: int | None = None
    outputs: int = 1

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise FieldError(f"cell.{name}", f"must be one of {', '.join(allowed)}")
        for name in ("depth", "n", "d", "outputs"):
            if type(getattr(self, name)) is not int or getattr(self, name) < 1:
                raise FieldError(f"cell.{name}", "must be a positive integer")
        given = self.family in _GIVEN_WIDTH or self.depth == 1
        if given != (self.width is None) or (not given and (type(self.width) is not int or self.width < 1)):
            raise FieldError("cell.width", "the family fixes it" if given else "must be a positive integer")
        for name in ("scale", "outgoing"):
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) and value > 0):
                raise FieldError(f"cell.{name}", "must be a positive number")
        if self.data in ("near-orthogonal", "oblique") and self.n > self.d:
            raise FieldError("cell.n", f"{self.data} points need n <= d")
        if self.data == "mirrored" and self.n % 2:
            raise FieldError("cell.n", "mirrored points are an even number")
        if self.data == "hidden bias" and self.d != 2:
            raise FieldError("cell.d", "points with a hidden bias have two coordinates")
        if self.data == "basis" and self.n != self.d:
            raise FieldError("cell.n", "the standard basis has n = d")
        if self.labels == "sum" and self.outputs > 1:
            raise FieldError("cell.labels", "the sum of the coordinates has a sign, and no class")
        if self.family in _GIVEN_WIDTH[1:] and (self.depth != 2 or self.d < 2):
            raise FieldError("cell.depth", f"{self.family} networks have depth 2 and d >= 2")
        if (self.slope is None) == (self.activation == "leaky_relu"):
            raise FieldError("cell.slope", "leaky_relu has one, and nothing else")
        if self.fixed is not None and not (self.depth > 1 and 1 <= self.fixed <= self.depth):
            raise FieldError("cell.fixed", "must be a layer, and not the only one")

    @property
    def network(self) -> Network:
        """The network; what is fixed is fixed at ones here, and in an instance at what its law says."""
        plain = _network(self.family, self.activation, self.depth, self.width or 0, self.d, self.slope, self.outputs)
        return plain if self.fixed is None else plain.fixing({self.fixed: [1] * plain.sizes[self.fixed - 1]})

    @property
    def kind(self) -> str:
        """The network up to its sizes, in words."""
        slope = "" if self.slope is None else f" (slope {self.slope:g})"
        fixed = "" if self.fixed is None else f", layer {self.fixed} fixed"
        classes = "" if self.outputs == 1 else f", {self.outputs} classes"
        return f"{self.family} {self.activation}{slope}, depth {self.depth}{fixed}{classes}"


def grid(**axes: Any) -> list[Cell]:
    """The cells of a product of axes; a list or a tuple is an axis, anything else the same everywhere."""
    values = [value if isinstance(value, list | tuple) else [value] for value in axes.values()]
    return [Cell(**dict(zip(axes, chosen, strict=True))) for chosen in itertools.product(*values)]


def stream(seed: int, index: int) -> np.random.Generator:
    """The random numbers of instance `index`."""
    return np.random.Generator(np.random.Philox(key=np.array([seed, index], dtype=np.uint64)))


def drawn(cell: Cell, seed: int, index: int) -> tuple[Instance, bool]:
    """Instance `index` of the cell, and whether it is audited."""
    rng = stream(seed, index)
    audited = int(rng.integers(AUDIT)) == 0
    return draw(cell, rng), audited


def draw(cell: Cell, rng: np.random.Generator) -> Instance:
    """One instance of the cell's law."""
    network = cell.network
    x = _DATA[cell.data](rng, cell.n, cell.d)
    theta0 = _started(cell, network, rng)
    if cell.labels == "linear teacher":
        outputs = x @ rng.standard_normal((cell.d, cell.outputs))
    elif cell.labels == "network teacher":
        outputs = evaluate(network, [rng.standard_normal(size) for size in network.sizes], x).outputs
    elif cell.labels == "sum":
        outputs = x.sum(axis=1, keepdims=True)
    elif cell.labels == "start":
        outputs = evaluate(network, theta0, x).outputs
    elif cell.outputs == 1:
        outputs = rng.integers(2, size=(cell.n, 1)) - 0.5
    else:
        outputs = np.eye(cell.outputs)[rng.integers(cell.outputs, size=cell.n)]
    found = outputs.argmax(axis=1) if cell.outputs > 1 else np.where(outputs[:, 0] >= 0.0, 1, -1)
    labels: list[int] = found.tolist()
    rows: Any = [u.tolist() for u in theta0]
    if cell.fixed is not None:
        network = network.fixing({cell.fixed: rows[cell.fixed - 1]})
    return Instance.of(network, cell.loss, x.tolist(), tuple(labels), rows)


@cache
def _network(
    family: Family, activation: Activation, depth: int, width: int, d: int, slope: float | None, outputs: int
) -> Network:
    if family == "diagonal":
        return diagonal(activation, d, depth, negative_slope=slope, outputs=outputs)
    if family == "convolutional":
        return convolutional(activation, d, 2, negative_slope=slope, outputs=outputs)
    if family == "circulant":
        return circulant(activation, d, negative_slope=slope, outputs=outputs)
    if family == "scalar":
        return convolutional(activation, d, 1, negative_slope=slope, outputs=outputs)
    hidden = [width] * (depth - 1)
    if family == "fully connected" or depth == 1:
        return fully_connected(activation, (d, *hidden), negative_slope=slope, outputs=outputs)
    window = [[c in (j % d, (j + 1) % d) for c in range(d)] for j in range(width)]
    masks = (window, *([[True] * width] * width for _ in hidden[1:]), [[True] * width] * outputs)
    return sparse(activation, masks, negative_slope=slope)


# --- points ---


def _gaussian(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    return rng.standard_normal((n, d))


def _integer(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    rows = np.zeros((n, d))
    while not (nonzero := rows.any(axis=1)).all():
        rows[~nonzero] = rng.integers(-3, 4, (int((~nonzero).sum()), d))
    return rows


def _near_orthogonal(rng: np.random.Generator, n: int, d: int, size: float = 0.1) -> np.ndarray:
    frame = np.linalg.qr(rng.standard_normal((d, d)))[0]
    return frame[:n] + size / np.sqrt(d) * rng.standard_normal((n, d))


def _oblique(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    return _near_orthogonal(rng, n, d, rng.uniform())


def _clustered(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    centres = rng.standard_normal((2, d))
    return centres[rng.integers(2, size=n)] + 0.2 * rng.standard_normal((n, d))


def _orthogonally_separable(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    return (2.0 * rng.integers(2, size=(n, 1)) - 1.0) * np.abs(rng.standard_normal((n, d)))


def _mirrored(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    half = rng.standard_normal((n // 2, d))
    return np.concatenate([half, -half])


def _hidden_bias(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    return np.column_stack([rng.standard_normal(n), np.ones(n)])


def _basis(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    return np.eye(d)


_DATA: dict[Data, Callable[[np.random.Generator, int, int], np.ndarray]] = {
    "gaussian": _gaussian,
    "integer": _integer,
    "near-orthogonal": _near_orthogonal,
    "oblique": _oblique,
    "clustered": _clustered,
    "orthogonally separable": _orthogonally_separable,
    "mirrored": _mirrored,
    "hidden bias": _hidden_bias,
    "basis": _basis,
}


# --- starts ---


def _started(cell: Cell, network: Network, rng: np.random.Generator) -> list[np.ndarray]:
    integer = cell.start == "integer"
    numbers = [rng.integers(-2, 3, s).astype(float) if integer else rng.standard_normal(s) for s in network.sizes]
    theta = [cell.scale * u for u in numbers]
    if cell.outgoing is not None:
        _scale_outgoing(network, theta, cell.outgoing)
    if cell.fixed == cell.depth and cell.outputs == 1:
        theta[-1] = np.where(theta[-1] < 0.0, -1.0, 1.0)
    return theta


def _scale_outgoing(network: Network, theta: list[np.ndarray], ratio: float) -> None:
    """Fix the outgoing norms, from the first layer up; a norm of zero stays."""
    for layer, (below, above) in enumerate(itertools.pairwise(network.patterns)):
        if network.shared:
            groups: Iterable[tuple[Any, Any]] = [(slice(None), slice(None))]
        else:
            groups = [([k for k in row if k >= 0], [r[j] for r in above if r[j] >= 0]) for j, row in enumerate(below)]
        for incoming, outgoing in groups:
            # hypot of one number, and its quotient by that, are exact: a balanced diagonal start is so to the bit
            size = math.hypot(*theta[layer + 1][outgoing])
            if size > 0.0:
                unit = theta[layer + 1][outgoing] / size
                theta[layer + 1][outgoing] = unit * (ratio * math.hypot(*theta[layer][incoming]))
