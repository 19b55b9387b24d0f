"""Where a refuted claim is hunted: which architectures are drawn, and what is looked for among them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from harness.harvest.integers import batches
from harness.problem.instances import Instance
from harness.problem.networks import Activation, Network
from harness.problem.sizes import Sizes
from strategies.architectures import Architecture, Kind

# Searched in turn for a first counterexample: coincidences are the commoner the fewer numbers there are.
OPENINGS = (
    Sizes(points=1, neurons=2, dimensions=2),
    Sizes(points=2, neurons=2, dimensions=2),
    Sizes(points=2, neurons=2, dimensions=3),
    Sizes(points=3, neurons=3, dimensions=3),
    Sizes(points=2, neurons=3, dimensions=4),
)


@dataclass(frozen=True)
class Quarry:
    """What one hunt looks for: counterexamples by this mechanism, of networks like these; None for any.

    patience: draws of each sizes for a first one, and of fewer points, neurons or dimensions for a smaller one; most
    flows take a millisecond.
    """

    mechanism: str | None = None
    activation: Activation | None = None
    depth: int | None = None
    patience: tuple[int, int] = (2000, 1000)

    def __str__(self) -> str:
        depth = None if self.depth is None else f"depth {self.depth}"
        return ", ".join(part for part in (self.mechanism, self.activation, depth) if part) or "anything"

    def __contains__(self, network: Architecture | Network) -> bool:
        return self.activation in (None, network.activation) and self.depth in (None, network.depth)


ANYTHING = Quarry()


@dataclass(frozen=True)
class Space:
    """architectures: what is drawn.

    quarries: what a harvest looks for, each on its own.
    zeros: whether neurons that start at zero are worth drawing.
    """

    architectures: tuple[Architecture, ...]
    quarries: tuple[Quarry, ...]
    zeros: bool = True


def _architectures(kinds: tuple[Kind, ...], activations: tuple[Activation, ...], depth: int = 2) -> Any:
    return tuple(Architecture(kind, activation, depth) for kind in kinds for activation in activations)


_RELU = _architectures(("fully connected",), ("relu",))
_DEEP_RELU = _architectures(("fully connected",), ("relu",), 3)
_DEEP = _architectures(("diagonal", "fully connected"), ("linear", "relu"), 3)
_SHARED = _architectures(("convolutional",), ("linear", "relu"))
_UNSHARED = _architectures(("fully connected", "diagonal", "sparse"), ("linear", "relu"))

SPACES = {
    "fc-relu-local": Space(
        _RELU + _DEEP_RELU,
        (
            Quarry("dead neuron", depth=2),
            Quarry("kink", depth=2),
            Quarry("dead neuron", depth=3, patience=(2000, 2000)),
            Quarry("kink", depth=3),
        ),
    ),
    "depth2-local": Space(_UNSHARED, (Quarry("zero weight"), Quarry("dead neuron"))),
    "depth2-relu-nonzero-local": Space(_RELU, (Quarry("kink"),), zeros=False),
    "depth2-relu-active-global": Space(_RELU, (Quarry("global gap"),), zeros=False),
    "shared-local": Space(
        _SHARED,
        (
            Quarry("saddle", "linear"),
            Quarry("saddle", "relu", patience=(3000, 3000)),
            Quarry("zero weight", "linear", patience=(8000, 8000)),
        ),
    ),
    "deep-local": Space(_DEEP, (Quarry("saddle", "linear"), Quarry("saddle", "relu")), zeros=False),
    "relu-layerwise-local": Space(_RELU, (Quarry("layer"),), zeros=False),
    "relu-active-layerwise-global": Space(
        _RELU + _DEEP_RELU, (Quarry("layer", depth=2), Quarry("layer", depth=3)), zeros=False
    ),
}


def space(claim: str, quarry: Quarry, sizes: Sizes, count: int) -> st.SearchStrategy[list[Instance]]:
    """So many instances at once within the sizes, of the architectures that claim and quarry are about."""
    return batches(
        [architecture for architecture in SPACES[claim].architectures if architecture in quarry],
        count,
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
