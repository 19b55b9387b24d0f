"""Diagonal networks: the cheapest vertex against a grid of convex problems, by hand, and forged."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from benchmarks.families import draw
from harness import drive
from harness.certificates import check
from harness.certificates.vertices import features
from harness.oracles import decide
from harness.oracles.vertices import cheapest_vertex, decide_vertices
from harness.problem.networks import diagonal, fully_connected, sparse
from harness.problem.points import Point
from tests.support.draws import first
from tests.support.points import margins_of, point, problem_of


def one_path(depth: int, activation: Any = "linear") -> Any:
    """x = (2, 1): the first coordinate alone, beta = (1/2, 0)."""
    root = 0.5 ** (1.0 / depth)
    return point(diagonal(activation, 2, depth), [[2, 1]], [1], [[root, 0.0]] * depth)


@pytest.mark.parametrize("activation", ["linear", "relu"])
@pytest.mark.parametrize("depth", [2, 3, 4])
def test_the_better_coordinate_alone_is_global(depth: int, activation: Any) -> None:
    verdict = decide_vertices(one_path(depth, activation), certify=True)
    assert verdict is not None
    assert (verdict.status, verdict.certified) == ("optimal", True)
    assert verdict.bound == pytest.approx(0.5 * depth * 0.5 ** (2.0 / depth))


def test_the_worse_coordinate_is_a_local_optimum_only() -> None:
    found = decide(point(diagonal("linear", 2, 3), [[2, 1]], [1], [[0.0, 1.0]] * 3))
    assert (found.local.status, found.global_.status) == ("optimal", "not_optimal")
    assert found.local.certified
    assert found.global_.certified
    assert found.global_.bound is not None
    assert 1.5 * 0.5 ** (2.0 / 3.0) <= found.global_.bound < 1.5


def test_others_are_left_alone() -> None:
    single = point(fully_connected("linear", (1, 1, 1)), [[1]], [1], [[1.0]] * 3)
    assert decide_vertices(single, certify=True) is not None
    fixed = point(diagonal("linear", 1, 3, fixed={2: [1]}), [[1]], [1], [[1.0]] * 3)
    assert decide_vertices(fixed, certify=True) is None
    joined = point(fully_connected("linear", (2, 1, 1)), [[1, 0]], [1], [[1, 0], [1], [1]])
    assert decide_vertices(joined, certify=True) is None


@pytest.mark.parametrize(("depth", "activation"), [(2, "linear"), (3, "linear"), (2, "relu")])
def test_two_neurons_a_coordinate(depth: int, activation: Any) -> None:
    """u . v - u' . v': the problem of the diagonal network on both signs of every coordinate."""
    square = [[c == j for c in range(4)] for j in range(4)]
    network = sparse(
        activation, [[[c == j // 2 for c in range(2)] for j in range(4)], *[square] * (depth - 2), [[1] * 4]]
    )
    best = [[0.5 ** (1.0 / depth), 0.0, 0.0, 0.0]] * depth
    worse = [[0.0, 0.0, 1.0, 0.0]] * depth
    for theta, status in ((best, "optimal"), (worse, "not_optimal")):
        verdict = decide_vertices(point(network, [[2, 1], [2, 1]], [1, 1], theta), certify=True)
        assert verdict is not None
        assert (verdict.status, verdict.certified) == (status, True)


@pytest.mark.parametrize(
    ("depth", "activation", "status"),
    [(2, "linear", "optimal"), (3, "linear", "not_optimal"), (2, "relu", "optimal"), (3, "relu", "optimal")],
)
def test_a_coordinate_on_two_neurons(depth: int, activation: Any, status: str) -> None:
    """To share a product costs more from depth 3 on; relu needs both neurons for points on both sides."""
    square = [[1, 0], [0, 1]]
    network = sparse(activation, [[[1], [1]], *[square] * (depth - 2), [[1, 1]]])
    side, label = (1.0, -1) if activation == "linear" else (-1.0, 1)
    theta = [[1.0, side], *[[1.0, 1.0]] * (depth - 1)]
    verdict = decide_vertices(point(network, [[1], [-1]], [1, label], theta), certify=True)
    assert verdict is not None
    assert (verdict.status, verdict.certified) == (status, True)


@pytest.mark.parametrize("seed", range(12))
def test_no_random_point_is_cheaper(seed: int) -> None:
    """Points of random products, scaled to min q = 1, around the limit and anywhere."""
    rng = np.random.default_rng(seed)
    drawn = (drive([draw(rng, "diagonal linear, depth 3", "integer")])[0] for _ in range(20))
    (found,) = first(1, (found for found in drawn if found.point is not None and not found.point.doubt))
    assert found.point is not None
    verdict = decide_vertices(found.point, certify=True)
    assert verdict is not None
    assert verdict.certified
    ((_, table),) = features(found.instance.problem)
    _, least = cheapest_vertex(np.array(table, dtype=float), 3)
    assert (verdict.status == "optimal") == (found.value is not None and least >= found.value * (1 - 1e-9))
    network = found.instance.network
    assert found.theta is not None
    here, anywhere = np.prod(found.theta, axis=0), np.zeros(found.instance.d)
    compared = 0
    for middle, size in [(here, 0.1 * np.linalg.norm(here)), (anywhere, 1.0)] * 150:
        beta = middle + size * rng.standard_normal(found.instance.d) * rng.integers(0, 2, found.instance.d)
        root = np.abs(beta) ** (1.0 / 3.0)
        theta = [root, root, np.sign(beta) * root]
        q = margins_of(network, found.instance, theta).min()
        if q > 0.0:
            compared += 1
            assert 0.5 * sum(float(u @ u) for u in theta) * q ** (-2.0 / 3.0) >= least * (1 - 1e-9)
    assert compared >= 100


@pytest.mark.parametrize("slope", ["1/10", "1/2", "9/10", "-1", "2"])
@pytest.mark.parametrize("depth", [2, 3])
def test_every_slope_has_its_vertices(depth: int, slope: str) -> None:
    """No random point is cheaper than the cheapest vertex, which is one itself."""
    rng = np.random.default_rng(depth)
    network = diagonal("leaky_relu", 2, depth, negative_slope=Fraction(slope))
    seen = 0
    for _ in range(8):
        problem = problem_of(network, rng.integers(1, 4, (2, 2)) * rng.choice((-1, 1), (2, 2)), rng.choice((-1, 1), 2))
        drawn = [[rng.standard_normal(2) for _ in range(depth)] for _ in range(400)]
        costs = [
            0.5 * sum(float(u @ u) for u in theta) / q ** (2.0 / depth)
            for theta in drawn
            if (q := float(margins_of(network, problem, theta).min())) > 0.0
        ]
        if not costs:
            continue
        seen += 1
        (_, least), chosen = min(
            ((cheapest_vertex(np.array(table, dtype=float), depth), signs) for signs, table in features(problem)),
            key=lambda found: found[0][1],
        )
        assert min(costs) >= least * (1.0 - 1e-9)
        any_one = next(theta for theta in drawn if margins_of(network, problem, theta).min() > 0.0)
        verdict = decide_vertices(Point.at(problem, [u.tolist() for u in any_one]), certify=True)
        assert verdict is not None
        assert (verdict.status, verdict.certified) == ("not_optimal", True)
        assert verdict.bound is not None
        assert verdict.bound >= least * (1.0 - 1e-9)
        beta = cheapest_vertex(np.array(dict(features(problem))[chosen], dtype=float), depth)[0]
        root = np.abs(beta) ** (1.0 / depth)
        best = [root * [signs[layer] for signs in chosen] for layer in range(depth - 1)] + [np.sign(beta) * root]
        own = decide_vertices(Point.at(problem, [u.tolist() for u in best]), certify=True)
        assert own is not None
        assert (own.status, own.certified) == ("optimal", True)
    assert seen >= 4


@pytest.mark.parametrize("change", [1e-3, -1e-3, 0.5, -1.0])
def test_a_forged_limit_is_rejected(change: float) -> None:
    """A second path that theta does not need makes it dearer than the vertex."""
    found = one_path(3)
    verdict = decide_vertices(found, certify=True)
    assert verdict is not None
    assert verdict.certificate is not None
    for layer in range(3):
        theta: list[list[Any]] = [list(u) for u in verdict.certificate["theta"]]
        theta[layer][1] = change
        assert not check(found.problem, {**verdict.certificate, "theta": theta}).accepted


def test_too_many_vertices_are_open() -> None:
    network = diagonal("relu", 10, 2)
    found = point(network, [[1] * 10, [2] * 10, [1, 2] * 5], [1, 1, 1], [[1.0] * 10, [1.0] * 10])
    assert decide_vertices(found, certify=True) is None
    certificate = {"kind": "vertices", "problem": "full", "scope": "global", "theta": [[1] * 10] * 2}
    assert "vertices are more than" in check(found.problem, certificate).reason
