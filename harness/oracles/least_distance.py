"""The point of least norm of a polyhedron, by nonnegative least squares.

    min 1/2 |z|^2   subject to   A z >= b

With E = [A'; b'] and f = (0, ..., 0, 1), the y >= 0 that minimises |E y - f| has a residual r = E y - f whose last
entry is -(1 - b'y): z = A'y / (1 - b'y), multipliers y / (1 - b'y); r = 0 means that no point is feasible, and y proves
it.  Source: Lawson & Hanson, Solving Least Squares Problems, chapter 23.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from harness.oracles.cone import solve_least_norm

# A gap between the point and its bound above this share is one of the solver.
LOOSE = 1e-8


@dataclass(frozen=True)
class LeastNorm:
    """z: None where no point is feasible.  y: multipliers up to scale, (rows,).  bound: that y proves, in floats."""

    z: np.ndarray | None
    y: np.ndarray
    bound: float


def least_norm(a: np.ndarray, b: np.ndarray) -> LeastNorm | None:
    """a: (rows, columns).  b: (rows,).  None where the solver failed."""
    if not (b > 0.0).any():
        return LeastNorm(np.zeros(a.shape[1]), np.zeros(len(a)), 0.0)
    try:
        y, _ = nnls(np.vstack([a.T, b]), np.append(np.zeros(a.shape[1]), 1.0), maxiter=50 * (len(a) + 10))
    except RuntimeError:
        return None
    found = _scaled(a, b, y)
    if found.z is not None and 0.5 * float(found.z @ found.z) > found.bound * (1.0 + LOOSE):
        # Nearly dependent rows: the active set stopped short.
        y = solve_least_norm(a, b)
        if y is not None and (better := _interior(a, b, y)).bound > found.bound:
            return better
    return found


def _interior(a: np.ndarray, b: np.ndarray, y: np.ndarray) -> LeastNorm:
    """Multipliers at their own scale: z = A'y."""
    pull, weight = a.T @ y, float(b @ y)
    square = float(pull @ pull)
    if not weight > 0.0:
        return LeastNorm(np.zeros(a.shape[1]), y, 0.0)
    bound = 0.5 * weight**2 / square if square > 0.0 else np.inf
    return LeastNorm(pull if square > 1e-24 * weight**2 else None, y, bound)


def _scaled(a: np.ndarray, b: np.ndarray, y: np.ndarray) -> LeastNorm:
    """Multipliers as the least squares give them."""
    pull, weight = a.T @ y, float(b @ y)
    if not weight > 0.0:
        return LeastNorm(np.zeros(a.shape[1]), y, 0.0)
    square = float(pull @ pull)
    bound = 0.5 * weight**2 / square if square > 0.0 else np.inf
    rest = 1.0 - weight
    if rest < 1e-12 or square <= 1e-24 * weight**2:
        return LeastNorm(None, y, bound)
    return LeastNorm(pull / rest, y / rest, bound)
