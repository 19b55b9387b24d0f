"""The polish: a damped Newton method on the KKT system, and the test that the flow is going there.

On the active set A the limit solves B^T (theta - sum lambda_i grad q_i) = 0, q_i = 1 for i in A, with
theta = B z in the flow's invariant subspace (an orthonormal basis here).  The system is singular along the
network's own symmetries, so steps are Levenberg-Marquardt steps that leave those directions alone; a
pseudo-inverse step would jump along them.  A KKT point is a limit only if no direction of the critical subspace
inside V has positive curvature sum lambda_i Hessian(q_i) - I: else it is a saddle that the flow is about to leave.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from harness.flow.compiling import compiled
from harness.flow.field import same_gates, softmax, weighted_point
from harness.flow.kernel import dot, evaluate, hessian_times, lu_factor, lu_solve, margins, unit_gradient

SOLVED, FAILED, SADDLE = range(3)
MOST_REMOVED = 4  # units, where Newton's method needs some removed
REFINED = 20
EXACT = 4e-15  # of the KKT residual relative to ||theta||: rounding
FLAT = 1e-6  # largest curvature that is taken for zero
ACTIVE = 1e-5  # softmax weight above which a sample is first taken to be active
LEADING = 0.5  # the same relative to the largest, where Newton's method fails with more
LATE = 1e4  # min q from which that is tried
# Of the KKT residual relative to ||theta||.  Newton's method converges quadratically, or, where the point is a double
# root, by halves down to the square root of rounding: what it calls solved is below both.
SOLVED_AT = 1e-10
LAST_TRY = 1e-12  # of it: a step refused here is refused by rounding, and a larger damping will not do
DAMPING, DAMPED_AT_LEAST, MORE_DAMPING = 1e-13, 1e-10, 30.0  # the least; the least after a refusal; its growth
NEGATIVE = 1e-10  # of the largest multiplier, as exact as the residual: one below minus this leaves the active set
VIOLATED = 1e-9  # of a margin of 1: an inactive sample below it joins
JOINING = 1e-3  # of the largest first multiplier: with it, at least, a sample joins
RIDGE = 1e-6  # of the largest squared gradient: dependent gradients get multipliers of least norm, refined afterwards
POSITIVE = 1e-9  # of the largest multiplier: a margin with less is not tight to the second-order test
INDEPENDENT = 1e-9  # of a gradient's length: less of it is left by rounding after the others are taken away
PUSHED = 10.0  # times the largest curvature: so far out of the way are directions off the critical subspace


class Rows(NamedTuple):
    """As of `evaluate`, with a row in q and grad for every curved kink below those of the samples."""

    q: np.ndarray
    grad: np.ndarray
    pre: np.ndarray
    delta: np.ndarray


@compiled
def _evaluate(cell, theta, curved, work):
    """q and grad with a row for every curved kink below the samples': its pre-activation and normal."""
    net, x, y, gates, logistic = cell
    q, grad, pre, delta = work
    n = x.shape[0]
    evaluate(net, theta, x, y, gates, q[:n], grad[:n], pre, delta)
    for t in range(curved.shape[0]):
        i, u = curved[t]
        unit_gradient(net, theta, x[i], gates[i], u, grad[n + t])
        q[n + t] = pre[i, u]


@compiled
def _lagrangian_hessian(cell, theta, curved, lam, basis):
    """basis^T (sum lambda_i Hessian(q_i) + sum mu_t Hessian(pre_t)) basis; lam (n + t,) holds lambda, mu."""
    net, x, y, gates, logistic = cell
    n = x.shape[0]
    points = x
    seeds = np.zeros(gates.shape)
    if curved.shape[0] == 0 and same_gates(gates):
        points = weighted_point(x, y, lam)
        seeds[0, -1] = 1.0
    else:
        for i in range(n):
            seeds[i, -1] = y[i] * lam[i]
        for t in range(curved.shape[0]):
            i, u = curved[t]
            seeds[i, u] += lam[n + t]
    out = np.empty(basis.shape)
    hessian_times(net, theta, points, gates, seeds, basis, out)
    return basis.T @ out


@compiled
def _system(cell, theta, basis, curved, active, lam, work):
    """Residual (r + n + t,) and its symmetric matrix; rows of inactive samples are the identity."""
    q, grad, pre, delta = work
    size, r = basis.shape
    n = cell.x.shape[0]
    _evaluate(cell, theta, curved, work)
    weights = np.where(active, lam, 0.0)
    gb = grad @ basis
    count = lam.shape[0]
    residual = np.zeros(r + count)
    matrix = np.zeros((r + count, r + count))
    stationary = basis.T @ (theta - grad.T @ weights)
    curvature = _lagrangian_hessian(cell, theta, curved, weights, basis)
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


