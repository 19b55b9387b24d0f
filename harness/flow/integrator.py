"""The stiff integrator: RODAS4 on the reparametrised flow, from one event to the next, compiled.

The field is that of harness.flow.field.  The state is z with theta = c + B z: B spans the flow's invariant subspace
exactly (harness.flow.invariants), c holds parameters that the gates keep constant, and z' is the pivot rows of f,
projected on the kinks that slide.  What the subspace excludes cannot grow, whatever the rounding.

RODAS4: Hairer & Wanner, Solving Ordinary Differential Equations II, section IV.7; order 4 (3),
stiffly accurate, six stages, one Jacobian and one factorisation a step.

Freeze: once min q exceeds FREEZE the flow is followed less its growth: d theta / d sigma = f - s theta, with
s = f . theta / rho^2 at the start of every step and s h booked in the log-norm.  By homogeneity the direction is that
of a flow whose softmax stays at this inverse temperature, and steps are no longer bounded by the norm's growth, which
matters where the direction moves slowly.  A start beyond 4 * FREEZE is halved first, exactly.
"""

from __future__ import annotations

import numpy as np

from harness.flow.compiling import compiled
from harness.flow.field import (
    add_multiples,
    factor_gram,
    field,
    jacobian,
    loss_below,
    pull,
    slide_coefficients,
    velocity,
)
from harness.flow.kernel import dot, lift, lu_factor, lu_solve, margins, unit_gradient

DUE, EVENT, STATIONARY, OUT_OF_STEPS, STUCK = range(5)
SOFTMAX_ERROR, WEIGHTY = 0.05, 1e-6  # error allowed in the margin of a sample whose softmax weight is above WEIGHTY
LANDED = 1e-11  # a pre-activation this small relative to ||theta|| ||x|| is on its kink

# RODAS4: the stage points, the terms c_ij / h of the right-hand sides, the dense output
GAMMA = 0.25
STAGE = np.array(
    [
        [0.0, 0.0, 0.0, 0.0, 0.0],
        [1.544, 0.0, 0.0, 0.0, 0.0],
        [0.9466785280815826, 0.2557011698983284, 0.0, 0.0, 0.0],
        [3.314825187068521, 2.896124015972201, 0.9986419139977817, 0.0, 0.0],
        [1.221224509226641, 6.019134481288629, 12.53708332932087, -0.6878860361058950, 0.0],
    ]
)
STEP = np.array(
    [
        [0.0, 0.0, 0.0, 0.0, 0.0],
        [-5.6688, 0.0, 0.0, 0.0, 0.0],
        [-2.430093356833875, -0.2063599157091915, 0.0, 0.0, 0.0],
        [-0.1073529058151375, -9.594562251023355, -20.47028614809616, 0.0, 0.0],
        [7.496443313967647, -10.24680431464352, -33.99990352819905, 11.70890893206160, 0.0],
        [8.083246795921522, -7.981132988064893, -31.52159432874371, 16.31930543123136, -6.058818238834054],
    ]
)
DENSE = np.array(
    [
        [10.12623508344586, -7.487995877610167, -34.80091861555747, -7.992771707568823, 1.025137723295662],
        [-0.6762803392806898, 6.087714651680015, 16.43084320892478, 24.76722511418386, -6.594389125716872],
    ]
)


@compiled
def rosenbrock_step(problem, z, c, basis, pivots, slides, f0, jac, shift, h, work, k):
    """One RODAS4 step of size h from z; fills the stages k (6, r); returns the new z, NaN if singular.

    f0, jac: of the field less shift times theta.
    """
    r = z.shape[0]
    theta = np.empty(c.shape[0])
    lhs = -jac
    for a in range(r):
        lhs[a, a] += 1.0 / (h * GAMMA)
    piv = np.empty(r, dtype=np.int64)
    stage = z.copy()
    if not lu_factor(lhs, piv):
        stage[:] = np.nan
        return stage
    rhs = f0.copy()
    for s in range(6):
        if s > 0:
            for a in range(r):
                if s < 5:
                    stage[a] = z[a]
                    for j in range(s):
                        stage[a] += STAGE[s, j] * k[j, a]
                else:
                    stage[a] += k[4, a]
            v, _ = velocity(problem, lift(c, basis, stage, theta), slides, work)
            for a in range(r):
                rhs[a] = v[pivots[a]] - shift * stage[a]
        for a in range(r):
            for j in range(s):
                rhs[a] += STEP[s, j] * k[j, a] / h
        lu_solve(lhs, piv, rhs)
        k[s] = rhs
    z_new = stage + k[5]
    if slides.normals.shape[0] > 0:
        _return_to_kinks(problem, z_new, c, basis, pivots, slides, work)
    return z_new


