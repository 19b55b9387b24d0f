"""Instance: a network, a loss, data and a starting point, all in exact numbers, and its JSON form.

    {"format": 1,
     "network": {"activation": "relu", "patterns": [[[0, 1], [2, 3]], [[0, 1]]]},
     "loss": "exponential",
     "x": [["1", "1/4"], ["-1", "1/4"]],
     "y": [1, 1],
     "theta0": [["0", "3", "0", "-2"], ["3", "0"]]}

A number is a JSON integer or a string ("1/4", "0.25", "-3e2"), both exact, or a JSON float, taken
at its exact binary value.  Ties and zeros are decided on these exact numbers; the flow runs on
their nearest floats, so a number whose nearest float is infinite, or is zero although the number
is not, is refused.  Bad input of every kind raises FieldError, which names the field.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, Literal

import numpy as np

from harness.problem.fields import FieldError
from harness.problem.networks import Network, forward
from harness.problem.numbers import Rows, as_label, exact, exact_rows, rows_text
from harness.problem.reading import Pairs, array, integer, number_rows, numbers, object_of, parse, string

Loss = Literal["exponential", "logistic"]

FORMAT = 1


@dataclass(frozen=True)
class Instance:
    """One gradient flow problem.

    x: n rows of d numbers, none of them all zero.  y: n labels, 1 or -1.
    theta0: one row a layer, as long as the layer has parameters.
    Integers, Fractions and floats (at their binary value) are taken for numbers, and any sequence
    for a row; they are stored as tuples of Fractions.  Raises FieldError.
    """

    network: Network
    loss: Loss
    x: Rows
    y: tuple[int, ...]
    theta0: Rows

    def __post_init__(self) -> None:
        if self.loss not in ("exponential", "logistic"):
            raise FieldError("loss", 'must be "exponential" or "logistic"')
        if not sum(self.network.sizes):
            raise FieldError("network.patterns", "the network has no parameters")
        x, theta0 = exact_rows(self.x, "x"), exact_rows(self.theta0, "theta0")
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
        if len(theta0) != self.network.depth:
            raise FieldError("theta0", f"{len(theta0)} rows for {self.network.depth} layers")
        for depth, (row, size) in enumerate(zip(theta0, self.network.sizes, strict=True)):
            if len(row) != size:
                raise FieldError(f"theta0[{depth}]", f"{len(row)} numbers for {size} parameters")
        # A frozen dataclass is filled this way.
        object.__setattr__(self, "x", x)
        object.__setattr__(self, "y", y)
        object.__setattr__(self, "theta0", theta0)

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
        return _frozen([[float(a) for a in row] for row in self.x])

    @cached_property
    def y_float(self) -> np.ndarray:
        """The labels as float64, shape (n,), read-only."""
        return _frozen(self.y)

    @cached_property
    def theta0_float(self) -> list[np.ndarray]:
        """The start as float64, one vector a layer, read-only."""
        return [_frozen([float(a) for a in row]) for row in self.theta0]

    def margins(self, theta: Sequence[Sequence[Fraction]]) -> list[Fraction]:
        """q_i(theta) = y_i Phi(theta; x_i), exactly."""
        return [label * forward(self.network, theta, row) for label, row in zip(self.y, self.x, strict=True)]

    @classmethod
    def from_json(cls, text: str) -> Instance:
        """Read the format at the top of this file.  Raises FieldError."""
        return _read_instance(parse(text))

    def to_json(self) -> str:
        """The instance as JSON text; from_json gives back an equal instance."""
        patterns = [[list(row) for row in pattern] for pattern in self.network.patterns]
        return "\n".join(
            (
                f'{{"format": {FORMAT},',
                f' "network": {{"activation": "{self.network.activation}", "patterns": {json.dumps(patterns)}}},',
                f' "loss": "{self.loss}",',
                f' "x": {rows_text(self.x)},',
                f' "y": {json.dumps(list(self.y))},',
                f' "theta0": {rows_text(self.theta0)}}}',
            )
        )


def _frozen(values: object) -> np.ndarray:
    array = np.array(values, dtype=np.float64)
    array.setflags(write=False)
    return array


def _read_instance(value: object) -> Instance:
    # First: what a document of another format lacks, or has besides, is no fault of it.
    for key, number in value if isinstance(value, Pairs) else ():
        if key == "format" and integer(number, "format") != FORMAT:
            raise FieldError("format", f"format {number} is not known; this version reads format {FORMAT}")
    top = object_of(value, "", ("format", "network", "loss", "x", "y", "theta0"))
    network = object_of(top["network"], "network", ("activation", "patterns"))
    patterns = tuple(
        tuple(
            tuple(
                integer(k, f"network.patterns[{depth}][{r}][{c}]")
                for c, k in enumerate(array(row, f"network.patterns[{depth}][{r}]"))
            )
            for r, row in enumerate(array(pattern, f"network.patterns[{depth}]"))
        )
        for depth, pattern in enumerate(array(network["patterns"], "network.patterns"))
    )
    activation: Any = string(network["activation"], "network.activation")
    loss: Any = string(top["loss"], "loss")
    return Instance(
        Network(activation, patterns),
        loss,
        number_rows(top["x"], "x"),
        tuple(as_label(a, f"y[{i}]") for i, a in enumerate(numbers(top["y"], "y"))),
        number_rows(top["theta0"], "theta0"),
    )
