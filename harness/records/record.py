"""A stored counterexample, read for showing: the JSON record and the networks in it, neuron by neuron.

The record is the content of counterexample.json.  Only depth 2 without shared weights can be taken apart into neurons.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from harness.certificates.mechanisms import MECHANISMS
from harness.claims.table import CLAIMS
from harness.problem.fields import FieldError
from harness.problem.instances import Instance
from harness.problem.networks import preactivations
from harness.problem.places import HiddenNeuron, Kink, layer_name, layer_of
from harness.problem.sizes import rank

Number = int | float | str
Exact = tuple[tuple[Fraction, ...], ...]

RECORD, INSTANCE, PAGE, FIGURE = "counterexample.json", "instance.json", "README.md", "figure.svg"
# What is made from a record, beside it.
DERIVED = (INSTANCE, PAGE, FIGURE)


@dataclass(frozen=True)
class Neuron:
    """A hidden neuron of a depth-2 network: v sigma(w . x).

    index counts from 0, number from 1.  w: d numbers, 0 where the pattern has no weight.  v: 0 where there is none.
    inputs: w . x_i, one a point.
    """

    index: int
    w: tuple[Fraction, ...]
    v: Fraction
    inputs: tuple[Fraction, ...]

    @property
    def number(self) -> int:
        return HiddenNeuron(0, self.index).number

    @property
    def zero(self) -> bool:
        """Whether the neuron contributes nothing anywhere."""
        return not self.v or not any(self.w)

    @property
    def arrow(self) -> tuple[float, ...]:
        """|v| w, the neuron's effect without its sign."""
        return tuple(float(abs(self.v) * a) for a in self.w)


