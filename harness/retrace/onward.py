"""Where the flow goes from the end of its record: on and on, until small neurons have shown what becomes of them.

The clock is the log-norm.  The softmax is sharpened to margins of HELD with the flow and held from there on, so that
what is left is autonomous, and costs little where it has come to rest.  A small neuron then moves by itself,
through its own kinks, and dies against the others or grows at its own rate.  The state are coordinates of what the flow
keeps (kept.py), so that no rounding leads away from a saddle on which it stays, relative to the neurons' sizes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.retrace.field import Array, Field
from harness.retrace.kept import OPEN, Kept
from harness.retrace.lsoda import follow

HELD = 2e4
PIECE = 2.0  # of the log-norm: after each the errors are measured by the neurons' new sizes
CLEAR = 1e-9  # a pre-activation as large, of what its neuron can make of a point, is on one side


@dataclass(frozen=True)
class Onward:
    """directions (T, N) at log-norms (T,) from the record's end on."""

    log_norm: Array
    direction: Array


def onward(field: Field, kept: Kept, theta: Array, growth: float) -> Onward | None:
    """The flow from theta (N,) on until the log-norm has grown by `growth`; None where it cannot be followed so."""
    grown, log_norms, directions = 0.0, [0.0], [theta / np.linalg.norm(theta)]
    while grown < growth:
        margin = float(field.margins(theta[None]).min())
        if not margin > 0.0:
            return None
        sharpen = np.log(HELD / margin) / field.depth
        piece = PIECE if sharpen < 1e-3 else min(PIECE, sharpen)
        reached = _piece(field, kept, theta, piece, sharpen < 1e-3)
        if reached is None:
            return None
        theta, grown = reached, grown + piece
        log_norms.append(grown)
        directions.append(theta / np.linalg.norm(theta))
    return Onward(np.array(log_norms), np.array(directions))


def _piece(field: Field, kept: Kept, theta: Array, length: float, held: bool) -> Array | None:
    """theta after a growth of the log-norm by a length; again in what is kept under new gates, if they change."""
    while True:
        kept.under(gates(field, theta[None]))
        rank, sizes = len(kept.rows), field.sizes(theta[None])[0]
        basis = kept.basis(sizes)
        back = basis * sizes

        def rates(state: Array, basis: Array = basis, back: Array = back, sizes: Array = sizes) -> Array:
            at = state @ back
            rate = field(at, field.widths_at(at))
            grows = (rate * at).sum(axis=1) / (at * at).sum(axis=1)
            rate = rate / np.maximum(grows, 1e-300)[:, None] - (at if held else 0.0)
            return (rate / sizes) @ basis.T

        reach = np.linalg.norm(back, axis=1)
        states = follow(rates, basis @ (theta / sizes), length, np.ones(len(basis)), reach)
        if states is None:
            return None
        reached = states[-1] @ back
        kept.under(gates(field, np.array([theta, reached])))
        if len(kept.rows) == rank:
            return reached


def leaves(field: Field, kept: Kept, theta: Array) -> float:
    """How far rows theta (T, N) go from what the flow keeps, at most, every weight relative to its neuron."""
    off, sizes = 0.0, field.sizes(theta)
    for k in range(len(theta) - 1):
        kept.under(gates(field, theta[k : k + 2]))
        if kept.whole:
            break
        basis, scaled = kept.basis(sizes[k + 1]), theta[k + 1] / sizes[k + 1]
        off = max(off, float(np.abs(scaled - (scaled @ basis.T) @ basis).max()))
    return off


def gates(field: Field, ends: Array) -> Array:
    """Of every sample and hidden unit (n, units): on, off, or OPEN where that is not clear at all of the ends (B, N)."""
    if not field.relu:
        return np.ones((len(field.x), sum(rows for rows, _ in field.shapes[:-1])), dtype=np.int8)
    found = []
    for (pre, _), sizes in zip(field.preactivations(ends), field.neurons(ends), strict=True):
        near = CLEAR * sizes[:, None, :] * field.reach
        on, off = (pre > near).all(axis=0), (pre < -near).all(axis=0)
        found.append(np.where(on, 1, np.where(off, 0, OPEN)))
    return np.concatenate(found, axis=1).astype(np.int8)
