"""Starts that point along the limit of a flow: of such a flow it can be proven where it ends (flow_ray.py).

The limit's direction has to be one of short fractions, as with a few other numbers in the data it may be.  What is zero
in it starts at zero, or as it did: a gate that is off, or a weight that gets no gradient, may keep it there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import combinations, product

from harness.problem.fields import FieldError
from harness.problem.instances import Instance
from harness.problem.limits import Limit

# The largest denominator of the direction, as a share of its largest number.
LARGEST = 12
_CLOSE = 1e-7
# The largest number that is put into data.
SMALL = 3


def varied(instance: Instance) -> Iterator[Instance]:
    """The same start with one or two other numbers in the data, small integers."""
    numbers = [a for point in instance.x for a in point]
    small = range(-SMALL, SMALL + 1)
    seen = {tuple(numbers)}
    for places in combinations(range(len(numbers)), min(2, len(numbers))):
        for values in product(small, repeat=len(places)):
            flat = list(numbers)
            for k, a in zip(places, values, strict=True):
                flat[k] = Fraction(a)
            if tuple(flat) not in seen:
                seen.add(tuple(flat))
                with suppress(FieldError):
                    yield instance.changed(x=tuple(zip(*[iter(flat)] * instance.d, strict=True)))


def rays(limit: Limit) -> Iterator[Instance]:
    """The same data and network from such starts, the simplest first; none where the direction is no such one."""
    point, instance = limit.point, limit.instance
    if point is None or instance.network.degree < instance.network.depth:
        return
    largest = max(abs(float(a)) for u in point.theta for a in u)
    shares = [[Fraction(float(a) / largest).limit_denominator(LARGEST) for a in u] for u in point.theta]
    if any(
        abs(float(b) - float(a) / largest) > _CLOSE
        for u, own in zip(point.theta, shares, strict=True)
        for a, b in zip(u, own, strict=True)
    ):
        return
    scale = math.lcm(*(a.denominator for own in shares for a in own))
    moving = [[a * scale for a in own] for own in shares]
    kept = [[a or b for a, b in zip(own, u, strict=True)] for own, u in zip(moving, instance.theta0, strict=True)]
    for theta0 in (moving, kept):
        with suppress(FieldError):
            yield instance.changed(theta0=tuple(map(tuple, theta0)))
