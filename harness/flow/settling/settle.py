"""From a polished point to the structure of the limit: which numbers are zero, which inputs are kinks.

The polish solves the KKT system, so what is zero in the limit comes out at rounding level.  Numbers between
rounding and clearly nonzero are in doubt, and the limit says so.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from harness.flow.compiled.kernel import evaluate
from harness.flow.kinks.gates import Gates
from harness.flow.undecided import UNKNOWN_RESIDUAL, Undecided
from harness.problem.instances import Instance
from harness.problem.kkt import kkt
from harness.problem.places import Kink
from harness.problem.points import Point

_SOLVED = 1e-11  # a KKT residual that needs no better multipliers
# Relative to ||theta||, and to ||theta|| ||x_i|| for inputs: the polish is exact to 1e-10, and to its square root or so
# where it has a double root; between the two nothing is known.
_ZERO, _CLEAR = 1e-10, 1e-6
_KEPT = 0.5  # min q, which is 1, of a point that has only lost what is below _ZERO


def settle(instance: Instance, point: np.ndarray, multipliers: np.ndarray, gates: Gates) -> Point | None:
    """The limit at a KKT point of the fixed gates; None if the point leaves the cell of the gates.

    point: (N,), min q = 1 under the gates; multipliers (n,): those of the polish.
    """
    network, net = instance.network, gates.net
    x = instance.problem.inputs
    size = math.sqrt(point @ point)
    magnitude = np.abs(point)
    small = magnitude <= _ZERO * size
    doubt = ""
    if np.count_nonzero(magnitude < _CLEAR * size) > np.count_nonzero(small):
        doubt = "A parameter of the limit is too small to tell from zero."
    point = np.where(small, 0.0, point)
    q, grad, pre, _ = evaluate(net, point, gates.cell.x, gates.cell.seeds, gates.gates)
    lowest = float(q.min())
    if not lowest > _KEPT:
        return None
    # an input of layer l is compared with the norms that bound it
    hidden = slice(net.uptr[1], net.uptr[-2])
    inputs, lengths = pre[:, hidden], np.sqrt((x * x).sum(axis=1))
    scale = lengths[:, None] * net.gain[hidden] * max(size, 1.0) ** net.power[hidden]
    magnitude = np.abs(inputs)
    zero = magnitude <= _ZERO * scale
    if ((magnitude < _CLEAR * scale) & ~zero).any():
        doubt = doubt or "An input of a neuron is too small to tell from zero in the limit."
    sign = np.where(zero, 0, np.sign(inputs)).astype(np.int8)
    if gates.kinked and (sign * gates.sides(hidden) < 0).any():
        return None
    signs = [sign[:, begin - hidden.start : end - hidden.start] for begin, end in pairwise(net.uptr[1:-1].tolist())]
    scaled = point * lowest ** (-1.0 / network.degree)
    theta = network.split(scaled)
    margin = q / lowest
    kinks: tuple[Kink, ...] = ()
    # no kinks: the polish's own multipliers will do
    rest = point - multipliers @ grad
    residual = math.sqrt(rest @ rest) / size + float(multipliers @ (q - lowest)) / size**2
    multipliers = multipliers * lowest ** (1.0 - 2.0 / network.degree)
    if residual > _SOLVED or (gates.kinked and zero.any()):
        try:
            found = kkt(network, x, instance.problem.seeds, theta, signs)
        except ValueError as why:
            raise Undecided(UNKNOWN_RESIDUAL.format(why)) from None
        multipliers, residual, kinks = found.multipliers, found.residual, found.kinks
    value = 0.5 * float(scaled @ scaled)
    return Point(instance.problem, tuple(theta), value, margin, multipliers, residual, kinks, tuple(signs), doubt)
