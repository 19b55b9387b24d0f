"""The margins of a point and the signs of its hidden pre-activations, where they can be told from zero, compiled."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from harness.flow.compiled.compiling import compiled
from harness.flow.compiled.kernel import dot, evaluate

# Relative to ||theta||, and to ||theta|| ||x_i|| for inputs: the polish is exact to 1e-10, and to its square root or so
# where it has a double root; between the two nothing is known.
ZERO, CLEAR = 1e-10, 1e-6


class Signs(NamedTuple):
    """At a point under its gates: q (n,), grad (n, N), signs (n, hidden units), -1, 0 or 1.

    zero: whether some are 0.  doubtful: whether some are not clearly -1 or 1.  left: whether some are not those of the
    gates.
    """

    q: np.ndarray
    grad: np.ndarray
    signs: np.ndarray
    zero: bool
    doubtful: bool
    left: bool


@compiled
def signs_at(cell, point, size):
    """The `Signs` at a point (N,) of norm `size`, before what is zero has been taken from it.

    An input of layer l is compared with the norms that bound it.
    """
    net, x = cell.net, cell.x
    q, grad, pre, _ = evaluate(net, point, x, cell.seeds, cell.gates)
    n, first, last = x.shape[0], net.uptr[1], net.uptr[-2]
    signs = np.zeros((n, last - first), dtype=np.int8)
    zero = doubtful = left = False
    for i in range(n):
        length = np.sqrt(dot(x[i], x[i]))
        for u in range(first, last):
            scale = length * net.gain[u] * max(size, 1.0) ** net.power[u]
            value = abs(pre[i, u])
            if value <= ZERO * scale:
                zero = True
                continue
            positive = pre[i, u] > 0.0
            signs[i, u - first] = 1 if positive else -1
            doubtful = doubtful or value < CLEAR * scale
            left = left or positive != (cell.gates[i, u] == 1.0)
    return Signs(q, grad, signs, zero, doubtful, left)
