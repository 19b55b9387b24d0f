"""Starts that point along the limit of a flow: of such a flow it can be proven where it ends (flow_ray.py).

The limit's direction has to be one of short fractions, as with another number or two in the data it may be.  What is
zero in it starts at zero, or as it did: a gate that is off, or a weight that gets no gradient, may keep it there.
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
from harness.problem.numbers import Rows

# The largest denominator of the direction, as a share of its largest number.
LARGEST = 12
_CLOSE = 1e-7
# The largest number that is put into data.
SMALL = 3


def varied(instance: Instance) -> Iterator[Instance]:
    """The same start with one or two other numbers in the data, then the same data with such a start."""
    for x in _changed(instance.x, SMALL):
        with suppress(FieldError):
            yield instance.changed(x=x)
    for theta0 in _changed(instance.theta0, 1):
        with suppress(FieldError):
            yield instance.changed(theta0=theta0)


def _changed(rows: Rows, largest: int) -> Iterator[Rows]:
    """The rows with one or two other numbers, integers up to this size."""
    numbers = [a for row in rows for a in row]
    seen = {tuple(numbers)}
    for places in combinations(range(len(numbers)), min(2, len(numbers))):
        for values in product(range(-largest, largest + 1), repeat=len(places)):
            flat = list(numbers)
            for k, a in zip(places, values, strict=True):
                flat[k] = Fraction(a)
            if tuple(flat) not in seen:
                seen.add(tuple(flat))
                rest = iter(flat)
                yield tuple(tuple(next(rest) for _ in row) for row in rows)


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
