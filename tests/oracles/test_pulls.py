"""Bounds with several outputs, one neuron after the other: against one output, against ascent, and forged."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from benchmarks.families import draw
from benchmarks.kinds import KINDS, draws
from harness import drive
from harness.certificates import check
from harness.oracles import decide
from harness.oracles.pulls import decide_pulls
from harness.problem.fields import FieldError
from harness.problem.networks import Network, convolutional, fully_connected
from harness.problem.points import Point
from harness.problem.problems import Problem
from tests.support.certificate_examples import changed
from tests.support.points import active_global, fc_relu_local, margins_of, nonzero_local, point

BY_NAME = {kind.name: kind for kind in KINDS}


def twofold(found: Point) -> Point:
    """The point of one output as one of two classes, of which only Phi_0 - Phi_1 counts; balanced."""
    network = found.problem.network
    d, width = network.widths[:2]
    two = fully_connected("leaky_relu", (d, width), outputs=2, negative_slope=network.slope)
    v = found.theta[1] * 2.0**0.25 / 2.0
    classes = [int(label < 0) for label in found.problem.y]
    return point(two, found.problem.x, classes, [(found.theta[0] * 2.0**-0.25).tolist(), [*v.tolist(), *(-v).tolist()]])


def one_output(seed: int, count: int) -> list[Point]:
    rng = np.random.default_rng(seed)
    limits = drive([draw(rng, "fully connected relu, depth 2", ("generic", "integer")[t % 2]) for t in range(count)])
    return [one.point for one in limits if one.point is not None and not one.point.doubt and one.instance.n <= 5]


def test_two_classes_are_one_output() -> None:
    """Where the oracles of one output know a better point there is no bound; mostly there is one where they do not."""
    seen: Counter[tuple[str, str, bool]] = Counter()
    for found in [fc_relu_local(), nonzero_local(), active_global(), *one_output(3, 80)]:
        both = twofold(found)
        assert both.residual <= 1e-9
        verdicts = decide(found)
        for scope, verdict in (("local", verdicts.local), ("global", verdicts.global_)):
            own = decide_pulls(both, scope, certify=True)
            seen[scope, verdict.status, own is not None] += 1
            if own is not None:
                assert own.certified
                assert own.bound == pytest.approx(both.value, rel=1e-8)
    for scope, known in (("local", 2), ("global", 6)):
        assert not seen[scope, "not_optimal", True]
        assert seen[scope, "not_optimal", False] >= known
        assert seen[scope, "optimal", True] >= max(20, 9 * seen[scope, "optimal", False])


def limits_of(name: str, seed: int, count: int) -> list[Point]:
    limits = drive(list(draws(BY_NAME[name], seed, count, integer=False)))
    return [one.point for one in limits if one.point is not None and not one.point.doubt]


@pytest.mark.parametrize("name", ["3 classes, relu, depth 2", "3 classes, leaky 1/2, depth 2"])
def test_nothing_is_better_next_to_what_is_optimal(name: str) -> None:
    """Random steps of three sizes never raise the least margin over the squared norm."""
    rng = np.random.default_rng(0)
    proven = 0
    for found in limits_of(name, 23, 16):
        verdict = decide_pulls(found, "local", certify=True)
        if verdict is None:
            continue
        proven += 1
        theta = np.concatenate(found.theta)
        own = margins_of(found.problem.network, found.problem, found.theta).min() / (theta @ theta)
        for size in (1e-2, 1e-3, 1e-4):
            for step in rng.standard_normal((60, len(theta))) * size:
                moved = theta + step * (rng.random(len(theta)) < 0.5)
                margin = margins_of(found.problem.network, found.problem, found.problem.network.split(moved)).min()
                assert margin / (moved @ moved) <= own * (1.0 + 1e-9)
    assert proven >= 4


def test_a_limit_with_kinks_and_partners_is_decided() -> None:
    """Neurons that turn into each other, some of them on kinks, others dead: to second order nothing is strict."""
    kinds: Counter[str] = Counter()
    for found in limits_of("3 classes, leaky 1/2, depth 2", 501, 25):
        verdict = decide(found).local
        kinds[(verdict.certificate or {}).get("kind", "none")] += verdict.certified
    assert kinds["pulls"] >= 5 * sum(kinds.values()) // 6


def walled() -> tuple[Point, dict[str, Any]]:
    """A local optimum whose proof has walls and one that has products."""
    for found in limits_of("3 classes, relu, depth 2", 501, 60):
        verdict = decide_pulls(found, "local", certify=True)
        cells = [cell for own in (verdict.certificate or {})["neurons"] for cell in own] if verdict else []
        if verdict and any(cell["walls"] for cell in cells) and any(cell["products"] for cell in cells):
            return found, verdict.certificate or {}
    raise AssertionError("none was drawn")


def test_a_forged_bound_is_refused() -> None:
    found, certificate = walled()
    assert check(found.problem, certificate).accepted
    places = [
        (key, j, c)
        for j, own in enumerate(certificate["neurons"])
        for c, cell in enumerate(own)
        for key in ("walls", "products")
        if cell[key]
    ]
    for key, j, c in places:
        assert not check(found.problem, changed(certificate, ["neurons", j, c, key], [])).accepted
    wall = next(place for place in places if place[0] == "walls")
    turned = certificate["neurons"][wall[1]][wall[2]]["walls"][0][1]
    turned = [str(-Fraction(a)) for a in turned]
    assert (
        "clearly positive"
        in check(found.problem, changed(certificate, ["neurons", wall[1], wall[2], "walls", 0, 1], turned)).reason
    )
    product = next(place for place in places if place[0] == "products")
    assert (
        "negative"
        in check(
            found.problem, changed(certificate, ["neurons", product[1], product[2], "products", 0, 2], "-1")
        ).reason
    )
    more = [str(Fraction(a) * Fraction(101, 100)) for a in certificate["alpha"]]
    assert "longer" in check(found.problem, changed(certificate, ["alpha"], more)).reason
    assert "less than" in check(found.problem, changed(certificate, ["alpha"], [0] * len(more))).reason
    # what holds next to the point alone does not hold everywhere
    with pytest.raises(FieldError):
        check(found.problem, {**certificate, "scope": "global"})


def test_a_dead_neuron_that_pays_has_no_bound() -> None:
    """One of two classes at x = (1, 1/4), the other at (-1, 1/4) in a network with a dead neuron: waking it pays."""
    network = fully_connected("relu", (2, 2), outputs=2)
    x = [[1, Fraction(1, 4)], [-1, Fraction(1, 4)]]
    v = 2.0**0.25
    theta = [[0, 2 * v, 0, 0], [v * 2**0.5, 0, -v * 2**0.5, 0]]
    found = point(network, x, [0, 0], theta)
    assert found.residual < 1e-12
    assert decide_pulls(found, "local", certify=True) is None
    assert decide(found).local.status == "not_optimal"


@pytest.mark.parametrize(
    "network",
    [
        fully_connected("linear", (2, 2)),
        fully_connected("relu", (2, 2, 2)),
        fully_connected("relu", (2, 2), fixed={2: (1, 1)}),
        convolutional("relu", 3, 2),
    ],
    ids=["linear", "deep", "fixed", "shared"],
)
def test_other_networks_are_refused(network: Network) -> None:
    ones = [[1] * size for size in network.sizes]
    given = Problem(network, ((Fraction(1),) * network.widths[0],), (1,))
    certificate: dict[str, Any] = {"kind": "pulls", "problem": "full", "scope": "local", "theta": ones}
    answer = check(given, certificate | {"signs": None, "alpha": [1], "neurons": []})
    assert answer.reason.startswith("the bound is for depth 2 with kinks")
