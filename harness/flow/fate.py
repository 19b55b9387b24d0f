"""Whether what is small beside a limit dies: a limit is believed on this or on exact invariance, never on smallness.

A hidden neuron that is zero in the limit, but not yet, moves by itself (harness.flow.decoupled).  Its fate is known
where it and neighbours, as far away as the flow is from the limit, end alike.  Where the multipliers are not unique
they may still change, and it dies for certain only if it would under all of them.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from scipy.optimize import linprog

from harness.flow.decoupled import rate_of
from harness.flow.deep_fate import EVEN, MOST_SAMPLES, Fate, deep_fate, gate_choices, of_rates
from harness.flow.field import field, workspace
from harness.flow.gates import Gates
from harness.flow.invariants import Subspace
from harness.flow.kernel import evaluate
from harness.flow.settle import Settled

NEIGHBOURS = 6
AROUND = 10.0  # distances of the flow's direction to the limit, within which the neighbours lie
NEAREST, FARTHEST = 1e-6, 0.1  # relative to the neuron: they are never nearer, or farther
FURTHER = 3.0  # units of the clock in which the norm grows like its exponential


def fate(gates: Gates, subspace: Subspace, theta: np.ndarray, booked: float, settled: Settled) -> Fate:
    """What becomes of all that is small: "wakes" if one neuron does, else "unknown" if that of one is.

    theta (N,): the flow, which is near the limit, less the log-norm that is booked.
    """
    units = _dying(gates, subspace, theta, settled)
    if not units:
        return "dies"
    distance = _of_the_living(theta, np.concatenate(settled.theta))
    found = [_of_unit(gates, subspace, theta, booked, unit, distance, settled) for unit in units]
    return "wakes" if "wakes" in found else "unknown" if "unknown" in found else "dies"


def still_turning(
    gates: Gates, subspace: Subspace, watch: np.ndarray, problem, theta: np.ndarray, settled: Settled
) -> bool:
    """Whether an input that is zero in the limit may yet change its side on the way: it is moving to its kink.

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


def _of_unit(
    gates: Gates, subspace: Subspace, theta: np.ndarray, booked: float, unit: int, distance: float, settled: Settled
) -> Fate:
    net, instance = gates.net, gates.instance
    network = instance.network
    if network.depth > 2:
        return deep_fate(gates, theta, unit, settled)
    incoming, outgoing = np.flatnonzero(net.row == unit), np.flatnonzero(net.col == unit)
    # of a linear network the second-order test has told
    if network.shared or not gates.relu or len(outgoing) != 1:
        return "dies"
    x = np.ascontiguousarray(instance.x_float[:, net.col[incoming]])
    parameters = np.append(net.par[incoming], net.par[outgoing])
    state = gates.gates[:, unit].astype(np.int64)
    for i, u in gates.sliding_pairs():
        if u == unit:
            state[i] = 2
    ends = _ends_of_multipliers(gates, settled)
    if len(ends) > 1:
        return "dies" if _greatest_rate(x, ends * instance.y_float) < 1.0 - EVEN else "unknown"
    mu, own = ends[0] * instance.y_float, theta[parameters]
    balance = float(gates.conserved[unit]) * np.exp(-2.0 * booked)
    room = min(max(AROUND * distance, NEAREST), FARTHEST)
    near = _around(subspace.basis[parameters], x[state == 2], own, balance, room)
    return of_rates([rate_of(x, mu, w[:-1].copy(), w[-1], state) for w in near])


def _greatest_rate(x: np.ndarray, ends: np.ndarray) -> float:
    """The greatest at which a neuron could grow, whatever its gates are: x (n, d), ends (e, n) the corners of mu."""
    heard = [i for i in range(len(x)) if ends[:, i].any() and x[i].any()]
    if len(heard) > MOST_SAMPLES:
        return np.inf
    choices = gate_choices(len(heard))
    return max(float(np.linalg.norm((choices * mu[heard]) @ x[heard], axis=1).max()) for mu in ends)


