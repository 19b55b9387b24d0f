"""Whether kinks are so near to each other that the error of a step decides which of them comes first, compiled."""

from __future__ import annotations

import numpy as np

from harness.flow.compiled.compiling import compiled
from harness.flow.compiled.events import GRAZE, reaches, sway
from harness.flow.compiled.field import look
from harness.flow.compiled.kernel import dot, unit_gradient

CROWD = 10.0  # times rtol: kinks farther off than this from an event are not near it, whatever their sway


@compiled
def crowded(cell, theta, watch, hit, rtol):
    """Whether beside the kinks that were hit at theta (N,) another is near, and its input moving.

    watch (n, units) int8, hit (n, units) bool: as of `integrate`.
    """
    net, now, reach = cell.net, look(cell, theta), reaches(cell.x)
    normal = np.empty(theta.shape[0])
    for i in range(watch.shape[0]):
        for u in range(net.uptr[1], net.uptr[-2]):
            if watch[i, u] == 0 or hit[i, u]:
                continue
            unit = reach[i] * net.gain[u] * now.rho ** net.power[u]
            if not watch[i, u] * now.pre[i, u] < CROWD * rtol * unit:
                continue
            room = GRAZE * rtol * sway(net, theta, now.rho, cell.x[i], u, reach[i]) * unit
            unit_gradient(net, theta, cell.x[i], cell.gates[i], u, normal)
            if abs(now.pre[i, u]) < min(room, abs(dot(normal, now.f))):
                return True
    return False
