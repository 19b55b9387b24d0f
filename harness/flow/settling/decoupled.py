"""A small neuron beside a limit: how it moves by itself, and whether it dies, compiled.

Near a limit with multipliers lambda, in the clock in which what lives grows like exp(t), a small neuron moves by

    w' = v sum_i c_i mu_i x_i,      v' = sum_i c_i mu_i w . x_i,      mu_i = lambda_i y_i,  c_i its gates,

with w its incoming weights and v its outgoing one.  With the gates fixed, and P = sum_i c_i mu_i x_i projected on the
kinks that slide, w' = v P and v' = P . w: the part of w across P stands still, and along P the sum of v and w grows
like exp(|P| t) while their difference shrinks like it.  Every input is then a constant and a combination of these two,
so that the next kink is the root of a quadratic, exactly.  Once no kink is ahead the neuron grows at the rate |P|:
below 1 it dies against the rest, above 1 the limit is a saddle that the flow leaves, however late.
"""

from __future__ import annotations

import numpy as np

from harness.flow.compiled.compiling import compiled
from harness.flow.compiled.kernel import dot, lu_factor, lu_solve

MOST_CELLS = 200
PARALLEL = 1e-9  # of normals that are one kink
NEARLY = 1e-9  # relative: signs of numbers below it are not known
# The following are rounding, each of what it is taken of, after one sum over samples or after some cells.
CANCELLED = 1e-12  # of the terms of P: it is zero
ALONG = 1e-15  # of the neuron: it has no part along P
ACROSS = 1e-14  # of ||x_i||: an input does not move with P
LANDED = 1e-13  # of ||w|| ||x_i||: an input that is on its kink
MEETING = 1e-11  # the same, of other kinks at the moment when one is crossed, or of w itself
AT_ONCE = 1e-13  # of E: a root at the start
OUTSIDE = 1e-12  # of [0, 1], by which a Clarke coefficient has left it


@compiled
def rate_of(x, mu, w, v, gates, below):
    """The rate at which the neuron grows in the end; NaN where it is not known.

    x (n, d): the inputs that the neuron sees, mu (n,), w (d,) and v: its weights, of any scale.  gates (n,): 1 on,
    0 off, 2 sliding; below: the slope where it is off.  Samples with mu = 0 or x = 0 do not matter.
    """
    n, d = x.shape
    w = w.copy()
    gates = gates.copy()
    lengths = np.empty(n)
    for i in range(n):
        lengths[i] = np.sqrt(dot(x[i], x[i]))
        if mu[i] == 0.0 or lengths[i] == 0.0:
            gates[i] = -1
    for _ in range(MOST_CELLS):
        pull = np.zeros(d)
        if not _pull(x, mu, gates, v, below, pull):
            return np.nan
        p = np.sqrt(dot(pull, pull))
        total = 0.0
        for i in range(n):
            if gates[i] > 0:
                total += abs(mu[i]) * lengths[i]
            elif gates[i] == 0:
                total += abs(below * mu[i]) * lengths[i]
        if p <= CANCELLED * total:
            # nothing moves, or the rest cancels on the kinks that slide
            return 0.0
        a = dot(pull, w) / p
        size = np.sqrt(dot(w, w)) + abs(v)
        growing, shrinking = 0.5 * (a + v), 0.5 * (a - v)
        if abs(growing) <= ALONG * size:
            growing = 0.0
        time, hit = _next_kink(x, lengths, gates, w, pull, p, growing, shrinking, a)
        # a slide on which the outgoing weight passes zero is left in more than one way
        turns = _slides(gates) and growing != 0.0 and shrinking / growing > 1.0
        if turns and 0.5 * np.log(shrinking / growing) / p <= time:
            return np.nan
        if hit < 0:
            return p if growing != 0.0 else 0.0
        up, down = np.exp(p * time), np.exp(-p * time)
        along = growing * up + shrinking * down
        for k in range(d):
            w[k] += (along - a) * pull[k] / p
        v = growing * up - shrinking * down
        scale = max(np.sqrt(dot(w, w)), abs(v))
        if not np.isfinite(scale) or scale == 0.0:
            return np.nan
        # only the direction matters
        w /= scale
        v /= scale
        if not _cross(x, mu, lengths, gates, w, v, below, hit):
            return np.nan
    return np.nan


