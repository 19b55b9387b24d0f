"""The network with its gates held fixed: margins, gradients and Hessians, compiled.

With the gate of every hidden unit on every sample fixed, q_i is a multilinear form in the layers.
One description of the network serves everything here, a `Wiring`: the non-zero entries of all
layers as coordinate lists.  Units are numbered through all layers, inputs first, outputs last.

    row[e], col[e], par[e]   entry e of W^l is theta[par[e]], from unit col[e] to unit row[e]
    value[e]                 what it is where par[e] = -1: in a layer that is not trained
    ptr[l] .. ptr[l+1]       the entries of layer l + 1
    into[u] .. into[u+1]     the entries into unit u
    uptr[l] .. uptr[l+1]     the units of layer l (0 = inputs)
    trained[l], degree       whether layer l + 1 is trained, and how many are
    power[u], gain[u]        how many of the layers up to unit u are, and the product of the norms of the others

A sample here is a margin (harness.problem.problems): its point, and what the outputs are multiplied by.
Arrays: x (n, d), seeds (n, K), theta (N,); gates (n, units): the slopes of the activation, 1 where a unit is on and the
network's slope where it is off.

Everything is computed in `Columns`: a row a unit, a column a sample, BLOCK of them at a time in registers, so that an
entry is looked up once for all of them.  Columns that are left over are zero.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from harness.flow.compiled.compiling import bare, bare_sums, compiled, inlined
from harness.problem.networks import Network

SMALLEST = 1e-145  # of ||theta||: the smallest unit whose kinks are looked at; its square is still a normal float
# of ||theta||: smaller units have systems solved at their own scale, and before fixed weights none counts as smaller
SMALL = 1e-6
BLOCK = 4  # what follows is written out for four


class Wiring(NamedTuple):
    row: np.ndarray
    col: np.ndarray
    par: np.ndarray
    value: np.ndarray
    ptr: np.ndarray
    into: np.ndarray
    uptr: np.ndarray
    trained: np.ndarray
    power: np.ndarray
    gain: np.ndarray
    degree: int


@lru_cache(maxsize=256)
def wiring(network: Network) -> Wiring:
    """The coordinate lists of a network; its trained parameters are numbered through.  Not to be written to."""
    row: list[int] = []
    col: list[int] = []
    par: list[int] = []
    value: list[float] = []
    ptr = [0]
    into = [0] * (network.widths[0] + 1)
    uptr = np.concatenate([[0], np.cumsum(network.widths)])
    power, gain = np.zeros(uptr[-1]), np.ones(uptr[-1])
    for layer, pattern in enumerate(network.patterns):
        numbers, above = network.fixed_float[layer], int(uptr[layer + 1])
        begin = len(row)
        for r, indices in enumerate(pattern):
            for c, k in enumerate(indices):
                if k >= 0:
                    row.append(above + r)
                    col.append(uptr[layer] + c)
                    par.append(network.offsets[layer] + k if numbers is None else -1)
                    value.append(0.0 if numbers is None else float(numbers[k]))
            into.append(len(row))
        ptr.append(len(row))
        power[above:] += numbers is None
        gain[above:] *= 1.0 if numbers is None else float(np.linalg.norm(value[begin:]))
    rows, cols, pars, ptrs, intos, uptrs = (np.array(a, dtype=np.int64) for a in (row, col, par, ptr, into, uptr))
    trained = np.array(network.trained)
    return Wiring(rows, cols, pars, np.array(value), ptrs, intos, uptrs, trained, power, gain, network.degree)


class Columns(NamedTuple):
    """One evaluation, all but w (E,) of shape (units, columns): w the entries of all layers, slopes the gates.

    pre: pre-activations.  h: what a unit gives.  seeds: what the pre-activations are multiplied by in the sum that is
    differentiated.  delta, back: its derivatives by h and by pre.  along: room for tangents.
    """

    w: np.ndarray
    slopes: np.ndarray
    pre: np.ndarray
    h: np.ndarray
    seeds: np.ndarray
    delta: np.ndarray
    back: np.ndarray
    along: np.ndarray


@compiled
def columns_of(net, x, gates):
    """Room for evaluations of these samples under these gates; the seeds are zero."""
    n, units = gates.shape
    shape = units, (n + BLOCK - 1) // BLOCK * BLOCK
    slopes, pre, h = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for i in range(n):
        for c in range(x.shape[1]):
            h[c, i] = pre[c, i] = x[i, c]
    w = np.empty(net.par.shape[0])
    at = Columns(w, slopes, pre, h, np.zeros(shape), np.zeros(shape), np.zeros(shape), np.zeros(shape))
    take_gates(gates, at)
    return at


@bare
def take_gates(gates, at):
    """Change the slopes to these gates."""
    for i in range(gates.shape[0]):
        for u in range(gates.shape[1]):
            at.slopes[u, i] = gates[i, u]


def entries_of(net: Wiring, theta: np.ndarray) -> np.ndarray:
    """The entries of all layers, (E,)."""
    return np.where(net.par >= 0, np.append(theta, 0.0)[net.par], net.value)


@bare_sums
def dot(a, b):
    """The inner product of two short vectors."""
    total = 0.0
    for k in range(a.shape[0]):
        total += a[k] * b[k]
    return total


@inlined
def forward(net, theta, at):
    """Fill w, pre and h."""
    col, par, into = net.col, net.par, net.into
    w, slopes, pre, h = at.w, at.slopes, at.pre, at.h
    for e in range(par.shape[0]):
        w[e] = theta[par[e]] if par[e] >= 0 else net.value[e]
    for u in range(net.uptr[1], h.shape[0]):
        for b in range(0, h.shape[1], BLOCK):
            t0 = t1 = t2 = t3 = 0.0
            for e in range(into[u], into[u + 1]):
                c, v = col[e], w[e]
                t0 += v * h[c, b]
                t1 += v * h[c, b + 1]
                t2 += v * h[c, b + 2]
                t3 += v * h[c, b + 3]
            pre[u, b], pre[u, b + 1], pre[u, b + 2], pre[u, b + 3] = t0, t1, t2, t3
            h[u, b] = slopes[u, b] * t0
            h[u, b + 1] = slopes[u, b + 1] * t1
            h[u, b + 2] = slopes[u, b + 2] * t2
            h[u, b + 3] = slopes[u, b + 3] * t3


@inlined
def backward(net, at):
    """Fill delta, but for inputs, and back from the seeds, after `forward`."""
    col, into, second = net.col, net.into, net.uptr[2]
    w, slopes, seeds, delta, back = at.w, at.slopes, at.seeds, at.delta, at.back
    delta[:, :] = 0.0
    for u in range(delta.shape[0] - 1, net.uptr[1] - 1, -1):
        for b in range(0, delta.shape[1], BLOCK):
            t0 = slopes[u, b] * delta[u, b] + seeds[u, b]
            t1 = slopes[u, b + 1] * delta[u, b + 1] + seeds[u, b + 1]
            t2 = slopes[u, b + 2] * delta[u, b + 2] + seeds[u, b + 2]
            t3 = slopes[u, b + 3] * delta[u, b + 3] + seeds[u, b + 3]
            back[u, b], back[u, b + 1], back[u, b + 2], back[u, b + 3] = t0, t1, t2, t3
            if u < second:
                continue
            for e in range(into[u], into[u + 1]):
                c, v = col[e], w[e]
                delta[c, b] += v * t0
                delta[c, b + 1] += v * t1
                delta[c, b + 2] += v * t2
                delta[c, b + 3] += v * t3


@inlined
def gradient(net, at, out):
    """out (N,): the gradient of the sum that `backward` has differentiated."""
    row, col, par = net.row, net.col, net.par
    h, back = at.h, at.back
    out[:] = 0.0
    for e in range(par.shape[0]):
        if par[e] < 0:
            continue
        r, c = row[e], col[e]
        t = 0.0
        for b in range(0, h.shape[1], BLOCK):
            t += (back[r, b] * h[c, b] + back[r, b + 1] * h[c, b + 1]) + (
                back[r, b + 2] * h[c, b + 2] + back[r, b + 3] * h[c, b + 3]
            )
        out[par[e]] += t


@inlined
def gradients(net, at, out):
    """out (N, columns): the same, of every column by itself."""
    row, col, par = net.row, net.col, net.par
    h, back = at.h, at.back
    out[:, :] = 0.0
    for e in range(par.shape[0]):
        if par[e] < 0:
            continue
        r, c, p = row[e], col[e], par[e]
        for b in range(0, h.shape[1], BLOCK):
            out[p, b] += back[r, b] * h[c, b]
            out[p, b + 1] += back[r, b + 1] * h[c, b + 1]
            out[p, b + 2] += back[r, b + 2] * h[c, b + 2]
            out[p, b + 3] += back[r, b + 3] * h[c, b + 3]


@bare
def hessian(net, at, out):
    """out (N, N): the Hessian of the sum that `backward` has differentiated.

    The layers enter once each, so that what is left of two derivatives, by an entry into unit a and by one above it, is
    what the first is given, what reaches the second's input from a (`along`), and what answers to the second.
    """
    col, into, uptr = net.col, net.into, net.uptr
    slopes, along = at.slopes, at.along
    out[:, :] = 0.0
    layers = uptr.shape[0] - 1
    for layer in range(1, layers - 1):
        for a in range(uptr[layer], uptr[layer + 1]):
            for b in range(along.shape[1]):
                along[a, b] = slopes[a, b]
            for above in range(layer + 1, layers):
                for u in range(uptr[above], uptr[above + 1]):
                    along[u, :] = 0.0
                    for e in range(into[u], into[u + 1]):
                        if above > layer + 1 or col[e] == a:
                            _mixed(net, at, a, u, e, out)
                    for b in range(along.shape[1]):
                        along[u, b] *= slopes[u, b]


@inlined
def _mixed(net, at, a, u, e, out):
    """The second derivatives by an entry e into unit u and all entries into a unit a below; along grows by e's part."""
    col, par, into = net.col, net.par, net.into
    h, back, along = at.h, at.back, at.along
    c, p, v = col[e], par[e], at.w[e]
    for b in range(0, h.shape[1], BLOCK):
        g0, g1, g2, g3 = along[c, b], along[c, b + 1], along[c, b + 2], along[c, b + 3]
        along[u, b] += v * g0
        along[u, b + 1] += v * g1
        along[u, b + 2] += v * g2
        along[u, b + 3] += v * g3
        if p < 0:
            continue
        g0 *= back[u, b]
        g1 *= back[u, b + 1]
        g2 *= back[u, b + 2]
        g3 *= back[u, b + 3]
        for f in range(into[a], into[a + 1]):
            k, d = par[f], col[f]
            if k >= 0:
                t = (g0 * h[d, b] + g1 * h[d, b + 1]) + (g2 * h[d, b + 2] + g3 * h[d, b + 3])
                out[k, p] += t
                out[p, k] += t


