"""Newton's step on the KKT system of a wide network of two layers, and its second-order test, unit by unit, compiled.

The Hessian of sum_i lambda_i q_i is a block [0 g; g^T 0] a unit, with the pull g = sum_i lambda_i s_i c_i x_i projected
on the kinks that slide, and so has two eigenvalues a unit that are not zero: +-|g|, with the eigenvectors
e+- = (g / |g|, +-1) / sqrt(2).  At a KKT point |g| = 1 for every unit that lives.  So what may be singular of I - H is
along the e+, and everything else can be eliminated: what is left has a row an active sample and one a unit.
"""

from __future__ import annotations

import numpy as np

from harness.flow.compiled.by_unit import keep_along, pulls
from harness.flow.compiled.compiling import compiled
from harness.flow.compiled.kernel import lu_factor, lu_solve
from harness.flow.settling.directions import keep_within
from harness.flow.settling.lagrangian import evaluate_rows

FAINT = 1e-12  # of the identity beside it: a pull that is nothing


@compiled
def system_by_unit(cell, theta, directions, active, lam, work):
    """Residual (N + n,) of the KKT system, and its gradients and pulls (n + 1, N), zero for inactive samples."""
    n, size = active.shape[0], theta.shape[0]
    evaluate_rows(cell, theta, np.zeros((0, 2), dtype=np.int64), work)
    weights = np.where(active, lam, 0.0)
    rows, residual = np.zeros((n + 1, size)), np.zeros(size + n)
    residual[:size] = theta - work.grad.T @ weights
    keep_within(cell.net, directions, residual[:size])
    for i in range(n):
        if active[i]:
            residual[size + i] = 1.0 - work.q[i]
            rows[i] = work.grad[i]
            keep_within(cell.net, directions, rows[i])
    _pulls_within(cell, weights, directions, work, rows[n])
    return residual, rows


@compiled
def _pulls_within(cell, weights, directions, work, pull):
    """Those of the directions, (N,): of a unit whose weight out is held there is none."""
    net, tangent = cell.net, directions.tangent
    pulls(cell, weights, work.at, tangent, pull, np.empty(net.uptr[-1]))
    pull[~directions.free] = 0.0
    for u in range(net.uptr[1], net.uptr[2]):
        if tangent.top[u] >= 0 and not directions.free[tangent.top[u]]:
            for e in range(net.into[u], net.into[u + 1]):
                pull[net.par[e]] = 0.0
    keep_along(net, tangent, pull)


@compiled
def _eigenvectors(net, tangent, pull):
    """The |g| of the units that have one (k,), and their e+ and e-, (k, N) each."""
    first, last = net.uptr[1], net.uptr[2]
    lengths = np.zeros(last - first)
    ahead, behind = np.zeros((last - first, pull.shape[0])), np.zeros((last - first, pull.shape[0]))
    k = 0
    for u in range(first, last):
        square = 0.0
        for e in range(net.into[u], net.into[u + 1]):
            square += pull[net.par[e]] ** 2
        if square <= FAINT**2:
            continue
        lengths[k] = np.sqrt(square)
        for e in range(net.into[u], net.into[u + 1]):
            ahead[k, net.par[e]] = behind[k, net.par[e]] = pull[net.par[e]] / lengths[k] * np.sqrt(0.5)
        ahead[k, tangent.top[u]], behind[k, tangent.top[u]] = np.sqrt(0.5), -np.sqrt(0.5)
        k += 1
    return lengths[:k].copy(), ahead[:k].copy(), behind[:k].copy()


@compiled
def step_by_unit(net, directions, active, rows, residual, damping):
    """Minimise |M s + residual|^2 + damping |s|^2, M the symmetric matrix of the system, (N + n,).

    s = -M (M^2 + damping)^-1 residual is the real part of -(M + i sqrt(damping))^-1 residual.
    """
    size = residual.shape[0] - active.shape[0]
    chosen = np.flatnonzero(active)
    grad = rows[chosen].astype(np.complex128)
    lengths, up, down = _eigenvectors(net, directions.tangent, rows[active.shape[0]])
    ahead, behind = up.astype(np.complex128), down.astype(np.complex128)
    k, m = lengths.shape[0], chosen.shape[0]
    shift = 1j * np.sqrt(damping)
    one, far = 1.0 + shift, (1.0 + shift + lengths).reshape(-1, 1)
    along, against = ahead @ grad.T, behind @ grad.T
    rest = residual[:size].astype(np.complex128)
    matrix, right = np.zeros((k + m, k + m), dtype=np.complex128), np.zeros(k + m, dtype=np.complex128)
    matrix[:k, k:] = -along
    matrix[k:, :k] = -along.T
    matrix[k:, k:] = -(grad @ grad.T - along.T @ along - against.T @ against) / one - against.T @ (against / far)
    for t in range(k):
        matrix[t, t] = shift + 1.0 - lengths[t]
    for i in range(m):
        matrix[k + i, k + i] += shift
    right[:k] = ahead @ rest
    back = (behind @ rest) * (1.0 / far[:, 0] - 1.0 / one)
    right[k:] = residual[size + chosen] + (grad @ rest - along.T @ right[:k]) / one + against.T @ back
    step = np.zeros(residual.shape[0])
    piv = np.empty(k + m, dtype=np.int64)
    if not lu_factor(matrix, piv):
        step[:] = np.nan
        return step
    lu_solve(matrix, piv, right)
    multipliers = right[k:].copy()
    moved = rest + grad.T @ multipliers
    plus = right[:k] - (ahead @ moved) / one
    minus = (behind @ moved) * (1.0 / far[:, 0] - 1.0 / one)
    step[:size] = -(moved / one + ahead.T @ plus + behind.T @ minus).real
    step[size + chosen] = -multipliers.real
    return step


@compiled
def curvature_by_unit(cell, directions, lam, span, flat, work):
    """A matrix (k, k) that is positive definite iff I (1 + flat) - H is across the span (c, N), orthonormal rows.

    work: as evaluated.  With Pi the projection on what is across the span and F+- the e+- times sqrt(|g|), that is
    I (1 + flat) + Pi F- F-^T Pi, positive definite, less Pi F+ F+^T Pi.  So it is definite iff this is:
    I - F+^T Pi (I (1 + flat) + Pi F- F-^T Pi)^-1 Pi F+, which has a row a unit.
    """
    pull = np.zeros(span.shape[1])
    _pulls_within(cell, lam, directions, work, pull)
    lengths, ahead, behind = _eigenvectors(cell.net, directions.tangent, pull)
    roots = np.sqrt(lengths).reshape(-1, 1)
    up, down = roots * (ahead @ span.T), roots * (behind @ span.T)
    beyond = np.diag(1.0 + flat + lengths) - down @ down.T
    mixed = up @ down.T
    up_through = np.diag(lengths) - up @ up.T - mixed @ np.linalg.solve(beyond, np.ascontiguousarray(mixed.T))
    return np.eye(lengths.shape[0]) - up_through / (1.0 + flat)