@compiled
def _newton(cell, theta, basis, curved, active, lam, work):
    """Solve on a fixed active set in place; the final residual norm relative to ||theta||."""
    r = basis.shape[1]
    z = basis.T @ theta
    theta[:] = basis @ z
    residual, matrix = _system(cell, theta, basis, curved, active, lam, work)
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
        for _ in range(8):
            step = _damped_step(matrix, residual, damping)
            z_new = z + step[:r]
            lam_new = lam + np.where(active, step[r:], 0.0)
            theta_new = basis @ z_new
            residual_new, matrix_new = _system(cell, theta_new, basis, curved, active, lam_new, work)
            error_new = np.sqrt(dot(residual_new, residual_new))
            if error_new < error:
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


@compiled
def _is_maximum(cell, theta, basis, curved, lam, work):
    """Whether the Lagrangian's Hessian - I has no eigenvalue above FLAT on the critical subspace inside the basis."""
    q, grad, pre, delta = work
    size, r = basis.shape
    n = cell.x.shape[0]
    _evaluate(cell, theta, curved, work)
    gb = grad @ basis
    # orthonormalise the active gradients, then push them out of the way by a large positive shift
    curvature = _lagrangian_hessian(cell, theta, curved, lam, basis)
    span = np.zeros((lam.shape[0], r))
    count = 0
    top = lam[:n].max()
    for i in range(lam.shape[0]):
        if i >= n or lam[i] > POSITIVE * top:
            v = gb[i].copy()
            length = np.sqrt(dot(v, v))
            for _ in range(2):
                for j in range(count):
                    v -= dot(v, span[j]) * span[j]
            rest = np.sqrt(dot(v, v))
            if rest > INDEPENDENT * length and rest > 0.0:
                span[count] = v / rest
                count += 1
    if count == r:
        return True
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


@compiled
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


@compiled
def _first_multipliers(target, grad, active):
    """Ridge least squares of target (r,) over the active rows of grad (n + t, r).

    The softmax weights would do in exact arithmetic, but at a large inverse temperature they carry the
    integrator's error.
    """
    count = grad.shape[0]
    gram = grad @ grad.T
    right = grad @ target
    top = 0.0
    for i in range(count):
        top = max(top, gram[i, i])
    for i in range(count):
        if not active[i]:
            gram[i, :] = 0.0
            gram[:, i] = 0.0
            right[i] = 0.0
    factors = gram.copy()
    for i in range(count):
        factors[i, i] += RIDGE * top
    piv = np.empty(count, dtype=np.int64)
    found = np.zeros(count)
    if lu_factor(factors, piv):
        # refined, since nearly dependent gradients have less than the ridge between them
        for _ in range(REFINED):
            step = right - gram @ found
            lu_solve(factors, piv, step)
            found += step
    return found


@compiled
def _solve(cell, theta, basis, curved, active, lam, work):
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
        error = _newton(cell, theta, basis, curved, active, lam, work)
        if not error < SOLVED_AT:
            return error
        _evaluate(cell, theta, curved, work)
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


@compiled
def _unit_sizes(net, theta):
    """The largest weight of every hidden unit; infinite for inputs and the output."""
    largest = np.zeros(net.uptr[-1])
    for e in range(net.row.shape[0]):
        w = abs(theta[net.par[e]])
        largest[net.row[e]] = max(largest[net.row[e]], w)
        largest[net.col[e]] = max(largest[net.col[e]], w)
    largest[: net.uptr[1]] = np.inf
    largest[net.uptr[-2] :] = np.inf
    return largest


@compiled
def removals(net, theta):
    """The sets of units to remove in turn, (trials, units) bool.

    None; then each of the smallest units alone; then the two, three, ... smallest together.
    """
    order = np.argsort(_unit_sizes(net, theta))
    hidden = min(net.uptr[-2] - net.uptr[1], MOST_REMOVED)
    out = np.zeros((max(2 * hidden, 1), net.uptr[-1]), dtype=np.bool_)
    for trial in range(1, 2 * hidden):
        if trial <= hidden:
            out[trial, order[trial - 1]] = True
        else:
            out[trial, order[: trial - hidden + 1]] = True
    return out


