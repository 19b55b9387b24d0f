"""Whether what is small beside a limit dies: a limit is believed on this or on exact invariance, never on smallness.

A hidden neuron that is zero in the limit, but not yet, moves by itself (decoupled.py).  Its fate is known
where it and neighbours, as far away as the flow is from the limit, end alike, once the samples have the weights of the
limit.  Where the multipliers are not unique they may still change, and it dies for certain only if it would under all
of them.
"""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import NamedTuple

import numpy as np

from harness.flow.compiled.field import Slides, look, velocity, workspace
from harness.flow.invariants.coordinates import Subspace
from harness.flow.kinks.gates import Gates
from harness.flow.settling.decoupled import rate_of
from harness.flow.settling.evened import FAINTEST, Before, evened
from harness.flow.settling.group_fate import EVEN, Beside, Fate, members, of_rates
from harness.flow.settling.lasting import Lasting, lasting
from harness.flow.settling.polytope import ACTIVE, LEVEL, NO_DIRECTION, Multipliers, pair_of
from harness.problem.points import Point

NEIGHBOURS = 6
AROUND = 10.0  # distances of the flow's direction to the limit, within which the neighbours lie
NEAREST, FARTHEST = 1e-6, 0.1  # relative to the neuron: they are never nearer, or farther
FURTHER = 3.0  # units of log-norm
SETTLED = 0.05  # of all multipliers: how near the weights of the samples have to be
MOST_RANGES = 7  # samples whose gates and ranges of multipliers are listed


class Fates(NamedTuple):
    """What becomes of all that is small, the neurons that last, and whether one dies by exact balance alone."""

    fate: Fate
    lasts: tuple[Lasting, ...] = ()
    held: bool = False


def fate(
    gates: Gates,
    subspace: Subspace,
    theta: np.ndarray,
    booked: float,
    settled: Point,
    units: list[int],
    multipliers: Multipliers,
    before: Before | None = None,
) -> Fates:
    """What becomes of all that is small: "wakes" if one neuron does, else "unknown" if that of one is.

    Where all die but some that last, these are named.
    theta (N,): the flow, which is near the limit, less the log-norm that is booked; units: those that are `dying`.
    before: of a network with classes the flow before the softmax was held, where it was looked at, up to now.
    """
    if not units:
        return Fates("dies")
    now = _weights(gates, theta) * float(settled.multipliers.sum())
    known = bool(np.abs(now - settled.multipliers).max() <= SETTLED * settled.multipliers.sum())
    distance = _of_the_living(theta, gates.instance.network.flat(settled.theta))
    network = gates.instance.network
    two_layers = network.depth == network.degree == 2 and gates.kinked
    decouples = two_layers and network.outputs == 1
    found: list[Fate] = []
    lasts: list[Lasting] = []
    waiting: list[int] = []
    beside: Beside | None = None
    ends: np.ndarray | None = None
    for group in _together(gates, units):
        if len(group) == 1 and decouples:
            if ends is None:
                ends = multipliers.ends(gates, settled)
                ends = ends if known else np.vstack([ends, now])
            found.append(_of_unit(gates, subspace, theta, booked, group[0], distance, ends))
        elif gates.instance.network.depth > 2 or gates.kinked:
            # of a linear network of two layers the second-order test has told
            most = settled.multipliers if known else np.maximum(settled.multipliers, now)
            beside = beside or Beside(gates, theta, units, settled, most, known)
            found.append(beside.fate(group))
        if found and found[-1] == "unknown" and len(group) == 1 and gates.kinked and not network.shared:
            heard = settled.margins <= 1.0 + ACTIVE
            if two_layers:
                every = np.vstack([multipliers.ends(gates, settled), now])
                heard = (every > LEVEL * settled.multipliers.max()).any(axis=0)
            last = lasting(gates, theta, network.flat(settled.theta), heard, group[0])
            if last:
                lasts.append(last)
                found.pop()
        if found and found[-1] == "unknown" and len(group) == 1 and gates.kinked:
            beside = beside or Beside(gates, theta, units, settled, settled.multipliers, known)
            corners = multipliers.corners(gates, settled)
            if not known and len(corners):
                corners = np.vstack([corners, now])
            if beside.dies_standing(group[0], corners, _room(distance)):
                found[-1] = "dies"
            else:
                waiting.append(group[0])
    held = beside is not None and beside.held
    if "wakes" in found:
        return Fates("wakes")
    if "unknown" not in found:
        return Fates("dies", tuple(lasts), held)
    if before is None or found.count("unknown") > len(waiting):
        return Fates("unknown")
    small = [unit for unit in units if unit not in {one.unit for one in lasts}]
    stand = _standing(gates, before, theta, settled, small, multipliers)
    return Fates("dies", tuple(lasts), held) if stand.issuperset(waiting) else Fates("unknown")


