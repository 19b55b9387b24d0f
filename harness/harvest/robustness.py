"""Robustness: does a counterexample survive an open set of starts, and of data?

The start, then each point of the data, is moved by SHIFT of its own norm in a random direction, zeros and ties
included, and the claim is judged again.  A neuron that is off on every point survives that, a saddle held by a symmetry
does not.  This is evidence from samples and no proof: the draws are floats from a stated seed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from harness.claims.judge import judge
from harness.claims.table import CLAIMS
from harness.problem.instances import Instance

SHIFT = 1e-3
SAMPLES = 100
# How many of a hundred have to keep the verdict.
ENOUGH = 95
# What a hunt asks of every candidate before it measures.
GLANCE = 8
SEED = 0


def measure(claim: str, instance: Instance) -> dict[str, Any]:
    """What becomes of the verdict "violated" under SAMPLES changes of either kind, as it is stored.

    {"robust": bool, "shift": 0.001, "seed": 0, "starts": {"drawn": 100, "violated": 93, "holds": 2, "outside": 4,
    "undecided": 1}, "data": {...}}; "outside" has the flows that do not separate the data and the limits that are
    not as the claim assumes.  Robust: at least ENOUGH of either hundred are violated still.
    """
    counts = {
        name: Counter(_outcome(claim, changed) for changed in changes(instance, SEED, SAMPLES))
        for name, changes in (("starts", starts), ("data", data))
    }
    return {
        "robust": all(100 * count["violated"] >= ENOUGH * SAMPLES for count in counts.values()),
        "shift": SHIFT,
        "seed": SEED,
        **{
            name: {"drawn": SAMPLES, **{key: count[key] for key in ("violated", "holds", "outside", "undecided")}}
            for name, count in counts.items()
        },
    }


def glance(instance: Instance, fails: Callable[[Instance], bool]) -> bool:
    """Whether a few changes of either kind all fail as well."""
    return all(fails(changed) for changes in (starts, data) for changed in changes(instance, SEED, GLANCE))


def starts(instance: Instance, seed: int, count: int) -> Iterator[Instance]:
    """The same data from starts at distance SHIFT ||theta0||, in random directions."""
    network = instance.network
    flat = network.flat(instance.theta0_float)
    rng = np.random.default_rng([seed, 1])
    for _ in range(count):
        moved = network.split(_moved(rng, flat))
        layers = zip(moved, network.fixed, strict=True)
        yield replace(instance, theta0=tuple(_exact(u) if fixed is None else fixed for u, fixed in layers))


def data(instance: Instance, seed: int, count: int) -> Iterator[Instance]:
    """The same start, every x_i moved by SHIFT ||x_i||."""
    rng = np.random.default_rng([seed, 2])
    for _ in range(count):
        yield instance.changed(x=tuple(_exact(_moved(rng, row)) for row in instance.x_float))


def _moved(rng: np.random.Generator, row: np.ndarray) -> np.ndarray:
    direction = rng.standard_normal(len(row))
    return row + SHIFT * np.linalg.norm(row) / np.linalg.norm(direction) * direction


def _exact(row: np.ndarray) -> tuple[Fraction, ...]:
    return tuple(map(Fraction, row.tolist()))


def _outcome(claim: str, instance: Instance) -> str:
    return judge(CLAIMS[claim], instance, certify="always").outcome
