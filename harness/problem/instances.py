"""Instance: a network, a loss, data and a starting point, all in exact numbers, and its JSON form.

    {"format": 1,
     "network": {"activation": "relu", "patterns": [[[0, 1], [2, 3]], [[0, 1]]]},
     "loss": "exponential",
     "x": [["1", "1/4"], ["-1", "1/4"]],
     "y": [1, 1],
     "theta0": [["0", "3", "0", "-2"], ["3", "0"]]}

Of "leaky_relu" the network has the key "negative_slope" besides, and layers that are not trained it names, counted from
1, under "fixed": their numbers stand in theta0 all the same.  With K >= 2 rows in the last layer the labels are classes
0 .. K - 1.  There are no biases; a constant coordinate of x gives the first layer some (problems.with_bias).

A number is a JSON integer or a string ("1/4", "0.25", "-3e2"), both exact, or a JSON float, taken
at its exact binary value.  Ties and zeros are decided on these exact numbers; the flow runs on
their nearest floats, so a number whose nearest float is infinite, or is zero although the number
is not, is refused.  Bad input of every kind raises FieldError, which names the field.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, Literal, cast

import numpy as np

from harness.problem.fields import FieldError
from harness.problem.later import later
from harness.problem.networks import Network
from harness.problem.numbers import Rows, as_class, as_label, nearest, number_text, rows_text
from harness.problem.problems import Problem, frozen
from harness.problem.reading import Pairs, array, integer, number, number_rows, numbers, object_of, parse, string

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
        """The same with another network, loss, x, y or theta0.  Raises FieldError.

        What theta0 has in the layers that are fixed is what they are fixed at then.
        """
        own: dict[str, Any] = {
            "network": self.network,
            "loss": self.loss,
            "x": self.x,
            "y": self.y,
            "theta0": self.theta0,
        }
        new = {**own, **fields}
        network: Network = new["network"]
        if network.degree < network.depth and "theta0" in fields:
            rows = enumerate(zip(new["theta0"], network.trained, strict=True), start=1)
            new["network"] = network.fixing({layer: row for layer, (row, own) in rows if not own})
        return Instance.of(**new)

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
        return [frozen([nearest(a) for a in row]) for row in self.theta0]

    def __str__(self) -> str:
        return later("harness.show.people", "instance_text", self)

    def _repr_html_(self) -> str:
        return later("harness.show.notebook", "instance_html", self)

    @classmethod
    def from_json(cls, text: str) -> Instance:
        """Read the format at the top of this file.  Raises FieldError."""
        return read_instance(parse(text))

    @classmethod
    def from_torch(cls, module: Any, x: Any, y: Any, loss: Loss = "logistic") -> Instance:
        """The flow that starts at a torch module's parameters, read as by Point.from_torch.  Raises FieldError."""
        # it takes torch, which the base installation lacks
        from harness.problem.modules import read_module

        brought = read_module(module, x, y)
        return cls(brought.problem, loss, cast("Rows", [u.tolist() for u in brought.theta]))

    def to_json(self) -> str:
        """The instance as JSON text; from_json gives back an equal instance."""
        return document(self.problem, {"loss": f'"{self.loss}"'}, {"theta0": rows_text(self.theta0)})


def document(problem: Problem, before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """JSON text with a network and data, and further keys before and after the data; a line a key."""
    parts = {
        "format": str(FORMAT),
        "network": network_text(problem.network),
        **before,
        "x": rows_text(problem.x),
        "y": json.dumps(list(problem.y)),
        **after,
    }
    return "{" + ",\n ".join(f'"{key}": {text}' for key, text in parts.items()) + "}"


def network_text(network: Network) -> str:
    """A network as JSON text, as in the format at the top of this file."""
    parts = [f'"activation": "{network.activation}"']
    if network.negative_slope is not None:
        parts.append(f'"negative_slope": {number_text(network.negative_slope)}')
    parts.append(f'"patterns": {json.dumps([[list(row) for row in pattern] for pattern in network.patterns])}')
    fixed = [layer for layer, own in enumerate(network.trained, start=1) if not own]
    return "{" + ", ".join([*parts, *([f'"fixed": {json.dumps(fixed)}'] if fixed else [])]) + "}"


def require_format(value: object) -> None:
    """Raises FieldError for a parsed document of another format.

    To be called first: what such a document lacks, or has besides, is no fault of it.
    """
    for key, found in value if isinstance(value, Pairs) else ():
        if key == "format" and integer(found, "format") != FORMAT:
            raise FieldError("format", f"format {found} is not known; this version reads format {FORMAT}")


def read_instance(value: object) -> Instance:
    """An instance from a parsed document.  Raises FieldError."""
    require_format(value)
    top = object_of(value, "", ("format", "network", "loss", "x", "y", "theta0"))
    theta0 = number_rows(top["theta0"], "theta0")
    network = read_network(top["network"], theta0, "theta0")
    loss: Any = string(top["loss"], "loss")
    return Instance.of(
        network,
        loss,
        number_rows(top["x"], "x"),
        labels_of(network, numbers(top["y"], "y")),
        theta0,
    )


def labels_of(network: Network, y: Sequence[Fraction]) -> tuple[int, ...]:
    """Labels, or classes where there are several outputs, from numbers.  Raises FieldError."""
    if network.outputs == 1:
        return tuple(as_label(a, f"y[{i}]") for i, a in enumerate(y))
    return tuple(as_class(a, network.outputs, f"y[{i}]") for i, a in enumerate(y))


def read_network(value: object, theta: Rows, field: str) -> Network:
    """A network from a parsed document; what is fixed has its numbers in theta, of this name.  Raises FieldError."""
    for key, _ in value if isinstance(value, Pairs) else ():
        if key in ("bias", "biases"):
            raise FieldError(
                f"network.{key}",
                "a bias of the first layer is a constant coordinate of x, and one of a deeper layer is not homogeneous",
            )
    given = object_of(value, "network", ("activation", "patterns"), ("negative_slope", "fixed"))
    patterns = tuple(
        tuple(
            tuple(
                integer(k, f"network.patterns[{depth}][{r}][{c}]")
                for c, k in enumerate(array(row, f"network.patterns[{depth}][{r}]"))
            )
            for r, row in enumerate(array(pattern, f"network.patterns[{depth}]"))
        )
        for depth, pattern in enumerate(array(given["patterns"], "network.patterns"))
    )
    activation: Any = string(given["activation"], "network.activation")
    slope = number(given["negative_slope"], "network.negative_slope") if "negative_slope" in given else None
    network = Network(activation, patterns, slope)
    layers: list[int] = []
    for i, item in enumerate(array(given.get("fixed", []), "network.fixed")):
        layer = integer(item, f"network.fixed[{i}]")
        if not 1 <= layer <= network.depth:
            raise FieldError(f"network.fixed[{i}]", f"there is no layer {layer}")
        if layer in layers:
            raise FieldError(f"network.fixed[{i}]", f"layer {layer} twice")
        layers.append(layer)
    if len(layers) == network.depth:
        raise FieldError("network.fixed", "every layer is fixed, and one has to be trained")
    if len(theta) != network.depth:
        raise FieldError(field, f"{len(theta)} rows for {network.depth} layers")
    for layer in layers:
        if len(theta[layer - 1]) != network.sizes[layer - 1]:
            raise FieldError(
                f"{field}[{layer - 1}]", f"{len(theta[layer - 1])} numbers for {network.sizes[layer - 1]} parameters"
            )
    return network.fixing({layer: theta[layer - 1] for layer in layers})
