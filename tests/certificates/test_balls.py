"""Kind "ball" by hand: every inequality of the proof, on either side of where it becomes an equation."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from harness.certificates import check
from harness.certificates.taylor import bounds, sqrt_up
from harness.problem.networks import Network, diagonal, fully_connected
from tests.support.certificate_examples import OPPOSITE, SPLIT, Certificate, instance_of

HAIR = 1 + Fraction(1, 10**9)


def ball(theta: Any, signs: Any, radius: Any, **leaf: Any) -> Certificate:
    tree: Any = {"nu": [], "rho": 1, "tau": 0, **leaf}
    common = {"kind": "ball", "problem": "full", "scope": "local", "theta": theta, "signs": signs}
    return {**common, "radius": str(radius), "rotations": [], "tree": tree}


# q = u v, and F = (u^2 + v^2)/2 - (uv - 1) + rho/2 (uv - 1)^2 with Hessian eigenvalues 2 and 2 rho at (1, 1).
PRODUCT = instance_of(diagonal("linear", 1, 2), [[1]], [1])
RADIUS = Fraction(1, 50)


def product_ball(**leaf: Any) -> Certificate:
    return ball([[1], [1]], None, RADIUS, **{"alpha": [1], "mu": 1, **leaf})


def product_bounds() -> tuple[Fraction, Fraction, Fraction]:
    theta = ((Fraction(1),), (Fraction(1),))
    return bounds(PRODUCT.network, theta, RADIUS).of(2, sqrt_up(Fraction(1)))


def test_a_ball_by_hand() -> None:
    checked = check(PRODUCT.problem, product_ball())
    assert checked.accepted, checked.reason
    assert checked.value == checked.bound == 1.0


def test_the_hessian_exceeds_mu() -> None:
    """The eigenvalue 2 does not depend on rho, the other is 2 rho."""
    assert check(PRODUCT.problem, product_ball(mu=str(2 / HAIR))).accepted
    for forged in ({"mu": str(2 * HAIR)}, {"rho": str(1 / HAIR), "mu": 2}, {"rho": "1/4", "mu": "501/1000"}):
        assert "the Hessian is not clearly positive definite" in check(PRODUCT.problem, product_ball(**forged)).reason


def test_mu_covers_the_third_derivative() -> None:
    """(uv - 1)^2 / 2 has a third derivative of at most 3 k1 k2, as uv has none."""
    k1, k2, k3 = product_bounds()
    assert k3 == 0
    least = 2 * 3 * k1 * k2 * RADIUS / 3
    assert check(PRODUCT.problem, product_ball(mu=str(least))).accepted
    assert (
        "mu is less than two thirds of the bound" in check(PRODUCT.problem, product_ball(mu=str(least / HAIR))).reason
    )


def test_the_margin_stays_below_what_rho_allows() -> None:
    """|q - 1| <= k1 radius in the ball, and 2 alpha / rho is allowed."""
    most = 2 / (product_bounds()[0] * RADIUS)
    within, beyond = (check(PRODUCT.problem, product_ball(rho=str(rho))).reason for rho in (most, most * HAIR))
    # Here the third derivative is too large, which is looked at next.
    assert "mu is less than two thirds" in within
    assert beyond == "the ball is too large for rho"


@pytest.mark.parametrize("radius", ["1/10000000000", "1/1000000000000000"])
def test_the_cost_grows_to_the_edge_of_the_ball(radius: str) -> None:
    """On (2, 1/2) uv = 1 too, at a cost of 17/8: in a tiny ball the slope of F costs less than the gap."""
    forged = ball([[2], ["1/2"]], None, radius, alpha=[1], mu="1/10")
    assert "the cost does not clearly grow towards the edge" in check(PRODUCT.problem, forged).reason


@pytest.mark.parametrize("radius", ["1/50", "27/100"])
def test_theta_at_least_margin_one_is_in_the_ball(radius: str) -> None:
    """Its margin is 0.81, and |theta| (1 / 0.81 - 1) = 0.299."""
    forged = {**product_ball(alpha=["1/2"]), "theta": [["9/10"], ["9/10"]], "radius": radius}
    assert check(PRODUCT.problem, forged).reason == "theta, scaled to least margin 1, is not in the ball"


# --- rotations ---

# One neuron in two halves: any share of the direction is as good, and the two can be turned into each other.
HALVES = instance_of(fully_connected("linear", [1, 2]), [[1]], [1])


def halves(**leaf: Any) -> Certificate:
    forged = ball([["3/5", "4/5"], ["3/5", "4/5"]], None, RADIUS, **{"alpha": [1], "tau": "1/5", "mu": "1/3", **leaf})
    return {**forged, "rotations": [[1, 1, 2]]}


def test_rotations_are_held_by_tau() -> None:
    """The tangent has the squared length 2, and nothing else but tau counts along it."""
    assert check(HALVES.problem, halves()).accepted
    assert check(HALVES.problem, halves(mu=str(Fraction(2, 5) / HAIR))).accepted
    for forged in (halves(mu=str(Fraction(2, 5) * HAIR)), halves(tau=0), {**halves(), "rotations": []}):
        assert "the Hessian is not clearly positive definite" in check(HALVES.problem, forged).reason


# Each neuron is off on the other's point.
APART = instance_of(fully_connected("relu", [2, 2]), [[1, 0], ["-3/5", "4/5"]], [1, 1])
# Neurons 1 and 2 share the first point and have their kinks on the second, which neuron 3 sees.
SHARED = instance_of(fully_connected("relu", [2, 3]), [[1, 0], [0, 1]], [1, -1])


def test_neurons_with_other_gates_are_not_rotated() -> None:
    apart = ball([[1, 0, "-3/5", "4/5"], [1, 1]], [[[1, -1], [-1, 1]]], "1/1000", alpha=[1, 1], mu="1/2")
    assert check(APART.problem, apart).accepted
    forged = {**apart, "rotations": [[1, 1, 2]]}
    assert check(APART.problem, forged).reason == "rotated neurons of layer 1 differ in their gates on sample 0"


@pytest.mark.parametrize("neuron", [1, 2])
def test_rotated_neurons_have_no_inequality_of_their_own(neuron: int) -> None:
    theta = [["3/5", 0, "4/5", 0, 0, 1], ["3/5", "4/5", -1]]
    forged = {**ball(theta, [[[1, 1, 0], [0, 0, 1]]], "1/1000"), "rotations": [[1, 1, 2]]}
    end = {"alpha": [1, 1], "nu": [[1, 1, neuron, 1]], "rho": 1, "tau": 1, "mu": "1/2"}
    # The first leaf is the one with both kinks on, so that the gates are the same.
    both = {"split": [1, 1, 2], "on": end, "off": end}
    forged["tree"] = {"split": [1, 1, 1], "on": both, "off": both}
    assert check(SHARED.problem, forged).reason == "a rotated neuron has an inequality of its own"


def test_rotated_neurons_are_mixed_alike() -> None:
    theta = [["3/5", 0, "4/5", 0, 0, 1], ["3/5", "4/5", -1]]
    mixed = [[1, 1, 1, "1/2", 0], [1, 1, 2, "1/2", 1]]
    leaf = {"alpha": [1, 1], "mu": "1/2", "mixed": mixed}
    forged = {**ball(theta, [[[1, 1, 0], [0, 0, 1]]], "1/1000", **leaf), "rotations": [[1, 1, 2]]}
    assert check(SHARED.problem, forged).reason == "rotated neurons of layer 1 differ in their squares on sample 1"
    mixed[1][4] = 0
    assert "differ" not in check(SHARED.problem, forged).reason
    mixed[1][3] = "1/3"
    assert check(SHARED.problem, forged).reason == "rotated neurons of layer 1 differ in their gates on sample 1"


# --- kinks ---


def split(on: Any, off: Any, rho: Any = 1) -> Certificate:
    """SPLIT with its kink split: the coefficient 3/20 is 0 and 1 here, and nu makes up for the rest of it."""
    forged = ball([["4/5", "-3/5", 1], [1, -1]], [[[1, 0], [0, 1]]], "1/1000")
    leaf = {"alpha": [1, 1], "rho": 1, "tau": 0, "mu": "1/2"}
    on, off = ({**leaf, "nu": [[1, 1, 1, nu]]} for nu in (on, off))
    return {**forged, "tree": {"split": [1, 1, 1], "on": on, "off": {**off, "rho": str(rho)}}}


def test_nu_holds_the_kinks_that_are_split() -> None:
    assert check(SPLIT.problem, split("17/20", "3/20")).accepted
    for on, off in (("17/20", "1/20"), ("3/20", "3/20"), ("17/20", 0), (0, "3/20")):
        assert not check(SPLIT.problem, split(on, off)).accepted
    assert "a multiplier is negative" in check(SPLIT.problem, split("17/20", "-3/20")).reason
    # |p| <= |x| radius in the ball, and 2 nu / rho is allowed.
    most = 2 * Fraction(3, 20) / (sqrt_up(Fraction(26)) * Fraction(1, 1000))
    within, beyond = (check(SPLIT.problem, split("17/20", "3/20", rho)).reason for rho in (most / HAIR, most * HAIR))
    assert "mu is less than two thirds" in within
    assert beyond == "the ball is too large for rho"


# --- mixed kinks ---


def pressed(**leaf: Any) -> Certificate:
    """SPLIT with the kink of neuron 1 on sample 1 mixed; turning it on lowers that margin by 1 per unit."""
    signs = [[[1, 0], [0, 1]]]
    return ball([["4/5", "-3/5", 1], [1, -1]], signs, "1/1000", **{"alpha": [1, 1], "mu": "1/2", **leaf})


def mix(c: Any = "3/20", weight: Any = 0) -> list[list[Any]]:
    return [[1, 1, 1, c, weight]]


def test_a_kink_that_only_lowers_the_margin_is_mixed() -> None:
    assert check(SPLIT.problem, pressed(mixed=mix())).accepted
    # Any other coefficient leaves a slope.
    assert not check(SPLIT.problem, pressed(mixed=mix("1/5"))).accepted
    assert "open gate" in check(SPLIT.problem, pressed()).reason


def test_the_square_of_a_mixed_kink_stays_below_what_its_margin_loses() -> None:
    """|p| <= |x| radius, and the margin loses at least (1 - radius) min(c, 1 - c) |p|."""
    radius, steep = Fraction(1, 1000), sqrt_up(Fraction(26))
    most = (1 - radius) * Fraction(3, 20) / (steep * radius)
    within, beyond = (check(SPLIT.problem, pressed(mixed=mix(weight=str(w)))) for w in (most / HAIR, most * HAIR))
    assert within.accepted, within.reason
    assert beyond.reason == "the ball is too large for rho"


def test_a_margin_with_mixed_squares_has_half_its_room() -> None:
    theta = ((Fraction(4, 5), Fraction(-3, 5), Fraction(1)), (Fraction(1), Fraction(-1)))
    radius = Fraction(1, 1000)
    k1 = bounds(SPLIT.network, theta, radius).of(2, sqrt_up(Fraction(26)))[0]
    most = 1 / (k1 * radius)
    for weight, share in ((0, 2), (1, 1)):
        within, beyond = (
            check(SPLIT.problem, pressed(mixed=mix(weight=weight), rho=str(share * r))) for r in (most, most * HAIR)
        )
        assert within.reason != "the ball is too large for rho"
        assert beyond.reason == "the ball is too large for rho"


def test_a_kink_that_raises_the_margin_is_not_mixed() -> None:
    """Each neuron can help the other's point: no local optimum, whatever the gates that are off say."""
    helping = instance_of(fully_connected("relu", [2, 2]), [[1, 0], [0, 1]], [1, 1])
    signs = [[[1, 0], [0, 1]]]
    mixed = [[0, 1, 2, 0, 0], [1, 1, 1, 0, 0]]
    leaf = {"alpha": [1, 1], "mu": "1/2", "mixed": mixed}
    forged = ball([[1, 0, 0, 1], [1, 1]], signs, "1/1000", **leaf)
    assert "a mixed kink of sample 0 does not clearly lower the margin" in check(helping.problem, forged).reason
    opposite = ball([[1, 0, 0, 1], [1, -1]], signs, "1/1000", **leaf)
    assert check(OPPOSITE.problem, opposite).accepted
    without = {**leaf, "alpha": [0, 1]}
    assert (
        "it has no multiplier, or an inequality"
        in check(OPPOSITE.problem, ball(opposite["theta"], signs, "1/9", **without)).reason
    )