def _standing(
    gates: Gates, before: Before, theta: np.ndarray, settled: Point, units: list[int], multipliers: Multipliers
) -> set[int]:
    """Those of the units that die with their gates as they are by multipliers that become even.

    What is said of each rests on the gates of the others, of all as long as none has changed: so none is the first.
    """
    limit, corners = gates.instance.network.flat(settled.theta), multipliers.corners(gates, settled)
    if not len(corners):
        return set()
    corners = np.vstack([corners, _weights(gates, theta) * float(settled.multipliers.sum())])
    beside = Beside(gates, theta, units, settled, settled.multipliers, known=True)
    room = _room(_of_the_living(theta, limit))
    stand = set(units)
    while True:
        free = [unit for unit in units if unit not in stand]
        still = {
            unit
            for unit in stand
            if beside.dies_standing(unit, corners, room, evened(gates, before, limit, corners, unit, free))
        }
        if still == stand:
            return stand
        stand = still


def _weights(gates: Gates, theta: np.ndarray) -> np.ndarray:
    """The weights p of the samples (n,), which drive what is small: near the limit they are as its multipliers."""
    p = look(gates.cell, theta).p
    return np.where(p > FAINTEST, p, 0.0)


def _together(gates: Gates, units: list[int]) -> list[list[int]]:
    """The dying units in groups that share weights."""
    net = gates.net
    groups: list[tuple[set[int], list[int]]] = []
    for unit in units:
        own = set(net.par[((net.row == unit) | (net.col == unit)) & (net.par >= 0)].tolist())
        members = [unit]
        apart: list[tuple[set[int], list[int]]] = []
        for parameters, others in groups:
            # in deeper networks a weight between two units is no shared one
            if gates.instance.network.shared and parameters & own:
                own, members = own | parameters, members + others
            else:
                apart.append((parameters, others))
        groups = [*apart, (own, members)]
    return [sorted(members) for _, members in groups]


def still_turning(
    gates: Gates, watch: np.ndarray, slides: Slides, theta: np.ndarray, settled: Point, units: list[int]
) -> bool:
    """Whether an input that is zero in the limit may yet change its side on the way: it is moving to its kink.

    What moves it wears off like a power of the norm, so that it goes on for a few times its present speed at most.  An
    input of layer l that stays on its side grows like norm^(l - 1), as one of the first layer is constant: one that
    falls back against that rests on what is small now.  watch as of Gates.watch, for the kinks that the flow can cross
    and does not slide on; units: those that are `dying`.
    """
    if not settled.kinks:
        return False
    zero = np.zeros(gates.gates.shape, dtype=bool)
    for kink in settled.kinks:
        zero[pair_of(gates, kink)] = True
    zero &= (watch != 0) & (settled.multipliers > 0.0)[:, None]
    zero[:, units] = False
    if not zero.any():
        return False
    now = look(gates.cell, theta)
    work = workspace(gates.cell)
    # where other inputs of its neuron slide, these turn it, too
    rho = velocity(gates.cell, theta, slides, work)
    growth = float(work.v @ theta) / rho**2
    pre = now.pre
    for i, u in np.argwhere(zero & (now.delta != 0.0)).tolist():
        still = (gates.net.power[u] - 1.0) * pre[i, u]
        speed = float(gates.curved_normal((i, u), theta) @ work.v) / growth - still
        if watch[i, u] * (pre[i, u] + FURTHER * speed) < 0.0:
            return True
    return False


def dying(gates: Gates, subspace: Subspace, theta: np.ndarray, settled: Point) -> list[int]:
    """The hidden units all of whose weights are zero in the limit, and of which some are not and can move.

    Above the first layer a unit need not move to meet a kink: its inputs do.  A unit with weights that are not trained,
    and not zero, does not feed on itself: what becomes of it the gates of the moment say.
    """
    limit = gates.instance.network.flat(settled.theta)
    if limit.all():
        return []
    net = gates.net
    units = int(net.uptr[-1])
    alive, moving, present = (np.zeros(units, dtype=bool) for _ in range(3))
    own = net.par >= 0
    lives = np.where(own, limit[net.par], net.value) != 0.0
    there = own & (theta[net.par] != 0.0)
    moves = there & ~subspace.constant[net.par]
    for ends in (net.row, net.col):
        alive[ends[lives]], present[ends[there]], moving[ends[moves]] = True, True, True
    deeper = np.arange(units) >= gates.first.stop
    return [u for u in gates.hidden if (moving[u] or (deeper[u] and present[u])) and not alive[u]]


def _of_the_living(theta: np.ndarray, limit: np.ndarray) -> float:
    """How far apart the directions are, of what is not zero in the limit."""
    living = np.where(limit != 0.0, theta, 0.0)
    gap = living / np.sqrt(living @ living) - limit / np.sqrt(limit @ limit)
    return float(np.sqrt(gap @ gap))


