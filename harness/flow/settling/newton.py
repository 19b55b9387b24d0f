"""Newton's method on the KKT system, damped, with changes of the active set, compiled.

On the active set A the limit solves B^T (theta - sum lambda_i grad q_i) = 0, q_i = 1 for i in A, with theta = B z in
the flow's invariant subspace (an orthonormal basis here).  The system is singular along the network's own symmetries,
so steps are Levenberg-Marquardt steps that leave those directions alone; a pseudo-inverse step would jump along them.
"""

from __future__ import annotations

import numpy as np

from harness.flow.compiled.compiling import compiled, part
from harness.flow.compiled.kernel import dot, lu_factor, lu_solve
from harness.flow.settling.by_unit import step_by_unit, system_by_unit
from harness.flow.settling.directions import at_coordinates, coordinates
from harness.flow.settling.lagrangian import evaluate_rows, lagrangian_hessian

EXACT = 4e-15  # of the KKT residual relative to ||theta||: rounding
# The same.  Newton's method converges quadratically, or, where the point is a double root, by halves down to the square
# root of rounding: what it calls solved is below both.
SOLVED_AT = 1e-10
LAST_TRY = 1e-12  # the same: a step refused here is refused by rounding, and a larger damping will not do
DAMPING, DAMPED_AT_LEAST, MORE_DAMPING = 1e-13, 1e-10, 30.0  # the least; the least after a refusal; its growth
# By how much a step may raise the residual in a wide network.  Where many neurons nearly die the way down is narrow and
# bent, (1 - |g|) times the size of each being zero: along it damped steps take hundreds, and a step across it one.
RISE = 100.0
NEGATIVE = 1e-10  # of the largest multiplier, as exact as the residual: one below minus this leaves the active set
VIOLATED = 1e-9  # of a margin of 1: an inactive sample below it joins
JOINING = 1e-3  # of the largest first multiplier: with it, at least, a sample joins


@compiled
def _system(cell, theta, directions, curved, active, lam, work):
    """Residual (r + n + t,) and its symmetric matrix; rows of inactive samples are the identity.

    Of wide directions as of `system_by_unit`.
    """
    if directions.wide:
        return system_by_unit(cell, theta, directions, active, lam, work)
    q, grad, basis = work.q, work.grad, directions.basis
    size, r = basis.shape
    n = cell.x.shape[0]
    evaluate_rows(cell, theta, curved, work)
    weights = np.where(active, lam, 0.0)
    gb = grad @ basis
    count = lam.shape[0]
    residual = np.zeros(r + count)
    matrix = np.zeros((r + count, r + count))
    stationary = basis.T @ (theta - grad.T @ weights)
    curvature = lagrangian_hessian(cell, curved, weights, basis, work)
    for a in range(r):
        residual[a] = stationary[a]
        for b in range(r):
            matrix[a, b] = -curvature[a, b]
        matrix[a, a] += 1.0
    for i in range(count):
        if active[i]:
            residual[r + i] = (1.0 if i < n else 0.0) - q[i]
            for a in range(r):
                matrix[a, r + i] = -gb[i, a]
                matrix[r + i, a] = -gb[i, a]
        else:
            matrix[r + i, r + i] = 1.0
    return residual, matrix


@compiled
def _damped_step(matrix, residual, damping):
    """Minimise |matrix s + residual|^2 + damping |s|^2."""
    size = matrix.shape[0]
    normal = matrix @ matrix
    for a in range(size):
        normal[a, a] += damping
    step = -(matrix @ residual)
    piv = np.empty(size, dtype=np.int64)
    if not lu_factor(normal, piv):
        step[:] = np.nan
        return step
    lu_solve(normal, piv, step)
    return step


@part
def _newton(cell, theta, directions, curved, active, lam, work):
    """Solve on a fixed active set in place; the final residual norm relative to ||theta||."""
    z = coordinates(directions, theta)
    r = z.shape[0]
    theta[:] = at_coordinates(directions, z)
    residual, matrix = _system(cell, theta, directions, curved, active, lam, work)
    error = np.sqrt(dot(residual, residual))
    stalled = 0
    for _ in range(40):
        scale = np.sqrt(dot(z, z))
        if not np.isfinite(error) or scale == 0.0:
            return np.inf
        if error <= EXACT * scale or stalled >= 2:
            break
        damping = max(DAMPING, min(1.0, error * error / (scale * scale)))
        before = error
        rise = RISE if directions.wide and error > SOLVED_AT * scale else 1.0
        for _ in range(8):
            if directions.wide:
                step = step_by_unit(cell.net, directions, active, matrix, residual, damping)
            else:
                step = _damped_step(matrix, residual, damping)
            z_new = z + step[:r]
            lam_new = lam + np.where(active, step[r:], 0.0)
            theta_new = at_coordinates(directions, z_new)
            residual_new, matrix_new = _system(cell, theta_new, directions, curved, active, lam_new, work)
            error_new = np.sqrt(dot(residual_new, residual_new))
            if error_new < rise * error:
                z, lam[:], theta[:] = z_new, lam_new, theta_new
                residual, matrix, error = residual_new, matrix_new, error_new
                break
            damping = max(damping * MORE_DAMPING, DAMPED_AT_LEAST)
            if error < LAST_TRY * scale:
                break
        if error == before:
            break
        stalled = stalled + 1 if error > 0.5 * before else 0
    return error / np.sqrt(dot(z, z))


@part
def solve_kkt(cell, theta, directions, curved, active, lam, work):
    """Newton with changes of the active set, in place; the residual, infinite when the set keeps changing."""
    q = work.q
    n = cell.x.shape[0]
    start, first = theta.copy(), lam.copy()
    error = np.inf
    for attempt in range(6):
        theta[:] = start
        lam[:] = first
        # a sample that is new to the set has to start somewhere
        least = JOINING * first[:n].max() if attempt > 0 else -np.inf
        for i in range(n):
            lam[i] = max(first[i], least) if active[i] else 0.0
        error = _newton(cell, theta, directions, curved, active, lam, work)
        if not error < SOLVED_AT:
            return error
        evaluate_rows(cell, theta, curved, work)
        worst = -1
        for i in range(n):
            if active[i] and lam[i] < -NEGATIVE * np.abs(lam[:n]).max() and (worst < 0 or lam[i] < lam[worst]):
                worst = i
        if worst >= 0:
            active[worst] = False
            continue
        for i in range(n):
            if not active[i] and q[i] < 1.0 - VIOLATED and (worst < 0 or q[i] < q[worst]):
                worst = i
        if worst < 0:
            return error
        active[worst] = True
    return np.inf
