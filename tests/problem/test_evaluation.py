"""The evaluation of all points at once against the exact pass of one point, and its gradients against differences."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from harness.problem.evaluation import evaluate
from harness.problem.networks import Network, convolutional, diagonal, fully_connected, preactivations, sparse

NETWORKS = [
    fully_connected("linear", [2, 3, 2]),
    fully_connected("relu", [3, 2]),
    fully_connected("relu", [2, 3, 3]),
    diagonal("relu", 3, 3),
    sparse("relu", [[[1, 0], [1, 1], [0, 0]], [[0, 1, 1]]]),
    convolutional("relu", 4, 2),
    Network("linear", (((0, 0), (1, -1)), ((0, 0),))),
    Network("linear", (((0, 1, 0),),)),
]
BY_NETWORK = pytest.mark.parametrize("network", NETWORKS)


def drawn(network: Network, points: int = 6) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """theta, x and y of small integers, so that zeros and ties are common and floats are exact."""
    rng = np.random.default_rng(sum(network.sizes))
    theta = [rng.integers(-3, 4, size) for size in network.sizes]
    return theta, rng.integers(-2, 3, (points, network.widths[0])), rng.choice([-1, 1], points)


def fractions(values: np.ndarray) -> np.ndarray:
    """A third of each, as an array of Fractions."""
    return np.array([Fraction(int(a), 3) for a in values.flat] + [None], dtype=object)[:-1].reshape(values.shape)


@BY_NETWORK
def test_all_points_at_once_are_each_point_exactly(network: Network) -> None:
    theta, x, _ = drawn(network)
    exact = evaluate(network, [fractions(u) for u in theta], fractions(x))
    for i, row in enumerate(fractions(x)):
        expected = preactivations(network, [list(fractions(u)) for u in theta], list(row))
        assert [list(a[i]) for a in exact.preactivations] == expected
        assert exact.outputs[i, 0] == expected[-1][0]
    assert not any(isinstance(a, float) for layer in exact.preactivations for a in layer.flat)
    floats = evaluate(network, [u.astype(float) for u in theta], x.astype(float))
    for degree, (a, b) in enumerate(zip(floats.preactivations, exact.preactivations, strict=True), start=2):
        assert a.dtype == np.float64
        assert (a.astype(int) == b * 3**degree).all()


@BY_NETWORK
def test_gradients_are_exact_differences_under_the_same_gates(network: Network) -> None:
    # with the gates held, an output is linear in every layer, so that a difference is the derivative
    whole, points, y = drawn(network)
    theta, x = [fractions(u) for u in whole], fractions(points)
    at = evaluate(network, theta, x)
    gradients, heights = at.backward(y[:, None])
    for layer, size in enumerate(network.sizes):
        for k in range(size):
            moved = [u.copy() for u in theta]
            moved[layer][k] += 1
            there = evaluate(network, moved, x, at.gates).outputs[:, 0]
            assert (y * (there - at.outputs[:, 0]) == gradients[:, network.offsets[layer] + k]).all()
    for height, h in zip(heights, at.inputs[1:], strict=True):
        assert ((height * h).sum(axis=1) == at.margins(y[:, None])).all()
    found, _ = evaluate(network, [u.astype(float) for u in whole], points.astype(float)).backward(
        y.astype(float)[:, None]
    )
    # of degree m in theta and x together, less one for the derivative
    assert (found.astype(int) == gradients * 3**network.depth).all()


def test_gates_that_are_given_are_used() -> None:
    network = fully_connected("relu", [1, 2])
    at = evaluate(network, [[1.0, 1.0], [2.0, 3.0]], [[-1.0]], [np.array([[True, False]])])
    assert at.outputs.tolist() == [[-2.0]]
    assert at.backward(np.ones((1, 1)))[0].tolist() == [[-2.0, 0.0, -1.0, 0.0]]


@BY_NETWORK
def test_several_theta_at_once_are_each_of_them(network: Network) -> None:
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((3, network.widths[0])), np.array([1.0, -1.0, 1.0])
    flat = rng.standard_normal((4, sum(network.sizes)))
    every = evaluate(network, network.split(flat), x)
    gradients, _ = every.backward(np.broadcast_to(y[:, None], every.outputs.shape))
    for t, row in enumerate(flat):
        one = evaluate(network, network.split(row), x)
        np.testing.assert_allclose(every.outputs[t], one.outputs, rtol=1e-12)
        np.testing.assert_allclose(gradients[t], one.backward(y[:, None])[0], rtol=1e-12, atol=1e-14)


def test_a_pass_keeps_what_is_not_a_number() -> None:
    assert np.isnan(evaluate(fully_connected("relu", [1, 1]), [[np.nan], [1.0]], [[1.0]]).outputs).all()
