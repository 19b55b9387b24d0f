"""The ascent to a steep direction, where the cases of a region are too many to list."""

from __future__ import annotations

import numpy as np
import pytest

from harness.oracles import decide
from harness.oracles.regions import Region, climb, slope
from tests.support.points import fc_relu_local


def region_of(rng: np.random.Generator, below: float) -> Region:
    n, d = int(rng.integers(2, 9)), int(rng.integers(1, 5))
    on, free = (tuple(np.flatnonzero(rng.random(n) < share).tolist()) for share in (0.3, 0.7))
    on = tuple(i for i in on if i not in free)
    return Region(int(rng.choice([-1, 1])), on, free, (0,), rng.standard_normal((n, d)), below)


def psi(region: Region, alpha: np.ndarray, y: np.ndarray, u: np.ndarray) -> float:
    """Sample by sample, as the docstring of regions.py has it."""
    total = 0.0
    for i, x in enumerate(region.patch):
        on = i in region.on or (i in region.free and x @ u > 0.0)
        total += alpha[i] * y[i] * region.sign * (1.0 if on else region.below) * float(x @ u)
    return total


@pytest.mark.parametrize("below", [0.0, 0.5, -0.5])
def test_what_is_climbed_is_psi_and_below_the_largest_slope(below: float) -> None:
    rng, reached = np.random.default_rng(5), 0
    for _ in range(200):
        region = region_of(rng, below)
        n = len(region.patch)
        alpha, y = rng.random(n) * rng.integers(0, 2, n), rng.choice([-1, 1], n)
        found, direction = climb(region, alpha, y)
        assert found == pytest.approx(psi(region, alpha, y, direction), abs=1e-12)
        assert found == 0.0 or np.linalg.norm(direction) == pytest.approx(1.0)
        exact = slope(region, alpha, y)
        assert exact is not None
        assert found <= exact.largest + 1e-12
        if not exact.concave:
            # psi is convex there, so that its steepest direction is one of the cases
            reached += found > (1.0 - 1e-9) * exact.largest
    assert reached > 20


def test_a_pull_whose_square_underflows_is_none() -> None:
    rng = np.random.default_rng(5)
    region = region_of(rng, 0.0)
    n = len(region.patch)
    found, direction = climb(region, np.full(n, 1e-300), np.ones(n))
    assert found == 0.0
    assert not direction.any()


def test_a_dead_neuron_that_pays_is_found_however_many_cases_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.oracles.regions.MAX_CONVEX", 1)
    verdicts = decide(fc_relu_local())
    assert (verdicts.local.status, verdicts.local.certified) == ("not_optimal", True)
    assert verdicts.mechanism == "dead neuron"
