"""Whether anything answers to a unit on a kink: units that sleep, that nothing reaches, and what starts to answer."""

from __future__ import annotations

from collections.abc import Container

import numpy as np

from harness.flow import undecided
from harness.flow.compiled.field import Seen
from harness.flow.compiled.kernel import entries_of
from harness.flow.kinks.departure import SampleUnit
from harness.flow.kinks.gates import NO_RATE, Gates
from harness.flow.undecided import Undecided


def starts_to_be_heard(gates: Gates, pair: SampleUnit, theta: np.ndarray) -> bool:
    """Whether a closed unit that nothing else reaches hears the pair by a trained weight that is zero.

    As soon as the weight grows, what slides there opens it, and that is not looked for during a slide.
    """
    if gates.below:
        return False
    sample, unit = pair
    silent = (gates.net.col == unit) & (gates.net.par >= 0) & (entries_of(gates.net, theta) == 0.0)
    above = [u for u in gates.net.row[silent].tolist() if u in gates.hidden]
    return any(gates.unfed((sample, u)) and not gates.gates[sample, u] for u in above)


def second_order(
    gates: Gates, unit: int, kinks: list[int], theta: np.ndarray, now: Seen
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The drive, the field and its terms where nothing answers to a unit of the first layer: it starts to move as
    something does.  kinks: the samples on which it is on its kink.
    """
    zero = (entries_of(gates.net, theta) == 0.0) & (gates.net.par >= 0)
    for i in kinks:
        unfed = [u for u in gates.hidden if gates.unfed((i, u))]
        waking = [unit, *(u for u in unfed if gates.gates[i, u])]
        if (zero & np.isin(gates.net.row, unfed) & np.isin(gates.net.col, waking)).any():
            # what hears it by weights that start to move from zero may switch on with it, and answer
            raise Undecided(undecided.UNANSWERED)
    slopes = gates.gates[:, unit] if gates.below else gates.gates[:, unit] * (now.pre[:, unit] > 0.0)
    felt = np.flatnonzero(slopes)
    started = as_it_starts(gates, unit, theta, now, slopes[felt], felt, gates.normals.float_normals(unit)[felt])
    if started is None:
        raise Undecided(undecided.UNANSWERED)
    return started


def as_it_starts(
    gates: Gates, unit: int, theta: np.ndarray, now: Seen, slopes: np.ndarray, felt: np.ndarray, normals: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """The drive, the field and its terms of a unit that moves as something starts to answer to it; None where nothing
    does.  slopes (f,), felt (f,), normals (f, N): of the samples that move it whatever its kinks do.
    """
    starts = _starts_to_answer(gates, unit, theta, now)
    if starts is None:
        return None
    drive = np.zeros_like(now.pre)
    drive[:, unit] = now.p * starts
    weights = drive[felt, unit] * slopes
    return drive, weights @ normals, np.abs(weights) @ np.abs(normals)


def _starts_to_answer(gates: Gates, unit: int, theta: np.ndarray, now: Seen) -> np.ndarray | None:
    """The rates (n,) at which the margins start to answer to what a unit gives, None where all are zero.

    The derivative along the field of delta, which is a sum of products of the weights above the unit.  Raises Undecided
    where one is lost in rounding.
    """
    net = gates.net
    weights = entries_of(net, theta)
    parts = np.vstack([now.f, now.p @ np.abs(now.grad) * gates.growth(now.rho)])
    moves, terms = np.where(net.par >= 0, parts[:, net.par], 0.0)
    answers, rates, sizes = (np.zeros(gates.gates.shape) for _ in range(3))
    answers[:, gates.hidden.stop :] = gates.cell.seeds
    for e in reversed(range(int(net.ptr[gates.layer(unit)]), len(net.row))):
        above, below = int(net.row[e]), int(net.col[e])
        gate = gates.gates[:, above] if above in gates.hidden else 1.0
        answers[:, below] += weights[e] * gate * answers[:, above]
        rates[:, below] += gate * (moves[e] * answers[:, above] + weights[e] * rates[:, above])
        sizes[:, below] += np.abs(gate) * (terms[e] * np.abs(answers[:, above]) + abs(weights[e]) * sizes[:, above])
    starts, size = rates[:, unit], sizes[:, unit]
    if ((starts != 0.0) & (np.abs(starts) <= NO_RATE * size)).any():
        raise Undecided(undecided.UNCERTAIN_START)
    return starts if starts.any() else None


def open_unfed_units(
    gates: Gates, pairs: list[SampleUnit], theta: np.ndarray, off: Container[SampleUnit] = ()
) -> list[SampleUnit]:
    """Give unfed units above a kink the gates that they have just on its on side; those that are torn.

    What the kink's pair adds to the field there depends on them; on its off side they stay so.  Where several pairs
    of a sample push one both ways it is torn: it is on, and whether that is so depends on how they switch on; it does
    not matter where nothing can hear it.  off: units that stay unfed.  Raises Undecided.
    """
    torn = list[SampleUnit]()
    if gates.instance.network.depth == 2 or gates.below:
        return torn
    every, alone = entries_of(gates.net, theta), np.eye(gates.hidden.stop)
    for sample in sorted({i for i, _ in pairs}):
        # what a unit gives for each that wakes: what these give is positive, and more is not known
        given = {u: alone[u] for i, u in pairs if i == sample}
        for u in close_unfed_units(gates, sample, given):
            entries = [e for e in np.flatnonzero(gates.net.row == u).tolist() if gates.net.col[e] in given]
            terms = np.array([every[e] * given[int(gates.net.col[e])] for e in entries]).reshape(-1, len(alone))
            total, size = terms.sum(axis=0), np.abs(terms).sum(axis=0)
            lost = (np.abs(total) <= NO_RATE * size) & (size > 0.0)
            if lost.any():
                raise Undecided(undecided.BOTH_WAYS)
            if (sample, u) in off or total.max() <= 0.0:
                continue
            gates.put((sample, u), 1)
            given[u] = total
            leaving = gates.net.col == u
            if total.min() < 0.0 and ((every[leaving] != 0.0) | (gates.net.par[leaving] >= 0)).any():
                torn.append((sample, u))
                given[u] = alone[u]
    return torn


def close_unfed_units(gates: Gates, sample: int, but: Container[int] = ()) -> list[int]:
    """Put the units that get nothing from a sample off, but for some; with an old gate what is above would seem fed."""
    unfed = list[int]()
    for u in gates.hidden[len(gates.first) :]:
        if u not in but and gates.unfed((sample, u)):
            gates.put((sample, u), -1)
            unfed.append(u)
    return unfed


def sleeps(gates: Gates, unit: int, pairs: list[SampleUnit], theta: np.ndarray, pre: np.ndarray) -> bool:
    """Whether a unit gives nothing on all samples, and nothing moves it: its outgoing weights v are zero, or, into the
    outputs, alike; or it is heard, by weights other than zero, by what is off where it is on its kink; and nothing that
    is on, or may switch on, is heard there by a weight above zero.

    It stays so, by Gronwall's inequality for (w - w(0), v - v(0)): until one of those switches on, which is seen
    (rest.py).  pairs: all that are on their kinks, off.
    """
    given = gates.gates[:, unit] * pre[:, unit]
    if (given != 0.0 if gates.below else given > 0.0).any():
        return False
    net, weights, kinks = gates.net, entries_of(gates.net, theta), set(pairs)
    there = [i for i, u in pairs if u == unit]
    if unit not in gates.first:
        pushing = net.col[(net.row == unit) & ((weights != 0.0) if gates.below else (weights > 0.0))].tolist()
        if any(gates.gates[i, k] or (i, k) in kinks for i in there for k in pushing):
            return False
    leaving = (net.col == unit) & (weights != 0.0)
    hearing = net.row[leaving].tolist()
    if not hearing or (unit in gates.first and _off(gates, net.row[leaving])) or _alike(gates, unit, theta):
        return True
    return all(u in gates.hidden for u in hearing) and not any(
        gates.gates[i, u] or (i, u) in kinks or gates.unfed((i, u)) for i in there for u in hearing
    )


def _alike(gates: Gates, unit: int, theta: np.ndarray) -> bool:
    """Whether a unit feeds the outputs alone, by weights of its own, and no margin answers to it."""
    leaving, outputs = gates.net.col == unit, gates.hidden.stop
    own = gates.net.par[leaving]
    if (gates.net.row[leaving] < outputs).any() or np.isin(gates.net.par[~leaving], own[own >= 0]).any():
        return False
    v = np.zeros(gates.cell.seeds.shape[1])
    v[gates.net.row[leaving] - outputs] = entries_of(gates.net, theta)[leaving]
    return not (gates.cell.seeds @ v).any()


def _off(gates: Gates, units: np.ndarray) -> bool:
    """Whether these are hidden units that are off on every sample, and so give nothing."""
    return bool(np.isin(units, gates.hidden).all()) and not gates.gates[:, units].any()


def unheard(gates: Gates, unit: int) -> bool:
    """Whether all that a unit feeds is multiplied by zeros that are fixed."""
    leaving = gates.net.col == unit
    return bool((gates.net.par[leaving] < 0).all()) and not gates.net.value[leaving].any()


def below_what_is_off(gates: Gates, unit: int) -> bool:
    """Whether every hidden unit that a unit feeds is off on every sample, and so gives nothing."""
    return not gates.below and _off(gates, gates.net.row[gates.net.col == unit])


def shares_weights(gates: Gates, unit: int) -> bool:
    """Whether the incoming weights of a unit are also another's."""
    if unit in gates.first:
        return gates.normals.blocks.count(gates.normals.blocks[unit - gates.first.start]) > 1
    incoming = gates.net.par[(gates.net.row == unit) & (gates.net.par >= 0)]
    return bool(np.isin(gates.net.par[gates.net.row != unit], incoming).any())
