"""Predicates on data and starts: exact, on both sides of their edges, and by brute force where that is another way."""

from __future__ import annotations

import random
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

from harness.problem import predicates
from harness.problem.instances import Instance
from harness.problem.networks import Network, circulant, convolutional, diagonal, fully_connected
from harness.problem.problems import Problem
from harness.problem.separability import Separation, separation

RELU = fully_connected("relu", (2, 2))
TINY = Fraction(1, 10**12)


def problem(x: Any, y: Any = None, network: Network | None = None) -> Problem:
    d = len(x[0])
    return Problem(network or fully_connected("relu", (d, 2)), x, tuple(y or (1,) * len(x)))


# --- separability ---


def test_a_vector_or_a_proof_that_there_is_none_as_a_linear_programme_says() -> None:
    source, found = random.Random(0), {True: 0, False: 0}
    for _ in range(300):
        n, d = source.randint(1, 6), source.randint(1, 4)
        rows = [[Fraction(source.randint(-3, 3)) for _ in range(d)] for _ in range(n)]
        answer = separation(rows)
        assert answer.proves(rows)
        matrix = np.array([[float(v) for v in row] for row in rows])
        solved = linprog(np.zeros(d), A_ub=-matrix, b_ub=-np.ones(n), bounds=(None, None))
        assert bool(answer) == bool(solved.success)
        found[bool(answer)] += 1
    assert min(found.values()) > 50


def test_separability_is_decided_where_floats_see_nothing() -> None:
    """The second row is the first one's opposite, but for one part in 10^30."""
    nudge = Fraction(1, 10**30)
    assert separation([[Fraction(1), Fraction(0)], [Fraction(-1), nudge]])
    assert not separation([[Fraction(1), Fraction(0)], [Fraction(-1), Fraction(0)]])


def test_witnesses_are_checked() -> None:
    rows = [[Fraction(1)], [Fraction(-1)]]
    assert not Separation((Fraction(1),), None).proves(rows)
    assert not Separation(None, (Fraction(1), Fraction(0))).proves(rows)
    assert not Separation(None, (Fraction(2), Fraction(-1))).proves([[Fraction(1)], [Fraction(2)]])


# --- the edges of strict predicates ---


@pytest.mark.parametrize(
    ("predicate", "edge", "network"),
    [
        # zeta = 2 e c, R_min^2 = c^2 + e^2 at the points (c, e), (e, c): the condition's edge in e at c = 1
        (predicates.near_orthogonal, lambda e: (1 + e * e, 2 * e), RELU),
        (predicates.attackable, lambda e: (1 + e * e, 6 * e), RELU),
        (
            predicates.near_orthogonal,
            lambda e: (Fraction(1, 2) * (1 + e * e), 2 * e),
            fully_connected("leaky_relu", (2, 2), negative_slope=Fraction(1, 2)),
        ),
        (
            predicates.clearly_orthogonal,
            lambda e: (Fraction(1, 8) * (1 + e * e), 2 * e * Fraction(3, 2)),
            fully_connected("leaky_relu", (2, 2), negative_slope=Fraction(1, 2)),
        ),
    ],
)
def test_near_orthogonality_is_exact(predicate: Any, edge: Any, network: Network) -> None:
    """By bisection on the fractions, the predicate turns exactly where its two sides are equal."""
    low, high = Fraction(0), Fraction(1)
    for _ in range(60):
        middle = (low + high) / 2
        given = problem(((1, middle), (middle, 1)), (1, -1), network)
        side, other = edge(middle)
        assert predicate(given) == (other < side)
        low, high = (middle, high) if other < side else (low, middle)
    assert high - low < TINY


def test_equality_is_outside_a_strict_predicate() -> None:
    equal = problem(((1, 0), (1, 1)))
    assert predicates.spread(equal) == predicates.Spread(2, Fraction(1), Fraction(1), Fraction(2))
    assert not predicates.near_orthogonal(equal)
    assert predicates.hardly_orthogonal(equal)
    assert predicates.not_orthogonal(equal)
    three = problem(((1, 0), (3, 1)))
    assert predicates.not_orthogonal(three)
    assert not predicates.hardly_orthogonal(three)
    assert not predicates.near_orthogonal(problem(((1, 0),)))


def test_orthogonal_separability() -> None:
    assert predicates.orthogonally_separable(problem(((1, 1), (1, 0), (-1, 0)), (1, 1, -1)))
    right = problem(((1, 0), (0, 1)))
    assert not predicates.orthogonally_separable(right)
    assert predicates.weakly_orthogonally_separable(right)
    # between the classes a right angle will do
    assert predicates.orthogonally_separable(problem(((1, 0), (0, 1)), (1, -1)))
    assert not predicates.weakly_orthogonally_separable(problem(((1, TINY), (TINY, 1)), (1, -1)))
    assert not predicates.weakly_orthogonally_separable(problem(((1, 0), (-TINY, 1))))


