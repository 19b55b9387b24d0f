"""Local verdicts to second order: examples of docs/statements.md, section 6, and limits against random ascent."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
import pytest

from benchmarks.families import FAMILIES, suite
from harness import Verdicts, drive
from harness.certificates import check
from harness.certificates.taylor import Exact, expand
from harness.oracles import decide
from harness.problem.instances import Instance
from harness.problem.limits import Limit
from harness.problem.networks import Network, convolutional, diagonal, fully_connected, preactivations
from harness.problem.points import Point
from tests.support.points import margins_of, nonzero_local, point

A = 0.5**0.5
# One filter w of two weights on the patches (x_1, x_2) and (x_3, x_4), one output weight a patch.
PATCHES = (((0, 1, -1, -1), (-1, -1, 0, 1)), ((0, 1),))


def second_singular_pair(activation: Any) -> Point:
    """docs/statements.md, section 6, shared-local: patches (4, a), (-4, a); w = (0, 1), v = (a, a)."""
    return point(Network(activation, PATCHES), [[4, A, -4, A]], [1], [[0, 1], [A, A]])


def rotated(activation: Any) -> Point:
    """The same, rotated: no weight is zero and no two are equal."""
    # Balanced: |w| = |v|; the flow keeps |w|^2 - |v|^2, and the limit has the directions of the start.
    w, v = np.array([1.0, 2.0]) / 5**0.5, np.array([3.0, 4.0]) / 5.0
    return point(Network(activation, PATCHES), [[27, -6, -14, 17]], [1], [list(w), list(v)])


@pytest.mark.parametrize("activation", ["linear", "relu"])
def test_shared_local(activation: str) -> None:
    found = second_singular_pair(activation)
    verdicts = decide(found)
    assert (verdicts.local.status, verdicts.local.certified) == ("not_optimal", True)
    # For relu only a dead neuron's weights count as zeros that are held, and there is none.
    assert verdicts.mechanism == ("zero weight" if activation == "linear" else "saddle")
    assert verdicts.global_.status == "not_optimal"
    assert all(pair.local.status == "optimal" for pair in verdicts.trained_layers)


@pytest.mark.parametrize("activation", ["linear", "relu"])
def test_shared_local_rotated(activation: str) -> None:
    found = rotated(activation)
    verdicts = decide(found)
    assert found.value == pytest.approx(1.0 / (5.0 * 5.0**0.5))
    assert (verdicts.local.status, verdicts.local.certified) == ("not_optimal", True)
    assert verdicts.mechanism == "saddle"
    assert verdicts.assumptions == {
        "nonzero_weights": True,
        "nonzero_weight_vectors": True,
        "nonzero_inputs": True,
    }


@pytest.mark.parametrize("activation", ["linear", "relu"])
@pytest.mark.parametrize("depth", [3, 4])
def test_deep_local(activation: Any, depth: int) -> None:
    root = 0.5 ** (1 / depth)
    found = point(diagonal(activation, 2, depth), [[1, 1]], [1], [[root, root]] * depth)
    verdicts = decide(found)
    assert (verdicts.local.status, verdicts.mechanism) == ("not_optimal", "saddle")
    assert verdicts.local.certified
    alone = point(diagonal(activation, 2, depth), [[1, 1]], [1], [[1, 0]] * depth)
    assert decide(alone).local.status == "optimal"
    assert decide(alone).local.certified


def test_a_deep_kink() -> None:
    """The two neurons of nonzero_local on top of a layer that passes the points on: tilting pays at first order."""
    network = fully_connected("relu", (2, 2, 2))
    found = point(network, [[1, 0], [0, 1]], [1, 1], [[1, 0, 0, 1], [1, 0, 0, 1], [1, 1]])
    verdicts = decide(found)
    assert (verdicts.local.status, verdicts.local.certified) == ("not_optimal", True)


def test_a_dead_neuron_with_a_neighbour_that_shares_its_filter() -> None:
    """fc-relu-local with the dead neuron's output weight shared with nothing, but the live one's filter twice.

    Two live neurons with one filter w on equal patches (x_1, x_2) and one dead neuron on (x_1, x_2) alone: the points
    (1, 1/4) and (-1, 1/4) make waking it pay.
    """
    patterns = (((0, 1, -1, -1), (-1, -1, 0, 1), (2, 3, -1, -1)), ((0, 1, 2),))
    x = [["1", "1/4", "1", "1/4"], ["-1", "1/4", "-1", "1/4"]]
    found = point(Network("relu", patterns), x, [1, 1], [[0, 2, 0, 0], [2**0.5, 2**0.5, 0]])
    verdicts = decide(found)
    assert (verdicts.local.status, verdicts.local.certified) == ("not_optimal", True)
    assert verdicts.mechanism == "dead neuron"


@lru_cache(maxsize=1)
def driven() -> list[tuple[Limit, Verdicts]]:
    names = [name for name in FAMILIES if "depth 3" in name or "convolutional" in name]
    instances = suite(21, 80, "integer", names) + suite(21, 40, "generic", names)
    limits = [found for found in drive(instances) if found.point is not None and not found.point.doubt]
    return [(found, decide(found)) for found in limits]


def test_limits_are_decided() -> None:
    counts: Counter[str] = Counter()
    for found, verdicts in driven():
        counts[verdicts.local.status] += 1
        assert verdicts.local.certified == (verdicts.local.status != "undecided")
        if verdicts.local.certificate is not None:
            assert check(found.instance.problem, verdicts.local.certificate).accepted
    assert counts["undecided"] <= 0.05 * sum(counts.values())
    assert counts["optimal"] > 40


def test_no_small_step_beats_a_local_optimum() -> None:
    rng = np.random.default_rng(5)
    optimal = [found for found, verdicts in driven() if verdicts.local.status == "optimal"]
    assert len(optimal) > 40
    for found in optimal:
        assert found.point is not None
        flat = np.concatenate(found.point.theta)
        m = found.instance.network.depth
        here = np.linalg.norm(flat) ** -m
        for radius in (1e-2, 1e-3, 1e-4):
            for _ in range(20):
                moved = flat + radius * np.linalg.norm(flat) * rng.standard_normal(len(flat)) * rng.integers(
                    0, 2, len(flat)
                )
                assert _margin(found.point, moved) / np.linalg.norm(moved) ** m <= here * (1.0 + 1e-9)


def _margin(found: Point, flat: np.ndarray) -> float:
    network = found.problem.network
    return float(margins_of(network, found.problem, network.split(flat)).min())


def cases() -> list[Point]:
    root = 0.5 ** (1 / 3)
    return [
        second_singular_pair("linear"),
        second_singular_pair("relu"),
        rotated("linear"),
        rotated("relu"),
        point(diagonal("relu", 2, 3), [[1, 1]], [1], [[root, root]] * 3),
        point(fully_connected("relu", (2, 2, 2)), [[1, 0], [0, 1]], [1, 1], [[1, 0, 0, 1], [1, 0, 0, 1], [1, 1]]),
    ]


@pytest.mark.parametrize("number", range(len(cases())))
def test_the_margin_rises_along_the_curve(number: int) -> None:
    found = cases()[number]
    certificate = decide(found).local.certificate
    assert certificate is not None
    assert certificate["kind"] == "curve"
    assert found.theta is not None
    flat, m = np.concatenate(found.theta), found.problem.network.depth
    d, e = (_flat(certificate[key], len(flat)) for key in ("d", "e"))
    here = np.linalg.norm(flat) ** -m
    for eps in (1e-2, 3e-3, 1e-3):
        moved = flat + eps * d + eps**2 * e
        assert _margin(found, moved) / np.linalg.norm(moved) ** m > here * (1.0 + 1e-3 * eps**2)


def _flat(layers: Any, size: int) -> np.ndarray:
    if layers is None:
        return np.zeros(size)
    return np.array([float(Fraction(v)) for u in layers for v in u])


@pytest.mark.parametrize("network", [convolutional("relu", 3, 2), fully_connected("relu", (2, 2, 2))])
def test_expansions_against_the_network(network: Network) -> None:
    """The polynomial of the gates is the network near a point without kinks, in floats and in integers."""
    rng = np.random.default_rng(0)
    for _ in range(5):
        theta = [rng.integers(-4, 5, size).astype(float) / 4 + 0.1 for size in network.sizes]
        x = rng.integers(-3, 4, network.widths[0]).astype(float) + 0.3
        inputs = preactivations(network, [list(u) for u in theta], list(x))
        gates = {(layer, j): int(a > 0) for layer, row in enumerate(inputs[:-1]) for j, a in enumerate(row)}
        flat = np.concatenate(theta)
        term = expand(network, theta, x, gates, float)[-1][0]
        assert term.value == pytest.approx(inputs[-1][0])
        step = 1e-4 * rng.standard_normal(len(flat))
        moved = network.split(flat + step)
        there = preactivations(network, [list(u) for u in moved], list(x))[-1][0]
        assert there == pytest.approx(term.value + term.gradient @ step + 0.5 * step @ term.hessian @ step, abs=1e-9)
        rows = (tuple(Fraction(float(v)) for v in x),)
        zeros = tuple(tuple(Fraction(0) for _ in u) for u in theta)
        exact = Exact(
            Instance.of(network, "exponential", rows, (1,), zeros).problem,
            tuple(tuple(Fraction(float(v)) for v in u) for u in theta),
        )
        same = exact.sample(0, gates)[-1][0]
        for factor, a, b in zip(
            exact.factors(0, network.depth),
            (same.value, same.gradient, same.hessian),
            (term.value, term.gradient, term.hessian),
            strict=True,
        ):
            assert np.array(a * float(factor), dtype=float) == pytest.approx(np.asarray(b), abs=1e-12)


def test_an_open_gate_is_known_only_where_it_cannot_matter() -> None:
    network = diagonal("relu", 1, 3)
    for theta, unknown in (([0.0, 0.0, 0.0], 3), ([0.0, 1.0, 1.0], 1), ([0.0, 0.0, 1.0], 2), ([1.0, 1.0, 1.0], 0)):
        assert expand(network, [[v] for v in theta], [1.0], {(1, 0): 1}, float)[-1][0].unknown == unknown


def test_nonzero_local_has_a_curve_too() -> None:
    """Depth 2 without shared weights, decided there by cells: the search for curves agrees."""
    from harness.oracles.curves import descending
    from harness.oracles.expansion import Expansion

    found = descending(Expansion(nonzero_local()), certify=True)
    assert found is not None
    assert (found[0].status, found[1]) == ("not_optimal", "kink")