@compiled
def _slides(gates):
    return np.any(gates == 2)


@compiled
def _pull(x, mu, gates, v, below, out):
    """P (d,) in place, with the Clarke coefficients that the slides need; False where they have none.

    Samples that slide on parallel kinks slide on one line.  A slide whose coefficient leaves its range ends.
    """
    n, d = x.shape
    line, along = np.empty(n, dtype=np.int64), np.empty(n)
    for _ in range(n + 1):
        count = _lines(x, gates, line, along)
        jump, first = np.zeros(count), np.empty(count, dtype=np.int64)
        out[:] = 0.0
        for i in range(n):
            slope = 1.0 if gates[i] == 1 else below
            if gates[i] == 2:
                # the negative side of the line is where those are on that point the other way
                slope = below if along[i] > 0.0 else 1.0
                jump[line[i]] += (1.0 - below) * mu[i] * abs(along[i])
                if along[i] == 1.0:
                    first[line[i]] = i
            if gates[i] >= 0 and slope != 0.0:
                for k in range(d):
                    out[k] += slope * mu[i] * x[i, k]
        if count == 0:
            return True
        gram = np.empty((count, count))
        right = np.empty(count)
        for s in range(count):
            right[s] = -dot(x[first[s]], out)
            for t in range(count):
                gram[s, t] = dot(x[first[s]], x[first[t]])
        piv = np.empty(count, dtype=np.int64)
        if not lu_factor(gram, piv):
            return False
        lu_solve(gram, piv, right)
        worst, which = OUTSIDE, -1
        for s in range(count):
            # the share of the positive side
            c = right[s] / jump[s]
            if not np.isfinite(c) or jump[s] * v > 0.0:
                return False
            beyond = max(-c, c - 1.0)
            if beyond > worst:
                worst, which = beyond, s
        if which < 0:
            for s in range(count):
                for k in range(d):
                    out[k] += right[s] * x[first[s], k]
            return True
        positive = right[which] / jump[which] > 1.0
        for i in range(n):
            if gates[i] == 2 and line[i] == which:
                gates[i] = 1 if (along[i] > 0.0) == positive else 0
    return False


@compiled
def _lines(x, gates, line, along):
    """How many lines the sliding samples are on; for each its line, and x over that of the line's first, in place."""
    count = 0
    for i in range(x.shape[0]):
        if gates[i] != 2:
            continue
        line[i], along[i] = count, 1.0
        for j in range(i):
            if gates[j] == 2 and along[j] == 1.0 and _parallel(x[i], x[j]):
                line[i], along[i] = line[j], dot(x[i], x[j]) / dot(x[j], x[j])
                break
        if line[i] == count:
            count += 1
    return count


@compiled
def _next_kink(x, lengths, gates, w, pull, p, growing, shrinking, a):
    """When the next input that is on or off changes its sign, and whose; (inf, -1) if none does."""
    best, hit = np.inf, -1
    size = np.sqrt(dot(w, w))
    for i in range(x.shape[0]):
        if gates[i] != 0 and gates[i] != 1:
            continue
        side = 1.0 if gates[i] == 1 else -1.0
        slope = dot(x[i], pull) / p
        if abs(slope) <= ACROSS * lengths[i]:
            continue
        rest = dot(x[i], w) - slope * a
        # side * (rest + slope * (growing E + shrinking / E)) turns negative at E = exp(p t) > 1
        c2, c1, c0 = side * slope * growing, side * rest, side * slope * shrinking
        now = c2 + c1 + c0
        drift = c2 - c0
        if now <= LANDED * size * lengths[i]:
            # on its kink: the gate says on which side it goes on
            if drift >= 0.0:
                now = 0.0
            else:
                return 0.0, i
        factor = _first_root(c2, c1, c0)
        if factor < np.inf:
            time = np.log(factor) / p
            if time < best:
                best, hit = time, i
    return best, hit


