"""The three margin problems of a depth 2 network of one output without shared weights, as sums over its neurons.

Neuron j has incoming weights w_j, which see the patch x_i^(j) of sample i, and one outgoing weight v_j.  With
sigma(s) = s for s >= 0 and slope s for s < 0, q_i = y_i sum_j v_j sigma(w_j . x_i^(j)).  The slope is any rational: 0
is relu, 1 the identity.

- "full": minimise 1/2 (|w|^2 + |v|^2) subject to q_i >= 1.  With u_j = |v_j| w_j and s_j the sign of v_j,
  q_i = y_i sum_j s_j sigma(u_j . x_i^(j)), and the objective is at least sum_j |u_j|, with equality where
  |w_j| = |v_j|.
- "layer 1": minimise 1/2 |w|^2, v held fixed: q_i = y_i sum_j v_j sigma(w_j . x_i^(j)).
- "layer 2": minimise 1/2 |v|^2, w held fixed: q_i = y_i sum_j v_j h_ij, h_ij = sigma(w_j . x_i^(j)).

All three are sums over neurons of t_j sigma(z_j . p_ij) with a vector z_j to be chosen, a fixed coefficient t_j
and fixed vectors p_ij: that is a Block.  In layer 2 z_j = v_j, p_ij = h_ij, and sigma is gone.

Where the last layer is fixed, the network's v is theta's, and "layer 1" is all of the margin problem: a certificate may
then call it "full".  A fixed layer has no problem of its own.

A neuron without incoming or without outgoing weights adds nothing to any q_i; it has no block, and its weights
only add to the objective.  Source: Vardi, Shamir & Srebro, arXiv:2110.02732, section 4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Literal

from harness.certificates.numbers import Rejected
from harness.problem.networks import Network
from harness.problem.numbers import Vector, dot, squared_norm
from harness.problem.places import layer_name, neuron_name
from harness.problem.problems import Problem

Name = Literal["full", "layer 1", "layer 2"]
NAMES: tuple[Name, ...] = ("full", "layer 1", "layer 2")
Theta = tuple[Vector, ...]


@dataclass(frozen=True)
class Neuron:
    """A hidden neuron with both incoming and outgoing weights.

    index: its place in the hidden layer, from 0.  inputs: the coordinates of x that it sees.
    incoming: the parameters of u^1 on them.  outgoing: its parameter of u^2.  patches: x_i^(j), n vectors.
    """

    index: int
    inputs: tuple[int, ...]
    incoming: tuple[int, ...]
    outgoing: int
    patches: tuple[Vector, ...]

    @property
    def name(self) -> str:
        return neuron_name(self.index)

    def w(self, theta: Theta) -> Vector:
        return tuple(theta[0][k] for k in self.incoming)

    def v(self, theta: Theta) -> Fraction:
        return theta[1][self.outgoing]


def neurons_of(given: Problem) -> list[Neuron]:
    """The neurons that can contribute.  Raises Rejected for networks that certificates do not cover."""
    network = given.network
    if network.depth != 2 or network.shared:
        raise Rejected("convex cells cover networks of depth 2 without shared weights")
    if network.outputs > 1:
        raise Rejected("convex cells cover networks of one output")
    if not network.trained[0]:
        raise Rejected("convex cells cover networks whose first layer is trained")
    found = []
    for j, (row, outgoing) in enumerate(zip(network.patterns[0], network.patterns[1][0], strict=True)):
        inputs = tuple(c for c, k in enumerate(row) if k >= 0)
        if inputs and outgoing >= 0:
            patches = tuple(tuple(x[c] for c in inputs) for x in given.x)
            found.append(Neuron(j, inputs, tuple(row[c] for c in inputs), outgoing, patches))
    return found


@dataclass(frozen=True)
class Block:
    """One neuron's part of a problem.

    vectors: p_ij, one a sample.  scale: |t_j|; the sign of t_j is chosen apart (1 for layer 2).
    slope: of sigma at negative arguments.
    """

    neuron: Neuron
    vectors: tuple[Vector, ...]
    scale: Fraction
    slope: Fraction

    @property
    def gated(self) -> bool:
        """Whether sigma has a kink."""
        return self.slope != 1

    @cached_property
    def integers(self) -> tuple[list[tuple[int, ...]], int]:
        """The vectors times their least common denominator, and that denominator."""
        common = math.lcm(*(a.denominator for p in self.vectors for a in p))
        return [tuple(a.numerator * (common // a.denominator) for a in p) for p in self.vectors], common


def block_of(given: Problem, neuron: Neuron, theta: Theta, problem: Name) -> Block:
    """The block of this neuron; theta gives the layer that is held fixed."""
    slope = given.network.slope
    if problem == "full":
        return Block(neuron, neuron.patches, Fraction(1), slope)
    if problem == "layer 1":
        return Block(neuron, neuron.patches, abs(neuron.v(theta)), slope)
    w = neuron.w(theta)
    inputs = [dot(w, patch) for patch in neuron.patches]
    return Block(neuron, tuple((a if a > 0 else slope * a,) for a in inputs), Fraction(1), Fraction(1))


def only_layer(network: Network) -> int | None:
    """The one layer, from 0, that is trained: its problem is all of (P).  None where several are."""
    return network.trained.index(True) if network.degree == 1 else None


def meant(network: Network, problem: Name) -> Name:
    """The problem in the terms of this file; "full" may be that of the only layer.  Raises Rejected."""
    only = only_layer(network)
    if only is None:
        return problem
    if problem not in ("full", layer_name(only)):
        raise Rejected(f"{problem} is fixed and has no problem of its own")
    return NAMES[only + 1]


def objective(theta: Theta, problem: Name) -> Fraction:
    """1/2 ||theta||^2, or 1/2 ||u^l||^2 for a layer."""
    layers = theta if problem == "full" else (theta[0] if problem == "layer 1" else theta[1],)
    return sum((squared_norm(u) for u in layers), start=Fraction(0)) / 2


def value(theta: Theta, lowest: Fraction, problem: Name) -> Fraction:
    """The objective of theta once the variables of the problem are scaled to min_i q_i = 1; lowest = min q > 0.

    q has degree 2 in theta and degree 1 in a layer, the objective has degree 2.
    """
    return objective(theta, problem) / (lowest if problem == "full" else lowest**2)
