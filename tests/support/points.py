"""Points written by hand, for the tests of the oracles."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np

from harness.oracles.cone import CellNeuron, solve_cell
from harness.oracles.least_distance import least_norm
from harness.problem.instances import Instance
from harness.problem.limits import Limit
from harness.problem.networks import Network, diagonal, fully_connected, sparse
from harness.problem.points import Point
from harness.problem.problems import Problem

SQRT2 = 2.0**0.5


def point(
    network: Network,
    x: Sequence[Sequence[Any]],
    y: Sequence[int],
    theta: Sequence[Sequence[float]],
    doubt: str = "",
) -> Point:
    """The direction of theta as a point."""
    return Point.at(Problem(network, tuple(tuple(Fraction(a) for a in row) for row in x), tuple(y)), theta, doubt)


def problem_of(network: Network, x: Any, y: Any) -> Problem:
    """The problem of points and labels in any sequences of numbers."""
    return Problem(network, x, y)


def as_limit(found: Point) -> Limit:
    """A converged limit with this point, of a flow that starts anywhere."""
    start = tuple(tuple(Fraction(0) for _ in u) for u in found.theta)
    return Limit(Instance(found.problem, "exponential", start), "converged", "written by hand", found)


def margins_of(network: Network, problem: Problem | Instance, theta: Sequence[np.ndarray]) -> np.ndarray:
    """q_i in floats, by a pass of its own: what harness/problem/evaluation.py says is tested with it."""
    h = problem.x_float
    for layer, (pattern, u) in enumerate(zip(network.patterns, theta, strict=True)):
        h = h @ np.append(u, 0.0)[np.array(pattern)].T
        if layer + 1 < network.depth:
            h = np.where(h > 0.0, h, float(network.slope) * h)
    if network.outputs == 1:
        return problem.y_float * h[:, 0]
    return np.array(
        [h[i, own] - h[i, k] for i, own in enumerate(problem.y) for k in range(network.outputs) if k != own]
    )


def fc_relu_local() -> Point:
    """One neuron along (0, 1), one dead: waking the dead one pays."""
    return point(fully_connected("relu", (2, 2)), [["1", "1/4"], ["-1", "1/4"]], [1, 1], [[0, 2, 0, 0], [2, 0]])


def depth2_local(activation: Any = "linear") -> Point:
    """Diagonal, one pair zero for ever."""
    return point(diagonal(activation, 2, 2), [[1, 2]], [1], [[1, 0], [1, 0]])


def nonzero_local() -> Point:
    """Two neurons, each with an input that is exactly zero."""
    return point(fully_connected("relu", (2, 2)), [[1, 0], [0, 1]], [1, 1], [[1, 0, 0, 1], [1, 1]])


def active_global() -> Point:
    """Both neurons along (0, 1): a local optimum at cost 4, not the global one."""
    a = SQRT2
    return point(fully_connected("relu", (2, 2)), [["1", "1/4"], ["-1", "1/4"]], [1, 1], [[0, a, 0, a], [a, a]])


def random_limit(
    seed: int, slope: Fraction | None = None, *, fixed: bool = False, most: tuple[int, int, int] = (5, 3, 3)
) -> Point | None:
    """A KKT point of a random small network: the optimum of a random joint cell, if it is one; else None.

    Some have kinks and dead neurons.  Polished by Newton's method on the face it lies on.
    slope: of a leaky relu; None for a linear or a relu network.  fixed: the outputs are 1 and -1 and not trained.
    most: of points, dimensions and neurons.
    """
    rng = np.random.default_rng(seed)
    activation: Any = "leaky_relu" if slope is not None else "linear" if seed % 4 == 3 else "relu"
    n, d, k = (int(rng.integers(1, largest + 1)) for largest in most)
    mask = rng.random((k, d)) < (1.0 if rng.random() < 0.6 else 0.7)
    mask[:, 0] |= ~mask.any(axis=1)
    network = sparse(activation, (mask.astype(int).tolist(), [[1] * k]), negative_slope=slope)
    below = float(network.slope)
    x = rng.integers(-3, 4, (n, d))
    x[:, 0] += ~x.any(axis=1)
    y = rng.choice((-1, 1), n)
    cells = []
    for j in range(k):
        patch = x[:, mask[j]].astype(float)
        sign = int(rng.choice((-1, 1)))
        gates = (patch @ rng.standard_normal(patch.shape[1]) > 0).astype(float)
        if activation == "linear":
            gates[:] = 1.0
        walls = (2 * gates - 1)[:, None] * patch if network.kinked else patch[:0]
        activity = below + (1.0 - below) * gates
        cells.append(CellNeuron(j, sign, (), (y * sign * activity)[:, None] * patch, walls))
    if fixed:
        return _of_fixed_outputs(network, x, y, cells)
    found = solve_cell(cells, quadratic=False)
    if found is None or not np.isfinite(found.value):
        return None
    u = _polish(cells, found.u)
    if u is None:
        return None
    w = [part / (np.linalg.norm(part) ** 0.5 or 1.0) for part in u]
    v = [cell.sign * np.linalg.norm(part) ** 0.5 for cell, part in zip(cells, u, strict=True)]
    try:
        out = point(network, x.tolist(), y.tolist(), [np.concatenate(w).tolist(), np.array(v).tolist()])
    except ValueError:
        return None
    return out if out.residual < 1e-10 else None


def _of_fixed_outputs(network: Network, x: np.ndarray, y: np.ndarray, cells: list[CellNeuron]) -> Point | None:
    """The optimum of the joint cell over the first layer, if it is a KKT point of it."""
    network = network.fixing({2: [cell.sign for cell in cells]})
    offsets = np.cumsum([0, *(cell.rows.shape[1] for cell in cells)])
    walls = [np.zeros((0, offsets[-1]))]
    for cell, a, b in zip(cells, offsets, offsets[1:], strict=False):
        own = cell.walls[cell.walls.any(axis=1)]
        walls.append(np.hstack([np.zeros((len(own), a)), own, np.zeros((len(own), offsets[-1] - b))]))
    margins = np.hstack([cell.rows for cell in cells])
    rows = np.vstack([margins, *walls])
    found = least_norm(rows, np.append(np.ones(len(margins)), np.zeros(len(rows) - len(margins))))
    if found is None or found.z is None:
        return None
    # What presses is tight: the point of least norm with these equations has its zeros clear of rounding.
    tight = found.y > 1e-9 * found.y.max()
    z = np.linalg.lstsq(rows[tight], (np.arange(len(rows)) < len(margins))[tight].astype(float), rcond=None)[0]
    z[np.abs(z) < 1e-12 * np.abs(z).max()] = 0.0
    try:
        out = point(network, x.tolist(), y.tolist(), [z.tolist(), [cell.sign for cell in cells]])
    except ValueError:
        return None
    return out if out.residual < 1e-10 else None


def _polish(cells: list[CellNeuron], start: list[np.ndarray]) -> list[np.ndarray] | None:
    """The optimum on the face of `start`: its dead neurons, its kinks and its tight margins are kept."""
    longest = max(np.linalg.norm(part) for part in start)
    alive = [j for j, part in enumerate(start) if np.linalg.norm(part) > 1e-5 * longest]
    rows = np.hstack([cells[j].rows for j in alive])
    u = np.concatenate([start[j] for j in alive])
    q = rows @ u
    tight = rows[q < q.min() * (1 + 1e-5)]
    dims = [cells[j].rows.shape[1] for j in alive]
    offsets = np.concatenate([[0], np.cumsum(dims)])
    walls = []
    for j, a, b in zip(alive, offsets, offsets[1:], strict=False):
        walls += [
            np.concatenate([np.zeros(a), wall, np.zeros(len(u) - b)])
            for wall in cells[j].walls
            if wall.any() and wall @ u[a:b] < 1e-5 * np.linalg.norm(wall) * np.linalg.norm(u[a:b])
        ]
    normals = np.vstack([tight, np.array(walls).reshape(-1, len(u))])
    goal = np.concatenate([np.ones(len(tight)), np.zeros(len(walls))])
    z = np.linalg.lstsq(normals.T, _units(u, offsets), rcond=None)[0]
    for _ in range(30):
        residual = np.concatenate([_units(u, offsets) - normals.T @ z, normals @ u - goal])
        if np.abs(residual).max() < 1e-14:
            break
        curvature = np.zeros((len(u), len(u)))
        for a, b in pairwise(offsets):
            norm = np.linalg.norm(u[a:b])
            curvature[a:b, a:b] = (np.eye(b - a) - np.outer(u[a:b], u[a:b]) / norm**2) / norm
        system = np.block([[curvature, -normals.T], [normals, np.zeros((len(normals),) * 2)]])
        step = np.linalg.lstsq(system, -residual, rcond=1e-10)[0]
        u, z = u + step[: len(u)], z + step[len(u) :]
    else:
        return None
    out: list[Any] = [np.zeros(cell.rows.shape[1]) for cell in cells]
    for j, part in zip(alive, np.split(u, offsets[1:-1]), strict=True):
        out[j] = part
    return out


def _units(u: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    return np.concatenate([u[a:b] / np.linalg.norm(u[a:b]) for a, b in pairwise(offsets)])
