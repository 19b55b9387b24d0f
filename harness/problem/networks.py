"""Homogeneous networks without biases, described by integer patterns.

h^0 = x, h^l = sigma(W^l h^(l-1)) for l < m, Phi(theta; x) = W^m h^(m-1), a scalar; sigma is the
identity ("linear") or max(0, .) ("relu").  The entries of W^l come from a parameter vector u^l:
pattern[r][c] = k means W^l[r, c] = u^l[k], and -1 a structural zero.  One representation covers
fully connected, diagonal, sparse and convolutional networks.

The forward pass here is for one point in plain Python, on any number type (Fraction, float): the checker's.
All points at once, with gradients: evaluation.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any, Literal, TypeVar

import numpy as np

from harness.problem.fields import FieldError

Activation = Literal["linear", "relu"]
Pattern = tuple[tuple[int, ...], ...]
Number = TypeVar("Number")


@dataclass(frozen=True)
class Network:
    """A pattern network of depth m = len(patterns).

    patterns: one matrix of integers a layer, shape (width_l, width_(l-1)); the last has one row.
    Raises FieldError when the shapes do not chain or a parameter index is skipped.
    """

    activation: Activation
    patterns: tuple[Pattern, ...]

    def __post_init__(self) -> None:
        if self.activation not in ("linear", "relu"):
            raise FieldError("network.activation", 'must be "linear" or "relu"')
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
        if len(self.patterns[-1]) != 1:
            raise FieldError(f"network.patterns[{self.depth - 1}]", "the last layer must have one row")

    @property
    def depth(self) -> int:
        """m, the number of layers and the degree of homogeneity."""
        return len(self.patterns)

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """(d, k_1, ..., k_(m-1), 1)."""
        return (len(self.patterns[0][0]), *(len(p) for p in self.patterns))

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """The number of parameters of each layer."""
        return tuple(max(k for row in p for k in row) + 1 for p in self.patterns)

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """Where each layer begins in the flat vector of all parameters; last, the length of that vector."""
        return (0, *accumulate(self.sizes))

    def split(self, flat: np.ndarray) -> list[np.ndarray]:
        """A flat vector (..., P) as one vector (..., size) a layer; these are views."""
        return np.split(flat, self.offsets[1:-1], axis=-1)

    def into(self, layer: int, neuron: int) -> list[int]:
        """The weights into a hidden neuron, as places in the flat vector.  Layer and neuron count from 0."""
        return [self.offsets[layer] + k for k in self.patterns[layer][neuron] if k >= 0]

    def out_of(self, layer: int, neuron: int) -> list[int]:
        """The weights out of it."""
        return [self.offsets[layer + 1] + row[neuron] for row in self.patterns[layer + 1] if row[neuron] >= 0]

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
    def shared(self) -> bool:
        """Whether some parameter occurs twice or more in its layer."""
        return any(
            len(used) != len(set(used)) for used in ([k for row in p for k in row if k >= 0] for p in self.patterns)
        )

    @cached_property
    def fully_connected(self) -> bool:
        """Whether every entry of every layer is a parameter of its own."""
        return not self.shared and all(k >= 0 for p in self.patterns for row in p for k in row)


def fully_connected(activation: Activation, widths: Sequence[int]) -> Network:
    """Every entry its own parameter. widths = (d, k_1, ..., k_(m-1)); the output is added."""
    shape = [*widths, 1]
    return Network(
        activation,
        tuple(tuple(tuple(r * cols + c for c in range(cols)) for r in range(rows)) for cols, rows in pairwise(shape)),
    )


def diagonal(activation: Activation, dimension: int, depth: int) -> Network:
    """Layers 1..m-1 square and diagonal, the last one a row."""
    square = tuple(tuple(r if r == c else -1 for c in range(dimension)) for r in range(dimension))
    return Network(activation, (square,) * (depth - 1) + ((tuple(range(dimension)),),))


def sparse(activation: Activation, masks: Sequence[Sequence[Sequence[int | bool]]]) -> Network:
    """No shared weights: a parameter of its own wherever the mask is true, a structural zero elsewhere."""
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
    return Network(activation, tuple(patterns))


def convolutional(
    activation: Activation, dimension: int, filter_size: int, stride: int = 1, padding: int = 0
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
    return Network(activation, (hidden, (tuple(range(len(starts))),)))


def preactivations(network: Network, theta: Sequence[Sequence[Number]], x: Sequence[Number]) -> list[list[Number]]:
    """W^l h^(l-1) for l = 1..m, in the number type of theta and x; the last entry is [Phi(theta; x)]."""
    h: list[Any] = list(x)
    out: list[list[Any]] = []
    for depth, (pattern, u) in enumerate(zip(network.patterns, theta, strict=True)):
        if depth and network.activation == "relu":
            h = [a if a > 0 else a * 0 for a in h]
        h = [sum((u[k] * a for k, a in zip(row, h, strict=True) if k >= 0), start=h[0] * 0) for row in pattern]
        out.append(h)
    return out


def forward(network: Network, theta: Sequence[Sequence[Number]], x: Sequence[Number]) -> Number:
    """Phi(theta; x)."""
    return preactivations(network, theta, x)[-1][0]
