"""What the strategies draw: valid instances, mostly separated at the start, of every kind."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache

import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from harness.problem.instances import Instance
from harness.problem.networks import Network, convolutional, diagonal, fully_connected, preactivations
from strategies import (
    Architecture,
    diagonal_networks,
    exact_numbers,
    float_numbers,
    fully_connected_networks,
    initialisations,
    instances,
    linearly_separable_datasets,
    networks,
    points,
    pythagorean,
    sparse_networks,
    unshared_networks,
)
from strategies.initialisations import Style, styled
from strategies.instances import fewer_signs, separating_scale

DRAWS = 400


def drawn(strategy: st.SearchStrategy[Instance], count: int = DRAWS) -> list[Instance]:
    """The same instances in every run: derandomized, only generated."""
    found: list[Instance] = []

    @settings(max_examples=count, derandomize=True, database=None, deadline=None, phases=(Phase.generate,))
    @given(strategy)
    def collect(instance: Instance) -> None:
        found.append(instance)

    collect()
    return found


@lru_cache
def sample() -> list[Instance]:
    return drawn(instances())


def separated(instance: Instance) -> bool:
    """L(theta0) < loss(0)."""
    q = [float(a) for a in instance.problem.margins(instance.theta0)]
    if instance.loss == "exponential":
        return sum(math.exp(min(-a, 700.0)) for a in q) < 1.0
    return sum(math.log1p(math.exp(-a)) if a > -700.0 else -a for a in q) < math.log(2.0)


def share(holds: Callable[[Instance], object]) -> float:
    return sum(bool(holds(i)) for i in sample()) / len(sample())


def rows(instance: Instance) -> list[tuple[list[Fraction], Fraction]]:
    """(w_j, v_j) of every neuron of a fully connected network of depth 2."""
    u, v = instance.theta0
    return [(list(u[j * instance.d : (j + 1) * instance.d]), v[j]) for j in range(len(v))]


@lru_cache
def wide_sample() -> list[Instance]:
    """Fully connected instances with two neurons or more."""
    return [i for i in drawn(instances(networks=fully_connected_networks())) if i.network.widths[1] >= 2]


def test_every_draw_is_an_instance_and_survives_json():
    assert len(sample()) == DRAWS
    assert all(Instance.from_json(i.to_json()) == i for i in sample())


def test_more_than_half_start_separated_and_labelled_by_their_start():
    """A loss below loss(0) leaves no margin below zero, so the labels are the signs of the start's outputs too."""
    assert share(separated) >= 0.5
    assert all(min(i.problem.margins(i.theta0)) > 0 for i in sample() if separated(i))


def test_draws_differ():
    assert len(set(sample())) >= 0.6 * DRAWS


@pytest.mark.parametrize(
    ("feature", "least"),
    [
        (lambda i: i.network.activation == "linear", 0.3),
        (lambda i: i.network.activation == "relu", 0.3),
        (lambda i: i.loss == "exponential", 0.3),
        (lambda i: i.loss == "logistic", 0.3),
        (lambda i: i.network.fully_connected, 0.2),
        (lambda i: i.network.patterns == diagonal("linear", i.d, 2).patterns and i.d > 1, 0.05),
        (lambda i: not i.network.fully_connected and i.network.widths[1] != i.d, 0.03),
        (lambda i: i.network.shared, 0.02),
        (lambda i: i.n > 1, 0.4),
        (lambda i: i.n == 4, 0.05),
        (lambda i: i.d == 3, 0.1),
        (lambda i: i.network.widths[1] == 3, 0.1),
        (lambda i: len(set(i.y)) == 2, 0.1),
        (lambda i: all(a.denominator == 1 for row in i.x for a in row), 0.3),
        (lambda i: any(a.denominator > 1 for row in i.x for a in row), 0.1),
    ],
)
def test_every_kind_of_problem_is_drawn(feature: Callable[[Instance], object], least: float):
    assert share(feature) >= least


def test_floats_are_rare():
    floats = share(lambda i: any(a.denominator > 4 for row in i.x for a in row))
    assert 0.01 <= floats <= 0.2
    exact = drawn(instances(floats=False), 200)
    assert all(a.denominator <= 4 for i in exact for row in i.x for a in row)


def is_zero(neuron: tuple[list[Fraction], Fraction]) -> bool:
    return not any(neuron[0]) and not neuron[1]


