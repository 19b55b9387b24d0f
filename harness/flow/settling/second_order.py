"""The second-order test of a KKT point, compiled.

A KKT point is a limit only if no direction of the critical subspace inside V has positive curvature
sum lambda_i Hessian(q_i) - I: else it is a saddle that the flow is about to leave.
"""

from __future__ import annotations

import numpy as np

from harness.flow.compiled.compiling import part
from harness.flow.compiled.kernel import dot
from harness.flow.settling.by_unit import curvature_by_unit
from harness.flow.settling.directions import rows_within
from harness.flow.settling.lagrangian import curvature_within, evaluate_rows, fill_hessian

FLAT = 1e-6  # largest curvature that is taken for zero: a symmetry's is zero only up to the error of the point
POSITIVE = 1e-9  # of the largest multiplier: a margin with less is not tight
INDEPENDENT = 1e-9  # of a gradient's length: less of it is left by rounding after the others are taken away
PUSHED = 10.0  # times the largest curvature: so far out of the way are directions off the critical subspace


@part
def is_maximum(cell, theta, directions, curved, lam, work):
    """Whether the Lagrangian's Hessian - I has no eigenvalue above FLAT on the critical subspace of the directions."""
    n = cell.x.shape[0]
    evaluate_rows(cell, theta, curved, work)
    tight = np.ones(lam.shape[0], dtype=np.bool_)
    tight[:n] = lam[:n] > POSITIVE * lam[:n].max()
    span = _orthonormal(rows_within(cell.net, directions, work.grad), tight)
    if directions.wide:
        return _positive_definite(curvature_by_unit(cell, directions, lam, span, FLAT, work))
    count, r = span.shape
    if count == r:
        return True
    # push the active gradients out of the way by a large positive shift
    fill_hessian(cell, curved, lam, work)
    curvature, along = np.empty((r, r)), np.empty((work.second.shape[0], r))
    curvature_within(directions, work.second, along, curvature)
    projector = np.eye(r)
    for j in range(count):
        for a in range(r):
            for b in range(r):
                projector[a, b] -= span[j, a] * span[j, b]
    for a in range(r):
        curvature[a, a] -= 1.0
    reduced = projector @ (0.5 * (curvature + curvature.T)) @ projector
    shift = PUSHED * (np.abs(curvature).max() + 1.0)
    for a in range(r):
        for b in range(r):
            unit = 1.0 if a == b else 0.0
            reduced[a, b] = FLAT * unit + shift * (unit - projector[a, b]) - reduced[a, b]
    return _positive_definite(reduced)


@part
def _orthonormal(rows, chosen):
    """Orthonormal rows that span those of the chosen ones."""
    span = np.zeros(rows.shape)
    count = 0
    for i in range(rows.shape[0]):
        if chosen[i]:
            v = rows[i].copy()
            length = np.sqrt(dot(v, v))
            for _ in range(2):
                for j in range(count):
                    v -= dot(v, span[j]) * span[j]
            rest = np.sqrt(dot(v, v))
            if rest > INDEPENDENT * length and rest > 0.0:
                span[count] = v / rest
                count += 1
    return span[:count].copy()


@part
def _positive_definite(a):
    """Whether a symmetric matrix has a Cholesky factor, in place."""
    n = a.shape[0]
    for k in range(n):
        for j in range(k):
            a[k, k] -= a[k, j] * a[k, j]
        if not a[k, k] > 0.0:
            return False
        a[k, k] = np.sqrt(a[k, k])
        for i in range(k + 1, n):
            for j in range(k):
                a[i, k] -= a[i, j] * a[k, j]
            a[i, k] /= a[k, k]
    return True
