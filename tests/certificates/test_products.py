"""Kinds "product bound" and "cheaper" by hand, where bound and value are rational."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from harness.certificates import check
from harness.problem.instances import Instance
from harness.problem.networks import Network, convolutional, diagonal, fully_connected
from tests.support.certificate_examples import Certificate, instance_of


def bound(theta: Any, alpha: Any, **square: Any) -> Certificate:
    return {"kind": "product bound", "problem": "full", "scope": "global", "theta": theta, "alpha": alpha, **square}


# |x| = 1, so that 1 in every layer is the best.
UNIT: dict[int, tuple[Instance, Certificate]] = {
    1: (instance_of(fully_connected("linear", [2]), [["3/5", "4/5"]], [1]), bound([["3/5", "4/5"]], [1])),
    2: (
        instance_of(fully_connected("linear", [2, 1]), [["3/5", "4/5"]], [1]),
        bound([["3/5", "4/5"], [1]], [1], square=1),
    ),
    3: (
        instance_of(fully_connected("linear", [2, 1, 1]), [["3/5", "4/5"]], [1]),
        bound([["3/5", "4/5"], [1], [1]], [1]),
    ),
}


@pytest.mark.parametrize("depth", UNIT)
def test_the_bound_is_the_value(depth: int) -> None:
    instance, certificate = UNIT[depth]
    checked = check(instance.problem, certificate)
    assert checked.accepted, checked.reason
    assert checked.value == pytest.approx(depth / 2, rel=1e-12)
    assert checked.bound == pytest.approx(depth / 2, rel=1e-12)
    assert checked.gap == 0.0


@pytest.mark.parametrize("depth", [2, 3])
def test_the_bound_may_be_below_the_value_by_the_gap_only(depth: int) -> None:
    """One layer longer by e costs about e^2 (m - 1) / (2 m) more at margin 1, relatively."""
    instance, certificate = UNIT[depth]
    for e, accepted in (("50001/50000", True), ("10001/10000", False)):
        theta = [*certificate["theta"][:-1], [e]]
        checked = check(instance.problem, {**certificate, "theta": theta})
        assert checked.accepted == accepted
        assert accepted or "less than (1 - 1e-9) times the value" in checked.reason
        assert not accepted or 1e-11 < (checked.gap or 0) <= 1e-9


@pytest.mark.parametrize("depth", UNIT)
def test_a_product_bound_needs_a_positive_margin(depth: int) -> None:
    instance, certificate = UNIT[depth]
    for factor in (0, -1):
        theta = [*certificate["theta"][:-1], [str(factor * Fraction(v)) for v in certificate["theta"][-1]]]
        forged = {**certificate, "theta": theta}
        assert check(instance.problem, forged).reason == "theta has a margin that is not positive"


def test_the_square_is_no_less_than_that_of_the_singular_value() -> None:
    instance, certificate = UNIT[2]
    less = {**certificate, "square": str(1 - Fraction(1, 10**12))}
    assert check(instance.problem, less).reason == "D^2 - M'M is not positive semidefinite"
    more = {**certificate, "square": str(1 + Fraction(1, 10**12))}
    assert check(instance.problem, more).accepted
    assert (
        "the bound is infinite or nothing" in check(instance.problem, {**certificate, "alpha": [0], "square": 0}).reason
    )


def test_relu_networks_have_no_product_bound() -> None:
    """A neuron for either point costs more than its norm says; what is true of depth 1 is true of it there too."""
    _, certificate = UNIT[3]
    relu = instance_of(fully_connected("relu", [2, 1, 1]), [["3/5", "4/5"]], [1])
    assert check(relu.problem, certificate).reason == "a product bound is for linear networks"
    flat = instance_of(Network("relu", (((0, 1),),)), [["3/5", "4/5"]], [1])
    assert check(flat.problem, UNIT[1][1]).accepted


def test_shared_weights_count_as_often_as_they_occur() -> None:
    """q = w s (v_1 + v_2) with |v_1 + v_2| <= sqrt(2) |v|; |W| <= sqrt(2) |w| makes D = 2 of it, which is too weak."""
    network = Network("linear", (((0, -1), (-1, 0)), ((0, 1),), ((0,),)))
    size = 2 ** (-1 / 6)
    root = size / 2**0.5
    theta = [[size], [root, root], [size]]
    checked = check(instance_of(network, [[1, 1]], [1]).problem, bound(theta, [1]))
    assert "less than (1 - 1e-9) times the value" in checked.reason
    # At depth 1 sharing is part of the vector, and at depth 2 of M.
    once = Network("linear", (((0, 0),),))
    assert check(instance_of(once, [[1, 1]], [1]).problem, bound([["1/2"]], [1])).accepted
    pair = convolutional("linear", 3, 2)
    both = instance_of(pair, [[1, 0, 0]], [1])
    assert check(both.problem, bound([[1, 0], [1, 0]], [1], square=1)).accepted


def test_a_coordinate_that_nothing_sees_is_no_part_of_the_bound() -> None:
    network = Network("linear", (((0, -1),), ((0,),), ((0,),)))
    assert check(instance_of(network, [[1, 5]], [1]).problem, bound([[1], [1], [1]], [1])).accepted


# --- cheaper ---

LINE = instance_of(diagonal("linear", 1, 2), [[1]], [1])


def cheaper(theta: Any, better: Any) -> Certificate:
    return {"kind": "cheaper", "problem": "full", "scope": "global", "theta": theta, "better": better}


def test_a_cheaper_point_is_cheaper_than_all_next_to_theta() -> None:
    """(1 + e, 1) costs e^2 / 2 more than (1, 1): 2e-8, then 5e-9."""
    checked = check(LINE.problem, cheaper([["5001/5000"], [1]], [[1], [1]]))
    assert checked.accepted
    assert (checked.value, checked.bound) == (pytest.approx((1.0002 + 1 / 1.0002) / 2, rel=1e-12), 1.0)
    for theta in ([["10001/10000"], [1]], [[1], [1]]):
        assert "does not cost clearly less" in check(LINE.problem, cheaper(theta, [[1], [1]])).reason


def test_a_cheaper_point_is_feasible() -> None:
    less = str(1 - Fraction(1, 10**12))
    assert "is not feasible" in check(LINE.problem, cheaper([[2], [1]], [[less], [1]])).reason
    for theta in ([[2], [-1]], [[0], [0]]):
        assert check(LINE.problem, cheaper(theta, [[1], [1]])).reason == "theta has a margin that is not positive"
