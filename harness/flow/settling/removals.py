"""Which small units the polish tries to do without, and the part of a subspace that is left without them, compiled."""

from __future__ import annotations

import numpy as np

from harness.flow.compiled.compiling import compiled, part

MOST_REMOVED = 4  # units
LEFT = 1e-9  # of unit vectors: of their coordinates no more is left by rounding where they are zero


@part
def _unit_sizes(net, theta):
    """The largest weight of every hidden unit; infinite for inputs and outputs, and beside weights that are fixed."""
    largest = np.zeros(net.uptr[-1])
    for e in range(net.row.shape[0]):
        w = abs(theta[net.par[e]]) if net.par[e] >= 0 else np.inf
        largest[net.row[e]] = max(largest[net.row[e]], w)
        largest[net.col[e]] = max(largest[net.col[e]], w)
    largest[: net.uptr[1]] = np.inf
    largest[net.uptr[-2] :] = np.inf
    return largest


@compiled
def removals(net, theta):
    """The sets of units to remove in turn, (trials, units) bool.

    None; then each of the smallest units alone; then the two, three, ... smallest together.
    """
    order = np.argsort(_unit_sizes(net, theta))
    hidden = min(net.uptr[-2] - net.uptr[1], MOST_REMOVED)
    out = np.zeros((max(2 * hidden, 1), net.uptr[-1]), dtype=np.bool_)
    for trial in range(1, 2 * hidden):
        if trial <= hidden:
            out[trial, order[trial - 1]] = True
        else:
            out[trial, order[: trial - hidden + 1]] = True
    return out


@compiled
def weights_of(net, units, size):
    """The weights into and out of these units (units,) bool, as (N,) bool."""
    out = np.zeros(size, dtype=np.bool_)
    for e in range(net.row.shape[0]):
        if net.par[e] >= 0 and (units[net.row[e]] or units[net.col[e]]):
            out[net.par[e]] = True
    return out


@compiled
def where_zero(basis, small):
    """The part of span(basis) in which the parameters `small` (N,) bool, some of them, are zero."""
    _, values, right = np.linalg.svd(basis[small])
    kept = 0
    for v in values:
        if v > LEFT:
            kept += 1
    return basis @ np.ascontiguousarray(right[kept:].T)
