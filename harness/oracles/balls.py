"""Proofs that no feasible point near a limit costs less, to second order (certificates/balls.py).

A tree over the gates of the kinks that matter; at every leaf multipliers of the limit with these gates and an
augmented Lagrangian that is convex near it, up to rotations of neurons into each other.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from scipy.optimize import least_squares, nnls

from harness.certificates.gradients import cut_off, side_of
from harness.certificates.symmetries import pairs
from harness.certificates.taylor import bounds
from harness.oracles.dead import DeadNeuron, Pull, Wakes, dead_neurons
from harness.oracles.exact import between, exact_theta, header
from harness.oracles.expansion import Expansion
from harness.oracles.proofs import attested
from harness.oracles.verdict import Verdict
from harness.problem.evaluation import evaluate
from harness.problem.numbers import as_json
from harness.problem.places import HiddenNeuron, Place

MAX_KINKS = 8
# Multipliers less than this share of the largest are taken for zero.
SMALL = 1e-9
PENALTIES = (0.25, 1.0, 4.0, 16.0, 64.0, 512.0, 4096.0)


class _Fails(Exception):
    """No proof of this kind; the text says why."""


def no_better_nearby(near: Expansion, certify: bool, *, split: bool = True) -> Verdict:
    """ "optimal" with its proof, or "undecided" with the reason.

    Kinks are mixed where that is possible, which needs no tree; else they are split, unless `split` is false.
    """
    mixed = _mixed(near)
    verdict = _attempt(near, mixed, certify, split)
    if split and verdict.status == "undecided" and mixed:
        second = _attempt(near, {}, certify, split)
        return verdict if second.status == "undecided" else second
    return verdict


def _attempt(near: Expansion, mixed: Mapping[Place, float], certify: bool, split: bool) -> Verdict:
    point = near.point
    dead = dead_neurons(near)
    skipped = {i for i, a in zip(near.active, near.multipliers.tolist(), strict=True) if not a} if mixed else set()
    kept = {near.leaders[i] for i in near.active if i not in skipped}
    done = {place._replace(sample=near.leaders[place.sample]) for place in mixed}
    places = [
        place
        for place in (*near.loud, *near.quiet)
        if place.hidden not in dead and place not in done and place.sample in kept
    ]
    if len(places) > (MAX_KINKS if split else 0):
        return Verdict("undecided", point.value, None, f"{len(places)} kinks are too many to go through")
    try:
        rotations = _rotations(near, mixed, skipped)
        leaves = [
            _Leaf(near, dict(zip(places, choice, strict=True)), mixed, rotations, dead)
            for choice in itertools.product((1, 0), repeat=len(places))
        ]
        radius = min(leaf.radius for leaf in leaves)
        radius = 0.9 * min(radius, _room(near))
        tree = _tree(places, [leaf.document(radius) for leaf in leaves])
    except (_Fails, Wakes) as why:
        return Verdict("undecided", point.value, None, str(why))
    certificate = {
        **header(exact_theta(near.network, point.theta), "ball", "local"),
        "signs": [s.tolist() for s in near.signs] if near.signs else None,
        "radius": as_json(_short(radius)),
        "rotations": [[*HiddenNeuron(layer, j).as_json(), k + 1] for layer, j, k in rotations],
        "tree": tree,
    }
    reason = "the augmented Lagrangian is convex next to the limit"
    verdict = Verdict("optimal", point.value, point.value, reason, certificate)
    found = attested(point.problem, verdict, certify)
    if found.status == "undecided":
        # Rounded margins may be too far from 1 for a small ball.
        finer = replace(verdict, certificate={**certificate, "theta": _refined(near)})
        found = attested(point.problem, finer, certify)
    return found


def _refined(near: Expansion) -> list[list[int | str]]:
    """theta with active margins of 1 to twice the digits of floats: a Newton step from the exact margins."""
    point = near.point
    exact = exact_theta(near.network, point.theta)
    margins = point.problem.margins(exact)
    off = np.array([float(1 - margins[i]) for i in near.active])
    rows = near.smooth(near.own(near.loud)).rows
    step = np.where(near.flat == 0.0, 0.0, np.linalg.lstsq(rows, off, rcond=1e-11)[0])
    moved = near.network.split(step)
    return [
        [as_json(a + Fraction(float(b)) if own else a) for a, b in zip(u, part, strict=True)]
        for u, part, own in zip(exact, moved, near.network.trained, strict=True)
    ]


def _mixed(near: Expansion) -> dict[Place, float]:
    """Coefficients of the kinks whose bend lowers the margin, or that are cut off by coefficients of 0.

    By margin; all margins with a multiplier of a sample, or none.  Those of parallel neurons are made equal.
    """
    weighty = {i for i, a in zip(near.active, near.multipliers.tolist(), strict=True) if a}
    own = {p: _snapped(near, c) for p, c in near.own(near.loud).items() if p.sample in weighty}
    if any(p.sample == q.sample and p.layer < q.layer for p, q in itertools.permutations(own, 2)):
        own = _independent(near, own)
    heights = {i: _heights(near, i, own) for i in {p.sample for p in own}}
    base = {p: float(heights[p.sample][p.layer][p.neuron]) for p in own}
    side = side_of(near.network)
    found = {p: c for p, c in own.items() if side * base[p] < -1e-9}
    for layer, width in enumerate(near.network.widths[1:-1] if found else ()):
        for j, k in itertools.combinations(range(width), 2):
            if pairs(near.network, (layer, j, k)) is None or (near.signs[layer][:, j] != near.signs[layer][:, k]).any():
                continue
            for i in weighty:
                first, second = Place(i, layer, j), Place(i, layer, k)
                if first in found and second in found and abs(found[first] - found[second]) < 1e-6:
                    found[second] = found[first]
    for place in sorted((p for p in own if p not in found), key=lambda p: -p.layer):
        i = place.sample
        gates: dict[tuple[int, int], Any] = {
            (k, r): near.gate(s > 0) for k, block in enumerate(near.signs) for r, s in enumerate(block[i].tolist()) if s
        }
        gates |= {p.hidden: c for p, c in found.items() if p.sample == i}
        if cut_off(near.network, gates, place.hidden):
            found[place] = near.below
    leading = {p: p._replace(sample=near.leaders[p.sample]) for p in own}
    left = {leading[p] for p in own if p not in found}
    return {p: c for p, c in found.items() if leading[p] not in left}


def _snapped(near: Expansion, c: float) -> float:
    return next((slope for slope in (near.below, 1.0) if abs(c - slope) < 1e-12), c)


def _independent(near: Expansion, start: Mapping[Place, float]) -> dict[Place, float]:
    """Coefficients with which independent gates satisfy the KKT conditions, near those of gates that may depend."""
    low, high = sorted((near.below, 1.0))
    places = [p for p, c in start.items() if low < c < high]
    count = len(places)

    def rest(z: np.ndarray) -> np.ndarray:
        gates = {**start, **dict(zip(places, z[:count].tolist(), strict=True))}
        return near.flat - z[count:] @ near.smooth(gates).rows

    if not count or np.abs(rest(np.append([start[p] for p in places], near.multipliers))).max() < 1e-13:
        return dict(start)
    top = np.append(np.full(count, high), np.full(len(near.multipliers), np.inf))
    bottom = np.append(np.full(count, low), np.zeros(len(near.multipliers)))
    guess = np.clip(np.append([start[p] for p in places], near.multipliers), bottom, top)
    found = least_squares(rest, guess, bounds=(bottom, top), xtol=1e-15, ftol=1e-15, gtol=1e-15).x
    return {**start, **{p: _snapped(near, c) for p, c in zip(places, found[:count].tolist(), strict=True)}}


def _heights(near: Expansion, i: int, gates: Mapping[Place, float]) -> list[np.ndarray]:
    """For every hidden layer, the slopes of q_i at the neurons' outputs, with these gates."""
    # Not by evaluate(): one margin, and gates that are mixed.
    matrices, on = near.network.matrices(near.point.theta), near.mixed(i, gates)
    back = near.seeds[i] @ matrices[-1]
    out = [back]
    for layer in range(len(matrices) - 2, 0, -1):
        back = (on[layer] * back) @ matrices[layer]
        out.insert(0, back)
    return out


