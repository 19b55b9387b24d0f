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
from typing import Any, Literal, cast

import numpy as np

from harness.problem.fields import FieldError
from harness.problem.networks import Network
from harness.problem.numbers import Rows, as_label, rows_text
from harness.problem.problems import Problem, frozen
from harness.problem.reading import Pairs, array, integer, number_rows, numbers, object_of, parse, string

Loss = Literal["exponential", "logistic"]
Row = Sequence[Fraction | float | int]

FORMAT = 1


@dataclass(frozen=True)
class Instance:
    """One gradient flow: problem, loss, and theta0, one row a layer, as long as the layer has parameters.

    Numbers are taken as by Problem.  Raises FieldError.
    """

    problem: Problem
    loss: Loss
    theta0: Rows

    def __post_init__(self) -> None:
        if self.loss not in ("exponential", "logistic"):
            raise FieldError("loss", 'must be "exponential" or "logistic"')
        # A frozen dataclass is filled this way.
        object.__setattr__(self, "theta0", self.problem.rows_of_theta(self.theta0, "theta0"))

    @classmethod
    def of(cls, network: Network, loss: Loss, x: Sequence[Row], y: Sequence[int], theta0: Sequence[Row]) -> Instance:
        """In one go.  Raises FieldError."""
        return cls(Problem(network, cast("Rows", x), tuple(y)), loss, cast("Rows", theta0))

    def changed(self, **fields: Any) -> Instance:
        """The same with another network, loss, x, y or theta0.  Raises FieldError."""
        own: dict[str, Any] = {
            "network": self.network,
            "loss": self.loss,
            "x": self.x,
            "y": self.y,
            "theta0": self.theta0,
        }
        return Instance.of(**{**own, **fields})

    @property
    def network(self) -> Network:
        """Its problem's, as are the next six."""
        return self.problem.network

    @property
    def x(self) -> Rows:
        """The points."""
        return self.problem.x

    @property
    def y(self) -> tuple[int, ...]:
        """The labels."""
        return self.problem.y

    @property
    def n(self) -> int:
        """The number of points."""
        return self.problem.n

    @property
    def d(self) -> int:
        """The dimension of the points."""
        return self.problem.d

    @property
    def x_float(self) -> np.ndarray:
        """The points as float64, shape (n, d), read-only."""
        return self.problem.x_float

    @property
    def y_float(self) -> np.ndarray:
        """The labels as float64, shape (n,), read-only."""
        return self.problem.y_float

    @cached_property
    def theta0_float(self) -> list[np.ndarray]:
        """The start as float64, one vector a layer, read-only."""
        return [frozen([float(a) for a in row]) for row in self.theta0]

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
    return Instance.of(
        Network(activation, patterns),
        loss,
        number_rows(top["x"], "x"),
        tuple(as_label(a, f"y[{i}]") for i, a in enumerate(numbers(top["y"], "y"))),
        number_rows(top["theta0"], "theta0"),
    )
