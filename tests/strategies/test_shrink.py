"""What the strategies shrink to: under a simple condition, the instance one would write by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

import pytest
from hypothesis import find, settings
from hypothesis import strategies as st

from harness.problem.instances import Instance, Loss
from harness.problem.networks import Activation, diagonal, fully_connected
from strategies import (
    diagonal_networks,
    exact_numbers,
    fully_connected_networks,
    instances,
    linearly_separable_datasets,
    networks,
    numbers,
    points,
)


def minimal(strategy: st.SearchStrategy, condition: Callable[..., object], examples: int = 3000):
    return find(
        strategy,
        lambda value: bool(condition(value)),
        settings=settings(max_examples=examples, database=None, derandomize=True),
    )


def hand_written(
    *,
    x: Sequence[Sequence[int | str]] = ((1,),),
    y: Sequence[int] = (1,),
    w: Sequence[int] = (0,),
    v: Sequence[int] = (0,),
    activation: Activation = "linear",
    loss: Loss = "exponential",
) -> Instance:
    """A fully connected instance of depth 2; the simplest of all where nothing is said."""
    points = tuple(tuple(Fraction(a) for a in row) for row in x)
    network = fully_connected(activation, (len(x[0]), len(v)))
    return Instance.of(network, loss, points, tuple(y), (tuple(map(Fraction, w)), tuple(map(Fraction, v))))


def width(instance: Instance) -> int:
    return instance.network.widths[1]


def separated(instance: Instance) -> bool:
    return min(instance.problem.margins(instance.theta0)) > 0


def neuron(instance: Instance, j: int) -> tuple[Fraction, ...]:
    return instance.theta0[0][j * instance.d : (j + 1) * instance.d]


def inactive(instance: Instance) -> bool:
    """Fully connected: some neuron has a negative input on every point."""
    return any(
        all(sum(a * b for a, b in zip(neuron(instance, j), x, strict=True)) < 0 for x in instance.x)
        for j in range(width(instance))
    )


def tied(instance: Instance) -> bool:
    """Fully connected: the first two neurons are the same, and not zero."""
    v = instance.theta0[1]
    return neuron(instance, 0) == neuron(instance, 1) and any(neuron(instance, 0)) and v[0] == v[1] != 0


RELU = fully_connected_networks("relu")


@pytest.mark.parametrize(
    ("strategy", "condition", "expected"),
    [
        (instances(), lambda i: True, hand_written()),
        (instances(), lambda i: i.n >= 2, hand_written(x=((1,), (1,)), y=(1, 1))),
        (instances(), lambda i: i.d >= 2, hand_written(x=((1, 0),), w=(0, 0))),
        (instances(), lambda i: width(i) >= 2, hand_written(w=(0, 0), v=(0, 0))),
        (instances(), lambda i: i.network.activation == "relu", hand_written(activation="relu")),
        (instances(), lambda i: i.loss == "logistic", hand_written(loss="logistic")),
        (instances(), lambda i: -1 in i.y, hand_written(y=(-1,), w=(1,), v=(-1,))),
        (instances(), lambda i: any(a.denominator > 1 for row in i.x for a in row), hand_written(x=(("1/2",),))),
        (instances(), separated, hand_written(w=(1,), v=(1,))),
        (
            instances(),
            lambda i: separated(i) and len(set(i.y)) == 2,
            hand_written(x=((1,), (-1,)), y=(1, -1), w=(1,), v=(1,)),
        ),
        # Three margins of 1 are a loss of 3/e > 1: the start is doubled.
        (
            instances(),
            lambda i: separated(i) and i.n == 3,
            hand_written(x=((1,), (1,), (1,)), y=(1, 1, 1), w=(2,), v=(2,)),
        ),
        (
            instances(networks=RELU),
            lambda i: separated(i) and inactive(i) and i.theta0[1][0] > 0,
            hand_written(w=(1, -1), v=(1, 0), activation="relu"),
        ),
        (
            instances(networks=RELU),
            lambda i: separated(i) and width(i) >= 2 and tied(i),
            hand_written(w=(1, 1), v=(1, 1), activation="relu"),
        ),
        (
            instances(networks=RELU, max_width=1),
            lambda i: separated(i) and i.y == (1, 1) and neuron(i, 0)[0] == 0,
            hand_written(x=((0, 1), (0, 1)), y=(1, 1), w=(0, 1), v=(1,), activation="relu"),
        ),
    ],
)
def test_minimal_instances(
    strategy: st.SearchStrategy[Instance], condition: Callable[[Instance], object], expected: Instance
):
    assert minimal(strategy, condition).to_json() == expected.to_json()


def test_minimal_diagonal_instance_with_a_zero_pair():
    found = minimal(
        instances(networks=diagonal_networks()),
        lambda i: separated(i) and any(w == v == 0 for w, v in zip(*i.theta0, strict=True)),
    )
    one, zero = Fraction(1), Fraction(0)
    start = ((one, zero), (one, zero))
    assert found == Instance.of(diagonal("linear", 2, 2), "exponential", ((one, zero),), (1,), start)


def test_minimal_shared_network_is_two_neurons_with_one_weight():
    found = minimal(instances(networks=networks()), lambda i: i.network.shared)
    assert found.network.patterns == (((0, -1), (-1, 0)), ((0, 1),))


def test_minimal_parts():
    assert minimal(exact_numbers(), lambda a: a < 0) == -1
    assert minimal(exact_numbers(), lambda a: a > 1) == 2
    assert minimal(numbers(), lambda a: Fraction(a).denominator > 1) == Fraction(1, 2)
    assert minimal(numbers(), lambda a: Fraction(a).denominator > 4).denominator == 8
    assert minimal(points(2), lambda x: len(x) >= 2) == [(1, 0), (1, 0)]
    assert minimal(linearly_separable_datasets(2), lambda data: len(set(data[1])) == 2) == ([(1, 0), (-1, 0)], [1, -1])
