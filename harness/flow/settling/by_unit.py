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
from harness.flow.compiled.kernel import dot, lu_factor, lu_solve
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
def _pulled(net, pull):
    """The hidden units that have a pull (k,), and its |g| (k,)."""
    first = net.uptr[1]
    lengths = np.zeros(net.uptr[2] - first)
    for u in range(first, net.uptr[2]):
        for e in range(net.into[u], net.into[u + 1]):
            lengths[u - first] += pull[net.par[e]] ** 2
    there = np.flatnonzero(lengths > FAINT**2)
    return first + there, np.sqrt(lengths[there])


@compiled
def _along(net, tangent, pull, units, lengths, rows):
    """The inner products of rows (c, N) with the e+ and the e-, (c, k) each."""
    up, down = np.empty((rows.shape[0], units.shape[0])), np.empty((rows.shape[0], units.shape[0]))
    for i in range(rows.shape[0]):
        for t in range(units.shape[0]):
            total = 0.0
            for e in range(net.into[units[t]], net.into[units[t] + 1]):
                total += pull[net.par[e]] * rows[i, net.par[e]]
            total, out = total / lengths[t], rows[i, tangent.top[units[t]]]
            up[i, t], down[i, t] = np.sqrt(0.5) * (total + out), np.sqrt(0.5) * (total - out)
    return up, down


@compiled
def _add_along(net, tangent, pull, units, lengths, plus, minus, vector):
    """Add plus_t e+_t and minus_t e-_t to a vector (N,), in place."""
    for t in range(units.shape[0]):
        into = np.sqrt(0.5) * (plus[t] + minus[t]) / lengths[t]
        for e in range(net.into[units[t]], net.into[units[t] + 1]):
            vector[net.par[e]] += into * pull[net.par[e]]
        vector[tangent.top[units[t]]] += np.sqrt(0.5) * (plus[t] - minus[t])


@compiled
def step_by_unit(net, directions, active, rows, residual, damping):
    """Minimise |M s + residual|^2 + damping |s|^2, M the symmetric matrix of the system, (N + n,).

    s = -M (M^2 + damping)^-1 residual is the real part of -(M + i sqrt(damping))^-1 residual.
    """
    size, tangent, pull = residual.shape[0] - active.shape[0], directions.tangent, rows[active.shape[0]]
    chosen = np.flatnonzero(active)
    grad, rest = rows[chosen], residual[:size].copy()
    units, lengths = _pulled(net, pull)
    up, down = _along(net, tangent, pull, units, lengths, grad)
    rest_up, rest_down = _along(net, tangent, pull, units, lengths, rest.reshape(1, -1))
    k, m = units.shape[0], chosen.shape[0]
    shift = 1j * np.sqrt(damping)
    one = 1.0 + shift
    # what the e- add to what they would if their eigenvalue were that of all else, 1
    beside = 1.0 / (1.0 + lengths + shift) - 1.0 / one
    inner = grad @ grad.T - up @ up.T
    matrix, right = np.zeros((k + m, k + m), dtype=np.complex128), np.zeros(k + m, dtype=np.complex128)
    for t in range(k):
        matrix[t, t] = 1.0 - lengths[t] + shift
        right[t] = rest_up[0, t]
    forced = grad @ rest - up @ rest_up[0]
    for i in range(m):
        right[k + i] = residual[size + chosen[i]] + forced[i] / one
        for t in range(k):
            matrix[t, k + i] = matrix[k + i, t] = -up[i, t]
            right[k + i] += beside[t] * down[i, t] * rest_down[0, t]
        for j in range(i + 1):
            total = -inner[i, j] / one
            for t in range(k):
                total -= beside[t] * down[i, t] * down[j, t]
            matrix[k + i, k + j] = matrix[k + j, k + i] = total
        matrix[k + i, k + i] += shift
    step, piv = np.zeros(residual.shape[0]), np.empty(k + m, dtype=np.int64)
    if not lu_factor(matrix, piv):
        step[:] = np.nan
        return step
    lu_solve(matrix, piv, right)
    real, imaginary = right[k:].real.copy(), right[k:].imag.copy()
    moved = (rest + grad.T @ real) / one + (1j / one) * (grad.T @ imaginary)
    plus, minus = np.empty(k), np.empty(k)
    for t in range(k):
        ahead = rest_up[0, t] + dot(up[:, t], real) + 1j * dot(up[:, t], imaginary)
        behind = rest_down[0, t] + dot(down[:, t], real) + 1j * dot(down[:, t], imaginary)
        plus[t], minus[t] = (right[t] - ahead / one).real, (beside[t] * behind).real
    whole = moved.real.copy()
    _add_along(net, tangent, pull, units, lengths, plus, minus, whole)
    step[:size] = -whole
    step[size + chosen] = -real
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
    units, lengths = _pulled(cell.net, pull)
    up, down = _along(cell.net, directions.tangent, pull, units, lengths, span)
    up, down = up * np.sqrt(lengths), down * np.sqrt(lengths)
    beyond = np.diag(1.0 + flat + lengths) - down.T @ down
    mixed = up.T @ down
    up_through = np.diag(lengths) - up.T @ up - mixed @ np.linalg.solve(beyond, np.ascontiguousarray(mixed.T))
    return np.eye(lengths.shape[0]) - up_through / (1.0 + flat)
