"""The multipliers of a limit: the ends of their ranges, and the corners of their polytope, where they are not unique.

theta = sum_i lambda_i grad_i + sum_r nu_r move_r over the active margins and their kinks, 0 <= nu_r <= lambda_i.
"""

from __future__ import annotations

from itertools import combinations, product
from math import comb

import numpy as np
from scipy.optimize import linprog

from harness.flow.compiled.kernel import evaluate, unit_gradient
from harness.flow.kinks.departure import SampleUnit
from harness.flow.kinks.gates import Gates
from harness.problem.places import Kink
from harness.problem.points import Point

SAME = 1e-9  # relative: two polishes of one limit differ by less
NO_DIRECTION = 1e-9  # of the largest: singular values below it are rounding
LEVEL = 1e-9  # of a unit vector along a segment of multipliers: entries that are zero but for rounding
ACTIVE = 1e-9  # of a margin of 1: as exact as the polish
INDEPENDENT = 1e-7  # of unit columns: nearer to dependent ones the multipliers are less exact than they differ
SPREAD = 1e-9  # of the largest multiplier: ends that differ by less are one
MOST_CORNERS = 5000  # choices of tight inequalities that are tried


class Multipliers:
    """Those of the last limit, remembered: a flow that waits is asked again and again."""

    def __init__(self) -> None:
        self._limit = np.zeros(0)
        self._ends: np.ndarray | None = None
        self._corners: np.ndarray | None = None

    def ends(self, gates: Gates, settled: Point) -> np.ndarray:
        """At depth 2: those of the limit, (1, n); where they are not unique, those at the ends of every range."""
        self._about(gates, settled)
        if self._ends is None:
            self._ends = _ends(gates, settled)
        return self._ends

    def corners(self, gates: Gates, settled: Point) -> np.ndarray:
        """All corners of the polytope, (c, n); none where they are not known."""
        self._about(gates, settled)
        if self._corners is None:
            self._corners = _corners(gates, settled)
        return self._corners

    def _about(self, gates: Gates, settled: Point) -> None:
        limit = gates.instance.network.flat(settled.theta)
        if limit.shape != self._limit.shape or np.abs(limit - self._limit).max() > SAME * np.abs(limit).max():
            self._limit, self._ends, self._corners = limit, None, None


def pair_of(gates: Gates, kink: Kink) -> SampleUnit:
    """The sample and the unit of a kink, as the flow counts them."""
    return kink.place.sample, int(gates.net.uptr[kink.place.layer + 1]) + kink.place.neuron


def gates_of(gates: Gates, settled: Point) -> np.ndarray:
    """The gates (n, units) of the limit: where the flow slides its coefficients, on other kinks those of the flow."""
    out = gates.gates.copy()
    for layer, signs in enumerate(settled.signs, start=1):
        units = slice(int(gates.net.uptr[layer]), int(gates.net.uptr[layer + 1]))
        if gates.kinked:
            out[:, units] = np.where(signs > 0, 1.0, np.where(signs < 0, gates.below, out[:, units]))
    sliding = gates.sliding_pairs()
    for kink in settled.kinks:
        if pair_of(gates, kink) in sliding:
            out[pair_of(gates, kink)] = kink.coefficient
    return out


def _ends(gates: Gates, settled: Point) -> np.ndarray:
    active = np.flatnonzero(settled.margins <= 1.0 + ACTIVE)
    limit = gates.instance.network.flat(settled.theta)
    gradients, owners, moves = _generators(gates, settled, limit, active)
    columns = np.vstack([gradients, *moves])
    if _independent(columns):
        return settled.multipliers[None]
    count, kinks = len(active), len(moves)
    below = _below(count, owners)
    found = ends_of_segment(columns, below, limit)
    if found is None:
        found = []
        for k, sign in product(range(count), (1.0, -1.0)):
            cost = np.zeros(count + kinks)
            cost[k] = sign
            end = linprog(cost, below if kinks else None, np.zeros(kinks) if kinks else None, columns.T, limit)
            found += [end.x] if end.success else []
    ends = np.zeros((1 + len(found), len(settled.margins)))
    ends[0] = settled.multipliers
    ends[1:, active] = [end[:count] for end in found] if found else np.zeros((0, count))
    return ends if np.ptp(ends, axis=0).max() > SPREAD * settled.multipliers.max() else ends[:1]


def _below(count: int, owners: list[int]) -> np.ndarray:
    """The rows of nu_r - lambda_i <= 0."""
    kinks = np.arange(len(owners))
    below = np.zeros((len(owners), count + len(owners)))
    below[kinks, count + kinks] = 1.0
    below[kinks, owners] = -1.0
    return below


def _independent(columns: np.ndarray) -> bool:
    lengths = np.linalg.norm(columns, axis=1)
    return bool(lengths.all()) and np.linalg.matrix_rank(columns / lengths[:, None], tol=INDEPENDENT) == len(columns)


