"""What the strategies draw beyond linear and relu: slopes, fixed layers, classes, biases, circulant networks."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.harvest.integers import batches
from harness.problem.instances import Instance
from harness.problem.networks import Network, circulant, fully_connected
from strategies import (
    SLOPES,
    Architecture,
    biased_networks,
    circulant_networks,
    diagonal_networks,
    fixed_networks,
    fully_connected_networks,
    initialisations,
    instances,
    multiclass_networks,
    sparse_networks,
)
from strategies.instances import separating_scale
from tests.strategies.test_draws import drawn
from tests.strategies.test_shrink import minimal

ONE, ZERO = Fraction(1), Fraction(0)


def separated(instance: Instance) -> bool:
    """L(theta0) < loss(0), the loss being that of each point's rows together."""
    own: dict[int, list[float]] = {}
    for (sample, _), q in zip(instance.problem.rows, instance.problem.margins(instance.theta0), strict=True):
        own.setdefault(sample, []).append(float(q))
    sums = [sum(math.exp(min(-q, 700.0)) for q in row) for row in own.values()]
    if instance.loss == "exponential":
        return sum(sums) < 1.0
    return sum(map(math.log1p, sums)) < math.log(2.0)


def both_signs(instance: Instance) -> bool:
    return set(instance.theta0[-1]) == {ONE, -ONE}


KINDS: dict[str, tuple[st.SearchStrategy[Architecture], Callable[[Instance], object]]] = {
    "leaky": (fully_connected_networks("leaky_relu", (2, 3)), lambda i: i.network.slope in SLOPES),
    "leaky diagonal": (diagonal_networks("leaky_relu"), lambda i: i.network.activation == "leaky_relu"),
    "leaky sparse": (sparse_networks("leaky_relu"), lambda i: i.network.activation == "leaky_relu"),
    "fixed": (fixed_networks((2, 3)), lambda i: i.network.degree == i.network.depth - 1),
    "classes": (multiclass_networks((2, 3)), lambda i: 2 <= i.network.outputs <= 4 and set(i.y) <= {0, 1, 2, 3}),
    "biased": (biased_networks((2, 3)), lambda i: all(row[-1] == 1 for row in i.x) and i.d >= 2),
    "circulant": (circulant_networks(), lambda i: i.network.patterns == circulant("linear", i.d).patterns),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_asked_for_is_drawn_and_mostly_separated(kind: str) -> None:
    networks, shape = KINDS[kind]
    found = drawn(instances(networks=networks), 150)
    assert all(shape(i) for i in found)
    assert all(Instance.from_json(i.to_json()) == i for i in found)
    assert sum(map(separated, found)) >= 0.4 * len(found)
    assert len(set(found)) >= 0.5 * len(found)


@pytest.mark.parametrize(
    ("kind", "feature", "least"),
    [
        *(("leaky", lambda i, slope=slope: i.network.slope == slope, 0.05) for slope in SLOPES),
        ("fixed", lambda i: not i.network.trained[0], 0.2),
        ("fixed", lambda i: not i.network.trained[-1], 0.2),
        ("fixed", lambda i: not all(i.network.trained[1:-1]), 0.1),
        ("fixed", lambda i: not i.network.trained[-1] and both_signs(i), 0.05),
        ("fixed", lambda i: i.network.activation == "relu", 0.1),
        ("fixed", lambda i: i.network.activation == "linear", 0.1),
        ("classes", lambda i: i.network.outputs == 3, 0.2),
        ("classes", lambda i: len(set(i.y)) >= 2, 0.1),
        ("classes", lambda i: len(set(i.y)) >= 3, 0.01),
        ("classes", lambda i: i.network.shared, 0.002),
        ("biased", lambda i: i.network.activation == "relu", 0.1),
        ("biased", lambda i: any(i.theta0[0][i.d - 1 :: i.d]), 0.4),
        ("circulant", lambda i: i.d == 3 and i.network.activation == "relu", 0.1),
    ],
)
def test_every_kind_of_it_is_drawn(kind: str, feature: Callable[[Instance], object], least: float) -> None:
    # draws resemble their neighbours, so what is rare takes more of them
    found = drawn(instances(networks=KINDS[kind][0]), 300 if least > 0.01 else 1000)
    assert sum(bool(feature(i)) for i in found) >= least * len(found)


def test_fixed_layers_have_no_zeros_and_starts_leave_them_alone() -> None:
    found = drawn(instances(networks=fixed_networks((2, 3))), 200)
    for i in found:
        for own, fixed in zip(i.theta0, i.network.fixed, strict=True):
            assert fixed is None or (own == fixed and all(fixed))


def hand_written(network: Network, y: int = 1) -> Instance:
    zeros = tuple(
        (ZERO,) * size if own else (ONE,) * size for size, own in zip(network.sizes, network.trained, strict=True)
    )
    return Instance.of(network, "exponential", ((ONE,) * network.widths[0],), (y,), zeros)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("leaky", hand_written(fully_connected("leaky_relu", (1, 1), negative_slope=SLOPES[0]))),
        ("fixed", hand_written(fully_connected("linear", (1, 1), fixed={2: (1,)}))),
        ("classes", hand_written(fully_connected("linear", (1, 1), outputs=2), y=0)),
        ("biased", None),
        ("circulant", hand_written(circulant("linear", 1))),
    ],
)
def test_minimal_instances(kind: str, expected: Instance | None) -> None:
    found = minimal(instances(networks=KINDS[kind][0]), lambda i: True)
    if expected is None:
        expected = Instance.of(
            fully_connected("linear", (2, 1)), "exponential", ((ZERO, ONE),), (1,), ((ZERO, ZERO), (ZERO,))
        )
        assert found.x == expected.x
        assert found.theta0 == expected.theta0
    else:
        assert found.to_json() == expected.to_json()