@inlined
def seed_outputs(seeds, at):
    """Let the sum be that of the margins, seeds (n, K), each column its own."""
    first = at.seeds.shape[0] - seeds.shape[1]
    for i in range(seeds.shape[0]):
        for k in range(seeds.shape[1]):
            at.seeds[first + k, i] = seeds[i, k]


@inlined
def weigh_outputs(seeds, weights, factor, at):
    """The same, of the margins times weights (n,) and one factor."""
    first = at.seeds.shape[0] - seeds.shape[1]
    for i in range(seeds.shape[0]):
        for k in range(seeds.shape[1]):
            at.seeds[first + k, i] = factor * weights[i] * seeds[i, k]


@inlined
def margins(seeds, at, q):
    """q_i = sum_k seeds_ik Phi_k, (n,), after `forward`."""
    first = at.pre.shape[0] - seeds.shape[1]
    for i in range(q.shape[0]):
        total = 0.0
        for k in range(seeds.shape[1]):
            total += seeds[i, k] * at.pre[first + k, i]
        q[i] = total


@compiled
def evaluate(net, theta, x, seeds, gates):
    """q (n,), grad = dq/dtheta (n, N), pre-activations and delta = dq/dh, both (n, units).

    h of a unit is what the layer above is given.
    """
    n = x.shape[0]
    at = columns_of(net, x, gates)
    forward(net, theta, at)
    seed_outputs(seeds, at)
    backward(net, at)
    q, grad = np.empty(n), np.empty((theta.shape[0], at.h.shape[1]))
    margins(seeds, at, q)
    gradients(net, at, grad)
    return q, grad[:, :n].T.copy(), at.pre[:, :n].T.copy(), at.delta[:, :n].T.copy()


