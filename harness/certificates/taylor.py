"""Expansions of margins and pre-activations to second order in all parameters, once gates are given.

With gates given, every pre-activation and every q_i is a polynomial in theta.  `expand` finds its value, gradient and
Hessian at theta; the arithmetic is that of its arguments (integers for proofs, floats for searching).  A gate that is
not given leaves terms unknown from some order on: the lowest order of the pre-activation at theta, one more for every
weight that is zero on the way up.  Unknown from order 3 on means that value, gradient and Hessian are the same for
either gate.

`Bounds` bounds the first three derivatives on a ball, whatever the gates: on layers l with |u^l| <= R_l, and c_l the
number of times the most used parameter of the layer occurs, |W^l| <= sqrt(c_l) R_l, and a derivative in k layers has at
most the norm |x| k! e_k, e_k the sum over sets of k layers of the product of sqrt(c_l) over them and sqrt(c_l) R_l
over the others.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np

from harness.certificates.numbers import Rejected, squared_norm
from harness.certificates.signs import Theta
from harness.problem.networks import Network
from harness.problem.problems import Problem

# Terms from this order on are not looked at.
BEYOND = 3
# Exact Hessians of more parameters than this keep the checker busy for minutes.
MAX_PARAMETERS = 200


def require_small(network: Network) -> None:
    """Raises Rejected where there are too many parameters for exact Hessians."""
    if sum(network.sizes) > MAX_PARAMETERS:
        raise Rejected(f"{sum(network.sizes)} parameters are more than {MAX_PARAMETERS}")


@dataclass(frozen=True)
class Term:
    """A polynomial's value, gradient (P,) and Hessian (P, P) at theta; unknown: the order it is not known from."""

    value: Any
    gradient: np.ndarray
    hessian: np.ndarray
    unknown: int = BEYOND


def expand(network: Network, theta: Any, x: Any, gates: Mapping[tuple[int, int], Any], kind: type) -> list[list[Term]]:
    """The pre-activations of every layer for one sample; the last is [Phi].

    theta: flat, P numbers.  x: d numbers.  gates: (layer, neuron) from 0 to a factor, 1 on and 0 off; floats may be in
    between.
    kind: object for exact numbers, float.
    """
    size = len(theta)
    none, flat = np.zeros(size, dtype=kind), np.zeros((size, size), dtype=kind)
    if kind is object:
        none[:], flat[:] = 0, 0
    inputs = [Term(v, none, flat) for v in x]
    out: list[list[Term]] = []
    offset = 0
    for layer, pattern in enumerate(network.patterns):
        if layer:
            inputs = [_gated(term, network, layer - 1, j, gates, none, flat) for j, term in enumerate(out[-1])]
        out.append([_mix(row, inputs, theta, offset, none, flat) for row in pattern])
        offset += network.sizes[layer]
    return out


def _gated(
    term: Term,
    network: Network,
    layer: int,
    neuron: int,
    gates: Mapping[tuple[int, int], Any],
    none: np.ndarray,
    flat: np.ndarray,
) -> Term:
    if network.activation == "linear":
        return term
    gate = gates.get((layer, neuron))
    if gate is not None:
        if gate == 1:
            return term
        if gate == 0:
            return Term(0, none, flat)
        return Term(gate * term.value, gate * term.gradient, gate * term.hessian, term.unknown)
    lowest = 0 if term.value else 1 if term.gradient.any() else 2 if term.hessian.any() else BEYOND
    return Term(0, none, flat, min(lowest, term.unknown))


def _mix(
    row: Sequence[int], inputs: Sequence[Term], theta: Any, offset: int, none: np.ndarray, flat: np.ndarray
) -> Term:
    value: Any = 0
    gradient, hessian = none.copy(), flat.copy()
    unknown = BEYOND
    for k, term in zip(row, inputs, strict=True):
        if k < 0:
            continue
        at = offset + k
        weight = theta[at]
        unknown = min(unknown, term.unknown + (0 if weight else 1))
        if weight:
            value = value + weight * term.value
            gradient += weight * term.gradient
            hessian += weight * term.hessian
        gradient[at] += term.value
        hessian[at] += term.gradient
        hessian[:, at] += term.gradient
    return Term(value, gradient, hessian, unknown)


class Exact:
    """Expansions at a rational theta, in integers."""

    def __init__(self, given: Problem, theta: Theta) -> None:
        self.given = given
        flat = [v for u in theta for v in u]
        self.size = len(flat)
        self.scale = math.lcm(1, *(v.denominator for v in flat))
        self.theta = [int(v * self.scale) for v in flat]
        self.x_scale = [math.lcm(1, *(v.denominator for v in x)) for x in given.x]
        self.x = [[int(v * s) for v in x] for x, s in zip(given.x, self.x_scale, strict=True)]

    def sample(self, i: int, gates: Mapping[tuple[int, int], Any]) -> list[list[Term]]:
        """The terms of sample i as integers (fractions if gates are); `factors` says by what to multiply."""
        return expand(self.given.network, self.theta, self.x[i], gates, object)

    def factors(self, i: int, degree: int) -> tuple[Fraction, Fraction, Fraction]:
        """What turns value, gradient and Hessian of a polynomial of this degree on sample i into the true ones."""
        x = self.x_scale[i]
        return (
            Fraction(1, self.scale**degree * x),
            Fraction(1, self.scale ** (degree - 1) * x),
            Fraction(self.scale ** max(2 - degree, 0), self.scale ** max(degree - 2, 0) * x),
        )


@dataclass(frozen=True)
class Bounds:
    """Upper bounds on the norms of the first three derivatives on a ball, by the number of layers, per unit of |x|."""

    first: tuple[Fraction, ...]
    second: tuple[Fraction, ...]
    third: tuple[Fraction, ...]

    def of(self, degree: int, x: Fraction) -> tuple[Fraction, Fraction, Fraction]:
        """For a pre-activation of layer `degree` (from 1; m for q) on a sample of norm at most x."""
        return x * self.first[degree], x * self.second[degree], x * self.third[degree]


def bounds(network: Network, theta: Theta, radius: Fraction, start: int = 0) -> Bounds:
    """On the ball of this radius about theta; degrees count layers from `start`, per unit of what that one is fed."""
    root, reach = [], []
    for pattern, u in zip(network.patterns[start:], theta[start:], strict=True):
        often = max(Counter(k for row in pattern for k in row if k >= 0).values(), default=0)
        root.append(sqrt_up(Fraction(often)))
        reach.append(root[-1] * (sqrt_up(squared_norm(u)) + radius))
    found = [(Fraction(0), Fraction(0), Fraction(0))]
    for degree in range(1, network.depth - start + 1):
        orders = []
        for k in (1, 2, 3):
            total = Fraction(0)
            for moved in combinations(range(degree), k):
                total += math.prod(
                    (root[layer] if layer in moved else reach[layer] for layer in range(degree)), start=Fraction(1)
                )
            orders.append(math.factorial(k) * total)
        found.append((orders[0], orders[1], orders[2]))
    return Bounds(*(tuple(f[k] for f in found) for k in range(3)))


def sqrt_up(value: Fraction) -> Fraction:
    """A short rational at least the square root of value >= 0, to about 20 digits."""
    if not value:
        return Fraction(0)
    p, q = value.numerator, value.denominator
    bits = max(0, (q.bit_length() - p.bit_length()) // 2 + 66)
    return Fraction(math.isqrt((p << 2 * bits) // q) + 1, 1 << bits)