def _around(basis: np.ndarray, slides: np.ndarray, own: np.ndarray, balance: float, room: float) -> list[np.ndarray]:
    """The neuron's weights (w, v), and neighbours of them that the flow could have in their place.

    They lie in the invariant subspace, of which basis are the rows, on the kinks slides (s, d) and at the
    balance v^2 - ||w||^2 that is conserved (NaN where none is), a part `room` of the neuron's size away.
    """
    left, values, _ = np.linalg.svd(basis, full_matrices=False)
    left = left[:, values > 1e-9]
    size = np.sqrt(own @ own)
    steps = np.random.default_rng(len(own)).standard_normal((NEIGHBOURS, left.shape[1])) @ left.T
    near = own + room * size * steps / np.sqrt(len(own))
    if len(slides):
        _, values, right = np.linalg.svd(slides)
        along = right[: int(np.sum(values > 1e-9 * values[0]))]
        near[:, :-1] -= near[:, :-1] @ along.T @ along
    if np.isfinite(balance):
        squares = (near[:, :-1] ** 2).sum(axis=1) + balance
        near = near[squares >= 0.0]
        near[:, -1] = np.copysign(np.sqrt(squares[squares >= 0.0]), own[-1])
    return [own, *near]


def _ends_of_multipliers(gates: Gates, settled: Settled) -> np.ndarray:
    """The multipliers of the limit, (1, n); where they are not unique, those at the ends of every sample's range.

    theta = sum_i lambda_i grad_i + sum_r nu_r move_r over the active samples and their kinks, 0 <= nu_r <= lambda_i.
    """
    instance = gates.instance
    active = np.flatnonzero(settled.margins <= 1.0 + 1e-9)
    limit = np.concatenate(settled.theta)
    gradients, owners, moves = _generators(gates, settled, limit, active)
    columns = np.vstack([gradients, *moves])
    lengths = np.linalg.norm(columns, axis=1)
    if lengths.all() and np.linalg.matrix_rank(columns / lengths[:, None], tol=1e-7) == len(columns):
        return settled.multipliers[None]
    count, kinks = len(active), len(moves)
    below = np.zeros((kinks, count + kinks))
    below[np.arange(kinks), count + np.arange(kinks)] = 1.0
    below[np.arange(kinks), owners] = -1.0
    ends = [settled.multipliers]
    for k, sign in product(range(count), (1.0, -1.0)):
        cost = np.zeros(count + kinks)
        cost[k] = sign
        found = linprog(cost, below if kinks else None, np.zeros(kinks) if kinks else None, columns.T, limit)
        if found.success:
            end = np.zeros(instance.n)
            end[active] = found.x[:count]
            ends.append(end)
    return np.array(ends if np.ptp(ends, axis=0).max() > 1e-9 * settled.multipliers.max() else ends[:1])


def _generators(
    gates: Gates, settled: Settled, limit: np.ndarray, active: np.ndarray
) -> tuple[np.ndarray, list[int], list[np.ndarray]]:
    """Gradients of the active margins with all kinks off; of each kink its sample's place, and what it adds if on."""
    instance, net = gates.instance, gates.net
    opened = gates.gates.copy()
    places = [(kink.sample, int(net.uptr[kink.layer]) + kink.neuron - 1) for kink in settled.kinks]
    for place in places:
        opened[place] = 0.0
    q, grad = np.empty(instance.n), np.empty((instance.n, len(limit)))
    pre, delta = np.empty(opened.shape), np.empty(opened.shape)
    evaluate(net, limit, instance.x_float, instance.y_float, opened, q, grad, pre, delta)
    heard = [(i, u) for i, u in places if i in active and delta[i, u]]
    moves = [delta[i, u] * gates.float_normals[i, u - gates.first.start] for i, u in heard]
    return grad[active], [int(np.searchsorted(active, i)) for i, _ in heard], moves
