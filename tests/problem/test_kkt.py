"""The KKT residual against values found by hand and against automatic differentiation."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import nnls

import harness.problem.kkt as kkt_file
from harness.problem.clarke import hull
from harness.problem.evaluation import evaluate
from harness.problem.kkt import Kkt, kkt
from harness.problem.networks import Network, convolutional, diagonal, forward, fully_connected, sparse
from tests.support.points import active_global, depth2_local, fc_relu_local, nonzero_local, random_limit

HALF_KINK = sparse("relu", ([[1, 1, 0], [0, 0, 1]], [[1, 1]]))


def half_kink(third: float) -> Kkt:
    """Neuron 1 sits on the kink of sample 1 with the coefficient `third`, which sets how much sample 1 weighs."""
    x = np.array([[1.0, 1.0, 0.0], [0.0, 1.0, third]])
    root = (1.0 / third) ** 0.5
    theta = [np.array([1.0, 0.0, root]), np.array([1.0, -root])]
    return kkt(HALF_KINK, x, np.array([[1.0], [-1.0]]), theta, [np.array([[1, 0], [0, 1]])])


@pytest.mark.parametrize("make", [fc_relu_local, depth2_local, nonzero_local, active_global])
def test_examples_are_kkt_points(make: Any) -> None:
    limit = make()
    assert limit.residual < 1e-14
    # Euler: theta . grad q_i = m q_i, so the multipliers sum to ||theta||^2 / m.
    assert math.isclose(limit.multipliers.sum(), limit.value, rel_tol=1e-12)


@pytest.mark.parametrize("coefficient", [0.5, 1.0 / 3.0, 0.25])
def test_coefficient_inside_the_kink(coefficient: float) -> None:
    found = half_kink(coefficient)
    assert found.residual < 1e-14
    assert found.multipliers == pytest.approx([1.0, 1.0 / coefficient])
    on = {kink.place: kink.coefficient for kink in found.kinks}
    assert on == {(1, 0, 0): pytest.approx(coefficient), (0, 0, 1): 0.0}


def test_a_coefficient_beyond_one_is_not_allowed() -> None:
    # Sample 1 weighs 1/2 and cannot pull neuron 1 hard enough: (1, 0) is not (1, 1) - c/2 (0, 1).
    assert half_kink(2.0).residual > 0.1


def kinks_at_random(rng: np.random.Generator, samples: int, kinks: int, size: int) -> tuple[Any, ...]:
    """Gradients (samples, size) and for every sample so many columns that its kinks add, each in its own block."""
    gradients, moving = rng.standard_normal((samples, size)), rng.standard_normal((samples, kinks, size))
    block = np.arange(size) * kinks // size == np.arange(kinks)[:, None]
    return gradients, [list(own) for own in moving * block]


@pytest.mark.parametrize("seed", range(20))
def test_few_kinks_against_all_their_patterns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    gradients, moving = kinks_at_random(rng, 3, 5, 15)
    target = rng.standard_normal(15)
    columns = [
        gradient + np.array(pattern) @ np.array(own)
        for gradient, own in zip(gradients, moving, strict=True)
        for pattern in itertools.product((0.0, 1.0), repeat=5)
    ]
    _, least = nnls(np.array(columns).T, target)
    assert kkt_file.fit(target, gradients, moving)[2] == pytest.approx(least, abs=1e-12)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("shape", [(1, 9, 27), (2, 20, 60), (3, 60, 180), (4, 10, 20)])
def test_many_kinks_to_rounding(seed: int, shape: tuple[int, int, int]) -> None:
    """What is left of the least squares over a cone makes an acute angle with no generator; inside it nothing is left.

    The generator of a sample that leads furthest towards r is its gradient and the columns with a positive product.
    """
    rng = np.random.default_rng(seed)
    gradients, moving = kinks_at_random(rng, *shape)
    weight, portion = rng.uniform(0.5, 2.0, shape[0]), rng.choice([0.0, 0.3, 1.0], shape[:2])
    inside = np.sum([a * (g + c @ m) for a, g, c, m in zip(weight, gradients, portion, moving, strict=True)], axis=0)
    for target in (inside, rng.standard_normal(shape[2]) * np.linalg.norm(inside)):
        multipliers, portions, gap = kkt_file.fit(target, gradients, moving)
        assert (multipliers >= 0.0).all()
        assert all(((c >= 0.0) & (c <= 1.0 + 1e-12)).all() for c in portions)
        parts = zip(multipliers, gradients, portions, moving, strict=True)
        pull = np.sum([a * (g + c @ np.array(m)) for a, g, c, m in parts], axis=0)
        rest = target - pull
        size = float(np.linalg.norm(target))
        assert gap == pytest.approx(np.linalg.norm(rest), abs=1e-13 * size)
        if target is inside:
            assert gap < 1e-13 * size
        leading = [g @ rest + np.maximum(np.array(m) @ rest, 0.0).sum() for g, m in zip(gradients, moving, strict=True)]
        assert max(leading) < 1e-11 * size * max(gap, size * 1e-3)
        assert abs(rest @ pull) < 1e-11 * size * size


def test_distance_of_a_point_that_is_not_kkt() -> None:
    line = Network("linear", (((0, 1),),))
    found = kkt(line, np.array([[1.0, 0.0]]), np.array([[1.0]]), [np.array([1.0, 1.0])])
    assert math.isclose(found.residual, 0.5**0.5)
    assert math.isclose(found.multipliers[0], 1.0)


def test_slack_counts() -> None:
    # theta = (1, 1/2) needs sample 1, whose margin is 3/2: either theta is missed or the slack is paid for.
    line = Network("linear", (((0, 1),),))
    x = np.array([[1.0, 0.0], [1.0, 1.0]])
    theta = [np.array([1.0, 0.5])]
    found = kkt(line, x, np.ones((2, 1)), theta)
    square = 1.25
    least = min(
        np.hypot(1.0 - a - b, 0.5 - b) / square**0.5 + b * 0.5 / square
        for a in np.linspace(0, 1.5, 301)
        for b in np.linspace(0, 1.0, 201)
    )
    assert least - 1e-3 < found.residual < 1.05 * 0.5 / square**0.5
    given = found.multipliers
    attained = np.hypot(1.0 - given.sum(), 0.5 - given[1]) / square**0.5 + given[1] * 0.5 / square
    assert math.isclose(attained, found.residual, rel_tol=1e-12)


def test_scale_does_not_matter() -> None:
    limit = nonzero_local()
    x, y = limit.problem.x_float, limit.problem.y_float
    assert limit.theta is not None
    found = kkt(limit.problem.network, x, y[:, None], [7.0 * u for u in limit.theta], limit.signs)
    assert found.residual < 1e-14
    assert found.multipliers == pytest.approx(limit.multipliers)


def test_not_separated_is_infinitely_far() -> None:
    found = kkt(fully_connected("relu", (1, 1)), np.array([[1.0]]), np.array([[-1.0]]), [np.ones(1), np.ones(1)])
    assert found.residual == math.inf


def test_deep_kinks_of_a_zero_neuron_change_nothing() -> None:
    network = diagonal("relu", 2, 3)
    theta = [np.array([1.0, 0.0]), np.array([1.0, 0.0]), np.array([1.0, 0.0])]
    found = kkt(network, np.array([[1.0, 1.0]]), np.array([[1.0]]), theta)
    assert found.residual < 1e-14
    assert found.multipliers == pytest.approx([1.0])
    assert {(kink.place, kink.coefficient) for kink in found.kinks} == {((0, 0, 1), 0.0), ((0, 1, 1), 0.0)}


# One filter w on the patches (x_1, x_2) and (x_3, x_4).
SHARED = Network("relu", (((0, 1, -1, -1), (-1, -1, 0, 1)), ((0, 1),)))


def test_opposite_patches_are_never_on_together() -> None:
    """Patches p and -p, v = (1, -1): Phi = w . p is smooth, and its gradient in w is p and nothing else."""
    x = np.array([1.0, 0.0, -1.0, 0.0])
    theta = [np.array([0.0, 1.0]), np.array([0.5, -0.5])]
    found = hull(SHARED, x, np.ones(1), theta, [np.array([0, 0])])
    assert sorted(map(tuple, found.gates.astype(int).tolist())) == [(0, 1), (1, 0)]
    assert found.gradients == pytest.approx(np.tile([0.5, 0.0, 0.0, 0.0], (2, 1)))


def test_equal_patches_are_on_together() -> None:
    found = hull(
        SHARED, np.array([1.0, 0.0, 2.0, 0.0]), np.ones(1), [np.array([0.0, 1.0]), np.ones(2)], [np.array([0, 0])]
    )
    assert sorted(map(tuple, found.gates.astype(int).tolist())) == [(0, 0), (1, 1)]


def test_three_lines_through_a_plane_have_six_cells() -> None:
    network = Network("relu", (((0, 1, -1, -1, -1, -1), (-1, -1, 0, 1, -1, -1), (-1, -1, -1, -1, 0, 1)), ((0, 1, 2),)))
    x = np.array([1.0, 0.0, 0.0, 1.0, -1.0, -1.0])
    found = hull(network, x, np.ones(1), [np.zeros(2), np.ones(3)], [np.zeros(3, dtype=int)])
    patterns = set(map(tuple, found.gates.astype(int).tolist()))
    assert patterns == set(itertools.product((0, 1), repeat=3)) - {(0, 0, 0), (1, 1, 1)}


def test_dependent_normals_in_a_deep_layer_are_refused() -> None:
    # Both rows of layer 2 are the same two parameters, so that its neurons have one pre-activation.
    network = Network("relu", (((0,), (1,)), ((0, 1), (0, 1)), ((0, 1),)))
    theta = [np.array([1.0, 1.0]), np.array([1.0, -1.0]), np.ones(2)]
    with pytest.raises(ValueError, match="linearly dependent"):
        hull(network, np.array([1.0]), np.ones(1), theta, [np.array([1, 1]), np.array([0, 0])])


def test_a_deep_kink_with_a_coefficient() -> None:
    """Depth 3, neuron 1 of the second layer on its kink: the gradients on either side."""
    rng = np.random.default_rng(3)
    network = fully_connected("relu", (2, 2, 2))
    seen = 0
    for _ in range(200):
        theta = [rng.standard_normal(size) for size in network.sizes]
        x = rng.standard_normal(2)
        h = np.maximum(theta[0].reshape(2, 2) @ x, 0.0)
        if not (h > 0).all():
            continue
        # put neuron 1 of layer 2 on its kink
        theta[1][:2] -= (theta[1][:2] @ h) / (h @ h) * h
        second = theta[1].reshape(2, 2) @ h
        if second[1] <= 0.0:
            continue
        seen += 1
        found = hull(network, x, np.ones(1), theta, [np.array([1, 1]), np.array([0, 1])])
        assert found.gates.tolist() == [[0.0], [1.0]]
        for gate, gradient in zip((0.0, 1.0), found.gradients, strict=True):
            assert gradient == pytest.approx(_by_hand(theta, x, np.array([gate, 1.0])))
    assert seen > 20


@pytest.mark.parametrize(
    ("network", "theta", "x"),
    [
        (SHARED, [[0.0, 1.0], [1.0, 1.0]], [1.0, 0.0, -2.0, 0.0]),
        (fully_connected("relu", (2, 2, 2)), [[1.0, 0.0, 0.0, 1.0], [1.0, -1.0, 1.0, 1.0], [1.0, 2.0]], [0.0, 1.0]),
        (fully_connected("relu", (2, 2, 2)), [[1.0, 0.0, 0.0, 1.0], [1.0, -1.0, 2.0, 0.0], [1.0, 2.0]], [0.0, 1.0]),
        (fully_connected("relu", (2, 2, 1)), [[1.0, 0.0, 0.0, 1.0], [1.0, 0.0], [1.0]], [0.0, 1.0]),
    ],
)
def test_patterns_are_those_that_small_steps_meet(network: Network, theta: list[list[float]], x: list[float]) -> None:
    rng = np.random.default_rng(7)
    point, at = [np.array(u) for u in theta], np.array(x)
    signs = [np.sign(a[0]) for a in evaluate(network, point, at[None]).preactivations[:-1]]
    found = hull(network, at, np.ones(1), point, signs)
    met = set()
    for _ in range(300):
        near = [u + 1e-9 * rng.standard_normal(len(u)) for u in point]
        gradient = _gradient(network, near, at)
        distance = np.abs(found.gradients - gradient).max(axis=1)
        assert distance.min() < 1e-7
        met.add(tuple(np.round(gradient, 6)))
    assert met == {tuple(np.round(g, 6) + 0.0) for g in found.gradients}


def _gradient(network: Network, theta: list[np.ndarray], x: np.ndarray) -> np.ndarray:
    """dPhi/dtheta by automatic differentiation."""
    tensors = [torch.tensor(u, requires_grad=True) for u in theta]
    forward(network, [list(u.unbind()) for u in tensors], list(torch.tensor(x).unbind())).backward()
    return np.concatenate([np.zeros(len(t)) if t.grad is None else t.grad.numpy() for t in tensors])


def _by_hand(theta: list[np.ndarray], x: np.ndarray, gate: np.ndarray) -> np.ndarray:
    """dPhi/dtheta of a 2-2-2-1 network with the first layer on and these gates in the second."""
    first, second, last = theta[0].reshape(2, 2), theta[1].reshape(2, 2), theta[2]
    back = last * gate
    return np.concatenate(
        [np.outer(back @ second, x).ravel(), np.outer(back, first @ x).ravel(), gate * (second @ first @ x)]
    )


@pytest.mark.parametrize(
    "network",
    [
        Network("linear", (((0, 1, 2),),)),
        fully_connected("linear", (3, 4, 2)),
        fully_connected("relu", (3, 4)),
        fully_connected("relu", (3, 4, 3)),
        diagonal("linear", 3, 4),
        convolutional("relu", 3, 2),
        sparse("relu", ([[1, 0, 1], [0, 1, 1]], [[1, 1]])),
    ],
)
def test_gradients_against_autograd(network: Network) -> None:
    """The residual that autograd's gradients give: exact where all samples tie, an upper bound elsewhere."""
    rng = np.random.default_rng(5)
    compared = 0
    for _ in range(20):
        theta = [rng.standard_normal(size) for size in network.sizes]
        x = rng.standard_normal((1, 3))
        tensors = [torch.tensor(u, requires_grad=True) for u in theta]
        # forward wants sequences of scalars; unbind keeps the graph.
        value = forward(network, [list(u.unbind()) for u in tensors], list(torch.tensor(x[0]).unbind()))
        if abs(value.item()) < 1e-9:
            continue
        compared += 1
        y = np.sign([value.item()])
        value.backward()
        gradient = y[0] * np.concatenate([np.zeros(len(t)) if t.grad is None else t.grad.numpy() for t in tensors])
        scale = abs(value.item()) ** (-1.0 / network.depth)
        flat = np.concatenate(theta) * scale
        _, gap = nnls((gradient * scale ** (network.depth - 1))[:, None], flat)
        found = kkt(network, x, y[:, None], theta)
        assert found.residual == pytest.approx(gap / np.linalg.norm(flat), abs=1e-12)
    assert compared >= 10


