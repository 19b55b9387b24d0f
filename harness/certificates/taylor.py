"""Expansions of margins and pre-activations to second order in all trained parameters, once gates are given.

With gates given, each by the slope that it stands for, every pre-activation and every q_i is a polynomial in theta.
`expand` finds its value, gradient and Hessian at theta; the arithmetic is that of its arguments (integers for proofs,
floats for searching).  A gate that is not given leaves terms unknown from some order on: the lowest order of the
pre-activation at theta, one more for every trained weight that is zero on the way up; a fixed weight of zero ends the
way.  Unknown from order 3 on means that value, gradient and Hessian are the same for either gate.

`Bounds` bounds the first three derivatives on a ball, whatever the gates: on layers l with |u^l| <= R_l, and c_l the
number of times the most used parameter of the layer occurs, |W^l| <= sqrt(c_l) R_l, gates multiply by at most L, the
larger of 1 and |slope|, and a derivative in k trained layers has at most the norm |x| k! e_k, e_k the sum over sets of
k of them of the product of sqrt(c_l) over them and sqrt(c_l) R_l over all others, times L for every layer of gates.
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

from harness.certificates.numbers import Rejected
from harness.certificates.signs import Theta
from harness.problem.networks import Network
from harness.problem.numbers import squared_norm
from harness.problem.problems import Problem

# Terms from this order on are not looked at.
BEYOND = 3
# Exact Hessians of more parameters than this keep the checker busy for minutes.
MAX_PARAMETERS = 200


def require_small(network: Network) -> None:
    """Raises Rejected where there are too many parameters for exact Hessians."""
    if network.size > MAX_PARAMETERS:
        raise Rejected(f"{network.size} parameters are more than {MAX_PARAMETERS}")


@dataclass(frozen=True)
class Term:
    """A polynomial's value, gradient (P,) and Hessian (P, P) at theta; unknown: the order it is not known from."""

    value: Any
    gradient: np.ndarray
    hessian: np.ndarray
    unknown: int = BEYOND


def expand(
    network: Network, theta: Sequence[Any], x: Any, gates: Mapping[tuple[int, int], Any], kind: type
) -> list[list[Term]]:
    """The pre-activations of every layer at one point; the last are the outputs.

    theta: a row a layer.  x: d numbers.  gates: (layer, neuron) from 0 to the slope there; it may be one in between.
    kind: object for exact numbers, float.
    """
    size = network.size
    none, flat = np.zeros(size, dtype=kind), np.zeros((size, size), dtype=kind)
    if kind is object:
        none[:], flat[:] = 0, 0
    inputs = [Term(v, none, flat) for v in x]
    out: list[list[Term]] = []
    for layer, pattern in enumerate(network.patterns):
        if layer:
            inputs = [_gated(term, network, layer - 1, j, gates, none, flat) for j, term in enumerate(out[-1])]
        offset = network.offsets[layer] if network.trained[layer] else None
        out.append([_mix(row, inputs, theta[layer], offset, none, flat) for row in pattern])
    return out


def margin(outputs: Sequence[Term], seed: Sequence[float]) -> Term:
    """The sum of the outputs times the seed's numbers."""
    used = [(s, term) for s, term in zip(seed, outputs, strict=True) if s]
    (s, first), *rest = used
    value, gradient, hessian = s * first.value, s * first.gradient, s * first.hessian
    for s, term in rest:
        value, gradient, hessian = value + s * term.value, gradient + s * term.gradient, hessian + s * term.hessian
    return Term(value, gradient, hessian, min(term.unknown for _, term in used))


def _gated(
    term: Term,
    network: Network,
    layer: int,
    neuron: int,
    gates: Mapping[tuple[int, int], Any],
    none: np.ndarray,
    flat: np.ndarray,
) -> Term:
    if not network.kinked:
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
    row: Sequence[int], inputs: Sequence[Term], u: Any, offset: int | None, none: np.ndarray, flat: np.ndarray
) -> Term:
    """A row of a layer on its inputs.  offset: where the layer begins in the flat vector; None for a fixed one."""
    value: Any = 0
    gradient, hessian = none.copy(), flat.copy()
    unknown = BEYOND
    for k, term in zip(row, inputs, strict=True):
        if k < 0:
            continue
        weight = u[k]
        if weight:
            unknown = min(unknown, term.unknown)
            value = value + weight * term.value
            gradient += weight * term.gradient
            hessian += weight * term.hessian
        if offset is not None:
            at = offset + k
            unknown = min(unknown, term.unknown + 1)
            gradient[at] += term.value
            hessian[at] += term.gradient
            hessian[:, at] += term.gradient
    return Term(value, gradient, hessian, unknown)


