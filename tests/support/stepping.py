"""The compiled part of the reference trainer: the field with given gates, and explicit steps of its flow.

    d theta / d sigma = |theta|^(2-D) sum_i p_i grad q_i,      p_i ~ -dL / dQ_i,      Q_i = beta q_i,

i a margin, and D the number of trained layers.  theta is kept between 1 and 2 in norm: the true one is 2^level theta,
and beta = 2^(D level) until min Q reaches `hold`, from where it is held there.  Steps are Runge-Kutta-Chebyshev of order 2 (Sommeijer, Shampine & Verwer 1998), explicit
and with as many stages as the stiffness asks for.  Nothing is solved but for the coefficients of slides, and all sums
are in twice the precision: so what an exchange of samples, neurons and coordinates leaves as it is stays so to the bit.

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
REACHED, EVENT, TIRED = 0, 1, 2
STAGES = 1000  # at most
FAINTEST = 1e-200  # of the weights p, so that kinks of samples that hardly count are kinks still
LONGEST = 0.2  # step, relative to the norm
ROUNDING = 1e-15  # of a parameter's speed, relative to the sum of its terms' sizes
BEHIND = 1e-13  # how far behind its kink a pre-activation has to be, relative to the sum of its terms' sizes



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
_compiled: Any = njit(cache=os.access(Path(__file__).parent, os.W_OK), error_model="numpy")


@_compiled
def plus(total, rest, term):
    """total + term exactly, as a new total and rest (Knuth's two-sum)."""
    new = total + term
    part = new - total
    return new, rest + ((total - (new - part)) + (term - part))


@_compiled
def dot(a, b):
    total, rest = 0.0, 0.0
    for k in range(a.shape[0]):
        total, rest = plus(total, rest, a[k] * b[k])
    return total + rest


@_compiled
def entry(net, theta, layer, r, c):
    """W^l[r, c]."""
    k = net.patterns[layer, r, c]
    return theta[k] if k >= 0 else net.fixed[layer, r, c]


@_compiled
def bent(net, mode, a):
    """What a neuron makes of a pre-activation, or of its rate: of one that slides nothing."""
    return a if mode == ON else net.slope * a if mode == OFF else 0.0


@_compiled
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


@_compiled
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


@_compiled
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


@_compiled
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


@_compiled
def loss_of(margins):
    """log(1 + sum_k exp(-margins_k)), the logistic loss of a point."""
    top = max(-margins.min(), 0.0)
    total, rest = 0.0, 0.0
    for k in range(margins.shape[0]):
        total, rest = plus(total, rest, math.exp(-margins[k] - top))
    return top + math.log1p(total + rest) if top == 0.0 else top + math.log(math.exp(-top) + total + rest)


@_compiled
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


@_compiled
def _slide(net, slides, mode, gate, theta, work, out):
    """The coefficients with which the sliding pre-activations rest; out, grad and gate with them."""
    q, p, z, size, h, back, grad, c, tilt = work
    members, classes, width = slides.shape[0], c.shape[0], theta.shape[0]
    change = np.zeros((members, width))
    matrix, right = np.zeros((classes, classes)), np.zeros(classes)
    rate = np.zeros(z.shape[1:])
    for s in range(members):
        i, layer, r, _, sign = slides[s]
        at_zero = gate[i, layer, r]
        gate[i, layer, r] = 1.0 - at_zero
        gradient(net, i, theta, gate, h, back, change[s], grad[-1])
        gate[i, layer, r] = at_zero
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
    c[:] = _solved(matrix, right)
    for s in range(members):
        i, layer, r, one, sign = slides[s]
        tilt[one] = matrix[one, one]
        gate[i, layer, r] = c[one] if sign > 0 else 1.0 - c[one]
        grad[i] += c[one] * change[s]
    for k in range(width):
        out[k] = dot(p, grad[:, k])


@_compiled
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


@_compiled
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


@_compiled
def crossed(net, slides, mode, work, hit):
    """Whether a pre-activation is behind its kink, or a slide where none can be; marks them."""
    z, size, c, tilt = work[2], work[3], work[7], work[8]
    found = False
    if not net.kinked:
        return found
    for i in range(mode.shape[0]):
        for layer in range(mode.shape[1] - 1):
            for r in range(mode.shape[2]):
                way = mode[i, layer, r]
                behind = z[i, layer, r] if way == OFF else -z[i, layer, r]
                hit[i, layer, r] = way != SLIDE and behind > BEHIND * size[i, layer, r]
                found |= hit[i, layer, r]
    for s in range(slides.shape[0]):
        i, layer, r, one, _ = slides[s]
        hit[i, layer, r] = not (0.0 <= c[one] <= 1.0 and tilt[one] < 0.0)
        found |= hit[i, layer, r]
    return found


@_compiled
def step(net, slides, mode, gate, theta, level, hold, logistic, work, start, h, stages, hit, new, end):
    """One step of length h: fills new and end, the field there.

    Returns 2 if a kink is crossed at its end, 1 if only on the way, else 0, and the bound of the stiffness at its end.
    """
    w0 = 1.0 + 2.0 / 13.0 / stages**2
    t0, t1, d0, d1, e0, e1 = 1.0, w0, 0.0, 1.0, 0.0, 0.0
    for _ in range(2, stages + 1):
        t0, t1, d0, d1, e0, e1 = _next_polynomial(w0, t0, t1, d0, d1, e0, e1)
    w1 = d1 / e1
    b_old = b_last = 1.0 / (4.0 * w0**2)
    a_last = 1.0 - b_last * w0
    before, last = np.zeros(theta.shape[0]), b_last * w1 * h * start
    t0, t1, d0, d1, e0, e1 = 1.0, w0, 0.0, 1.0, 0.0, 0.0
    met = 0
    for _ in range(2, stages + 1):
        t0, t1, d0, d1, e0, e1 = _next_polynomial(w0, t0, t1, d0, d1, e0, e1)
        b = e1 / d1**2
        mu, nu, scaled = 2.0 * b * w0 / b_last, -b / b_old, 2.0 * b * w1 / b_last
        new[:] = theta + last
        field(net, slides, mode, gate, new, level, hold, logistic, work, end)
        if crossed(net, slides, mode, work, hit):
            met = 1
        for k in range(theta.shape[0]):
            before[k], last[k] = last[k], mu * last[k] + nu * before[k] + scaled * h * (end[k] - a_last * start[k])
        b_old, b_last, a_last = b_last, b, 1.0 - b * t1
    new[:] = theta + last
    stiff = field(net, slides, mode, gate, new, level, hold, logistic, work, end)
    return 2 if crossed(net, slides, mode, work, hit) else met, stiff


@_compiled
def _next_polynomial(w, t0, t1, d0, d1, e0, e1):
    """Chebyshev's T_j, T_j' and T_j'' at w after those of j - 1 and j - 2."""
    return t1, 2 * w * t1 - t0, d1, 2 * t1 + 2 * w * d1 - d0, e1, 4 * d1 + 2 * w * e1 - e0


@_compiled
def _stages(h, stiff):
    """Enough for a step of length h."""
    return max(2, int(math.sqrt(1.0 + 1.7 * h * stiff)) + 1)


@_compiled
def _terms(work, out):
    """Fills out (N,) with the sums of the sizes of what the speeds are summed from."""
    p, grad = work[1], work[6]
    for k in range(out.shape[0]):
        out[k] = 0.0
        for i in range(p.shape[0]):
            out[k] += p[i] * abs(grad[i, k])


@_compiled
def _error(groups, theta, new, start, end, terms, h):
    """Of a step, relative to the size of each group of parameters and of its change, of which rounding is no part.

    A neuron of one input that slides has but rounding left.
    """
    count = groups.max() + 1
    size, wrong = np.zeros(count), np.zeros(count)
    for k in range(theta.shape[0]):
        size[groups[k]] += max(theta[k] ** 2, new[k] ** 2, (h * start[k]) ** 2)
        off = abs(0.8 * (theta[k] - new[k]) + 0.4 * h * (start[k] + end[k]))
        wrong[groups[k]] += max(off - ROUNDING * h * terms[k], 0.0) ** 2
    worst = 0.0
    for g in range(count):
        if wrong[g] > 0.0:
            worst = max(worst, math.sqrt(wrong[g] / size[g]))
    return worst


@_compiled
def put_on(net, kinks, theta, work):
    """Rounding and errors taken off pre-activations that are zero, by the least change of their incoming weights."""
    patterns, shape = net.patterns, net.shape
    h = work[4]
    for s in range(kinks.shape[0]):
        i, layer, r = kinks[s, :3]
        # anew, as kinks that are multiples of each other are put on by the first of them
        z, rest = 0.0, 0.0
        for c in range(shape[layer, 1]):
            z, rest = plus(z, rest, entry(net, theta, layer, r, c) * h[i, layer, c])
        inputs = np.where(patterns[layer, r, : shape[layer, 1]] >= 0, h[i, layer, : shape[layer, 1]], 0.0)
        total = dot(inputs, inputs)
        for c in range(shape[layer, 1]):
            k = patterns[layer, r, c]
            if k >= 0 and total > 0.0:
                theta[k] -= (z + rest) * inputs[c] / total


@_compiled
def balance(balances, gaps, theta, level):
    """What the flow conserves restored: the squares of the larger part exceed those of the smaller by the gap.

    balances (B, N): 1 on the smaller part, 2 on the larger.  gaps: at level 0.
    """
    for b in range(balances.shape[0]):
        small, small_rest, large, large_rest = 0.0, 0.0, 0.0, 0.0
        for k in range(theta.shape[0]):
            if balances[b, k] == 1:
                small, small_rest = plus(small, small_rest, theta[k] ** 2)
            elif balances[b, k] == 2:
                large, large_rest = plus(large, large_rest, theta[k] ** 2)
        large += large_rest
        if large > 0.0:
            factor = math.sqrt((small + small_rest + gaps[b] * 4.0**-level) / large)
            for k in range(theta.shape[0]):
                if balances[b, k] == 2:
                    theta[k] *= factor


@_compiled
def advance(
    net, slides, mode, gate, theta, groups, balances, gaps, level, hold, logistic, work, rtol, h, target, steps, budget,
    hit,
):  # fmt: skip
    """Follows the flow until the log-norm `target`, a kink, or so many steps or evaluations are over; theta in place.

    Returns why, the level, the next step's length, the length of what was followed in sigma, evaluations.
    """
    width = theta.shape[0]
    start, end, new, terms = np.zeros(width), np.zeros(width), np.zeros(width), np.zeros(width)
    clock, used = 0.0, 1
    stiff = field(net, slides, mode, gate, theta, level, hold, logistic, work, start)
    _terms(work, terms)
    for _ in range(steps):
        speed, norm = math.sqrt(dot(start, start)), math.sqrt(dot(theta, theta))
        if speed == 0.0 or used > budget:
            break
        h = min(h, LONGEST * norm / speed, 0.65 * (STAGES**2 - 1) / (1.1 * stiff + 1e-300))
        stages = _stages(h, stiff)
        used += stages
        met, after = step(
            net, slides, mode, gate, theta, level, hold, logistic, work, start, h, stages, hit, new, end
        )  # fmt: skip
        if met == 2:
            low, high = 0.0, h
            for _ in range(100):
                middle = 0.5 * (low + high)
                if high - low <= 1e-16 * high or not low < middle < high:
                    break
                stages = _stages(middle, stiff)
                used += stages
                met, _ = step(
                    net, slides, mode, gate, theta, level, hold, logistic, work, start, middle, stages, hit, new, end
                )  # fmt: skip
                low, high = (low, middle) if met else (middle, high)
            h = high
            stages = _stages(h, stiff)
            met, after = step(
                net, slides, mode, gate, theta, level, hold, logistic, work, start, h, stages, hit, new, end
            )  # fmt: skip
        if met == 1:  # crossed and left again: shorter, so that a step ends behind the kink
            h *= 0.5
            continue
        error = _error(groups, theta, new, start, end, terms, h) / rtol
        if not error <= 1.0:
            h *= max(0.2, 0.8 / error ** (1.0 / 3.0)) if error > 1.0 else 0.2
            continue
        clock += h
        theta[:] = new
        if met == 2:
            return EVENT, level, h, clock, used
        h *= min(3.0, 0.8 / max(error, 1e-9) ** (1.0 / 3.0))
        start[:], stiff = end, after
        _terms(work, terms)
        if slides.shape[0] or balances.shape[0]:
            put_on(net, slides, theta, work)
            balance(balances, gaps, theta, level)
            stiff = field(net, slides, mode, gate, theta, level, hold, logistic, work, start)
            used += 1
        total = dot(theta, theta)
        if total >= 4.0 or total < 1.0:
            scale = 0.5 if total >= 4.0 else 2.0
            theta *= scale
            start *= scale
            level += 1 if scale == 0.5 else -1
        if 0.5 * math.log(dot(theta, theta)) + level * math.log(2.0) >= target:
            return REACHED, level, h, clock, used
    return TIRED, level, h, clock, used