def _short(value: float) -> Fraction:
    """A short rational at most the value and hardly less: eighths of a power of two."""
    unit = Fraction(2) ** int(np.floor(np.log2(value)) - 3)
    return int(Fraction(value) / unit) * unit


class _Leaf:
    """One choice of gates: multipliers, the penalty and the radius with which the proof goes through."""

    def __init__(
        self,
        near: Expansion,
        gates: Mapping[Place, int],
        mixed: Mapping[Place, float],
        rotations: list[tuple[int, int, int]],
        dead: list[HiddenNeuron],
    ) -> None:
        self.near, self.mixed = near, mixed
        # Dead neurons have trees of their own; a gate of 0 leaves them out of this one.
        dormant = {p: 0.0 for p in near.quiet if p.hidden in dead}
        local = near.smooth({**near.sided(gates), **mixed, **dormant})
        sides = {p: 1.0 if gate else -1.0 for p, gate in gates.items()}
        split = [p for p in near.loud if p in gates]
        normals = {p: sides[p] * local.kinks[p][0] for p in split}
        # Margins whose kinks are not gone through get no multiplier.
        mine = [a for a, weight in enumerate(near.multipliers) if weight or not mixed]
        columns = np.vstack([local.rows[mine], np.array(list(normals.values())).reshape(-1, len(near.flat))])
        weights, gap = nnls(columns.T, near.flat)
        if gap > 1e-9 * np.linalg.norm(near.flat):
            where = "next to a kink" if split else "at the limit"
            raise _Fails(f"there are no multipliers {where}, and no curve was found")
        top = float(weights.max())
        weights = np.where(weights > SMALL * top, weights, 0.0)
        self.alpha = {near.active[a]: w for a, w in zip(mine, weights[: len(mine)].tolist(), strict=True)}
        self.nu = {p: v for p, v in zip(split, weights[len(mine) :].tolist(), strict=True) if v}
        used = [a for a, w in zip(mine, weights, strict=False) if w]
        hessian = np.eye(len(near.flat))
        for a, w in zip(mine, weights, strict=False):
            hessian -= w * local.hessians[a]
        outer = np.einsum("ai,aj->ij", local.rows[used], local.rows[used])
        for p, v in self.nu.items():
            hessian -= v * sides[p] * local.kinks[p][1]
            outer += np.outer(normals[p], normals[p])
        low, high = sorted((near.below, 1.0))
        self.squares = [p for p, c in mixed.items() if low + 1e-6 < c < high - 1e-6 and self._lowest(p)]
        self.squares = [p for p in self.squares if self.alpha[p.sample]]
        bent = [local.kinks[p._replace(sample=near.leaders[p.sample])][0] for p in self.squares]
        square = sum((np.outer(n, n) for n in bent), start=np.zeros_like(outer))
        turned = sum(
            (np.outer(t, t) for t in (_tangent(near, *rotation) for rotation in rotations)), start=np.zeros_like(outer)
        )
        self.tau = 1.0
        self.mu, self.rho, self.weight = self._penalties(hessian, outer, square, self.tau * turned)
        if not self.mu:
            raise _Fails("the second-order test is not strict")
        if not self.weight:
            self.squares = []
        pulls = [
            *(Pull.of_margin(near, i, a) for i, a in self.alpha.items() if a),
            *(Pull.of_kink(near, p, sides[p], v) for p, v in self.nu.items()),
        ]
        every = {**near.sided(gates), **mixed}
        self.dead = {neuron: DeadNeuron(near, neuron, every, pulls, self.tau).proof() for neuron in dead}
        self.mu = min([self.mu, *(0.9 * proof.least for proof in self.dead.values())])
        third = sum(proof.third for proof in self.dead.values())
        self.radius = self._radius(self.mu, self.rho, self.weight, third)

    def _penalties(
        self, hessian: np.ndarray, outer: np.ndarray, square: np.ndarray, turned: np.ndarray
    ) -> tuple[float, float, float]:
        """mu, rho, weight with which it grows most towards the edge of the ball; zeros where none is convex."""
        best, found = -np.inf, (0.0, 0.0, 0.0)
        for rho, weight in itertools.product(PENALTIES, (0.0, *PENALTIES) if self.squares else (0.0,)):
            bent = hessian + rho * outer + weight * square + turned
            mu = 0.9 * float(np.linalg.eigvalsh(bent)[0])
            if mu > 1e-6:
                growth = mu * self._radius(mu, rho, weight, 0.0) ** 2
                if growth > best:
                    best, found = growth, (mu, rho, weight)
        return found

    def _lowest(self, place: Place) -> bool:
        return not any(p.sample == place.sample and p.layer < place.layer for p in self.mixed)

    def _radius(self, mu: float, rho: float, weight: float, third: float) -> float:
        """The largest radius, about, that these and the multipliers allow."""
        near, radius = self.near, 1e-3
        depth = near.network.depth
        for i, most, degree, penalty in [
            *((i, a, depth, rho) for i, a in self.alpha.items() if a),
            *((p.sample, v, p.layer + 1, rho) for p, v in self.nu.items()),
            *((p.sample, self._reach(p), p.layer + 1, weight) for p in self.squares if weight),
        ]:
            k1, k2, k3 = near.steepness(i, degree)
            third += 3.0 * most * k3 + 3.0 * penalty * k1 * k2
            radius = min(radius, 0.9 * most / (penalty * k1))
        return min(radius, 1.4 * mu / third if third else radius)

    def _reach(self, place: Place) -> float:
        """weight |p| may be this much."""
        i, layer, j = place
        c = self.mixed[place]
        slope = side_of(self.near.network) * float(_heights(self.near, i, self.mixed)[layer][j])
        return -self.alpha[i] * slope * min(abs(c - self.near.below), abs(1.0 - c))

    def document(self, radius: float) -> dict[str, Any]:
        """The leaf as the certificate has it."""
        alpha = [as_json(self.alpha.get(i, 0.0)) for i in range(len(self.near.seeds))]
        nu = [[*p.as_json(), as_json(v)] for p, v in self.nu.items()]
        return {
            "alpha": alpha,
            "nu": nu,
            "rho": as_json(self.rho),
            "tau": as_json(self.tau),
            "mu": as_json(_short(self.mu)),
            "mixed": [
                [
                    *p.as_json(),
                    as_json(between(self.near.network, c)),
                    as_json(self.weight if p in self.squares else 0.0),
                ]
                for p, c in self.mixed.items()
                if self.alpha[p.sample]
            ],
            "dead": [[*neuron.as_json(), proof.tree] for neuron, proof in self.dead.items()],
        }


