"""Newton's method on the KKT system, damped, with changes of the active set, compiled.

On the active set A the limit solves B^T (theta - sum lambda_i grad q_i) = 0, q_i = 1 for i in A, with theta = B z in
the flow's invariant subspace (an orthonormal basis here).  The system is singular along the network's own symmetries,
so steps are Levenberg-Marquardt steps that leave those directions alone; a pseudo-inverse step would jump along them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from harness.flow.compiled.compiling import bare, compiled, part
from harness.flow.compiled.kernel import dot, lu_factor, lu_solve
from harness.flow.settling.by_unit import step_by_unit, system_by_unit
from harness.flow.settling.directions import at_coordinates, coordinates
from harness.flow.settling.lagrangian import curvature_within, evaluate_rows, fill_hessian, multiply, within

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


class Room(NamedTuple):
    """Room for a system of r + c rows: weights (c,), rest (N,), rows (c, r), along (N, r), curvature (r, r); normal
    (r + c, r + c) and piv, step (r + c,).
    """

    weights: np.ndarray
    rest: np.ndarray
    rows: np.ndarray
    along: np.ndarray
    curvature: np.ndarray
    normal: np.ndarray
    piv: np.ndarray
    step: np.ndarray


@compiled
def _room_of(size, r, count):
    total = r + count
    return Room(
        np.empty(count), np.empty(size), np.empty((count, r)), np.empty((size, r)), np.empty((r, r)),
        np.empty((total, total)), np.empty(total, dtype=np.int64), np.empty(total),
    )  # fmt: skip


@bare
def _fill(cell, theta, directions, curved, active, lam, work, room, residual, matrix):
    """Residual (r + n + t,) and its symmetric matrix, in place; rows of inactive samples are the identity."""
    q, grad, basis, rows, curvature = work.q, work.grad, directions.basis, room.rows, room.curvature
    r, count, n = basis.shape[1], lam.shape[0], cell.x.shape[0]
    evaluate_rows(cell, theta, curved, work)
    for i in range(count):
        room.weights[i] = lam[i] if active[i] else 0.0
    multiply(grad.T, room.weights, room.rest)
    for a in range(theta.shape[0]):
        room.rest[a] = theta[a] - room.rest[a]
    fill_hessian(cell, curved, room.weights, work)
    within(directions, grad, room.rest, rows, residual[:r])
    curvature_within(directions, work.second, room.along, curvature)
    matrix[:, :] = 0.0
    for a in range(r):
        for b in range(r):
            matrix[a, b] = -curvature[a, b]
        matrix[a, a] += 1.0
    for i in range(count):
        residual[r + i] = 0.0
        if active[i]:
            residual[r + i] = (1.0 if i < n else 0.0) - q[i]
            for a in range(r):
                matrix[a, r + i] = -rows[i, a]
                matrix[r + i, a] = -rows[i, a]
        else:
            matrix[r + i, r + i] = 1.0


@bare
def _damped_step(matrix, residual, damping, room):
    """Minimise |matrix s + residual|^2 + damping |s|^2."""
    normal, step = room.normal, room.step
    multiply(matrix, matrix, normal)
    multiply(matrix, residual, step)
    for a in range(step.shape[0]):
        normal[a, a] += damping
        step[a] = -step[a]
    if lu_factor(normal, room.piv):
        lu_solve(normal, room.piv, step)
    else:
        step[:] = np.nan


@part
def _newton(cell, theta, directions, curved, active, lam, work):
    """Solve on a fixed active set in place; the final residual norm relative to ||theta||."""
    z = coordinates(directions, theta)
    r, count, wide = z.shape[0], lam.shape[0], directions.wide
    theta[:] = at_coordinates(directions, z)
    room = _room_of(0 if wide else theta.shape[0], 0 if wide else r, 0 if wide else count)
    residual, matrix = np.empty(r + count), np.empty(room.normal.shape)
    residual_new, matrix_new = np.empty(r + count), np.empty(room.normal.shape)
    lam_new, z_new = np.empty(count), np.empty(r)
    if wide:
        residual, matrix = system_by_unit(cell, theta, directions, active, lam, work)
    else:
        _fill(cell, theta, directions, curved, active, lam, work, room, residual, matrix)
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
        rise = RISE if wide and error > SOLVED_AT * scale else 1.0
        for _ in range(8):
            if wide:
                step = step_by_unit(cell.net, directions, active, matrix, residual, damping)
            else:
                step = room.step
                _damped_step(matrix, residual, damping, room)
            for a in range(r):
                z_new[a] = z[a] + step[a]
            for i in range(count):
                lam_new[i] = lam[i] + (step[r + i] if active[i] else 0.0)
            theta_new = at_coordinates(directions, z_new)
            if wide:
                residual_new, matrix_new = system_by_unit(cell, theta_new, directions, active, lam_new, work)
            else:
                _fill(cell, theta_new, directions, curved, active, lam_new, work, room, residual_new, matrix_new)
            error_new = np.sqrt(dot(residual_new, residual_new))
            if error_new < rise * error:
                z, lam[:], theta[:] = z_new.copy(), lam_new, theta_new
                residual, residual_new, matrix, matrix_new = residual_new, residual, matrix_new, matrix
                error = error_new
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
