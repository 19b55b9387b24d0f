"""Whether the flow is going to the KKT point that the polish finds.

Two successive polishes find the same point, and the flow's direction comes closer to it.  The second-order
test has been passed before (harness.flow.polish).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np


@dataclass
class Approach:
    """near: a distance below which the direction need not come closer (the integrator's own error).

    far: the distance from which one step closer is believed; from further away it takes `long` of them (slow
    modes).  evidence: (log-norm, distance of the direction to the point) since the point was first found.
    """

    near: float = 1e-3
    far: float = 0.1
    long: int = 10
    evidence: list[tuple[float, float]] = field(default_factory=list)
    _value: float = -1.0
    _q: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def forget(self) -> None:
        """Another point, or a saddle that the flow is leaving: start again."""
        self._value = -1.0
        self.evidence = []

    def arrived(self, log_norm: float, direction: np.ndarray, point: np.ndarray, q: np.ndarray) -> bool:
        """Offer what a polish found: direction (N,) of the flow, point (N,) with margins q (n,), min q = 1."""
        value = 0.5 * float(point @ point)
        gap = direction - point / math.sqrt(2.0 * value)
        distance = math.sqrt(gap @ gap)
        # along a face of KKT points of one value the margins that are not active are as uncertain as the direction
        slack = max(1e-8, distance) * (1.0 + np.abs(q))
        if abs(value - self._value) > 1e-9 * value or np.any(np.abs(q - self._q) > slack):
            self.forget()
        self._value, self._q = value, q
        self.evidence.append((log_norm, distance))
        if len(self.evidence) < 2:
            return False
        last = [d for _, d in self.evidence[-self.long :]]
        if distance < self.near or (last[-1] < last[-2] and distance < self.far):
            return True
        return len(last) == self.long and all(b < a for a, b in pairwise(last))
