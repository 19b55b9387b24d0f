"""Tiny problems by brute force, and hard-margin SVMs by scikit-learn, against the oracles.

Grids give feasible points, so none may beat what is said to be optimal; and where a limit is said not to be, the grid
finds a better point too, up to its own spacing.
"""

from __future__ import annotations

import itertools
from collections import Counter
from functools import cache

import numpy as np
import pytest
from sklearn.svm import SVC

from harness import decide, drive
from harness.oracles import Verdict, Verdicts
from harness.oracles.least_distance import least_norm
from harness.problem.instances import Instance
from harness.problem.limits import Limit
from harness.problem.networks import Network, convolutional, diagonal, fully_connected
from tests.support.draws import first
from tests.support.points import margins_of

CLOSE = 1e-9
ANGLES = 360
CIRCLE = np.stack([np.cos(a := np.linspace(0.0, 2.0 * np.pi, ANGLES, endpoint=False)), np.sin(a)], axis=1)


@cache
def limits(network: Network, points: int, count: int = 12) -> list[tuple[Limit, Verdicts]]:
    """So many limits of flows on small integers."""
    rng = np.random.default_rng([4, points, *network.widths, network.depth])
    drawn = (drive([small(rng, network, points)])[0] for _ in range(100 * count))
    found = first(count, (limit for limit in drawn if limit.point is not None and not limit.point.doubt))
    return [(limit, decide(limit)) for limit in found]


def small(rng: np.random.Generator, network: Network, points: int) -> Instance:
    x = rng.integers(-3, 4, (points, network.widths[0]))
    x[:, 0] += ~x.any(axis=1)
    theta0 = tuple(tuple(rng.integers(-3, 4, size).tolist()) for size in network.sizes)
    labels = tuple(rng.choice((-1, 1), points).tolist())
    return Instance.of(network, "exponential", tuple(map(tuple, x.tolist())), labels, theta0)


def assert_agrees(verdict: Verdict, best: float) -> None:
    """best: the least cost on a grid of feasible points."""
    if verdict.status == "optimal":
        assert best >= verdict.value * (1.0 - CLOSE)
        return
    assert verdict.status == "not_optimal"
    assert verdict.bound is not None
    assert verdict.bound < verdict.value * (1.0 - CLOSE)
    # Tilting a neuron by half the spacing of the grid loses at most its sine of each margin, relatively.
    assert best <= verdict.value * (1.0 - CLOSE) or verdict.bound > verdict.value * (1.0 - 1e-2)


# --- the whole problem, depth 2, relu: every neuron is a direction of the plane and a sign ---


def best_of(instance: Instance, width: int) -> float:
    """The least sum of |u_j| over at most two neurons on the grid: for each pair a linear program in two numbers."""
    inputs = np.maximum(CIRCLE @ instance.x_float.T, 0.0)
    rows = np.concatenate([instance.y_float * inputs, -instance.y_float * inputs])
    single = rows.min(axis=1)
    best = float((1.0 / single[single > 0.0]).min(initial=np.inf))
    if width == 1:
        return best
    for a, b in itertools.combinations(range(instance.n), 2):
        # Both margins are 1 at a vertex; the others must be at least that.
        for one in rows:
            det = one[a] * rows[:, b] - one[b] * rows[:, a]
            with np.errstate(divide="ignore", invalid="ignore"):
                p, q = (rows[:, b] - rows[:, a]) / det, (one[a] - one[b]) / det
                fits = (p >= 0.0) & (q >= 0.0) & (np.outer(p, one) + q[:, None] * rows >= 1.0 - 1e-12).all(axis=1)
                best = min(best, float((p + q)[fits].min(initial=np.inf)))
    return best


@pytest.mark.parametrize("points", [1, 2, 3])
@pytest.mark.parametrize("width", [1, 2])
def test_the_global_optimum_of_relu_networks(width: int, points: int) -> None:
    seen: Counter[str] = Counter()
    for found, verdicts in limits(fully_connected("relu", (2, width)), points):
        verdict = verdicts.global_
        seen[verdict.status] += 1
        if verdict.status != "undecided":
            assert_agrees(verdict, best_of(found.instance, width))
    assert seen["optimal"] + seen["not_optimal"] >= 0.9 * sum(seen.values())


# --- the whole problem of diagonal networks: every product is a coordinate ---


