"""Whether the flow is going to the KKT point that the polish finds.

Two successive polishes find the same point, and the flow's direction has come as near to it as the integrator can tell.
From further away a point that is nearly right, one with a small unit taken for dead say, looks the same.  Slow modes
come near too late to wait for: for them all polishes, over a growth in which ten would have their place, find the
direction closer, at a rate at which the distance will vanish.  The second-order test has been passed before
(harness.flow.settling.second_order).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

SPACING = 2.0  # between two polishes at least, in the logarithm of the inverse temperature beta = rho^depth
SLOW = 0.125  # of the log-norm, at least, where the flow is slow
SLOWEST = 0.3  # of the power of 1 / beta: slower modes are looked at before they are expected to be near
FEWEST = 5  # polishes from which a rate is read
REST = 0.6  # of the distance, at most, that may be left when the log-norm has grown without bound
NEAR = 1e-3  # from direction to point: a hundred times the error that a step is allowed, and what rounding leaves late
STANDS = 0.999  # of the distance, at least, that is left where it comes no closer: slow modes do from polish to polish
AIMED = 0.7  # of it: where the next polish is expected to find the direction, lest it be a little too early
SAME_VALUE = 1e-9  # relative: of one point found twice, each time to a residual of 1e-10
SAME_MARGINS = 1e-8  # relative: the same, for margins, which answer to the residual more than the value does
ROUNDED = 0.01  # of a polish, that may be missing from the growth by rounding


@dataclass
class Approach:
    """near: a distance below which the direction need not come closer (the integrator's own error).

    long: for how many polishes, the least distance apart, a slow mode is watched.  evidence: (log-norm, distance of the
    direction to the point) since the point was first found.
    """

    depth: int
    near: float = NEAR
    long: int = 10
    evidence: list[tuple[float, float]] = field(default_factory=list)
    _value: float = -1.0
    _q: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def forget(self) -> None:
        """Another point, or a saddle that the flow is leaving: start again."""
        self._value = -1.0
        self.evidence = []

    def knows(self, distance: float, value: float, q: np.ndarray) -> bool:
        """Whether the last polish found this point too; arguments as of `arrived`."""
        if not abs(value - self._value) <= SAME_VALUE * value:
            return False
        # along a face of KKT points of one value the margins that are not active are as uncertain as the direction
        slack = max(SAME_MARGINS, distance) * (1.0 + np.abs(q))
        return not (np.abs(q - self._q) > slack).any()

    def arrived(self, log_norm: float, distance: float, value: float, q: np.ndarray) -> bool:
        """Offer what a polish found: a point of this value with margins q (n,), min q = 1.

        distance: from the direction of the flow to that of the point.
        """
        if not self.knows(distance, value, q):
            self.forget()
        self._value, self._q = value, q
        self.evidence.append((log_norm, distance))
        if len(self.evidence) < 2:
            return False
        if distance < self.near:
            return True
        # scaled so that it does not depend on the scale of the data: the point's own log-norm counts as 0
        own = 0.5 * math.log(2.0 * value)
        last = [(s - own, d) for s, d in self._watched()]
        closer = all(b < a for (_, a), (_, b) in pairwise(last))
        return len(last) >= FEWEST and closer and vanishing(last[0], last[-1])

    def stands(self) -> bool:
        """Whether the direction has come no closer between the last two polishes."""
        return len(self.evidence) > 1 and self.evidence[-1][1] > STANDS * self.evidence[-2][1]

    def _watched(self) -> list[tuple[float, float]]:
        """The latest evidence over a growth in which `long` polishes have their place; empty if there is not enough."""
        for start in range(len(self.evidence) - FEWEST, -1, -1):
            if self._places(self.evidence[start][0], self.evidence[-1][0]) >= self.long - 1.0 - ROUNDED:
                return self.evidence[start:]
        return []

    def _places(self, s: float, t: float) -> float:
        """How many polishes the least distance apart follow each other from log-norm s to t."""
        least = SPACING / self.depth
        knee = least / SLOW
        return max(min(t, knee) - s, 0.0) / least + math.log(max(t, knee) / max(s, knee)) / math.log1p(SLOW)

    def next(self, now: float) -> float:
        """The log-norm of the next polish: where the direction is expected to be near, the least distance on at least.

        It comes closer like 1 / beta or, so the last two polishes say, like a smaller power.
        """
        wait = max(SPACING / self.depth, SLOW * now)
        if self.evidence:
            distance, rate = self.evidence[-1][1], float(self.depth)
            if len(self.evidence) > 1:
                (s, before), (t, _) = self.evidence[-2:]
                seen = math.log(max(before / max(distance, self.near / 10.0), 1.0)) / (t - s)
                rate = min(max(seen, SLOWEST * rate), rate)
            # a little further, since it costs less than a polish that is too early
            wait = max(wait, math.log(max(distance / (AIMED * self.near), 1.0)) / rate)
        return now + wait


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
