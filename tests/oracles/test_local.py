"""Local verdicts where neurons do not decouple: KKT points of random networks of every kind, against random motion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from harness.certificates import check
from harness.certificates.mechanisms import require_mechanism
from harness.oracles.exact import exact_theta
from harness.oracles.general import General
from harness.problem.evaluation import evaluate
from harness.problem.networks import Network, diagonal, fully_connected
from harness.problem.points import Point
from harness.problem.problems import Problem
from tests.support.kkt_points import kkt_point

SLOPES = [Fraction(0), Fraction(1, 10), Fraction(1, 2), Fraction(9, 10), Fraction(-1), Fraction(2), Fraction(1)]


def network_of(rng: np.random.Generator, outputs: int, depth: int, fixed: bool) -> Network:
    slope = SLOPES[int(rng.integers(len(SLOPES)))]
    d = int(rng.integers(2, 4))
    if rng.random() < 0.5:
        network = diagonal("leaky_relu", d, depth, negative_slope=slope, outputs=outputs)
    else:
        widths = [d, *rng.integers(1, 4, depth - 1).tolist()]
        network = fully_connected("leaky_relu", widths, negative_slope=slope, outputs=outputs)
    if not fixed:
        return network
    layer = int(rng.integers(1, depth + 1))
    numbers = rng.integers(-2, 3, network.sizes[layer - 1]).tolist()
    return network.fixing({layer: [Fraction(v, 2) for v in numbers]})


def start_of(network: Network, rng: np.random.Generator) -> np.ndarray:
    """Some neurons are zero at it, and descent leaves them there."""
    start = rng.standard_normal(network.size)
    for layer, width in enumerate(network.widths[1:-1]):
        for j in range(width):
            if rng.random() < 0.25:
                start[[*network.into(layer, j), *network.out_of(layer, j)]] = 0.0
    return start


def points(outputs: int, depth: int, fixed: bool, seeds: int) -> Iterator[Point]:
    for seed in range(seeds):
        rng = np.random.default_rng([outputs, depth, fixed, seed])
        network = network_of(rng, outputs, depth, fixed)
        n = int(rng.integers(1, 5))
        numbers = rng.integers(-16, 16, (n, network.widths[0]))
        x = tuple(tuple(Fraction(2 * int(v) + 1, 16) for v in row) for row in numbers)
        y = rng.choice([-1, 1], n) if outputs == 1 else rng.integers(0, outputs, n)
        problem = Problem(network, x, tuple(y.tolist()))
        found = kkt_point(problem, start_of(network, rng))
        if found is not None:
            yield found


def gain(point: Point, moved: np.ndarray) -> float:
    """By what share the squared norm falls once the least margin is 1 again; negative where it grows."""
    problem, network = point.problem, point.problem.network
    flat = network.flat(point.theta)
    least = evaluate(network, network.split(moved), problem.inputs).margins(problem.seeds).min()
    if least <= 0.0:
        return -np.inf
    return 1.0 - float(moved @ moved) * least ** (-2.0 / network.degree) / float(flat @ flat)


def nearby(point: Point, rng: np.random.Generator) -> float:
    """The largest gain of random motions, of some parameters or of all."""
    flat = point.problem.network.flat(point.theta)
    step = np.linalg.norm(flat) / len(flat) ** 0.5
    best = -np.inf
    for share in (1e-2, 3e-3, 1e-3):
        for _ in range(40):
            moved = rng.standard_normal(len(flat)) * (rng.random(len(flat)) < rng.choice([0.3, 0.6, 1.0]))
            best = max(best, gain(point, flat + share * step * moved))
    return best


def along(point: Point, certificate: dict[str, Any]) -> float:
    """The largest gain along the curve."""
    network = point.problem.network

    def flat(layers: Any) -> np.ndarray:
        rows = [np.array([float(Fraction(v)) for v in u]) for u in layers]
        return network.flat(rows)

    d = flat(certificate["d"])
    e = flat(certificate["e"]) if certificate["e"] else np.zeros(len(d))
    steps = 10.0 ** np.arange(-5.0, 0.5, 0.1) / np.linalg.norm(d)
    return max(gain(point, network.flat(point.theta) + t * d + t * t * e) for t in steps.tolist())


@pytest.mark.parametrize(
    ("outputs", "depth", "fixed"),
    [(1, 2, 0), (1, 2, 1), (1, 3, 0), (1, 3, 1), (2, 1, 0), (3, 2, 0), (2, 2, 1), (3, 3, 1)],
)
def test_verdicts_on_random_points(outputs: int, depth: int, fixed: int) -> None:
    counts: Counter[str] = Counter()
    for point in points(outputs, depth, bool(fixed), 25):
        found = General(point, certify=True)
        verdict = found.local
        counts[verdict.status] += 1
        if verdict.status == "undecided":
            continue
        assert verdict.certified
        assert verdict.certificate is not None
        problem = point.problem
        if verdict.status == "optimal":
            assert nearby(point, np.random.default_rng(0)) < 1e-9
            continue
        assert along(point, verdict.certificate) > 1e-11
        assert found.mechanism is not None
        require_mechanism(found.mechanism, problem, exact_theta(problem.network, point.theta), verdict.certificate)
        turned = {**verdict.certificate, "d": _turned(verdict.certificate["d"])}
        if verdict.certificate["order"] == 1:
            assert not check(problem, turned).accepted
    assert counts.total() >= 10
    assert counts["undecided"] <= 0.2 * counts.total(), counts


def _turned(layers: Any) -> Any:
    return [[str(-Fraction(v)) for v in u] for u in layers]
