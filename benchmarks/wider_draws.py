"""Seeded draws of networks with slopes, with layers that are fixed, and with several outputs.

Floats or small integers, as in families.py; three labels in four are the start's own.  Nothing here looks at how a draw
behaves.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np

from harness.problem.instances import Instance, Loss
from harness.problem.networks import Network, convolutional, diagonal, fully_connected, preactivations

SLOPES = tuple(map(Fraction, ("1/10", "1/2", "9/10", "-1")))
CLASSES = 3
LARGEST = 3  # of the integers

Builder = Callable[[np.random.Generator], Network]


def _of_two_layers(slope: Fraction) -> Builder:
    def build(rng: np.random.Generator) -> Network:
        d, k = int(rng.integers(1, 4)), int(rng.integers(1, 5))
        match int(rng.integers(5)):
            case 0:
                return diagonal("leaky_relu", d + 1, 2, negative_slope=slope)
            case 1:
                return convolutional("leaky_relu", d + 1, 2, negative_slope=slope)
            case _:
                return fully_connected("leaky_relu", (d, k), negative_slope=slope)

    return build


def _of_three_layers(rng: np.random.Generator) -> Network:
    d, k, slope = int(rng.integers(1, 4)), int(rng.integers(1, 3)), SLOPES[rng.integers(len(SLOPES))]
    if rng.integers(2):
        return diagonal("leaky_relu", d, 3, negative_slope=slope)
    return fully_connected("leaky_relu", (d, k, k), negative_slope=slope)


def _slope(rng: np.random.Generator) -> Fraction:
    """Of relu in two of five draws."""
    return ((Fraction(0),) * 2 + (Fraction(1, 10), Fraction(1, 2), Fraction(-1)))[rng.integers(5)]


def _last_fixed(rng: np.random.Generator) -> Network:
    d, k = int(rng.integers(1, 4)), int(rng.integers(2, 5))
    signs = [int(s) for s in rng.choice([-1, 1], k)]
    return fully_connected("leaky_relu", (d, k), negative_slope=_slope(rng), fixed={2: signs})


def _first_fixed(rng: np.random.Generator) -> Network:
    """Random features, below one or two layers that are trained."""
    d, k = int(rng.integers(1, 4)), int(rng.integers(2, 4))
    widths = (d, k) if rng.integers(2) else (d, k, 2)
    features = [int(a) for a in rng.integers(-LARGEST, LARGEST + 1, d * k)]
    return fully_connected("leaky_relu", widths, negative_slope=_slope(rng), fixed={1: features})


def _one_layer_of_classes(rng: np.random.Generator) -> Network:
    return fully_connected("linear", (int(rng.integers(1, 4)),), outputs=CLASSES)


def _two_layers_of_classes(rng: np.random.Generator) -> Network:
    d, k = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    slope = (Fraction(1), Fraction(0), Fraction(1, 2))[rng.integers(3)]
    if rng.integers(4):
        return fully_connected("leaky_relu", (d, k), negative_slope=slope, outputs=CLASSES)
    return diagonal("leaky_relu", d + 1, 2, negative_slope=slope, outputs=CLASSES)


def _any_classes(rng: np.random.Generator) -> Network:
    return (_two_layers_of_classes if rng.integers(3) else _one_layer_of_classes)(rng)


KINDS: dict[str, Builder] = {
    **{f"slope {slope}": _of_two_layers(slope) for slope in SLOPES},
    "slopes, depth 3": _of_three_layers,
    "last layer fixed": _last_fixed,
    "first layer fixed": _first_fixed,
    "classes, depth 1": _one_layer_of_classes,
    "classes, depth 2": _two_layers_of_classes,
    "cross entropy": _any_classes,
}


def draw(rng: np.random.Generator, kind: str, *, integer: bool) -> Instance:
    """One instance of a kind."""
    network = KINDS[kind](rng)
    points = int(rng.integers(1 if integer else 2, 5))
    x: list[tuple[float, ...]] = []
    while len(x) < points:
        row = _numbers(rng, network.widths[0], integer)
        if any(row):
            x.append(row)
    theta0 = [
        _numbers(rng, size, integer) if row is None else tuple(map(float, row))
        for size, row in zip(network.sizes, network.fixed, strict=True)
    ]
    own = [_own_label(network, theta0, row) for row in x]
    free = [int(label) for label in rng.choice([-1, 1] if network.outputs == 1 else network.outputs, points)]
    loss: Loss = "logistic" if kind == "cross entropy" or not rng.integers(4) else "exponential"
    if kind.startswith("classes"):
        loss = "exponential"
    return Instance.of(network, loss, tuple(x), own if rng.integers(4) else free, tuple(theta0))


def _own_label(network: Network, theta0: list[tuple[float, ...]], x: tuple[float, ...]) -> int:
    outputs = preactivations(network, theta0, x)[-1]
    return (1 if outputs[0] >= 0 else -1) if network.outputs == 1 else int(np.argmax(outputs))


def _numbers(rng: np.random.Generator, count: int, integer: bool) -> tuple[float, ...]:
    if integer:
        return tuple(float(k) for k in rng.integers(-LARGEST, LARGEST + 1, count))
    return tuple(float(a) for a in rng.standard_normal(count))
