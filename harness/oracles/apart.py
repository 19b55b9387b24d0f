"""Depth 2, one output, no shared weights: the network as neurons with patches, and a point in the coordinates u_j.

Neuron j sees the patch x_i^(j) of every point, has the incoming parameters w_j and one outgoing weight v_j.  With
balanced norms and u_j = |v_j| w_j, s_j = sign v_j the margin problem is

    minimise sum_j ||u_j||   subject to   y_i sum_j s_j sigma(u_j . x_i^(j)) >= 1.

That takes sigma(t a) = t sigma(a) for t >= 0 and no more, so that any two slopes of sigma will do.  Where the v_j are
fixed the margin problem is that of the first layer (programmes.py).

A neuron without incoming or without outgoing parameters contributes nothing; it is left out ("not live").
Source: docs/statements.md, section 5; Vardi, Shamir & Srebro, arXiv:2110.02732, section 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from harness.problem.networks import Network
from harness.problem.points import Point
from harness.problem.problems import Problem


@dataclass(frozen=True)
class Neuron:
    """incoming, inputs: the indices of w_j in u^1 and of the coordinates they multiply.  outgoing: v_j's index in u^2.

    patch: x_i^(j) for every point, shape (n, len(incoming)).
    """

    incoming: np.ndarray
    inputs: tuple[int, ...]
    outgoing: int
    patch: np.ndarray

    @property
    def live(self) -> bool:
        """Whether the neuron can contribute at all."""
        return bool(self.inputs) and self.outgoing >= 0


def are_apart(network: Network) -> bool:
    """Whether the margin problem is a sum over hidden neurons, in variables of their own."""
    return network.depth == 2 and network.outputs == 1 and network.trained[0] and not network.shared


@lru_cache(maxsize=256)
def neurons_of(problem: Problem) -> tuple[Neuron, ...]:
    """The hidden neurons in order.  Raises ValueError where they are not apart."""
    network = problem.network
    if not are_apart(network):
        raise ValueError("needs depth 2 and one output, without shared weights, and the first layer trained")
    neurons = []
    for row, outgoing in zip(network.patterns[0], network.patterns[1][0], strict=True):
        inputs = tuple(c for c, parameter in enumerate(row) if parameter >= 0)
        incoming = np.array([row[c] for c in inputs], dtype=int)
        neurons.append(Neuron(incoming, inputs, outgoing, np.ascontiguousarray(problem.x_float[:, list(inputs)])))
    return tuple(neurons)


class Apart:
    """A point whose neurons are apart, one by one.

    live: indices of the neurons that can contribute.  sign: s_j for every neuron, 0 for a dead one or one that is
    not live.  gates: (n, k), sign of w_j . x_i^(j), 0 throughout where s_j = 0; for linear networks all 1.
    w, v: the parameters by neuron.  alpha: the KKT multipliers.  slope: of sigma at negative arguments.
    slopes: (n, k), the Clarke coefficient at kinks, else 1 or the slope as the gate is on or off.
    dead: the live neurons that are zero, where v_j is trained; with a fixed v_j a neuron with w_j = 0 has kinks.
    """

    def __init__(self, point: Point) -> None:
        self.problem = point.problem
        self.kinked = point.problem.network.kinked
        self.slope = float(point.problem.network.slope)
        self.y = point.problem.y_float
        self.n = len(self.y)
        self.neurons = neurons_of(point.problem)
        self.k = len(self.neurons)
        self.live = [j for j, neuron in enumerate(self.neurons) if neuron.live]
        self.theta = point.theta
        self.w = [point.theta[0][neuron.incoming] for neuron in self.neurons]
        self.v = np.array([point.theta[1][m.outgoing] if m.outgoing >= 0 else 0.0 for m in self.neurons])
        self.alpha = np.maximum(np.asarray(point.multipliers, float), 0.0)
        self.sign = np.zeros(self.k, dtype=int)
        for j in self.live:
            self.sign[j] = int(np.sign(self.v[j]))
        if self.kinked:
            # A zero patch has a zero input, whatever rounding made of it.
            present = np.array([neuron.patch.any(axis=1) for neuron in self.neurons]).T
            self.gates = np.where((self.sign != 0) & present, point.signs[0], 0).astype(int)
        else:
            self.gates = np.ones((self.n, self.k), dtype=int)
        self.slopes = np.where(self.gates > 0, 1.0, np.where(self.gates < 0, self.slope, 0.0))
        for kink in point.kinks:
            i, _, j = kink.place
            if self.sign[j]:
                self.slopes[i, j] = kink.coefficient
        self.kinks = self.kinked and bool((self.gates[:, self.sign != 0] == 0).any())
        self.dead = [j for j in self.live if not self.sign[j] and point.problem.network.trained[1]]

    def margins(self, u: list[np.ndarray], sign: np.ndarray) -> np.ndarray:
        """q_i of the point with the vectors u_j and the signs s_j, in floats."""
        # Not by evaluate(): a point in the coordinates u_j.
        q = np.zeros(self.n)
        for j in self.live:
            a = self.neurons[j].patch @ u[j]
            q += sign[j] * self.activated(a)
        return self.y * q

    def activated(self, a: np.ndarray) -> np.ndarray:
        """sigma."""
        return np.where(a > 0.0, a, self.slope * a) if self.kinked else a
