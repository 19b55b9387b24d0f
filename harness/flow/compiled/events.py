"""Where a step of the flow meets a kink or the end of a slide, compiled.

Between the steps a watched pre-activation is looked at three times, and once where it comes closest to its kink: of the
first layer it is a cubic of the place in the step, as the dense output is, and is known from four looks.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from harness.flow.compiled.compiling import bare, compiled, part
from harness.flow.compiled.field import rate, slide_coefficients
from harness.flow.compiled.kernel import dot, forward, lift, put, unit_sizes
from harness.flow.compiled.rodas import FLOOR, interpolate, rosenbrock_step

LANDED = 1e-11  # a pre-activation this small relative to its unit and its sample is on its kink
# A dip as near to the kink as so many times rtol may be on either side of it.
GRAZE = 3.0
ENDED = 0.01  # a coefficient or a jump that is so far past its end counts like one whole relative pre-activation
LOOKED = 1e-6  # of the step: how near the dense output says where an event is; the rest is its error
ASIDE = 0.8  # of it: two looks that far to the left and to the right of an event have it between them
SHORTEST = 1e-14  # of the step: no trial lies between two this near to each other
TRIALS = 80  # bisections alone would need half as many, and every fourth is one
OFF = 1e-9  # a dip counts from here, since a slide is left along its kink, and if it is deeper: the rest is rounding


class Guard(NamedTuple):
    """What events are: watch (n, units) int8, as of `integrate`; reach (n,), as of `reaches`.

    hit (n, units), ended (s,): filled with what happened.
    sizes (units,), theta, there (N,), z (r,), looks (4, units, columns): room.
    """

    watch: np.ndarray
    reach: np.ndarray
    sizes: np.ndarray
    hit: np.ndarray
    ended: np.ndarray
    theta: np.ndarray
    there: np.ndarray
    z: np.ndarray
    looks: np.ndarray


@compiled
def reaches(x):
    """||x_i|| (n,), with which pre-activations are compared."""
    reach = np.empty(x.shape[0])
    for i in range(x.shape[0]):
        reach[i] = np.sqrt(dot(x[i], x[i]))
    return reach


@part
def _power(rho, exponent):
    """rho to a small whole power, from -1 on."""
    out = 1.0 if exponent >= 0.0 else 1.0 / rho
    for _ in range(int(exponent)):
        out *= rho
    return out


@bare
def violation(cell, slides, guard, theta, work):
    """How far theta is past the nearest event: negative before it, zero on it.

    A watched pre-activation counts relative to s_u ||theta||^(l - 1) ||x_i||, s_u the size of its unit and l the number
    of layers up to it, of which those that are not trained count with their own norms; a coefficient that leaves [0, 1]
    or a jump that turns positive counts relative to what its pairs can contribute, by a hundredth.  Fills hit and ended
    with what is within LANDED.
    """
    net, pre = cell.net, work.at.pre
    watch, reach, sizes = guard.watch, guard.reach, guard.sizes
    n = watch.shape[0]
    s = slides.normals.shape[0]
    if s == 0:
        forward(net, theta, work.at)
        rho = np.sqrt(dot(theta, theta))
    else:
        rho = rate(cell, theta, work)
    unit_sizes(net, theta, sizes)
    worst = -np.inf
    for u in range(net.uptr[1], net.uptr[-2]):
        sizes[u] *= net.gain[u] * _power(rho, net.power[u] - 1.0)
        for i in range(n):
            guard.hit[i, u] = False
            if watch[i, u] != 0 and sizes[u] > 0.0:
                value = -watch[i, u] * pre[u, i] / (reach[i] * sizes[u])
                worst = max(worst, value)
                guard.hit[i, u] = value >= -LANDED
    if s > 0:
        coefficients, jumps = slides.shares, slides.jumps
        slide_coefficients(slides, cell, theta, work, coefficients, jumps)
        for h in range(s):
            value = ENDED * max(max(-coefficients[h], coefficients[h] - 1.0), jumps[h])
            worst = max(worst, value)
            guard.ended[h] = value >= -LANDED
    return worst


@part
def _later(frame, shift, time, z, theta):
    """theta (N,) at coordinates z, in place, some time after the start of a step.

    Its constant part shrinks by the growth that the step books.
    """
    lift(frame.c, frame.basis, frame.pivots, z, theta)
    if shift != 0.0:
        lost = -np.expm1(-shift * time)
        for a in range(theta.shape[0]):
            theta[a] -= lost * frame.c[a]


@part
def _past(frame, shift, slides, guard, time, z, work):
    """The violation at coordinates z, some time after the start of a step."""
    _later(frame, shift, time, z, guard.there)
    return violation(frame.cell, slides, guard, guard.there, work)


@part
def _beyond(cell, guard, theta, work):
    """Whether theta, where nothing slides, is past an event, by more than LANDED: the signs alone say that it is not.

    Fills pre of work.
    """
    net, pre = cell.net, work.at.pre
    watch, reach, sizes = guard.watch, guard.reach, guard.sizes
    forward(net, theta, work.at)
    rho = -1.0
    for u in range(net.uptr[1], net.uptr[-2]):
        for i in range(watch.shape[0]):
            over = -watch[i, u] * pre[u, i]
            if over > 0.0:
                if rho < 0.0:
                    rho = np.sqrt(dot(theta, theta))
                    unit_sizes(net, theta, sizes)
                size = sizes[u] * (net.gain[u] * _power(rho, net.power[u] - 1.0))
                if size > 0.0 and over / (reach[i] * size) > LANDED:
                    return True
    return False


@compiled
def locate(frame, linear, guard, z, h, work, stages, end):
    """The step h* <= h that lands on the first event, its end in place; regula falsi (Illinois) on the step size.

    (h, False) if the step of size h meets no event after all.  The first trials are Newton steps with the slope
    of the step's own dense output: a trial costs a step, a look at the dense output next to nothing.  A start that has
    landed a hair beyond a kink has to come back to where it is.
    """
    cell, c, basis, pivots, slides, _ = frame
    shift = linear.shift
    lo, hi = 0.0, h
    z_s = np.empty_like(z)
    lift(c, basis, pivots, z, guard.theta)
    g_lo = violation(cell, slides, guard, guard.theta, work)
    level = min(max(g_lo, 0.0), OFF)
    g_lo -= level
    rosenbrock_step(frame, linear, z, hi, work, stages, end)
    g_hi = _past(frame, shift, slides, guard, hi, end, work) - level
    if g_hi <= LANDED:
        return hi, False
    weight_lo, weight_hi, near = 1.0, 1.0, 0.0
    first, last, behind, ahead = 0.0, 1.0, g_lo, g_hi
    look = 0
    while last - first > LOOKED:
        # bisections, and after each two secants that end a hair to either side of where they meet zero
        s = 0.5 * (first + last)
        if look % 3 > 0:
            s = first + (last - first) * behind / (behind - ahead) + (look % 3 - 1.5) * ASIDE * LOOKED
            s = s if first < s < last else 0.5 * (first + last)
        look += 1
        interpolate(z, end, stages, s, z_s)
        g = _past(frame, shift, slides, guard, s * h, z_s, work) - level
        if g > 0.0:
            last, ahead = s, g
        else:
            first, behind = s, g
    slope = (ahead - behind) / ((last - first) * h)
    trial = last * h
    for attempt in range(TRIALS):
        if attempt > 0:
            if g_lo < -LANDED and attempt % 4 != 3:
                a, b = weight_lo * g_lo, weight_hi * g_hi
                trial = (lo * b - hi * a) / (b - a)
            else:
                trial = 0.5 * (lo + hi)
            if attempt < 4 and slope > 0.0 and lo < near < hi:
                trial = near
        if not lo < trial < hi or hi - lo < SHORTEST * h:
            break
        rosenbrock_step(frame, linear, z, trial, work, stages, z_s)
        g = _past(frame, shift, slides, guard, trial, z_s, work) - level
        # half of what counts as landed beyond the kink
        near = trial + (0.5 * LANDED - g) / slope
        if g > 0.0:
            hi, g_hi = trial, g
            put(end, z_s)
            weight_hi = 1.0
            weight_lo *= 0.5
            if g <= LANDED:
                break
        else:
            lo, g_lo = trial, g
            weight_lo = 1.0
            weight_hi *= 0.5
    _later(frame, shift, hi, end, guard.there)
    violation(cell, slides, guard, guard.there, work)
    return hi, True


@part
def lowest(a, b, c, d):
    """The place in (0, 1) of the local minimum of the cubic with these values at 0, 1/3, 2/3, 1, and its value there.

    The place is 2 if there is none.
    """
    first = 0.5 * (-11.0 * a + 18.0 * b - 9.0 * c + 2.0 * d)
    second = 4.5 * (2.0 * a - 5.0 * b + 4.0 * c - d)
    third = 4.5 * (-a + 3.0 * b - 3.0 * c + d)
    square = second * second - 3.0 * first * third
    if not square > 0.0:
        return 2.0, a
    # the other root of the derivative is the maximum
    denominator = second + np.sqrt(square)
    if denominator == 0.0:
        return 2.0, a
    s = -first / denominator
    if not 0.0 < s < 1.0:
        return 2.0, a
    return s, a + s * (first + s * (second + s * third))


@part
def above(looks, u, i, side, floor):
    """Whether a cubic with these values at 0, 1/3, 2/3, 1 is above the floor on all of (0, 1), as nearly all are.

    Between its values it goes beyond them by no more than 0.316 of their range: Lebesgue's constant is 1.632.
    """
    low = high = side * looks[0, u, i]
    for k in range(1, 4):
        value = side * looks[k, u, i]
        low, high = min(low, value), max(high, value)
    return low - 0.32 * (high - low) > floor


@bare
def sway(net, theta, rho, x, unit, reach):
    """How far a pre-activation moves with the error that a step is allowed in theta, relative to both and to rtol.

    x (d,): the sample, reach its norm.  Of deeper units not more is said than that it is below 1.
    """
    if unit >= net.uptr[2] or not net.trained[0]:
        return 1.0
    total = 0.0
    for e in range(net.into[unit], net.into[unit + 1]):
        total += abs(x[net.col[e]]) * (abs(theta[net.par[e]]) + FLOOR * rho)
    return total / (rho * reach)


@part
def keep_look(pre, looks, look):
    """Keep the pre-activations (units, columns) in a row of the looks."""
    for u in range(pre.shape[0]):
        for b in range(pre.shape[1]):
            looks[look, u, b] = pre[u, b]


@part
def first_event(frame, linear, guard, z, z_new, h, graze, work, stages):
    """The accepted step h or a shorter one, whether it ends on an event, and whether it grazes a kink; z_new in place.

    The first row of the guard's looks holds the pre-activations at z.  graze: the distance from the kink, relative to
    ||theta||^l ||x_i||, at which a dip counts as grazing.
    """
    cell, c, basis, pivots, slides, _ = frame
    net, x = cell.net, cell.x
    watch, reach, sizes, theta, looks = guard.watch, guard.reach, guard.sizes, guard.theta, guard.looks
    place, touched = 2.0, 2.0
    for look in range(1, 4):
        s = look / 3.0
        if look < 3:
            interpolate(z, z_new, stages, s, guard.z)
        else:
            put(guard.z, z_new)
        _later(frame, linear.shift, s * h, guard.z, guard.there)
        if slides.normals.shape[0] > 0:
            past = violation(cell, slides, guard, guard.there, work) > LANDED
        else:
            past = _beyond(cell, guard, guard.there, work)
        if past:
            place = min(place, s)
        keep_look(work.at.pre, looks, look)
    lift(c, basis, pivots, z, theta)
    rho = np.sqrt(dot(theta, theta))
    unit_sizes(net, theta, sizes)
    # no sway is larger, a weight may count for every input, and so no dip that counts is farther off
    most = 1.01 * graze * (1.0 + FLOOR) * np.sqrt(x.shape[1])
    for u in range(net.uptr[1], net.uptr[-2]):
        if sizes[u] == 0.0:
            continue
        power = net.gain[u] * _power(rho, net.power[u])
        own = rho / sizes[u]
        for i in range(watch.shape[0]):
            if watch[i, u] != 0:
                if above(looks, u, i, watch[i, u], most * reach[i] * power):
                    continue
                scale = watch[i, u] / (reach[i] * power)
                start = scale * looks[0, u, i]
                s, value = lowest(start, scale * looks[1, u, i], scale * looks[2, u, i], scale * looks[3, u, i])
                if s < 1.0 and own * start > OFF and own * value < -LANDED:
                    place = min(place, s)
                if s < 1.0 and start > OFF:
                    near = graze * sway(net, theta, rho, x[i], u, reach[i])
                    # late, what tends to zero relative to the norm wavers by its rounding
                    if abs(value) < near and start - value > (OFF if linear.shift == 0.0 else near):
                        touched = min(touched, s)
    if place > 1.0:
        return h, False, touched < 1.0
    taken, met = locate(frame, linear, guard, z, place * h, work, stages, z_new)
    # what comes after the event is another flow's
    return taken, met, touched * h <= taken
