"""Curves theta + eps d + eps^2 e along which the margins hold and the norm falls (certificates/curves.py).

In three stages, which tell why a limit is not a local optimum:

saddle        zeros stay zero; along a direction in which all active margins and kinks are stationary the
              Lagrangian bends down;
kink          zeros stay zero; on one side of the kinks the norm can fall to first order, or to second where they are
              not heard;
zero weight   zeros move (where there are kinks: a dead neuron wakes, on the side of its kinks that it moves to).

Zeros are the zero parameters where nothing has a kink, else those of the dead neurons.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from scipy.optimize import linprog

from harness.oracles.dead import DeadNeuron, Pull, dead_neurons
from harness.oracles.exact import exact_theta, header, rounded
from harness.oracles.expansion import Expansion, Smooth
from harness.oracles.proofs import attested
from harness.oracles.verdict import Verdict
from harness.problem.elimination import echelon
from harness.problem.numbers import as_json
from harness.problem.places import Place

# A curvature, or slope, less than this share is not told from zero.
LEAST = 1e-7
MAX_SIDES = 64
STARTS = 12


@dataclass(frozen=True)
class Curve:
    """order 1: e is None.  gates: of the kinks along the curve."""

    order: int
    d: np.ndarray
    e: np.ndarray | None
    gates: dict[Place, int]


def descending(near: Expansion, certify: bool) -> tuple[Verdict, str] | None:
    """The "not optimal" verdict and its mechanism, None where no curve is found."""
    linear = not near.signs
    stages = (
        ("saddle", _saddles(near)),
        ("kink", itertools.chain(_sides(near, ~near.held), _turning(near, ~near.held))),
        ("zero weight" if linear else "dead neuron", _waking(near)),
    )
    for mechanism, curves in stages:
        for curve in curves:
            verdict = _attested(near, curve, certify)
            if verdict.status == "not_optimal":
                return verdict, mechanism
    return None


def _saddles(near: Expansion) -> Iterator[Curve]:
    if (~near.held).any():
        yield from _bent(near, ~near.held, quiet={})


def _bent(near: Expansion, free: np.ndarray, quiet: Mapping[Place, int]) -> Iterator[Curve]:
    """Order 2 in the free parameters: the direction in which the Lagrangian bends down most."""
    mixed = near.smooth({**near.own(near.loud), **near.sided(quiet)})
    normals = [mixed.kinks[p][0] for p in near.loud]
    rows = np.vstack([mixed.rows, np.array(normals).reshape(-1, len(near.flat))])
    hessian = np.eye(len(near.flat)) - np.einsum("a,aij->ij", near.multipliers, mixed.hessians)
    basis = _null(rows[:, free])
    if not basis.shape[1]:
        return
    values, vectors = np.linalg.eigh(basis.T @ hessian[np.ix_(free, free)] @ basis)
    if values[0] > -LEAST:
        return
    d = np.zeros(len(near.flat))
    d[free] = basis @ vectors[:, 0]
    for sides in _all_sides(near.loud):
        curve = _second(near, d, {**sides, **quiet}, -float(values[0]))
        if curve is not None:
            yield curve


def _second(near: Expansion, d: np.ndarray, gates: dict[Place, int], gain: float) -> Curve | None:
    """e such that margins and loud kinks grow to second order, and the norm falls."""
    local = near.smooth(near.sided(gates))
    rows, goals = list(local.rows), []
    weight = float(near.multipliers.sum())
    step = gain / (8.0 * max(weight, 1e-12))
    goals += [step - 0.5 * float(d @ h @ d) for h in local.hessians]
    for place in near.loud:
        normal, hessian = local.kinks[place]
        side = 1.0 if gates[place] else -1.0
        rows.append(side * normal)
        goals.append(step / (1.0 + len(near.loud)) - 0.5 * side * float(d @ hessian @ d))
    matrix, goal = np.array(rows), np.array(goals)
    e = np.linalg.lstsq(matrix, goal, rcond=1e-11)[0]
    if np.abs(matrix @ e - goal).max() > 0.5 * step / (1.0 + len(near.loud)):
        # Where rows are parallel one may grow more than another.
        found = linprog(near.flat, A_ub=-matrix, b_ub=-goal, bounds=(None, None))
        if not found.success:
            return None
        e = found.x
    if float(d @ d) + 2.0 * float(near.flat @ e) > -0.1 * gain:
        return None
    return Curve(2, d, e, gates)


def _sides(near: Expansion, free: np.ndarray) -> Iterator[Curve]:
    """Order 1: on some side of the loud kinks the norm falls while all active margins grow."""
    if not near.loud:
        return
    for sides in _all_sides(near.loud):
        local = near.smooth(near.sided(sides))
        rows = [*local.rows, -near.flat]
        for place in near.loud:
            normal = local.kinks[place][0]
            rows.append((1.0 if sides[place] else -1.0) * normal)
        matrix = np.array(rows)[:, free]
        length = np.sqrt((matrix * matrix).sum(axis=1))
        if not (length > 0.0).all():
            continue
        matrix = matrix / length[:, None]
        solution = linprog(
            np.append(np.zeros(matrix.shape[1]), -1.0),
            A_ub=np.hstack([-matrix, np.ones((len(matrix), 1))]),
            b_ub=np.zeros(len(matrix)),
            bounds=[(-1.0, 1.0)] * matrix.shape[1] + [(None, 1.0)],
        )
        if solution.success and solution.x[-1] > LEAST:
            d = np.zeros(len(near.flat))
            d[free] = solution.x[:-1]
            yield Curve(1, d, None, sides)


def _waking(near: Expansion) -> Iterator[Curve]:
    """Zero parameters move, to second order."""
    if not near.held.any():
        return
    everything = np.ones(len(near.flat), dtype=bool)
    if not near.quiet:
        yield from _bent(near, everything, quiet={})
        return
    yield from _woken(near)
    yield from _turning(near, everything)


def _turning(near: Expansion, free: np.ndarray) -> Iterator[Curve]:
    """Order 2 in the free parameters, the gates of quiet kinks being those that the direction itself takes."""
    if {p[1:] for p in near.quiet} <= set(dead_neurons(near)):
        # To second order dead neurons decouple from all else.
        return
    mixed = near.own(near.loud)
    base = near.smooth(mixed)
    normals = np.array([base.kinks[p][0] for p in near.quiet])
    rows = np.vstack([base.rows, np.array([base.kinks[p][0] for p in near.loud]).reshape(-1, len(near.flat))])
    basis = np.eye(len(near.flat))[:, free] @ _null(rows[:, free])
    if not basis.shape[1]:
        return

    def weighted(smooth: Smooth) -> np.ndarray:
        return np.einsum("a,aij->ij", near.multipliers, smooth.hessians)

    start = weighted(base)
    # The Hessian is affine in the gates of quiet kinks: two of them in a row are of third order.
    share = basis.T @ np.array([weighted(near.smooth({**mixed, p: 1.0})) - start for p in near.quiet]) @ basis
    own = np.eye(basis.shape[1]) - basis.T @ start @ basis
    slopes = normals @ basis
    shift = 1.0 + float(np.abs(np.linalg.eigvalsh(own)).max()) + sum(float(np.linalg.norm(s, 2)) for s in share)
    generator = np.random.default_rng(0)
    found: set[tuple[int, ...]] = set()
    for _ in range(STARTS):
        z = generator.standard_normal(basis.shape[1])
        best, best_value = None, -LEAST
        for _ in range(200):
            z = z / np.linalg.norm(z)
            gates = slopes @ z > 0.0
            bent = own - share[gates].sum(axis=0)
            value = float(z @ bent @ z)
            if value < best_value - 1e-12:
                best, best_value = z, value
            elif best is not None and value > best_value - 1e-13:
                break
            z = z - bent @ z / shift
        if best is None:
            continue
        gates = slopes @ best
        key = tuple(np.sign(gates).astype(int).tolist())
        if key in found:
            continue
        found.add(key)
        quiet = {p: int(g > 0.0) for p, g in zip(near.quiet, gates.tolist(), strict=True) if abs(g) > 1e-9}
        for sides in _all_sides(near.loud):
            curve = _second(near, basis @ best, {**sides, **quiet}, -best_value)
            if curve is not None:
                yield curve


def _woken(near: Expansion) -> Iterator[Curve]:
    """One dead neuron wakes in its steepest direction; others move a little, so that their gates are known."""
    mixed = near.own(near.loud)
    pulls = [Pull.of_margin(near, i, a) for i, a in zip(near.active, near.multipliers.tolist(), strict=True) if a]
    dead = {neuron: DeadNeuron(near, neuron, mixed, pulls, 1.0) for neuron in dead_neurons(near)}
    generator = np.random.default_rng(0)
    for neuron, parts in dead.items():
        value, w, v = parts.steepest()
        if value < 1.0 + LEAST:
            continue
        d = np.zeros(len(near.flat))
        for other, theirs in dead.items():
            if other != neuron:
                d[theirs.incoming] = 0.25 * (value - 1.0) ** 0.5 * _unit(generator, len(theirs.incoming), len(dead))
        d[parts.incoming], d[parts.outgoing] = w, v
        base = near.smooth(mixed)
        slopes = {p: float(base.kinks[p][0] @ d) for p in near.quiet}
        quiet = {p: int(slope > 0.0) for p, slope in slopes.items() if abs(slope) > 1e-9}
        for sides in _all_sides(near.loud):
            curve = _second(near, d, {**sides, **quiet}, value - 1.0)
            if curve is not None:
                yield curve


def _unit(generator: np.random.Generator, size: int, count: int) -> np.ndarray:
    vector = generator.standard_normal(size)
    return vector / (np.linalg.norm(vector) * count**0.5)


def _all_sides(places: list[Place]) -> Iterator[dict[Place, int]]:
    for choice in itertools.islice(itertools.product((0, 1), repeat=len(places)), MAX_SIDES):
        yield dict(zip(places, choice, strict=True))


def _null(rows: np.ndarray) -> np.ndarray:
    """An orthonormal basis of the null space, (columns, .)."""
    _, values, right = np.linalg.svd(rows)
    rank = int((values > 1e-9 * max(float(values.max(initial=0.0)), 1e-300)).sum())
    return right[rank:].T


def _attested(near: Expansion, curve: Curve, certify: bool) -> Verdict:
    """The verdict that the curve proves, in short rationals."""
    point = near.point
    scale = float(np.abs(curve.d).max())
    reason = f"a curve along which the margins hold and the norm falls, to order {curve.order}"
    verdict = Verdict("undecided", point.value, None, "no curve could be made exact")
    for bits in (6, 16, 42):
        certificate: dict[str, Any] = {
            **header(exact_theta(near.network, point.theta), "curve", "local"),
            "signs": [s.tolist() for s in near.signs] if near.signs else None,
            "order": curve.order,
            "active": near.active,
            "gates": [[*place.as_json(), gate] for place, gate in curve.gates.items()],
            "d": _split(near, curve.d / scale, bits),
            "e": None if curve.e is None else _split(near, curve.e / scale**2, bits),
            "implied": _implied(near) if curve.order == 2 else {},
        }
        verdict = attested(point.problem, Verdict("not_optimal", point.value, None, reason, certificate), certify)
        if verdict.status == "not_optimal":
            break
    return verdict


def _split(near: Expansion, flat: np.ndarray, bits: int) -> list[list[int | str]]:
    """A motion, layer by layer; fixed layers stay."""
    layers = near.network.split(flat)
    return [
        [as_json(rounded(v, bits)) for v in u.tolist()] if own else [0] * len(u)
        for u, own in zip(layers, near.network.trained, strict=True)
    ]


def _implied(near: Expansion) -> dict[str, dict[str, int | str]]:
    """Active margins whose inputs, times the seeds, are combinations of earlier ones with the same signs, exactly."""
    out: dict[str, dict[str, int | str]] = {}
    kept: list[int] = []
    for i in near.active:
        ways = near.heard[near.leaders[i]]
        clear = all((s[i][way] != 0).all() for s, way in zip(near.signs, ways, strict=True))
        same = [b for b in kept if clear and all((s[b] == s[i]).all() for s in near.signs)]
        shares = _combination([_signed(near, b) for b in same], _signed(near, i)) if same else None
        if shares is None:
            kept.append(i)
        else:
            out[str(i)] = {str(b): as_json(c) for b, c in zip(same, shares, strict=True) if c}
    return out


def _signed(near: Expansion, row: int) -> list[Fraction]:
    """The products of what the outputs are multiplied by with what is seen of the input by neurons that count."""
    problem = near.point.problem
    ways = near.heard[near.leaders[row]]
    first = near.network.matrices(near.point.theta)[0]
    counts = (first != 0.0).any(axis=1) | (ways[0] if ways else True)
    seen = set(np.flatnonzero((near.network.tables[0][counts] >= 0).any(axis=0)).tolist())
    sample, seed = problem.rows[row]
    return [s * v if c in seen else Fraction(0) for s in seed for c, v in enumerate(problem.x[sample])]


def _combination(vectors: list[list[Fraction]], target: list[Fraction]) -> list[Fraction] | None:
    """Coefficients with sum c_b vectors_b = target, exactly; the vectors are independent.  None if there are none."""
    table, pivots = echelon(list(zip(*vectors, target, strict=True)))
    return [row[-1] for row in table] if pivots == list(range(len(vectors))) else None
