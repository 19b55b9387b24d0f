"""From a polished point to the structure of the limit: which numbers are zero, which inputs are kinks.

The polish solves the KKT system, so what is zero in the limit comes out at rounding level.  Numbers between
rounding and clearly nonzero are in doubt, and the limit says so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.flow.gates import Gates, Undecided
from harness.flow.kernel import margins
from harness.instances import Instance
from harness.limits import Kink
from harness.margin.kkt import kkt

_ZERO, _CLEAR = 1e-10, 1e-7  # relative to ||theta||, and to ||theta|| ||x_i|| for inputs


@dataclass(frozen=True)
class Settled:
    """The fields of a converged Limit."""

    theta: tuple[np.ndarray, ...]
    value: float
    margins: np.ndarray
    multipliers: np.ndarray
    residual: float
    kinks: tuple[Kink, ...]
    signs: tuple[np.ndarray, ...]
    doubt: str | None


def settle(instance: Instance, point: np.ndarray, gates: Gates) -> Settled | None:
    """The limit at a KKT point of the fixed gates; None if the point leaves the cell of the gates.

    point: (N,), min q = 1 under the gates.
    """
    network, net = instance.network, gates.net
    size = float(np.linalg.norm(point))
    small = np.abs(point) <= _ZERO * size
    doubt = None
    if np.any((np.abs(point) < _CLEAR * size) & ~small):
        doubt = "A parameter of the limit is too small to tell from zero."
    point = np.where(small, 0.0, point)
    q, pre = np.empty(instance.n), np.empty(gates.gates.shape)
    margins(net, point, instance.x_float.copy(), instance.y_float.copy(), gates.gates, q, pre)
    if not q.min() > 0.5:
        return None
    # an input of layer l is compared with the norms that bound it
    hidden = slice(gates.hidden.start, gates.hidden.stop)
    layers = np.repeat(np.arange(1, network.depth), network.widths[1:-1])
    scale = np.linalg.norm(instance.x_float, axis=1)[:, None] * max(size, 1.0) ** layers
    pre = pre[:, hidden]
    zero = np.abs(pre) <= _ZERO * scale
    if np.any((np.abs(pre) < _CLEAR * scale) & ~zero):
        doubt = doubt or "An input of a neuron is too small to tell from zero in the limit."
    sign = np.where(zero, 0, np.sign(pre)).astype(np.int8)
    if gates.relu:
        on = gates.gates[:, hidden] > 0
        if np.any((sign > 0) & ~on) or np.any((sign < 0) & on):
            return None
    signs = tuple(np.split(sign, np.cumsum(network.widths[1:-1])[:-1], axis=1)) if network.depth > 1 else ()
    theta = tuple(np.split(point * q.min() ** (-1.0 / network.depth), np.cumsum(network.sizes)[:-1]))
    try:
        found = kkt(network, instance.x_float, instance.y_float, theta, signs)
    except ValueError as why:
        raise Undecided(f"the KKT residual of the limit is not known: {why}") from None
    value = 0.5 * float(sum(u @ u for u in theta))
    return Settled(theta, value, q / q.min(), found.multipliers, found.residual, found.kinks, signs, doubt)
