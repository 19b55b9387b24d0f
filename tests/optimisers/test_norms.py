"""Norms, their duals, and the largest margin in each, which two rationals enclose."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import harness
from harness import Instance
from harness.optimisers.kkt import residual
from harness.optimisers.margins import max_margin
from harness.optimisers.norms import L1, L2, LINF, Norm
from harness.problem.fields import FieldError
from harness.problem.networks import fully_connected
from harness.problem.problems import Problem
from strategies import instances, linearly_separable_datasets

NORMS = (L1, L2, LINF, Norm(Fraction(3)), Norm(Fraction(3, 2)), Norm(Fraction(5, 4)), Norm(Fraction(4)))
VECTORS = st.lists(st.integers(-5, 5), min_size=1, max_size=4).map(lambda row: np.array(row, dtype=float))


def problem(x: Any, y: Any) -> Problem:
    return Problem(fully_connected("linear", (len(x[0]),)), x, tuple(y))


@given(st.sampled_from(NORMS), VECTORS)
def test_the_steepest_direction_attains_the_dual_norm(norm: Norm, g: np.ndarray) -> None:
    u = norm.steepest(g)
    assert g @ u == pytest.approx(norm.dual(g))
    assert norm(u) == pytest.approx(float(g.any()))
    assert norm.dual.dual == norm


@pytest.mark.parametrize(
    ("norm", "gamma"), [(L1, 4), (L2, 5), (LINF, 7), (Norm(Fraction(3)), (3**1.5 + 4**1.5) ** (2 / 3))]
)
def test_of_one_point_it_is_the_dual_norm(norm: Norm, gamma: float) -> None:
    found = max_margin(problem([(3, -4)], [-1]), norm)
    assert float(found.below) == pytest.approx(gamma, rel=1e-9)
    assert found.below <= found.above <= found.below * (1 + Fraction(1, 10**9))


@settings(max_examples=60)
@given(st.sampled_from(NORMS), linearly_separable_datasets(3))
def test_the_bounds_meet(norm: Norm, data: Any) -> None:
    found = max_margin(problem(*data), norm)
    assert 0 < found.below <= found.above <= found.below * (1 + Fraction(1, 10**8))


def test_data_that_no_vector_separates_have_none() -> None:
    found = max_margin(problem([(1, 0), (2, 0), (0, 1)], [1, -1, 1]), L2)
    assert found.below == found.above == 0


def test_a_norm_has_p_from_1_on() -> None:
    with pytest.raises(FieldError):
        Norm(Fraction(1, 2))


# --- KKT points in a norm ---


@pytest.mark.parametrize("norm", [L1, L2, LINF])
def test_a_single_chain_is_a_kkt_point_in_every_norm(norm: Norm) -> None:
    one = Problem(fully_connected("linear", (1, 1)), ((Fraction(2),),), (1,))
    assert residual(one, np.array([3.0, 3.0]), norm)[1] == pytest.approx(0.0, abs=1e-9)
    # unbalanced, it is none in l_2 and l_inf; in l_1 the larger gradient is that of the smaller weight
    assert residual(one, np.array([4.0, 2.0]), norm)[0] > 0.05


def test_in_l_inf_a_coordinate_may_be_small_where_it_does_not_matter() -> None:
    one = Problem(fully_connected("linear", (2,)), ((Fraction(1), Fraction(0)),), (1,))
    for second in (0.0, 0.5, 1.0):
        assert residual(one, np.array([1.0, second]), LINF)[1] == pytest.approx(0.0, abs=1e-9)
    assert residual(one, np.array([1.0, 0.5]), L1)[0] > 0.3
    assert residual(one, np.array([1.0, -3.0]), LINF)[0] > 0.6


def test_a_direction_that_does_not_separate_has_residual_1() -> None:
    one = Problem(fully_connected("linear", (1, 1)), ((Fraction(1),),), (1,))
    assert residual(one, np.array([1.0, -1.0]), L2) == (1.0, 1.0)


COMPARED: list[float] = []


@settings(max_examples=20, derandomize=True, database=None, deadline=None)
@given(instances(max_width=2))
def _limits_have_no_residual(instance: Instance) -> None:
    (limit,) = harness.drive([instance])
    if limit.point is None or limit.point.doubt:
        return
    try:
        found = residual(limit.point.problem, limit.instance.network.flat(limit.point.theta), L2, 1e-9)
    except ValueError:
        return
    assert found[1] < 1e-6
    COMPARED.append(found[1])


def test_limits_of_the_gradient_flow_are_kkt_points_in_l_2() -> None:
    _limits_have_no_residual()
    assert len(COMPARED) >= 8
