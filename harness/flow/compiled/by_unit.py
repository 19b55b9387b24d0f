"""The Jacobian of a network of two layers, unit by unit, and its solver in the space of the samples, compiled.

With one output and no shared weights the Hessian of sum_i p_i q_i is a block [0 g; g^T 0] a unit in its (w, v), with
its pull g = sum_i p_i s_i c_i x_i, of signs s_i and gates c_i.  What is stiff is the softmax alone: with G the
gradients of the margins, a column a sample, and P the projection on the kinks that slide, the Jacobian is

    J = P H P - (P G) W (P G)^T,      W = diag(p slope) - p (p slope)^T.

So a I - J is solved with a I - P H P, which is solved in closed form, and a matrix of n rows (Sherman, Morrison and
Woodbury): N n^2 instead of the N^3 of a factorisation.  Coordinates that are constant have zeros in g and G.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from harness.flow.compiled.compiling import bare, bare_sums, compiled, part
from harness.flow.compiled.kernel import lu_factor, lu_solve

DEPENDENT = 1e-9  # of a normal: less of it is left by rounding after those before it are taken away
SINGULAR = 1e-9  # relative: a block nearer to a singular one has lost its digits
UNFELT = 1e-30  # weights of samples that no stiffness comes from: times any ||grad q||^2 they are below all rounding


class Across(NamedTuple):
    """Orthonormal normals (s, N) of flat kinks, each within its `owner` (s,), a unit; top (units,): the weights out.

    top: the number of the parameter, -1 for what is no hidden unit or has none.
    """

    normals: np.ndarray
    owner: np.ndarray
    top: np.ndarray


class ByUnit(NamedTuple):
    """A linearisation: pull (N,), the g of all units; square (units,), their |g|^2; grad (N, n), P G; p, felt (n,): p
    and p slope; tangent: what is slid on.  samples: how many are felt; they come first.

    solved (N, n), inner (n, n), piv (n,), diagonal: (a I - P H P)^-1 P G, the factored matrix of n rows, and a.
    full (N,), along, short (n,): room.
    """

    tangent: Across
    samples: np.ndarray
    pull: np.ndarray
    square: np.ndarray
    grad: np.ndarray
    p: np.ndarray
    felt: np.ndarray
    solved: np.ndarray
    inner: np.ndarray
    piv: np.ndarray
    diagonal: np.ndarray
    full: np.ndarray
    along: np.ndarray
    short: np.ndarray


@compiled
def across(net, normals, owner):
    """Normals (s, N) of flat kinks within their units, made orthonormal; dependent ones are zero, as are zeros."""
    out = normals.copy()
    for h in range(normals.shape[0]):
        unit, rest = owner[h], out[h]
        length = np.sqrt(_inner(net, unit, rest, rest))
        for _ in range(2):
            for j in range(h):
                if owner[j] == unit:
                    _take_away(net, unit, _inner(net, unit, rest, out[j]), out[j], rest)
        left = np.sqrt(_inner(net, unit, rest, rest))
        for e in range(net.into[unit], net.into[unit + 1]):
            rest[net.par[e]] = rest[net.par[e]] / left if left > DEPENDENT * length else 0.0
    top = np.full(net.uptr[-1], -1)
    for e in range(net.ptr[1], net.ptr[2]):
        top[net.col[e]] = net.par[e]
    return Across(out, owner, top)


@compiled
def by_unit_of(net, slides, size, n, wide):
    """Room for the linearisations of a network of two layers with these slides; empty unless it is `wide`."""
    s = slides.normals.shape[0]
    size, n, s = (size, n, s) if wide else (0, 0, 0)
    owner = np.empty(s, dtype=np.int64)
    for e in range(slides.line.shape[0] if wide else 0):
        owner[slides.line[e]] = slides.unit[e]
    tangent = across(net, slides.normals, owner) if wide else Across(np.empty((0, 0)), owner, owner)
    return ByUnit(
        tangent, np.zeros(1, dtype=np.int64), np.empty(size), np.empty(net.uptr[-1]), np.empty((size, n)), np.empty(n),
        np.empty(n), np.empty((size, n)), np.empty((n, n)), np.empty(n, dtype=np.int64), np.empty(1), np.empty(size),
        np.empty(n), np.empty(n),
    )  # fmt: skip


@bare_sums
def _inner(net, unit, a, b):
    """The inner product of the weights into a unit of two vectors (N,)."""
    total = 0.0
    for e in range(net.into[unit], net.into[unit + 1]):
        total += a[net.par[e]] * b[net.par[e]]
    return total


@bare
def _take_away(net, unit, times, a, b):
    """b -= times a, in place, of the weights into a unit of two vectors (N,)."""
    for e in range(net.into[unit], net.into[unit + 1]):
        b[net.par[e]] -= times * a[net.par[e]]


@bare
def keep_along(net, tangent, vector):
    """Take from a vector (N,) what is across the kinks, in place."""
    for h in range(tangent.owner.shape[0]):
        normal, unit = tangent.normals[h], tangent.owner[h]
        _take_away(net, unit, _inner(net, unit, vector, normal), normal, vector)


@bare
def keep_all_along(net, tangent, vectors, beyond):
    """The same for vectors (N, n), each a column; beyond (n,): room."""
    n = vectors.shape[1]
    for h in range(tangent.owner.shape[0]):
        normal, unit = tangent.normals[h], tangent.owner[h]
        for i in range(n):
            beyond[i] = 0.0
        for e in range(net.into[unit], net.into[unit + 1]):
            k = net.par[e]
            for i in range(n):
                beyond[i] += normal[k] * vectors[k, i]
        for e in range(net.into[unit], net.into[unit + 1]):
            k = net.par[e]
            for i in range(n):
                vectors[k, i] -= normal[k] * beyond[i]


@bare
def pulls(cell, weights, at, tangent, pull, square):
    """Fill pull (N,) with P sum_i weights_i s_i c_i x_i, zero at the weights out, and square (units,) with |pull|^2."""
    net = cell.net
    pull[:] = 0.0
    for e in range(net.ptr[0], net.ptr[1]):
        u, c = net.row[e], net.col[e]
        if tangent.top[u] < 0:
            continue
        total = 0.0
        for i in range(weights.shape[0]):
            total += weights[i] * cell.seeds[i, 0] * at.slopes[u, i] * at.h[c, i]
        pull[net.par[e]] = total
    keep_along(net, tangent, pull)
    square[:] = 0.0
    for u in range(net.uptr[1], net.uptr[2]):
        square[u] = _inner(net, u, pull, pull)


@part
def linearise(cell, work, own):
    """Fill the linearisation from the state that `field` left in work."""
    pulls(cell, work.p, work.at, own.tangent, own.pull, own.square)
    m = 0
    for i in range(work.p.shape[0]):
        if work.p[i] > UNFELT:
            for k in range(own.grad.shape[0]):
                own.grad[k, m] = work.grad[k, i]
            own.p[m], own.felt[m] = work.p[i], work.p[i] * work.slope[i]
            m += 1
    own.samples[0] = m
    keep_all_along(cell.net, own.tangent, own.grad[:, :m], own.along)


@bare
def factor_by_unit(net, own, diagonal):
    """Factor diagonal I - J; False where a block, or the matrix of n rows, is singular."""
    m = own.samples[0]
    own.diagonal[0] = diagonal
    for u in range(net.uptr[1], net.uptr[2]):
        if not abs(diagonal * diagonal - own.square[u]) > SINGULAR * diagonal * diagonal:
            return False
        _solve_block(net, own, u, diagonal, m)
    _fill_inner(own, m)
    return lu_factor(own.inner[:m, :m], own.piv)


@part
def _solve_block(net, own, unit, diagonal, m):
    """The rows of `solved` that belong to a unit."""
    along, top = own.along, own.tangent.top[unit]
    for i in range(m):
        along[i] = diagonal * own.grad[top, i] if top >= 0 else 0.0
    for e in range(net.into[unit], net.into[unit + 1]):
        k = net.par[e]
        for i in range(m):
            along[i] += own.pull[k] * own.grad[k, i]
    for i in range(m):
        along[i] /= diagonal * diagonal - own.square[unit]
    for e in range(net.into[unit], net.into[unit + 1]):
        k = net.par[e]
        for i in range(m):
            own.solved[k, i] = (own.grad[k, i] + own.pull[k] * along[i]) / diagonal
    if top >= 0:
        for i in range(m):
            own.solved[top, i] = along[i]


@bare_sums
def _fill_inner(own, m):
    """inner = I + W (P G)^T solved."""
    inner = own.inner
    inner[:, :] = 0.0
    for k in range(own.grad.shape[0]):
        for i in range(m):
            g = own.grad[k, i]
            if g != 0.0:
                for j in range(i + 1):
                    inner[i, j] += g * own.solved[k, j]
    for i in range(m):
        for j in range(i):
            inner[j, i] = inner[i, j]
    for j in range(m):
        mean = 0.0
        for i in range(m):
            mean += own.felt[i] * inner[i, j]
        for i in range(m):
            inner[i, j] = own.felt[i] * inner[i, j] - own.p[i] * mean
        inner[j, j] += 1.0


@bare_sums
def solve_by_unit(net, own, pivots, right):
    """Solve (diagonal I - J) k = right (r,) in place, with what `factor_by_unit` left; pivots (r,): its coordinates."""
    m, full, short, diagonal = own.samples[0], own.full, own.short[: own.samples[0]], own.diagonal[0]
    full[:] = 0.0
    for a in range(pivots.shape[0]):
        full[pivots[a]] = right[a]
    for u in range(net.uptr[1], net.uptr[2]):
        top = own.tangent.top[u]
        out = diagonal * full[top] if top >= 0 else 0.0
        out = (out + _inner(net, u, own.pull, full)) / (diagonal * diagonal - own.square[u])
        for e in range(net.into[u], net.into[u + 1]):
            k = net.par[e]
            full[k] = (full[k] + own.pull[k] * out) / diagonal
        if top >= 0:
            full[top] = out
    short[:] = 0.0
    for k in range(full.shape[0]):
        for i in range(m):
            short[i] += own.grad[k, i] * full[k]
    mean = 0.0
    for i in range(m):
        mean += own.felt[i] * short[i]
    for i in range(m):
        short[i] = own.felt[i] * short[i] - own.p[i] * mean
    lu_solve(own.inner[:m, :m], own.piv, short)
    for a in range(pivots.shape[0]):
        k = pivots[a]
        right[a] = full[k]
        for i in range(m):
            right[a] -= own.solved[k, i] * short[i]
