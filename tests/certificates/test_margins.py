"""Margins in a norm, exponentials and the progress of a linear classifier: bounds that hold whatever they are given."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.certificates.exponentials import MOST, exponential, exponentials
from harness.certificates.margins import margin, norm_down, norm_up
from harness.certificates.numbers import Rejected
from harness.certificates.progress import gained, loss

POWERS = (Fraction(1), Fraction(2), None, Fraction(3), Fraction(3, 2), Fraction(5, 4))
NUMBERS = st.fractions(min_value=-4, max_value=4, max_denominator=6)
ROWS = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=4)


@given(ROWS, st.sampled_from(POWERS), st.tuples(NUMBERS, NUMBERS), st.lists(st.integers(0, 5), min_size=4, max_size=4))
def test_no_direction_is_better_than_any_weights_allow(
    rows: list[tuple[Fraction, Fraction]], p: Fraction | None, u: tuple[Fraction, Fraction], weights: list[int]
) -> None:
    given = [Fraction(a) for a in weights[: len(rows)]]
    if not any(given):
        given[0] = Fraction(1)
    found = margin(rows, p, u, given)
    assert 0 <= found.below <= found.above


def test_weights_that_bound_nothing_are_refused() -> None:
    rows, u = [(Fraction(1), Fraction(0)), (Fraction(0), Fraction(1))], (Fraction(1), Fraction(1))
    for weights in ((0, 0), (2, -1)):
        with pytest.raises(Rejected):
            margin(rows, Fraction(2), u, [Fraction(a) for a in weights])


@given(st.lists(NUMBERS, min_size=1, max_size=4), st.sampled_from(POWERS))
def test_norms_are_enclosed(v: list[Fraction], p: Fraction | None) -> None:
    low, high = norm_down(v, p), norm_up(v, p)
    size = [abs(float(a)) for a in v]
    value = max(size) if p is None else math.fsum(a ** float(p) for a in size) ** (1 / float(p))
    assert low <= high <= low * (1 + Fraction(1, 10**10))
    assert float(low) == pytest.approx(value, rel=1e-12, abs=1e-300)


def test_a_norm_that_is_rational_is_exact() -> None:
    assert norm_down((Fraction(3), Fraction(4)), Fraction(2)) == norm_up((Fraction(3), Fraction(4)), Fraction(2)) == 5


@given(st.fractions(min_value=-600, max_value=600, max_denominator=10**6))
def test_exponentials_are_enclosed(x: Fraction) -> None:
    low, high = exponential(x)
    assert low <= high <= low * (1 + Fraction(1, 2**90))
    assert float(low) == pytest.approx(math.exp(x), rel=1e-12)
    # e^x e^-x = 1, on the other side of zero too
    other_low, other_high = exponential(-x)
    assert low * other_low <= 1 <= high * other_high


def test_digits_of_e() -> None:
    low, high = exponential(Fraction(1))
    digits = Fraction(27182818284590452353602874713526, 10**31)
    assert digits <= high
    assert low <= digits + Fraction(1, 10**31)


def test_what_is_too_small_or_too_large() -> None:
    assert exponential(-MOST - 1)[0] == 0
    assert exponentials([-MOST - 1, Fraction(0)])[1] < 1 + Fraction(1, 10**100)
    with pytest.raises(Rejected):
        exponential(MOST + 1)
    with pytest.raises(Rejected):
        loss([(Fraction(1),)], (-MOST - 1,))


def test_progress_is_told_from_none() -> None:
    rows, start = [(Fraction(1),), (Fraction(3),)], (Fraction(0),)
    one, ten_thousand = (Fraction(1),), (Fraction(10_000),)
    exact = math.log(2) - math.log(math.exp(-1) + math.exp(-3))
    near = Fraction(1, 10**12)
    assert gained(rows, start, start, Fraction(0))
    assert gained(rows, start, one, Fraction(exact) - near)
    assert gained(rows, start, one, Fraction(exact) + near) is False
    assert gained(rows, one, start, Fraction(0)) is False
    assert gained(rows, start, ten_thousand, Fraction(9_999))
    assert gained(rows, start, ten_thousand, Fraction(10_001)) is False
