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
from harness.flow.invariants.coordinates import Subspace
from harness.flow.invariants.subspaces import Invariants
from harness.problem.instances import Instance, Loss
from harness.problem.networks import Network, convolutional, diagonal, fully_connected

Vector = list[Fraction]

NETWORKS = {
    "fully connected, depth 2": fully_connected("relu", (2, 2)),
    "diagonal, depth 2": diagonal("relu", 3, 2),
    "convolutional, depth 2": convolutional("relu", 4, 2, stride=2),
    "fully connected, depth 3": fully_connected("relu", (2, 2, 2)),
    "diagonal, depth 3": diagonal("relu", 2, 3),
    "slope 1/2": fully_connected("leaky_relu", (2, 2), negative_slope=Fraction(1, 2)),
    "absolute value, depth 3": diagonal("leaky_relu", 2, 3, negative_slope=-1),
    "last fixed": fully_connected("leaky_relu", (2, 3), negative_slope=Fraction(1, 3), fixed={2: (1, -1, 1)}),
    "middle fixed": fully_connected("relu", (2, 2, 2), fixed={2: (2, -1, 1, 1)}),
    "three outputs, depth 1": fully_connected("linear", (2,), outputs=3),
    "three outputs": fully_connected("relu", (2, 2), outputs=3),
    "three outputs, slope 1/2": diagonal("leaky_relu", 2, 2, negative_slope=Fraction(1, 2), outputs=3),
}