@compiled
def _first_root(c2, c1, c0):
    """The least E > 1 at which c2 E^2 + c1 E + c0, not negative at 1, turns negative; infinite if it never does."""
    if c2 == 0.0:
        if c1 >= 0.0:
            return np.inf
        root = -c0 / c1
        return root if root > 1.0 else 1.0
    square = c1 * c1 - 4.0 * c2 * c0
    if square <= 0.0:
        return np.inf if c2 > 0.0 else 1.0
    half = -0.5 * (c1 + np.copysign(np.sqrt(square), c1))
    one = half / c2
    other = c0 / half if half != 0.0 else 0.0
    low, high = min(one, other), max(one, other)
    if c2 > 0.0:
        # negative between the roots
        return low if low > 1.0 + AT_ONCE else np.inf
    return max(high, 1.0)


@compiled
def _cross(x, mu, lengths, gates, w, v, below, hit):
    """Change the gates of a sample on its kink, with all that share it; False where it is not clear how."""
    n, d = x.shape
    size = np.sqrt(dot(w, w))
    normal = x[hit]
    if d > 1 and size <= MEETING * abs(v):
        return False  # all kinks meet where w is zero
    for i in range(n):
        if i == hit or gates[i] < 0 or gates[i] == 2:
            continue
        if abs(dot(x[i], w)) <= MEETING * size * lengths[i] and not _parallel(x[i], normal):
            return False
    entering = gates[hit] == 0
    # the motion along the normal with the kink's samples on its negative side, and on its positive one
    left, right = np.zeros(d), np.zeros(d)
    for i in range(n):
        if gates[i] < 0 or gates[i] == 2:
            continue
        if _parallel(x[i], normal):
            same = dot(x[i], normal) > 0.0
            for k in range(d):
                left[k] += (below if same else 1.0) * mu[i] * x[i, k]
                right[k] += (1.0 if same else below) * mu[i] * x[i, k]
        else:
            slope = 1.0 if gates[i] == 1 else below
            for k in range(d):
                left[k] += slope * mu[i] * x[i, k]
                right[k] += slope * mu[i] * x[i, k]
    if _slides(gates):
        # the others' slides turn both sides; what they do then is found with the kink's own gates
        return _cross_beside_slides(x, mu, gates, v, below, hit, entering)
    behind, ahead = v * dot(normal, left), v * dot(normal, right)
    small = NEARLY * abs(v) * dot(normal, normal) * abs((1.0 - below) * mu[hit])
    if entering:
        if abs(ahead) <= small or behind < -small:
            return False
        sliding = ahead < 0.0
    else:
        if ahead > small or (abs(behind) <= small and np.any(left)):
            return False
        # where nothing else is on it stops beside the kink
        sliding = behind > 0.0
    if sliding and d == 1:
        # w = 0 for ever, and v stands still
        gates[:] = -1
        return True
    for i in range(n):
        if gates[i] >= 0 and gates[i] != 2 and _parallel(x[i], normal):
            same = dot(x[i], normal) > 0.0
            gates[i] = 2 if sliding else (1 if same == entering else 0)
    return True


@compiled
def _cross_beside_slides(x, mu, gates, v, below, hit, entering):
    """The same for a sample alone on its kink, where others slide."""
    d = x.shape[1]
    speeds = np.empty(2)
    for gate in range(2):
        tried = gates.copy()
        tried[hit] = gate
        out = np.zeros(d)
        if not _pull(x, mu, tried, v, below, out) or np.sum(tried == 2) != np.sum(gates == 2):
            return False
        speeds[gate] = v * dot(x[hit], out)
    small = NEARLY * abs(v) * dot(x[hit], x[hit]) * abs((1.0 - below) * mu[hit])
    ahead = speeds[1] if entering else -speeds[0]
    if abs(ahead) <= small:
        return False
    gates[hit] = (1 if entering else 0) if ahead > 0.0 else 2
    return True


@compiled
def _parallel(a, b):
    inner = dot(a, b)
    return abs(inner) >= (1.0 - PARALLEL) * np.sqrt(dot(a, a) * dot(b, b))