def test_right_angles_are_those_that_a_neuron_sees() -> None:
    assert not predicates.no_right_angles(problem(((3, -3), (-1, -1))))
    assert predicates.no_right_angles(problem(((3, -3), (-1, -2))))
    assert predicates.no_right_angles(problem(((3, -3), (-1, -1)), network=diagonal("relu", 2, 2)))
    assert not predicates.no_right_angles(problem(((3, 0), (-1, -2)), network=diagonal("relu", 2, 2)))


def test_mirror_images() -> None:
    assert predicates.mirrored(problem(((1, 2), (-1, -2)), (1, -1)))
    assert not predicates.mirrored(problem(((1, 2), (-1, -2)), (1, 1)))
    assert not predicates.mirrored(problem(((1, 2), (1, 2), (-1, -2)), (1, 1, -1)))
    assert not predicates.mirrored(problem(((1, 2), (-1, -2 - TINY)), (1, -1)))
    twice = problem(((1, 2), (1, 2), (-1, -2), (-1, -2)), (1, -1, -1, 1))
    assert predicates.mirrored(twice)
    assert not predicates.mirrored_and_separable(twice)


def test_networks_by_their_patterns() -> None:
    assert predicates.is_diagonal(diagonal("relu", 3, 2))
    assert predicates.is_diagonal(diagonal("linear", 2, 4))
    assert not predicates.is_diagonal(RELU)
    assert predicates.is_circulant(circulant("linear", 3))
    assert not predicates.is_circulant(convolutional("linear", 3, 2))
    assert predicates.is_scalar(convolutional("linear", 3, 1))
    assert not predicates.is_scalar(diagonal("linear", 3, 2))
    signed = fully_connected("relu", (1, 2), fixed={2: (1, 1)})
    assert predicates.outputs_are_signs(signed)
    assert not predicates.outputs_have_both_signs(signed)
    assert predicates.outputs_have_both_signs(fully_connected("relu", (1, 2), fixed={2: (1, -1)}))
    assert not predicates.outputs_are_signs(fully_connected("relu", (1, 2), fixed={2: (1, 2)}))
    assert not predicates.outputs_are_signs(RELU)


# --- starts ---


def of_diagonal(x: Any, y: Any, u: Any, v: Any) -> Instance:
    return Instance.of(diagonal("linear", len(u), 2), "exponential", x, y, (u, v))


def test_balance_and_orthants() -> None:
    start = of_diagonal(((1, 2),), (1,), (1, -2), (-1, 2))
    assert predicates.balanced(start)
    assert not predicates.unbalanced(start)
    assert predicates.orthant(start) == (-1, -1)
    assert not predicates.separable_in_orthant(start)
    assert predicates.separable_in_orthant(of_diagonal(((1, 2),), (1,), (1, -2), (-1, -2)))
    mixed = of_diagonal(((1, 2),), (1,), (1, 2), (1, 1))
    assert not predicates.balanced(mixed)
    assert not predicates.unbalanced(mixed)
    assert not predicates.balanced(of_diagonal(((1, 2),), (1,), (1, 0), (1, 0)))
    # the edge of the orthant separates as well as its inside
    assert predicates.separable_in_orthant(of_diagonal(((1, 0),), (1,), (1, 1), (1, 1)))


def test_open_cells_are_those_that_vectors_reach() -> None:
    given = problem(((1, 0), (1, 2), (-3, 1), (2, 4)))
    reached = {
        tuple(int(np.sign(a * x + b * y)) for x, y in ((1, 0), (1, 2), (-3, 1), (2, 4)))
        for a, b in product(range(-9, 10), repeat=2)
    }
    assert {*predicates.open_cells(given)} == {cell for cell in reached if all(cell)}
    assert len(predicates.open_cells(given)) == 6


def test_a_cover_needs_every_cell_of_either_sign_balance_and_a_small_norm() -> None:
    network = fully_connected("relu", (1, 4))
    whole = [[1, 1, -1, -1], [1, -1, 1, -1]]

    def covers(theta: list[list[int]], scale: Fraction) -> bool:
        rows = tuple(tuple(scale * a for a in u) for u in theta)
        return predicates.covering_and_small(Instance.of(network, "exponential", ((1,),), (1,), rows))

    # norm^2 is 8 times the square of the scale
    assert covers(whole, Fraction(1, 90))
    assert not covers(whole, Fraction(1, 89))
    assert not covers([[1, 1, 1, -1], [1, -1, 1, -1]], Fraction(1, 90))
    assert not covers([[1, 1, -1, -1], [2, -1, 1, -1]], Fraction(1, 200))


def test_a_zero_neuron_is_seen() -> None:
    def zero(w: Any, v: Any) -> bool:
        return predicates.no_idle_neuron(Instance.of(RELU, "exponential", ((1, 1),), (1,), (w, v)))

    assert zero((1, 0, 0, 1), (1, 1))
    assert not zero((1, 0, 0, 0), (1, 1))
    assert not zero((1, 0, 0, 1), (1, 0))
