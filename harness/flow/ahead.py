"""Compiles the polish: to import this is to do so, in a process of its own (harness.flow.compiled.beside)."""

from __future__ import annotations

import numpy as np
from numba import typeof

from harness.flow.compiled.field import cell_of
from harness.flow.compiled.kernel import wiring
from harness.flow.settling.directions import spanned_by
from harness.flow.settling.polish import polish
from harness.problem.instances import Instance
from harness.problem.networks import fully_connected


def _arguments() -> tuple[object, ...]:
    """Of the types that every flow has."""
    instance = Instance.of(fully_connected("linear", (1, 1)), "exponential", [[1]], [1], [[1], [1]])
    net = wiring(instance.network)
    none = np.zeros((0, 2), dtype=np.int64)
    return cell_of(instance, net), np.ones(2), spanned_by(np.eye(2)), none, np.zeros(1), np.zeros(1)


polish.compile(tuple(typeof(argument) for argument in _arguments()))
