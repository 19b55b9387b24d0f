"""Which instances are the same flow, named differently."""

from __future__ import annotations

import random
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.problem.instances import Instance
from harness.problem.networks import Network
from harness.records.same import same
from strategies import (
    convolutional_networks,
    fixed_networks,
    fully_connected_networks,
    instances,
    multiclass_networks,
    sparse_networks,
)

FAMILIES = {
    "fully connected": fully_connected_networks(depth=(2, 3)),
    "sparse": sparse_networks(),
    "convolutional": convolutional_networks(),
    "leaky": fully_connected_networks("leaky_relu", depth=(2, 3)),
    "fixed": fixed_networks(depth=(2, 3)),
    "classes": multiclass_networks(),
}


def renamed(instance: Instance, source: random.Random) -> Instance:
    """The same flow under other names: points, coordinates and neurons in another order, other signs and scale."""
    network, depth = instance.network, instance.network.depth
    orders = [source.sample(range(width), width) for width in network.widths]
    may_flip = [True, *[not network.kinked] * (depth - 1), network.outputs == 1]
    shared = any(len(set(used)) < len(used) for used in map(_used, network.patterns))
    # A shared weight cannot change its sign in one place and not in another.
    flips = [
        [source.choice((1, -1)) if may and not shared else 1 for _ in range(width)]
        for may, width in zip(may_flip, network.widths, strict=True)
    ]
    scale = source.choice((1, 2, 3))
    patterns, theta0 = [], []
    for layer, (pattern, u) in enumerate(zip(network.patterns, instance.theta0, strict=True)):
        numbers: dict[int, int] = {}
        values: dict[int, Fraction] = {}
        rows = []
        for r in orders[layer + 1]:
            row = []
            for c in orders[layer]:
                k = pattern[r][c]
                row.append(-1 if k < 0 else numbers.setdefault(k, len(numbers)))
                if k >= 0:
                    turned = u[k] * flips[layer][c] * flips[layer + 1][r]
                    values[numbers[k]] = turned / scale if network.trained[layer] else turned
            rows.append(tuple(row))
        patterns.append(tuple(rows))
        theta0.append(tuple(values[k] for k in range(len(values))))
    points = source.sample(range(instance.n), instance.n)
    x = tuple(tuple(instance.x[i][c] * flips[0][c] * scale**network.degree for c in orders[0]) for i in points)
    if network.outputs == 1:
        y = tuple(instance.y[i] * flips[depth][0] for i in points)
    else:
        y = tuple(orders[depth].index(instance.y[i]) for i in points)
    other = Network(network.activation, tuple(patterns), network.negative_slope)
    fixed = {layer: u for layer, (u, own) in enumerate(zip(theta0, network.trained, strict=True), start=1) if not own}
    return Instance.of(other.fixing(fixed), instance.loss, x, y, tuple(theta0))


def _used(pattern: Any) -> list[int]:
    return [k for row in pattern for k in row if k >= 0]


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_other_names_are_the_same(family: str, data: Any) -> None:
    instance = data.draw(instances(networks=FAMILIES[family]))
    other = renamed(instance, random.Random(data.draw(st.integers(0, 10**6))))
    assert same(instance, other)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_another_number_is_not_the_same(data: Any) -> None:
    instance = data.draw(instances(networks=fully_connected_networks()))
    other = renamed(instance, random.Random(data.draw(st.integers(0, 10**6))))
    largest = max(abs(a) for u in other.theta0 for a in u)
    layer = data.draw(st.integers(0, 1))
    k = data.draw(st.integers(0, len(other.theta0[layer]) - 1))
    theta0 = [list(u) for u in other.theta0]
    # Larger than every other weight, under any scale that keeps the points as they are.
    theta0[layer][k] = 2 * largest + 1
    assert not same(instance, Instance.of(other.network, other.loss, other.x, other.y, tuple(map(tuple, theta0))))


def test_what_only_looks_the_same() -> None:
    network = Network("relu", (((0, 1), (2, 3)), ((0, 1),)))

    def one(x: Any, theta0: Any, y: Any = (1, 1)) -> Instance:
        return Instance.of(network, "exponential", x, y, theta0)

    first = one([[1, 2], [3, -1]], [[1, 0, 0, 1], [1, 2]])
    assert same(first, one([[3, -1], [1, 2]], [[0, 1, 1, 0], [2, 1]]))
    # the outgoing weights belong to the neurons, and a relu neuron to its side
    assert not same(first, one([[1, 2], [3, -1]], [[1, 0, 0, 1], [2, 1]]))
    assert not same(first, one([[1, 2], [3, -1]], [[-1, 0, 0, 1], [-1, 2]]))
    # one label alone, and the points' scale alone
    assert not same(first, one([[1, 2], [3, -1]], [[1, 0, 0, 1], [1, 2]], (1, -1)))
    assert not same(first, one([[2, 4], [6, -2]], [[1, 0, 0, 1], [1, 2]]))
    assert same(first, one([[4, 8], [12, -4]], [[0.5, 0, 0, 0.5], [0.5, 1]]))


def test_slopes_fixed_layers_and_classes_tell_instances_apart() -> None:
    patterns = (((0, 1), (2, 3)), ((0, 1),))
    x: Any = ((1, 2), (3, -1))
    start: Any = ((1, 0, 0, 1), (1, 2))

    def one(network: Network, theta0: Any = start) -> Instance:
        return Instance.of(network, "exponential", x, (1, 1), theta0)

    half = one(Network("leaky_relu", patterns, Fraction(1, 2)))
    assert not same(half, one(Network("leaky_relu", patterns, Fraction(1, 3))))
    assert not same(half, one(Network("relu", patterns)))
    fixed = Network("relu", patterns).fixing({2: start[1]})
    assert not same(one(fixed), one(Network("relu", patterns)))
    # a fixed number has no scale to make up for
    doubled: Any = (start[0], (2, 4))
    assert not same(one(fixed), one(Network("relu", patterns).fixing({2: doubled[1]}), doubled))

    several = Network("linear", (((0, 1), (2, 3), (4, 5)),))
    weights: Any = ((1, 0, 0, 1, -1, -1),)
    first = Instance.of(several, "logistic", x, (0, 1), weights)
    assert same(first, Instance.of(several, "logistic", x, (1, 2), ((-1, -1, 1, 0, 0, 1),)))
    assert not same(first, Instance.of(several, "logistic", x, (1, 0), weights))
