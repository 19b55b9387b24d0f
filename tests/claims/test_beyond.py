"""The claims around the paper: what they speak of, what they assume of a limit, and what becomes of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings

from harness.claims import assumed, measures
from harness.claims.beyond import BEYOND
from harness.claims.stated import Measured, Stated
from harness.claims.table import CLAIMS
from harness.problem.instances import Instance
from harness.problem.limits import Limit
from harness.problem.networks import Network, circulant, diagonal, fully_connected
from harness.problem.points import Point
from tests.support.properties import of_claim
from tests.testing.test_testers_beyond import MODULES

RELU = fully_connected("relu", (2, 2))


def at(network: Network, x: Any, y: Any, theta: Any) -> Limit:
    """A limit at this point, from a start of ones."""
    start = Instance.of(network, "exponential", x, y, tuple((Fraction(1),) * size for size in network.sizes))
    return Limit(start, "converged", "", Point.at(start.problem, theta))


def words(limit: Limit) -> Any:
    """Stands for Verdicts: certified optima of everything."""
    optimal = SimpleNamespace(status="optimal", certified=True)
    return SimpleNamespace(point=limit.point, certify=True, local=optimal, global_=optimal)


def test_there_are_as_many_as_the_readme_says() -> None:
    assert Counter(claim.status for claim in BEYOND) == {"theorem": 22, "refuted": 11, "open": 7}


@pytest.mark.parametrize("claim", [claim.id for claim in BEYOND if claim.status != "refuted"])
def test_properties_draw_what_the_claim_speaks_of(claim: str) -> None:
    drawn: list[bool] = []

    @settings(max_examples=10, derandomize=True, database=None, deadline=None, phases=[Phase.generate])
    @given(**of_claim(claim, MODULES).hypothesis._given_kwargs)
    def collect(instance: Instance) -> None:
        drawn.append(CLAIMS[claim].applies(instance.network))

    collect()
    assert sum(drawn) > len(drawn) // 2


# --- whether a flow separates ---


def ended(claim: str, instance: Instance, status: Any) -> str:
    return CLAIMS[claim].judged(Limit(instance, status, "Because."), None)


def test_a_claim_may_say_that_a_flow_separates() -> None:
    network = diagonal("linear", 1, 2)

    def start(u: int, v: int) -> Instance:
        return Instance.of(network, "exponential", ((1,),), (1,), ((u,), (v,)))

    assert ended("diag2-unbalanced-global", start(1, 2), "never_separates") == "violated"
    assert ended("diag2-unbalanced-global", start(1, 1), "never_separates") == "outside"
    assert ended("diag2-unbalanced-global", start(1, 2), "undecided") == "undecided"
    assert ended("diag2-balanced-orthant", start(1, 1), "never_separates") == "violated"
    # in the other orthant there is nothing to find
    assert ended("diag2-balanced-orthant", start(1, -1), "never_separates") == "holds"
    assert ended("diag2-balanced-orthant", start(1, 2), "never_separates") == "outside"
    assert ended("kkt", start(1, 2), "never_separates") == "outside"


def test_data_that_a_claim_does_not_speak_of_are_outside() -> None:
    limit = at(RELU, ((1, 0), (0, 1)), (1, 1), [[1.0, 0.0, 0.0, 1.0], [1.0, 1.0]])
    assert CLAIMS["orthsep-global"].judged(limit, words(limit)) == "outside"
    assert CLAIMS["nearorth-equal"].judged(limit, words(limit)) == "holds"
    assert CLAIMS["nearorth-beyond"].judged(limit, words(limit)) == "outside"


# --- what is assumed of a limit ---


def test_dead_neurons() -> None:
    one = at(RELU, ((1, 0),), (1,), [[1.0, 0.0, 0.0, 0.0], [1.0, 0.0]])
    assert assumed.dead_neuron(one, words(one)) is True
    two = at(RELU, ((1, 0),), (1,), [[1.0, 0.0, 1.0, 0.0], [0.5, 0.5]])
    assert assumed.no_dead_neuron(two, words(two)) is True


def test_kinks_are_concave_where_the_neuron_is_against_the_point() -> None:
    x, theta = ((1, 0), (0, 1)), [[1.0, 0.0, 0.0, 1.0], [1.0, 1.0]]
    convex = at(RELU, x, (1, 1), theta)
    assert assumed.concave_kinks(convex, words(convex)) is False
    concave = at(RELU, x, (1, -1), [theta[0], [1.0, -1.0]])
    assert assumed.concave_kinks(concave, words(concave)) is True


@pytest.mark.parametrize(
    ("slope", "coefficient", "known"),
    [(0, 0.5, True), (0, 0.0, False), (0, 1.0, False), (0, 1e-8, None), (Fraction(1, 2), 0.5, False), (-1, 0.0, True)],
)
def test_a_kink_is_inside_or_at_an_end_of_its_range_or_it_is_not_known(
    slope: Any, coefficient: float, known: bool | None
) -> None:
    network = fully_connected("leaky_relu" if slope else "relu", (2, 2), negative_slope=slope or None)
    limit = at(network, ((1, 0), (0, 1)), (1, 1), [[1.0, 0.0, 0.0, 1.0], [1.0, 1.0]])
    assert limit.point is not None
    kinks = tuple(replace(kink, coefficient=coefficient) for kink in limit.point.kinks)
    assert len(kinks) == 2
    object.__setattr__(limit.point, "kinks", kinks)
    object.__setattr__(limit.point, "multipliers", np.array([1.0, 1.0]))
    assert assumed.inner_kinks(limit, words(limit)) is known
    # of points without a multiplier nothing is asked
    object.__setattr__(limit.point, "kinks", kinks[:1])
    object.__setattr__(limit.point, "multipliers", np.eye(2)[1 - kinks[0].place.sample])
    assert assumed.inner_kinks(limit, words(limit)) is True


def test_multipliers_are_unique_unless_a_point_occurs_twice() -> None:
    once = at(RELU, ((1, 0), (0, 1)), (1, 1), [[1.0, 0.0, 0.0, 1.0], [1.0, 1.0]])
    assert assumed.unique_multipliers(once, words(once)) is True
    twice = at(RELU, ((1, 0), (1, 0)), (1, 1), [[1.0, 0.0, 0.0, 0.0], [1.0, 0.0]])
    assert assumed.unique_multipliers(twice, words(twice)) is False
    # three points of a plane in one neuron: dependent, and the middle one's multiplier makes room for the others'
    across = at(RELU, ((1, 1), (1, 0), (1, -1)), (1, 1, 1), [[1.0, 0.0, 0.0, 0.0], [1.0, 0.0]])
    assert assumed.unique_multipliers(across, words(across)) is False
    # dependent columns, and one solution all the same: the outer point alone is of no use
    corner = at(RELU, ((1, 0), (1, 1), (1, 2)), (1, 1, 1), [[1.0, 0.0, 0.0, 0.0], [1.0, 0.0]])
    assert assumed.unique_multipliers(corner, words(corner)) is True


@pytest.mark.parametrize(("filter_", "known"), [((1.0, 1.0), False), ((1.0, 0.5), True), ((1.0, 1.0 + 1e-7), None)])
def test_a_spectrum_is_full_or_not_or_it_is_not_known(filter_: Any, known: bool | None) -> None:
    limit = at(circulant("linear", 2), ((1, 0),), (1,), [list(filter_), [1.0, 0.0]])
    assert assumed.full_spectrum(limit, words(limit)) is known


def test_neurons_meet_in_a_pattern_and_in_a_gap() -> None:
    x = ((1, 1), (2, 1), (3, 1))
    both = at(RELU, x, (1, 1, 1), [[1.0, 1.0, 2.0, 2.0], [1.0, 1.0]])
    assert assumed.gaps_meet(both, words(both)) is assumed.patterns_meet(both, words(both)) is True
    apart = at(RELU, x, (1, 1, 1), [[1.0, 0.0, -1.0, 2.5], [1.0, 1.0]])
    assert assumed.gaps_meet(apart, words(apart)) is False


def test_multipliers_that_are_next_to_nothing_leave_it_open() -> None:
    limit = at(RELU, ((1, 0), (0, 1)), (1, 1), [[1.0, 0.0, 0.0, 1.0], [1.0, 1.0]])
    assert limit.point is not None
    for share, known in ((1.0, [0, 1]), (1e-15, [0]), (1e-10, None)):
        object.__setattr__(limit.point, "multipliers", np.array([1.0, share]))
        assert measures.supported(limit) == known


# --- what is stated of it ---


@pytest.mark.parametrize(("off", "known"), [(0.0, True), (1e-8, True), (5e-7, None), (1.0, False)])
def test_a_statement_has_room_between_true_and_false(off: float, known: bool | None) -> None:
    """Nothing is called false but by the exact checker: the measure's word alone leaves it open."""
    limit = at(RELU, ((1, 0), (0, 2)), (1, 1), [[1.0, 0.0, 0.0, 1.0], [1.0, 1.0]])
    says = Stated("slack margin", lambda _: Measured(off, {"sample": 1}))
    assert says(limit, words(limit)) is known
    unproven = Stated("slack margin", lambda _: Measured(off, {"sample": 0}))
    assert unproven(limit, words(limit)) is (None if known is False else known)
    assert Stated("slack margin", lambda _: None)(limit, words(limit)) is None


def test_the_floor_of_classes_is_the_nuclear_norm() -> None:
    """Of points 2, 1, 1: 1 + sqrt(5/3).  Of one point each: 2."""
    for y, floor in (((0, 0, 1, 2), 1.0 + (5.0 / 3.0) ** 0.5), ((0, 1, 2), 2.0)):
        n = len(y)
        network = fully_connected("linear", (n, 3), outputs=3)
        one_hot = np.eye(3)[:, list(y)] - 1.0 / 3.0
        left, values, right = np.linalg.svd(one_hot, full_matrices=False)
        # balanced factors of the matrix itself cost its nuclear norm
        theta = [(np.sqrt(values)[:, None] * right).ravel().tolist(), (left * np.sqrt(values)).ravel().tolist()]
        limit = at(network, np.eye(n, dtype=int).tolist(), y, theta)
        assert limit.value == pytest.approx(floor, rel=1e-9)
        measured = measures.below_classifier(limit)
        assert abs(measured.off) < 1e-9
