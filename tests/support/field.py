"""The compiled field of the reference trainer, with given gates.

    d theta / d sigma = |theta|^(2-D) sum_i p_i grad q_i,      p_i ~ -dL / dQ_i,      Q_i = beta q_i,

i a margin, and D the number of trained layers.  theta is kept between 1 and 2 in norm: the true one is 2^level theta,
and beta = 2^(D level) until min Q reaches `hold`, from where it is held there.  Nothing is solved but for the
coefficients of slides, and all sums are in twice the precision: so what an exchange of samples, neurons and coordinates
leaves as it is stays so to the bit.

A gate is off, on or slides; arrays of gates are (n, m, width), of which layer m, the output, is always on.  A gate is
0 off and 1 on: the slope of the activation there is `slope` and 1, and between them in proportion.
"""

# Kernels compiled by numba take the types that they are called with, and unpack the whole tuple that they are given.
# pyright: reportMissingParameterType=false, reportUnusedVariable=false

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numba import njit

OFF, ON, SLIDE = 0, 1, 2
ROUNDS, SETTLED = 20, 1e-15  # of Newton's method, at most; a change of coefficients that is none
FAINTEST = 1e-200  # of the weights p, so that kinks of samples that hardly count are kinks still


class Net(NamedTuple):
    """patterns (m, width, width): parameters counted through the trained layers, -1 where there is none.

    fixed, of the same shape: the entries of the other layers.  shape (m, 2); x (n, d) and seeds (n, K), a margin each;
    group: how many margins a point has, which stand together.
    """

    patterns: np.ndarray
    fixed: np.ndarray
    shape: np.ndarray
    x: np.ndarray
    seeds: np.ndarray
    slope: float
    kinked: bool
    degree: int
    group: int


# Kept beside the source where that can be written.
compiled: Any = njit(cache=os.access(Path(__file__).parent, os.W_OK), error_model="numpy")


@compiled
def plus(total, rest, term):
    """total + term exactly, as a new total and rest (Knuth's two-sum)."""
    new = total + term
    part = new - total
    return new, rest + ((total - (new - part)) + (term - part))


@compiled
def dot(a, b):
    total, rest = 0.0, 0.0
    for k in range(a.shape[0]):
        total, rest = plus(total, rest, a[k] * b[k])
    return total + rest


@compiled
def entry(net, theta, layer, r, c):
    """W^l[r, c]."""
    k = net.patterns[layer, r, c]
    return theta[k] if k >= 0 else net.fixed[layer, r, c]


@compiled
def bent(net, mode, a):
    """What a neuron makes of a pre-activation, or of its rate: of one that slides nothing."""
    return a if mode == ON else net.slope * a if mode == OFF else 0.0


@compiled
def sample(net, i, theta, mode, gate, z, size, h, back, grad):
    """Returns q_i. Fills pre-activations z and the sums of their terms' sizes, layer inputs h, and grad[i] = dq_i."""
    shape, x = net.shape, net.x
    depth = shape.shape[0]
    h[i, 0, : x.shape[1]] = x[i]
    for layer in range(depth):
        for r in range(shape[layer, 0]):
            total, rest, sizes = 0.0, 0.0, 0.0
            for c in range(shape[layer, 1]):
                term = entry(net, theta, layer, r, c) * h[i, layer, c]
                total, rest = plus(total, rest, term)
                sizes += abs(term)
            z[i, layer, r], size[i, layer, r] = total + rest, sizes
            if layer < depth - 1:
                h[i, layer + 1, r] = bent(net, mode[i, layer, r], total + rest)
    gradient(net, i, theta, gate, h, back, grad[i], grad[-1])
    return dot(net.seeds[i], z[i, depth - 1, : net.seeds.shape[1]])