def _tree(places: list[Place], leaves: list[dict[str, Any]]) -> dict[str, Any]:
    """The leaves, in the order of itertools.product over on and off, as a tree."""
    if not places:
        return leaves[0]
    half = len(leaves) // 2
    return {
        "split": places[0].as_json(),
        "on": _tree(places[1:], leaves[:half]),
        "off": _tree(places[1:], leaves[half:]),
    }


def _room(near: Expansion) -> float:
    """How far theta can move before a pre-activation with a sign may lose it."""
    limits = bounds(near.network, exact_theta(near.network, near.point.theta), Fraction(1, 1000))
    room = 1e-3
    at = evaluate(near.network, near.point.theta, near.x, [sign > 0 for sign in near.signs])
    for layer, (sign, a) in enumerate(zip(near.signs, at.preactivations, strict=False), start=1):
        if not limits.first[layer]:
            continue
        steep = np.linalg.norm(near.x, axis=1)[:, None] * float(limits.first[layer])
        clear = np.abs(a) / steep
        room = min(room, float(clear[sign != 0].min(initial=room)))
    return room


def _rotations(near: Expansion, mixed: Mapping[Place, float], skipped: Collection[int]) -> list[tuple[int, int, int]]:
    """Pairs of neurons that can be rotated into each other and are not zero."""
    margins = [i for i in near.active if i not in skipped]

    def gates(layer: int, j: int) -> list[float | None]:
        signs = [int(near.signs[layer][i][j]) for i in margins] if near.signs else []
        return [
            near.gate(s > 0) if s else mixed.get(Place(i, layer, j)) for i, s in zip(margins, signs, strict=bool(signs))
        ]

    out = []
    for layer, width in enumerate(near.network.widths[1:-1]):
        for j, k in itertools.combinations(range(width), 2):
            own = gates(layer, j)
            if None in own or own != gates(layer, k):
                continue
            tangent = _tangent(near, layer, j, k)
            if tangent.any():
                out.append((layer, j, k))
    return out


def _tangent(near: Expansion, layer: int, j: int, k: int) -> np.ndarray:
    """The motion of theta when the neurons turn; zero where they cannot."""
    tangent = np.zeros(len(near.flat))
    for a, b in pairs(near.network, (layer, j, k)) or ():
        tangent[a], tangent[b] = -near.flat[b], near.flat[a]
    return tangent
