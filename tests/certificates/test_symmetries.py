"""Which weights turn into each other where two neurons are rotated."""

from __future__ import annotations

from fractions import Fraction

import pytest

from harness.certificates.symmetries import pairs, tangent
from harness.problem.networks import Network, convolutional, fully_connected


def test_every_weight_of_the_two_neurons_has_its_partner() -> None:
    network = fully_connected("linear", (2, 3, 2))
    assert pairs(network, (0, 0, 2)) == [(0, 4), (1, 5), (6, 8), (9, 11)]
    assert pairs(network, (1, 1, 0)) == [(9, 6), (10, 7), (11, 8), (13, 12)]


def test_the_rotation_is_the_derivative_of_the_turned_weights() -> None:
    flat = [Fraction(k + 1) for k in range(6)]
    turned = tangent(fully_connected("linear", (2, 2)), flat, (0, 0, 1))
    up, down = (3, 4, 0, 0, 6, 0), (0, 0, 1, 2, 0, 5)
    assert [abs(a) for a in turned] == [a + b for a, b in zip(up, down, strict=True)]
    signs = [(a > 0) - (a < 0) for a in turned]
    assert signs[:2] == [-signs[2], -signs[3]]
    assert (signs[0], signs[4]) == (-signs[2], -signs[5])
    # it keeps every product of an incoming and an outgoing weight, summed over the two neurons, to first order
    for row in range(2):
        kept = turned[row] * flat[4] + flat[row] * turned[4] + turned[2 + row] * flat[5] + flat[2 + row] * turned[5]
        assert kept == 0


@pytest.mark.parametrize(
    ("network", "rotation"),
    [
        # one filter moved along the input: its weights are read by both neurons
        (convolutional("linear", 3, 2), (0, 0, 1)),
        (fully_connected("linear", (2, 2), fixed={2: (1, 1)}), (0, 0, 1)),
        (fully_connected("linear", (2, 2, 2), fixed={1: (1, 0, 0, 1)}), (0, 0, 1)),
    ],
)
def test_shared_and_fixed_weights_cannot_be_turned(network: Network, rotation: tuple[int, int, int]) -> None:
    assert pairs(network, rotation) is None
