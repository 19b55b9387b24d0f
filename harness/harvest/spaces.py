"""Where a refuted claim is hunted: which architectures are drawn, and what is looked for among them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

from harness.harvest.integers import batches, coverings
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
    openings: the sizes that are searched for a first one.
    shrinks: neighbours that are tried while one counterexample is shrunk.
    drawn: strategies of so many points and instances at once, of a claim on starts that small integers do not meet.
    """

    architectures: tuple[Architecture, ...]
    quarries: tuple[Quarry, ...]
    zeros: bool = True
    openings: tuple[Sizes, ...] = OPENINGS
    shrinks: int = 1500
    drawn: Callable[[int, int], st.SearchStrategy[list[Instance]]] | None = None


def _architectures(kinds: tuple[Kind, ...], activations: tuple[Activation, ...], depth: int = 2) -> Any:
    return tuple(Architecture(kind, activation, depth) for kind in kinds for activation in activations)


_RELU = _architectures(("fully connected",), ("relu",))
_DEEP_RELU = _architectures(("fully connected",), ("relu",), 3)
_DEEP = _architectures(("diagonal", "fully connected"), ("linear", "relu"), 3)
_SHARED = _architectures(("convolutional",), ("linear", "relu"))
_UNSHARED = _architectures(("fully connected", "diagonal", "sparse"), ("linear", "relu"))
_HALF = Fraction(1, 2)
_LEAKY = (Architecture("fully connected", "leaky_relu", 2, _HALF),)
_SIGNED = (Architecture("fully connected", "leaky_relu", 2, _HALF, fixed=(2,), signed=True),)
_LINEAR = (Architecture("fully connected", "linear"),)
_CIRCULANT = (Architecture("circulant", "linear"),)
_CLASSES = tuple(Architecture("fully connected", "linear", outputs=classes) for classes in (2, 3))
# A few patient draws do where coincidences are common.
_SHORT = (600, 400)
_COVERS = tuple(Sizes(points, 4 * points, 2) for points in (3, 4))

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
    "orthsep-weak-local": Space(_RELU, (Quarry("kink", patience=_SHORT),), zeros=False),
    "nearorth-beyond": Space(_RELU, (Quarry("slack margin", patience=_SHORT),), zeros=False),
    "linear-all-support-beyond": Space(_LINEAR, (Quarry("slack margin", patience=_SHORT),), zeros=False),
    "conv-full-global": Space(_CIRCULANT, (Quarry("global gap", patience=_SHORT),)),
    "cover-small-global": Space(
        _RELU, (Quarry("global gap", patience=(600, 30)),), openings=_COVERS, shrinks=300, drawn=coverings
    ),
    "depth2-relu-generic-local": Space(
        _RELU, (Quarry("kink", patience=(20_000, 1000)),), zeros=False, openings=(Sizes(3, 2, 2),)
    ),
    "leaky-nonzero-local": Space(
        _LEAKY, (Quarry("kink", patience=(40_000, 1000)),), zeros=False, openings=(Sizes(3, 2, 2),)
    ),
    "leaky-nearorth-any": Space(_SIGNED, (Quarry("unequal neurons", patience=_SHORT),), zeros=False),
    "fc-leaky-local": Space(_LEAKY, (Quarry("dead neuron", patience=_SHORT),)),
    "fc-leaky-started-local": Space(_LEAKY, (Quarry("dead neuron", patience=_SHORT),), zeros=False),
    "mc-linear2-global": Space(_CLASSES, (Quarry("global gap", patience=_SHORT),)),
}


def space(claim: str, quarry: Quarry, sizes: Sizes, count: int) -> st.SearchStrategy[list[Instance]]:
    """So many instances at once within the sizes, of the architectures that claim and quarry are about."""
    own = SPACES[claim]
    if own.drawn is not None:
        return own.drawn(sizes.points, count)
    return batches(
        [architecture for architecture in own.architectures if architecture in quarry],
        count,
        max_points=sizes.points,
        max_width=sizes.neurons,
        max_dimension=sizes.dimensions,
        zeros=own.zeros,
    )


def within(instance: Instance) -> Iterator[Sizes]:
    """The instance's sizes with one point less, with one neuron less, with one dimension less, and as they are."""
    sizes = Sizes.of(instance)
    for name in ("points", "neurons", "dimensions"):
        count = getattr(sizes, name)
        if count > 1:
            yield replace(sizes, **{name: count - 1})
    yield sizes
