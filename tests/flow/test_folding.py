"""Fixed first layers are folded into the points: the flow is that of what they make of them, to the bit."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from benchmarks import wider_draws
from harness.flow import follow
from harness.flow.folding import fold
from harness.problem.evaluation import evaluate
from harness.problem.instances import Instance
from harness.problem.networks import Network, fully_connected, preactivations
from harness.problem.points import Point


def drawn(count: int) -> list[Instance]:
    rng = np.random.default_rng(71)
    return [wider_draws.draw(rng, "first layer fixed", integer=k % 2 == 1) for k in range(count)]


def by_hand(instance: Instance) -> Instance:
    """The network without its first layer, on sigma(W^1 x)."""
    network, slope = instance.network, instance.network.slope
    first = [preactivations(network, instance.theta0, x)[0] for x in instance.x]
    points = [[max(a, 0) + slope * min(a, 0) for a in row] for row in first]
    rest = Network(network.activation, network.patterns[1:], network.negative_slope)
    return Instance.of(rest, instance.loss, points, instance.y, instance.theta0[1:])


def test_the_flow_is_that_of_the_features() -> None:
    converged = lost = 0
    for instance in drawn(80):
        folded = fold(instance)
        limit = follow(instance, record=True)
        if folded.instance is None:
            lost += 1
            assert limit.status == "never_separates"
            assert f"send point {folded.lost} to zero" in limit.reason
            assert not any(max(a, instance.network.slope * a) for a in _features(instance, folded.lost))
            continue
        shallow = follow(by_hand(instance), record=True)
        assert (limit.status, limit.reason, limit.value) == (shallow.status, shallow.reason, shallow.value)
        assert limit.instance is instance
        assert [{**event, "layer": event["layer"] - 1} for event in limit.events] == list(shallow.events)
        if limit.point is None:
            continue
        converged += 1
        assert limit.path is not None
        assert shallow.path is not None
        np.testing.assert_array_equal(limit.path["direction"], shallow.path["direction"])
        _assert_a_point_of_the_whole(limit.point, instance)
    assert converged >= 40
    assert lost >= 3


def _features(instance: Instance, point: int) -> list[Fraction]:
    return preactivations(instance.network, instance.theta0, instance.x[point])[0]


def _assert_a_point_of_the_whole(point: Point, instance: Instance) -> None:
    """Margins, signs and zeros are those of the whole network, evaluated without folding."""
    problem, network = instance.problem, instance.network
    assert point.problem is problem
    np.testing.assert_array_equal(point.theta[0], instance.theta0_float[0])
    gates = [own > 0 for own in point.signs]
    own = evaluate(network, point.theta, problem.inputs, gates)
    np.testing.assert_allclose(own.margins(problem.seeds), point.margins, rtol=1e-9)
    flat = network.flat(point.theta)
    assert point.value == pytest.approx(0.5 * flat @ flat, rel=1e-12)
    for row, (sample, _) in enumerate(problem.rows):
        exact = [(a > 0) - (a < 0) for a in _features(instance, sample)]
        assert point.signs[0][row].tolist() == exact
    if network.kinked:
        zeros = {(i, layer, j) for layer, own in enumerate(point.signs) for i, j in np.argwhere(own == 0)}
        assert {kink.place for kink in point.kinks} <= zeros
    for kink in point.kinks:
        low, high = sorted((float(network.slope), 1.0))
        assert low <= kink.coefficient <= high
    # the same point, brought
    again = Point.at(problem, [u.tolist() for u in point.theta])
    assert again.value == pytest.approx(point.value, rel=1e-9)
    assert again.residual < 1e-7


def test_two_fixed_layers_are_folded() -> None:
    half = Fraction(1, 2)
    network = fully_connected("leaky_relu", (2, 2, 1), negative_slope=half, fixed={1: (1, -1, 2, 1), 2: (-1, 3)})
    instance = Instance.of(network, "exponential", ((1, 2), (2, 1)), (1, 1), ((1, -1, 2, 1), (-1, 3), (5,)))
    # the features are (-1/2, 4) and (1, 5), then 25/2 and 14
    limit = follow(instance)
    assert limit.status == "converged", limit.reason
    assert limit.theta is not None
    assert limit.theta[2][0] == pytest.approx(2 / 25, rel=1e-12)
    assert limit.value == pytest.approx(0.5 * (2 / 25) ** 2, rel=1e-12)
    assert limit.point is not None
    assert [own.tolist() for own in limit.point.signs] == [[[-1, 1], [1, 1]], [[1], [1]]]


def test_a_point_on_a_fixed_kink_has_it_in_the_limit() -> None:
    network = fully_connected("relu", (2, 2), fixed={1: (1, -1, 1, 1)})
    instance = Instance.of(network, "exponential", ((1, 1), (3, 1)), (1, 1), ((1, -1, 1, 1), (1, 1)))
    limit = follow(instance)
    assert limit.point is not None
    assert [kink.place for kink in limit.point.kinks] == [(0, 0, 0)]
    assert limit.theta is not None
    # features (0, 2) and (2, 4): v = (0, 1/2)
    np.testing.assert_allclose(limit.theta[1], [0.0, 0.5], atol=1e-9)
    assert limit.value == pytest.approx(1 / 8, rel=1e-9)


def test_a_point_that_is_sent_to_zero_never_separates() -> None:
    network = fully_connected("relu", (2, 2), fixed={1: (1, 0, 0, 1)})
    limit = follow(Instance.of(network, "logistic", ((1, 2), (-1, -1)), (1, 1), ((1, 0, 0, 1), (1, 1))))
    assert limit.status == "never_separates"
    assert limit.reason == "The layers that are fixed send point 1 to zero, so that its margin stays 0."
    assert limit.log_norm is None
