"""The compiled steps of the reference trainer, explicit ones: Runge-Kutta-Chebyshev of order 2.

With as many stages as the stiffness asks for (Sommeijer, Shampine & Verwer 1998).  Arrays and gates as of field.py.
"""

# Kernels compiled by numba take the types that they are called with, and unpack the whole tuple that they are given.
# pyright: reportMissingParameterType=false, reportUnusedVariable=false

from __future__ import annotations

import math

import numpy as np

from tests.support.field import OFF, SLIDE, compiled, dot, entry, field, plus

REACHED, EVENT, TIRED = 0, 1, 2
STAGES = 1000  # at most
LONGEST = 0.2  # step, relative to the norm
ROUNDING = 1e-15  # of a parameter's speed, relative to the sum of its terms' sizes
BEHIND = 1e-13  # how far behind its kink a pre-activation has to be, relative to the sum of its terms' sizes


@compiled
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


@compiled
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


@compiled
def _next_polynomial(w, t0, t1, d0, d1, e0, e1):
    """Chebyshev's T_j, T_j' and T_j'' at w after those of j - 1 and j - 2."""
    return t1, 2 * w * t1 - t0, d1, 2 * t1 + 2 * w * d1 - d0, e1, 4 * d1 + 2 * w * e1 - e0


@compiled
def _stages(h, stiff):
    """Enough for a step of length h."""
    return max(2, int(math.sqrt(1.0 + 1.7 * h * stiff)) + 1)


@compiled
def _terms(work, out):
    """Fills out (N,) with the sums of the sizes of what the speeds are summed from."""
    p, grad = work[1], work[6]
    for k in range(out.shape[0]):
        out[k] = 0.0
        for i in range(p.shape[0]):
            out[k] += p[i] * abs(grad[i, k])


@compiled
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


@compiled
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


@compiled
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


@compiled
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
