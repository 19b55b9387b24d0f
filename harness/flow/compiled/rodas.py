"""RODAS4, a stiffly accurate Rosenbrock method of order 4 (3), on the coordinates of the flow, compiled.

Hairer & Wanner, Solving Ordinary Differential Equations II, section IV.7: six stages, one Jacobian and one
factorisation a step.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from harness.flow.compiled.by_unit import ByUnit, factor_by_unit, solve_by_unit
from harness.flow.compiled.compiling import bare, compiled, part
from harness.flow.compiled.field import Cell, Slides, add_multiples, along, factor_gram, solve_gram, velocity
from harness.flow.compiled.kernel import (
    SMALL,
    SMALLEST,
    forward,
    lift,
    lu_factor,
    lu_solve,
    put,
    unit_gradient,
    unit_sizes,
)

FLOOR = 0.01  # of ||theta||: smaller parameters are allowed an error as if they were as large
SOFTMAX_ERROR, WEIGHTY = 0.05, 1e-6  # error allowed in the margin of a sample whose softmax weight is above WEIGHTY
UNIT_ERROR = 0.1  # error allowed in the weights of a unit, relative to them: small ones, too, keep their direction

# the stage points, the terms c_ij / h of the right-hand sides, the dense output
GAMMA = 0.25
STAGE = np.array(
    [
        [0.0, 0.0, 0.0, 0.0, 0.0],
        [1.544, 0.0, 0.0, 0.0, 0.0],
        [0.9466785280815826, 0.2557011698983284, 0.0, 0.0, 0.0],
        [3.314825187068521, 2.896124015972201, 0.9986419139977817, 0.0, 0.0],
        [1.221224509226641, 6.019134481288629, 12.53708332932087, -0.6878860361058950, 0.0],
        [0.0, 0.0, 0.0, 0.0, 1.0],  # beyond the point of the stage before it
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


class Frame(NamedTuple):
    """The coordinates z of theta = c + basis z, basis (N, r) with the identity in the rows `pivots` (r,).

    Where there is nothing else in it, it is left out, (N, 0).  wide: whether the Jacobian is kept by units; then too.
    """

    cell: Cell
    c: np.ndarray
    basis: np.ndarray
    pivots: np.ndarray
    slides: Slides
    wide: bool


class Linear(NamedTuple):
    """The field f0 (r,) less shift times theta where a step starts, and its Jacobian: jac (r, r), less shift times the
    identity, or by units.

    scales (r,): those of the coordinates, 1 but for small units.  Where graded, some are less, and jac is that of the
    coordinates over their scales: else the row of a large one may be the pivot of a small one's column, and leave it
    with rounding that is none of its own.
    """

    f0: np.ndarray
    jac: np.ndarray
    own: ByUnit
    scales: np.ndarray
    graded: bool
    shift: float


class Stages(NamedTuple):
    """The stages k (6, r) of a step, and room for what it needs on the way: nothing is allocated within steps."""

    k: np.ndarray
    lhs: np.ndarray
    piv: np.ndarray
    rhs: np.ndarray
    theta: np.ndarray


@compiled
def stages_of(size, r, wide):
    """Room for steps of r coordinates and `size` parameters."""
    factored = 0 if wide else r
    lhs, piv = np.empty((factored, factored)), np.empty(factored, dtype=np.int64)
    return Stages(np.empty((6, r)), lhs, piv, np.empty(r), np.empty(size))


@part
def _factor(frame, linear, h, stages):
    """Factor I / (h GAMMA) - J; False where it is singular."""
    if frame.wide:
        return factor_by_unit(frame.cell.net, linear.own, 1.0 / (h * GAMMA) + linear.shift)
    lhs = stages.lhs
    for a in range(lhs.shape[0]):
        for b in range(lhs.shape[0]):
            lhs[a, b] = -linear.jac[a, b]
        lhs[a, a] += 1.0 / (h * GAMMA)
    return lu_factor(lhs, stages.piv)


@part
def _solve(frame, linear, stages):
    """The right-hand side of a stage, in place, becomes the stage."""
    rhs, scales = stages.rhs, linear.scales
    if frame.wide:
        solve_by_unit(frame.cell.net, linear.own, frame.pivots, rhs)
        return
    if linear.graded:
        for a in range(rhs.shape[0]):
            rhs[a] /= scales[a]
    lu_solve(stages.lhs, stages.piv, rhs)
    if linear.graded:
        for a in range(rhs.shape[0]):
            rhs[a] *= scales[a]


@part
def grade(net, pivots, rho, sizes, room, scales):
    """Fill the scales (r,) of coordinates whose units have the sizes (units,); whether some are not 1.  room: (N,)."""
    room[:] = 0.0
    for e in range(net.par.shape[0]):
        if net.par[e] >= 0:
            own = rho
            if net.row[e] < net.uptr[-2]:
                own = sizes[net.row[e]]
            if net.col[e] >= net.uptr[1]:
                own = min(own, sizes[net.col[e]])
            room[net.par[e]] += own
    graded = False
    for a in range(pivots.shape[0]):
        scales[a] = min(max(room[pivots[a]] / (SMALL * rho), SMALLEST), 1.0)
        graded = graded or scales[a] < 1.0
    return graded


@bare
def rosenbrock_step(frame, linear, z, h, work, stages, stage):
    """One RODAS4 step of size h from z; fills the stages, and `stage` with the new z, NaN if singular."""
    cell, c, basis, pivots, slides, _ = frame
    shift = linear.shift
    k, _, _, rhs, theta = stages
    r = z.shape[0]
    if not _factor(frame, linear, h, stages):
        stage[:] = np.nan
        return
    put(rhs, linear.f0)
    put(stage, z)
    for s in range(6):
        if s > 0:
            if s < 5:
                put(stage, z)
            for j in range(s):
                weight = STAGE[s, j]
                for a in range(r):
                    stage[a] += weight * k[j, a]
            lift(c, basis, pivots, stage, theta)
            velocity(cell, theta, slides, work)
            for a in range(r):
                rhs[a] = work.v[pivots[a]] - shift * stage[a]
        for j in range(s):
            weight = STEP[s, j] / h
            for a in range(r):
                rhs[a] += weight * k[j, a]
        _solve(frame, linear, stages)
        for a in range(r):
            k[s, a] = rhs[a]
    for a in range(r):
        stage[a] += k[5, a]
    if slides.normals.shape[0] > 0:
        _return_to_kinks(frame, stage, work, k[5])


@compiled
def _return_to_kinks(frame, z, work, err):
    """Newton steps, in place, back to the kinks that the step has left by its own error, on flat ones by rounding.

    err (r,): that of the step, to which is added what brings it back, since that moves the margins as well.
    """
    cell, c, basis, pivots, slides, _ = frame
    net, x, gates = cell.net, cell.x, cell.gates
    flat = slides.normals.shape[0] - slides.curved.shape[0]
    theta = np.empty(c.shape[0])
    for _ in range(3 if slides.curved.shape[0] > 0 else 1):
        lift(c, basis, pivots, z, theta)
        gap = np.empty(slides.normals.shape[0])
        for h in range(flat):
            gap[h] = along(slides, h, theta)
        if slides.curved.shape[0] > 0:
            forward(net, theta, work.at)
        for t in range(slides.curved.shape[0]):
            i, u = slides.curved[t]
            unit_gradient(net, theta, x[i], gates[i], u, slides.normals[flat + t])
            gap[flat + t] = work.at.pre[u, i]
        if flat < slides.normals.shape[0]:
            factor_gram(slides)
        solve_gram(slides, gap)
        step = np.zeros(theta.shape[0])
        add_multiples(slides, gap, step)
        for a in range(z.shape[0]):
            z[a] -= step[pivots[a]]
            err[a] -= step[pivots[a]]


@bare
def interpolate(z0, z1, stages, s, out):
    """Dense output of the step at fraction s, in place."""
    k = stages.k
    for a in range(z0.shape[0]):
        d1 = 0.0
        d2 = 0.0
        for j in range(5):
            d1 += DENSE[0, j] * k[j, a]
            d2 += DENSE[1, j] * k[j, a]
        out[a] = z0[a] * (1 - s) + s * (z1[a] + (1 - s) * (d1 + s * d2))


@part
def unit_error(net, err_theta, sizes, errors):
    """The error of a step in the unit where it is largest for its size, 1 where it is just allowed.

    sizes (units,): those at theta_new.  errors (units,): overwritten.
    """
    unit_sizes(net, err_theta, errors)
    worst = 0.0
    for u in range(net.uptr[1], net.uptr[-2]):
        if sizes[u] > 0.0:
            worst = max(worst, errors[u] / sizes[u])
    return worst / UNIT_ERROR


@bare
def balance_gaps(net, theta, balance, booked, sizes, gaps):
    """How far each unit of depth 2 is from the v^2 - ||w||^2 that it conserves, relative to v^2 + ||w||^2, (units,).

    0 where nothing is conserved, balance (units,) is NaN there, and where the unit is not looked at.  booked: the
    log-norm by which theta is smaller than on the path.  sizes (units,): those at theta.
    """
    shrunk = np.exp(-2.0 * booked)
    for u in range(gaps.shape[0]):
        gaps[u] = -shrunk * balance[u]
    for e in range(net.row.shape[0]):
        if net.par[e] < 0:
            continue
        square = theta[net.par[e]] * theta[net.par[e]]
        gaps[net.row[e]] -= square
        gaps[net.col[e]] += square
    for u in range(gaps.shape[0]):
        gaps[u] = gaps[u] / (sizes[u] * sizes[u]) if sizes[u] > 0.0 and not np.isnan(balance[u]) else 0.0


@part
def step_error(grad, weight, theta, theta_new, err_theta, rho, rtol):
    """The error of a step, 1 where it is just allowed; grad (N, columns) and weight (n,), the softmax, at its start.

    At large margins a small error in theta is a large one in the softmax, and the next step pays for it.
    """
    size = theta.shape[0]
    total = 0.0
    for a in range(size):
        scaled = err_theta[a] / (max(abs(theta[a]), abs(theta_new[a])) + FLOOR * rho)
        total += scaled * scaled
    error = np.sqrt(total / size) / rtol
    for i in range(weight.shape[0]):
        if weight[i] > WEIGHTY:
            moved = 0.0
            for a in range(size):
                moved += grad[a, i] * err_theta[a]
            error = max(error, abs(moved) / SOFTMAX_ERROR)
    return error
