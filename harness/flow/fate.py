"""Whether what is small beside a limit dies: a limit is believed on this or on exact invariance, never on smallness.

A hidden neuron that is zero in the limit, but not yet, moves by itself (harness.flow.decoupled).  Its fate is known where
it and neighbours, as far away as the flow is from the limit, end alike.  Where the multipliers are not unique they may
still change, and it dies for certain only if it would under all of them.
"""

from __future__ import annotations

from itertools import product
from typing import Literal

import numpy as np
from scipy.optimize import linprog

from harness.flow.decoupled import rate_of
from harness.flow.field import field, workspace
from harness.flow.gates import Gates
from harness.flow.invariants import Subspace
from harness.flow.kernel import evaluate
from harness.flow.settle import Settled

Fate = Literal["dies", "wakes", "unknown"]
NEIGHBOURS = 6
AROUND = 10.0  # distances of the flow's direction to the limit, within which the neighbours lie
NEAREST, FARTHEST = 1e-6, 0.1  # relative to the neuron: they are never nearer, or farther
EVEN = 1e-6  # a rate as near to 1 is not told from it
FURTHER = 3.0  # units of the clock in which the norm grows like its exponential
MOST_SAMPLES = 12  # whose gate choices are listed


def fate(gates: Gates, subspace: Subspace, theta: np.ndarray, settled: Settled) -> Fate:
    """What becomes of all that is small: "wakes" if one neuron does, else "unknown" if that of one is.

    theta (N,): the flow, which is near the limit.
    """
    units = _dying(gates, subspace, theta, settled)
    if not units:
        return "dies"
    distance = _of_the_living(theta, np.concatenate(settled.theta))
    found = [_of_unit(gates, subspace, theta, unit, distance, settled) for unit in units]
    return "wakes" if "wakes" in found else "unknown" if "unknown" in found else "dies"


def still_turning(
    gates: Gates, subspace: Subspace, watch: np.ndarray, problem, theta: np.ndarray, settled: Settled
) -> bool:
    """Whether an input that is zero in the limit may yet change its side on the way: it is on one, and moves to its kink.

    What moves it wears off like a power of the norm, so that it goes on for a few times its present speed at most.
    watch as of Gates.watch, for the kinks that the flow can cross and does not slide on.
    """
    zero = np.zeros(gates.gates.shape, dtype=bool)
    for kink in settled.kinks:
        zero[kink.sample, int(gates.net.uptr[kink.layer]) + kink.neuron - 1] = True
    zero &= (watch != 0) & (settled.multipliers > 0.0)[:, None]
    zero[:, _dying(gates, subspace, theta, settled)] = False
    if not zero.any():
        return False
    work = workspace(problem)
    field(problem, theta, work)
    _, _, pre, delta, _, _, velocity = work
    for i, u in np.argwhere(zero & (delta != 0.0)).tolist():
        speed = float(gates.curved_normal((i, u), theta) @ velocity)
        if watch[i, u] * (pre[i, u] + FURTHER * speed) < 0.0:
            return True
    return False


def _dying(gates: Gates, subspace: Subspace, theta: np.ndarray, settled: Settled) -> list[int]:
    """The hidden units all of whose weights are zero in the limit, and of which some are not and can move."""
    limit = np.concatenate(settled.theta)
    if limit.all():
        return []
    net = gates.net
    moves = ~subspace.constant & (theta != 0.0)
    alive = np.zeros(int(net.uptr[-1]), dtype=bool)
    moving = np.zeros(int(net.uptr[-1]), dtype=bool)
    for ends in (net.row, net.col):
        np.logical_or.at(alive, ends, limit[net.par] != 0.0)
        np.logical_or.at(moving, ends, moves[net.par])
    return [u for u in gates.hidden if moving[u] and not alive[u]]


def _of_the_living(theta: np.ndarray, limit: np.ndarray) -> float:
    """How far apart the directions are, of what is not zero in the limit."""
    living = np.where(limit != 0.0, theta, 0.0)
    gap = living / np.sqrt(living @ living) - limit / np.sqrt(limit @ limit)
    return float(np.sqrt(gap @ gap))


