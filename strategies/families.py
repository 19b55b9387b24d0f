"""The families of networks that the claims are checked on: one kind, one activation, one or two depths each.

A new claim is checked on all families that it speaks of, without being told which.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from harness.networks import Activation, Network, convolutional, diagonal, fully_connected
from strategies.architectures import ACTIVATIONS, Architecture, Kind

if TYPE_CHECKING:
    from harness.claims import Claim

_DEPTHS: dict[Kind, tuple[tuple[int, ...], ...]] = {
    "fully connected": ((2,), (3,)),
    "diagonal": ((2,), (3, 4)),
    "sparse": ((2,),),
    "convolutional": ((2,),),
}


def _deep_convolution(activation: Activation) -> Network:
    """Depth 3: a filter moved along the input, one moved along its outputs, and a layer that reads them."""
    return Network(activation, (((0, 1, -1), (-1, 0, 1)), ((0, 1), (1, 0)), ((0, 1),)))


def _families() -> dict[str, tuple[Architecture | Network, ...]]:
    found: dict[str, tuple[Architecture | Network, ...]] = {
        "depth 1": tuple(fully_connected("linear", (d,)) for d in (1, 2, 3)),
    }
    for activation in ACTIVATIONS:
        for kind, groups in _DEPTHS.items():
            for depths in groups:
                name = f"{kind} {activation}, depth {' and '.join(map(str, depths))}"
                found[name] = tuple(Architecture(kind, activation, depth) for depth in depths)
        found[f"convolutional {activation}, depth 3"] = (_deep_convolution(activation),)
    return found


FAMILIES = _families()


def families(claim: Claim) -> dict[str, st.SearchStrategy[Any]]:
    """The families that a claim speaks of, by name: strategies for the `networks` of strategies.instances."""
    return {
        name: st.sampled_from(members)
        for name, members in FAMILIES.items()
        if all(claim.applies(_example(member)) for member in members)
    }


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
