"""Point: parameters theta of a problem, and what is computed from them once.

Wherever it comes from: the limit of a flow, or numbers that somebody brings.  The oracles read nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np

from harness.problem.evaluation import evaluate, signs_of
from harness.problem.instances import document, labels_of, read_network, require_format
from harness.problem.kkt import kkt
from harness.problem.later import later
from harness.problem.networks import Network
from harness.problem.numbers import Rows, exact_rows, rows_text
from harness.problem.places import HiddenNeuron, Kink, Place
from harness.problem.problems import Problem
from harness.problem.reading import number_rows, numbers, object_of, parse

Number = float | Fraction

# Squares of what is larger, and sums of them, are not in the floats; a logarithm.
LARGEST = np.log(1e150)


class NotSeparating(ValueError):
    """Some margin is not positive: the margin problem has no point in this direction."""


@dataclass(frozen=True)
class Point:
    """theta scaled to a least margin of 1: one float64 vector a layer; parameters that are zero are exactly 0.0.

    The fixed layers stand in it as they are.
    value: 1/2 ||theta||^2 over the trained ones.  margins, multipliers: q and lambda of every row of the problem, (R,),
    lambda being one choice.
    residual: the KKT residual of docs/statements.md, section 4.
    signs: per hidden layer an int8 array (R, width): the sign of each pre-activation, 0 where it is zero.
    doubt: a sentence where zeros could not be told from tiny numbers, else ""; verdicts are then undecided.
    device: where torch does heavy arithmetic about it, that of the module that it came from.
    """

    problem: Problem
    theta: tuple[np.ndarray, ...]
    value: float
    margins: np.ndarray
    multipliers: np.ndarray
    residual: float
    kinks: tuple[Kink, ...]
    signs: tuple[np.ndarray, ...]
    doubt: str = ""
    device: str = field(default="cpu", compare=False)

    @property
    def zeros(self) -> list[list[int]]:
        """For each layer the indices of the parameters that are exactly zero; none of a fixed one."""
        return [
            [k for k, value in enumerate(u) if value == 0.0] if own else []
            for u, own in zip(self.theta, self.problem.network.trained, strict=True)
        ]

    @property
    def norms(self) -> list[float]:
        """||u^l||^2 of every layer; at a KKT point those of the trained ones are equal (balance)."""
        return [float(u @ u) for u in self.theta]

    @property
    def idle(self) -> list[HiddenNeuron]:
        """The hidden neurons that pass nothing on.

        They have no weight in or none out, or are off on every point of a relu network.
        """
        matrices, found = self.problem.network.matrices(self.theta), []
        for layer, (own, above) in enumerate(pairwise(matrices)):
            idle = ~(own != 0.0).any(axis=1) | ~(above != 0.0).any(axis=0)
            if self.problem.network.kinked and not self.problem.network.slope:
                idle |= (self.signs[layer] <= 0).all(axis=0)
            found += [HiddenNeuron(layer, j) for j in np.flatnonzero(idle).tolist()]
        return found

    def close_kinks(self, most: int = 5) -> list[tuple[float, Place]]:
        """The pre-activations that are nearest to zero, each with its distance from it.

        distance: relative to the norms of the weights and inputs of the neuron.  Those of idle neurons are left out.
        """
        network = self.problem.network
        if not network.kinked:
            return []
        first = {sample: row for row, (sample, _) in reversed([*enumerate(self.problem.rows)])}
        rows = [first[i] for i in range(self.problem.n)]
        at = evaluate(network, self.theta, self.problem.x_float, [sign[rows] > 0 for sign in self.signs])
        idle, found = set(self.idle), list[tuple[float, Place]]()
        for layer, (a, h, matrix) in enumerate(zip(at.preactivations[:-1], at.inputs, at.matrices, strict=False)):
            size = np.linalg.norm(h, axis=1)[:, None] * np.linalg.norm(matrix, axis=1)[None, :]
            distance = np.abs(a) / np.where(size > 0.0, size, np.inf)
            distance[:, [j for own, j in idle if own == layer]] = np.inf
            for flat in np.argsort(distance, axis=None, kind="stable")[:most].tolist():
                i, j = divmod(flat, distance.shape[1])
                if np.isfinite(distance[i, j]):
                    found.append((float(distance[i, j]), Place(i, layer, j)))
        return sorted(found)[:most]

    def nearest_kkt(self) -> Point | None:
        """The nearest KKT point that the trainer reaches from here, of the same problem; None where it reaches none.

        By Newton's method within the gates of the point, else by following the flow from it.  None where the network
        has more than some hundred parameters.
        """
        return later("harness.flow.nearest", "nearest_kkt", self)

    def distance_to(self, other: Point) -> float:
        """How far another point of the same problem is, both of least margin 1, relative to the norm of this one."""
        flat = self.problem.network.flat(self.theta)
        return float(np.linalg.norm(self.problem.network.flat(other.theta) - flat) / np.linalg.norm(flat))

    def plot(self) -> Any:
        """A matplotlib figure: the points and neurons where d <= 3, margins, multipliers, the layers' spectra."""
        return later("harness.report.plots", "plot_point", self)

    def __str__(self) -> str:
        return later("harness.show.people", "point_text", self)

    def _repr_html_(self) -> str:
        return later("harness.show.notebook", "point_html", self)

    @classmethod
    def at(
        cls, problem: Problem, theta: Sequence[Sequence[float | Fraction]], doubt: str = "", *, device: str = "cpu"
    ) -> Point:
        """The direction of theta (one row a layer, in floats), scaled to a least margin of 1.

        Pre-activations below 1e-9 of the norms that bound them count as zero.  Raises FieldError for a wrong shape or
        number, NotSeparating where a margin is not positive, ValueError where theta is beyond the floats or the
        gradients next to it are not known (clarke.py).
        """
        network = problem.network
        vectors = [np.array([float(a) for a in u]) for u in problem.rows_of_theta(theta, "theta")]
        if _largest(network, vectors, problem.inputs) > LARGEST:
            raise ValueError("theta or a point is beyond the floats")
        signs = tuple(signs_of(network, vectors, problem.inputs))
        gates = [sign > 0 for sign in signs]
        margins = evaluate(network, vectors, problem.inputs, gates).margins(problem.seeds)
        least = float(margins.min())
        if not least > 0.0:
            worst = problem.rows[int(margins.argmin())][0]
            raise NotSeparating(f"theta does not separate the data: the least margin is {least:.6g}, of point {worst}")
        with np.errstate(over="ignore"):
            scaled = tuple(network.scaled(vectors, least ** (-1.0 / network.degree)))
            value, q = network.value(scaled), margins / least
        if not (np.isfinite(value) and np.isfinite(q).all()):
            raise ValueError("theta is beyond the floats where its least margin is 1")
        found = kkt(network, problem.inputs, problem.seeds, vectors, signs)
        return cls(problem, scaled, value, q, found.multipliers, found.residual, found.kinks, signs, doubt, device)

    @classmethod
    def from_torch(cls, module: Any, x: Any, y: Any) -> Point:
        """The point of a trained torch module on points x (n, ...) with labels y (n,).

        module: Sequentials of Linear, Conv1d, Conv2d, Flatten, and ReLU or LeakyReLU between the layers with weights; a
        bias of the first layer becomes a constant coordinate of the points.  y: 1 and -1, or classes where the module
        has several outputs.  Raises FieldError, one line that names the layer, for anything else, and what `at` raises.
        """
        # it takes torch, which the base installation lacks
        from harness.problem.modules import read_module

        brought = read_module(module, x, y)
        return cls.at(brought.problem, [u.tolist() for u in brought.theta], device=brought.device)

    @classmethod
    def from_json(cls, text: str) -> Point:
        """Read an instance's format without "loss" and "theta0", with "theta".

        Raises FieldError, and what `at` raises.
        """
        return cls.at(*read_point(text))

    def to_json(self) -> str:
        """The point as JSON text; from_json gives it back up to rounding."""
        return document(self.problem, {}, {"theta": rows_text(exact_rows([u.tolist() for u in self.theta], "theta"))})


def _largest(network: Network, theta: Sequence[np.ndarray], x: np.ndarray) -> float:
    """The logarithm of what no weight, no coordinate and no pre-activation exceeds but for the widths."""
    size = found = float(np.log(np.abs(x).max()))
    steep = np.log(max(1.0, abs(float(network.slope))))
    for layer, u in enumerate(theta):
        largest = np.abs(u).max(initial=0.0)
        own = float(np.log(largest)) if largest else -np.inf
        size += own + (steep if layer else 0.0)
        found = max(found, own, size)
    return found


def read_point(text: str) -> tuple[Problem, Rows]:
    """The problem and theta of a point's JSON text.  Raises FieldError."""
    value = parse(text)
    require_format(value)
    top = object_of(value, "", ("format", "network", "x", "y", "theta"))
    theta = number_rows(top["theta"], "theta")
    network = read_network(top["network"], theta, "theta")
    y = labels_of(network, numbers(top["y"], "y"))
    problem = Problem(network, number_rows(top["x"], "x"), y)
    return problem, problem.rows_of_theta(theta, "theta")
