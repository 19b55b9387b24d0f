"""Small instances of every depth up to 3, slope, choice of layers that are not trained, number of outputs and loss.

Numbers are standard normal or, every other time, small integers, in which zeros, ties and starts on kinks are common.
Three labels in four are the start's own answer, so that most draws can separate.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np

from harness.problem.instances import Instance, Loss
from harness.problem.networks import fully_connected, preactivations

SLOPES = (Fraction(1, 10), Fraction(1, 2), Fraction(9, 10), Fraction(-1), Fraction(2), Fraction(0), Fraction(1))
FIXED: dict[int, tuple[tuple[int, ...], ...]] = {1: ((),), 2: ((), (1,), (2,)), 3: ((), (1,), (2,), (3,), (1, 3))}
LOSSES: tuple[Loss, ...] = ("exponential", "logistic")
KINDS: list[tuple[int, tuple[int, ...], int, Loss]] = [
    (depth, fixed, outputs, loss)
    for depth, outputs, loss in product((1, 2, 3), (1, 2, 3), LOSSES)
    for fixed in FIXED[depth]
]


def draw(rng: np.random.Generator, kind: int, integer: bool) -> Instance:
    """One instance of a kind, of one of the slopes."""
    depth, fixed, outputs, loss = KINDS[kind]
    widths = [int(rng.integers(2, 4)) for _ in range(depth)]
    points = int(rng.integers(2, 5))
    slope = SLOPES[int(rng.integers(len(SLOPES)))]
    plain = fully_connected("leaky_relu", widths, negative_slope=slope, outputs=outputs)
    theta0 = [_numbers(rng, size, integer) for size in plain.sizes]
    x = [_numbers(rng, widths[0], integer) for _ in range(points)]
    network = plain.fixing({layer: theta0[layer - 1] for layer in fixed})
    y: list[int] = []
    for row in x:
        phi = preactivations(network, theta0, row)[-1]
        own = int(np.argmax(phi)) if outputs > 1 else 1 if phi[0] >= 0 else -1
        free = int(rng.integers(outputs)) if outputs > 1 else int(rng.choice([-1, 1]))
        y.append(own if rng.integers(4) else free)
    return Instance.of(network, loss, x, y, theta0)


def varied(seed: int, count: int) -> list[Instance]:
    """count draws, the kinds in turn."""
    rng = np.random.default_rng(seed)
    return [draw(rng, k % len(KINDS), bool(k // len(KINDS) % 2)) for k in range(count)]


def _numbers(rng: np.random.Generator, count: int, integer: bool) -> list[float]:
    """Not all of them zero."""
    numbers = rng.integers(-3, 4, count).astype(float) if integer else rng.standard_normal(count)
    return numbers.tolist() if numbers.any() else _numbers(rng, count, integer)
