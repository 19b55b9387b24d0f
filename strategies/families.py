"""The families of networks that the claims are checked on: one kind and one activation, of depth 2 or deeper.

A new claim is checked on all families that it speaks of, without being told which, at the depths it speaks of.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from harness.problem.networks import Activation, Network, convolutional, diagonal, fully_connected
from strategies.architectures import ACTIVATIONS, Architecture, Kind

if TYPE_CHECKING:
    from harness.claims.table import Claim

Member = Architecture | Network

# The deepest that is drawn, unless a claim names, or begins at, a deeper one.
_DEEPEST: dict[Kind, int] = {"fully connected": 3, "diagonal": 4}


def _deep_convolution(activation: Activation) -> Network:
    """Depth 3: a filter moved along the input, one moved along its outputs, and a layer that reads them."""
    return Network(activation, (((0, 1, -1), (-1, 0, 1)), ((0, 1), (1, 0)), ((0, 1),)))


def _groups(deepest: int) -> Iterator[tuple[str, tuple[Member, ...]]]:
    """What makes one family, and its name but for the depths; as deep as this, or as is usual."""
    yield "", tuple(fully_connected("linear", (d,)) for d in (1, 2, 3))
    for activation in ACTIVATIONS:
        for kind, usual in _DEEPEST.items():
            deep = range(3, max(usual, deepest) + 1)
            for depths in ((2,), deep):
                yield f"{kind} {activation}, ", tuple(Architecture(kind, activation, depth) for depth in depths)
        yield f"sparse {activation}, ", (Architecture("sparse", activation),)
        yield f"convolutional {activation}, ", (Architecture("convolutional", activation),)
        yield f"convolutional {activation}, ", (_deep_convolution(activation),)


def _named(name: str, members: tuple[Member, ...]) -> str:
    return f"{name}depth {' and '.join(map(str, dict.fromkeys(member.depth for member in members)))}"


FAMILIES = {_named(name, members): members for name, members in _groups(0)}


def families(claim: Claim) -> dict[str, st.SearchStrategy[Any]]:
    """The families that a claim speaks of, by name: strategies for the `networks` of strategies.instances.

    A family of several depths keeps those that the claim speaks of.
    """
    least, most = claim.decided_by.networks.depths
    found: dict[str, st.SearchStrategy[Any]] = {}
    for name, members in _groups(most or least):
        spoken_of = tuple(member for member in members if claim.applies(_example(member)))
        if spoken_of:
            found[_named(name, spoken_of)] = st.sampled_from(spoken_of)
    return found


def _example(member: Architecture | Network) -> Network:
    """One network of an architecture; a claim speaks of all of them or of none."""
    if isinstance(member, Network):
        return member
    if member.kind == "diagonal":
        return diagonal(member.activation, 2, member.depth)
    if member.kind == "convolutional":
        return convolutional(member.activation, 3, 2)
    if member.kind == "sparse":
        return Network(member.activation, (((0, -1), (1, 2)), ((0, 1),)))
    return fully_connected(member.activation, (2,) * member.depth)
