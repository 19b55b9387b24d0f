"""Seeded draws from mixed families of small instances, for the benchmark and the tests of the trainer.

Two kinds: "generic" draws have standard normal numbers, "integer" draws small integers, in which zeros, ties,
parallel inputs and starts on kinks are common.  Three labels in four come from the sign of the start's own output, so
that most draws can separate; the rest are free.  Nothing here looks at how a draw behaves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from harness.problem.instances import Instance
from harness.problem.networks import Activation, Network, convolutional, diagonal, forward, fully_connected, sparse

Kind = Literal["generic", "integer"]

# name -> the network for dimension d and width k
FAMILIES: dict[str, Callable[[int, int], Network]] = {
    "fully connected linear, depth 2": lambda d, k: fully_connected("linear", (d, k)),
    "fully connected linear, depth 3": lambda d, k: fully_connected("linear", (d, k, k)),
    "diagonal linear, depth 2": lambda d, k: diagonal("linear", d, 2),
    "diagonal linear, depth 3": lambda d, k: diagonal("linear", d, 3),
    "convolutional linear, depth 2": lambda d, k: convolutional("linear", d + 1, 2),
    "fully connected relu, depth 2": lambda d, k: fully_connected("relu", (d, k)),
    "diagonal relu, depth 2": lambda d, k: diagonal("relu", d, 2),
    "convolutional relu, depth 2": lambda d, k: convolutional("relu", d + 1, 2),
}


# Further ones, which the suite leaves out: relu networks of more layers, with curved kinks.
DEEP: dict[str, Callable[[int, int], Network]] = {
    "diagonal relu, depth 3": lambda d, k: diagonal("relu", d, 3),
    "fully connected relu, depth 3": lambda d, k: fully_connected("relu", (d, k, k)),
    "fully connected relu, depth 4": lambda d, k: fully_connected("relu", (d, k, k, k)),
}

# Further ones that only the oracles are measured on.
OTHERS: dict[str, Callable[[int, int], Network]] = {
    "sparse linear, depth 2": lambda d, k: _sparse("linear", d, k),
    "sparse relu, depth 2": lambda d, k: _sparse("relu", d, k),
    "diagonal linear, depth 4": lambda d, k: diagonal("linear", d, 4),
    "diagonal relu, depth 4": lambda d, k: diagonal("relu", d, 4),
}


def _sparse(activation: Activation, d: int, k: int) -> Network:
    """Every hidden neuron lacks about a third of the inputs, each another third."""
    return sparse(activation, ([[(r + c) % 3 or d == 1 for c in range(d)] for r in range(k)], [[1] * k]))


def draw(rng: np.random.Generator, family: str, kind: Kind, largest: int = 3) -> Instance:
    """One instance of a family; integers, if any, lie in -largest .. largest."""
    integer = kind == "integer"
    dimension, width = int(rng.integers(1 if integer else 2, 5)), int(rng.integers(1, 5))
    points = int(rng.integers(1 if integer else 2, 7))
    network = {**FAMILIES, **DEEP, **OTHERS}[family](dimension, width)
    rows: list[list[float]] = []
    while len(rows) < points:
        row = _numbers(rng, network.widths[0], integer, largest)
        if any(row):
            rows.append(row)
    theta0 = [_numbers(rng, size, integer, largest) for size in network.sizes]
    if rng.integers(4):
        labels = [1 if forward(network, theta0, row) >= 0 else -1 for row in rows]
    else:
        labels = [int(label) for label in rng.choice([-1, 1], points)]
    loss = "exponential" if rng.integers(4) else "logistic"
    return Instance.of(network, loss, tuple(map(tuple, rows)), tuple(labels), tuple(map(tuple, theta0)))


def suite(seed: int, count: int, kind: Kind, families: list[str] | None = None) -> list[Instance]:
    """count draws, the families in turn; each family has a stream of its own."""
    names = families or list(FAMILIES)
    streams = [np.random.default_rng([seed, kind == "integer", list(FAMILIES).index(name)]) for name in names]
    return [draw(streams[t % len(names)], names[t % len(names)], kind) for t in range(count)]


def _numbers(rng: np.random.Generator, count: int, integer: bool, largest: int) -> list[float]:
    values = rng.integers(-largest, largest + 1, count) if integer else rng.standard_normal(count)
    return [float(v) for v in values]