@bare
def unit_sizes(net, theta, out):
    """out (units,): the norm of the weights into and out of every unit, by which what happens to it is measured.

    Of a unit whose weights in are not trained, ||theta||; of one whose weights out are not, SMALL of that at least: it
    does not feed on itself, and may come to zero and go on.  0 where it is below SMALLEST of ||theta||: such a unit is
    not looked at.
    """
    row, col, par, uptr, trained = net.row, net.col, net.par, net.uptr, net.trained
    out[:] = 0.0
    for e in range(row.shape[0]):
        if par[e] >= 0:
            square = theta[par[e]] * theta[par[e]]
            out[row[e]] += square
            out[col[e]] += square
    rho = np.sqrt(dot(theta, theta))
    for u in range(out.shape[0]):
        out[u] = np.sqrt(out[u])
        if out[u] < SMALLEST * rho:
            out[u] = 0.0
    for layer in range(trained.shape[0]):
        if not trained[layer]:
            for u in range(uptr[layer], uptr[layer + 1]):
                out[u] = max(out[u], SMALL * rho)
            out[uptr[layer + 1] : uptr[layer + 2]] = rho


@compiled
def unit_gradient(net, theta, x, gates, unit, out):
    """out (N,) = d pre_unit / d theta for one sample: x (d,), gates (units,)."""
    row, col, par, ptr, uptr = net.row, net.col, net.par, net.ptr, net.uptr
    units = gates.shape[0]
    h = np.zeros(units)
    back = np.zeros(units)
    h[: x.shape[0]] = x
    out[:] = 0.0
    for layer in range(ptr.shape[0] - 1):
        for e in range(ptr[layer], ptr[layer + 1]):
            h[row[e]] += (theta[par[e]] if par[e] >= 0 else net.value[e]) * h[col[e]]
        for u in range(uptr[layer + 1], uptr[layer + 2]):
            h[u] *= gates[u]
    back[unit] = 1.0
    for layer in range(ptr.shape[0] - 2, -1, -1):
        for u in range(uptr[layer + 1], uptr[layer + 2]):
            if u != unit:
                back[u] *= gates[u]
        for e in range(ptr[layer], ptr[layer + 1]):
            b = back[row[e]]
            if b != 0.0:
                if par[e] >= 0:
                    out[par[e]] += b * h[col[e]]
                back[col[e]] += b * (theta[par[e]] if par[e] >= 0 else net.value[e])


