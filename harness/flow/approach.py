"""Whether the flow is going to the KKT point that the polish finds.

Two successive polishes find the same point, and the flow's direction has come as near to it as the integrator can tell.
From further away a point that is nearly right, one with a small unit taken for dead say, looks the same.  Slow modes
come near too late to wait for: for them ten polishes in turn find the direction closer, at a rate at which the
distance will vanish.  The second-order test has been passed before (harness.flow.polish).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

REST = 0.6  # of the distance, at most, that may be left when the log-norm has grown without bound


@dataclass
class Approach:
    """near: a distance below which the direction need not come closer (the integrator's own error).

    long: how many polishes in turn a slow mode takes.  evidence: (log-norm, distance of the direction to the point)
    since the point was first found.
    """

    near: float = 1e-3
    long: int = 10
    evidence: list[tuple[float, float]] = field(default_factory=list)
    _value: float = -1.0
    _q: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def forget(self) -> None:
        """Another point, or a saddle that the flow is leaving: start again."""
        self._value = -1.0
        self.evidence = []

    def knows(self, direction: np.ndarray, point: np.ndarray, q: np.ndarray) -> bool:
        """Whether the last polish found this point too; arguments as of `arrived`."""
        value = 0.5 * float(point @ point)
        # along a face of KKT points of one value the margins that are not active are as uncertain as the direction
        slack = max(1e-8, distance_to(direction, point)) * (1.0 + np.abs(q))
        return abs(value - self._value) <= 1e-9 * value and not np.any(np.abs(q - self._q) > slack)

    def arrived(self, log_norm: float, direction: np.ndarray, point: np.ndarray, q: np.ndarray) -> bool:
        """Offer what a polish found: direction (N,) of the flow, point (N,) with margins q (n,), min q = 1."""
        value, distance = 0.5 * float(point @ point), distance_to(direction, point)
        if not self.knows(direction, point, q):
            self.forget()
        self._value, self._q = value, q
        self.evidence.append((log_norm, distance))
        if len(self.evidence) < 2:
            return False
        if distance < self.near:
            return True
        # scaled so that it does not depend on the scale of the data: the point's own log-norm counts as 0
        own = 0.5 * math.log(2.0 * value)
        last = [(s - own, d) for s, d in self.evidence[-self.long :]]
        closer = all(b < a for (_, a), (_, b) in pairwise(last))
        return len(last) == self.long and closer and vanishing(last[0], last[-1])

    def wait(self) -> float:
        """How much log beta has to grow until the direction is near, if it comes closer like 1 / beta."""
        return math.log(max(self.evidence[-1][1] / self.near, 1.0)) if self.evidence else 0.0


def distance_to(direction: np.ndarray, point: np.ndarray) -> float:
    """From a unit vector to the direction of a point, both (N,)."""
    gap = direction - point / math.sqrt(point @ point)
    return math.sqrt(gap @ gap)


def vanishing(before: tuple[float, float], after: tuple[float, float]) -> bool:
    """Whether the line through two rows (log-norm > 0, distance) in 1 / log-norm leaves no more than REST in the end.

    That is the slowest law that is met.
    """
    (s, far), (t, close) = before, after
    return t * close - s * far <= REST * close * (t - s)
