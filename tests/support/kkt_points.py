"""KKT points of any network without a flow: descent to a neighbourhood, then Newton with the gates found there.

Nothing of the trainer and of the oracles is in it, so that the oracles can be tested on what it finds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import minimize

from harness.certificates.taylor import expand, margin
from harness.problem.evaluation import evaluate
from harness.problem.points import Point
from harness.problem.problems import Problem

# What is smaller than this after the descent is taken for zero.
NEAR = 1e-3


def kkt_point(problem: Problem, start: np.ndarray) -> Point | None:
    """A KKT point that descent from a flat start leads to; None where it leads to none."""
    network = problem.network
    found = minimize(
        lambda z: (0.5 * float(z @ z), z),
        start,
        jac=True,
        method="SLSQP",
        constraints={
            "type": "ineq",
            "fun": lambda z: _at(problem, z).margins(problem.seeds) - 1.0,
            "jac": lambda z: _at(problem, z).backward(problem.seeds)[0],
        },
        options={"maxiter": 300, "ftol": 1e-12},
    ).x
    if not np.isfinite(found).all() or _at(problem, found).margins(problem.seeds).min() < 0.5:
        return None
    polished = _polished(problem, _with_zeros(found, NEAR))
    if polished is None:
        return None
    try:
        point = Point.at(problem, [u.tolist() for u in network.split(_with_zeros(polished, 1e-9))])
    except ValueError:
        return None
    return point if point.residual < 1e-10 else None


def _at(problem: Problem, flat: np.ndarray) -> Any:
    return evaluate(problem.network, problem.network.split(flat), problem.inputs)


def _with_zeros(flat: np.ndarray, share: float) -> np.ndarray:
    return np.where(np.abs(flat) < share * np.abs(flat).max(), 0.0, flat)


def _polished(problem: Problem, flat: np.ndarray) -> np.ndarray | None:
    """Newton for theta = sum lambda grad q + sum nu grad p, q = 1, p = 0, over the parameters that are not zero."""
    network = problem.network
    free = np.flatnonzero(flat)
    if not len(free) or not np.isfinite(flat).all():
        return None
    first = [problem.rows.index(next(row for row in problem.rows if row[0] == i)) for i in range(problem.n)]
    at = _at(problem, flat)
    margins = at.margins(problem.seeds)
    active = np.flatnonzero(margins < margins.min() + 10 * NEAR).tolist()
    if not active:
        # Not finite, or too large to tell.
        return None
    signs = [np.where(np.abs(a) < NEAR, 0.0, np.sign(a)) for a in at.preactivations[:-1]]
    kinks = [
        (i, layer, j)
        for layer, sign in enumerate(signs if network.kinked else ())
        for i, j in np.argwhere(sign == 0.0).tolist()
        if i in first
    ]
    dual: np.ndarray | None = None
    for _ in range(30):
        theta = network.split(flat)
        rows, values, hessians = [], [], []
        for i in active:
            outputs = expand(network, theta, problem.inputs[i], _gates(problem, signs, i), float)[-1]
            q = margin(outputs, problem.seeds[i])
            rows.append(q.gradient[free])
            values.append(float(q.value) - 1.0)
            hessians.append(q.hessian[np.ix_(free, free)])
        for i, layer, j in kinks:
            p = expand(network, theta, problem.inputs[i], _gates(problem, signs, i), float)[layer][j]
            if p.gradient[free].any():
                rows.append(p.gradient[free])
                values.append(float(p.value))
                hessians.append(p.hessian[np.ix_(free, free)])
        matrix = np.array(rows)
        if dual is None or len(dual) != len(matrix):
            dual = np.linalg.lstsq(matrix.T, flat[free], rcond=1e-10)[0]
        pull = flat[free] - matrix.T @ dual
        bent = np.eye(len(free)) - np.einsum("a,aij->ij", dual, np.array(hessians))
        system = np.block([[bent, -matrix.T], [matrix, np.zeros((len(matrix), len(matrix)))]])
        step = np.linalg.lstsq(system, -np.concatenate([pull, values]), rcond=1e-11)[0]
        if not np.isfinite(step).all() or np.abs(step[: len(free)]).max() > 10.0 * np.abs(flat).max():
            return None
        flat = flat.copy()
        flat[free] += step[: len(free)]
        dual = dual + step[len(free) :]
    return flat


def _gates(problem: Problem, signs: Sequence[np.ndarray], row: int) -> dict[tuple[int, int], float]:
    """A kink has the slope of its negative side; the multiplier of its input makes up for it."""
    below = float(problem.network.slope)
    return {
        (layer, j): 1.0 if s > 0.0 else below
        for layer, sign in enumerate(signs)
        for j, s in enumerate(sign[row].tolist())
    }