@compiled
def without_units(net, basis, removed):
    """The part of span(basis) in which the weights of the removed units are zero."""
    small = np.zeros(basis.shape[0], dtype=np.bool_)
    for e in range(net.row.shape[0]):
        if removed[net.row[e]] or removed[net.col[e]]:
            small[net.par[e]] = True
    return where_zero(basis, small) if np.any(small) else np.zeros((basis.shape[0], 0))


@compiled
def where_zero(basis, small):
    """The part of span(basis) in which the parameters `small` (N,) bool, some of them, are zero."""
    _, values, right = np.linalg.svd(basis[small])
    kept = 0
    for v in values:
        if v > INDEPENDENT:
            kept += 1
    return basis @ np.ascontiguousarray(right[kept:].T)


@compiled
def _polish_within(cell, theta, basis, part, curved, p, late, lam, work):
    """Newton's method from theta within the part of the basis; the KKT residual against the whole basis.

    late: whether to try with the LEADING samples alone.
    """
    net = cell.net
    n = cell.x.shape[0]
    grad = work.grad
    theta[:] = part @ (np.ascontiguousarray(part.T) @ theta)
    _evaluate(cell, theta, curved, work)
    low = work.q[:n].min()
    if not low > 0.0:
        return np.inf
    theta *= low ** (-1.0 / (net.ptr.shape[0] - 1))
    active = np.ones(lam.shape[0], dtype=np.bool_)
    active[:n] = p > ACTIVE
    _evaluate(cell, theta, curved, work)
    lam[:] = _first_multipliers(np.ascontiguousarray(part.T) @ theta, grad @ part, active)
    first, near = active.copy(), theta.copy()
    error = _solve(cell, theta, part, curved, active, lam, work)
    for attempt in range(2 if late else 1):
        if error < SOLVED_AT:
            break
        # the weights of a flow that has nearly arrived are its multipliers, also where least squares cannot tell;
        # of margins that even the last temperature hardly tells apart only the least may be active
        active[:] = first
        if attempt == 1:
            active[:n] &= p >= LEADING * p.max()
        lam[n:] = 0.0
        lam[:n] = np.where(active[:n], p, 0.0) * dot(near, near) / (net.ptr.shape[0] - 1)
        theta[:] = near
        error = _solve(cell, theta, part, curved, active, lam, work)
    if not error < SOLVED_AT:
        return error
    lam[:n] = np.maximum(lam[:n], 0.0)
    rest = np.ascontiguousarray(basis.T) @ (theta - grad.T @ lam)
    return max(error, np.sqrt(dot(rest, rest) / dot(theta, theta)))


@compiled
def polish(cell, theta, basis, curved, q, multipliers):
    """From a direction of the flow to the KKT point it points at, in place.

    theta (N,), a point of the flow, is scaled to min q = 1 and solved for; basis (N, r) orthonormal, the directions the
    flow can take; curved (t, 2): the (sample, unit) pairs on whose curved kinks it slides, equality constraints here;
    q, multipliers (n,): the margins and multipliers found.  Slowly dying units make the system nearly singular: where
    Newton's method fails, it is tried with one or a few of the small units removed; residual and second-order test are
    those of the whole.
    Returns (code, residual relative to ||theta||).
    """
    net = cell.net
    n = cell.x.shape[0]
    count = n + curved.shape[0]
    pre, delta = np.empty(cell.gates.shape), np.empty(cell.gates.shape)
    work = Rows(np.empty(count), np.empty((count, theta.shape[0])), pre, delta)
    p = np.empty(n)
    margins(net, theta, cell.x, cell.y, cell.gates, q, pre)
    softmax(q, cell.logistic, p, np.empty(n))
    late = q.min() > LATE
    lam = np.empty(count)
    flow = theta.copy()
    removed = removals(net, flow)
    code, error = FAILED, np.inf
    for trial in range(len(removed)):
        part = basis
        if trial > 0:
            part = without_units(net, basis, removed[trial])
            if part.shape[1] == 0:
                continue
        theta[:] = flow
        error = _polish_within(cell, theta, basis, part, curved, p, late and trial == 0, lam, work)
        if error < SOLVED_AT:
            maximum = _is_maximum(cell, theta, basis, curved, lam, work)
            q[:] = work.q[:n]
            multipliers[:] = lam[:n]
            if maximum:
                return SOLVED, error
            code = SADDLE
            if trial == 0:
                break
    return code, error
