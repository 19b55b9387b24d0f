"""Neurons of a deeper relu layer whose inputs on their kinks are moved by their own weights alone.

What is heard there by weights other than zero is off, and what is on is heard by zeros: x_i reaches w_u . h_i only
through w_u, which only the samples of u move.  With what stands above u known on these, u departs, or stays, whatever
others do, and is looked at by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import numpy as np

from harness.flow import undecided
from harness.flow.compiled.field import look
from harness.flow.compiled.kernel import entries_of
from harness.flow.kinks.answers import as_it_starts, open_unfed_units, shares_weights
from harness.flow.kinks.departure import Line, SampleUnit, depart
from harness.flow.kinks.gates import Gates
from harness.flow.kinks.lines import as_one, factors, singly
from harness.flow.undecided import Undecided


def settle_alone(
    gates: Gates, theta: np.ndarray, pairs: list[SampleUnit], left: Mapping[SampleUnit, int]
) -> list[SampleUnit]:
    """Put the pairs of such neurons on their sides, and give those that are left.  All pairs are off.

    left: pairs that have just come to the end of a slide.  Raises Undecided where the flow is not unique.
    """
    if gates.below or gates.instance.network.depth == 2:
        return pairs
    for unit in sorted({u for _, u in pairs if u not in gates.first}, reverse=True):
        own = [pair for pair in pairs if pair[1] == unit]
        if not left.keys().isdisjoint(own) or not is_alone(gates, own, pairs, theta):
            continue
        highest = all(u == unit or gates.layer(u) <= gates.layer(unit) for _, u in pairs)
        if _settled(gates, own, theta, highest):
            pairs = [pair for pair in pairs if pair[1] != unit]
    return pairs


def is_alone(gates: Gates, own: list[SampleUnit], pairs: list[SampleUnit], theta: np.ndarray) -> bool:
    """Whether what the pairs of one neuron, `own`, do depends on none of the other pairs that are on their kinks."""
    net, unit, kinks = gates.net, own[0][1], set(pairs)
    if shares_weights(gates, unit):
        return False
    heard = net.col[(net.row == unit) & (entries_of(net, theta) != 0.0)].tolist()
    samples = {i for i, _ in own}
    if any(gates.gates[i, k] or (i, k) in kinks for i in samples for k in heard):
        return False
    above = range(int(net.uptr[gates.layer(unit) + 1]), gates.hidden.stop)
    felt = samples | set(np.flatnonzero(gates.gates[:, unit]).tolist())
    if any((i, k) in kinks for i in felt for k in above):
        return False
    # what is above may be opened by others too
    beside = {i for i, u in pairs if u != unit}
    return not any(gates.unfed((i, k)) for i in samples & beside for k in above)


def _settled(gates: Gates, own: list[SampleUnit], theta: np.ndarray, highest: bool) -> bool:
    """Whether the sides of the pairs of one neuron are known, and set.

    highest: whether no pair of a layer above is on its kink.
    """
    unit, opened = own[0][1], any(gates.unfed((i, k)) for i, _ in own for k in gates.hidden if k > own[0][1])
    if open_unfed_units(gates, own, theta):
        return False
    now = look(gates.cell, theta)
    pushed, on = now.delta[[i for i, _ in own], unit], np.flatnonzero(gates.gates[:, unit])
    weights = now.p * gates.growth(now.rho)
    drive, base, terms = weights[:, None] * now.delta, now.f, weights @ np.abs(now.grad)
    if not pushed.any() and not now.delta[on, unit].any() and highest and not opened:
        # nothing answers to it yet: it starts to move as something does
        felt = np.array([gates.curved_normal((i, unit), theta) for i in on.tolist()]).reshape(len(on), len(theta))
        started = as_it_starts(gates, unit, theta, now, np.ones(len(on)), on, felt)
        if started is None:
            return False
        drive, base, terms = started
    elif not pushed.all():
        return False
    elif not len(on) and (pushed < 0.0).all():
        # nothing else moves it, and each push is back: at rest (rest.py)
        return True
    lines = as_one(gates, singly(Line(False, [(*pair, Fraction(1)) for pair in own])), theta)
    normals = np.array([gates.normal_of(line, theta) for line in lines])
    departure = depart(normals, base, terms, *factors(lines, drive * gates.cell.jump))
    if departure.status == "not unique":
        raise Undecided(undecided.TWO_VELOCITIES)
    if departure.status != "unique" or not all(departure.sides):
        return False
    for line, side in zip(lines, departure.sides, strict=True):
        gates.set_side(line, side)
    return True