# --- signs ---


@pytest.mark.parametrize(("radius", "inside"), [("1/5000", True), ("1/100", False)])
def test_the_ball_ends_before_the_kinks(radius: str, inside: bool) -> None:
    """Neuron 1 has the input 1/1000 on the second sample."""
    instance = instance_of(diagonal("relu", 2, 2), [[1, 0], ["1/1000", "999/1000"]], [1, 1])
    forged = ball([[1, 1], [1, 1]], [[[1, 0], [1, 1]]], radius, alpha=["998/999", "1000/999"], mu="1/2")
    checked = check(instance.problem, forged)
    assert checked.accepted == inside
    assert inside or checked.reason == "the ball reaches the kink of neuron 1 of layer 1 on sample 1"


# --- bounds of derivatives ---


def test_the_most_used_parameter_of_a_layer_counts() -> None:
    """q = u_1 (x_1 + x_2 + x_3) + u_2 x_4 has a slope of 3 at x = (1, 1, 1, 0), of the norm sqrt(3)."""
    uneven = Network("linear", (((0, 0, 0, 1),),))
    theta = ((Fraction(1), Fraction(1)),)
    first, second, third = bounds(uneven, theta, Fraction(0)).of(1, sqrt_up(Fraction(3)))
    assert 3 <= first <= 3 * HAIR
    assert (second, third) == (0, 0)
