"""Inputs that rest on kinks, since the weights that they are made of stand still, although their gates matter.

Kinks below units that were off matter again when these switch on.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from harness.flow.compiled.field import look
from harness.flow.compiled.kernel import unit_sizes
from harness.flow.kinks.gates import Gates

ON_KINK = 1e-9  # of the unit's size times ||x_i||: what an event and the steps after it leave of a zero input
FACTOR = 2.0  # by which what pushes back may still change on the way to the limit

Resting = Literal["", "stand", "leave"]


def resting(gates: Gates, theta: np.ndarray, watch: np.ndarray) -> Resting:
    """Whether some do, and then whether they go on to: "stand", or "leave" where that is not known.

    Of relu, inputs x_i . w that stand still on their kinks go on to do so, and in no other way, while all of their
    gates are off and delta_i, by which q_i answers to them, would push back.  Leaving with velocity d beyond that of
    the others, which does not move them, they would have d . d = sum_i p_i delta_i relu(d . x_i) <= 0.  Below a kink on
    which the flow slides it is not known what would push back.
    """
    if gates.instance.network.depth == 2 or not gates.kinked:
        return ""
    rest = at_rest(gates, theta, watch)
    if not rest.any():
        return ""
    sliding = np.zeros(len(rest), dtype=bool)
    sliding[[i for i, u in gates.sliding_pairs() if u not in gates.first]] = True
    away = (gates.gates != 0.0) | (look(gates.cell, theta).delta > 0.0) | sliding[:, None]
    return "leave" if gates.below or np.any(rest & away) else "stand"


def at_rest(gates: Gates, theta: np.ndarray, watch: np.ndarray) -> np.ndarray:
    """The pairs (n, units) of the first layer that are unwatched, and on kinks where their gates matter."""
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
    return out


def stand_in(gates: Gates, theta: np.ndarray, watch: np.ndarray, limit: np.ndarray) -> bool:
    """Whether what rests at theta (N,) is pushed back in the limit (N,), too, and about as much."""
    rest = at_rest(gates, theta, watch)
    scale = float(np.linalg.norm(limit) / np.linalg.norm(theta))
    now = look(gates.cell, scale * theta).delta[rest]
    then = look(gates.cell, np.where(limit != 0.0, limit, scale * theta)).delta[rest]
    return bool(np.all((then <= now / FACTOR) & (then >= FACTOR * now)))
