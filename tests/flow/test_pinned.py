"""A neuron at w = 0, on the kinks of all points, of which some push it back and others away."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy.optimize import nnls

from benchmarks.wide import draw as wide
from harness import drive
from harness.flow.compiled.field import look
from harness.flow.compiled.kernel import wiring
from harness.flow.follow import follow
from harness.flow.kinks.gates import Gates
from harness.flow.kinks.pinned import pull
from harness.flow.undecided import PINNED
from harness.problem.instances import Instance
from harness.problem.networks import fully_connected
from tests.support.integrations import margins_and_gradients

# A point of label 1 in the midst of points of label -1, and one of these opposite to it.
AMONG: Any = ((1, 0), (1, 1), (1, -1), (-2, 1))
LABELS = (1, -1, -1, -1)
# What separates them: a neuron for the first, and one for each of the others.
OTHERS: Any = ((1, 0), (-1, 3), (-1, -3), (-2, 1))
OUT: Any = (1, -1, -1, -1)


def among(neurons: tuple[Any, ...], out: tuple[Any, ...]) -> Instance:
    network = fully_connected("relu", (2, len(neurons)))
    return Instance.of(network, "exponential", AMONG, LABELS, (tuple(v for row in neurons for v in row), out))


def test_the_pull_is_the_greatest_of_all_directions() -> None:
    signs = set[tuple[bool, bool]]()
    for seed, slope in product(range(60), ("0", "1/10", "2", "-1")):
        rng = np.random.default_rng([3, seed])
        n = int(rng.integers(3, 9))
        network = fully_connected("leaky_relu", (2, 2), negative_slope=Fraction(slope))
        x, y = rng.standard_normal((n, 2)), rng.choice([-1, 1], n)
        weights = (0.0, 0.0, *rng.standard_normal(2)), tuple(rng.standard_normal(2).tolist())
        instance = Instance.of(network, "exponential", x.tolist(), y.tolist(), weights)
        gates = Gates(instance, wiring(network))
        gates.start()
        theta = network.flat(instance.theta0_float)
        found = pull(gates, theta, gates.first.start)
        drive_of = look(gates.cell, theta).p * y * weights[1][0]
        angles = np.linspace(0.0, 2.0 * np.pi, 20000)
        ways = np.column_stack([np.cos(angles), np.sin(angles)])
        inputs = ways @ x.T
        terms = np.abs(drive_of) @ np.linalg.norm(x, axis=1)
        greatest = (np.maximum(inputs, 0.0) + float(Fraction(slope)) * np.minimum(inputs, 0.0)) @ drive_of / terms
        # on unit vectors G, relative to its terms, changes by less than they do
        assert 0.0 <= found.greatest - greatest.max() + 1e-12 <= np.pi / len(angles) * 2.0
        speeds = (np.where(inputs > 0.0, 1.0, float(Fraction(slope))) * drive_of) @ x / terms
        distance = nnls(np.vstack([speeds.T, 1e3 * np.ones(len(speeds))]), np.array([0.0, 0.0, 1e3]))[1]
        assert found.mean == (distance < 1e-9)
        signs.add((found.greatest > 0.0, found.mean))
    # where all lead back zero is a mean
    assert signs == {(True, True), (True, False), (False, True)}


def test_it_stays_as_long_as_all_directions_lead_back() -> None:
    """Until then the flow is that without it, and then point 0 weighs as much as its neighbours: v p_0 = v (p_1 + p_2)
    at w = (1, 0). There it may stay or leave.
    """
    limit = follow(among((*OTHERS, (0, 0)), (*OUT, Fraction(1, 2))))
    assert limit.reason[1:-1] == PINNED[1:]
    without = among(OTHERS, OUT)
    path = follow(without, record=True).path
    assert path is not None
    assert limit.log_norm is not None
    norms = np.exp(path["log_norm"])
    margins = np.array(
        [margins_and_gradients(without, r * d)[0] for r, d in zip(norms, path["direction"], strict=True)]
    )
    p = np.exp(margins.min(axis=1, keepdims=True) - margins)
    left = int(np.argmax(p[:, 0] > p[:, 1] + p[:, 2]))
    assert left > 3
    with_it = np.sqrt(norms**2 + 0.25)
    assert with_it[left - 1] <= np.exp(limit.log_norm) <= with_it[left + 1]


def test_where_nothing_else_moves_it_stays_for_ever() -> None:
    limit = follow(among(((0, 0),), (1,)))
    assert limit.status == "never_separates", limit.reason


@pytest.mark.parametrize("seed", [510, 1114])
def test_wide_networks_may_leave(seed: int) -> None:
    assert follow(wide((2, 20, 20), seed)).reason[1:-1] == PINNED[1:]


def test_batches_do_not_look_and_say_so() -> None:
    (limit,) = drive([among((*OTHERS, (0, 0)), (*OUT, Fraction(1, 2)))], device="cpu:0")
    assert limit.reason.startswith("A kink is degenerate: those that hold the flow")