@compiled
def _return_to_kinks(problem, z, c, basis, pivots, slides, work):
    """Newton steps, in place, back to the kinks that the step has left by its own error, on flat ones by rounding."""
    net, x, y, gates, logistic = problem
    q, grad, pre, delta, p, slope, f = work
    flat = slides.normals.shape[0] - slides.curved.shape[0]
    theta = np.empty(c.shape[0])
    for _ in range(3 if slides.curved.shape[0] > 0 else 1):
        lift(c, basis, z, theta)
        gap = np.empty(slides.normals.shape[0])
        for h in range(flat):
            gap[h] = dot(slides.normals[h], theta)
        if slides.curved.shape[0] > 0:
            margins(net, theta, x, y, gates, q, pre)
        for t in range(slides.curved.shape[0]):
            i, u = slides.curved[t]
            unit_gradient(net, theta, x[i], gates[i], u, slides.normals[flat + t])
            gap[flat + t] = pre[i, u]
        if flat < slides.normals.shape[0]:
            factor_gram(slides)
        lu_solve(slides.gram, slides.piv, gap)
        step = add_multiples(slides.normals, gap, np.zeros(theta.shape[0]))
        for a in range(z.shape[0]):
            z[a] -= step[pivots[a]]


@compiled
def interpolate(z0, z1, k, s):
    """Dense output of the step at fraction s."""
    out = np.empty_like(z0)
    for a in range(z0.shape[0]):
        d1 = 0.0
        d2 = 0.0
        for j in range(5):
            d1 += DENSE[0, j] * k[j, a]
            d2 += DENSE[1, j] * k[j, a]
        out[a] = z0[a] * (1 - s) + s * (z1[a] + (1 - s) * (d1 + s * d2))
    return out


@compiled
def violation(problem, theta, watch, slides, reach, depths, work, hit, ended, mark):
    """How far theta is past the nearest event: negative before it, zero on it.

    A watched pre-activation of layer l counts relative to ||theta||^l ||x_i||, a coefficient that leaves [0, 1] or a
    jump that turns positive by a hundredth.  With mark, fills hit and ended with what is within LANDED.
    """
    net, x, y, gates, logistic = problem
    q, grad, pre, delta, p, slope, f = work
    n, units = gates.shape
    s = slides.normals.shape[0]
    if s == 0:
        margins(net, theta, x, y, gates, q, pre)
        rho = np.sqrt(dot(theta, theta))
    else:
        rho = field(problem, theta, work)
    worst = -np.inf
    for i in range(n):
        for u in range(units):
            if watch[i, u] != 0:
                value = -watch[i, u] * pre[i, u] / (reach[i] * rho ** depths[u])
                worst = max(worst, value)
                if mark:
                    hit[i, u] = value >= -LANDED
    if s > 0:
        coefficients = np.empty(s)
        jumps = np.empty(s)
        slide_coefficients(slides, problem, theta, work, rho, coefficients, jumps)
        for h in range(s):
            value = 0.01 * max(max(-coefficients[h], coefficients[h] - 1.0), jumps[h] / rho)
            worst = max(worst, value)
            if mark:
                ended[h] = value >= -LANDED
    return worst