class Case:
    """A network, small integer points, gates (n, hidden units of all layers) and a start."""

    def __init__(self, network: Network, loss: Loss, seed: int, slides: bool) -> None:
        rng = np.random.default_rng([seed, slides, *network.widths, network.depth])
        self.network = network
        self.net = wiring(network)
        n, outputs = int(rng.integers(1, 4)), network.outputs
        points = [[Fraction(int(v)) for v in row] for row in rng.integers(-2, 3, (n, network.widths[0]))]
        # a point that is zero is none
        points = [row if any(row) else [Fraction(1)] * len(row) for row in points]
        gates = np.ones((n, int(self.net.uptr[-1])))
        if network.kinked:
            hidden = slice(network.widths[0], int(self.net.uptr[-2]))
            gates[:, hidden] = np.where(rng.random(gates[:, hidden].shape) < 0.8, 1.0, float(network.slope))
        y = [int(v) for v in (2 * rng.integers(0, 2, n) - 1 if outputs == 1 else rng.integers(0, outputs, n))]
        self.theta0 = [Fraction(int(v)) for v in rng.integers(-1, 2, network.size)]
        rows = iter(self.theta0)
        theta0 = [[next(rows) for _ in range(size)] if own is None else own
                  for size, own in zip(network.sizes, network.fixed, strict=True)]  # fmt: skip
        self.instance = Instance.of(network, loss, points, y, theta0)
        rows_of = [(i, own) for i, own in enumerate(y) for _ in range(max(outputs - 1, 1))]
        self.point = [i for i, _ in rows_of]
        self.x = [points[i] for i in self.point]
        # a margin of a class is the difference to another, in order
        others = [k for own in y for k in range(outputs) if k != own] if outputs > 1 else [0] * n
        self.seeds = [
            [Fraction(own)] if outputs == 1 else [Fraction((k == own) - (k == other)) for k in range(outputs)]
            for (_, own), other in zip(rows_of, others, strict=True)
        ]
        self.together = outputs - 1 if outputs > 1 and loss == "logistic" else 1
        self.gates = gates[self.point]
        self.slides: list[tuple[int, int]] = []
        self.normals: list[Vector] = []
        if slides:
            unit = int(self.net.uptr[1])
            normal = self.normal(0, unit)
            if any(normal):
                self.gates[np.array(self.point) == 0, unit] = float(network.slope)
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
        invariants = Invariants(self.instance, self.net, self.normal)
        return invariants.start(self.theta0, self.gates, self.slides, [])

    def tangent(self, v: Vector) -> Vector:
        for normal in self.normals:
            factor = _dot(normal, v) / _dot(normal, normal)
            v = [a - factor * b for a, b in zip(v, normal, strict=True)]
        return v

    def slope(self, i: int, unit: int) -> Fraction:
        return Fraction(1) if self.gates[i, unit] == 1.0 else self.network.slope

    def layers(self, v: Vector) -> list[Sequence[Fraction]]:
        """Every layer's parameters, those of fixed ones in their place."""
        rest = iter(v)
        return [
            own if own is not None else [next(rest) for _ in range(size)]
            for size, own in zip(self.network.sizes, self.network.fixed, strict=True)
        ]

    def inputs(self, i: int, layers: Sequence[Sequence[Fraction]]) -> list[Vector]:
        """What each layer is given, and the outputs."""
        given, unit = [list(self.x[i])], len(self.x[i])
        for pattern, u in zip(self.network.patterns, layers, strict=True):
            given.append([self.slope(i, unit + r) * _row(row, u, given[-1]) for r, row in enumerate(pattern)])
            unit += len(pattern)
        return given

    def margins(self, v: Vector) -> list[Fraction]:
        """q_i(v) under the gates."""
        layers = self.layers(v)
        return [_dot(seed, self.inputs(i, layers)[-1]) for i, seed in enumerate(self.seeds)]

    def gradients(self, v: Vector, project: bool = True) -> list[Vector]:
        """grad q_i(v) under the gates, projected on the kinks, by forward and backward passes in rationals."""
        parts, out = self.layers(v), []
        for i, seed in enumerate(self.seeds):
            inputs = self.inputs(i, parts)
            back, blocks = list(seed), []
            for layer in range(self.network.depth - 1, -1, -1):
                pattern, u = self.network.patterns[layer], parts[layer]
                block, below = [Fraction(0)] * len(u), [Fraction(0)] * len(pattern[0])
                for r, row in enumerate(pattern):
                    for c, k in enumerate(row):
                        if k >= 0:
                            block[k] += back[r] * inputs[layer][c]
                            below[c] += back[r] * u[k]
                blocks.append(block if self.network.trained[layer] else [])
                unit = int(self.net.uptr[layer])
                back = [self.slope(i, unit + c) * b for c, b in enumerate(below)]
            gradient = [a for block in blocks[::-1] for a in block]
            out.append(self.tangent(gradient) if project else gradient)
        return out

    def never_moving(self) -> list[bool]:
        """Coordinates that no gradient moves at a start without structure."""
        generic = [Fraction(int(a)) for a in np.random.default_rng(5).integers(1, 10**9, len(self.theta0))]
        return [not any(g[k] for g in self.gradients(generic)) for k in range(len(self.theta0))]

    def closure(self, held: Sequence[bool]) -> list[Vector]:
        """The reduced row echelon basis of V without the coordinates held, which never move."""
        blocks = self.consistent(_grouped([self.margins(self.theta0)]))
        while True:
            basis = self.closed_under(blocks, held)
            sums = self.sums(basis, self.network.degree)
            finer = self.consistent(_grouped([[Fraction(b) for b in blocks], *map(self.margins, sums)]))
            if finer == blocks:
                return basis
            blocks = finer

    def consistent(self, blocks: list[int]) -> list[int]:
        """With cross entropy the weight of a margin depends on all of its point: those have to be in equal blocks."""
        while self.together > 1:
            points = [blocks[i - i % self.together :][: self.together] for i in range(len(blocks))]
            finer = _grouped([[Fraction(b) for b in blocks], *map(list, zip(*map(sorted, points), strict=True))])
            if finer == blocks:
                break
            blocks = finer
        return blocks

    def sums(self, basis: list[Vector], count: int) -> list[Vector]:
        """All sums of so many vectors of a basis."""
        return [_sum(chosen) for chosen in combinations_with_replacement(basis, count)] if basis else []

    def closed_under(self, blocks: list[int], held: Sequence[bool]) -> list[Vector]:
        """The same for the given blocks."""
        basis = _echelon([_without(self.theta0, held)])
        while True:
            found = list(basis)
            # of degree 1 the gradients are the same everywhere, where there is no basis yet too
            zero = [Fraction(0)] * len(self.theta0)
            for v in self.sums(basis, self.network.degree - 1) if self.network.degree > 1 else [zero]:
                gradients = self.gradients(v)
                members = [[g for g, c in zip(gradients, blocks, strict=True) if c == b] for b in set(blocks)]
                found += [_without(_sum(block), held) for block in members]
            wider = _echelon(found)
            if len(wider) == len(basis):
                return basis
            basis = wider


def _grouped(columns: Sequence[Sequence[Fraction | int]]) -> list[int]:
    """A number a sample, the same where all columns agree."""
    rows = list(zip(*columns, strict=True))
    return [rows.index(row) for row in rows]


def _sum(vectors: Sequence[Vector]) -> Vector:
    return [sum(column, start=Fraction(0)) for column in zip(*vectors, strict=True)]


def _without(v: Vector, held: Sequence[bool]) -> Vector:
    return [Fraction(0) if h else a for a, h in zip(v, held, strict=True)]


def _row(row: Sequence[int], u: Sequence[Fraction], h: Vector) -> Fraction:
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


def settings() -> list[tuple[str, Loss, bool]]:
    """Losses make a difference to the blocks of classes alone; kinks there are in hidden layers."""
    return [
        (name, loss, slides)
        for name, network in NETWORKS.items()
        for loss in (("exponential", "logistic") if network.outputs > 1 else ("exponential",))
        for slides in ((False, True) if network.depth > 1 else (False,))
    ]


@pytest.mark.parametrize(("name", "loss", "slides"), settings())
def test_closure(name: str, loss: Loss, slides: bool) -> None:
    proper = 0
    for seed in range(60):
        case = Case(NETWORKS[name], loss, seed, slides)
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
    # of a convex problem, or with one layer of two weights, most subspaces are all or nothing
    assert proper >= 5, "the draws have proper invariant subspaces"
