"""The invariant subspace found modulo primes against one found here in rationals.

Exactly, with gates held fixed: V contains theta0, and with every v in V the gradients at v of the sums of the q_i over
each block, projected on the sliding kinks.  The blocks are samples of equal q at the start, split where their q differ
on V.  q_i is a polynomial of degree m and its gradient one of degree m - 1, so that sums of so many vectors of a basis,
with repetition, are enough to tell (polarisation).
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations_with_replacement

import numpy as np
import pytest

from harness.flow.compiled.kernel import wiring
from harness.flow.invariants.subspaces import Invariants, Subspace
from harness.problem.networks import Network, convolutional, diagonal, fully_connected

Vector = list[Fraction]

NETWORKS = {
    "fully connected, depth 2": fully_connected("relu", (2, 2)),
    "diagonal, depth 2": diagonal("relu", 3, 2),
    "convolutional, depth 2": convolutional("relu", 4, 2, stride=2),
    "fully connected, depth 3": fully_connected("relu", (2, 2, 2)),
    "diagonal, depth 3": diagonal("relu", 2, 3),
}


class Case:
    """A network, small integer points, gates (n, hidden units of all layers) and a start."""

    def __init__(self, network: Network, seed: int, slides: bool) -> None:
        rng = np.random.default_rng([seed, slides, *network.widths, network.depth])
        self.network = network
        self.net = wiring(network)
        n = int(rng.integers(1, 4))
        self.x = [[Fraction(int(v)) for v in row] for row in rng.integers(-2, 3, (n, network.widths[0]))]
        self.gates = np.ones((n, int(self.net.uptr[-1])))
        hidden = slice(network.widths[0], int(self.net.uptr[-2]))
        self.gates[:, hidden] = rng.random(self.gates[:, hidden].shape) < 0.8
        self.y = [1 if v else -1 for v in rng.integers(0, 2, n)]
        self.theta0 = [Fraction(int(v)) for v in rng.integers(-1, 2, sum(network.sizes))]
        self.slides: list[tuple[int, int]] = []
        self.normals: list[Vector] = []
        if slides:
            unit = int(self.net.uptr[1])
            normal = self.normal(0, unit)
            if any(normal):
                self.gates[0, unit] = 0.0
                self.slides = [(0, unit)]
                self.normals = [normal]
                # the flow slides on a kink, so the start lies on it
                self.theta0 = self.tangent(self.theta0)

    def normal(self, sample: int, unit: int) -> Vector:
        """The gradient of the pre-activation of a first-layer unit."""
        out = [Fraction(0)] * len(self.theta0)
        for c, k in enumerate(self.network.patterns[0][unit - int(self.net.uptr[1])]):
            if k >= 0:
                out[k] += self.x[sample][c]
        return out

    def found(self) -> Subspace:
        """V as the trainer has it."""
        invariants = Invariants(self.net, self.x, self.y, self.normal)
        return invariants.start(self.theta0, self.gates, self.slides, [])

    def tangent(self, v: Vector) -> Vector:
        for normal in self.normals:
            factor = _dot(normal, v) / _dot(normal, normal)
            v = [a - factor * b for a, b in zip(v, normal, strict=True)]
        return v

    def margins(self, v: Vector) -> list[Fraction]:
        """q_i(v) under the gates; a multilinear form, so the sum of a layer's parameters times their derivatives."""
        last = self.network.sizes[-1]
        return [_dot(g[-last:], v[-last:]) for g in self.gradients(v, project=False)]

    def gradients(self, v: Vector, project: bool = True) -> list[Vector]:
        """grad q_i(v) under the gates, projected on the kinks, by forward and backward passes in rationals."""
        parts, start = [], 0
        for size in self.network.sizes:
            parts.append(v[start : start + size])
            start += size
        out = []
        for i, x in enumerate(self.x):
            inputs, unit = [list(x)], len(x)
            for pattern, u in zip(self.network.patterns[:-1], parts, strict=False):
                gate = self.gates[i, unit : unit + len(pattern)]
                unit += len(pattern)
                h = [_row(row, u, inputs[-1]) if g else Fraction(0) for row, g in zip(pattern, gate, strict=True)]
                inputs.append(h)
            back, blocks = [Fraction(self.y[i])], []
            for layer in range(self.network.depth - 1, -1, -1):
                pattern, u = self.network.patterns[layer], parts[layer]
                block, below = [Fraction(0)] * len(u), [Fraction(0)] * len(pattern[0])
                for r, row in enumerate(pattern):
                    for c, k in enumerate(row):
                        if k >= 0:
                            block[k] += back[r] * inputs[layer][c]
                            below[c] += back[r] * u[k]
                blocks.append(block)
                unit = int(self.net.uptr[layer])
                back = [b if self.gates[i, unit + c] else Fraction(0) for c, b in enumerate(below)]
            gradient = [a for block in blocks[::-1] for a in block]
            out.append(self.tangent(gradient) if project else gradient)
        return out

    def never_moving(self) -> list[bool]:
        """Coordinates that no gradient moves at a start without structure."""
        generic = [Fraction(p) for p in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)][: len(self.theta0)]
        return [not any(g[k] for g in self.gradients(generic)) for k in range(len(self.theta0))]

    def closure(self, held: Sequence[bool]) -> list[Vector]:
        """The reduced row echelon basis of V without the coordinates held, which never move."""
        blocks = _grouped([self.margins(self.theta0)])
        while True:
            basis = self.closed_under(blocks, held)
            finer = _grouped([[Fraction(b) for b in blocks], *map(self.margins, self.sums(basis, self.network.depth))])
            if finer == blocks:
                return basis
            blocks = finer

    def sums(self, basis: list[Vector], count: int) -> list[Vector]:
        """All sums of so many vectors of a basis."""
        return [_sum(chosen) for chosen in combinations_with_replacement(basis, count)] if basis else []

    def closed_under(self, blocks: list[int], held: Sequence[bool]) -> list[Vector]:
        """The same for the given blocks."""
        basis = _echelon([_without(self.theta0, held)])
        while True:
            found = list(basis)
            for v in self.sums(basis, max(self.network.depth - 1, 1)):
                gradients = self.gradients(v)
                members = [[g for g, c in zip(gradients, blocks, strict=True) if c == b] for b in set(blocks)]
                found += [_without(_sum(block), held) for block in members]
            wider = _echelon(found)
            if len(wider) == len(basis):
                return basis
            basis = wider


