"""The signs of a limit's pre-activations, for networks of any depth, with or without shared weights.

    "signs": [one array a hidden layer: [one row a margin: [one of -1, 0, 1 a neuron]]], null for linear networks

A limit is irrational as a rule and theta its rounding, so that a pre-activation which vanishes in the limit (a kink)
is tiny in theta: at most 1e-9 of the norms of its weights and its inputs.  The others must have their sign clear
of that.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from harness.certificates.numbers import Rejected, Vector, array, choice, dot, squared_norm
from harness.problem.fields import FieldError
from harness.problem.networks import Network
from harness.problem.problems import Problem

Theta = tuple[Vector, ...]
# signs[layer][sample][neuron], layers and neurons from 0
Signs = tuple[tuple[tuple[int, ...], ...], ...]

TOLERANCE = Fraction(1, 10**9)


def read_signs(value: object, field: str, given: Problem) -> Signs | None:
    """None for linear networks.  Raises FieldError on a wrong shape."""
    if not given.network.kinked:
        if value is not None:
            raise FieldError(field, "must be null for a linear network")
        return None
    hidden = given.network.widths[1:-1]
    layers = array(value, field, len(hidden))
    return tuple(
        tuple(
            tuple(
                choice(sign, f"{field}[{layer}][{i}][{j}]", (-1, 0, 1))
                for j, sign in enumerate(array(row, f"{field}[{layer}][{i}]", width))
            )
            for i, row in enumerate(array(rows, f"{field}[{layer}]", len(given.rows)))
        )
        for layer, (rows, width) in enumerate(zip(layers, hidden, strict=True))
    )


def weights(network: Network, theta: Theta, layer: int) -> list[Vector]:
    """The rows of W^(layer + 1); structural zeros are zero."""
    u = theta[layer]
    return [tuple(u[k] if k >= 0 else Fraction(0) for k in row) for row in network.patterns[layer]]


def activations(network: Network, theta: Theta, x: Vector, signs: Sequence[tuple[int, ...]] | None) -> Vector:
    """h^l, l = len(signs), with these gates: inputs whose sign is 0 are passed on as zeros.

    signs: of this sample, one tuple a layer below; an empty tuple for a linear layer.
    """
    h = tuple(x)
    for layer, row in enumerate(signs or ()):
        a = [dot(weight, h) for weight in weights(network, theta, layer)]
        h = _sided(network, a, row) if row else tuple(a)
    return h


def require_signs(given: Problem, theta: Theta, signs: Signs) -> None:
    """Whether theta has these signs, zeros up to TOLERANCE.  Raises Rejected."""
    network = given.network
    for i, (sample, _) in enumerate(given.rows):
        h = tuple(given.x[sample])
        for layer, rows in enumerate(signs):
            matrix = weights(network, theta, layer)
            a = [dot(row, h) for row in matrix]
            size = squared_norm(h)
            for j, (value, row) in enumerate(zip(a, matrix, strict=True)):
                sign = rows[i][j]
                small = value**2 <= TOLERANCE**2 * size * squared_norm(row)
                if small != (sign == 0) or value * sign < 0:
                    place = f"the input of neuron {j + 1} of layer {layer + 1} on sample {i}"
                    raise Rejected(f"{place} does not have the sign {sign} in theta")
            # Inputs that are zero in the limit are passed on as zeros.
            h = _sided(network, a, rows[i])


def _sided(network: Network, a: Sequence[Fraction], signs: Sequence[int]) -> Vector:
    """The activation of inputs with these signs."""
    slope = {1: Fraction(1), 0: Fraction(0), -1: network.slope}
    return tuple(slope[sign] * v for v, sign in zip(a, signs, strict=True))
