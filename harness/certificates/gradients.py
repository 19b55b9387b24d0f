"""Exact gradients with given gates, for networks of any depth, with or without shared weights.

With a gate factor a in [0, 1] at every hidden neuron, q and every pre-activation are polynomials in theta; what is
computed here are their gradients at rational points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from harness.certificates.numbers import Vector, dot
from harness.certificates.signs import Signs, Theta, weights
from harness.problem.networks import Network

Gates = Mapping[tuple[int, int], Fraction | int]
"""(layer, neuron), both from 0, to the factor; on where a place is left out."""


def forward(network: Network, theta: Theta, x: Vector, gates: Gates, last: int) -> list[Vector]:
    """The inputs of layers 0 .. last."""
    inputs = [tuple(x)]
    for layer in range(last):
        a = [dot(row, inputs[-1]) for row in weights(network, theta, layer)]
        inputs.append(tuple(gates.get((layer, j), 1) * value for j, value in enumerate(a)))
    return inputs


def backward(network: Network, theta: Theta, gates: Gates, top: tuple[int, int]) -> list[Vector]:
    """The slopes of pre-activation top = (layer, neuron) at the pre-activations of layers 0 .. top's own."""
    last, neuron = top
    back = [tuple(Fraction(int(r == neuron)) for r in range(len(network.patterns[last])))]
    for layer in range(last, 0, -1):
        matrix = weights(network, theta, layer)
        columns = range(len(matrix[0]))
        slopes = [
            sum((slope * row[c] for slope, row in zip(back[0], matrix, strict=True) if slope), start=Fraction(0))
            for c in columns
        ]
        back.insert(0, tuple(gates.get((layer - 1, c), 1) * slope for c, slope in enumerate(slopes)))
    return back


def gradient(network: Network, theta: Theta, x: Vector, gates: Gates, top: tuple[int, int]) -> Vector:
    """The gradient (all parameters, flat) of pre-activation top = (layer, neuron), both from 0; (m - 1, 0) is Phi."""
    inputs, back = forward(network, theta, x, gates, top[0]), backward(network, theta, gates, top)
    blocks = [[Fraction(0)] * size for size in network.sizes]
    for layer, (slopes, h) in enumerate(zip(back, inputs, strict=True)):
        for slope, row in zip(slopes, network.patterns[layer], strict=True):
            if slope:
                for k, value in zip(row, h, strict=True):
                    if k >= 0 and value:
                        blocks[layer][k] += slope * value
    return tuple(v for block in blocks for v in block)


def sign_gates(signs: Signs | None, sample: int) -> dict[tuple[int, int], int]:
    """The gates of one sample that its signs give: 1 on, 0 off; none at kinks."""
    return {
        (layer, j): int(sign > 0)
        for layer, block in enumerate(signs or ())
        for j, sign in enumerate(block[sample])
        if sign
    }


def kinks_of(signs: Signs | None, sample: int) -> list[tuple[int, int]]:
    """(layer, neuron) of the zeros among one sample's signs, from 0."""
    return [(layer, j) for layer, block in enumerate(signs or ()) for j, s in enumerate(block[sample]) if not s]


def cut_off(network: Network, gates: Gates, neuron: tuple[int, int]) -> bool:
    """Whether every connection from a hidden neuron to the output, whatever its weights, leads through a gate of 0."""
    layer, live = neuron[0], {neuron[1]}
    for above in range(layer + 1, network.depth):
        live = {r for r, row in enumerate(network.patterns[above]) if any(row[j] >= 0 for j in live)}
        live = {r for r in live if gates.get((above, r), 1) != 0}
    return not live


def heard(network: Network, theta: Theta, signs: Signs | None, sample: int) -> list[Sequence[bool]]:
    """For every hidden layer, which neurons have a path to the output through nonzero weights and gates not off."""
    above = [True]
    out: list[Sequence[bool]] = []
    for layer in range(network.depth - 1, 0, -1):
        matrix = weights(network, theta, layer)
        if layer < network.depth - 1 and signs is not None:
            above = [ok and signs[layer][sample][r] >= 0 for r, ok in enumerate(above)]
        above = [any(ok and row[c] != 0 for ok, row in zip(above, matrix, strict=True)) for c in range(len(matrix[0]))]
        out.insert(0, above)
    return out