@bare
def lu_factor(a, piv):
    """LU with partial pivoting in place, the pivots inverted; False, and NaN for what is solved, when one vanishes."""
    n = a.shape[0]
    for k in range(n):
        best = k
        for i in range(k + 1, n):
            if abs(a[i, k]) > abs(a[best, k]):
                best = i
        piv[k] = best
        if not abs(a[best, k]) > 0.0:
            for i in range(k, n):
                a[i, i], piv[i] = np.nan, i
            return False
        if best != k:
            for j in range(n):
                a[k, j], a[best, j] = a[best, j], a[k, j]
        inverse = 1.0 / a[k, k]
        for i in range(k + 1, n):
            if a[i, k] != 0.0:
                a[i, k] *= inverse
                factor = a[i, k]
                for j in range(k + 1, n):
                    a[i, j] -= factor * a[k, j]
        a[k, k] = inverse
    return True


@bare_sums
def lu_solve(a, piv, b):
    """Solve in place with the factors of lu_factor."""
    n = a.shape[0]
    for k in range(n):
        if piv[k] != k:
            b[k], b[piv[k]] = b[piv[k]], b[k]
    for k in range(1, n):
        total = 0.0
        for j in range(k):
            total += a[k, j] * b[j]
        b[k] -= total
    for k in range(n - 1, -1, -1):
        total = 0.0
        for j in range(k + 1, n):
            total += a[k, j] * b[j]
        b[k] = (b[k] - total) * a[k, k]


@bare
def put(a, b):
    """a = b, in place; a[:] = b would allocate."""
    for k in range(a.shape[0]):
        a[k] = b[k]


@bare_sums
def lift(c, basis, pivots, z, theta):
    """theta (N,) = c + basis @ z, in place: for so small a product a library call costs more than the sums.

    A basis without columns is the identity in the rows `pivots` (r,).
    """
    if basis.shape[1] < z.shape[0]:
        put(theta, c)
        for a in range(z.shape[0]):
            theta[pivots[a]] += z[a]
        return
    for a in range(theta.shape[0]):
        total = 0.0
        for k in range(z.shape[0]):
            total += basis[a, k] * z[k]
        theta[a] = c[a] + total


@bare
def scale(a, factor):
    """a *= factor."""
    for k in range(a.shape[0]):
        a[k] *= factor


@bare
def least(a):
    """The least of these numbers; NaN if one is."""
    out = np.inf
    for k in range(a.shape[0]):
        if np.isnan(a[k]):
            return a[k]
        out = min(out, a[k])
    return out


@bare
def largest(a):
    """The largest absolute value; NaN if there is one."""
    out = 0.0
    for k in range(a.shape[0]):
        if np.isnan(a[k]):
            return a[k]
        out = max(out, abs(a[k]))
    return out
