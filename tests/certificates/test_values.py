"""The formulas of values: what their witnesses bound, and what a proof of optimality says beside its bound."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from harness.certificates.answer import GAP, proven
from harness.certificates.numbers import Rejected
from harness.certificates.statements import Ball
from harness.certificates.values import bounded
from harness.problem.networks import Network, diagonal, fully_connected
from harness.problem.problems import Problem

HALF = Fraction(1, 2)


def leaky(slope: Fraction, *widths: int) -> Network:
    return fully_connected("leaky_relu", widths, negative_slope=slope)


def problem(network: Network, x: Any, y: tuple[int, ...]) -> Problem:
    return Problem(network, x, y)


def both(given: Problem, below: dict[str, Any], above: dict[str, Any]) -> tuple[Fraction, Fraction]:
    low, high = bounded(given, below).below, bounded(given, above).above
    assert low is not None
    assert high is not None
    return low, high


@pytest.mark.parametrize("slope", [Fraction(0), HALF, -HALF, Fraction(3)])
def test_mirrored_data_cost_twice_the_vector_over_one_and_the_slope(slope: Fraction) -> None:
    """The one point (3, 4) has w^ = (3, 4) / 25, of norm 1/5."""
    given = problem(leaky(slope, 2, 2), ((3, 4),), (1,))
    low, high = both(
        given,
        {"formula": "mirrored", "alpha": [1]},
        {"formula": "mirrored", "points": [["3/25", "4/25"]]},
    )
    expected = Fraction(2, 5) / (1 + slope)
    assert low <= expected <= high
    assert high - low < Fraction(1, 10**12)


@pytest.mark.parametrize("network", [leaky(Fraction(-1), 2, 2), leaky(Fraction(-2), 2, 2), leaky(HALF, 2, 2, 2)])
def test_mirrored_is_no_formula_for_others(network: Network) -> None:
    with pytest.raises(Rejected, match="two trained layers"):
        bounded(problem(network, ((3, 4),), (1,)), {"formula": "mirrored", "alpha": [1]})


@pytest.mark.parametrize("widths", [(2, 2), (2, 2, 2), (2, 1, 1, 1)])
def test_classes_cost_the_sum_of_the_powers_of_both(widths: tuple[int, ...]) -> None:
    """w+ = (3, 4) / 25, and w- = (-1, 0) / 8."""
    given = problem(fully_connected("relu", widths), ((3, 4), (8, 0)), (1, -1))
    low, high = both(
        given,
        {"formula": "classes", "alpha": [2, 3]},
        {"formula": "classes", "points": [["3/25", "4/25"], ["-1/8", 0]]},
    )
    m = len(widths)
    expected = m / 2 * (0.2 ** (2 / m) + 0.125 ** (2 / m))
    assert float(low) == pytest.approx(expected, rel=1e-12)
    assert float(high) == pytest.approx(expected, rel=1e-12)
    assert low <= high


def test_an_orthant_costs_the_least_of_its_l1_norms() -> None:
    """beta >= 1/4 at x = (2, 4), by the second coordinate; with beta_2 <= 0 it takes the first, 1/2."""
    given = problem(diagonal("linear", 2, 2), ((2, 4),), (1,))
    for signs, points, expected in (([1, 1], [[0, "1/4"]], Fraction(1, 4)), ([1, -1], [["1/2", 0]], HALF)):
        low, high = both(
            given,
            {"formula": "orthant", "alpha": [1], "signs": signs},
            {"formula": "orthant", "points": points, "signs": signs},
        )
        assert low == high == expected


@pytest.mark.parametrize("size", [Fraction(1, 10), Fraction(1), Fraction(7)])
def test_a_ball_is_a_billionth_of_its_centre(size: Fraction) -> None:
    """theta = size (3, 4, 12), of norm 13 size."""
    theta = ((3 * size, 4 * size), (12 * size,))
    ball = Ball(problem(leaky(HALF, 2, 1), ((1, 1),), (1,)), theta)
    assert float(ball.norm) == pytest.approx(float(13 * size), rel=1e-15)
    assert float(ball.radius) == pytest.approx(float(13 * size) * 1e-9, rel=1e-15)
    low, high = ball.value
    assert low < 169 * size * size / 2 < high
    assert float(high - low) == pytest.approx(2.0 * float(169 * size * size) * 1e-9, rel=1e-6)


def test_what_a_bound_leaves_open_is_said() -> None:
    near = 1 - GAP / 2
    found = proven(near, Fraction(1), "anywhere")
    assert found.accepted
    assert found.gap == pytest.approx(float(GAP / 2))
    assert proven(Fraction(1), Fraction(1), "anywhere").gap == 0.0
    with pytest.raises(Rejected, match="less than"):
        proven(1 - 2 * GAP, Fraction(1), "anywhere")
