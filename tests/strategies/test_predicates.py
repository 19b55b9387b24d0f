"""Data that meet a predicate: every draw does, draws at the edge are common, and they shrink to what one writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from harness.problem import predicates
from harness.problem.instances import Instance
from harness.problem.networks import Network, diagonal, fully_connected
from harness.problem.numbers import dot
from strategies.datasets import nonzero_row
from strategies.kinds import LINEAR, RELU, SIGNED
from strategies.numbers import integers
from strategies.predicates import (
    basis_instances,
    covering,
    diagonal_instances,
    mirrored_instances,
    near_orthogonal_instances,
    orthogonally_separable_instances,
    univariate_instances,
)

FEW = settings(max_examples=30, derandomize=True, database=None, deadline=None, phases=[Phase.generate])
NEAR, CLEAR = predicates.near_orthogonal, predicates.clearly_orthogonal
_POINT = st.tuples(integers(3), integers(3)).map(nonzero_row)
COVERING = st.builds(
    covering,
    st.lists(_POINT, min_size=3, max_size=3),
    st.lists(st.sampled_from((1, -1)), min_size=3, max_size=3),
    st.sampled_from((1, 10)),
)


def of_data(predicate: Callable[[Any], bool]) -> Callable[[Instance], bool]:
    return lambda instance: predicate(instance.problem)


MEETS: list[tuple[st.SearchStrategy[Instance], Callable[[Instance], bool]]] = [
    (near_orthogonal_instances(NEAR, RELU | LINEAR), of_data(NEAR)),
    (near_orthogonal_instances(NEAR, SIGNED), of_data(NEAR)),
    (near_orthogonal_instances(CLEAR, SIGNED), of_data(CLEAR)),
    (near_orthogonal_instances(predicates.attackable, RELU, classes=True), of_data(predicates.attackable)),
    (orthogonally_separable_instances(RELU), of_data(predicates.orthogonally_separable)),
    (orthogonally_separable_instances(RELU, weak=True), of_data(predicates.weakly_orthogonally_separable)),
    (mirrored_instances(RELU), of_data(predicates.mirrored_and_separable)),
    (univariate_instances(), of_data(predicates.univariate)),
    (diagonal_instances(balanced=True), predicates.balanced),
    (diagonal_instances(balanced=False), predicates.unbalanced),
    (diagonal_instances(balanced=False), of_data(predicates.separable)),
    (COVERING, predicates.covering_and_small),
]


@pytest.mark.parametrize(("strategy", "predicate"), MEETS)
def test_every_draw_meets_its_predicate(
    strategy: st.SearchStrategy[Instance], predicate: Callable[[Instance], bool]
) -> None:
    @FEW
    @given(strategy)
    def meets(instance: Instance) -> None:
        assert predicate(instance)

    meets()


def drawn(strategy: st.SearchStrategy[Instance]) -> list[Instance]:
    found: list[Instance] = []

    @FEW
    @given(strategy)
    def collect(instance: Instance) -> None:
        found.append(instance)

    collect()
    return found


def test_draws_are_close_to_the_edge_on_either_side() -> None:
    """(2 n - 3) zeta / R_min^2 is just below 1 inside, and outside at least 1, mostly not by much."""

    def ratios(inside: bool) -> list[float]:
        spreads = [predicates.spread(i.problem) for i in drawn(near_orthogonal_instances(NEAR, RELU, inside=inside))]
        return [float((2 * s.n - 3) * s.zeta / s.least) for s in spreads]

    inside, outside = ratios(True), ratios(False)
    assert max(inside) < 1.0
    assert sum(r > 0.5 for r in inside) > len(inside) // 2
    assert sum(r >= 1.0 for r in outside) > len(outside) // 2
    assert sum(1.0 <= r <= 2.0 for r in outside) > len(outside) // 4


def test_nothing_is_orthogonal_and_little_is_lost() -> None:
    orthogonal = [not predicates.spread(i.problem).zeta for i in drawn(near_orthogonal_instances(NEAR, RELU))]
    assert sum(orthogonal) <= 1
    for instance in drawn(mirrored_instances(RELU, inside=False)):
        assert not predicates.mirrored(instance.problem)


# --- shrinking ---


def minimal(strategy: st.SearchStrategy[Instance], condition: Callable[[Instance], bool] = lambda i: True) -> Instance:
    return find(strategy, condition, settings=settings(max_examples=1000, database=None, derandomize=True))


def written(network: Network, x: Any, y: Any, *theta: Any) -> Instance:
    return Instance.of(network, "exponential", x, y, theta)


def relu(d: int, width: int = 1) -> Network:
    return fully_connected("relu", (d, width))


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (near_orthogonal_instances(NEAR, RELU), written(relu(2), ((2, 1), (0, 2)), (1, 1), (4, 6), (1,))),
        (
            near_orthogonal_instances(NEAR, RELU, inside=False),
            written(relu(2), ((1, 1), (0, 1)), (1, 1), (2, 4), (1,)),
        ),
        (
            near_orthogonal_instances(predicates.attackable, RELU, classes=True),
            written(relu(2, 2), ((4, 1), (0, 4)), (1, -1), (8, 2, 0, 8), (1, -1)),
        ),
        (orthogonally_separable_instances(RELU), written(relu(1), ((1,),), (1,), (2,), (1,))),
        (mirrored_instances(RELU), written(relu(1, 2), ((1,), (-1,)), (1, -1), (2, -2), (1, -1))),
        (diagonal_instances(balanced=True), written(diagonal("linear", 1, 2), ((1,),), (1,), (1,), (1,))),
        (diagonal_instances(balanced=False), written(diagonal("linear", 1, 2), ((1,),), (1,), (1,), (0,))),
        (
            basis_instances(),
            written(fully_connected("linear", (2, 1), outputs=2), ((1, 0), (0, 1)), (0, 1), (0, 0), (0, 0)),
        ),
    ],
)
def test_minimal_instances(strategy: st.SearchStrategy[Instance], expected: Instance) -> None:
    assert minimal(strategy).to_json() == expected.to_json()


def test_minimal_instances_of_a_kind() -> None:
    apart = minimal(diagonal_instances(balanced=True), lambda i: not predicates.separable_in_orthant(i))
    assert apart == written(diagonal("linear", 1, 2), ((1,),), (1,), (1,), (-1,))
    three = minimal(near_orthogonal_instances(NEAR, RELU), lambda i: i.n == 3)
    assert three.problem.x == ((4, 1, 0), (0, 4, 0), (0, 0, 4))
    right = minimal(
        orthogonally_separable_instances(RELU, weak=True), lambda i: not predicates.orthogonally_separable(i.problem)
    )
    assert right.n == 2
    assert dot(*right.x) == 0
    pair = minimal(univariate_instances())
    assert pair.problem.x == ((1, 1), (2, 1), (3, 1))
    assert pair.network.widths == (2, 2, 1)
