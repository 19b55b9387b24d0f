"""From a polished point to the structure of the limit: which numbers are zero, which inputs are kinks.

The polish solves the KKT system, so what is zero in the limit comes out at rounding level.  Numbers between
rounding and clearly nonzero are in doubt, and the limit says so.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from harness.flow.compiled.kernel import unit_sizes
from harness.flow.kinks.gates import Gates
from harness.flow.settling.signs import CLEAR, ZERO, signs_at
from harness.flow.undecided import UNKNOWN_RESIDUAL, Undecided
from harness.problem.instances import Instance
from harness.problem.kkt import kkt
from harness.problem.places import Kink
from harness.problem.points import Point

_SOLVED = 1e-11  # a KKT residual that needs no better multipliers
_PRESENT = 1e-3  # of the norm: a neuron that is there, however exactly its own size is known
_KEPT = 0.5  # min q, which is 1, of a point that has only lost what is below ZERO


def settle(instance: Instance, point: np.ndarray, multipliers: np.ndarray, gates: Gates) -> Point | None:
    """The limit at a KKT point of the fixed gates; None if the point leaves the cell of the gates.

    point: (N,), min q = 1 under the gates; multipliers (n,): those of the polish.
    """
    network, net = instance.network, gates.net
    size = math.sqrt(point @ point)
    magnitude = np.abs(point)
    small = magnitude <= ZERO * size
    doubt = ""
    if ((magnitude < CLEAR * _scales(gates, point, size)) > small).any():
        doubt = "A parameter of the limit is too small to tell from zero."
    point = np.where(small, 0.0, point)
    q, grad, every, zero, doubtful, left = signs_at(gates.cell, point, size)
    lowest = float(q.min())
    if not lowest > _KEPT or (gates.kinked and left):
        return None
    if doubtful:
        doubt = doubt or "An input of a neuron is too small to tell from zero in the limit."
    signs = [every[:, begin:end] for begin, end in pairwise((net.uptr[1:-1] - net.uptr[1]).tolist())]
    scaled = point * lowest ** (-1.0 / network.degree)
    theta = network.split(scaled)
    margin = q / lowest
    kinks: tuple[Kink, ...] = ()
    # no kinks: the polish's own multipliers will do
    rest = point - multipliers @ grad
    residual = math.sqrt(rest @ rest) / size + float(multipliers @ (q - lowest)) / size**2
    multipliers = multipliers * lowest ** (1.0 - 2.0 / network.degree)
    if residual > _SOLVED or (gates.kinked and zero):
        try:
            found = kkt(network, instance.problem.inputs, instance.problem.seeds, theta, signs)
        except ValueError as why:
            raise Undecided(UNKNOWN_RESIDUAL.format(why)) from None
        multipliers, residual, kinks = found.multipliers, found.residual, found.kinks
    value = 0.5 * float(scaled @ scaled)
    return Point(instance.problem, tuple(theta), value, margin, multipliers, residual, kinks, tuple(signs), doubt)


def _scales(gates: Gates, point: np.ndarray, size: float) -> np.ndarray | float:
    """What parameters have to be clear of, a number or (N,): the norm; with two layers the size of their own neuron.

    There the weights of a neuron are its size times what the multipliers say, and of many weights that share the norm
    some are small by chance.  The size itself may be a double root, and is compared with the norm where it is small.
    """
    net = gates.net
    if not (gates.kinked and gates.by_unit):
        return size
    sizes, scales = np.empty(int(net.uptr[-1])), np.full(len(point), size)
    unit_sizes(net, point, sizes)
    hidden = np.where(np.arange(len(net.par)) < net.ptr[1], net.row, net.col)
    own, there = sizes[hidden], net.par >= 0
    scales[net.par[there]] = np.where(own > _PRESENT * size, own, size)[there]
    return scales
