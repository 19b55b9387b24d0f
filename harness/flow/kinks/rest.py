"""Inputs that rest on kinks, since the weights that they are made of stand still, although their gates matter.

Kinks below units that were off matter again when these switch on.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import Literal

import numpy as np

from harness.flow.compiled.field import look
from harness.flow.compiled.kernel import entries_of, unit_sizes
from harness.flow.kinks.departure import SampleUnit
from harness.flow.kinks.gates import Gates

ON_KINK = 1e-9  # of the unit's size times ||x_i||: what an event and the steps after it leave of a zero input
MOST_BETWEEN = 4
FACTOR = 2.0  # by which what pushes back may still change on the way to the limit

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


def pushed_back(gates: Gates, theta: np.ndarray, rest: np.ndarray, between: Iterable[SampleUnit]) -> bool:
    """Whether what rests, (n, units), is off and pushed back whatever the gates of some pairs above it are.

    between: those pairs.  What answers to an input is affine in each of their gates, so that the corners tell.
    """
    above = sorted((i, u) for i, u in between if rest[i, : gates.net.uptr[gates.layer(u)]].any())
    opens = any(gates.unfed((i, k)) for i, u in above for k in range(u, gates.hidden.stop))
    if len(above) > MOST_BETWEEN or opens or (gates.gates[rest] != 0.0).any():
        return False
    before = gates.gates.copy()
    try:
        for corner in product((0.0, 1.0), repeat=len(above)):
            for pair, gate in zip(above, corner, strict=True):
                gates.gates[pair] = gate
            if (look(gates.cell, theta).delta[rest] > 0.0).any():
                return False
        return True
    finally:
        gates.gates[...] = before


def at_rest(gates: Gates, theta: np.ndarray, watch: np.ndarray) -> np.ndarray:
    """The pairs (n, units) that are unwatched, on their kinks, and off, or on where their gates matter.

    Whether anything answers to what is off may change; of leaky networks these are those to which something does.
    """
    now = look(gates.cell, theta)
    first, out = slice(gates.first.start, gates.first.stop), np.zeros(gates.gates.shape, dtype=bool)
    sizes = np.empty(gates.gates.shape[1])
    unit_sizes(gates.net, theta, sizes)
    on_kink = np.abs(now.pre[:, first]) <= ON_KINK * sizes[first] * gates.lengths
    out[:, first] = on_kink & (gates.lengths > 0)
    for unit in gates.hidden[len(gates.first) :]:
        out[:, unit] = gates.gates[:, gates.inputs[unit]].any(axis=1)
    out &= watch == 0
    for pair in gates.sliding_pairs():
        out[pair] = False
    return out & ((now.delta != 0.0) if gates.below else (now.delta != 0.0) | (gates.gates == 0.0))


def idle(gates: Gates, theta: np.ndarray, constant: np.ndarray) -> np.ndarray:
    """The deeper pairs (n, units) of a relu network that hear what is on by weights alone that are zero and stay so.

    constant (N,): which parameters do not change while the gates stand.
    """
    net = gates.net
    zero = (entries_of(net, theta) == 0.0) & ((net.par < 0) | constant[net.par])
    fed, moved = (np.zeros(gates.gates.shape, dtype=bool) for _ in range(2))
    for row, column, silent in zip(net.row.tolist(), net.col.tolist(), zero.tolist(), strict=True):
        if gates.first.stop <= row < gates.hidden.stop:
            (fed if silent else moved)[:, row] |= gates.gates[:, column] != 0.0
    return fed & ~moved & (gates.gates == 0.0)


def stand_in(gates: Gates, theta: np.ndarray, watch: np.ndarray, limit: np.ndarray) -> bool:
    """Whether what rests at theta (N,) is pushed back in the limit (N,), too, and about as much."""
    rest = at_rest(gates, theta, watch)
    scale = float(np.linalg.norm(limit) / np.linalg.norm(theta))
    now = look(gates.cell, scale * theta).delta[rest]
    then = look(gates.cell, np.where(limit != 0.0, limit, scale * theta)).delta[rest]
    return bool(np.all((then <= now / FACTOR) & (then >= FACTOR * now)))
