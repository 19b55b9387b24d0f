"""Proofs that no feasible point near a limit costs less, to second order (certificates/balls.py).

A tree over the gates of the kinks that matter; at every leaf multipliers of the limit with these gates and an
augmented Lagrangian that is convex near it, up to rotations of neurons into each other.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
from scipy.optimize import nnls

from harness.certificates.numbers import squared_norm
from harness.certificates.taylor import bounds, sqrt_up
from harness.margin.expansion import Expansion, Place
from harness.margin.products import header
from harness.margin.proofs import attested, text
from harness.margin.verdict import Verdict

MAX_KINKS = 8
# Multipliers less than this share of the largest are taken for zero.
SMALL = 1e-9
PENALTIES = (1.0, 8.0, 64.0, 512.0, 4096.0)


class _Fails(Exception):
    """No proof of this kind; the text says why."""


def no_better_nearby(near: Expansion, certify: bool) -> Verdict:
    """ "optimal" with its proof, or "undecided" with the reason."""
    limit = near.limit
    assert limit.value is not None
    places = [*near.loud, *near.quiet]
    if len(places) > MAX_KINKS:
        return Verdict("undecided", limit.value, None, f"{len(places)} kinks are too many to go through")
    try:
        rotations = _rotations(near)
        leaves = [
            _Leaf(near, dict(zip(places, choice, strict=True)), rotations)
            for choice in itertools.product((1, 0), repeat=len(places))
        ]
        radius = min(leaf.radius for leaf in leaves)
        radius = min(radius, _room(near)) / 2.0
        tree = _tree(places, [leaf.document(radius) for leaf in leaves])
    except _Fails as why:
        return Verdict("undecided", limit.value, None, str(why))
    certificate = {
        **header(limit, "ball", "local"),
        "signs": [s.tolist() for s in near.signs] if near.signs else None,
        "radius": text(_short(radius)),
        "rotations": [[layer + 1, j + 1, k + 1] for layer, j, k in rotations],
        "tree": tree,
    }
    reason = "the augmented Lagrangian is convex next to the limit"
    return attested(limit.instance, Verdict("optimal", limit.value, limit.value, reason, certificate), certify)


def _short(value: float) -> Fraction:
    """A short rational at most the value: a power of two."""
    return Fraction(2) ** int(np.floor(np.log2(value)))


class _Leaf:
    """One choice of gates: multipliers, the penalty and the radius with which the proof goes through."""

    def __init__(self, near: Expansion, gates: Mapping[Place, int], rotations: list[tuple[int, int, int]]) -> None:
        self.near = near
        local = near.smooth(gates)
        sides = {p: 1.0 if gate else -1.0 for p, gate in gates.items()}
        normals = {p: sides[p] * local.kinks[p][0] for p in near.loud}
        columns = np.vstack([local.rows, np.array(list(normals.values())).reshape(-1, len(near.flat))])
        weights, gap = nnls(columns.T, near.flat)
        if gap > 1e-9 * np.linalg.norm(near.flat):
            where = "next to a kink" if near.loud else "at the limit"
            raise _Fails(f"there are no multipliers {where}, and no curve was found")
        top = float(weights.max())
        weights = np.where(weights > SMALL * top, weights, 0.0)
        count = len(near.active)
        self.alpha = dict(zip(near.active, weights[:count].tolist(), strict=True))
        self.nu = {p: v for p, v in zip(near.loud, weights[count:].tolist(), strict=True) if v}
        used = [a for a in range(count) if weights[a]]
        hessian = np.eye(len(near.flat)) - np.einsum("a,aij->ij", weights[:count], local.hessians)
        outer = np.einsum("ai,aj->ij", local.rows[used], local.rows[used])
        for p, v in self.nu.items():
            hessian -= v * sides[p] * local.kinks[p][1]
            outer += np.outer(normals[p], normals[p])
        tangents = [_tangent(near, *rotation) for rotation in rotations]
        self.tau = 1.0
        turned = sum((np.outer(t, t) for t in tangents), start=np.zeros_like(outer))
        best = (0.0, 1.0)
        for rho in PENALTIES:
            least = float(np.linalg.eigvalsh(hessian + rho * outer + self.tau * turned)[0])
            # The radius goes like the least eigenvalue over the penalty.
            if least / (1.0 + rho) > best[0] / (1.0 + best[1]):
                best = least, rho
        self.mu, self.rho = 0.9 * best[0], best[1]
        if self.mu < 1e-6:
            raise _Fails("the second-order test is not strict")
        self.radius = self._radius()

    def _radius(self) -> float:
        """The largest radius, about, that mu, rho and the multipliers allow."""
        near = self.near
        theta = tuple(tuple(Fraction(float(v)) for v in u) for u in near.limit.theta or ())
        limits = bounds(near.network, theta, Fraction(1, 1000))
        third, radius = 0.0, 1e-3
        depth = near.network.depth
        for i, weight, degree in [
            *((i, a, depth) for i, a in self.alpha.items() if a),
            *((p[0], v, p[1] + 1) for p, v in self.nu.items()),
        ]:
            x = sqrt_up(squared_norm(near.limit.instance.x[i]))
            k1, k2, k3 = (float(v) for v in limits.of(degree, x))
            third += 3.0 * weight * k3 + 3.0 * self.rho * k1 * k2
            radius = min(radius, weight / (self.rho * k1))
        return min(radius, 3.0 * self.mu / third if third else radius)

    def document(self, radius: float) -> dict[str, Any]:
        """The leaf as the certificate has it."""
        alpha = [text(self.alpha.get(i, 0.0)) for i in range(self.near.limit.instance.n)]
        nu = [[i, layer + 1, j + 1, text(v)] for (i, layer, j), v in self.nu.items()]
        return {
            "alpha": alpha,
            "nu": nu,
            "rho": text(self.rho),
            "tau": text(self.tau),
            "mu": text(_short(self.mu)),
        }


def _tree(places: list[Place], leaves: list[dict[str, Any]]) -> dict[str, Any]:
    """The leaves, in the order of itertools.product over on and off, as a tree."""
    if not places:
        return leaves[0]
    half = len(leaves) // 2
    i, layer, j = places[0]
    return {
        "split": [i, layer + 1, j + 1],
        "on": _tree(places[1:], leaves[:half]),
        "off": _tree(places[1:], leaves[half:]),
    }


def _room(near: Expansion) -> float:
    """How far theta can move before a pre-activation with a sign may lose it."""
    theta = tuple(tuple(Fraction(float(v)) for v in u) for u in near.limit.theta or ())
    limits = bounds(near.network, theta, Fraction(1, 1000))
    room = 1e-3
    h = near.x
    for layer, sign in enumerate(near.signs):
        pattern, u = near.network.patterns[layer], near.limit.theta
        assert u is not None
        a = h @ np.append(u[layer], 0.0)[np.array(pattern)].T
        steep = np.linalg.norm(near.x, axis=1)[:, None] * float(limits.first[layer + 1])
        clear = np.abs(a) / steep
        room = min(room, float(clear[sign != 0].min(initial=room)))
        h = np.where(sign > 0, a, 0.0)
    return room


def _rotations(near: Expansion) -> list[tuple[int, int, int]]:
    """Pairs of neurons that can be rotated into each other and are not zero."""
    out = []
    for layer, width in enumerate(near.network.widths[1:-1]):
        for j, k in itertools.combinations(range(width), 2):
            if near.signs:
                signs = near.signs[layer][near.active]
                if (signs[:, j] != signs[:, k]).any() or (signs[:, j] == 0).any():
                    continue
            tangent = _tangent(near, layer, j, k)
            if tangent.any():
                out.append((layer, j, k))
    return out


def _tangent(near: Expansion, layer: int, j: int, k: int) -> np.ndarray:
    """The motion of theta when the neurons turn; zero where they cannot."""
    network = near.network
    offsets = np.cumsum([0, *network.sizes])
    tangent = np.zeros(len(near.flat))
    above = np.array(network.patterns[layer + 1])
    for at, first, second in (
        (layer, np.array(network.patterns[layer][j]), np.array(network.patterns[layer][k])),
        (layer + 1, above[:, j], above[:, k]),
    ):
        used = [p for row in network.patterns[at] for p in row if p >= 0]
        for a, b in zip(first.tolist(), second.tolist(), strict=True):
            if (a < 0) != (b < 0) or any(p >= 0 and used.count(p) != 1 for p in (a, b)):
                return np.zeros(len(near.flat))
            if a >= 0:
                tangent[offsets[at] + a] = -near.flat[offsets[at] + b]
                tangent[offsets[at] + b] = near.flat[offsets[at] + a]
    return tangent
