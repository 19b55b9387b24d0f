"""Where a refuted claim is hunted: which architectures are drawn, and which verdict denies the conclusion."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from harness.harvest.integers import integer_instances
from harness.instances import Instance
from harness.margin import Verdict, Verdicts
from strategies import fully_connected_networks, unshared_networks


@dataclass(frozen=True)
class Space:
    """networks: a strategy for architectures.  verdict: the one among Verdicts that is about the conclusion.

    mechanisms: the ways to fail that a harvest looks for, each on its own.
    zeros: whether neurons that start at zero are worth drawing.
    """

    networks: st.SearchStrategy[Any]
    verdict: Callable[[Verdicts], Verdict]
    mechanisms: tuple[str, ...]
    zeros: bool = True


def _local(verdicts: Verdicts) -> Verdict:
    return verdicts.local


def _global(verdicts: Verdicts) -> Verdict:
    return verdicts.global_


def _first_local(verdicts: Verdicts) -> Verdict:
    """The last layer's problem is convex: if a layer fails, it is the first."""
    return verdicts.layers[0].local


def _first_global(verdicts: Verdicts) -> Verdict:
    return verdicts.layers[0].global_


SPACES = {
    "fc-relu-local": Space(fully_connected_networks("relu"), _local, ("dead neuron", "kink")),
    "depth2-local": Space(unshared_networks(), _local, ("zero weight", "dead neuron")),
    "depth2-relu-nonzero-local": Space(fully_connected_networks("relu"), _local, ("kink",), zeros=False),
    "depth2-relu-active-global": Space(fully_connected_networks("relu"), _global, ("global gap",), zeros=False),
    "relu-layerwise-local": Space(fully_connected_networks("relu"), _first_local, ("layer",), zeros=False),
    "relu-active-layerwise-global": Space(fully_connected_networks("relu"), _first_global, ("layer",), zeros=False),
}


@dataclass(frozen=True)
class Sizes:
    """How large an instance is, and at most may be."""

    points: int
    neurons: int
    dimensions: int

    @classmethod
    def of(cls, instance: Instance) -> Sizes:
        return cls(instance.n, instance.network.widths[1], instance.d)

    def holds(self, instance: Instance) -> bool:
        """Whether the instance is no larger."""
        its = Sizes.of(instance)
        return its.points <= self.points and its.neurons <= self.neurons and its.dimensions <= self.dimensions


# Searched in turn, the second for want of anything so small in the first.
OPENINGS = (Sizes(points=3, neurons=3, dimensions=3), Sizes(points=2, neurons=2, dimensions=2))


def space(claim: str, sizes: Sizes) -> st.SearchStrategy[Instance]:
    """Instances within the sizes, of the architectures the claim is about."""
    return integer_instances(
        SPACES[claim].networks,
        max_points=sizes.points,
        max_width=sizes.neurons,
        max_dimension=sizes.dimensions,
        zeros=SPACES[claim].zeros,
    )


def within(instance: Instance) -> Iterator[Sizes]:
    """The instance's sizes with one point less, with one neuron less, with one dimension less, and as they are."""
    sizes = Sizes.of(instance)
    for name in ("points", "neurons", "dimensions"):
        count = getattr(sizes, name)
        if count > 1:
            yield replace(sizes, **{name: count - 1})
    yield sizes
