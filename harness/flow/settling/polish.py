"""The polish: from a flow to the KKT point that it points at, and whether the flow would stay there, compiled.

Newton's method (newton.py) from the first multipliers (multipliers.py), where it fails with small units removed
(removals.py), and the second-order test (second_order.py).
"""

from __future__ import annotations

import numpy as np

from harness.flow.compiled.compiling import compiled, part
from harness.flow.compiled.field import softmax
from harness.flow.compiled.kernel import dot, forward, margins
from harness.flow.settling.directions import coordinates, keep_within, narrower, rows_within
from harness.flow.settling.lagrangian import evaluate_rows, rows_of
from harness.flow.settling.multipliers import first_multipliers
from harness.flow.settling.newton import SOLVED_AT, solve_kkt
from harness.flow.settling.removals import removals, weights_of
from harness.flow.settling.second_order import is_maximum

SOLVED, FAILED, SADDLE = range(3)
ACTIVE = 1e-5  # softmax weight above which a sample is first taken to be active
LEADING = 0.5  # the same relative to the largest, where Newton's method fails with more
LATE = 1e4  # min q from which that is tried


@part
def _polish_within(cell, theta, directions, some, curved, p, late, lam, work):
    """Newton's method from theta within some of the directions; the KKT residual against all of them.

    late: whether to try with the LEADING samples alone.
    """
    net = cell.net
    n = cell.x.shape[0]
    grad = work.grad
    keep_within(net, some, theta)
    evaluate_rows(cell, theta, curved, work)
    low = work.q[:n].min()
    if not low > 0.0:
        return np.inf
    theta *= low ** (-1.0 / net.degree)
    active = np.ones(lam.shape[0], dtype=np.bool_)
    active[:n] = p > ACTIVE
    evaluate_rows(cell, theta, curved, work)
    lam[:] = first_multipliers(coordinates(some, theta), rows_within(net, some, grad), active)
    first, near = active.copy(), theta.copy()
    error = np.inf
    for attempt in range(3 if late else 2):
        if attempt > 0:
            # the weights of a flow that has nearly arrived are its multipliers, also where least squares cannot tell;
            # of margins that even the last temperature hardly tells apart only the least may be active
            active[:] = first
            if attempt == 2:
                active[:n] &= p >= LEADING * p.max()
            lam[n:] = 0.0
            lam[:n] = np.where(active[:n], p, 0.0) * dot(near, near) / net.degree
            theta[:] = near
        error = solve_kkt(cell, theta, some, curved, active, lam, work)
        if error < SOLVED_AT:
            break
    if not error < SOLVED_AT:
        return error
    lam[:n] = np.maximum(lam[:n], 0.0)
    rest = theta - grad.T @ lam
    keep_within(net, directions, rest)
    return max(error, np.sqrt(dot(rest, rest) / dot(theta, theta)))


@compiled
def polish(cell, theta, directions, curved, q, multipliers):
    """From a direction of the flow to the KKT point it points at, in place.

    theta (N,), a point of the flow, is scaled to min q = 1 and solved for; directions: those that the flow can take;
    curved (t, 2): the (sample, unit) pairs on whose curved kinks it slides, equality constraints here; q, multipliers
    (n,): the margins and multipliers found.  Slowly dying units make the system nearly singular: where Newton's method
    fails, it is tried with one or a few of the small units removed; residual and second-order test are those of the
    whole.
    Returns (code, residual relative to ||theta|| of the last try).
    """
    net = cell.net
    n = cell.x.shape[0]
    count = n + curved.shape[0]
    work = rows_of(cell, theta.shape[0], count, directions.wide)
    p = np.empty(n)
    forward(net, theta, work.at)
    margins(cell.seeds, work.at, q)
    softmax(q, cell.logistic, cell.group, p, np.empty(n))
    late = q.min() > LATE
    lam = np.empty(count)
    flow = theta.copy()
    removed = removals(net, flow)
    code, error, saddle = FAILED, np.inf, flow
    for trial in range(len(removed)):
        some = directions
        if trial > 0:
            gone = weights_of(net, removed[trial], theta.shape[0])
            if not np.any(gone):
                continue
            some = narrower(net, directions, gone)
            if not some.wide and some.basis.shape[1] == 0:
                continue
        theta[:] = flow
        error = _polish_within(cell, theta, directions, some, curved, p, late and trial == 0, lam, work)
        if error < SOLVED_AT:
            maximum = is_maximum(cell, theta, directions, curved, lam, work)
            q[:] = work.q[:n]
            multipliers[:] = lam[:n]
            if maximum:
                return SOLVED, error
            code, saddle = SADDLE, theta.copy()
            if trial == 0:
                break
    if code == SADDLE:
        # what was tried after it has left theta anywhere, q and multipliers are its own
        theta[:] = saddle
    return code, error