def test_what_is_returned_attains_the_residual() -> None:
    """Multipliers and coefficients put back into the definition, on random limits moved a little off."""
    rng = np.random.default_rng(0)
    seen = 0
    for seed in range(120):
        limit = random_limit(seed)
        if limit is None:
            continue
        network, x, y = limit.problem.network, limit.problem.x_float, limit.problem.y_float
        theta = [u * (1.0 + 0.05 * rng.standard_normal(len(u))) for u in limit.theta]
        found = kkt(network, x, y[:, None], theta, limit.signs)
        if not math.isfinite(found.residual):
            continue
        seen += 1
        attained = _residual_by_definition(network, x, y, theta, limit.signs[0], found)
        assert attained == pytest.approx(found.residual, abs=1e-12)
    assert seen > 20


def _residual_by_definition(
    network: Network, x: np.ndarray, y: np.ndarray, theta: list[np.ndarray], signs: np.ndarray, found: Kkt
) -> float:
    """Depth 2 without shared weights, sample by sample and neuron by neuron."""
    slope = (signs > 0).astype(float) if network.activation == "relu" else np.ones(signs.shape)
    for kink in found.kinks:
        slope[kink.place.sample, kink.place.neuron] = kink.coefficient
    w = np.append(theta[0], 0.0)[np.array(network.patterns[0])]
    out = np.array(network.patterns[1][0])
    v = np.append(theta[1], 0.0)[out]
    active = (signs > 0) if network.activation == "relu" else np.ones(signs.shape)
    q = y * ((x @ w.T * active) @ v)
    scale = q.min() ** -0.5
    w, v, q = w * scale, v * scale, q / q.min()
    pull = found.multipliers * y
    rest_v = v - pull @ (x @ w.T * active)
    rest_w = w - ((pull[:, None] * slope * v).T @ x) * (np.array(network.patterns[0]) >= 0)
    square = float((w * w).sum() + v @ v)
    gap = float(np.sqrt((rest_w * rest_w).sum() + (rest_v * rest_v)[out >= 0].sum()))
    return gap / square**0.5 + float(found.multipliers @ (q - 1.0)) / square
