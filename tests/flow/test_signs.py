"""The signs of hidden pre-activations at a point, and kinks that lie behind each other."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.flow.compiled.crowd import crowded
from harness.flow.compiled.kernel import wiring
from harness.flow.kinks.gates import Gates
from harness.flow.settling.signs import signs_at
from harness.problem.evaluation import evaluate
from harness.problem.instances import Instance
from harness.problem.networks import Network, convolutional, fully_connected

NETWORKS = {
    "depth 1": fully_connected("linear", (3,)),
    "depth 2": fully_connected("relu", (3, 4)),
    "depth 3": fully_connected("relu", (3, 2, 3)),
    "slope -1": fully_connected("leaky_relu", (3, 4), negative_slope=-1),
    "shared": convolutional("relu", 3, 2),
    "three outputs": fully_connected("relu", (3, 4), outputs=3),
    "linear": fully_connected("linear", (3, 2)),
}


def drawn(network: Network, x: list[list[float]] | None = None) -> tuple[Gates, np.ndarray]:
    """Gates as at the start, and the start (N,)."""
    rng = np.random.default_rng(5)
    theta0 = [rng.standard_normal(size).tolist() for size in network.sizes]
    points = x or rng.standard_normal((4, 3)).tolist()
    y = rng.integers(0, network.outputs, len(points)) if network.outputs > 1 else [1] * len(points)
    instance = Instance.of(network, "exponential", points, [int(k) for k in y], theta0)
    gates = Gates(instance, wiring(network))
    if gates.kinked:
        assert gates.start() == []
    return gates, network.flat(instance.theta0_float)


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_signs_and_margins_are_those_of_the_forward_pass(network: Network) -> None:
    gates, theta = drawn(network)
    problem = gates.instance.problem
    at = evaluate(network, network.split(theta), problem.inputs)
    found = signs_at(gates.cell, theta, float(np.linalg.norm(theta)))
    assert np.allclose(found.q, at.margins(problem.seeds), rtol=1e-12, atol=0.0)
    signs = [np.sign(a) for a in at.preactivations[:-1]]
    assert np.array_equal(found.signs, np.hstack(signs) if signs else np.zeros((len(found.q), 0)))
    assert not any((found.zero, found.doubtful, gates.kinked and found.left))


def test_another_cell_is_told() -> None:
    gates, theta = drawn(NETWORKS["depth 3"])
    for pair in ((0, gates.hidden[0]), (3, gates.hidden[-1])):
        side = 1 if gates.on(pair) else -1
        gates.put(pair, -side)
        # of an input above the flipped one the sign may change with it: that is another cell all the same
        assert signs_at(gates.cell, theta, float(np.linalg.norm(theta))).left
        gates.put(pair, side)


@pytest.mark.parametrize(
    ("input_", "zero", "doubtful"), [(0.0, True, False), (1e-8, False, True), (1e-4, False, False)]
)
def test_what_is_between_zero_and_clear_is_in_doubt(input_: float, zero: bool, doubtful: bool) -> None:
    network = fully_connected("relu", (2, 1))
    instance = Instance.of(network, "exponential", [[1, 1], [1, 0]], [1, 1], [[1, 0], [1]])
    gates = Gates(instance, wiring(network))
    theta = np.array([input_, 1.0, 1.0])
    found = signs_at(gates.cell, theta, math.sqrt(theta @ theta))
    assert (found.zero, found.doubtful, found.left) == (zero, doubtful, False)
    assert found.signs.tolist() == [[1], [int(input_ > 0.0)]]


def test_a_kink_right_behind_another_may_come_first() -> None:
    network = fully_connected("relu", (2, 1))
    rtol = 1e-5

    def asked(behind: float, watched: int = 1, hit: bool = False) -> bool:
        instance = Instance.of(network, "exponential", [[1, 0], [1, behind], [1, 1]], [1, 1, 1], [[0, 1], [1]])
        gates = Gates(instance, wiring(network))
        unit = gates.hidden[0]
        watch, met = np.zeros(gates.gates.shape, dtype=np.int8), np.zeros(gates.gates.shape, dtype=bool)
        watch[0, unit], watch[1, unit], met[0, unit], met[1, unit] = 1, watched, True, hit
        return crowded(gates.cell, network.flat(instance.theta0_float), watch, met, rtol)

    assert asked(1e-7)
    assert not asked(1e-2)
    assert not asked(1e-7, watched=0)
    assert not asked(1e-7, hit=True)
