"""How large an instance is: what counterexamples are shrunk and compared by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness.problem.instances import Instance


@dataclass(frozen=True)
class Sizes:
    """How large an instance is, and at most may be.  neurons: of the widest hidden layer."""

    points: int
    neurons: int
    dimensions: int

    @classmethod
    def of(cls, instance: Instance) -> Sizes:
        return cls(instance.n, max(instance.network.widths[1:-1], default=0), instance.d)

    def holds(self, instance: Instance) -> bool:
        """Whether the instance is no larger."""
        its = Sizes.of(instance)
        return its.points <= self.points and its.neurons <= self.neurons and its.dimensions <= self.dimensions


def rank(instance: Instance, proven: bool) -> tuple[Any, ...]:
    """The order in which counterexamples are kept: as by size, but of those with as many points, neurons and dimensions
    one goes first whose flow is proven to end there."""
    whole = size(instance)
    return *whole[:3], not proven, *whole[3:]


def size(instance: Instance) -> tuple[Any, ...]:
    """The order of counterexamples, smallest first.

    Points, hidden neurons, dimensions; then how many numbers are not integers, then how
    large the numbers are, how many are not zero, how many are negative, and the text, so that two instances never tie.
    """
    network = instance.network
    numbers = [a for rows in (instance.x, instance.theta0) for row in rows for a in row]
    return (
        instance.n,
        sum(network.widths[1:-1]),
        instance.d,
        sum(a.denominator != 1 for a in numbers),
        sum(abs(a.numerator) + a.denominator - 1 for a in numbers),
        sum(a != 0 for a in numbers),
        sum(a < 0 for a in numbers) + sum(label < 0 for label in instance.y),
        instance.to_json(),
    )
