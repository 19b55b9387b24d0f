"""The signs of a limit's pre-activations, for networks of any depth, with or without shared weights.

    "signs": [one array a hidden layer: [one row a margin: [one of -1, 0, 1 a neuron]]], null where nothing has a kink

With one output a margin is a sample.  With several the margins of one sample have the same signs, and gates are chosen
for all of them at once: certificates name them by the first of these margins, whose number is `leaders`.

A limit is irrational as a rule and theta its rounding, so that a pre-activation which vanishes in the limit (a kink)
is tiny in theta: at most 1e-9 of the norms of its weights and its inputs.  The others must have their sign clear
of that.  Where no layer below is trained, nothing is rounded and signs are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from harness.certificates.numbers import Rejected, array, choice
from harness.problem.fields import FieldError
from harness.problem.networks import Network
from harness.problem.numbers import Vector, dot, squared_norm
from harness.problem.places import Place
from harness.problem.problems import Problem

Theta = tuple[Vector, ...]
# signs[layer][margin][neuron], layers and neurons from 0
Signs = tuple[tuple[tuple[int, ...], ...], ...]

TOLERANCE = Fraction(1, 10**9)


def leaders(given: Problem) -> list[int]:
    """For every margin the first one of its sample."""
    first: dict[int, int] = {}
    return [first.setdefault(sample, i) for i, (sample, _) in enumerate(given.rows)]


def named(given: Problem, row: int) -> str:
    """A margin, for messages."""
    sample, other = given.place(row)
    return f"sample {sample}" if other is None else f"sample {sample} against class {other}"


def read_signs(value: object, field: str, given: Problem) -> Signs | None:
    """None where nothing has a kink.  Raises FieldError on a wrong shape, Rejected where a sample has two signs."""
    if not given.network.kinked:
        if value is not None:
            what = "linear network" if given.network.activation == "linear" else "network without hidden layers"
            raise FieldError(field, f"must be null for a {what}")
        return None
    hidden = given.network.widths[1:-1]
    layers = array(value, field, len(hidden))
    signs = tuple(
        tuple(
            tuple(
                choice(sign, f"{field}[{layer}][{i}][{j}]", (-1, 0, 1))
                for j, sign in enumerate(array(row, f"{field}[{layer}][{i}]", width))
            )
            for i, row in enumerate(array(rows, f"{field}[{layer}]", len(given.rows)))
        )
        for layer, (rows, width) in enumerate(zip(layers, hidden, strict=True))
    )
    if any(block[i] != block[first] for block in signs for i, first in enumerate(leaders(given))):
        raise Rejected("the margins of one sample have different signs")
    return signs


def weights(network: Network, theta: Theta, layer: int) -> list[Vector]:
    """The rows of W^(layer + 1); structural zeros are zero."""
    u = theta[layer]
    return [tuple(u[k] if k >= 0 else Fraction(0) for k in row) for row in network.patterns[layer]]


def gated(network: Network, value: Fraction, sign: int) -> Fraction:
    """The activation of a pre-activation with this sign; one that is zero in the limit is passed on as zero."""
    return value if sign > 0 else network.slope * value if sign < 0 else Fraction(0)


def activations(network: Network, theta: Theta, x: Vector, signs: Sequence[tuple[int, ...]] | None) -> Vector:
    """h^l, l = len(signs), with these signs.

    signs: of this sample, one tuple a layer below; an empty tuple for a linear layer.
    """
    h = tuple(x)
    for layer, row in enumerate(signs or ()):
        a = [dot(weight, h) for weight in weights(network, theta, layer)]
        h = tuple(gated(network, v, s) for v, s in zip(a, row, strict=True)) if row else tuple(a)
    return h


def require_signs(given: Problem, theta: Theta, signs: Signs) -> None:
    """Whether theta has these signs, zeros up to TOLERANCE.  Raises Rejected."""
    network = given.network
    for i in sorted(set(leaders(given))):
        sample = given.rows[i][0]
        h = given.x[sample]
        for layer, rows in enumerate(signs):
            matrix = weights(network, theta, layer)
            a = [dot(row, h) for row in matrix]
            size = squared_norm(h)
            tolerance = TOLERANCE if any(network.trained[: layer + 1]) else Fraction(0)
            for j, (value, row) in enumerate(zip(a, matrix, strict=True)):
                sign = rows[i][j]
                small = value**2 <= tolerance**2 * size * squared_norm(row)
                if small != (sign == 0) or value * sign < 0:
                    place = f"the input of {Place(sample, layer, j)}"
                    raise Rejected(f"{place} does not have the sign {sign} in theta")
            h = tuple(gated(network, v, sign) for v, sign in zip(a, rows[i], strict=True))
