"""The families of networks that the claims are checked on: one kind and one activation, of depth 2 or deeper.

A new claim is checked on all families that it speaks of, without being told which, at the depths it speaks of.
Those of other slopes, with fixed layers, several outputs or biases have every kind and slope in one, and are for claims
that speak of all of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from harness.problem.networks import (
    Activation,
    Network,
    circulant,
    convolutional,
    diagonal,
    fully_connected,
    sparse,
)
from strategies.architectures import (
    ACTIVATIONS,
    CLASSES,
    Architecture,
    Kind,
    biased_members,
    fixed_members,
    leaky_members,
    multiclass_members,
)

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


def _beyond() -> Iterator[tuple[str, tuple[Member, ...]]]:
    """The families that only claims on every network are checked on."""
    every: tuple[Kind, ...] = ("fully connected", "diagonal", "sparse", "convolutional")
    for depth, kinds in ((2, every), (3, every[:2])):
        yield "leaky, ", tuple(one for kind in kinds for one in leaky_members(kind, (depth,)))
    for depth in (2, 3):
        yield "fixed, ", fixed_members((depth,))
    yield "classes, ", tuple(fully_connected("linear", (d,), outputs=k) for k in CLASSES for d in (1, 2, 3))
    for depth in (2, 3):
        yield "classes, ", multiclass_members((depth,))
    yield "biased, ", biased_members((2, 3))


FAMILIES = {_named(name, members): members for name, members in (*_groups(0), *_beyond())}


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
    for name, members in _beyond():
        if all(claim.applies(_example(member)) for member in members):
            found[_named(name, members)] = st.sampled_from(members)
    return found


def _example(member: Architecture | Network) -> Network:
    """One network of an architecture; a claim speaks of all of them or of none."""
    if isinstance(member, Network):
        return member
    slope, classes = member.slope, member.outputs
    if member.kind == "diagonal":
        network = diagonal(member.activation, 2, member.depth, negative_slope=slope, outputs=classes)
    elif member.kind == "convolutional":
        network = convolutional(member.activation, 3, 2, negative_slope=slope, outputs=classes)
    elif member.kind == "circulant":
        network = circulant(member.activation, 3, negative_slope=slope, outputs=classes)
    elif member.kind == "sparse":
        network = sparse(member.activation, (((1, 0), (1, 1)), ((1, 1),) * classes), negative_slope=slope)
    else:
        network = fully_connected(member.activation, (2,) * member.depth, negative_slope=slope, outputs=classes)
    return network.fixing({layer: (1,) * network.sizes[layer - 1] for layer in member.fixed})
