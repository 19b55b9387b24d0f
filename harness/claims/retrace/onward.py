"""Where the flow goes from the end of its record, and what becomes of its small neurons.

The clock is the log-norm.  The softmax is sharpened to margins of HELD with the flow and held from there on, so that
the direction moves by itself.  After SHORT it has come closer to the limit or not.  Then the rest is held where it is,
and what is to be zero in the limit follows its own flow, through its own kinks, for as long as LONG: it dies, or wakes.

The states are coordinates of what the flow keeps (kept.py), relative to the neurons' sizes: no rounding leads away from
a saddle on which the flow stays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.claims.retrace.field import LEAST, Array, Field
from harness.claims.retrace.kept import OPEN, Kept
from harness.claims.retrace.lsoda import follow

HELD = 2e4
SHORT, LONG = 4.0, 60.0
PIECE = 2.0  # of the log-norm: after each the errors are measured by the neurons' new sizes
ON_KINK = 1e-13  # of what its neuron can make of a point: a pre-activation in which a side cannot be told
LITTLE = 1e-4  # ten times the errors that a trainer may make beside the norm
CLEAR, SURE = 1e-9, 1e-4  # the same: one for which the flow keeps no gate, and one that no rounding will move


@dataclass(frozen=True)
class Onward:
    """distance (T,): of the direction to the limit's, from the record's end on.

    rates (P, K): of the neurons that are zero in the limit and not on the record, by which each grows against the norm
    on every piece; sure (P, K): whether its gates are known there.  Near the limit a small neuron follows the gradient
    of a form of degree 2, along which its rate never falls: one that has woken stays so.  Of a neuron below LEAST, at
    which errors are absolute, nothing is said any more: its last rate stands, and is not sure.  Nor is one sure whose
    weight out has turned although it cannot.
    """

    distance: Array
    rates: Array
    sure: Array


def onward(field: Field, kept: Kept, theta: Array, end: Array) -> Onward | None:
    """The flow from theta (N,) on, with the limit at end (N,); None where it cannot be followed so."""
    small = _zero(field, end) & ~_zero(field, theta)
    unit, grown, held = end / np.linalg.norm(end), 0.0, False
    distance = [float(np.linalg.norm(theta / np.linalg.norm(theta) - unit))]
    kinks = _on_kinks(field, theta)
    widths, everything = _widths(field, theta, kinks, 2.0 * SHORT), np.ones(field.size, dtype=bool)
    while grown < SHORT or not held:
        margin = float(field.margins(theta[None]).min())
        if not margin > 0.0:
            return None
        sharpen = float(np.log(HELD / margin)) / field.degree
        held = sharpen < 1e-3
        piece = PIECE if held else min(PIECE, sharpen)
        reached = _piece(field, kept, theta, piece, held, everything, widths)
        if reached is None:
            return None
        theta, grown = reached, grown + piece
        distance.append(float(np.linalg.norm(theta / np.linalg.norm(theta) - unit)))
    moving = np.concatenate(field.touches)[small].max(axis=0) > 0.0 if small.any() else None
    rates, sure = np.zeros((0, int(small.sum()))), np.zeros((0, int(small.sum())), dtype=bool)
    last, right = np.full(int(small.sum()), np.nan), np.ones(int(small.sum()), dtype=bool)
    while moving is not None and grown < LONG:
        reached = _piece(field, kept, theta, PIECE, True, moving, _widths(field, theta, kinks, PIECE))
        if reached is None:
            return None
        ends = np.array([theta, reached])
        sizes = np.concatenate(field.neurons(ends), axis=1)[:, small]
        with np.errstate(divide="ignore"):  # what the flow keeps at zero goes there at once
            grown_by = np.log(sizes[1] / np.maximum(sizes[0], 1e-300)) / PIECE
        told = sizes[0] > LEAST * np.linalg.norm(theta)
        last, right = np.where(told, grown_by, last), right & _keep_their_signs(kept, reached)[small]
        rates = np.vstack([rates, last])
        sure = np.vstack([sure, told & right & (gates(field, ends, SURE) != OPEN).all(axis=0)[small]])
        theta, grown = reached, grown + PIECE
    return Onward(np.array(distance), rates, sure)


def _keep_their_signs(kept: Kept, theta: Array) -> Array:
    """Of every hidden unit whether its weight out has the sign that it keeps, where it keeps one."""
    out = np.ones(kept.units, dtype=bool)
    for unit, (parameter, sign) in kept.signs.items():
        out[unit] = theta[parameter] * sign >= 0.0
    return out


def _zero(field: Field, theta: Array) -> Array:
    """Which neurons of all hidden layers are exactly zero."""
    return np.array([size == 0.0 for layer in field.neurons(theta[None]) for size in layer[0]], dtype=bool)


def _piece(
    field: Field, kept: Kept, theta: Array, length: float, held: bool, moving: Array, widths: list[Array]
) -> Array | None:
    """theta after a growth of the log-norm by a length; again in what is kept under new gates, if they change.

    moving (N,): the parameters that are not held where they are, in direction.
    """
    sizes = field.sizes(theta[None])[0]
    while True:
        kept.under(gates(field, theta[None], CLEAR))
        rank, basis = len(kept.rows), _restricted(kept.basis(sizes), moving)
        fixed, back = np.where(moving, 0.0, theta), basis * sizes

        if not len(basis):
            return fixed

        def rates(state: Array, basis: Array = basis, fixed: Array = fixed, back: Array = back) -> Array:
            at = fixed + state @ back
            rate = field(at, widths)
            grows = (rate * at).sum(axis=1) / (at * at).sum(axis=1)
            rate = rate / np.maximum(grows, 1e-300)[:, None] - (at if held else 0.0)
            return (rate / sizes) @ basis.T

        reach = np.linalg.norm(back, axis=1)
        states = follow(rates, basis @ (np.where(moving, theta, 0.0) / sizes), length, np.ones(len(basis)), reach)
        if states is None:
            return None
        reached = fixed + states[-1] @ back
        kept.under(gates(field, np.array([theta, reached]), CLEAR))
        if len(kept.rows) == rank:
            return reached


def leaves(field: Field, kept: Kept, theta: Array) -> float:
    """How far directions theta (T, N) go from what the flow keeps, at most, every weight relative to its neuron.

    One of less than LITTLE of the norm is not followed that closely, and if what leaves with it grows, it is seen then.
    """
    off, sizes = 0.0, np.maximum(field.sizes(theta), LITTLE)
    for k in range(len(theta) - 1):
        kept.under(gates(field, theta[k : k + 2], CLEAR))
        if kept.whole:
            break
        basis, scaled = kept.basis(sizes[k + 1]), theta[k + 1] / sizes[k + 1]
        off = max(off, float(np.abs(scaled - (scaled @ basis.T) @ basis).max()))
    return off


def _on_kinks(field: Field, theta: Array) -> list[Array]:
    """Which pairs are on their kinks at theta (N,), to rounding: (n, units) a hidden layer."""
    layers = zip(field.preactivations(theta[None]), field.spans(theta[None]), strict=True)
    return [np.abs(pre[0]) <= ON_KINK * spans * field.reach for (pre, _), spans in layers]


def _widths(field: Field, theta: Array, kinks: list[Array], growth: float) -> list[Array]:
    """How wide kinks are rounded: where a pre-activation only stands still it keeps its gate while the norm grows."""
    layers = field.preactivations(theta[None])
    narrow = [0.02 * np.exp(-growth) * np.abs(pre[0]) for pre, _ in layers]
    wide = field.widths(np.array([theta, theta]), 1.0)
    found = [np.where(on, w, np.minimum(w, n)) for on, w, n in zip(kinks, wide, narrow, strict=True)] if wide else []
    return [np.maximum(w, 1e-300) for w in found]


def _restricted(basis: Array, moving: Array) -> Array:
    """An orthonormal basis of what of a subspace lies in the moving parameters."""
    if moving.all():
        return basis
    _, values, right = np.linalg.svd(np.where(moving, basis, 0.0), full_matrices=False)
    return right[values > 1e-9]


def gates(field: Field, ends: Array, clear: float) -> Array:
    """Of every sample and hidden unit (n, units): on, off, or OPEN where it is not clear at all of the ends (B, N)."""
    if not field.kinked:
        return np.ones((len(field.x), sum(rows for rows, _ in field.shapes[:-1])), dtype=np.int8)
    found = []
    for (pre, bound), spans in zip(field.preactivations(ends), field.spans(ends), strict=True):
        near = clear * spans[:, None, :] * field.reach
        on, off = (pre > near).all(axis=0), (pre < -near).all(axis=0)
        if not field.slope:
            # a relu that hears nothing is off; with another slope it would still pass gradients on
            off |= (bound == 0.0).all(axis=0)
        found.append(np.where(on, 1, np.where(off, 0, OPEN)))
    return np.concatenate(found, axis=1).astype(np.int8)
