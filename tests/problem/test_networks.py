"""Patterns and the forward pass, against dense matrices written out by hand."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.problem.fields import FieldError
from harness.problem.networks import (
    Activation,
    Network,
    convolutional,
    diagonal,
    forward,
    fully_connected,
    preactivations,
    sparse,
)


def test_fully_connected() -> None:
    network = fully_connected("relu", [2, 3])
    assert network.patterns == (((0, 1), (2, 3), (4, 5)), ((0, 1, 2),))
    assert (network.depth, network.widths, network.sizes) == (2, (2, 3, 1), (6, 3))
    assert network.fully_connected
    assert not network.shared


def test_fully_connected_of_depth_one() -> None:
    network = fully_connected("linear", [3])
    assert network.patterns == (((0, 1, 2),),)
    assert (network.depth, network.widths, network.sizes) == (1, (3, 1), (3,))


def test_diagonal() -> None:
    network = diagonal("linear", 2, 3)
    assert network.patterns == (((0, -1), (-1, 1)), ((0, -1), (-1, 1)), ((0, 1),))
    assert (network.depth, network.widths, network.sizes) == (3, (2, 2, 2, 1), (2, 2, 2))
    assert not network.shared
    assert not network.fully_connected


def test_sparse() -> None:
    network = sparse("relu", [[[1, 0, 1], [0, 0, 0]], [[True, False]]])
    assert network.patterns == (((0, -1, 1), (-1, -1, -1)), ((0, -1),))
    assert network.sizes == (2, 1)
    assert not network.shared
    assert not network.fully_connected


def test_convolutional() -> None:
    network = convolutional("linear", 5, 2, stride=2)
    assert network.patterns == (((0, 1, -1, -1, -1), (-1, -1, 0, 1, -1)), ((0, 1),))
    assert network.shared
    assert not network.fully_connected


def test_a_convolution_with_one_place_shares_nothing() -> None:
    assert not convolutional("linear", 2, 2).shared


@pytest.mark.parametrize(("dimension", "filter_size", "stride"), [(2, 3, 1), (2, 0, 1), (2, 1, 0)])
def test_a_filter_that_does_not_fit_is_refused(dimension: int, filter_size: int, stride: int) -> None:
    with pytest.raises(FieldError) as caught:
        convolutional("relu", dimension, filter_size, stride)
    assert caught.value.field == "filter_size"


@pytest.mark.parametrize(
    ("patterns", "field"),
    [
        ((), "network.patterns"),
        (((),), "network.patterns[0]"),
        ((((),),), "network.patterns[0]"),
        ((((0, 1), (2,)), ((0, 1),)), "network.patterns[0][1]"),
        ((((0,), (1,)), ((0,),)), "network.patterns[1]"),
        ((((1,),),), "network.patterns[0]"),
        ((((0, 2),),), "network.patterns[0]"),
        ((((0, -2),),), "network.patterns[0]"),
    ],
)
def test_bad_patterns_name_their_place(patterns: Any, field: str) -> None:
    with pytest.raises(FieldError) as caught:
        Network("relu", patterns)
    assert caught.value.field == field


def test_an_unknown_activation_is_refused() -> None:
    activation: Activation = "tanh"  # pyright: ignore[reportAssignmentType] -- the point of the test
    with pytest.raises(FieldError) as caught:
        Network(activation, (((0,),),))
    assert caught.value.field == "network.activation"


def test_forward_by_hand() -> None:
    theta = [[Fraction(1), Fraction(-1), Fraction(2), Fraction(1)], [Fraction(3), Fraction(-1)]]
    x = [Fraction(1), Fraction(2)]
    relu, linear = fully_connected("relu", [2, 2]), fully_connected("linear", [2, 2])
    assert preactivations(relu, theta, x) == [[-1, 4], [-4]]
    assert preactivations(linear, theta, x) == [[-1, 4], [-7]]
    assert forward(relu, theta, x) == -4
    assert type(forward(relu, theta, x)) is Fraction


def test_a_row_of_structural_zeros_gives_zero() -> None:
    network = sparse("linear", [[[1, 1], [0, 0]], [[1, 1]]])
    assert preactivations(network, [[1, 2], [3, 4]], [5, 6]) == [[17, 0], [51]]


def test_layers_in_the_flat_vector_and_as_matrices() -> None:
    network = Network("relu", (((0, 1), (1, -1)), ((0, -1),)))
    assert network.offsets == (0, 2, 3)
    assert [u.tolist() for u in network.split(np.arange(6.0).reshape(2, 3))] == [[[0, 1], [3, 4]], [[2], [5]]]
    first, last = network.matrices(network.split(np.arange(3.0)))
    assert (first.tolist(), last.tolist()) == ([[0, 1], [1, 0]], [[2, 0]])
    several = network.matrices(network.split(np.arange(6.0).reshape(2, 3)))[0]
    assert several.tolist() == [[[0, 1], [1, 0]], [[3, 4], [4, 0]]]
    assert (network.into(0, 0), network.into(0, 1)) == ([0, 1], [1])
    assert (network.out_of(0, 0), network.out_of(0, 1)) == ([2], [])
    exact = network.matrices([[Fraction(1, 2), Fraction(2)], [Fraction(1)]])[0]
    assert exact.tolist() == [[Fraction(1, 2), 2], [2, 0]]
    assert not any(isinstance(a, float) for a in exact.flat)
    empty = Network("linear", (((-1, -1),), ((0,),))).matrices([[], [1.0]])[0]
    assert empty.tolist() == [[0, 0]]


networks = st.sampled_from(
    [
        fully_connected("linear", [2, 3, 2]),
        fully_connected("relu", [3, 2]),
        diagonal("relu", 3, 3),
        sparse("relu", [[[1, 0], [1, 1]], [[0, 1]]]),
        convolutional("relu", 4, 2),
        Network("linear", (((0, 0), (1, -1)), ((0, 0),))),
    ]
)


@given(networks, st.data())
@settings(derandomize=True, database=None, deadline=None)
def test_forward_agrees_with_dense_matrices(network: Network, data: st.DataObject) -> None:
    def vector(size: int) -> list[int]:
        return data.draw(st.lists(st.integers(-4, 4), min_size=size, max_size=size))

    theta, x = [vector(size) for size in network.sizes], vector(network.widths[0])
    h = np.array(x)
    found = preactivations(network, theta, x)
    for depth, (pattern, u) in enumerate(zip(network.patterns, theta, strict=True)):
        # Index -1 takes the appended zero.
        h = np.array([*u, 0])[np.array(pattern)] @ h
        assert found[depth] == h.tolist()
        if network.activation == "relu":
            h = np.maximum(h, 0)


@given(networks, st.integers(1, 3), st.data())
@settings(derandomize=True, database=None, deadline=None)
def test_homogeneous_of_degree_depth(network: Network, scale: int, data: st.DataObject) -> None:
    theta = [data.draw(st.lists(st.integers(-4, 4), min_size=size, max_size=size)) for size in network.sizes]
    x = data.draw(st.lists(st.integers(-4, 4), min_size=network.widths[0], max_size=network.widths[0]))
    scaled = [[scale * a for a in u] for u in theta]
    assert forward(network, scaled, x) == scale**network.depth * forward(network, theta, x)
