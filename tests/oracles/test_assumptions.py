"""Assumptions are true where all is clear of rounding, false where a zero has a reason, else not known."""

from __future__ import annotations

import pytest

from harness.oracles import decide
from harness.oracles.assumptions import assumptions
from harness.problem.networks import Network, diagonal, fully_connected
from harness.problem.points import Point
from tests.support.points import depth2_local, nonzero_local, point

FC = fully_connected("linear", (2, 1))


def told(found: Point) -> tuple[bool | None, ...]:
    return tuple(decide(found).assumptions.values())


def test_nothing_is_zero() -> None:
    assert told(point(FC, [[3, 4]], [1], [[3, 4], [5]])) == (True, True, True)


def test_a_pair_that_no_gradient_reaches() -> None:
    """The second coordinate is zero, vector and input too."""
    assert told(depth2_local()) == (False, False, False)


def test_a_coordinate_that_no_point_has() -> None:
    assert told(point(FC, [[2, 0]], [1], [[1, 0], [1]])) == (False, True, True)


def test_a_zero_by_cancellation_is_not_known() -> None:
    """The support vectors are mirror images: exact sums would show the zero, structure does not."""
    assert told(point(FC, [[1, 1], [-1, 1]], [1, 1], [[0, 1], [1]])) == (None, True, True)


def test_an_input_that_is_zero_by_cancellation_is_not_known() -> None:
    """w is along (1, 1), at right angles to the third point, which is no support vector."""
    network = Network("linear", (((0, 1, -1), (-1, -1, 2)), ((0, 1),)))
    x = [[1, 1, 1], [1, -1, 3]]
    found = point(network, x, [1, 1], [[1, 1, 1], [2**0.5, 1]])
    assert told(found)[2] is None


def test_a_kink_from_below_is_zero_because_nothing_reaches_it() -> None:
    assert told(nonzero_local()) == (False, True, False)


def test_a_kink_at_right_angles_to_what_made_the_weights() -> None:
    """w_1 is along (1, 1) alone, and the other point is (-1, 1): an exact zero although nothing is zero in the data."""
    found = point(fully_connected("relu", (2, 2)), [[1, 1], [-1, 1]], [1, 1], [[1, 1, -1, 1], [2**0.5, 2**0.5]])
    assert told(found) == (True, True, False)


@pytest.mark.parametrize("activation", ["linear", "relu"])
def test_all_weights_of_a_deep_network(activation: str) -> None:
    root = 0.5 ** (1 / 3)
    assert told(point(diagonal(activation, 2, 3), [[1, 1]], [1], [[root, root]] * 3)) == (True, True, True)  # type: ignore[arg-type]


def of(network: Network, x: list[list[int]], y: list[int], theta: list[list[float]]) -> tuple[bool | None, ...]:
    return tuple(assumptions(point(network, x, y, theta)).values())


def test_fixed_layers_are_what_they_are() -> None:
    """The zeros of a fixed layer are no zero weights; a vector of them is zero, and so is all that it makes."""
    x = [[1, 1]]
    whole = fully_connected("relu", (2, 2), fixed={1: [1, 0, 1, 1]})
    assert of(whole, x, [1], [[1, 0, 1, 1], [1, 2]]) == (True, True, True)
    empty = fully_connected("relu", (2, 2), fixed={1: [1, 0, 0, 0]})
    assert of(empty, x, [1], [[1, 0, 0, 0], [1, 0]]) == (False, False, False)
    across = fully_connected("relu", (2, 2), fixed={1: [1, 0, 1, -1]})
    assert of(across, x, [1], [[1, 0, 1, -1], [1, 0]]) == (False, True, False)


def test_several_outputs() -> None:
    leaky = diagonal("leaky_relu", 2, 2, negative_slope=0.5, outputs=2)
    assert of(leaky, [[1, 2]], [0], [[2**0.5, 0], [1, 0, -1, 0]]) == (False, False, False)
    assert of(fully_connected("linear", (2,), outputs=2), [[1, 2]], [0], [[1, 2, -1, -2]]) == (True, True, True)
