"""The layer problems of any network: against the depth 2 oracle, by hand, and against random ascent."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

import numpy as np
import pytest

from benchmarks.families import FAMILIES, suite
from harness import drive
from harness.certificates import check
from harness.oracles import decide
from harness.oracles.layer_tree import decide_layer
from harness.oracles.least_distance import least_norm
from harness.oracles.verdict import LayerVerdicts
from harness.problem.limits import Limit
from harness.problem.networks import fully_connected
from tests.support.points import active_global, margins_of, nonzero_local, point, random_limit


def test_agrees_with_the_depth_2_oracle() -> None:
    counts: Counter[str] = Counter()
    for seed in range(800):
        found = random_limit(seed)
        if found is None:
            continue
        for layer, known in enumerate(decide(found).trained_layers):
            new = decide_layer(found, layer, certify=True)
            for old, verdict in ((known.local, new.local), (known.global_, new.global_)):
                assert verdict.status == old.status
                assert verdict.certified
                counts[verdict.status] += 1
    assert counts["optimal"] > 50
    assert counts["not_optimal"] >= 4


def test_tilting_a_neuron_pays() -> None:
    first = decide_layer(nonzero_local(), 0, certify=True)
    assert first.local.status == first.global_.status == "not_optimal"
    assert first.local.bound is not None
    assert first.local.bound < first.local.value


def test_not_global_but_local() -> None:
    first = decide_layer(active_global(), 0, certify=True)
    assert (first.local.status, first.global_.status) == ("optimal", "not_optimal")


def test_a_deep_kink_that_does_not_pay_and_one_that_does() -> None:
    """Depth 3: the identity below the two neurons of nonzero_local, so that the second layer's problem is theirs."""
    network = fully_connected("relu", (2, 2, 2))
    found = point(network, [[1, 0], [0, 1]], [1, 1], [[1, 0, 0, 1], [1, 0, 0, 1], [1, 1]])
    second = decide_layer(found, 1, certify=True)
    assert second.local.status == "not_optimal"
    assert second.local.certified
    assert decide_layer(found, 2, certify=True).global_.status == "optimal"
    # With single weights in their place the same points leave no room to tilt.
    alone = point(fully_connected("relu", (1, 1, 1)), [[1]], [1], [[1], [1], [1]])
    assert [pair.global_.status for pair in decide(alone).trained_layers] == ["optimal"] * 3


@lru_cache(maxsize=1)
def driven() -> list[tuple[Limit, tuple[LayerVerdicts, ...]]]:
    """Limits of flows of shared and deep networks, and what is said of their layers."""
    families = [name for name in FAMILIES if "depth 3" in name or "convolutional" in name]
    found = [limit for limit in drive(suite(11, 60, "integer", families)) if limit.point and not limit.point.doubt]
    return [(limit, decide(limit).trained_layers) for limit in found]


def test_every_layer_of_a_limit_is_decided() -> None:
    counts: Counter[str] = Counter()
    for found, layers in driven():
        assert len(layers) == found.instance.network.depth
        for pair in layers:
            for verdict in (pair.local, pair.global_):
                counts[verdict.status] += 1
                assert verdict.certified
                assert verdict.certificate is not None
                assert check(found.instance.problem, verdict.certificate).accepted
        if found.instance.network.activation == "linear":
            assert all(pair.global_.status == "optimal" for pair in layers)
    assert counts["optimal"] > 100


def test_no_small_step_in_one_layer_beats_a_local_optimum() -> None:
    rng = np.random.default_rng(4)
    optimal = [(f, k) for f, layers in driven() for k, pair in enumerate(layers) if pair.local.status == "optimal"]
    assert len(optimal) > 50
    for found, layer in optimal:
        assert found.theta is not None
        network = found.instance.network
        u = found.theta[layer]
        for radius in (1e-2, 1e-4):
            for _ in range(20):
                step = radius * np.linalg.norm(u) * rng.standard_normal(len(u)) * rng.integers(0, 2, len(u))
                moved = [*found.theta[:layer], u + step, *found.theta[layer + 1 :]]
                q = margins_of(network, found.instance, moved).min()
                gain = q / np.linalg.norm(u + step) if q > 0 else 0.0
                assert gain <= (1 + 1e-9) / np.linalg.norm(u)


def test_a_doubtful_limit_stays_open() -> None:
    found = point(fully_connected("relu", (1, 1, 1)), [[1]], [1], [[1], [1], [1]], doubt="a weight may be zero")
    assert {pair.local.status for pair in decide(found).trained_layers} == {"undecided"}


@pytest.mark.parametrize("seed", range(20))
def test_least_norm_points(seed: int) -> None:
    """Feasible, and the bound that the multipliers prove equals the cost; or no point is feasible."""
    rng = np.random.default_rng(seed)
    a, b = rng.integers(-3, 4, (5, 3)).astype(float), np.array([1.0, 1.0, 1.0, 0.0, 0.0])
    found = least_norm(a, b)
    assert found is not None
    if found.z is None:
        assert np.abs(a.T @ found.y).max() < 1e-9 * found.y.sum()
        assert b @ found.y > 0.0
    else:
        assert (a @ found.z >= b - 1e-9).all()
        assert found.bound == pytest.approx(0.5 * found.z @ found.z, rel=1e-9)