@compiled
def gradient(net, i, theta, gate, h, back, out, rests):
    """dq_i / dtheta with the gates' coefficients, the layers' inputs h given; rests is scratch."""
    patterns, shape = net.patterns, net.shape
    depth = shape.shape[0]
    out[:] = 0.0
    rests[:] = 0.0
    back[depth - 1, : net.seeds.shape[1]] = net.seeds[i]
    for layer in range(depth - 1, -1, -1):
        for r in range(shape[layer, 0]):
            if back[layer, r] != 0.0:
                for c in range(shape[layer, 1]):
                    k = patterns[layer, r, c]
                    if k >= 0:
                        out[k], rests[k] = plus(out[k], rests[k], back[layer, r] * h[i, layer, c])
        for c in range(shape[layer, 1] if layer else 0):
            total, rest = 0.0, 0.0
            for r in range(shape[layer, 0]):
                total, rest = plus(total, rest, entry(net, theta, layer, r, c) * back[layer, r])
            back[layer - 1, c] = (net.slope + (1.0 - net.slope) * gate[i, layer - 1, c]) * (total + rest)
    out += rests


@compiled
def rates(net, i, theta, move, mode, h, out):
    """The pre-activations' rates of sample i (m, width), where theta moves so."""
    shape = net.shape
    for layer in range(shape.shape[0]):
        for r in range(shape[layer, 0]):
            total, rest = 0.0, 0.0
            for c in range(shape[layer, 1]):
                k = net.patterns[layer, r, c]
                if k >= 0:
                    total, rest = plus(total, rest, move[k] * h[i, layer, c])
                if layer:
                    rate = bent(net, mode[i, layer - 1, c], out[layer - 1, c])
                    total, rest = plus(total, rest, entry(net, theta, layer, r, c) * rate)
            out[layer, r] = total + rest


@compiled
def weights(q, level, degree, hold, logistic, group, p):
    """The margins' weights p; returns beta."""
    least = q.min()
    beta = math.exp(math.log(2.0) * degree * level)
    if least > 0.0 and beta * least > hold:
        beta = hold / least
    for i in range(q.shape[0]):
        p[i] = -beta * q[i]
        if logistic:
            first = i - i % group
            p[i] -= loss_of(beta * q[first : first + group])
    top = p.max()
    for i in range(q.shape[0]):
        p[i] = max(math.exp(p[i] - top), FAINTEST)
    total, rest = 0.0, 0.0
    for i in range(q.shape[0]):
        total, rest = plus(total, rest, p[i])
    p /= total + rest
    return beta


@compiled
def loss_of(margins):
    """log(1 + sum_k exp(-margins_k)), the logistic loss of a point."""
    top = max(-margins.min(), 0.0)
    total, rest = 0.0, 0.0
    for k in range(margins.shape[0]):
        total, rest = plus(total, rest, math.exp(-margins[k] - top))
    return top + math.log1p(total + rest) if top == 0.0 else top + math.log(math.exp(-top) + total + rest)


@compiled
def field(net, slides, mode, gate, theta, level, hold, logistic, work, out):
    """out = d theta / d sigma. Solves for the coefficients of the slides, in gate; returns a bound of the stiffness.

    slides: rows sample, layer, neuron, class, sign.  The pre-activations of a class are multiples of each other; the
    gates of those of sign 1 have the coefficient c of the class, the others 1 - c.
    work: q, p (n,), z, size, h, back, grad (n + 1, N; the last row is scratch), c and tilt (classes,).  tilt is by how
    much the rate of a class grows with its coefficient: below zero where both sides push towards the kink.
    """
    q, p, z, size, h, back, grad, c, tilt = work
    n = q.shape[0]
    for s in range(slides.shape[0]):
        i, layer, r, _, sign = slides[s]
        gate[i, layer, r] = 0.0 if sign > 0 else 1.0
    for i in range(n):
        q[i] = sample(net, i, theta, mode, gate, z, size, h, back, grad)
    beta = weights(q, level, net.degree, hold, logistic, net.group, p)
    for k in range(theta.shape[0]):
        out[k] = dot(p, grad[:, k])
    if slides.shape[0]:
        _slide(net, slides, mode, gate, theta, work, out)
    norm = math.sqrt(dot(theta, theta))
    spread = 0.0
    for i in range(n):
        for k in range(theta.shape[0]):
            spread += p[i] * (grad[i, k] - out[k]) ** 2
    factor = norm ** (2 - net.degree)
    out *= factor
    return factor * (beta * spread + _curvature(net, theta, work))