def inactive(instance: Instance) -> bool:
    """Some neuron with a negative input on every point."""
    hidden = [preactivations(instance.network, instance.theta0, x)[0] for x in instance.x]
    return any(all(a < 0 for a in column) for column in zip(*hidden, strict=True))


@pytest.mark.parametrize(
    ("feature", "least"),
    [
        (lambda i: any(map(is_zero, rows(i))) and not all(map(is_zero, rows(i))), 0.1),
        (lambda i: any(a[0] == b[0] and any(a[0]) for a, b in zip(rows(i), rows(i)[1:], strict=False)), 0.1),
        (lambda i: i.network.activation == "relu" and separated(i) and inactive(i), 0.05),
        (lambda i: all(sum(a * a for a in w) == v * v for w, v in rows(i)) and not any(map(is_zero, rows(i))), 0.1),
        (lambda i: all(any(w) and v and sum(a * a for a in w) != v * v for w, v in rows(i)), 0.1),
    ],
    ids=["zero", "tied", "inactive", "balanced", "generic"],
)
def test_every_kind_of_start_is_drawn(feature: Callable[[Instance], object], least: float):
    assert len(wide_sample()) >= 150
    assert sum(bool(feature(i)) for i in wide_sample()) >= least * len(wide_sample())


@pytest.mark.parametrize(
    ("strategy", "shape"),
    [
        (fully_connected_networks("relu"), lambda n: n.fully_connected and n.activation == "relu"),
        (diagonal_networks("linear"), lambda n: n.patterns == diagonal("linear", n.widths[0], 2).patterns),
        (sparse_networks(), lambda n: not n.shared),
        (unshared_networks("relu"), lambda n: not n.shared and n.activation == "relu"),
        (networks(depth=(2, 3)), lambda n: n.depth in (2, 3)),
        (fully_connected_networks(depth=4), lambda n: n.fully_connected and n.depth == 4),
        (diagonal_networks(depth=3), lambda n: n.patterns == diagonal("relu", n.widths[0], 3).patterns),
    ],
)
def test_the_architecture_asked_for_is_drawn(
    strategy: st.SearchStrategy[Architecture], shape: Callable[[Network], bool]
):
    found = drawn(instances(networks=strategy), 60)
    assert len(found) == 60
    assert all(shape(i.network) for i in found)


@pytest.mark.parametrize("network", [fully_connected("relu", (2, 3, 2)), convolutional("linear", 4, 2)])
def test_a_network_can_be_given_as_it_is(network: Network):
    found = drawn(instances(networks=st.just(network)), 60)
    assert {i.network for i in found} == {network}
    assert sum(map(separated, found)) >= 20


def test_limits_on_sizes_and_losses_are_kept():
    found = drawn(instances(losses=("logistic",), max_points=2, max_dimension=1, max_width=2), 60)
    assert {i.loss for i in found} == {"logistic"}
    assert max(i.n for i in found) == 2
    assert max(i.d for i in found) == 1
    assert max(i.network.widths[1] for i in found) == 2


def test_free_labels_are_drawn_only_on_request():
    """A point with two labels is what no teacher gives."""

    def torn(instance: Instance) -> bool:
        labels: dict[object, set[int]] = {}
        for x, y in zip(instance.x, instance.y, strict=True):
            labels.setdefault(x, set()).add(y)
        return any(len(seen) == 2 for seen in labels.values())

    assert not any(map(torn, sample()))
    assert any(map(torn, drawn(instances(separable=False, max_dimension=1))))


@settings(max_examples=100)
@given(linearly_separable_datasets(2))
def test_linear_teachers_leave_no_point_twice_labelled(data: tuple[list[tuple[Fraction, ...]], list[int]]):
    x, y = data
    assert len(x) == len(y) >= 1
    # Separable by a vector: no point has the opposite label of a positive multiple of it.
    for a, label in zip(x, y, strict=True):
        for b, other in zip(x, y, strict=True):
            if a[0] * b[1] == a[1] * b[0] and a[0] * b[0] + a[1] * b[1] > 0:
                assert label == other


@settings(max_examples=100)
@given(points(3, max_size=2))
def test_points_are_never_zero(x: list[tuple[Fraction, ...]]):
    assert 1 <= len(x) <= 2
    assert all(any(row) for row in x)


@settings(max_examples=100)
@given(st.lists(exact_numbers(), min_size=1, max_size=4))
def test_pythagorean_rows_have_an_integer_norm(row: list[Fraction]):
    found = [int(a) for a in pythagorean(row)]
    assert found == pythagorean(row)
    square = sum(a * a for a in found)
    assert math.gcd(*found) == 1
    assert math.isqrt(square) ** 2 == square