def _room(distance: float) -> float:
    """How far from a small neuron, relative to it, those lie that have to end as it does."""
    return min(max(AROUND * distance, NEAREST), FARTHEST)


def _of_unit(
    gates: Gates, subspace: Subspace, theta: np.ndarray, booked: float, unit: int, distance: float, ends: np.ndarray
) -> Fate:
    """That of a unit of depth 2, alone with its weights; ends as of Multipliers.ends."""
    net, instance = gates.net, gates.instance
    incoming, outgoing = np.flatnonzero(net.row == unit), np.flatnonzero(net.col == unit)
    if len(outgoing) != 1 or len(set(net.par[incoming])) < len(incoming):
        return "unknown"
    parameters = np.append(net.par[incoming], net.par[outgoing])
    if np.any(members(parameters, gates.size)[net.par[(net.row != unit) & (net.col != unit)]]):
        return "unknown"
    x = np.ascontiguousarray(instance.x_float[:, net.col[incoming]])
    mu_of = ends * instance.y_float
    state = gates.state(unit)
    if _greatest_rate(x, mu_of, gates.below) < 1.0 - EVEN:
        return "dies"
    if len(ends) > 1:
        return "unknown"
    mu, own = mu_of[0], theta[parameters]
    balance = float(gates.conserved[unit]) * np.exp(-2.0 * booked)
    own = _balanced(own[None], balance)[0] if np.isfinite(balance) else own
    near = _around(subspace.at(parameters), x[state == 2], own, balance, _room(distance))
    # the flow knows its kinks better than its weights: neighbours in other cells are none
    near = [own, *(w for w in near if _in_cell(x, w[:-1], state))]
    return of_rates([rate_of(x, mu, w[:-1].copy(), w[-1], state, gates.below) for w in near])


def _in_cell(x: np.ndarray, w: np.ndarray, state: np.ndarray) -> bool:
    """Whether the inputs of a neighbour are on the sides that the gates say, where they do not slide."""
    return not np.any((x @ w) * np.where(state == 2, 0, 2 * state - 1) < 0.0)


def _greatest_rate(x: np.ndarray, ends: np.ndarray, below: float) -> float:
    """The greatest at which a neuron could grow, whatever its gates are and mu between its least and largest values.

    x (n, d), ends (e, n) with these values of mu among them.
    """
    heard = [i for i in range(len(x)) if ends[:, i].any() and x[i].any()]
    if not heard or len(heard) > MOST_RANGES:
        return np.inf if heard else 0.0
    values = [
        sorted({slope * float(end) for slope in (below, 1.0) for end in (ends[:, i].min(), ends[:, i].max())})
        for i in heard
    ]
    pulls = np.array(list(product(*values))).reshape(-1, len(heard)) @ x[heard]
    return float(np.sqrt((pulls * pulls).sum(axis=1).max()))


def _around(basis: np.ndarray, slides: np.ndarray, own: np.ndarray, balance: float, room: float) -> np.ndarray:
    """Neighbours (k, d + 1) of the neuron's weights (w, v), which the flow could have in their place.

    They lie in the invariant subspace, of which basis are the rows, on the kinks slides (s, d) and at the
    balance v^2 - ||w||^2 that is conserved (NaN where none is), a part `room` of the neuron's size away.
    """
    left, values, _ = np.linalg.svd(basis, full_matrices=False)
    left = left[:, values > NO_DIRECTION * values.max(initial=0.0)]
    size = np.sqrt(own @ own)
    steps = _directions(left.shape[1]) @ left.T
    near = own + room * size * steps / np.sqrt(len(own))
    if len(slides):
        _, values, right = np.linalg.svd(slides)
        along = right[: int(np.sum(values > NO_DIRECTION * values[0]))]
        near[:, :-1] -= near[:, :-1] @ along.T @ along
    if np.isfinite(balance):
        near = _balanced(near[(near[:, :-1] ** 2).sum(axis=1) + balance >= 0.0], balance)
        near[:, -1] = np.copysign(near[:, -1], own[-1])
    return near


def _balanced(weights: np.ndarray, balance: float) -> np.ndarray:
    """Weights (w, v) (k, d + 1) with v such that v^2 - ||w||^2 is what is conserved."""
    out = weights.copy()
    squares = (out[:, :-1] ** 2).sum(axis=1) + balance
    out[:, -1] = np.copysign(np.sqrt(np.maximum(squares, 0.0)), out[:, -1])
    return out


@cache
def _directions(dimension: int) -> np.ndarray:
    """The same for every neuron, (NEIGHBOURS, dimension)."""
    return np.random.default_rng(dimension).standard_normal((NEIGHBOURS, dimension))
