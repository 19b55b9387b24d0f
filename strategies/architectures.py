"""Strategies for architectures: networks up to their sizes.

The sizes of a network are not drawn first. They follow from how many coordinates, neurons and points are drawn with
the data and the start (strategies.instances), so that any one of these can be dropped while shrinking.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from hypothesis import strategies as st

from harness.problem.networks import Activation

Kind = Literal["fully connected", "diagonal", "sparse", "convolutional"]
ACTIVATIONS: tuple[Activation, ...] = ("linear", "relu")


@dataclass(frozen=True)
class Architecture:
    """A kind of network, its activation and its depth, at least 2; harness.problem.networks says what the kinds are."""

    kind: Kind
    activation: Activation
    depth: int = 2

    def __post_init__(self) -> None:
        if self.depth < 2:
            raise ValueError("an architecture has depth 2 or more")
        if self.kind in ("sparse", "convolutional") and self.depth != 2:
            raise ValueError(f"{self.kind} networks are drawn at depth 2 only")


Depths = int | Iterable[int]


def fully_connected_networks(
    activation: Activation | None = None, depth: Depths = 2
) -> st.SearchStrategy[Architecture]:
    """Every entry its own parameter.

    activation: None draws both, and shrinks to "linear". depth: one, or several to draw from, and shrinks to the
    first of them.
    """
    return _architectures("fully connected", activation, depth)


def diagonal_networks(activation: Activation | None = None, depth: Depths = 2) -> st.SearchStrategy[Architecture]:
    """One neuron a coordinate in every hidden layer. Arguments as for fully_connected_networks."""
    return _architectures("diagonal", activation, depth)


def sparse_networks(activation: Activation | None = None) -> st.SearchStrategy[Architecture]:
    """Depth 2 without shared weights: every neuron sees a patch of its own, some see nothing or are not heard."""
    return _architectures("sparse", activation, 2)


def convolutional_networks(activation: Activation | None = None) -> st.SearchStrategy[Architecture]:
    """Depth 2, one filter moved along the input: shared weights."""
    return _architectures("convolutional", activation, 2)


def unshared_networks(activation: Activation | None = None, depth: Depths = 2) -> st.SearchStrategy[Architecture]:
    """No shared weights: fully connected first, then diagonal, then sparse (where depth 2 is allowed)."""
    depths = _depths(depth)
    families = [fully_connected_networks(activation, depths), diagonal_networks(activation, depths)]
    if 2 in depths:
        families.append(sparse_networks(activation))
    return st.one_of(families)


def networks(activation: Activation | None = None, depth: Depths = 2) -> st.SearchStrategy[Architecture]:
    """Every kind: without shared weights first, then convolutional (where depth 2 is allowed)."""
    depths = _depths(depth)
    unshared = unshared_networks(activation, depths)
    return unshared | convolutional_networks(activation) if 2 in depths else unshared


def _depths(depth: Depths) -> tuple[int, ...]:
    return (depth,) if isinstance(depth, int) else tuple(depth)


def _architectures(kind: Kind, activation: Activation | None, depth: Depths) -> st.SearchStrategy[Architecture]:
    activations = ACTIVATIONS if activation is None else (activation,)
    return st.sampled_from([Architecture(kind, a, m) for m in _depths(depth) for a in activations])
