"""The invariant subspace found modulo primes against one found here in rationals.

Exactly, with gates held fixed: V contains theta0, and with every v in V all gradients grad q_i(v), projected on the
sliding kinks.  grad q_i is a polynomial of degree m - 1 in v, so that for depth 2 a basis of V is enough, and for
depth 3 a basis and the sums of its pairs (polarisation).
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest

from harness.flow.invariants import Invariants
from harness.flow.kernel import wiring
from harness.networks import Network, convolutional, diagonal, fully_connected

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
        n = int(rng.integers(1, 3))
        self.x = [[Fraction(int(v)) for v in row] for row in rng.integers(-2, 3, (n, network.widths[0]))]
        self.gates = np.ones((n, int(self.net.uptr[-1])))
        hidden = slice(network.widths[0], int(self.net.uptr[-2]))
        self.gates[:, hidden] = rng.random(self.gates[:, hidden].shape) < 0.8
        self.theta0 = [Fraction(int(v)) for v in rng.integers(-1, 2, sum(network.sizes))]
        self.slides: list[tuple[int, int]] = []
        self.normals: list[Vector] = []
        if slides:
            unit = int(self.net.uptr[1])
            normal = [Fraction(0)] * len(self.theta0)
            for c, k in enumerate(network.patterns[0][0]):
                if k >= 0:
                    normal[k] += self.x[0][c]
            if any(normal):
                self.gates[0, unit] = 0.0
                self.slides = [(0, unit)]
                self.normals = [normal]
                # the flow slides on a kink, so the start lies on it
                self.theta0 = self.tangent(self.theta0)

    def tangent(self, v: Vector) -> Vector:
        for normal in self.normals:
            factor = _dot(normal, v) / _dot(normal, normal)
            v = [a - factor * b for a, b in zip(v, normal, strict=True)]
        return v

    def gradients(self, v: Vector) -> list[Vector]:
        """grad Phi(v; x_i) under the gates, projected on the kinks, by forward and backward passes in rationals."""
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
            back, blocks = [Fraction(1)], []
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
            out.append(self.tangent([a for block in blocks[::-1] for a in block]))
        return out

    def never_moving(self) -> list[bool]:
        """Coordinates that no gradient moves at a start without structure."""
        generic = [Fraction(p) for p in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)][: len(self.theta0)]
        return [not any(g[k] for g in self.gradients(generic)) for k in range(len(self.theta0))]

    def closure(self, held: Sequence[bool]) -> list[Vector]:
        """The reduced row echelon basis of V without the coordinates held, which never move."""
        basis = _echelon([[Fraction(0) if h else a for a, h in zip(self.theta0, held, strict=True)]])
        while True:
            points = list(basis)
            if self.network.depth > 2:
                points += [[a + b for a, b in zip(v, w, strict=True)] for v, w in combinations(basis, 2)]
            wider = _echelon(basis + [g for v in points for g in self.gradients(v)])
            if len(wider) == len(basis):
                return basis
            basis = wider


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
    for seed in range(25):
        case = Case(NETWORKS[name], seed, slides)
        normals = [tuple(normal) for normal in case.normals]
        found = Invariants(case.net, tuple(map(tuple, case.x))).start(case.theta0, case.gates, case.slides, [])
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
