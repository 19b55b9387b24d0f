"""A small neuron that lasts: in the end it feels what a neuron of the limit feels, and keeps its part of it for ever.

A neuron whose gates are those of a live one of its layer on all samples that count, and that hears and feeds what that
one does, is moved by what moves it: once it is a multiple of it, it stays the same multiple.  The limit has both, on a
face of KKT points of one value.  However small, it is alive there, and no dead neuron.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from harness.flow.kinks.gates import Gates
from harness.flow.undecided import UNKNOWN_RESIDUAL, Undecided
from harness.problem.kkt import kkt
from harness.problem.points import Point

STEADY = 1e-3  # of a small neuron: what of it does not grow with the live one has worn off


@dataclass(frozen=True)
class Lasting:
    """unit is `share` times the live unit `like`."""

    unit: int
    like: int
    share: float


def lasting(gates: Gates, theta: np.ndarray, limit: np.ndarray, heard: np.ndarray, unit: int) -> Lasting | None:
    """The live unit whose gates a small one has on the samples `heard` (n,) bool, and its share; None if there is none.

    theta (N,): the flow, limit (N,): the limit without the small unit.
    """
    state = gates.state(unit)
    own = _weights(gates, unit)
    for like in gates.hidden:
        other = _weights(gates, like)
        if like == unit or gates.layer(like) != gates.layer(unit) or not limit[other].any() or len(own) != len(other):
            continue
        if not np.array_equal(_ends(gates, unit), _ends(gates, like)):
            continue
        small, live, end = theta[own], theta[other], limit[other]
        share = float(small @ end) / float(live @ end)
        alike = share > 0.0 and np.array_equal(gates.state(like)[heard], state[heard])
        if alike and np.linalg.norm(small - share * live) <= STEADY * np.linalg.norm(small):
            return Lasting(unit, like, share)
    return None


def revived(gates: Gates, settled: Point, lasts: tuple[Lasting, ...]) -> Point:
    """The limit with the small neurons that last, as they last."""
    if not lasts:
        return settled
    instance = gates.instance
    flat = instance.network.flat(settled.theta).copy()
    signs = tuple(sign.copy() for sign in settled.signs)
    for like in {one.like for one in lasts}:
        # together they add to every margin what the live one did alone
        total = 1.0 + sum(one.share**2 for one in lasts if one.like == like)
        flat[_weights(gates, like)] /= np.sqrt(total)
    for one in lasts:
        flat[_weights(gates, one.unit)] = one.share * flat[_weights(gates, one.like)]
        layer = gates.layer(one.unit)
        start = int(gates.net.uptr[layer])
        signs[layer - 1][:, one.unit - start] = signs[layer - 1][:, one.like - start]
    theta = tuple(instance.network.split(flat))
    try:
        found = kkt(instance.network, instance.problem.inputs, instance.problem.seeds, theta, signs)
    except ValueError as why:
        raise Undecided(UNKNOWN_RESIDUAL.format(why)) from None
    return replace(
        settled,
        theta=theta,
        signs=signs,
        multipliers=found.multipliers,
        residual=found.residual,
        kinks=found.kinks,
    )


def _weights(gates: Gates, unit: int) -> np.ndarray:
    """Its parameters, those into it and those out of it."""
    net = gates.net
    own = np.append(net.par[net.row == unit], net.par[net.col == unit])
    return own[own >= 0]


def _ends(gates: Gates, unit: int) -> np.ndarray:
    """The units that it hears, and those that hear it."""
    return np.append(gates.net.col[gates.net.row == unit], gates.net.row[gates.net.col == unit])
