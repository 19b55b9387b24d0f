"""The verdicts on random KKT points against brute force, which knows nothing of cells, duality or certificates."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from harness.oracles import Verdicts, decide
from harness.problem.networks import fully_connected
from harness.problem.points import Point
from tests.support.points import margins_of, point, random_limit

SEEDS = 400


@lru_cache(maxsize=1)
def decided() -> list[tuple[Point, Verdicts]]:
    """Random small KKT points and their verdicts."""
    limits = (random_limit(seed) for seed in range(SEEDS))
    return [(found, decide(found)) for found in limits if found is not None]


def normalised(found: Point, theta: Any) -> float:
    """min q / ||theta||^2, which is 1 / (2 cost) once theta is scaled to min q = 1."""
    q = margins_of(found.problem.network, found.problem, theta)
    return float(q.min()) / sum(float(u @ u) for u in theta)


def test_all_are_decided_and_none_is_rare() -> None:
    counts: Counter[str] = Counter()
    for _, verdicts in decided():
        for name, verdict in [
            ("local", verdicts.local),
            ("global", verdicts.global_),
            ("first local", verdicts.trained_layers[0].local),
            ("first global", verdicts.trained_layers[0].global_),
            ("second", verdicts.trained_layers[1].global_),
        ]:
            counts[f"{name} {verdict.status}"] += 1
            assert verdict.certified == (verdict.status != "undecided")
    assert {key for key in counts if key.endswith("undecided")} == set()
    assert min(counts[f"{scope} not_optimal"] for scope in ("local", "global")) >= 4
    assert counts["local optimal"] >= 50


def test_no_rise_near_a_local_optimum() -> None:
    rng = np.random.default_rng(1)
    optimal = [found for found, verdicts in decided() if verdicts.local.status == "optimal"]
    assert len(optimal) >= 50
    for found in optimal:
        assert found.theta is not None
        flat = np.concatenate(found.theta)
        here = normalised(found, found.theta)
        for radius in (1e-2, 1e-3, 1e-4):
            for _ in range(20):
                # Some coordinates stay, so that zeros and kinks are kept now and then.
                step = rng.standard_normal(len(flat)) * rng.integers(0, 2, len(flat))
                there = normalised(found, found.problem.network.split(flat + radius * np.linalg.norm(flat) * step))
                assert there <= here * (1.0 + 1e-9)


def test_margin_rises_at_once_where_not_locally_optimal() -> None:
    """Along the segment to the better point in the variables u_j = v_j w_j, however short the step."""
    seen = 0
    for found, verdicts in decided():
        if verdicts.local.status != "not_optimal":
            continue
        seen += 1
        assert verdicts.local.certificate is not None
        assert found.theta is not None
        better = [np.array([float(Fraction(a)) for a in u]) for u in verdicts.local.certificate["better"]]
        here = normalised(found, found.theta)
        for step in (0.5, 1e-1, 1e-2, 1e-3):
            assert normalised(found, _towards(found, better, step)) > here * (1.0 + 1e-9 * step)
    assert seen >= 4


def _towards(found: Point, better: list[np.ndarray], step: float) -> list[np.ndarray]:
    """(1 - step) of the limit's u_j plus step of the better point's, back in balanced (w, v)."""
    assert found.theta is not None
    hidden, last = (np.zeros(len(u)) for u in found.theta)
    incoming, (outgoing,) = found.problem.network.patterns
    for row, out in zip(incoming, outgoing, strict=True):
        at = [k for k in row if k >= 0]
        u = (1 - step) * abs(found.theta[1][out]) * found.theta[0][at] + step * abs(better[1][out]) * better[0][at]
        sign = np.sign(found.theta[1][out]) or np.sign(better[1][out])
        norm = np.linalg.norm(u)
        if norm > 0.0:
            hidden[at] = u / norm**0.5
            last[out] = sign * norm**0.5
    return [hidden, last]


def test_no_start_beats_a_global_optimum() -> None:
    """Projected ascent of the soft margin from random starts never ends above a limit called globally optimal."""
    rng = np.random.default_rng(2)
    tried = 0
    for found, verdicts in decided():
        if verdicts.global_.status != "optimal" or tried >= 25:
            continue
        tried += 1
        assert found.theta is not None
        here, size = normalised(found, found.theta), sum(map(len, found.theta))
        for _ in range(3):
            result = minimize(
                lambda flat, f=found: -normalised(f, f.problem.network.split(flat)),
                rng.standard_normal(size),
                method="Nelder-Mead",
                options={"maxfev": 300},
            )
            assert -result.fun <= here * (1.0 + 1e-9)
    assert tried == 25


@pytest.mark.parametrize("seed", range(6))
def test_linear_value_is_the_svm_margin(seed: int) -> None:
    """Fully connected, linear, depth 2: the best value is ||w*||, w* the hard-margin SVM, here from SLSQP."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-3, 4, (5, 3))
    x[:, 0] += ~x.any(axis=1)
    y = np.where(x @ rng.standard_normal(3) > 0, 1, -1)
    svm = minimize(
        lambda w: 0.5 * w @ w,
        np.linalg.lstsq(x, 3.0 * y, rcond=None)[0],
        jac=lambda w: w,
        constraints={"type": "ineq", "fun": lambda w: y * (x @ w) - 1.0, "jac": lambda _: y[:, None] * x},
        options={"ftol": 1e-15, "maxiter": 500},
    )
    assert svm.success
    w = _settled(x, y, svm.x)
    norm = float(np.linalg.norm(w))
    # Two equal neurons, each with half of w.
    half = w / (2.0 * norm) ** 0.5
    found = point(fully_connected("linear", (3, 2)), x.tolist(), y.tolist(), [[*half, *half], [(norm / 2) ** 0.5] * 2])
    verdicts = decide(found)
    assert verdicts.global_.status == "optimal"
    assert verdicts.global_.value == pytest.approx(norm, rel=1e-9)
    assert verdicts.global_.bound is not None
    assert (1.0 - 1e-9) * norm <= verdicts.global_.bound <= norm * (1.0 + 1e-12)


def _settled(x: np.ndarray, y: np.ndarray, w: np.ndarray) -> np.ndarray:
    """The shortest vector with the active margins of w equal to 1: SLSQP stops short of full accuracy."""
    active = y * (x @ w) < 1.0 + 1e-5
    return np.linalg.lstsq((y[:, None] * x)[active], np.ones(active.sum()), rcond=None)[0]
