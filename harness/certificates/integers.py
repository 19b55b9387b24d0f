"""All margins at once, exactly, by integers: for networks and data for which fractions one by one take too long.

The numbers of a layer, and of the points, are brought to one denominator, and products and sums are those of their
numerators.  Along a direction d every pre-activation and margin has a one-sided derivative (each is a composition of
polynomials and of the activation, which has one-sided derivatives everywhere and is Lipschitz, so that the chain rule
holds): at a pre-activation of zero the activation goes the way that the pre-activation goes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from harness.certificates.numbers import Rejected
from harness.certificates.signs import Theta
from harness.problem.networks import Network
from harness.problem.numbers import Vector
from harness.problem.problems import Problem

# Bits of a common denominator.  Those of floats have at most about 1,100, and as many more for every layer.
MAX_BITS = 20_000


@dataclass(frozen=True)
class Scaled:
    """numerators: an object array of integers.  denominator: theirs, positive."""

    numerators: np.ndarray
    denominator: int


def scaled(rows: Sequence[Vector]) -> Scaled:
    """Rows of one length at their least common denominator.  Raises Rejected where that has too many digits."""
    common = 1
    for denominator in {a.denominator for row in rows for a in row}:
        common = math.lcm(common, denominator)
        if common.bit_length() > MAX_BITS:
            raise Rejected("the numbers have no common denominator of a bearable length")
    out = np.empty((len(rows), len(rows[0])), dtype=object)
    for i, row in enumerate(rows):
        out[i] = [a.numerator * (common // a.denominator) for a in row]
    return Scaled(out, common)


def margins(given: Problem, theta: Theta) -> list[Fraction]:
    """q of every row of the problem; what Problem.margins says, sooner."""
    network = given.network
    h = scaled(given.x)
    for layer, u in enumerate(theta):
        h = _activated(network, h) if layer else h
        own = scaled([u])
        h = Scaled(_product(network, layer, own.numerators[0], h.numerators), h.denominator * own.denominator)
    outputs = h.numerators.tolist()
    return [
        Fraction(sum(s * a for s, a in zip(seed, outputs[i], strict=True)), h.denominator) for i, seed in given.rows
    ]


def rates(given: Problem, theta: Theta, d: Theta, rows: Sequence[int]) -> list[Fraction]:
    """The one-sided derivatives of these margins at theta along d, one vector a layer."""
    network = given.network
    samples = sorted({given.rows[i][0] for i in rows})
    h = scaled([given.x[i] for i in samples])
    # dh over the same denominator as h
    moved = Scaled(np.zeros_like(h.numerators), h.denominator)
    for layer, (u, v) in enumerate(zip(theta, d, strict=True)):
        if layer:
            h, moved = _activated(network, h), _activated_along(network, h, moved)
        own = scaled([u, v])
        weights, motion = own.numerators
        denominator = h.denominator * own.denominator
        moved = Scaled(
            _product(network, layer, motion, h.numerators) + _product(network, layer, weights, moved.numerators),
            denominator,
        )
        h = Scaled(_product(network, layer, weights, h.numerators), denominator)
    place = {sample: k for k, sample in enumerate(samples)}
    found = []
    for i in rows:
        sample, seed = given.rows[i]
        own = moved.numerators[place[sample]].tolist()
        found.append(Fraction(sum(s * a for s, a in zip(seed, own, strict=True)), moved.denominator))
    return found


def _product(network: Network, layer: int, u: np.ndarray, h: np.ndarray) -> np.ndarray:
    """W h for every sample, (n, rows).  u: (size,).  h: (n, columns)."""
    table = network.tables[layer]
    if (table >= 0).all():
        return h @ u[table].T
    out = np.zeros((len(h), len(table)), dtype=object)
    for r, row in enumerate(table):
        seen = np.flatnonzero(row >= 0)
        if len(seen):
            out[:, r] = h[:, seen] @ u[row[seen]]
    return out


def _activated(network: Network, a: Scaled) -> Scaled:
    """The activation."""
    if not network.kinked:
        return a
    slope = network.slope
    numerators = _either(a.numerators > 0, slope) * a.numerators
    return Scaled(numerators, a.denominator * slope.denominator)


def _activated_along(network: Network, a: Scaled, moved: Scaled) -> Scaled:
    """Its one-sided derivative: at a kink by the side that the pre-activation goes to."""
    if not network.kinked:
        return moved
    slope = network.slope
    on = (a.numerators > 0) | ((a.numerators == 0) & (moved.numerators > 0))
    numerators = _either(on, slope) * moved.numerators
    return Scaled(numerators, moved.denominator * slope.denominator)


def _either(on: np.ndarray, slope: Fraction) -> np.ndarray:
    """The slopes times their denominator.  Objects, since a float's denominator may be beyond the integers of numpy."""
    return np.where(on, *(np.array(part, dtype=object) for part in (slope.denominator, slope.numerator)))
