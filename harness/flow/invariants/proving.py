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
from harness.flow.kinks.departure import Pair
from harness.problem.elimination import echelon

Vector = list[int]
_BITS = 60


@dataclass(frozen=True)
class Setting:
    """What a subspace is closed under: gates (n, units), flat kinks that slide, by their normals, and curved ones.

    constant (N,): coordinates that stand still and are left out.  blocks (n,): a number a sample.
    """

    gates: np.ndarray
    normals: Sequence[Sequence[Fraction]]
    curved: Sequence[Pair]
    constant: np.ndarray
    blocks: np.ndarray


class Prover:
    """The integers of one instance; net its wiring, x (n, d) exact, y (n,) labels."""

    def __init__(self, net: Wiring, x: Sequence[Sequence[Fraction]], y: Sequence[int]) -> None:
        common = lcm(*(v.denominator for row in x for v in row))
        # one factor for all samples, so that q_i that are equal stay so
        self.x = [[v.numerator * (common // v.denominator) for v in row] for row in x]
        self.y = y
        layers = range(len(net.ptr) - 1)
        entries = list(zip(net.row.tolist(), net.col.tolist(), net.par.tolist(), strict=True))
        self.layers = [entries[net.ptr[k] : net.ptr[k + 1]] for k in layers]
        self.units = int(net.uptr[-1])

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
        margins: dict[int, int] = {}
        for i, block in enumerate(setting.blocks.tolist()):
            output, gradient = self._gradient(v, i, setting.gates[i], self.units - 1)
            if margins.setdefault(block, self.y[i] * output) != self.y[i] * output:
                return False
            old = sums.get(block)
            signed = gradient if self.y[i] > 0 else [-g for g in gradient]
            sums[block] = signed if old is None else [a + b for a, b in zip(old, signed, strict=True)]
        found = list(sums.values())
        found += [self._gradient(v, i, setting.gates[i], unit)[1] for i, unit in setting.curved]
        if setting.normals:
            found = [_projected(g, setting.normals) for g in found]
        return all(_contains(basis, pivots, _without(g, still)) for g in found)

    def _gradient(self, v: Vector, sample: int, gates: np.ndarray, unit: int) -> tuple[int, Vector]:
        """The pre-activation of a unit for one sample, and its gradient."""
        opened = gates.tolist()
        h, back, out = [0] * self.units, [0] * self.units, [0] * len(v)
        h[: len(self.x[sample])] = self.x[sample]
        value = 0
        for entries in self.layers:
            for a, b, p in entries:
                if h[b]:
                    # what is shut stays zero, but the unit itself is asked for as it is
                    if opened[a]:
                        h[a] += v[p] * h[b]
                    if a == unit:
                        value += v[p] * h[b]
        back[unit] = 1
        for entries in reversed(self.layers):
            for a, b, p in entries:
                if back[a] and (opened[a] or a == unit):
                    out[p] += back[a] * h[b]
                    back[b] += back[a] * v[p]
        return value, out


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
