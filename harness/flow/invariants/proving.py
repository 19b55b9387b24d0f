"""Whether the flow never leaves a subspace, in exact integers: what modular.py finds is proven here.

A subspace V that contains the start, that is closed under the gradients of the block sums of the q_i, projected on the
kinks that slide, and on which the q_i of each block are one polynomial, holds the flow for as long as the gates stay
(the samples of a block keep equal weights there, so that the field points into V).  That is checked at a random element
of V, without an error of rounding or of a prime: a polynomial of the degree of the network that vanishes at integers of
60 bits drawn from the instance's own numbers vanishes, but for a chance of about 1e-17.

Vectors here are lists of integers; a basis is one of rows, reduced: row r is zero at the pivots of the others.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm

import numpy as np

from harness.flow.compiled.kernel import Wiring
from harness.flow.kinks.departure import SampleUnit
from harness.problem.elimination import echelon
from harness.problem.networks import Network
from harness.problem.problems import Problem

Vector = list[int]
_BITS = 60


@dataclass(frozen=True)
class Setting:
    """What a subspace is closed under: on (n, units), flat kinks that slide, by their normals, and curved ones.

    constant (N,): coordinates that stand still and are left out.  blocks (n,): a number a sample.
    """

    on: np.ndarray
    normals: Sequence[Sequence[Fraction]]
    curved: Sequence[SampleUnit]
    constant: np.ndarray
    blocks: np.ndarray


class Prover:
    """The integers of one problem; net its wiring, group as of modular.Residues.

    Points, slopes and layers that are not trained are each multiplied by one number that makes them integers: every
    path to an output passes each of them once, so that margins that are equal stay so, and spans are the same.
    """

    def __init__(self, problem: Problem, net: Wiring, group: int) -> None:
        points = [problem.x[sample] for sample, _ in problem.rows]
        common = lcm(*(v.denominator for row in points for v in row))
        self.x = [[v.numerator * (common // v.denominator) for v in row] for row in points]
        self.seeds = [seed for _, seed in problem.rows]
        self.group = group
        self.below, self.above = problem.network.slope.as_integer_ratio()
        self.layers: list[list[tuple[int, int, int, int]]] = []
        for k, values in enumerate(fixed_entries(problem.network)):
            places = range(net.ptr[k], net.ptr[k + 1])
            common = lcm(*(v.denominator for v in values)) if values else 1
            scaled = [v.numerator * (common // v.denominator) for v in values] or [0] * len(places)
            self.layers.append(
                [(int(net.row[e]), int(net.col[e]), int(net.par[e]), v) for e, v in zip(places, scaled, strict=True)]
            )
        self.rows = [sorted({a for a, _, _, _ in entries}) for entries in self.layers]
        self.units, self.first = int(net.uptr[-1]), int(net.uptr[-2])

    def holds(self, basis: list[Vector], pivots: Sequence[int], spanning: list[Vector], setting: Setting) -> bool:
        """Whether the span of the basis contains the spanning vectors and is never left."""
        still = setting.constant.tolist()
        if not all(_contains(basis, pivots, _without(v, still)) for v in spanning):
            return False
        rng = random.Random(hash((tuple(map(tuple, self.x)), tuple(map(tuple, spanning)))))
        v = [0] * len(still)
        for row in basis:
            weight = rng.getrandbits(_BITS)
            v = [a + weight * b if b else a for a, b in zip(v, row, strict=True)]
        return self._closed_at(v, basis, pivots, setting, still)

    def _closed_at(
        self, v: Vector, basis: list[Vector], pivots: Sequence[int], setting: Setting, still: list[bool]
    ) -> bool:
        sums: dict[int, Vector] = {}
        margins: dict[int, tuple[int, list[int]]] = {}
        blocks: list[int] = setting.blocks.tolist()
        for i, block in enumerate(blocks):
            q, gradient = self._gradient(v, i, setting.on[i], None)
            # the weights of a point's margins answer to each other
            first = i // self.group * self.group
            alike = q, sorted(blocks[first : first + self.group])
            if margins.setdefault(block, alike) != alike:
                return False
            old = sums.get(block)
            sums[block] = gradient if old is None else [a + b for a, b in zip(old, gradient, strict=True)]
        found = list(sums.values())
        found += [self._gradient(v, i, setting.on[i], unit)[1] for i, unit in setting.curved]
        if setting.normals:
            found = [_projected(g, setting.normals) for g in found]
        return all(_contains(basis, pivots, _without(g, still)) for g in found)

    def _gradient(self, v: Vector, sample: int, on: np.ndarray, unit: int | None) -> tuple[int, Vector]:
        """The pre-activation of a hidden unit for one sample, or its margin where unit is None, and its gradient."""
        slopes = [self.above if a else self.below for a in on.tolist()]
        slopes[self.first :] = [1] * (self.units - self.first)
        pre, h, back, out = [0] * self.units, [0] * self.units, [0] * self.units, [0] * len(v)
        h[: len(self.x[sample])] = self.x[sample]
        for entries, rows in zip(self.layers, self.rows, strict=True):
            for a, b, p, value in entries:
                if h[b]:
                    pre[a] += (v[p] if p >= 0 else value) * h[b]
            for a in rows:
                h[a] = slopes[a] * pre[a]
        if unit is None:
            back[self.first :] = self.seeds[sample]
            result = sum(s * a for s, a in zip(self.seeds[sample], pre[self.first :], strict=True))
        else:
            back[unit], result = 1, pre[unit]
        for entries, rows in zip(reversed(self.layers), reversed(self.rows), strict=True):
            for a in rows:
                back[a] *= 1 if a == unit else slopes[a]
            for a, b, p, value in entries:
                if back[a]:
                    if p >= 0:
                        out[p] += back[a] * h[b]
                    back[b] += back[a] * (v[p] if p >= 0 else value)
        return result, out


def fixed_entries(network: Network) -> list[list[Fraction]]:
    """For every layer that is not trained its entries, in the order of the wiring; an empty list for a trained one."""
    return [
        [] if numbers is None else [numbers[k] for row in pattern for k in row if k >= 0]
        for pattern, numbers in zip(network.patterns, network.fixed, strict=True)
    ]


def integers(row: Sequence[Fraction]) -> Vector:
    """A multiple of a rational vector without a common factor."""
    common = lcm(*(v.denominator for v in row))
    return _shortened([v.numerator * (common // v.denominator) for v in row])


def meets(rows: list[Vector], normals: Sequence[Sequence[Fraction]]) -> list[Vector]:
    """A basis of the vectors in the span of independent rows that are orthogonal to the normals."""
    for normal in map(integers, normals):
        inner = [_dot(row, normal) for row in rows]
        chosen = next((k for k, a in enumerate(inner) if a), None)
        if chosen is None:
            continue
        pivot, top = rows[chosen], inner[chosen]
        rows = [
            _shortened([top * a - inner[k] * b for a, b in zip(row, pivot, strict=True)]) if inner[k] else row
            for k, row in enumerate(rows)
            if k != chosen
        ]
    return rows


def _shortened(row: Vector) -> Vector:
    factor = gcd(*row)
    return [a // factor for a in row] if factor > 1 else row


def _dot(a: Sequence[int], b: Sequence[int]) -> int:
    return sum(p * q for p, q in zip(a, b, strict=True))


def _without(v: Vector, still: list[bool]) -> Vector:
    return [0 if s else a for a, s in zip(v, still, strict=True)]


def _contains(basis: list[Vector], pivots: Sequence[int], v: Vector) -> bool:
    """Whether v lies in the span of a reduced basis."""
    rest = v
    for row, k in zip(basis, pivots, strict=True):
        if rest[k]:
            lead, factor = row[k], rest[k]
            rest = [lead * a - factor * b for a, b in zip(rest, row, strict=True)]
    return not any(rest)


def _projected(v: Vector, normals: Sequence[Sequence[Fraction]]) -> Vector:
    """A multiple of v minus its orthogonal projection on independent normals."""
    rows = [integers(normal) for normal in normals]
    gram = [[Fraction(_dot(a, b)) for b in rows] + [Fraction(_dot(a, v))] for a in rows]
    weights = [line[-1] for line in echelon(gram)[0]]
    common = lcm(*(w.denominator for w in weights))
    out = [common * a for a in v]
    for w, row in zip(weights, rows, strict=True):
        factor = int(w * common)
        out = [a - factor * b for a, b in zip(out, row, strict=True)]
    return out
