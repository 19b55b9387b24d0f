"""Slopes, layers that are not trained and several outputs: limits that are known, and what must be as it was."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from benchmarks.families import draw
from harness.flow import follow
from harness.flow.invariants.modular import split
from harness.problem.instances import Instance, Loss
from harness.problem.networks import Activation, diagonal, fully_connected

SLOPES = [Fraction(1, 10), Fraction(1, 2), Fraction(9, 10)]
LOSSES: tuple[Loss, ...] = ("exponential", "logistic")


# --- what a slope is ---


@pytest.mark.parametrize(("slope", "activation"), [(0, "relu"), (1, "linear")])
def test_a_slope_of_zero_is_relu_and_of_one_linear(slope: int, activation: Activation) -> None:
    for widths in ((2, 2), (3, 2, 2)):
        assert fully_connected("leaky_relu", widths, negative_slope=slope) == fully_connected(activation, widths)
    rng = np.random.default_rng([81, slope])
    for k in range(10):
        instance = draw(rng, f"fully connected {activation}, depth 2", "integer" if k % 2 else "generic")
        network = fully_connected("leaky_relu", instance.network.widths[:-1], negative_slope=slope)
        one, other = follow(instance, record=True), follow(instance.changed(network=network), record=True)
        assert (one.status, one.reason, one.value) == (other.status, other.reason, other.value)
        assert one.events == other.events
        if one.path is not None and other.path is not None:
            np.testing.assert_array_equal(one.path["direction"], other.path["direction"])


@pytest.mark.parametrize("slope", [*SLOPES, Fraction(-1), Fraction(2)])
def test_a_network_whose_gates_never_change_is_a_linear_one(slope: Fraction) -> None:
    """One coordinate on, one off: of its points' second coordinates times the slope, a diagonal linear network."""
    x, y = ((3, -1), (2, -2)), (1, 1)
    theta0 = ((1, 1), (1, -1 if slope > 0 else 1))
    network = diagonal("leaky_relu", 2, 2, negative_slope=slope)
    bent = follow(Instance.of(network, "exponential", x, y, theta0), record=True)
    turned = tuple((a, slope * b) for a, b in x)
    plain = follow(Instance.of(diagonal("linear", 2, 2), "exponential", turned, y, theta0), record=True)
    assert bent.status == plain.status == "converged", bent.reason
    assert not bent.events
    assert bent.value == pytest.approx(plain.value, rel=1e-9)
    assert bent.path is not None
    assert plain.path is not None
    early = bent.path["sigma"] < 1.0
    np.testing.assert_allclose(bent.path["direction"][early], plain.path["direction"][: early.sum()], rtol=1e-9)


# --- outputs that are fixed ---


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("slope", SLOPES)
def test_orthogonal_data_and_fixed_outputs(slope: Fraction, loss: Loss) -> None:
    """lambda_i = 1 / (||x_i||^2 (m_s + slope^2 m_o)), m_s outputs of the label's sign and m_o others; no kinks."""
    x, y = ((2, 0, 0), (0, 1, 0), (0, 0, 3)), (1, -1, 1)
    v = (1, 1, -1)
    network = fully_connected("leaky_relu", (3, 3), negative_slope=slope, fixed={2: v})
    limit = follow(Instance.of(network, loss, x, y, ((1, 2, -1, -1, 1, 3, 2, -2, 1), v)))
    assert limit.status == "converged", limit.reason
    assert limit.point is not None
    sizes, same, g = (4, 1, 9), (2, 1, 2), float(slope)
    multipliers = [1 / (size * (s + g * g * (3 - s))) for size, s in zip(sizes, same, strict=True)]
    assert limit.value == pytest.approx(sum(multipliers) / 2, rel=1e-9)
    np.testing.assert_allclose(limit.point.multipliers, multipliers, rtol=1e-7)
    np.testing.assert_allclose(limit.point.margins, 1.0, rtol=1e-9)
    np.testing.assert_array_equal(limit.point.signs[0], np.outer(y, v))
    np.testing.assert_array_equal(limit.theta[1] if limit.theta else [], v)


def test_a_kink_has_a_coefficient_between_the_slopes() -> None:
    """Slope 1/2, x = (2, -1), (-1, 2), both of label 1 and v = (1, 1), near (3, -5/2), (-5/2, 3)."""
    half = Fraction(1, 2)
    network = fully_connected("leaky_relu", (2, 2), negative_slope=half, fixed={2: (1, 1)})
    theta0 = ((3, Fraction(-5, 2), Fraction(-5, 2), 3), (1, 1))
    limit = follow(Instance.of(network, "exponential", ((2, -1), (-1, 2)), (1, 1), theta0))
    assert limit.status == "converged", limit.reason
    assert limit.point is not None
    w = np.reshape(limit.point.theta[0], (2, 2))
    assert np.linalg.matrix_rank(w, tol=1e-6) == 2, "the neurons are not equal"
    assert all(0.5 <= kink.coefficient <= 1.0 for kink in limit.point.kinks)
    assert limit.point.residual < 1e-9


# --- several outputs ---


