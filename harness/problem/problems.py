"""Problem: a network and data in exact numbers, the margin problem (P) of which limits are to be optima."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from harness.problem.fields import FieldError
from harness.problem.networks import Network, forward
from harness.problem.numbers import Rows, as_label, exact, exact_rows


@dataclass(frozen=True)
class Problem:
    """Minimise 1/2 ||theta||^2 subject to q_i(theta) = y_i Phi(theta; x_i) >= 1 for every point.

    x: n rows of d numbers, none of them all zero.  y: n labels, 1 or -1.
    Integers, Fractions and floats (at their binary value) are taken for numbers, and any sequence for a row; they are
    stored as tuples of Fractions.  Raises FieldError.
    """

    network: Network
    x: Rows
    y: tuple[int, ...]

    def __post_init__(self) -> None:
        if not sum(self.network.sizes):
            raise FieldError("network.patterns", "the network has no parameters")
        x = exact_rows(self.x, "x")
        y = tuple(as_label(exact(a, f"y[{i}]"), f"y[{i}]") for i, a in enumerate(self.y))
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
        return frozen([[float(a) for a in row] for row in self.x])

    @cached_property
    def y_float(self) -> np.ndarray:
        """The labels as float64, shape (n,), read-only."""
        return frozen(self.y)

    def margins(self, theta: Sequence[Sequence[Fraction]]) -> list[Fraction]:
        """q_i(theta), exactly."""
        return [label * forward(self.network, theta, row) for label, row in zip(self.y, self.x, strict=True)]

    def rows_of_theta(self, theta: Sequence[Sequence[object]], field: str) -> Rows:
        """theta in exact numbers, one row a layer.  Raises FieldError, which names the field, for a wrong shape."""
        rows = exact_rows(theta, field)
        if len(rows) != self.network.depth:
            raise FieldError(field, f"{len(rows)} rows for {self.network.depth} layers")
        for depth, (row, size) in enumerate(zip(rows, self.network.sizes, strict=True)):
            if len(row) != size:
                raise FieldError(f"{field}[{depth}]", f"{len(row)} numbers for {size} parameters")
        return rows


def frozen(values: object) -> np.ndarray:
    """As a float64 array that cannot be written to."""
    array = np.array(values, dtype=np.float64)
    array.setflags(write=False)
    return array
