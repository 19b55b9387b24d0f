"""gamma_N, the largest margin that a vector of norm 1 has, with a proof of it.

    gamma_N = the largest min_i z_i . u over N(u) <= 1,   z_i = y_i x_i.

In l_2 the hard-margin SVM, by nonnegative least squares; in l_1 and l_infinity linear programmes; in l_p a programme
over power cones.  Each gives a direction u and weights lambda of the points, which are rounded to rationals; what they
prove is computed by harness.certificates.margins.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import clarabel as _clarabel
import numpy as np
from scipy.optimize import linprog, nnls
from scipy.sparse import csc_matrix

from harness.certificates.margins import margin
from harness.optimisers.norms import L2, Norm
from harness.problem.numbers import Vector
from harness.problem.predicates import signed
from harness.problem.problems import Problem
from harness.problem.separability import separation

# The compiled module carries no types.
clarabel: Any = _clarabel


@dataclass(frozen=True)
class MaxMargin:
    """below <= gamma_N <= above, as u and weights prove; u has a norm of about 1, weights a sum of 1."""

    u: Vector
    weights: Vector
    below: Fraction
    above: Fraction


@lru_cache(1024)
def max_margin(problem: Problem, norm: Norm) -> MaxMargin:
    """Of a problem with one output, as for a linear classifier; both bounds are 0 where no vector separates the data.

    Raises ArithmeticError where a solver finds nothing.
    """
    rows = [tuple(row) for row in signed(problem)]
    separated = separation(rows)
    if separated.alpha is not None:
        u, weights = (Fraction(0),) * problem.d, separated.alpha
    else:
        u, weights = _rational(*solved(np.array(rows, dtype=float), norm))
    proven = margin(rows, norm.p, u, weights)
    return MaxMargin(u, weights, proven.below, proven.above)


def solved(z: np.ndarray, norm: Norm) -> tuple[np.ndarray, np.ndarray]:
    """A direction (d,) and weights (n,), in floats, of data z (n, d) that are separable."""
    if norm == L2:
        return _svm(z)
    return _linear(z, norm) if norm.p in (None, 1) else _conic(z, norm)


def _svm(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The least norm of a convex combination of the z_i, by nonnegative least squares with a row of ones.

    Source: Lawson & Hanson, Solving Least Squares Problems, chapter 23.
    """
    scale = np.abs(z).max()
    weights, _ = nnls(np.vstack([z.T / scale, np.ones(len(z))]), np.append(np.zeros(z.shape[1]), 1.0))
    pull = weights @ (z / scale)
    size = np.linalg.norm(pull)
    if not size > 0.0:
        raise ArithmeticError("the least norm of a convex combination is beyond the floats")
    return pull / size, weights


def _linear(z: np.ndarray, norm: Norm) -> tuple[np.ndarray, np.ndarray]:
    """Maximise t with z_i . u >= t; u = a - b with a, b >= 0, and abs(u_k) <= 1 for every k or in sum."""
    n, d = z.shape
    rows = np.hstack([-z, z, np.ones((n, 1))])
    bounds = [(0.0, 1.0)] * (2 * d) + [(0.0, None)]
    sides = np.zeros(n)
    if norm.p == 1:
        rows, sides = np.vstack([rows, [1.0] * (2 * d) + [0.0]]), np.append(sides, 1.0)
    found = linprog(np.append(np.zeros(2 * d), -1.0), A_ub=rows, b_ub=sides, bounds=bounds, method="highs")
    if not found.success:
        raise ArithmeticError(f"the linear programme of a margin ended without a solution: {found.message}")
    return found.x[:d] - found.x[d : 2 * d], -found.ineqlin.marginals[:n]


def _conic(z: np.ndarray, norm: Norm) -> tuple[np.ndarray, np.ndarray]:
    """Maximise t with z_i . u >= t, sum_k r_k <= 1 and abs(u_k) <= r_k^(1/p); the variables are u, r, t."""
    n, d = z.shape
    assert norm.p is not None
    scale = np.abs(z).max()
    free = 2 * d + 1
    rows, sides, cones = [np.hstack([-z / scale, np.zeros((n, d)), np.ones((n, 1))])], [np.zeros(n)], []
    cones += [clarabel.NonnegativeConeT(n)]
    rows += [np.hstack([np.zeros(d), np.ones(d), 0.0])[None]]
    sides += [np.ones(1)]
    cones += [clarabel.NonnegativeConeT(1)]
    for k in range(d):
        block = np.zeros((3, free))
        block[0, d + k], block[2, k] = -1.0, -1.0
        rows, sides = [*rows, block], [*sides, np.array([0.0, 1.0, 0.0])]
        cones += [clarabel.PowerConeT(1.0 / float(norm.p))]
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-12
    objective = np.append(np.zeros(2 * d), -1.0)
    solver = clarabel.DefaultSolver(
        csc_matrix((free, free)), objective, csc_matrix(np.vstack(rows)), np.concatenate(sides), cones, settings
    )
    found = solver.solve()
    return np.array(found.x[:d]), np.array(found.z[:n])


def _rational(u: np.ndarray, weights: np.ndarray) -> tuple[Vector, Vector]:
    """The exact values of the floats, the weights none negative and of sum 1."""
    positive = [Fraction(max(float(a), 0.0)) for a in weights]
    total = sum(positive, Fraction(0))
    if not total or not np.isfinite(u).all():
        raise ArithmeticError("the programme of a margin ended without weights")
    return tuple(Fraction(float(a)) for a in u), tuple(a / total for a in positive)