def _of_unit(gates: Gates, subspace: Subspace, theta: np.ndarray, unit: int, distance: float, settled: Settled) -> Fate:
    net, instance = gates.net, gates.instance
    incoming, outgoing = np.flatnonzero(net.row == unit), np.flatnonzero(net.col == unit)
    if instance.network.depth > 2 or instance.network.shared or not gates.relu or len(outgoing) != 1:
        return "dies"
    x = np.ascontiguousarray(instance.x_float[:, net.col[incoming]])
    parameters = np.append(net.par[incoming], net.par[outgoing])
    state = gates.gates[:, unit].astype(np.int64)
    for i, u in gates.sliding_pairs():
        if u == unit:
            state[i] = 2
    own = theta[parameters]
    ends = _ends_of_multipliers(gates, settled)
    if len(ends) > 1:
        return "dies" if _greatest_rate(x, ends * instance.y_float) < 1.0 - EVEN else "unknown"
    mu = ends[0] * instance.y_float
    rates = [rate_of(x, mu, w[:-1].copy(), w[-1], state) for w in _around(subspace, own, parameters, distance)]
    if all(rate < 1.0 - EVEN for rate in rates):
        return "dies"
    return "wakes" if all(rate > 1.0 + EVEN for rate in rates) else "unknown"


def _greatest_rate(x: np.ndarray, ends: np.ndarray) -> float:
    """The greatest at which a neuron could grow, whatever its gates are: x (n, d), ends (e, n) the corners of mu."""
    heard = [i for i in range(len(x)) if ends[:, i].any() and x[i].any()]
    if len(heard) > MOST_SAMPLES:
        return np.inf
    choices = np.array(list(product((0.0, 1.0), repeat=len(heard)))).reshape(-1, len(heard))
    return max(float(np.linalg.norm((choices * mu[heard]) @ x[heard], axis=1).max()) for mu in ends)


def _around(subspace: Subspace, own: np.ndarray, parameters: np.ndarray, distance: float) -> list[np.ndarray]:
    """The neuron's weights, and neighbours of them in the invariant subspace."""
    left, values, _ = np.linalg.svd(subspace.basis[parameters], full_matrices=False)
    left = left[:, values > 1e-9]
    # weights that the gates hold still have no rows there, and no errors
    room = min(max(AROUND * distance, NEAREST), FARTHEST) * np.sqrt(own @ own)
    steps = np.random.default_rng(len(own)).standard_normal((NEIGHBOURS, left.shape[1])) @ left.T
    return [own, *(own + room * steps / np.sqrt(len(own)))]


def _ends_of_multipliers(gates: Gates, settled: Settled) -> np.ndarray:
    """The multipliers of the limit, (1, n); where they are not unique, those at the ends of every sample's range."""
    network, instance = gates.instance.network, gates.instance
    active = np.flatnonzero(settled.margins <= 1.0 + 1e-9)
    limit = np.concatenate(settled.theta)
    q, grad = np.empty(instance.n), np.empty((instance.n, len(limit)))
    pre, delta = np.empty(gates.gates.shape), np.empty(gates.gates.shape)
    opened = gates.gates.copy()
    for kink in settled.kinks:
        opened[kink.sample, int(gates.net.uptr[kink.layer]) + kink.neuron - 1] = 0.0
    evaluate(gates.net, limit, instance.x_float, instance.y_float, opened, q, grad, pre, delta)
    moves = [
        delta[k.sample, u] * gates.float_normals[k.sample, u - gates.first.start]
        for k in settled.kinks
        if k.sample in active and delta[k.sample, u := int(gates.net.uptr[k.layer]) + k.neuron - 1]
    ]
    owners = [
        k.sample
        for k in settled.kinks
        if k.sample in active and delta[k.sample, int(gates.net.uptr[k.layer]) + k.neuron - 1]
    ]
    columns = np.vstack([grad[active], *moves])
    lengths = np.linalg.norm(columns, axis=1)
    columns = columns[lengths > 0.0] / lengths[lengths > 0.0, None]
    if np.linalg.matrix_rank(columns, tol=1e-7) == len(columns) and (lengths > 0).all():
        return settled.multipliers[None]
    # lambda >= 0, and for every kink 0 <= nu <= lambda of its sample
    count, kinks = len(active), len(moves)
    equal = np.vstack([grad[active], *moves]).T
    bounds = np.zeros((kinks, count + kinks))
    for r, sample in enumerate(owners):
        bounds[r, count + r] = 1.0
        bounds[r, np.searchsorted(active, sample)] = -1.0
    ends = [settled.multipliers]
    for k, sign in product(range(count), (1.0, -1.0)):
        cost = np.zeros(count + kinks)
        cost[k] = sign
        found = linprog(cost, bounds if kinks else None, np.zeros(kinks) if kinks else None, equal, limit)
        if not found.success:
            continue
        end = np.zeros(instance.n)
        end[active] = found.x[:count]
        ends.append(end)
    return np.array(ends if np.ptp(ends, axis=0).max() > 1e-9 * settled.multipliers.max() else ends[:1])