def test_minimal_separated_classes() -> None:
    # Rare, so that many are looked at; which activation is found first stays.
    found = minimal(
        instances(networks=multiclass_networks()),
        lambda i: separated(i) and len(set(i.y)) == i.network.outputs == 3,
        examples=30_000,
    )
    assert found.n == 3
    assert found.d <= 2


def test_a_fixed_network_can_be_given_as_it_is() -> None:
    network = fully_connected("leaky_relu", (2, 2), negative_slope=Fraction(1, 3), fixed={1: (1, 0, 2, -1)})
    found = drawn(instances(networks=st.just(network)), 60)
    assert {i.network for i in found} == {network}
    x = [(Fraction(1), Fraction(0))]
    starts = initialisations(network, x).map(lambda theta: Instance.of(network, "exponential", x, (1,), theta))
    assert {i.network for i in drawn(starts, 20)} == {network}


def test_the_scale_counts_the_rows_of_a_point_together() -> None:
    rows = [[1.0, 1.0, 1.0], [2.0, 3.0, 1.0]]
    for loss in ("exponential", "logistic"):
        scale = separating_scale(loss, rows, 2)
        sums = [sum(math.exp(-q * scale**2) for q in row) for row in rows]
        total, bound = (sum(sums), 1.0) if loss == "exponential" else (sum(map(math.log1p, sums)), math.log(2.0))
        assert total < bound


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="a slope"):
        Architecture("diagonal", "leaky_relu")
    with pytest.raises(ValueError, match="a slope"):
        Architecture("diagonal", "relu", slope=Fraction(1, 2))
    with pytest.raises(ValueError, match="some layer is trained"):
        Architecture("diagonal", "relu", fixed=(1, 2))
    with pytest.raises(ValueError, match="some layer is trained"):
        Architecture("diagonal", "relu", fixed=(3,))
    with pytest.raises(ValueError, match="depth 2 only"):
        Architecture("circulant", "relu", 3)
    with pytest.raises(ValueError, match="with a bias"):
        Architecture("diagonal", "relu", biased=True)


@pytest.mark.parametrize("kind", KINDS)
def test_the_hunts_draw_it_too(kind: str) -> None:
    networks, shape = KINDS[kind]
    architectures: list[Architecture] = []

    @settings(max_examples=40, derandomize=True, database=None)
    @given(networks)
    def collect(architecture: Architecture) -> None:
        architectures.append(architecture)

    collect()
    strategy = batches(architectures, 1, max_points=3, max_width=3, max_dimension=3)
    found = drawn(strategy.map(lambda batch: batch[0]), 100)
    assert all(shape(instance) for instance in found)
    assert len(set(found)) > 40
