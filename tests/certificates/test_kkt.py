"""The exact KKT residual by hand: multipliers, coefficients of kinks, and which patterns occur next to theta."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import pytest

from harness.certificates.kkt import MAX_KINKS, Residual, require_every_pattern, residual
from harness.certificates.numbers import Rejected
from harness.problem.instances import Instance
from harness.problem.networks import Network
from harness.problem.places import Place
from tests.support.certificate_examples import SPLIT, instance_of

HAIR = Fraction(1, 10**12)
# Neuron 1 has a kink on sample 1, which it would lower by 3/20 of its input.
THETA = [["4/5", "-3/5", 1], [1, -1]]
SIGNS = (((1, 0), (0, 1)),)
PLACE = Place(1, 0, 0)


def of(
    coefficients: Mapping[Place, Any],
    multipliers: Sequence[Any] = (1, 1),
    instance: Instance = SPLIT,
    theta: Sequence[Sequence[Any]] = THETA,
    signs: Any = SIGNS,
) -> Residual:
    exact = tuple(tuple(Fraction(v) for v in u) for u in theta)
    kinks = {place: Fraction(c) for place, c in coefficients.items()}
    return residual(instance.problem, signs, exact, tuple(Fraction(a) for a in multipliers), kinks)


def test_a_kkt_point_has_no_residual() -> None:
    assert of({PLACE: "3/20"}) == Residual(Fraction(0), Fraction(0))


@pytest.mark.parametrize("c", [0, 1])
def test_a_coefficient_is_between_0_and_1(c: int) -> None:
    """c - 3/20 times y_1 v_1 x_1 = -(3, 4) is what is left, of a theta with the squared norm 4."""
    left = 25 * (c - Fraction(3, 20)) ** 2 / 4
    assert of({PLACE: c}) == Residual(left, Fraction(0))
    assert of({}) == of({PLACE: 0})
    with pytest.raises(Rejected, match="the coefficient of neuron 1 on sample 1 is not between 0 and 1"):
        of({PLACE: c + (HAIR if c else -HAIR)})


def test_a_coefficient_is_at_a_kink() -> None:
    with pytest.raises(Rejected, match="neuron 1 of layer 1 has no kink on sample 0"):
        of({Place(0, 0, 0): 1})


def test_multipliers_are_not_negative() -> None:
    with pytest.raises(Rejected, match="the multiplier of sample 1 is negative"):
        of({PLACE: "3/20"}, (1, -HAIR))


def test_a_multiplier_beyond_the_least_margin_is_slack() -> None:
    """Sample 1 twice as far: theta - g_1 / 2 is as it was, and 1/2 (2 - 1) / |theta|^2 is added."""
    far = Instance.of(SPLIT.network, SPLIT.loss, (SPLIT.x[0], tuple(2 * v for v in SPLIT.x[1])), SPLIT.y, SPLIT.theta0)
    found = of({PLACE: "3/20"}, (1, "1/2"), far)
    assert found == Residual(Fraction(0), Fraction(1, 8))
    assert found.at_most(Fraction(1, 8))
    assert not found.at_most(Fraction(1, 8) - HAIR)
    # Both terms add up: 3/8 + 1/8.
    both = Residual(Fraction(9, 64), Fraction(1, 8))
    assert both.at_most(Fraction(1, 2))
    assert not both.at_most(Fraction(1, 2) - HAIR)
    assert not Residual(Fraction(0), Fraction(1)).at_most(Fraction(1, 2))


# --- patterns of shared weights ---


def filtered(x: list[Any], w: list[Any], patches: int) -> tuple[Instance, Any, Any]:
    """One filter w on patches of x side by side, with an outgoing weight of 1 each; theta and its signs."""
    size = len(w)
    rows = tuple(
        tuple(c - size * j if size * j <= c < size * (j + 1) else -1 for c in range(len(x))) for j in range(patches)
    )
    network = Network("relu", (rows, (tuple(range(patches)),)))
    theta = (tuple(Fraction(v) for v in w), (Fraction(1),) * patches)
    inputs = [sum(a * b for a, b in zip(w, x[size * j : size * (j + 1)], strict=True)) for j in range(patches)]
    signs = ((tuple((v > 0) - (v < 0) for v in inputs),),)
    return instance_of(network, [x], [1]), theta, signs


def patterns_of(x: list[Any], w: list[Any], patches: int) -> None:
    instance, theta, signs = filtered(x, w, patches)
    require_every_pattern(instance.problem, theta, signs, 0)


def test_kinks_with_independent_normals_have_every_pattern() -> None:
    patterns_of([1, 0, 0, 0, 1, 0], [0, 0, 1], 2)
    # A third one on a patch that is zero makes no difference.
    patterns_of([1, 0, 0, 0, 1, 0, 0, 0, 0], [0, 0, 1], 3)


@pytest.mark.parametrize("second", [[1, 0, 0], [-2, 0, 0], [1, Fraction(1, 10**8), 0]])
def test_kinks_with_one_normal_have_not(second: list[Any]) -> None:
    with pytest.raises(Rejected, match="the normals of the kinks of sample 0 are linearly dependent"):
        patterns_of([1, 0, 0, *second], [0, 0, 1], 2)
    instance, theta, signs = filtered([1, 0, 0, *second], [0, 0, 1], 2)
    with pytest.raises(Rejected, match="are linearly dependent"):
        residual(instance.problem, signs, theta, (Fraction(1),), {})
    # Without a multiplier the sample has no say.
    assert residual(instance.problem, signs, theta, (Fraction(0),), {}) == Residual(Fraction(1), Fraction(0))


def test_the_kinks_of_a_sample_are_few() -> None:
    for kinks in (MAX_KINKS, MAX_KINKS + 1):
        x = [int(c == j) for j in range(kinks) for c in range(kinks + 1)]
        w = [0] * kinks + [1]
        if kinks == MAX_KINKS:
            patterns_of(x, w, kinks)
            continue
        with pytest.raises(Rejected, match=f"sample 0 has more than {MAX_KINKS} kinks"):
            patterns_of(x, w, kinks)