@pytest.mark.parametrize("loss", LOSSES)
def test_one_layer_of_classes_is_the_multi_class_machine(loss: Loss) -> None:
    rng = np.random.default_rng(82)
    compared = 0
    for _ in range(12):
        x = rng.standard_normal((4, 2))
        y = rng.integers(0, 3, 4).tolist()
        instance = Instance.of(
            fully_connected("linear", (2,), outputs=3), loss, x.tolist(), y, ([1.0, 0.5, 0.0, -1.0, 2.0, 0.0],)
        )
        limit = follow(instance)
        if limit.status == "never_separates":
            continue
        rows = np.array([np.kron(seed, x[i]) for i, seed in instance.problem.rows])
        best = minimize(
            lambda w: 0.5 * w @ w, np.linalg.lstsq(rows, np.full(len(rows), 2.0), rcond=None)[0], jac=lambda w: w,
            constraints={"type": "ineq", "fun": lambda w, rows=rows: rows @ w - 1.0, "jac": lambda w, rows=rows: rows},
            method="SLSQP", options={"ftol": 1e-15, "maxiter": 1000},
        )  # fmt: skip
        assert limit.status == "converged", limit.reason
        assert limit.value == pytest.approx(best.fun, rel=1e-6)
        compared += 1
    assert compared >= 6


def test_two_classes_are_one_label() -> None:
    """From opposite outputs: each is half the hard-margin machine, at half its value."""
    x, own = ((2, 1), (1, 3), (-1, 1)), (0, 0, 1)
    two = follow(Instance.of(fully_connected("linear", (2,), outputs=2), "logistic", x, own, ((1, 0, -1, 0),)))
    one = follow(Instance.of(fully_connected("linear", (2,)), "logistic", x, [1 - 2 * k for k in own], ((1, 0),)))
    assert one.value is not None
    assert two.value == pytest.approx(one.value / 2, rel=1e-9)
    assert two.theta is not None
    np.testing.assert_allclose(two.theta[0][:2], -two.theta[0][2:], rtol=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("sizes", "least"), [((1, 1, 1), 2.0), ((2, 1, 1), 2.290994)])
def test_two_layers_of_classes_come_to_the_nuclear_norm(sizes: tuple[int, ...], least: float, loss: Loss) -> None:
    """x_i = e_i: no value is below the nuclear norm of the centred labels, and generic starts come to it."""
    y = [k for k, count in enumerate(sizes) for _ in range(count)]
    n = len(y)
    centred = np.eye(3)[y].T - 1.0 / 3.0
    floor = float(np.linalg.svd(centred, compute_uv=False).sum())
    assert floor == pytest.approx(least, rel=1e-6)
    rng = np.random.default_rng(83)
    theta0 = rng.standard_normal((2, 3 * n)) * 0.3
    instance = Instance.of(
        fully_connected("linear", (n, 3), outputs=3), loss, np.eye(n, dtype=int).tolist(), y,
        (theta0[0].tolist(), theta0[1, :9].tolist()),
    )  # fmt: skip
    limit = follow(instance)
    assert limit.status == "converged", limit.reason
    assert limit.value == pytest.approx(floor, rel=1e-7)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_zero_pair_of_classes_stays_zero(loss: Loss) -> None:
    """The second coordinate would be better, and has no weight at all: a third as large a path costs three times."""
    network = diagonal("linear", 2, 2, outputs=3)
    limit = follow(Instance.of(network, loss, ((1, 3),), (0,), ((1, 0), (1, 0, 0, 0, 0, 0))), record=True)
    free = follow(Instance.of(network, loss, ((1, 3),), (0,), ((1, 1), (1, 1, 0, 0, 0, 0))))
    assert limit.held
    assert limit.theta is not None
    assert limit.theta[0][1] == 0.0 == limit.theta[1][1]
    assert free.value is not None
    assert limit.value == pytest.approx(3 * free.value, rel=1e-8)


def test_margins_of_one_value_are_tied_only_with_their_points() -> None:
    """With cross entropy the weight of a margin is its point's, so that both have to be alike."""
    together, values = np.zeros(6, dtype=np.int64), np.array([1, 2, 1, 3, 2, 1])
    assert split(together, values, 1).tolist() == [0, 1, 0, 3, 1, 0]
    assert split(together, values, 2).tolist() == [0, 1, 2, 3, 1, 0]


def test_exchanged_classes_stay_exchanged() -> None:
    """Classes 1 and 2, their points and the coordinates change places: to the bit in cross entropy, too."""
    x: Any = ((1, 1), (3, -1), (-1, 3))
    network = fully_connected("linear", (2, 2), outputs=3)
    theta0 = ((2, 1, 1, 2), (1, 1, 2, -1, -1, 2))
    limit = follow(Instance.of(network, "logistic", x, (0, 1, 2), theta0), record=True)
    assert limit.path is not None
    w = limit.path["direction"]
    assert limit.held
    np.testing.assert_array_equal(w[:, [0, 1]], w[:, [3, 2]])
    np.testing.assert_array_equal(w[:, [4, 6, 7]], w[:, [5, 9, 8]])