@settings(max_examples=100)
@given(st.data())
def test_starts_keep_shared_weights_and_fit_their_network(data: st.DataObject):
    network = data.draw(st.sampled_from([convolutional("relu", 3, 2), fully_connected("linear", (2, 2, 2))]))
    theta = data.draw(initialisations(network, [(1,) * network.widths[0]]))
    assert tuple(map(len, theta)) == network.sizes


def test_styles_by_hand():
    network = fully_connected("relu", (2, 3))
    theta = [[1, 2, 3, 4, 5, 6], [1, -1, 1]]
    x = [(1, 0), (0, 1)]
    plain: list[Style] = ["generic"] * 3
    assert styled(network, theta, [plain], x) == theta
    assert styled(network, theta, [["generic", "zero", "generic"]], x) == [[1, 2, 0, 0, 5, 6], [1, 0, 1]]
    assert styled(network, theta, [["generic", "tied", "generic"]], x) == [[1, 2, 1, 2, 5, 6], [1, -1, 1]]
    assert styled(network, theta, [["generic", "generic", "inactive"]], x) == [[1, 2, 3, 4, -5, -6], [1, -1, 1]]
    # (1, 2) mirrors e_1 onto (-3, 4), and (3, 4) onto (-7, 24); (5, 6) onto (-11, 60).
    assert styled(network, theta, [plain], x, balanced=True) == [[-3, 4, 3, 4, -11, 60], [5, -5, 61]]


def fractions(rows: Sequence[Sequence[Fraction | int]]) -> tuple[tuple[Fraction, ...], ...]:
    return tuple(tuple(map(Fraction, row)) for row in rows)


@settings(max_examples=200)
@given(instances(networks=unshared_networks(depth=(2, 3))))
def test_turning_signs_keeps_the_problem(instance: Instance):
    """Margins, the flow's conserved norms and the labels stay; no coordinate starts with a minus sign."""
    network = instance.network
    x, theta = fewer_signs(network, instance.x, [list(u) for u in instance.theta0])
    turned = Instance.of(network, instance.loss, fractions(x), instance.y, fractions(theta))
    assert turned.problem.margins(turned.theta0) == instance.problem.margins(instance.theta0)
    assert [list(map(abs, u)) for u in turned.theta0] == [list(map(abs, u)) for u in instance.theta0]
    assert all(next((a for a in column if a), 1) > 0 for column in zip(*turned.x, strict=True))
    again = fewer_signs(network, turned.x, [list(u) for u in turned.theta0])
    assert again == (list(turned.x), [list(u) for u in turned.theta0])


@settings(max_examples=100)
@given(st.lists(exact_numbers().map(abs), min_size=1, max_size=4), st.integers(1, 4))
def test_the_scale_is_the_least_power_of_two_that_separates(margins: list[Fraction], depth: int):
    assume(all(margins))
    q = [float(a) for a in margins]
    scale = separating_scale("exponential", [[a] for a in q], depth)
    assert sum(math.exp(-(scale**depth) * a) for a in q) < 1.0
    assert scale == 1 or sum(math.exp(-((scale / 2) ** depth) * a) for a in q) >= 1.0


@settings(max_examples=200)
@given(float_numbers())
def test_floats_are_moderate(number: Fraction):
    assert number == 0 or Fraction(1, 8) <= abs(number) <= 4
    assert Fraction(float(number)) == number


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="depth 2 or more"):
        Architecture("diagonal", "relu", 1)
    with pytest.raises(ValueError, match="depth 2 only"):
        Architecture("sparse", "relu", 3)
    with pytest.raises(ValueError, match="denominators >= 2"):
        exact_numbers(denominators=(1,))


def test_almost_nothing_is_filtered_and_drawing_is_fast():
    attempts = Counter[str]()
    strategy = instances()

    @st.composite
    def counted(draw: st.DrawFn) -> Instance:
        attempts["started"] += 1
        instance = draw(strategy)
        attempts["drawn"] += 1
        return instance

    start = time.process_time()
    found = drawn(counted())
    seconds = time.process_time() - start
    assert len(found) == DRAWS
    # Nothing is filtered; the engine itself cuts off some of the draws that it makes out of earlier ones, 27 here.
    assert attempts["started"] <= 1.1 * attempts["drawn"]
    # About 1 ms each, with the engine's own time; the limit is for slow and busy machines.
    assert seconds / DRAWS < 0.01