@compiled
def locate(problem, z, c, basis, pivots, slides, f0, jac, shift, h, watch, reach, depths, work, k, hit, ended):
    """The step h* <= h that lands on the first event, and its end; regula falsi (Illinois) on the step size.

    (h, z, False) if the step of size h meets no event after all.  The first trials are Newton steps with the slope
    of the step's own dense output: a trial costs a step, a look at the dense output next to nothing.
    """
    theta = np.empty(c.shape[0])
    hi = h
    z_hi = rosenbrock_step(problem, z, c, basis, pivots, slides, f0, jac, shift, hi, work, k)
    g_hi = violation(problem, lift(c, basis, z_hi, theta), watch, slides, reach, depths, work, hit, ended, False)
    if g_hi <= LANDED:
        return hi, z_hi, False
    lo = 0.0
    g_lo = violation(problem, lift(c, basis, z, theta), watch, slides, reach, depths, work, hit, ended, False)
    weight_lo, weight_hi, near = 1.0, 1.0, 0.0
    first, last, behind, ahead = 0.0, 1.0, g_lo, g_hi
    while last - first > 1e-6:
        s = 0.5 * (first + last)
        z_s = interpolate(z, z_hi, k, s)
        g = violation(problem, lift(c, basis, z_s, theta), watch, slides, reach, depths, work, hit, ended, False)
        if g > 0.0:
            last, ahead = s, g
        else:
            first, behind = s, g
    slope = (ahead - behind) / ((last - first) * h)
    trial = last * h
    for attempt in range(80):
        if attempt > 0:
            if g_lo < -LANDED and attempt % 4 != 3:
                a, b = weight_lo * g_lo, weight_hi * g_hi
                trial = (lo * b - hi * a) / (b - a)
            else:
                trial = 0.5 * (lo + hi)
            if attempt < 4 and slope > 0.0 and lo < near < hi:
                trial = near
        if not lo < trial < hi or hi - lo < 1e-14 * h:
            break
        z_trial = rosenbrock_step(problem, z, c, basis, pivots, slides, f0, jac, shift, trial, work, k)
        g = violation(problem, lift(c, basis, z_trial, theta), watch, slides, reach, depths, work, hit, ended, False)
        # half of what counts as landed beyond the kink
        near = trial + (0.5 * LANDED - g) / slope
        if g > 0.0:
            hi, z_hi, g_hi = trial, z_trial, g
            weight_hi = 1.0
            weight_lo *= 0.5
            if g <= LANDED:
                break
        else:
            lo, g_lo = trial, g
            weight_lo = 1.0
            weight_hi *= 0.5
    violation(problem, lift(c, basis, z_hi, theta), watch, slides, reach, depths, work, hit, ended, True)
    return hi, z_hi, True


@compiled
def _first_event(
    problem, z, z_new, c, basis, pivots, slides, f0, jac, shift, h, watch, reach, depths, work, k, hit, ended
):
    """The accepted step (h, z_new, False), or a shorter one and whether it ends on an event (`locate`).

    Events are looked for at the quarters of the step.
    """
    theta = np.empty(c.shape[0])
    for quarter in range(1, 5):
        s = quarter / 4.0
        z_s = interpolate(z, z_new, k, s) if quarter < 4 else z_new
        lift(c, basis, z_s, theta)
        if violation(problem, theta, watch, slides, reach, depths, work, hit, ended, False) > LANDED:
            return locate(
                problem, z, c, basis, pivots, slides, f0, jac, shift, s * h, watch, reach, depths, work, k, hit, ended
            )
    return h, z_new, False


@compiled
def _error(grad, weight, theta, theta_new, err_theta, rho, rtol):
    """The error of a step, 1 where it is just allowed; weight (n,): the softmax at its start.

    At large margins a small error in theta is a large one in the softmax, and the next step pays for it.
    """
    size = theta.shape[0]
    total = 0.0
    for a in range(size):
        scaled = err_theta[a] / (max(abs(theta[a]), abs(theta_new[a])) + 0.01 * rho)
        total += scaled * scaled
    error = np.sqrt(total / size) / rtol
    for i in range(weight.shape[0]):
        if weight[i] > WEIGHTY:
            error = max(error, abs(dot(grad[i], err_theta)) / SOFTMAX_ERROR)
    return error