def _corners(gates: Gates, settled: Point) -> np.ndarray:
    active = np.flatnonzero(settled.margins <= 1.0 + ACTIVE)
    limit = gates.instance.network.flat(settled.theta)
    deep = gates.instance.network.depth > 2
    gradients, owners, moves = (_beside if deep else _generators)(gates, settled, limit, active)
    columns = np.vstack([gradients, *moves])
    if _independent(columns):
        return settled.multipliers[None]
    none = np.zeros((0, len(settled.margins)))
    if deep and moves:
        return none  # where coefficients of several layers multiply, it is no polytope
    found = corners_of(columns, _below(len(active), owners), limit)
    if not len(found):
        return none
    out = np.zeros((len(found), len(settled.margins)))
    out[:, active] = found[:, : len(active)]
    return out


def corners_of(columns: np.ndarray, below: np.ndarray, limit: np.ndarray) -> np.ndarray:
    """The corners (c, k) of {z >= 0 : z columns = limit, below z <= 0}; none where they are too many to look for.

    columns (k, N), below (b, k), limit (N,).
    """
    left, values, right = np.linalg.svd(columns.T)
    rank = int(np.sum(values > NO_DIRECTION * values[0]))
    one = right[:rank].T @ ((left[:, :rank].T @ limit) / values[:rank])
    along = right[rank:].T
    rows = np.vstack([np.eye(len(columns)), -below])
    normals, levels = rows @ along, rows @ one
    moving = np.linalg.norm(normals, axis=1) > LEVEL
    normals, levels = normals[moving], levels[moving]
    free = along.shape[1]
    if comb(len(normals), free) > MOST_CORNERS:
        return np.zeros((0, len(columns)))
    scale = np.abs(one).max() * np.linalg.norm(normals, axis=1)
    found: list[np.ndarray] = []
    for tight in map(list, combinations(range(len(normals)), free)):
        if np.linalg.matrix_rank(normals[tight], tol=INDEPENDENT) < free:
            continue
        t = -np.linalg.solve(normals[tight], levels[tight])
        if np.all(normals @ t + levels >= -SPREAD * scale):
            found.append(one + along @ t)
    return np.array(found).reshape(-1, len(columns))


def ends_of_segment(columns: np.ndarray, below: np.ndarray, limit: np.ndarray) -> list[np.ndarray] | None:
    """The two ends of {z >= 0 : z columns = limit, below z <= 0} where it is a segment; None where it is not.

    columns (k, N), below (b, k), limit (N,).
    """
    lengths = np.linalg.norm(columns, axis=1)
    if not lengths.all():
        return None
    left, values, right = np.linalg.svd((columns / lengths[:, None]).T)
    rank = int(np.sum(values > NO_DIRECTION * values[0]))
    if rank != len(columns) - 1:
        return None
    one = (right[:rank].T @ ((left[:, :rank].T @ limit) / values[:rank])) / lengths
    along = right[rank] / lengths
    along /= np.linalg.norm(along)
    rest, slope = np.append(one, -below @ one), np.append(along, -below @ along)
    # what does not change along the segment is rounding, and on its bound its ratio would be anything
    rising, falling = slope > LEVEL, slope < -LEVEL
    first = np.max(-rest[rising] / slope[rising], initial=-np.inf)
    last = np.min(-rest[falling] / slope[falling], initial=np.inf)
    return [one + first * along, one + last * along] if -np.inf < first <= last < np.inf else None


def _generators(
    gates: Gates, settled: Point, limit: np.ndarray, active: np.ndarray
) -> tuple[np.ndarray, list[int], list[np.ndarray]]:
    """Gradients of the active margins with all kinks off; of each kink its sample's place, and what it adds if on.

    At depth 2.
    """
    opened = gates.gates.copy()
    pairs = [pair_of(gates, kink) for kink in settled.kinks]
    for pair in pairs:
        opened[pair] = gates.below
    _, grad, _, delta = evaluate(gates.net, limit, gates.cell.x, gates.cell.seeds, opened)
    heard = [(i, u) for i, u in pairs if i in active and delta[i, u]]
    moves = [gates.cell.jump * delta[i, u] * gates.normals.float_normal(i, u) for i, u in heard]
    return grad[active], [int(np.searchsorted(active, i)) for i, _ in heard], moves


def _beside(
    gates: Gates, settled: Point, limit: np.ndarray, active: np.ndarray
) -> tuple[np.ndarray, list[int], list[np.ndarray]]:
    """The same at any depth with the kinks as in the limit, and what moves if they are not: to first order."""
    own = gates_of(gates, settled)
    _, grad, _, delta = evaluate(gates.net, limit, gates.cell.x, gates.cell.seeds, own)
    heard = [(i, u) for i, u in (pair_of(gates, kink) for kink in settled.kinks) if i in active and delta[i, u]]
    moves = []
    for i, u in heard:
        normal = np.empty(gates.size)
        unit_gradient(gates.net, limit, gates.cell.x[i], own[i], u, normal)
        moves.append(gates.cell.jump * delta[i, u] * normal)
    return grad[active], [int(np.searchsorted(active, i)) for i, _ in heard], moves