@dataclass(frozen=True)
class Record:
    """One counterexample.  data: the JSON object as it is stored."""

    data: dict[str, Any]

    @property
    def claim(self) -> str:
        return self.data["claim"]

    @property
    def mechanism(self) -> str:
        return self.data["mechanism"]

    @property
    def robust(self) -> bool | None:
        """Whether it was shown to survive small changes of the start and of the data; None if that was not measured."""
        measured = self.data.get("robustness")
        return None if measured is None else bool(measured["robust"])

    @property
    def networks(self) -> tuple[str, ...]:
        """Which networks of those that the claim speaks of: the activation if it may be either, what is deeper."""
        spoken_of, network = CLAIMS[self.claim].decided_by.networks, self.instance.network
        activation = () if spoken_of.activation else (network.activation,)
        return (*activation, f"depth {network.depth}") if network.depth > spoken_of.depths[0] else activation

    @property
    def folder(self) -> str:
        """The folder's name under reports/, one place for each kind: claim, networks, mechanism, and robust or not."""
        robust = {None: (), True: ("robust",), False: ("fragile",)}[self.robust]
        return "--".join((self.claim, *self.networks, self.mechanism, *robust)).replace(" ", "-")

    @cached_property
    def instance(self) -> Instance:
        return Instance.from_json(json.dumps(self.data["instance"]))

    @cached_property
    def limit(self) -> Exact:
        """theta~ as stored."""
        return exact(self.data["limit"]["theta"])

    @cached_property
    def better(self) -> Exact:
        """A better point: that of the certificate, or, where the certificate is a curve, the best on it, about.

        The limit itself where the claim is not about an optimum.
        """
        certificate = self.data["certificate"]
        if self.stated:
            return self.limit
        if certificate["kind"] == "curve":
            d, e, eps = self.curve
            point = along(self.limit, d, e, Fraction(eps))
            # eps is known to about 1e-6: so small a weight is zero.
            small = max(abs(a) for u in point for a in u) / 10**6
            point = tuple(tuple(a if abs(a) > small else Fraction(0) for a in u) for u in point)
            # Scaled to least margin 1, and a little more, in place of a root.
            network = self.instance.network
            scale = Fraction(float(min(self.instance.problem.margins(point))) ** (-1.0 / network.degree))
            scale *= 1 + Fraction(1, 10**12)
            return tuple(
                tuple(scale * a for a in u) if own else fixed
                for u, own, fixed in zip(point, network.trained, self.limit, strict=True)
            )
        if self.layer is None or certificate["kind"] == "better":
            return exact(certificate["better"])
        point = list(self.limit)
        (point[self.layer],) = exact([certificate["better"]])
        return tuple(point)

    @cached_property
    def curve(self) -> tuple[Exact, Exact, float]:
        """d, e and an eps of a certificate's curve theta + eps d + eps^2 e: the eps of the best point, to about 1e-6.

        Among those with |eps d| <= 4 |theta|.
        """
        certificate = self.data["certificate"]
        d = exact(certificate["d"])
        e = exact(certificate["e"]) if certificate["e"] else tuple((Fraction(0),) * len(u) for u in d)
        network = self.instance.network
        limit, first, second = (
            network.flat([np.array([float(a) for a in u]) for u in theta]) for theta in (self.limit, d, e)
        )

        def value_at(eps: float) -> float:
            theta = limit + eps * first + eps * eps * second
            least = self.instance.problem.least_margin([u.tolist() for u in network.split(theta)])
            return math.inf if least <= 0.0 else float(theta @ theta) * least ** (-2.0 / network.degree)

        farthest = 4.0 * float(np.linalg.norm(limit) / np.linalg.norm(first))
        tried = farthest * 2.0 ** (-np.arange(8 * 24 + 1) / 8.0)[::-1]
        best = int(np.argmin([value_at(eps) for eps in tried]))
        low, high = tried[max(best - 1, 0)], tried[min(best + 1, len(tried) - 1)]
        for _ in range(40):
            left, right = low + (high - low) / 3.0, high - (high - low) / 3.0
            low, high = (low, right) if value_at(left) < value_at(right) else (left, high)
        return d, e, float(low + high) / 2.0

    @property
    def stated(self) -> bool:
        """Whether the claim states something of the limit itself, so that there is no better point."""
        return self.kind == "statement"

    @property
    def kind(self) -> str:
        """The certificate's."""
        return self.data["certificate"]["kind"]

    @property
    def layer(self) -> int | None:
        """The index from 0 of the layer that the certificate is about; None if it is about all weights."""
        problem = self.data["certificate"]["problem"]
        if problem != "full":
            return layer_of(problem)
        # that of the only layer that is trained is the whole one
        return self.instance.network.trained.index(True) if self.kind == "layer better" else None

    @property
    def minimised(self) -> str:
        """What the certificate is about, in words."""
        return "value" if self.layer is None else f"cost of {layer_name(self.layer)}"

    def objective_text(self, theta: Exact, number: Callable[[Fraction], str]) -> str:
        """What is minimised, at theta, in words.  number: writes one."""
        name = "value" if self.layer is None else f"{layer_name(self.layer)} costs"
        return f"{name} {number(self.objective(theta))}"

    def objective(self, theta: Exact) -> Fraction:
        """What is minimised, at theta: the value, or that of one layer."""
        return self.value(theta) if self.layer is None else value(theta[self.layer : self.layer + 1])

    def value(self, theta: Exact) -> Fraction:
        """1/2 ||theta||^2 over the layers that are trained."""
        return value(self.instance.network.of_trained(theta))

    @property
    def apart(self) -> bool:
        """Whether the network can be taken apart into neurons, with one outgoing weight each."""
        network = self.instance.network
        return network.depth == 2 and not network.shared and network.outputs == 1

    def neurons(self, theta: Exact) -> list[Neuron]:
        """The hidden neurons of theta, in order."""
        network = self.instance.network
        if not self.apart:
            raise ValueError("only depth 2 without shared weights has neurons of its own")
        incoming, (outgoing,) = network.patterns
        inputs = [preactivations(network, theta, x)[0] for x in self.instance.x]
        return [
            Neuron(
                j,
                tuple(theta[0][k] if k >= 0 else Fraction(0) for k in row),
                theta[1][outgoing[j]] if outgoing[j] >= 0 else Fraction(0),
                tuple(row_inputs[j] for row_inputs in inputs),
            )
            for j, row in enumerate(incoming)
        ]

    @property
    def kinks(self) -> list[Kink]:
        """Those of the limit."""
        return [Kink.of_json(kink) for kink in self.data["limit"]["kinks"]]

    @property
    def commands(self) -> dict[str, str]:
        """What checks it, runs it and finds it again, from the folder above reports/.

        Made from its claim and its folder, whatever text the file has for them.
        """
        folder, seed = f"reports/{self.folder}", self.data.get("found", {}).get("seed")
        seeded = f" --seed {seed}" if type(seed) is int else ""
        return {
            "verify": f"marginalia verify {folder}/{RECORD}",
            "check": f"marginalia check {folder}/{INSTANCE}",
            "harvest": f"marginalia harvest --claim {self.claim}{seeded} --out reports",
        }

    @property
    def proven(self) -> bool:
        """Whether it has a proof of where the flow ends."""
        return "flow" in self.data

    @property
    def rank(self) -> tuple[Any, ...]:
        return rank(self.instance, self.proven)


