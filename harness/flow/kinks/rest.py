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
    """The pairs (n, units) that are on kinks where their gates matter, and that nothing moves now: of the first layer
    those that are unwatched, and of deeper units that are off on all samples those that hear what is on by zeros alone.
    """
    now = look(gates.cell, theta)
    first = slice(gates.first.start, gates.first.stop)
    pre, delta, unwatched = now.pre[:, first], now.delta[:, first], watch[:, first] == 0
    for i, u in gates.sliding_pairs():
        if u in gates.first:
            unwatched[i, u - gates.first.start] = False
    sizes = np.empty(gates.gates.shape[1])
    unit_sizes(gates.net, theta, sizes)
    on_kink = np.abs(pre) <= ON_KINK * sizes[first] * gates.lengths
    out = np.zeros(gates.gates.shape, dtype=bool)
    out[:, first] = unwatched & on_kink & (gates.lengths > 0) & (delta != 0.0)
    if not gates.below:
        idle = _idle(gates, theta) & ~gates.gates.any(axis=0) & (now.delta != 0.0)
        for pair in gates.sliding_pairs():
            idle[pair] = False
        out[:, first.stop :] = idle[:, first.stop :]
    return out


def _idle(gates: Gates, theta: np.ndarray) -> np.ndarray:
    """The deeper pairs (n, units) with an input that is on, all of which are heard by weights that are zero."""
    net, width = gates.net, gates.gates.shape[1]
    inner = (net.row < gates.hidden.stop) & (net.row >= gates.first.stop)
    rows, columns, silent = net.row[inner], net.col[inner], entries_of(net, theta)[inner] == 0.0
    fed, moved = (np.zeros((len(gates.gates), width), dtype=bool) for _ in range(2))
    for row, column, zero in zip(rows.tolist(), columns.tolist(), silent.tolist(), strict=True):
        (fed if zero else moved)[:, row] |= gates.gates[:, column] != 0.0
    return fed & ~moved


def stand_in(gates: Gates, theta: np.ndarray, watch: np.ndarray, limit: np.ndarray) -> bool:
    """Whether what rests at theta (N,) is pushed back in the limit (N,), too, and about as much."""
    rest = at_rest(gates, theta, watch)
    scale = float(np.linalg.norm(limit) / np.linalg.norm(theta))
    now = look(gates.cell, scale * theta).delta[rest]
    then = look(gates.cell, np.where(limit != 0.0, limit, scale * theta)).delta[rest]
    return bool(np.all((then <= now / FACTOR) & (then >= FACTOR * now)))
