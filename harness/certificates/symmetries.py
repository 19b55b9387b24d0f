"""Rotations of two hidden neurons of one layer into each other, which change neither the network nor |theta|.

Two neurons of one layer with trained parameters of their own and the same connections, and with the same gates on every
sample that is looked at, can be turned into each other: the rows of W^l that belong to them turn, and the columns of
W^(l+1) with them.  The motion of theta is linear, theta' = A theta with A skew and of norm 1; A theta is the tangent.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from harness.certificates.numbers import Rejected, array
from harness.certificates.places import read_neuron
from harness.problem.fields import FieldError
from harness.problem.networks import Network
from harness.problem.numbers import Vector
from harness.problem.places import layer_name, neuron_name

Rotation = tuple[int, int, int]
"""(hidden layer, neuron, neuron), from 0."""


def read_rotations(value: object, field: str, network: Network) -> list[Rotation]:
    """[[layer, neuron, neuron], ...], all from 1.  Raises FieldError."""
    out: list[Rotation] = []
    for e, entry in enumerate(array(value, field)):
        at = f"{field}[{e}]"
        layer, *both = array(entry, at, 3)
        j, k = (read_neuron(layer, neuron, at, at, network) for neuron in both)
        if j == k:
            raise FieldError(at, "a neuron cannot be rotated into itself")
        out.append((j.layer, j.neuron, k.neuron))
    return out


def pairs(network: Network, rotation: Rotation) -> list[tuple[int, int]] | None:
    """The pairs (a, b) of flat parameters that turn into each other; None where the two cannot be turned."""
    layer, j, k = rotation
    offsets = network.offsets
    if not all(network.trained[layer : layer + 2]):
        return None
    above = network.patterns[layer + 1]
    found: list[tuple[int, int]] = []
    for at, first, second in (
        (layer, network.patterns[layer][j], network.patterns[layer][k]),
        (layer + 1, [row[j] for row in above], [row[k] for row in above]),
    ):
        for a, b in zip(first, second, strict=True):
            if (a < 0) != (b < 0) or any(p >= 0 and p not in network.lone[at] for p in (a, b)):
                return None
            if a >= 0:
                found.append((offsets[at] + a, offsets[at] + b))
    return found


def tangent(network: Network, flat: Sequence[Fraction], rotation: Rotation) -> Vector:
    """A theta.  Raises Rejected where the two neurons cannot be turned into each other."""
    turned = pairs(network, rotation)
    if turned is None:
        layer, j, k = rotation
        raise Rejected(f"{neuron_name(j, k)} of {layer_name(layer)} cannot be rotated")
    out = [Fraction(0)] * len(flat)
    for a, b in turned:
        out[a], out[b] = -flat[b], flat[a]
    return tuple(out)


def rotations(network: Network) -> list[Rotation]:
    """Every pair of neurons with parameters of their own and the same connections."""
    every = [
        (layer, j, k)
        for layer, width in enumerate(network.widths[1:-1])
        for j in range(width)
        for k in range(j + 1, width)
    ]
    return [rotation for rotation in every if pairs(network, rotation) is not None]