class Exact:
    """Expansions at a rational theta, in integers: numbers are brought to one denominator for every factor.

    The factors are the trained layers together, each fixed layer, the point, and the slopes: on is their denominator,
    off their numerator.
    """

    def __init__(self, given: Problem, theta: Theta) -> None:
        self.given = given
        network = given.network
        trained = [v for u in network.of_trained(theta) for v in u]
        self.size = len(trained)
        self.scale = _common(trained)
        self.scales = [self.scale if own else _common(u) for u, own in zip(theta, network.trained, strict=True)]
        self.theta = [[int(v * scale) for v in u] for u, scale in zip(theta, self.scales, strict=True)]
        points = {sample: _common(given.x[sample]) for sample, _ in given.rows}
        self.x_scale = [points[sample] for sample, _ in given.rows]
        self.x = [[int(v * points[sample]) for v in given.x[sample]] for sample, _ in given.rows]
        self.on = network.slope.denominator if network.kinked else 1

    def sample(self, row: int, gates: Mapping[tuple[int, int], Any]) -> list[list[Term]]:
        """The terms on the point of a row as integers (fractions if gates are); `factors` says by what to multiply."""
        scaled = {place: _whole(gate * self.on) for place, gate in gates.items()}
        return expand(self.given.network, self.theta, self.x[row], scaled, object)

    def factors(self, row: int, layer: int) -> tuple[Fraction, Fraction, Fraction]:
        """What turns value, gradient and Hessian of a pre-activation of a layer, from 1, into the true ones."""
        network = self.given.network
        own = network.trained[:layer]
        x = self.x_scale[row] * self.on ** (layer - 1)
        x *= math.prod(scale for scale, trained in zip(self.scales, own, strict=False) if not trained)
        degree = sum(own)
        return (
            Fraction(1, self.scale**degree * x),
            Fraction(self.scale ** max(1 - degree, 0), self.scale ** max(degree - 1, 0) * x),
            Fraction(self.scale ** max(2 - degree, 0), self.scale ** max(degree - 2, 0) * x),
        )


def _common(numbers: Sequence[Fraction]) -> int:
    return math.lcm(1, *(v.denominator for v in numbers))


def _whole(number: Fraction | int) -> Fraction | int:
    return int(number) if number == int(number) else number


@dataclass(frozen=True)
class Bounds:
    """Upper bounds on the norms of the first three derivatives on a ball, by the number of layers, per unit of |x|."""

    first: tuple[Fraction, ...]
    second: tuple[Fraction, ...]
    third: tuple[Fraction, ...]

    def of(self, layer: int, x: Fraction) -> tuple[Fraction, Fraction, Fraction]:
        """For a pre-activation of the layer (from 1; m for an output) on a point of norm at most x."""
        return x * self.first[layer], x * self.second[layer], x * self.third[layer]


def bounds(network: Network, theta: Theta, radius: Fraction, start: int = 0) -> Bounds:
    """On the ball of this radius about theta; layers count from `start`, per unit of what that one is fed."""
    root, reach = [], []
    steepest = max(Fraction(1), abs(network.slope))
    for pattern, u, own in zip(network.patterns[start:], theta[start:], network.trained[start:], strict=True):
        often = max(Counter(k for row in pattern for k in row if k >= 0).values(), default=0)
        times = sqrt_up(Fraction(often))
        root.append(times if own else Fraction(0))
        reach.append(times * (sqrt_up(squared_norm(u)) + (radius if own else 0)))
    found = [(Fraction(0), Fraction(0), Fraction(0))]
    for layers in range(1, network.depth - start + 1):
        orders = []
        for k in (1, 2, 3):
            total = Fraction(0)
            for moved in combinations(range(layers), k):
                total += math.prod(
                    (root[layer] if layer in moved else reach[layer] for layer in range(layers)), start=Fraction(1)
                )
            orders.append(math.factorial(k) * total * steepest ** (layers - 1))
        found.append((orders[0], orders[1], orders[2]))
    return Bounds(*(tuple(f[k] for f in found) for k in range(3)))


def norms(given: Problem) -> list[Fraction]:
    """For every margin what the bounds of pre-activations are multiplied by: at least |x|."""
    return [sqrt_up(squared_norm(given.x[sample])) for sample, _ in given.rows]


def margin_norms(given: Problem) -> list[Fraction]:
    """For every margin what the bounds of the outputs are multiplied by: at least |seed| |x|."""
    return [sqrt_up(sum(s * s for s in seed) * squared_norm(given.x[sample])) for sample, seed in given.rows]


def sqrt_up(value: Fraction) -> Fraction:
    """A short rational at least the square root of value >= 0, to about 20 digits."""
    if not value:
        return Fraction(0)
    p, q = value.numerator, value.denominator
    bits = max(0, (q.bit_length() - p.bit_length()) // 2 + 66)
    return Fraction(math.isqrt((p << 2 * bits) // q) + 1, 1 << bits)
