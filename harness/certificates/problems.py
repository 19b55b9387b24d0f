"""The three margin problems of a depth 2 network without shared weights, as sums over its neurons.

Neuron j has incoming weights w_j, which see the patch x_i^(j) of sample i, and one outgoing weight v_j.  With
sigma the identity or relu, q_i = y_i sum_j v_j sigma(w_j . x_i^(j)).

- "full": minimise 1/2 (|w|^2 + |v|^2) subject to q_i >= 1.  With u_j = |v_j| w_j and s_j the sign of v_j,
  q_i = y_i sum_j s_j sigma(u_j . x_i^(j)), and the cost is at least sum_j |u_j|, with equality where
  |w_j| = |v_j|.
- "layer 1": minimise 1/2 |w|^2, v held fixed: q_i = y_i sum_j v_j sigma(w_j . x_i^(j)).
- "layer 2": minimise 1/2 |v|^2, w held fixed: q_i = y_i sum_j v_j h_ij, h_ij = sigma(w_j . x_i^(j)).

All three are sums over neurons of t_j sigma(z_j . p_ij) with a vector z_j to be chosen, a fixed coefficient t_j
and fixed vectors p_ij: that is a Block.  In layer 2 z_j = v_j, p_ij = h_ij, and sigma is gone.

A neuron without incoming or without outgoing weights adds nothing to any q_i; it has no block, and its weights
only add to the cost.  Source: Vardi, Shamir & Srebro, arXiv:2110.02732, section 4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Literal

from harness.certificates.numbers import Rejected, Vector, dot, squared_norm
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

    def w(self, theta: Theta) -> Vector:
        return tuple(theta[0][k] for k in self.incoming)

    def v(self, theta: Theta) -> Fraction:
        return theta[1][self.outgoing]


def neurons_of(given: Problem) -> list[Neuron]:
    """The neurons that can contribute.  Raises Rejected for networks that certificates do not cover."""
    network = given.network
    if network.depth != 2 or network.shared:
        raise Rejected("convex cells cover networks of depth 2 without shared weights")
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
    gated: whether sigma is a relu.
    """

    neuron: Neuron
    vectors: tuple[Vector, ...]
    scale: Fraction
    gated: bool

    @cached_property
    def integers(self) -> tuple[list[tuple[int, ...]], int]:
        """The vectors times their least common denominator, and that denominator."""
        common = math.lcm(*(a.denominator for p in self.vectors for a in p))
        return [tuple(a.numerator * (common // a.denominator) for a in p) for p in self.vectors], common


def block_of(given: Problem, neuron: Neuron, theta: Theta, problem: Name) -> Block:
    """The block of this neuron; theta gives the layer that is held fixed."""
    relu = given.network.activation == "relu"
    if problem == "full":
        return Block(neuron, neuron.patches, Fraction(1), relu)
    if problem == "layer 1":
        return Block(neuron, neuron.patches, abs(neuron.v(theta)), relu)
    w = neuron.w(theta)
    inputs = [dot(w, patch) for patch in neuron.patches]
    return Block(neuron, tuple((max(a, Fraction(0)) if relu else a,) for a in inputs), Fraction(1), False)


def cost(theta: Theta, problem: Name) -> Fraction:
    """1/2 ||theta||^2, or 1/2 ||u^l||^2 for a layer."""
    layers = theta if problem == "full" else (theta[0] if problem == "layer 1" else theta[1],)
    return sum((squared_norm(u) for u in layers), start=Fraction(0)) / 2


def value(theta: Theta, lowest: Fraction, problem: Name) -> Fraction:
    """The cost of theta once the variables of the problem are scaled to min_i q_i = 1; lowest = min q > 0.

    q has degree 2 in theta and degree 1 in a layer, the cost has degree 2.
    """
    return cost(theta, problem) / (lowest if problem == "full" else lowest**2)
