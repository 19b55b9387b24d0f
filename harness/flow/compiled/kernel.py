"""The network with its gates held fixed: margins, gradients and Hessians, compiled.

With the gate of every hidden unit on every sample fixed, q_i is a multilinear form in the layers.
One description of the network serves everything here, a `Wiring`: the non-zero entries of all
layers as coordinate lists.  Units are numbered through all layers, inputs first, outputs last.

    row[e], col[e], par[e]   entry e of W^l is theta[par[e]], from unit col[e] to unit row[e]
    value[e]                 what it is where par[e] = -1: in a layer that is not trained
    ptr[l] .. ptr[l+1]       the entries of layer l + 1
    uptr[l] .. uptr[l+1]     the units of layer l (0 = inputs)
    trained[l], degree       whether layer l + 1 is trained, and how many are
    power[u], gain[u]        how many of the layers up to unit u are, and the product of the norms of the others

A sample here is a margin (harness.problem.problems): its point, and what the outputs are multiplied by.
Arrays: x (n, d), seeds (n, K), theta (N,); gates (n, units): the slopes of the activation, 1 where a unit is on and the
network's slope where it is off.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from harness.flow.compiled.compiling import compiled, compiled_sums, inlined
from harness.problem.networks import Network

SMALLEST = 1e-100  # of ||theta||: the smallest unit whose kinks are looked at; its square is still a normal float


class Wiring(NamedTuple):
    row: np.ndarray
    col: np.ndarray
    par: np.ndarray
    value: np.ndarray
    ptr: np.ndarray
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
        ptr.append(len(row))
        power[above:] += numbers is None
        gain[above:] *= 1.0 if numbers is None else float(np.linalg.norm(value[begin:]))
    rows, cols, pars, ptrs, uptrs = (np.array(a, dtype=np.int64) for a in (row, col, par, ptr, uptr))
    trained = np.array(network.trained)
    return Wiring(rows, cols, pars, np.array(value), ptrs, uptrs, trained, power, gain, network.degree)


@inlined
def entries_of(net, theta):
    """The entries of all layers, (E,)."""
    w = np.empty(net.par.shape[0])
    for e in range(w.shape[0]):
        w[e] = theta[net.par[e]] if net.par[e] >= 0 else net.value[e]
    return w


@compiled_sums
def dot(a, b):
    """The inner product of two short vectors."""
    total = 0.0
    for k in range(a.shape[0]):
        total += a[k] * b[k]
    return total


@inlined
def margin_of(seeds, pre, i):
    """sum_k seeds_ik Phi_k of sample i, from the pre-activations (n, units)."""
    first = pre.shape[1] - seeds.shape[1]
    total = 0.0
    for k in range(seeds.shape[1]):
        total += seeds[i, k] * pre[i, first + k]
    return total


@inlined
def evaluate(net, theta, x, seeds, gates, q, grad, pre, delta):
    """Fill q (n,), grad = dq/dtheta (n, N), pre-activations and delta = dq/dh (both (n, units)).

    h of a unit is what the layer above is given.
    """
    row, col, par, value, ptr, uptr, trained, power, gain, degree = net
    n, d = x.shape
    units = gates.shape[1]
    layers = ptr.shape[0] - 1
    w = entries_of(net, theta)
    h = np.empty(units)
    back = np.empty(units)
    grad[:, :] = 0.0
    for i in range(n):
        for c in range(d):
            h[c] = x[i, c]
            pre[i, c] = x[i, c]
        for u in range(d, units):
            pre[i, u] = 0.0
        for layer in range(layers):
            for e in range(ptr[layer], ptr[layer + 1]):
                pre[i, row[e]] += w[e] * h[col[e]]
            for u in range(uptr[layer + 1], uptr[layer + 2]):
                h[u] = gates[i, u] * pre[i, u]
        q[i] = margin_of(seeds, pre, i)
        for u in range(units):
            back[u] = 0.0
        for k in range(seeds.shape[1]):
            back[uptr[layers] + k] = seeds[i, k]
        for layer in range(layers - 1, -1, -1):
            for u in range(uptr[layer + 1], uptr[layer + 2]):
                delta[i, u] = back[u]
                if layer < layers - 1:
                    back[u] *= gates[i, u]
            if trained[layer]:
                for e in range(ptr[layer], ptr[layer + 1]):
                    b = back[row[e]]
                    grad[i, par[e]] += b * h[col[e]]
                    back[col[e]] += b * w[e]
            else:
                for e in range(ptr[layer], ptr[layer + 1]):
                    back[col[e]] += back[row[e]] * w[e]


@inlined
def margins(net, theta, x, seeds, gates, q, pre):
    """q (n,) and the pre-activations (n, units) alone."""
    row, col, par, value, ptr, uptr, trained, power, gain, degree = net
    n, d = x.shape
    units = gates.shape[1]
    w = entries_of(net, theta)
    h = np.empty(units)
    for i in range(n):
        for c in range(d):
            h[c] = x[i, c]
            pre[i, c] = x[i, c]
        for u in range(d, units):
            pre[i, u] = 0.0
        for layer in range(ptr.shape[0] - 1):
            for e in range(ptr[layer], ptr[layer + 1]):
                pre[i, row[e]] += w[e] * h[col[e]]
            for u in range(uptr[layer + 1], uptr[layer + 2]):
                h[u] = gates[i, u] * pre[i, u]
        q[i] = margin_of(seeds, pre, i)


@inlined
def unit_sizes(net, theta, out):
    """out (units,): the norm of the weights into and out of every unit, by which what happens to it is measured.

    Of a unit whose weights in are not trained, ||theta||.  0 where it is below SMALLEST of that: such a unit is not
    looked at.
    """
    row, col, par, value, ptr, uptr, trained, power, gain, degree = net
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
            out[uptr[layer + 1] : uptr[layer + 2]] = rho
    return out


@compiled
def unit_gradient(net, theta, x, gates, unit, out):
    """out (N,) = d pre_unit / d theta for one sample: x (d,), gates (units,)."""
    row, col, par, value, ptr, uptr, trained, power, gain, degree = net
    units = gates.shape[0]
    w = entries_of(net, theta)
    h = np.zeros(units)
    back = np.zeros(units)
    h[: x.shape[0]] = x
    out[:] = 0.0
    for layer in range(ptr.shape[0] - 1):
        for e in range(ptr[layer], ptr[layer + 1]):
            h[row[e]] += w[e] * h[col[e]]
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
                if trained[layer]:
                    out[par[e]] += b * h[col[e]]
                back[col[e]] += b * w[e]


@compiled
def hessian_times(net, theta, x, gates, seeds, directions, out):
    """out (N, r) = sum_iu seeds_iu Hessian(pre_iu) directions, directions of shape (N, r).

    seeds (n, units): what the outputs are multiplied by, times w_i, in their columns gives sum w_i Hessian(q_i).
    Forward-over-reverse differentiation, all directions at once for each sample.
    """
    row, col, par, value, ptr, uptr, trained, power, gain, degree = net
    n, d = x.shape
    r = directions.shape[1]
    units = gates.shape[1]
    layers = ptr.shape[0] - 1
    w = entries_of(net, theta)
    h = np.empty(units)
    back = np.empty(units)
    tangent = np.empty((units, r))
    back_t = np.empty((units, r))
    out[:, :] = 0.0
    for i in range(n):
        idle = True
        for u in range(d, units):
            idle = idle and seeds[i, u] == 0.0
        if idle:
            continue
        for u in range(units):
            h[u] = x[i, u] if u < d else 0.0
            back[u] = 0.0
            for k in range(r):
                tangent[u, k] = 0.0
                back_t[u, k] = 0.0
        for layer in range(layers):
            for e in range(ptr[layer], ptr[layer + 1]):
                a, b, p = row[e], col[e], par[e]
                h[a] += w[e] * h[b]
                if p >= 0:
                    for k in range(r):
                        tangent[a, k] += w[e] * tangent[b, k] + directions[p, k] * h[b]
                else:
                    for k in range(r):
                        tangent[a, k] += w[e] * tangent[b, k]
            for u in range(uptr[layer + 1], uptr[layer + 2]):
                g = gates[i, u]
                if g != 1.0:
                    h[u] *= g
                    for k in range(r):
                        tangent[u, k] *= g
        for layer in range(layers - 1, -1, -1):
            for u in range(uptr[layer + 1], uptr[layer + 2]):
                g = gates[i, u]
                if g != 1.0:
                    back[u] *= g
                    for k in range(r):
                        back_t[u, k] *= g
                back[u] += seeds[i, u]
            for e in range(ptr[layer], ptr[layer + 1]):
                a, b, p = row[e], col[e], par[e]
                if p >= 0:
                    for k in range(r):
                        out[p, k] += back_t[a, k] * h[b] + back[a] * tangent[b, k]
                        back_t[b, k] += back_t[a, k] * w[e] + back[a] * directions[p, k]
                else:
                    for k in range(r):
                        back_t[b, k] += back_t[a, k] * w[e]
                back[b] += back[a] * w[e]


@compiled
def lu_factor(a, piv):
    """LU with partial pivoting in place; False when a pivot vanishes."""
    n = a.shape[0]
    for k in range(n):
        best = k
        for i in range(k + 1, n):
            if abs(a[i, k]) > abs(a[best, k]):
                best = i
        piv[k] = best
        if not abs(a[best, k]) > 0.0:
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
    return True


@compiled_sums
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
        b[k] = (b[k] - total) / a[k, k]


@compiled_sums
def lift(c, basis, z, theta):
    """theta (N,) = c + basis @ z, in place: for so small a product a library call costs more than the sums."""
    for a in range(theta.shape[0]):
        total = 0.0
        for k in range(z.shape[0]):
            total += basis[a, k] * z[k]
        theta[a] = c[a] + total
    return theta
