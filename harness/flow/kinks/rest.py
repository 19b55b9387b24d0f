"""Inputs that rest on kinks, since the weights that they are made of stand still, although their gates matter.

Kinks below units that were off matter again when these switch on.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Literal

import numpy as np

from harness.flow.compiled.field import Seen, look, velocity, workspace
from harness.flow.compiled.kernel import entries_of, unit_sizes
from harness.flow.kinks.departure import Line, SampleUnit, gather
from harness.flow.kinks.gates import NO_RATE, Gates
from harness.flow.kinks.lines import as_one, factors, singly
from harness.flow.kinks.normals import PARALLEL

ON_KINK = 1e-9  # of the unit's size times ||x_i||: what an event and the steps after it leave of a zero input
FACTOR = 2.0  # by which what pushes back may still change on the way to the limit
LEAST = 1e-12  # of the largest multiplier: the weight that a sample has at least
ROOM = 0.1  # of its terms: what is left of a sum of pulls and pushes in the limit

Resting = Literal["", "stand", "leave"]


def resting(gates: Gates, theta: np.ndarray, watch: np.ndarray) -> Resting:
    """Whether some do, and then whether they go on to: "stand", or "leave" where that is not known.

    Of relu, inputs x_i . w that stand still on their kinks go on to do so, and in no other way, while all of their
    gates are off and delta_i, by which q_i answers to them, would push back.  Leaving with velocity d beyond that of
    the others, which does not move them, they would have d . d = sum_i p_i delta_i relu(d . x_i) <= 0.  Below a kink on
    which the flow slides they have to be pushed back on both of its sides.
    """
    if gates.instance.network.depth == 2 or not gates.kinked:
        return ""
    rest = at_rest(gates, theta, watch)
    if not rest.any():
        return ""
    if gates.below or not pushed_back(gates, theta, rest, gates.sliding_pairs()):
        return "leave"
    return "stand"


def pushed_back(
    gates: Gates,
    theta: np.ndarray,
    rest: np.ndarray,
    between: Iterable[SampleUnit],
    weights: np.ndarray | None = None,
    room: float = NO_RATE,
) -> bool:
    """Whether what rests, (n, units), is off and pushed back, whatever the gates of some other pairs are.

    between: those pairs, that slide or switch.  weights (n,): of the samples, if not those at theta.  room: of the sum
    of what its terms are, by which what is pulled and pushed back together is pushed back.

    Of what rests above, or gets nothing, only what would pull counts: with a height h above zero it would add delta h
    to d . d.  But where all that may rise below what gets nothing is heard by weights of one sign, it is known to go on
    with any of it, or with none.
    """
    if (gates.gates[rest] != 0.0).any():
        return False
    net, entries, hidden = gates.net, entries_of(gates.net, theta), gates.hidden
    free, lifted, passed = np.zeros(rest.shape, dtype=bool), rest.copy(), gates.gates.copy()
    for pair in between:
        free[pair] = True
    rises, alive = rest | free, (gates.gates != 0.0) & ~free
    for unit in hidden[len(gates.first) :]:
        inputs, own = gates.inputs[unit], entries[gates.incoming[unit]]
        # what slides or switches may give nothing
        unfed = ~alive[:, inputs].any(axis=1)
        alive[:, unit] &= ~unfed
        opens, stays = (~(rises[:, inputs] & (sign * own <= 0.0)).any(axis=1) for sign in (1.0, -1.0))
        told = unfed & (opens | stays) & ~free[:, unit]
        passed[told, unit] = np.where(stays, 0.0, 1.0)[told]
        lifted[:, unit] |= unfed & ~told
        rises[:, unit] |= unfed & ~(told & stays)
    # bounds on how q answers to what every unit gives
    low, high = np.zeros(rest.shape), np.zeros(rest.shape)
    low[:, hidden.stop :] = high[:, hidden.stop :] = gates.cell.seeds
    for e in reversed(range(int(net.ptr[1]), len(net.row))):
        above, below = int(net.row[e]), int(net.col[e])
        least, most = low[:, above], high[:, above]
        if above in hidden:
            gate, either, up = passed[:, above], free[:, above], lifted[:, above]
            least = np.where(up, 0.0, np.where(either, np.minimum(least, 0.0), gate * least))
            most = np.where(up | either, np.maximum(most, 0.0), gate * most)
        ends = entries[e] * least, entries[e] * most
        low[:, below] += np.minimum(*ends)
        high[:, below] += np.maximum(*ends)
    pulled = np.flatnonzero((rest & (high > 0.0)).any(axis=0)).tolist()
    drive = (look(gates.cell, theta).p if weights is None else weights)[:, None] * high
    return not any(_rises(gates, theta, rest[:, unit], unit, drive, room) for unit in pulled)


def _rises(gates: Gates, theta: np.ndarray, rest: np.ndarray, unit: int, drive: np.ndarray, room: float) -> bool:
    """Whether some of what rests of one unit, (n,), is pulled by drive (n, units); those of one line rise together."""
    pairs = [(i, unit) for i in np.flatnonzero(rest).tolist()]
    if unit in gates.first:
        lines = gather(pairs, gates.normals.line)
    else:
        lines = as_one(gates, singly(Line(False, [(*pair, Fraction(1)) for pair in pairs])), theta)
    sums, sizes = (np.append(*factors(lines, of)) for of in (drive, np.abs(drive)))
    return bool(((sums > -room * sizes) & (sizes > 0.0)).any())


def at_rest(gates: Gates, theta: np.ndarray, watch: np.ndarray) -> np.ndarray:
    """The pairs (n, units) on their kinks that nothing moves, and that are off, or on where their gates matter.

    Of the first layer these are unwatched.  Whether anything answers to what is off may change; of leaky networks they
    are those to which something does.
    """
    now, first = look(gates.cell, theta), slice(gates.first.start, gates.first.stop)
    sizes, out = np.empty(gates.gates.shape[1]), np.zeros(gates.gates.shape, dtype=bool)
    unit_sizes(gates.net, theta, sizes)
    on_kink = np.abs(now.pre[:, first]) <= ON_KINK * sizes[first] * gates.lengths
    out[:, first] = (watch[:, first] == 0) & on_kink & (gates.lengths > 0)
    if not gates.below:
        out |= _deeper(gates, theta, now, sizes)
    for pair in gates.sliding_pairs():
        out[pair] = False
    return out & ((now.delta != 0.0) if gates.below else (now.delta != 0.0) | (gates.gates == 0.0))


def _deeper(gates: Gates, theta: np.ndarray, now: Seen, sizes: np.ndarray) -> np.ndarray:
    """Those of deeper units that are off and hear what is on, which may have just gone on, at zero; (n, units)."""
    out, given, alive = np.zeros(gates.gates.shape, dtype=bool), gates.gates * now.pre, gates.gates != 0.0
    for unit in gates.hidden[len(gates.first) :]:
        fed = alive[:, gates.inputs[unit]].any(axis=1)
        # what gets nothing may have been opened by what has gone off since
        alive[:, unit] &= fed
        heard = np.linalg.norm(given[:, gates.inputs[unit]], axis=1)
        out[:, unit] = (gates.gates[:, unit] == 0.0) & fed
        out[:, unit] &= np.abs(now.pre[:, unit]) <= ON_KINK * sizes[unit] * heard
    if out.any():
        work = workspace(gates.cell)
        velocity(gates.cell, theta, gates.compiled_slides(), work)
        terms = now.p @ np.abs(now.grad) * gates.growth(now.rho)
        for i, unit in zip(*(places.tolist() for places in out.nonzero()), strict=True):
            normal = gates.curved_normal((i, unit), theta)
            out[i, unit] = abs(normal @ work.v) <= PARALLEL * (np.abs(normal) @ terms)
    return out


def stand_in(gates: Gates, theta: np.ndarray, watch: np.ndarray, limit: np.ndarray, multipliers: np.ndarray) -> bool:
    """Whether what rests at theta (N,) is pushed back in the limit (N,), too, and about as much.

    multipliers (n,): the weights that the samples have there.
    """
    rest = at_rest(gates, theta, watch)
    scale = float(np.linalg.norm(limit) / np.linalg.norm(theta))
    there = np.where(limit != 0.0, limit, scale * theta)
    now, then = look(gates.cell, scale * theta).delta[rest], look(gates.cell, there).delta[rest]
    if not np.all((then <= now / FACTOR) & (then >= FACTOR * now)):
        return False
    # none is nothing on the way
    weights = np.maximum(multipliers, LEAST * multipliers.max())
    return pushed_back(gates, there, rest, gates.sliding_pairs(), weights, ROOM)
