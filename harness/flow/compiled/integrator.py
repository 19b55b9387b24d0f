"""The integrator: RODAS4 on the reparametrised flow, from one event to the next, compiled.

The field is that of harness.flow.compiled.field.  The state is z with theta = c + B z: B spans the flow's invariant
subspace exactly (harness.flow.invariants), c holds parameters that the gates keep constant, and z' is the pivot rows of
f, projected on the kinks that slide.  What the subspace excludes cannot grow, whatever the rounding.

Freeze: once min q exceeds limits.freeze the flow is followed less its growth: d theta / d sigma = f - s theta, with
s = f . theta / rho^2 at the start of every step and s h booked in the log-norm.  By homogeneity the direction is that
of a flow whose softmax stays at this inverse temperature, and steps are no longer bounded by the norm's growth, which
matters where the direction moves slowly.  A start beyond HALVED * limits.freeze is halved first, exactly.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from harness.flow.compiled.by_unit import by_unit_of, linearise
from harness.flow.compiled.compiling import bare, compiled, part
from harness.flow.compiled.events import GRAZE, Guard, first_event, keep_look, reaches
from harness.flow.compiled.field import Bends, add_multiples, bends_of, field, jacobian, loss_below, pull, workspace
from harness.flow.compiled.kernel import dot, largest, least, lift, put, scale, unit_sizes
from harness.flow.compiled.rodas import (
    UNIT_ERROR,
    Frame,
    Linear,
    balance_gaps,
    grade,
    rosenbrock_step,
    stages_of,
    step_error,
    unit_error,
)
from harness.flow.compiled.state import ATTEMPTS, BOOKED, FIRST_NORM, GRAZED, ROWS, SEPARATED, SIGMA, STEP_SIZE

DUE, EVENT, STATIONARY, OUT_OF_STEPS, STUCK = range(5)
# The usual control of the step size (Hairer & Wanner, section IV.8): a tenth below the size that the error asks for,
# changed by no more than these factors at once.
SAFETY, SHRINK, GROW = 0.9, 0.2, 6.0
LEAST_ERROR = 1e-6  # below it the step grows by GROW anyhow
LEAST_STEP = 1e-13  # in sigma, in which the flow moves at rates of 1: below it steps are lost in rounding
HALVED = 4.0  # times the freeze: a start beyond is halved, one below it only shrinks
AT_REST = 1e-13  # of ||theta||: a speed that is only the rounding of its terms
VANISHED = 1e-20  # of the norm at the start: it tends to zero


class Limits(NamedTuple):
    """When to stop: at the log-norm `target` once min q is not below polish_from, or after so many steps.

    rtol: the error allowed.  freeze: min q from which the growth is booked.
    """

    rtol: float
    freeze: float
    target: float
    polish_from: float
    steps: int


class Room(NamedTuple):
    """Room for a step, overwritten: weight (n,); z_new (r,); theta, theta_new, err_theta, still (N,); sizes, errors
    (units,); along (N, r) and bends, empty for a wide network.

    balance (units,): as of `integrate`; balanced: whether a unit conserves anything.
    """

    weight: np.ndarray
    z_new: np.ndarray
    theta: np.ndarray
    theta_new: np.ndarray
    err_theta: np.ndarray
    still: np.ndarray
    sizes: np.ndarray
    errors: np.ndarray
    along: np.ndarray
    bends: Bends
    balance: np.ndarray
    balanced: bool


@part
def _write(record, state, theta):
    """A row of the record, while there is room."""
    if state[ROWS] < record.shape[0]:
        row = int(state[ROWS])
        record[row, 0] = state[BOOKED]
        record[row, 1] = state[SIGMA]
        for a in range(theta.shape[0]):
            record[row, 2 + a] = theta[a]
        state[ROWS] += 1.0


@part
def _accepted(frame, linear, z, rho, state, limits, work, stages, room):
    """The size of a step whose error is small enough, its end in the room; that of the next one is left in the state.

    NaN where the steps are used up, and infinite where it would underflow.  Units come to kinks, and grow from next to
    nothing, at their own scale.
    """
    net, c, basis, pivots = frame.cell.net, frame.c, frame.basis, frame.pivots
    theta_new, err_theta, sizes, errors = room.theta_new, room.err_theta, room.sizes, room.errors
    put(room.weight, work.p)
    h = state[STEP_SIZE]
    while state[ATTEMPTS] < limits.steps:
        state[ATTEMPTS] += 1.0
        rosenbrock_step(frame, linear, z, h, work, stages, room.z_new)
        lift(room.still, basis, pivots, stages.k[5], err_theta)
        lift(c, basis, pivots, room.z_new, theta_new)
        error = step_error(work.grad, room.weight, room.theta, theta_new, err_theta, rho, limits.rtol)
        if not error > 1.0:
            unit_sizes(net, theta_new, sizes)
            error = max(error, unit_error(net, err_theta, sizes, errors))
        if room.balanced and not error > 1.0:
            balance_gaps(net, theta_new, room.balance, state[BOOKED] + linear.shift * h, sizes, errors)
            error = max(error, largest(errors) / UNIT_ERROR)
        if error <= 1.0:
            state[STEP_SIZE] = h * min(GROW, SAFETY * max(error, LEAST_ERROR) ** -0.25)
            return h
        h *= max(SHRINK, SAFETY * error**-0.25) if np.isfinite(error) else SHRINK
        if h < LEAST_STEP:
            return np.inf
    state[STEP_SIZE] = h
    return np.nan


@part
def _keep_balance(net, theta, booked, pivots, z, room):
    """Put each unit of depth 2 back on its conserved v^2 - ||w||^2, by a Newton step along (-w, v), into z in place.

    w only changes its length: no kink is left.  A unit that shrinks would else feel the errors of its larger days, and
    v change its sign where it cannot.
    """
    gaps = room.errors
    unit_sizes(net, theta, room.sizes)
    balance_gaps(net, theta, room.balance, booked, room.sizes, gaps)
    for e in range(net.ptr[1]):
        theta[net.par[e]] *= 1.0 + 0.5 * gaps[net.row[e]]
    for e in range(net.ptr[1], net.ptr[2]):
        theta[net.par[e]] *= 1.0 - 0.5 * gaps[net.col[e]]
    for a in range(pivots.shape[0]):
        z[a] = theta[pivots[a]]


@compiled
def integrate(cell, z, c, basis, pivots, watch, balance, slides, state, limits, record, hit, ended):
    """Follow the flow in place until something happens; returns one of the codes above.

    state: as of harness.flow.compiled.state.
    watch (n, units) int8: +1 where the pre-activation must stay >= 0, -1 where <= 0, 0 unwatched.
    balance (units,): v^2 - ||w||^2 of every unit at the start, NaN where it is not conserved.
    basis (N, r): (N, 0) for a wide network, as of `Frame`.
    hit (n, units), ended (s,): filled with what happened when the code is EVENT.
    record (capacity, 2 + N): (log-norm booked, sigma, theta) of every accepted step while there is room.
    """
    size, r = basis.shape[0], z.shape[0]
    n, units = cell.gates.shape
    wide = basis.shape[1] < r
    columns = 0 if wide else r
    work = workspace(cell)
    looks = np.empty((4, units, work.at.pre.shape[1]))
    guard = Guard(
        watch, reaches(cell.x), np.empty(units), hit, ended, np.empty(size), np.empty(size), np.empty(r), looks
    )
    room = Room(
        np.empty(n), np.empty(r), np.empty(size), np.empty(size), np.empty(size), np.zeros(size), np.empty(units),
        np.empty(units), np.empty((size, columns)), bends_of(0 if wide else size, n, columns), balance,
        not np.all(np.isnan(balance)),
    )  # fmt: skip
    eventful = slides.normals.shape[0] > 0 or np.any(watch != 0)
    frame = Frame(cell, c, np.empty((size, 0)) if _units(basis, pivots) else basis, pivots, slides, wide)
    own = by_unit_of(cell.net, slides, size, n, wide)
    linear = Linear(np.empty(r), np.empty((columns, columns)), own, np.empty(columns), False, 0.0)
    return _steps(frame, linear, z, guard, state, limits, record, work, stages_of(size, r, wide), room, eventful)


@part
def _units(basis, pivots):
    """Whether there is nothing in a basis (N, r) but ones, in the rows `pivots` (r,)."""
    for a in range(basis.shape[0]):
        for k in range(basis.shape[1]):
            if basis[a, k] != (1.0 if a == pivots[k] else 0.0):
                return False
    return True


@part
def _linearise(frame, theta, rho, work, linear, room):
    """Fill the Jacobian from the state that `field` left in work, of which delta is lost."""
    if frame.wide:
        linearise(frame.cell, work, linear.own)
        return
    jac, pivots = linear.jac, frame.pivots
    jacobian(frame.cell, theta, frame.slides, work, rho, frame.basis, pivots, room.bends, room.along)
    for a in range(jac.shape[0]):
        for b in range(jac.shape[0]):
            jac[a, b] = room.along[pivots[a], b]
        jac[a, a] -= linear.shift
    if linear.graded:
        for a in range(jac.shape[0]):
            for b in range(jac.shape[0]):
                jac[a, b] *= linear.scales[b] / linear.scales[a]


@bare
def _steps(frame, blank, z, guard, state, limits, record, work, stages, room, eventful):
    """One step after the other, until something happens."""
    cell, c, basis, pivots, slides, _ = frame
    theta, f0 = room.theta, blank.f0
    r = z.shape[0]
    while True:
        lift(c, basis, pivots, z, theta)
        rho = field(cell, theta, work)
        keep_look(work.at.pre, guard.looks, 0)
        if state[SEPARATED] == 0.0 and loss_below(work.q, cell.logistic, cell.group):
            state[SEPARATED] = 1.0
        low = least(work.q)
        if low > HALVED * limits.freeze:
            scale(z, 0.5)
            scale(c, 0.5)
            state[BOOKED] += np.log(2.0)
            continue
        _write(record, state, theta)
        if low >= limits.polish_from and state[BOOKED] + np.log(rho) >= limits.target:
            return DUE
        shift = dot(work.f, theta) / (rho * rho) if low > limits.freeze else 0.0
        put(work.v, work.f)
        if slides.normals.shape[0] > 0:
            pull(slides, cell, theta, work.f)
            add_multiples(slides, slides.omega, work.v)
        for a in range(r):
            f0[a] = work.v[pivots[a]]
        rest = 0.0 if state[SEPARATED] else AT_REST * rho
        if r == 0 or largest(f0) <= rest or rho < VANISHED * state[FIRST_NORM]:
            return STATIONARY
        for a in range(r):
            f0[a] -= shift * z[a]
        graded = False
        if not frame.wide:
            unit_sizes(cell.net, theta, room.sizes)
            graded = grade(cell.net, pivots, rho, room.sizes, room.err_theta, blank.scales)
        linear = Linear(f0, blank.jac, blank.own, blank.scales, graded, shift)
        _linearise(frame, theta, rho, work, linear, room)
        h = _accepted(frame, linear, z, rho, state, limits, work, stages, room)
        if not np.isfinite(h):
            return OUT_OF_STEPS if np.isnan(h) else STUCK
        met = grazes = False
        if eventful:
            h, met, grazes = first_event(
                frame, linear, guard, z, room.z_new, h, GRAZE * limits.rtol, work, stages
            )  # fmt: skip
        put(z, room.z_new)
        state[SIGMA] += h
        state[BOOKED] += shift * h
        scale(c, np.exp(-shift * h))
        lift(c, basis, pivots, z, theta)
        if room.balanced:
            _keep_balance(cell.net, theta, state[BOOKED], pivots, z, room)
        if grazes:
            lift(c, basis, pivots, z, theta)
            state[GRAZED] = state[BOOKED] + 0.5 * np.log(dot(theta, theta))
        if met:
            return EVENT
