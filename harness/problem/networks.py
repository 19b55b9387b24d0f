"""Homogeneous networks, described by integer patterns.

h^0 = x, h^l = sigma(W^l h^(l-1)) for l < m, Phi(theta; x) = W^m h^(m-1), one output or K >= 2 of them.  sigma has two
slopes: 1 for a positive pre-activation and `slope` for a negative one, so 1 is the identity ("linear"), 0 is "relu",
-1 the absolute value, and any other rational "leaky_relu".  The entries of W^l come from a parameter vector u^l:
pattern[r][c] = k means W^l[r, c] = u^l[k], and -1 a structural zero.  One representation covers fully connected,
diagonal, sparse and convolutional networks.

A layer may be fixed: its numbers belong to the network then, and theta, the norm, (P) and the flow are over the layers
that are trained.  Where theta is written layer by layer the fixed ones stand in it all the same; the flat vector of all
parameters leaves them out.

The forward pass here is for one point in plain Python, on any number type (Fraction, float): the checker's.
All points at once, with gradients: evaluation.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any, Literal, TypeVar

import numpy as np

from harness.problem.fields import FieldError
from harness.problem.numbers import exact
from harness.problem.places import layer_name

Activation = Literal["linear", "relu", "leaky_relu"]
Pattern = tuple[tuple[int, ...], ...]
Number = TypeVar("Number")
Layer = TypeVar("Layer")

_SLOPES: dict[str, Fraction] = {"linear": Fraction(1), "relu": Fraction(0)}


@dataclass(frozen=True)
class Network:
    """A pattern network of depth m = len(patterns).

    patterns: one matrix of integers a layer, shape (width_l, width_(l-1)); the last has one row an output.
    negative_slope: what is multiplied to a negative pre-activation, of "leaky_relu" alone; taken as exact.  With 0 the
    network is the "relu" one, with 1 the "linear" one, and says so.
    fixed: for every layer its exact numbers if it is not trained, else None; () where all are.
    Raises FieldError when the shapes do not chain, a parameter index is skipped or no layer is trained.
    """

    activation: Activation
    patterns: tuple[Pattern, ...]
    negative_slope: Fraction | None = None
    fixed: tuple[tuple[Fraction, ...] | None, ...] = ()

    def __post_init__(self) -> None:
        self._read_activation()
        if not self.patterns:
            raise FieldError("network.patterns", "no layers")
        inputs: int | None = None
        for depth, pattern in enumerate(self.patterns):
            field = f"network.patterns[{depth}]"
            if not pattern or not pattern[0]:
                raise FieldError(field, "an empty matrix")
            for r, row in enumerate(pattern):
                if len(row) != len(pattern[0]):
                    raise FieldError(f"{field}[{r}]", "rows differ in length")
            if inputs is not None and len(pattern[0]) != inputs:
                raise FieldError(field, f"{len(pattern[0])} columns, but the layer below has {inputs} rows")
            inputs = len(pattern)
            used = {k for row in pattern for k in row}
            if min(used) < -1:
                raise FieldError(field, f"parameter index {min(used)} is less than -1")
            for k in range(max(used) + 1):
                if k not in used:
                    raise FieldError(field, f"parameter index {k} is skipped")
        self._read_fixed()

    def _read_activation(self) -> None:
        if self.activation not in ("linear", "relu", "leaky_relu"):
            raise FieldError("network.activation", 'must be "linear", "relu" or "leaky_relu"')
        if self.activation != "leaky_relu":
            if self.negative_slope is not None:
                raise FieldError("network.negative_slope", f'only of "leaky_relu", not of "{self.activation}"')
            return
        if self.negative_slope is None:
            raise FieldError("network.negative_slope", 'missing, and "leaky_relu" needs it')
        slope = exact(self.negative_slope, "network.negative_slope")
        name = next((name for name, own in _SLOPES.items() if own == slope), "leaky_relu")
        # A frozen dataclass is filled this way.
        object.__setattr__(self, "activation", name)
        object.__setattr__(self, "negative_slope", slope if name == "leaky_relu" else None)

    def _read_fixed(self) -> None:
        if len(self.fixed) > self.depth:
            raise FieldError("network.fixed", f"there is no layer {len(self.fixed)}")
        layers: list[tuple[Fraction, ...] | None] = []
        for depth, row in enumerate((*self.fixed, *(None,) * (self.depth - len(self.fixed)))):
            field = f"network.fixed, {layer_name(depth)}"
            if row is not None and len(row) != self.sizes[depth]:
                raise FieldError(field, f"{len(row)} numbers for {self.sizes[depth]} parameters")
            layers.append(None if row is None else tuple(exact(a, field) for a in row))
        if all(row is not None for row in layers):
            raise FieldError("network.fixed", "every layer is fixed, and one has to be trained")
        object.__setattr__(self, "fixed", tuple(layers))

    def fixing(self, layers: Mapping[int, Sequence[Fraction | float | int]]) -> Network:
        """The same with these layers, counted from 1, fixed at these numbers, and no others.  Raises FieldError."""
        for layer in layers:
            if not 1 <= layer <= self.depth:
                raise FieldError("network.fixed", f"there is no layer {layer}")
        rows: Any = tuple(tuple(layers[k]) if k in layers else None for k in range(1, self.depth + 1))
        return replace(self, fixed=rows)

    @property
    def depth(self) -> int:
        """m, the number of layers."""
        return len(self.patterns)

    @cached_property
    def trained(self) -> tuple[bool, ...]:
        """For every layer whether it is."""
        return tuple(row is None for row in self.fixed)

    @cached_property
    def degree(self) -> int:
        """The degree of homogeneity: the number of trained layers."""
        return sum(self.trained)

    @cached_property
    def slope(self) -> Fraction:
        """Of the activation at negative pre-activations."""
        return _SLOPES[self.activation] if self.negative_slope is None else self.negative_slope

    @property
    def kinked(self) -> bool:
        """Whether there are hidden neurons, and a kink in each."""
        return self.depth > 1 and self.activation != "linear"

    @property
    def outputs(self) -> int:
        """K."""
        return len(self.patterns[-1])

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """(d, k_1, ..., k_(m-1), K)."""
        return (len(self.patterns[0][0]), *(len(p) for p in self.patterns))

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """The number of parameters of each layer."""
        return tuple(max(k for row in p for k in row) + 1 for p in self.patterns)

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """Where each layer begins in the flat vector of all parameters; last, the length of that vector.

        A fixed layer takes no place in it.
        """
        return (0, *accumulate(size if own else 0 for size, own in zip(self.sizes, self.trained, strict=True)))

    @property
    def size(self) -> int:
        """N, the number of parameters that are trained."""
        return self.offsets[-1]

    @cached_property
    def fixed_float(self) -> tuple[np.ndarray | None, ...]:
        """The fixed layers as float64, read-only; None for the trained ones."""
        layers = [None if row is None else np.array([float(a) for a in row]) for row in self.fixed]
        for row in layers:
            if row is not None:
                row.setflags(write=False)
        return tuple(layers)

    def split(self, flat: np.ndarray) -> list[np.ndarray]:
        """A flat vector (..., N) as one vector (..., size) a layer, views of it; the fixed layers stand between."""
        layers = [flat[..., begin:end] for begin, end in pairwise(self.offsets)]
        if self.degree == self.depth:
            return layers
        return [
            own if fixed is None else np.broadcast_to(fixed, (*flat.shape[:-1], len(fixed)))
            for own, fixed in zip(layers, self.fixed_float, strict=True)
        ]

    def flat(self, theta: Sequence[np.ndarray]) -> np.ndarray:
        """The trained layers (..., size) as one vector (..., N)."""
        return np.concatenate(self.of_trained(theta), axis=-1)

    def of_trained(self, layers: Sequence[Layer]) -> list[Layer]:
        """What belongs to the trained layers, of something that is there for every layer."""
        return [own for own, trained in zip(layers, self.trained, strict=True) if trained]

    def value(self, theta: Sequence[np.ndarray]) -> float:
        """1/2 ||theta||^2 over the trained layers."""
        return 0.5 * sum(float(u @ u) for u in self.of_trained(theta))

    def scaled(self, theta: Sequence[np.ndarray], factor: float) -> list[np.ndarray]:
        """Every trained layer times the factor."""
        return [u * factor if own else u for u, own in zip(theta, self.trained, strict=True)]

    def incoming(self, layer: int, neuron: int) -> list[int]:
        """The parameters of the layer that are weights into a hidden neuron; both count from 0."""
        return [k for k in self.patterns[layer][neuron] if k >= 0]

    def outgoing(self, layer: int, neuron: int) -> list[int]:
        """The parameters of the next layer that are weights out of it."""
        return [row[neuron] for row in self.patterns[layer + 1] if row[neuron] >= 0]

    def into(self, layer: int, neuron: int) -> list[int]:
        """The weights into a hidden neuron, as places in the flat vector; none of a fixed layer.

        Layer and neuron count from 0.
        """
        if not self.trained[layer]:
            return []
        return [self.offsets[layer] + k for k in self.incoming(layer, neuron)]

    def out_of(self, layer: int, neuron: int) -> list[int]:
        """The weights out of it, likewise."""
        if not self.trained[layer + 1]:
            return []
        return [self.offsets[layer + 1] + k for k in self.outgoing(layer, neuron)]

    @cached_property
    def tables(self) -> tuple[np.ndarray, ...]:
        """The patterns as integer arrays, read-only."""
        tables = tuple(np.array(pattern) for pattern in self.patterns)
        for table in tables:
            table.setflags(write=False)
        return tables

    def matrices(self, theta: Sequence[Sequence[Any] | np.ndarray]) -> list[np.ndarray]:
        """W^l from u^l for every layer: (..., width_l, width_(l-1)) from (..., size_l), in the number type of u^l."""
        matrices: list[np.ndarray] = []
        for table, u in zip(self.tables, map(np.asarray, theta), strict=True):
            # Index -1 takes the appended zero.
            padded = np.concatenate([u, np.zeros((*u.shape[:-1], 1), u.dtype)], axis=-1)
            matrices.append(padded[..., table])
        return matrices

    @cached_property
    def places(self) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
        """For every layer the entries of its matrix, row by row, in the order of their parameters; where each begins.

        Structural zeros are left out.
        """
        found = []
        for table in self.tables:
            entries = table.ravel()
            order = np.argsort(entries, kind="stable")[np.count_nonzero(entries < 0) :]
            found.append((order, np.flatnonzero(np.diff(entries[order], prepend=-1))))
        return tuple(found)

    @cached_property
    def reaching(self) -> list[tuple[int, int]]:
        """The outputs, each with the coordinates of x from which a path of weights leads to it."""
        live = {(k, k) for k in range(self.outputs)}
        for pattern in reversed(self.patterns):
            live = {(output, c) for output, r in live for c, k in enumerate(pattern[r]) if k >= 0}
        return sorted(live)

    @cached_property
    def seen(self) -> list[int]:
        """The coordinates of x from which a path of weights leads to some output."""
        return sorted({c for _, c in self.reaching})

    @cached_property
    def repeated(self) -> tuple[bool, ...]:
        """For every layer whether some parameter occurs twice or more in it."""
        used = ([k for row in pattern for k in row if k >= 0] for pattern in self.patterns)
        return tuple(len(set(own)) < len(own) for own in used)

    @cached_property
    def lone(self) -> tuple[frozenset[int], ...]:
        """For every layer the parameters that occur once in it."""
        counts = (Counter(k for row in pattern for k in row if k >= 0) for pattern in self.patterns)
        return tuple(frozenset(k for k, times in count.items() if times == 1) for count in counts)

    @cached_property
    def shared(self) -> bool:
        """Whether some parameter that is trained occurs twice or more in its layer."""
        return any(own and twice for own, twice in zip(self.trained, self.repeated, strict=True))

    @cached_property
    def fully_connected(self) -> bool:
        """Whether every entry of every layer is a parameter of its own."""
        every = ([k for row in p for k in row] for p in self.patterns)
        return all(min(used) >= 0 and len(used) == len(set(used)) for used in every)


Fixed = Mapping[int, Sequence[Fraction | float | int]]
"""Layers, counted from 1, that are not trained, and their numbers."""


def fully_connected(
    activation: Activation,
    widths: Sequence[int],
    *,
    negative_slope: Fraction | float | None = None,
    fixed: Fixed | None = None,
    outputs: int = 1,
) -> Network:
    """Every entry its own parameter. widths = (d, k_1, ..., k_(m-1)); the output layer is added."""
    patterns = tuple(_dense(rows, cols) for cols, rows in pairwise([*widths, outputs]))
    return _network(activation, patterns, negative_slope, fixed)


def diagonal(
    activation: Activation,
    dimension: int,
    depth: int,
    *,
    negative_slope: Fraction | float | None = None,
    fixed: Fixed | None = None,
    outputs: int = 1,
) -> Network:
    """Layers 1..m-1 square and diagonal, the last one a row an output."""
    square = tuple(tuple(r if r == c else -1 for c in range(dimension)) for r in range(dimension))
    return _network(activation, (square,) * (depth - 1) + (_dense(outputs, dimension),), negative_slope, fixed)


def sparse(
    activation: Activation,
    masks: Sequence[Sequence[Sequence[int | bool]]],
    *,
    negative_slope: Fraction | float | None = None,
    fixed: Fixed | None = None,
) -> Network:
    """No shared weights: a parameter of its own wherever the mask is true, a structural zero elsewhere.

    The last mask has a row an output.
    """
    patterns: list[Pattern] = []
    for mask in masks:
        count = 0
        rows: list[tuple[int, ...]] = []
        for row in mask:
            indices: list[int] = []
            for present in row:
                indices.append(count if present else -1)
                count += bool(present)
            rows.append(tuple(indices))
        patterns.append(tuple(rows))
    return _network(activation, tuple(patterns), negative_slope, fixed)


def convolutional(
    activation: Activation,
    dimension: int,
    filter_size: int,
    stride: int = 1,
    padding: int = 0,
    *,
    negative_slope: Fraction | float | None = None,
    fixed: Fixed | None = None,
    outputs: int = 1,
) -> Network:
    """Depth 2, one filter: hidden neuron j sees coordinates j*stride - padding .. and filter_size - 1 further.

    padding: so many zeros are thought on either side of the input.
    """
    if not 1 <= filter_size <= dimension or stride < 1:
        raise FieldError("filter_size", f"needs 1 <= filter_size <= {dimension} and stride >= 1")
    if not 0 <= padding < filter_size:
        raise FieldError("padding", f"needs 0 <= padding < {filter_size}")
    starts = range(-padding, dimension + padding - filter_size + 1, stride)
    hidden = tuple(tuple(c - s if 0 <= c - s < filter_size else -1 for c in range(dimension)) for s in starts)
    return _network(activation, (hidden, _dense(outputs, len(starts))), negative_slope, fixed)


def circulant(
    activation: Activation,
    dimension: int,
    *,
    negative_slope: Fraction | float | None = None,
    fixed: Fixed | None = None,
    outputs: int = 1,
) -> Network:
    """Depth 2, the full-width convolution: W^1[r, c] = u[(c - r) mod d], r, c = 0 .. d - 1."""
    hidden = tuple(tuple((c - r) % dimension for c in range(dimension)) for r in range(dimension))
    return _network(activation, (hidden, _dense(outputs, dimension)), negative_slope, fixed)


def _dense(rows: int, cols: int) -> Pattern:
    return tuple(tuple(r * cols + c for c in range(cols)) for r in range(rows))


def _network(
    activation: Activation,
    patterns: tuple[Pattern, ...],
    negative_slope: Fraction | float | None,
    fixed: Fixed | None,
) -> Network:
    slope: Any = negative_slope
    network = Network(activation, patterns, slope)
    return network.fixing(fixed) if fixed else network


def preactivations(network: Network, theta: Sequence[Sequence[Number]], x: Sequence[Number]) -> list[list[Number]]:
    """W^l h^(l-1) for l = 1..m, in the number type of theta and x; the last entry is Phi(theta; x), K numbers."""
    h: list[Any] = list(x)
    out: list[list[Any]] = []
    slope: Any = network.slope if all(isinstance(a, int | Fraction) for a in h) else float(network.slope)
    slope = int(slope) if slope == int(slope) else slope
    for depth, (pattern, u) in enumerate(zip(network.patterns, theta, strict=True)):
        if depth and network.kinked:
            h = [a if a > 0 else a * slope for a in h]
        h = [sum((u[k] * a for k, a in zip(row, h, strict=True) if k >= 0), start=h[0] * 0) for row in pattern]
        out.append(h)
    return out


def forward(network: Network, theta: Sequence[Sequence[Number]], x: Sequence[Number]) -> Number:
    """Phi(theta; x) of a network of one output."""
    return preactivations(network, theta, x)[-1][0]