@compiled
def _slide(net, slides, mode, gate, theta, work, out):
    """The coefficients with which the sliding pre-activations rest; out, grad and gate with them.

    By Newton's method: coefficients of one sample in two layers multiply each other.  In one layer one round is exact.
    """
    q, p, z, size, h, back, grad, c, tilt = work
    members = slides.shape[0]
    change = np.zeros((members, theta.shape[0]))
    c[:] = 0.0
    for _ in range(ROUNDS if (slides[:, 1] != slides[0, 1]).any() else 1):
        more = _newton(net, slides, mode, gate, theta, work, change, out)
        c += more
        for s in range(members):
            i, layer, r, one, sign = slides[s]
            gate[i, layer, r] = c[one] if sign > 0 else 1.0 - c[one]
            grad[i] += more[one] * change[s]
        if (slides[:, 1] != slides[0, 1]).any():
            for i in range(q.shape[0]):
                gradient(net, i, theta, gate, h, back, grad[i], grad[-1])
        for k in range(out.shape[0]):
            out[k] = dot(p, grad[:, k])
        if np.abs(more).max() <= SETTLED:
            break


@compiled
def _newton(net, slides, mode, gate, theta, work, change, out):
    """By how much the coefficients are still wrong, to first order; fills change (slides, N) and tilt."""
    q, p, z, size, h, back, grad, c, tilt = work
    members, classes = slides.shape[0], c.shape[0]
    matrix, right = np.zeros((classes, classes)), np.zeros(classes)
    rate = np.zeros(z.shape[1:])
    for s in range(members):
        i, layer, r, _, sign = slides[s]
        now = gate[i, layer, r]
        gate[i, layer, r] = now + sign
        gradient(net, i, theta, gate, h, back, change[s], grad[-1])
        gate[i, layer, r] = now
        change[s] -= grad[i]
    for s in range(members):
        i, layer, r, one, sign = slides[s]
        if sign > 0:  # one of them is enough, and there is one
            matrix[one] = 0.0
            rates(net, i, theta, out, mode, h, rate)
            right[one] = -rate[layer, r]
            for t in range(members):
                rates(net, i, theta, change[t], mode, h, rate)
                matrix[one, slides[t, 3]] += p[slides[t, 0]] * rate[layer, r]
            tilt[one] = matrix[one, one]
    return _solved(matrix, right)


@compiled
def _solved(matrix, right):
    """Gauss with pivots; what does not hang together is not mixed.  No number where it is singular."""
    a, b = matrix.copy(), right.copy()
    count = b.shape[0]
    for s in range(count):
        best = s
        for t in range(s + 1, count):
            if abs(a[t, s]) > abs(a[best, s]):
                best = t
        if best != s:
            for t in range(count):
                a[s, t], a[best, t] = a[best, t], a[s, t]
            b[s], b[best] = b[best], b[s]
        for t in range(s + 1, count):
            if a[t, s] != 0.0:
                factor = a[t, s] / a[s, s]
                a[t, s:] -= factor * a[s, s:]
                b[t] -= factor * b[s]
    for s in range(count - 1, -1, -1):
        total, rest = b[s], 0.0
        for t in range(s + 1, count):
            total, rest = plus(total, rest, -a[s, t] * b[t])
        b[s] = (total + rest) / a[s, s]
    return b


@compiled
def _curvature(net, theta, work):
    """A bound of the Hessian of sum_i p_i q_i with p fixed, from the norms of the layers."""
    shape, x, seeds = net.shape, net.x, net.seeds
    p, grad = work[1], work[6]
    depth = shape.shape[0]
    if net.degree == 1:
        return 0.0
    length = 0.0
    for i in range(x.shape[0]):
        if (grad[i] != 0.0).any():
            length += p[i] * math.sqrt(dot(x[i], x[i]) * dot(seeds[i], seeds[i]))
    first, second, product = math.inf, math.inf, max(abs(net.slope), 1.0) ** (depth - 1)
    for layer in range(depth):
        total = 1e-300
        for r in range(shape[layer, 0]):
            for c in range(shape[layer, 1]):
                total += entry(net, theta, layer, r, c) ** 2
        product *= math.sqrt(total)
        if not (net.patterns[layer] >= 0).any():
            continue
        if total < first:
            first, second = total, first
        else:
            second = min(second, total)
    return (net.degree - 1) * length * product / math.sqrt(first * second)
