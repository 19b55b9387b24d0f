"""Problem: a network and data in exact numbers, the margin problem (P) of which limits are to be optima.

With one output there is a margin for every point, q_i = y_i Phi(theta; x_i).  With K of them a point of class y_i has
K - 1 margins, q_ik = Phi_(y_i) - Phi_k for the other classes k.  Either way a margin is a row: a point, and the numbers
by which the outputs are multiplied and summed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from harness.problem.fields import FieldError
from harness.problem.networks import Network, preactivations
from harness.problem.numbers import Rows, as_class, as_label, exact, exact_rows, nearest


@dataclass(frozen=True)
class Problem:
    """Minimise 1/2 ||theta||^2 over the trained layers subject to q >= 1 for every margin.

    x: n rows of d numbers, none of them all zero.  y: n labels, 1 or -1, or with K >= 2 outputs a class 0 .. K - 1.
    Integers, Fractions and floats (at their binary value) are taken for numbers, and any sequence for a row; they are
    stored as tuples of Fractions.  Raises FieldError.
    """

    network: Network
    x: Rows
    y: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.network.size:
            raise FieldError("network.patterns", "the network has no parameters that are trained")
        x = exact_rows(self.x, "x")
        outputs = self.network.outputs
        y = tuple(
            as_label(exact(a, f"y[{i}]"), f"y[{i}]") if outputs == 1 else as_class(a, outputs, f"y[{i}]")
            for i, a in enumerate(self.y)
        )
        if not x:
            raise FieldError("x", "no data")
        for i, row in enumerate(x):
            if len(row) != self.network.widths[0]:
                raise FieldError(f"x[{i}]", f"{len(row)} coordinates, but layer 1 has {self.network.widths[0]} columns")
            if not any(row):
                raise FieldError(f"x[{i}]", "the point is zero")
        if len(y) != len(x):
            raise FieldError("y", f"{len(y)} labels for {len(x)} points")
        # A frozen dataclass is filled this way.
        object.__setattr__(self, "x", x)
        object.__setattr__(self, "y", y)

    @property
    def n(self) -> int:
        """The number of points."""
        return len(self.x)

    @property
    def d(self) -> int:
        """The dimension of the points."""
        return self.network.widths[0]

    @cached_property
    def x_float(self) -> np.ndarray:
        """The points as float64, shape (n, d), read-only."""
        return frozen([[nearest(a) for a in row] for row in self.x])

    @cached_property
    def y_float(self) -> np.ndarray:
        """The labels as float64, shape (n,), read-only."""
        return frozen(self.y)

    @cached_property
    def rows(self) -> tuple[tuple[int, tuple[int, ...]], ...]:
        """For every margin its point and what the outputs (K) are multiplied by.

        With one output row i is that of point i.
        """
        outputs = self.network.outputs
        if outputs == 1:
            return tuple((i, (label,)) for i, label in enumerate(self.y))
        return tuple(
            (i, tuple((j == own) - (j == k) for j in range(outputs)))
            for i, own in enumerate(self.y)
            for k in range(outputs)
            if k != own
        )

    @property
    def group(self) -> int:
        """How many margins a point has; they follow each other."""
        return max(self.network.outputs - 1, 1)

    def place(self, row: int) -> tuple[int, int | None]:
        """The point and the other class of a margin; None for the class with one output."""
        sample, seed = self.rows[row]
        return sample, None if self.network.outputs == 1 else seed.index(-1)

    @cached_property
    def inputs(self) -> np.ndarray:
        """The point of every margin as float64, (R, d), read-only; with one output these are the points."""
        return self.x_float if self.network.outputs == 1 else frozen(self.x_float[[sample for sample, _ in self.rows]])

    @cached_property
    def seeds(self) -> np.ndarray:
        """What the outputs are multiplied by in every margin, as float64, (R, K), read-only."""
        return self.y_float[:, None] if self.network.outputs == 1 else frozen([seed for _, seed in self.rows])

    def margins(self, theta: Sequence[Sequence[Fraction]]) -> list[Fraction]:
        """q of every row, exactly."""
        outputs = [preactivations(self.network, theta, x)[-1] for x in self.x]
        return [sum((s * a for s, a in zip(seed, outputs[i], strict=True) if s), Fraction(0)) for i, seed in self.rows]

    def least_margin(self, theta: Sequence[Sequence[float]]) -> float:
        """The least q, in floats."""
        outputs = [preactivations(self.network, theta, x)[-1] for x in self.x_float.tolist()]
        return min(sum(a * b for a, b in zip(seed, outputs[i], strict=True)) for i, seed in self.rows)

    def rows_of_theta(self, theta: Sequence[Sequence[object]], field: str) -> Rows:
        """theta in exact numbers, one row a layer.  Raises FieldError, which names the field, for a wrong shape.

        A fixed layer is to have the network's own numbers, or their nearest floats.
        """
        rows = exact_rows(theta, field)
        if len(rows) != self.network.depth:
            raise FieldError(field, f"{len(rows)} rows for {self.network.depth} layers")
        stated: list[tuple[Fraction, ...]] = []
        for depth, (row, size, fixed) in enumerate(zip(rows, self.network.sizes, self.network.fixed, strict=True)):
            if len(row) != size:
                raise FieldError(f"{field}[{depth}]", f"{len(row)} numbers for {size} parameters")
            if fixed is not None and row not in (fixed, tuple(Fraction(float(a)) for a in fixed)):
                raise FieldError(f"{field}[{depth}]", "the layer is fixed, and the network has other numbers for it")
            stated.append(row if fixed is None else fixed)
        return tuple(stated)


def with_bias(x: Sequence[Sequence[Fraction | float | int]]) -> Rows:
    """The points with a constant last coordinate 1: the weights of the first layer on it are its biases.

    A bias of a deeper layer would not be homogeneous, and there is none.
    """
    return tuple((*row, Fraction(1)) for row in exact_rows(x, "x"))


def frozen(values: object) -> np.ndarray:
    """As a float64 array that cannot be written to."""
    array = np.array(values, dtype=np.float64)
    array.setflags(write=False)
    return array