@pytest.mark.parametrize("activation", ["linear", "relu"])
@pytest.mark.parametrize("depth", [2, 3, 4])
def test_the_global_optimum_of_diagonal_networks(activation: str, depth: int) -> None:
    for found, verdicts in limits(diagonal(activation, 2, depth), 2):  # type: ignore[arg-type]
        instance, best = found.instance, np.inf
        for signs in itertools.product((1.0, -1.0), repeat=2) if activation == "relu" else [(1.0, 1.0)]:
            inputs = np.array(signs) * instance.x_float
            z = instance.y_float[:, None] * (np.maximum(inputs, 0.0) if activation == "relu" else inputs)
            lowest = (CIRCLE @ z.T).min(axis=1)
            fits = lowest > 0.0
            beta = np.abs(CIRCLE[fits]) / lowest[fits, None]
            best = min(best, float((0.5 * depth * beta ** (2.0 / depth)).sum(axis=1).min(initial=np.inf)))
        assert_agrees(verdicts.global_, best)


# --- one layer: q is homogeneous of degree 1 in it, so that its directions are all there is ---


@pytest.mark.parametrize(
    "network",
    [
        fully_connected("relu", (2, 1)),
        fully_connected("relu", (1, 2)),
        fully_connected("relu", (1, 2, 1)),
        diagonal("relu", 2, 3),
        convolutional("relu", 3, 2),
        convolutional("linear", 3, 2),
    ],
    ids=str,
)
def test_the_optimum_of_one_layer(network: Network) -> None:
    seen = 0
    for found, verdicts in limits(network, 2):
        assert found.theta is not None
        for layer, pair in enumerate(verdicts.trained_layers):
            size = network.sizes[layer]
            if size > 2:
                continue
            directions = CIRCLE if size == 2 else np.array([[1.0], [-1.0]])
            theta = list(found.theta)
            here = theta[layer] / max(float(np.linalg.norm(theta[layer])), 1e-300)
            near, everywhere = np.inf, np.inf
            for z in directions:
                theta[layer] = z
                q = float(margins_of(network, found.instance, theta).min())
                if q > 0.0:
                    everywhere = min(everywhere, 0.5 / q**2)
                theta[layer] = tilted = here + 1e-4 * z
                q = float(margins_of(network, found.instance, theta).min())
                if q > 0.0:
                    near = min(near, 0.5 * float(tilted @ tilted) / q**2)
            for verdict, best in ((pair.global_, everywhere), (pair.local, near)):
                seen += verdict.status != "undecided"
                if verdict.status == "optimal":
                    assert best >= verdict.value * (1.0 - CLOSE)
            if pair.local.status == "not_optimal":
                assert near < pair.local.value
    assert seen > 20


# --- hard-margin SVMs ---


@pytest.mark.parametrize("seed", range(12))
def test_the_hard_margin_svm_agrees_with_scikit_learn(seed: int) -> None:
    """Without a bias: with every point its mirror image of the other class, the best bias is 0."""
    rng = np.random.default_rng([6, seed])
    n, d = int(rng.integers(1, 7)), int(rng.integers(1, 5))
    teacher = rng.standard_normal(d)
    points = rng.standard_normal((n, d))
    signed = points * np.sign(points @ teacher)[:, None]
    machine = SVC(kernel="linear", C=1e9, tol=1e-11)
    machine.fit(np.concatenate([signed, -signed]), np.repeat([1, -1], n))
    ours = least_norm(signed, np.ones(n))
    assert ours is not None
    assert ours.z is not None
    assert ours.z == pytest.approx(machine.coef_[0], rel=1e-5, abs=1e-5)
    assert 0.5 * float(ours.z @ ours.z) == pytest.approx(ours.bound, rel=1e-9)


@pytest.mark.parametrize("depth", [2, 3])
def test_the_value_of_linear_networks_agrees_with_scikit_learn(depth: int) -> None:
    for found, verdicts in limits(fully_connected("linear", (2,) * depth), 3, 6):
        signed = found.instance.y_float[:, None] * found.instance.x_float
        machine = SVC(kernel="linear", C=1e9, tol=1e-11)
        machine.fit(np.concatenate([signed, -signed]), np.repeat([1, -1], len(signed)))
        norm = float(np.linalg.norm(machine.coef_))
        assert verdicts.global_.status == "optimal"
        assert verdicts.global_.value == pytest.approx(0.5 * depth * norm ** (2.0 / depth), rel=1e-5)