def load(path: Path) -> Record:
    """Read counterexample.json.  Raises FieldError, which names the file, if it is not one."""
    try:
        record = Record(json.loads(path.read_text(encoding="utf-8")))
        _ = record.claim, record.folder, record.kinks
        for theta in (record.limit, record.better):
            record.instance.problem.margins(theta)
    except OSError as error:
        raise FieldError(str(path), error.strerror or "cannot be read") from None
    except FieldError as error:
        raise FieldError(str(path), f"instance.{error}") from None
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, ArithmeticError, RecursionError):
        raise FieldError(str(path), "not a stored counterexample") from None
    # they name folders, so no other text may get this far
    for name, known in (("claim", CLAIMS), ("mechanism", MECHANISMS)):
        if not isinstance(record.data[name], str) or record.data[name] not in known:
            raise FieldError(str(path), f"not a stored counterexample: there is no {name} {record.data[name]!r:.40}")
    return record


def record_text(record: Record) -> str:
    """The record as JSON text: one line for every list and every object of plain values, so that it can be read."""
    return _layout(record.data, "") + "\n"


def _layout(value: Any, indent: str) -> str:
    if isinstance(value, dict) and any(isinstance(item, dict | list) for item in value.values()):
        inner = indent + " "
        items = (f"{inner}{json.dumps(key)}: {_layout(item, inner)}" for key, item in value.items())
        return "{\n" + ",\n".join(items) + "\n" + indent + "}"
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        inner = indent + " "
        return "[\n" + ",\n".join(inner + _layout(item, inner) for item in value) + "\n" + indent + "]"
    return json.dumps(value, allow_nan=False)


def stored(out: Path) -> list[Record]:
    """Every readable counterexample under out, in the order of the folders' names."""
    return [load(path) for path in sorted(out.glob(f"[!.]*/{RECORD}"))]


def along(limit: Exact, d: Exact, e: Exact, eps: Fraction) -> Exact:
    """theta~ + eps d + eps^2 e."""
    return tuple(
        tuple(a + eps * b + eps * eps * c for a, b, c in zip(*rows, strict=True))
        for rows in zip(limit, d, e, strict=True)
    )


def exact(rows: Sequence[Sequence[Number]]) -> Exact:
    """JSON numbers as Fractions: integers, strings "p/q", floats at their binary value."""
    return tuple(tuple(Fraction(a) for a in row) for row in rows)


def value(theta: Sequence[Sequence[Fraction]]) -> Fraction:
    """1/2 ||theta||^2."""
    return sum((a * a for row in theta for a in row), start=Fraction(0)) / 2