def _grouped(columns: list[list[Fraction]]) -> list[int]:
    """A number a sample, the same where all columns agree."""
    rows = list(zip(*columns, strict=True))
    return [rows.index(row) for row in rows]


def _sum(vectors: Sequence[Vector]) -> Vector:
    return [sum(column, start=Fraction(0)) for column in zip(*vectors, strict=True)]


def _without(v: Vector, held: Sequence[bool]) -> Vector:
    return [Fraction(0) if h else a for a, h in zip(v, held, strict=True)]


def _row(row: Sequence[int], u: Vector, h: Vector) -> Fraction:
    return sum((u[k] * a for k, a in zip(row, h, strict=True) if k >= 0), start=Fraction(0))


def _dot(a: Vector, b: Vector) -> Fraction:
    return sum((p * q for p, q in zip(a, b, strict=True)), start=Fraction(0))


def _echelon(rows: list[Vector]) -> list[Vector]:
    """The reduced row echelon form, without zero rows."""
    rows = [list(row) for row in rows]
    done = 0
    for column in range(len(rows[0]) if rows else 0):
        pivot = next((r for r in range(done, len(rows)) if rows[r][column]), None)
        if pivot is None:
            continue
        rows[done], rows[pivot] = rows[pivot], rows[done]
        lead = rows[done][column]
        rows[done] = [a / lead for a in rows[done]]
        for r in range(len(rows)):
            if r != done and rows[r][column]:
                factor = rows[r][column]
                rows[r] = [a - factor * b for a, b in zip(rows[r], rows[done], strict=True)]
        done += 1
    return rows[:done]


@pytest.mark.parametrize("slides", [False, True], ids=["no slide", "slide"])
@pytest.mark.parametrize("name", NETWORKS)
def test_closure(name: str, slides: bool) -> None:
    proper = 0
    for seed in range(60):
        case = Case(NETWORKS[name], seed, slides)
        normals = [tuple(normal) for normal in case.normals]
        found = case.found()
        assert found.exact, seed
        still = np.array(case.never_moving())
        assert not (found.constant & ~still).any(), f"{seed}: a coordinate that moves is held constant"
        # one that only the projection on a slide could have moved may be kept as a coordinate
        touched = np.array([any(normal[k] for normal in normals) for k in range(len(still))])
        assert not (still & ~found.constant & ~touched).any(), seed
        expected = case.closure(list(found.constant))
        exact = np.array([[float(a) for a in row] for row in expected]).reshape(-1, len(still))
        np.testing.assert_allclose(found.basis.T, exact, rtol=1e-12, err_msg=str(seed))
        # the rows of the pivots are the identity: they are the coordinates
        np.testing.assert_array_equal(found.basis[found.pivots], np.eye(len(exact)))
        proper += 0 < len(exact) < len(case.theta0) - int(found.constant.sum())
    assert proper >= 5, "the draws have proper invariant subspaces"