@compiled
def _reaches(net, x):
    """||x_i|| (n,) and the layer of every unit (units,), with which pre-activations are compared."""
    reach = np.empty(x.shape[0])
    for i in range(x.shape[0]):
        reach[i] = np.sqrt(dot(x[i], x[i]))
    depths = np.empty(net.uptr[-1])
    for layer in range(net.uptr.shape[0] - 1):
        depths[net.uptr[layer] : net.uptr[layer + 1]] = layer
    return reach, depths


@compiled
def integrate(problem, z, c, basis, pivots, watch, slides, state, limits, record, hit, ended):
    """Follow the flow in place until something happens; returns one of the codes above.

    problem: (net, x, y, gates, logistic).
    state: [log-norm booked, sigma, h, separated (0/1), attempted steps, rows of record written, norm at the start].
    limits: [rtol, freeze level, log-norm at which to stop, min q below which not to stop, most attempted steps].
    watch (n, units) int8: +1 where the pre-activation must stay >= 0, -1 where <= 0, 0 unwatched.
    hit (n, units), ended (s,): filled with what happened when the code is EVENT.
    record (capacity, 2 + N): (log-norm booked, sigma, theta) of every accepted step while there is room.
    """
    net, x, y, gates, logistic = problem
    size, r = basis.shape
    n, units = gates.shape
    # made here and not by a function: arrays known to be contiguous make the loops faster
    q, grad, pre, delta = np.empty(n), np.empty((n, size)), np.empty((n, units)), np.empty((n, units))
    p, slope, f = np.empty(n), np.empty(n), np.empty(size)
    work = (q, grad, pre, delta, p, slope, f)
    k = np.empty((6, r))
    reach, depths = _reaches(net, x)
    theta, theta_new, err_theta = np.empty(size), np.empty(size), np.empty(size)
    weight = np.empty(n)
    still = np.zeros(size)
    eventful = slides.normals.shape[0] > 0 or np.any(watch != 0)
    while True:
        lift(c, basis, z, theta)
        rho = field(problem, theta, work)
        if state[3] == 0.0 and loss_below(q, logistic):
            state[3] = 1.0
        low = q.min()
        if low > 4.0 * limits[1]:
            z *= 0.5
            c *= 0.5
            state[0] += np.log(2.0)
            continue
        if state[5] < record.shape[0]:
            row = record[int(state[5])]
            row[0] = state[0]
            row[1] = state[1]
            row[2:] = theta
            state[5] += 1.0
        if low >= limits[3] and state[0] + np.log(rho) >= limits[2]:
            return DUE
        f0 = f[pivots]
        if slides.normals.shape[0] > 0:
            f0 = add_multiples(slides.normals, pull(slides, problem, theta, f), f.copy())[pivots]
        if r == 0 or np.abs(f0).max() <= (0.0 if state[3] else 1e-13 * rho) or rho < 1e-20 * state[6]:
            return STATIONARY
        jac = jacobian(problem, theta, slides, work, rho, basis)[pivots]
        shift = 0.0
        if low > limits[1]:
            shift = dot(f, theta) / (rho * rho)
            for a in range(r):
                f0[a] -= shift * z[a]
                jac[a, a] -= shift
        weight[:] = p
        h = state[2]
        while True:
            if state[4] >= limits[4]:
                state[2] = h
                return OUT_OF_STEPS
            state[4] += 1.0
            z_new = rosenbrock_step(problem, z, c, basis, pivots, slides, f0, jac, shift, h, work, k)
            lift(still, basis, k[5], err_theta)
            error = _error(grad, weight, theta, lift(c, basis, z_new, theta_new), err_theta, rho, limits[0])
            if error <= 1.0:
                break
            h *= max(0.2, 0.9 * error**-0.25) if np.isfinite(error) else 0.2
            if h < 1e-13:
                return STUCK
        state[2] = h * min(6.0, 0.9 * max(error, 1e-6) ** -0.25)
        met = False
        if eventful:
            h, z_new, met = _first_event(
                problem,
                z,
                z_new,
                c,
                basis,
                pivots,
                slides,
                f0,
                jac,
                shift,
                h,
                watch,
                reach,
                depths,
                work,
                k,
                hit,
                ended,
            )
        z[:] = z_new
        state[1] += h
        state[0] += shift * h
        c *= np.exp(-shift * h)
        if met:
            return EVENT
