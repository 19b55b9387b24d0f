"""Exact gradients with given gates, for networks of any depth, with or without shared weights.

With a gate at every hidden neuron, the slope that its activation has or one between the two, q and every pre-activation
are polynomials in theta; what is computed here are their gradients in the trained parameters at rational points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from harness.certificates.signs import Signs, Theta, weights
from harness.problem.networks import Network
from harness.problem.numbers import Vector, dot

Gates = Mapping[tuple[int, int], Fraction | int]
"""(layer, neuron), both from 0, to the slope there; 1 where a place is left out."""


def gate_of(network: Network, on: bool) -> Fraction | int:
    """The slope on this side."""
    return 1 if on else network.slope


def side_of(network: Network) -> int:
    """1 where the activation lies above the lines between its two slopes (convex), -1 where below, 0 where on them."""
    return (network.slope < 1) - (network.slope > 1)


def unit(network: Network, neuron: tuple[int, int], side: int = 1) -> tuple[int, ...]:
    """The seed of one pre-activation (layer, neuron), from 0."""
    layer, j = neuron
    return tuple(side * (r == j) for r in range(len(network.patterns[layer])))


def forward(network: Network, theta: Theta, x: Vector, gates: Gates, last: int) -> list[Vector]:
    """The inputs of layers 0 .. last."""
    inputs = [tuple(x)]
    for layer in range(last):
        a = [dot(row, inputs[-1]) for row in weights(network, theta, layer)]
        inputs.append(tuple(gates.get((layer, j), 1) * value for j, value in enumerate(a)))
    return inputs


def backward(network: Network, theta: Theta, gates: Gates, last: int, seed: Sequence[int]) -> list[Vector]:
    """The slopes of seed . (pre-activations of layer `last`) at the pre-activations of layers 0 .. last."""
    back = [tuple(Fraction(s) for s in seed)]
    for layer in range(last, 0, -1):
        matrix = weights(network, theta, layer)
        columns = range(len(matrix[0]))
        slopes = [
            sum((slope * row[c] for slope, row in zip(back[0], matrix, strict=True) if slope), start=Fraction(0))
            for c in columns
        ]
        back.insert(0, tuple(gates.get((layer - 1, c), 1) * slope for c, slope in enumerate(slopes)))
    return back


def gradient(network: Network, theta: Theta, x: Vector, gates: Gates, last: int, seed: Sequence[int]) -> Vector:
    """The gradient (trained parameters, flat) of seed . (pre-activations of layer `last`, from 0)."""
    inputs, back = forward(network, theta, x, gates, last), backward(network, theta, gates, last, seed)
    blocks = [[Fraction(0)] * size for size in network.sizes]
    for layer, (slopes, h) in enumerate(zip(back, inputs, strict=True)):
        for slope, row in zip(slopes, network.patterns[layer], strict=True):
            if slope and network.trained[layer]:
                for k, value in zip(row, h, strict=True):
                    if k >= 0 and value:
                        blocks[layer][k] += slope * value
    return tuple(v for block in network.of_trained(blocks) for v in block)


def sign_gates(network: Network, signs: Signs | None, row: int) -> dict[tuple[int, int], Fraction | int]:
    """The gates of one margin that its signs give; none at kinks."""
    return {
        (layer, j): gate_of(network, sign > 0)
        for layer, block in enumerate(signs or ())
        for j, sign in enumerate(block[row])
        if sign
    }


def kinks_of(signs: Signs | None, row: int) -> list[tuple[int, int]]:
    """(layer, neuron) of the zeros among one margin's signs, from 0."""
    return [(layer, j) for layer, block in enumerate(signs or ()) for j, s in enumerate(block[row]) if not s]


def cut_off(network: Network, gates: Gates, neuron: tuple[int, int]) -> bool:
    """Whether every connection from a hidden neuron to an output, whatever its weights, leads through a gate of 0."""
    layer, live = neuron[0], {neuron[1]}
    for above in range(layer + 1, network.depth):
        live = {r for r, row in enumerate(network.patterns[above]) if any(row[j] >= 0 for j in live)}
        live = {r for r in live if gates.get((above, r), 1) != 0}
    return not live


def heard(network: Network, theta: Theta, signs: Signs | None, row: int) -> list[Sequence[bool]]:
    """For every hidden layer, which neurons have a path to an output through nonzero weights and slopes."""
    above = [True] * network.outputs
    out: list[Sequence[bool]] = []
    for layer in range(network.depth - 1, 0, -1):
        matrix = weights(network, theta, layer)
        if layer < network.depth - 1 and signs is not None and not network.slope:
            above = [ok and signs[layer][row][r] >= 0 for r, ok in enumerate(above)]
        columns = range(len(matrix[0]))
        above = [any(ok and line[c] != 0 for ok, line in zip(above, matrix, strict=True)) for c in columns]
        out.insert(0, above)
    return out
