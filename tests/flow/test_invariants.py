"""What the flow keeps exactly: zeros, ties, balance, dead neurons, and invariant subspaces of no simple pattern."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from harness.flow import follow
from harness.flow.batched.follow import follow_batch
from harness.flow.compiled.kernel import wiring
from harness.flow.invariants.coordinates import Subspace
from harness.flow.kinks.gates import Gates
from harness.problem.instances import Instance, Loss
from harness.problem.limits import Limit
from harness.problem.networks import Activation, Network, convolutional, diagonal, fully_connected

LOSSES: tuple[Loss, ...] = ("exponential", "logistic")
ACTIVATIONS: tuple[Activation, ...] = ("linear", "relu")


def flow(network: Network, x: Any, y: Sequence[int], theta0: Any, loss: Loss = "exponential") -> Limit:
    limit = follow(Instance.of(network, loss, x, tuple(y), theta0), record=True)
    assert limit.status == "converged", limit.reason
    return limit


def path_of(limit: Limit) -> np.ndarray:
    """The recorded directions, (T, N); zeros and ties of theta are theirs too, to the bit."""
    assert limit.path is not None
    return limit.path["direction"]


def end_of(limit: Limit) -> np.ndarray:
    """The limit as one vector, (N,): its zeros are exact, its ties hold to rounding."""
    assert limit.theta is not None
    return np.concatenate(limit.theta)


def assert_tied(first: np.ndarray, second: np.ndarray) -> None:
    """Equal in every row of a path to the bit, and to rounding in the limit, its last row."""
    assert (first[:-1] == second[:-1]).all()
    np.testing.assert_allclose(first[-1], second[-1], rtol=1e-14)


def rows_of(limit: Limit) -> np.ndarray:
    """The path, and the limit as the last row."""
    return np.vstack([path_of(limit), end_of(limit)])


def spread(value: Any, count: int) -> tuple[Any, ...]:
    return (value,) * count


# --- saddles that are limits, because the start lies in their invariant subspace ---


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_rotated_shared_filter_stays_on_the_second_singular_pair(activation: Activation, loss: Loss) -> None:
    network = convolutional(activation, 4, 2, stride=2)
    limit = flow(network, ((27, -6, -14, 17),), (1,), ((1, 2), (3, 4)), loss)
    assert limit.value == pytest.approx(1.0 / (5.0 * np.sqrt(5.0)), rel=1e-10)
    assert limit.theta is not None
    (w, v) = limit.theta
    np.testing.assert_allclose(w / np.linalg.norm(w), np.array([1, 2]) / np.sqrt(5.0), rtol=1e-9)
    np.testing.assert_allclose(v / np.linalg.norm(v), [0.6, 0.8], rtol=1e-9)


@pytest.mark.parametrize("a", [Fraction(1), Fraction(3, 2), Fraction(1.0 / np.sqrt(2.0))])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_unrotated_shared_filter_stays_on_the_second_singular_pair(activation: Activation, a: Fraction) -> None:
    """Patches (4, a), (-4, a), w(0) = (0, 1), v(0) = (a, a): the product of the norms is 1 / (a sqrt 2)."""
    limit = flow(convolutional(activation, 4, 2, stride=2), ((4, a, -4, a),), (1,), ((0, 1), (a, a)))
    assert limit.value == pytest.approx(1.0 / (float(a) * np.sqrt(2.0)), rel=1e-10)
    assert (rows_of(limit)[:, 0] == 0.0).all()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("depth", "dimension"), [(3, 2), (3, 3), (4, 2)])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_equal_weights_stay_equal_on_a_deep_diagonal(
    activation: Activation, depth: int, dimension: int, loss: Loss
) -> None:
    """The middle of the simplex maximises the cost (m/2) sum beta_k^(2/m), and is the limit."""
    network = diagonal(activation, dimension, depth)
    theta0 = spread(spread(Fraction(1, 2), dimension), depth)
    limit = flow(network, (spread(1, dimension),), (1,), theta0, loss)
    cost = 0.5 * depth * dimension * (1.0 / dimension) ** (2.0 / depth)
    assert limit.value == pytest.approx(cost, rel=1e-10)
    rows = rows_of(limit)
    assert_tied(rows, np.repeat(rows[:, :1], rows.shape[1], axis=1))


def test_slightly_off_the_saddle_the_flow_leaves_it() -> None:
    """The same starts, moved by 1e-6 off their invariant subspace, end elsewhere: planted slow saddles."""
    network = diagonal("linear", 2, 3)
    near = (Fraction(1, 2) + Fraction(1, 10**6), Fraction(1, 2))
    limit = flow(network, ((1, 1),), (1,), (near, near, near))
    assert limit.value == pytest.approx(1.5, rel=1e-9), "all on the larger coordinate"

    filters = convolutional("linear", 4, 2, stride=2)
    limit = flow(filters, ((4, 1, -4, 1),), (1,), ((Fraction(1, 10**6), 1), (1, 1)))
    assert limit.value == pytest.approx(1.0 / (4.0 * np.sqrt(2.0)), rel=1e-9), "the first singular pair"
    limit = flow(filters, ((27, -6, -14, 17),), (1,), ((1 + Fraction(1, 10**6), 2), (3, 4)))
    singular = np.linalg.svd(np.array([[27.0, -6.0], [-14.0, 17.0]]), compute_uv=False)
    assert limit.value == pytest.approx(1.0 / singular[0], rel=1e-9)


# --- to the bit ---


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("depth", [2, 3])
def test_zero_coordinates_of_a_diagonal_network_stay_zero(depth: int, seed: int, loss: Loss) -> None:
    """A coordinate with two zero weights or more never moves; its other weights keep their values."""
    rng = np.random.default_rng([91, depth, seed])
    theta0 = rng.standard_normal((depth, 4))
    theta0[:2, 1] = 0.0
    x = rng.standard_normal((3, 4))
    labels = [1 if value > 0 else -1 for value in x @ np.prod(theta0, axis=0)]
    limit = flow(diagonal("linear", 4, depth), tuple(map(tuple, x)), labels, tuple(map(tuple, theta0)), loss)
    rows = rows_of(limit)
    assert (rows[:, [1, 5]] == 0.0).all()
    assert limit.theta is not None
    assert all(u[1] == 0.0 for u in limit.theta)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("seed", range(4))
def test_ties_stay_ties(activation: Activation, seed: int) -> None:
    """Two equal neurons, and, where the network is linear, the third their opposite."""
    rng = np.random.default_rng([92, seed])
    w, v = rng.standard_normal(3), abs(rng.standard_normal())
    sign = -1.0 if activation == "linear" else 1.0
    x = rng.standard_normal((4, 3))
    x *= np.sign(x @ w)[:, None]
    limit = flow(
        fully_connected(activation, (3, 3)), tuple(map(tuple, x)), spread(1, 4),
        ((*w, *w, *(sign * w)), (v, v, sign * v)),
    )  # fmt: skip
    rows = rows_of(limit)
    assert_tied(rows[:, :3], rows[:, 3:6])
    assert_tied(rows[:, :3], sign * rows[:, 6:9])
    assert_tied(rows[:, 9], rows[:, 10])
    assert_tied(rows[:, 9], sign * rows[:, 11])


@pytest.mark.parametrize("depth", [2, 3])
@pytest.mark.parametrize("seed", range(6))
def test_balanced_diagonals_stay_balanced(depth: int, seed: int) -> None:
    """|u^l_k| equal in all layers at the start: equal for ever, and no weight changes its sign."""
    rng = np.random.default_rng([93, depth, seed])
    size = rng.standard_normal(4)
    signs = rng.choice([-1.0, 1.0], (depth, 4))
    theta0 = signs * size
    x = rng.standard_normal((3, 4))
    labels = [1 if value > 0 else -1 for value in x @ np.prod(theta0, axis=0)]
    limit = flow(diagonal("linear", 4, depth), tuple(map(tuple, x)), labels, tuple(map(tuple, theta0)))
    rows = rows_of(limit).reshape(-1, depth, 4)
    for layer in range(1, depth):
        assert_tied(np.abs(rows[:, layer]), np.abs(rows[:, 0]))
    assert (rows * np.sign(theta0) >= 0.0).all()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("seed", range(4))
def test_dead_neurons_keep_their_weights(seed: int, loss: Loss) -> None:
    """A neuron off on every sample, whatever its weights: constant, and zero in the limit."""
    rng = np.random.default_rng([94, seed])
    x = rng.standard_normal((4, 3))
    x[:, 0] = np.abs(x[:, 0]) + 0.1
    dead, v_dead = np.array([-30.0, 0.5, 0.25]), 1.5
    w = rng.standard_normal(3) + np.array([5.0, 0.0, 0.0])
    limit = flow(
        fully_connected("relu", (3, 2)), tuple(map(tuple, x)), spread(1, 4), ((*w, *dead), (1.0, v_dead)), loss
    )
    assert limit.theta is not None
    assert (limit.theta[0][3:] == 0.0).all()
    assert limit.theta[1][1] == 0.0
    assert limit.path is not None
    norms = np.exp(limit.path["log_norm"])
    theta = limit.path["direction"] * norms[:, None]
    kept = np.tile([*dead, v_dead], (len(theta), 1))
    np.testing.assert_allclose(theta[:, [3, 4, 5, 7]], kept, rtol=1e-12)


def test_axis_aligned_data_keep_zeros() -> None:
    """Points on the first two axes and a start in their plane: the third coordinate stays zero."""
    limit = flow(fully_connected("linear", (3, 2)), ((1, 0, 0), (0, 2, 0)), (1, -1), ((1, -1, 0, 2, 1, 0), (1, 1)))
    assert (rows_of(limit)[:, [2, 5]] == 0.0).all()


def test_coordinates_are_chosen_in_integers() -> None:
    """The float next to 1/10 as a slope makes ties of numbers of many digits, and a basis with entries far apart: those
    that floats take for coordinates are none.
    """
    network = fully_connected("leaky_relu", (3, 4), negative_slope=Fraction(0.1)).fixing({2: [1, -1, 1, 1]})
    x, y = ((0, 2, -3), (-3, -3, -1), (3, 2, 0)), (1, 1, -1)
    theta0 = ((2, -2, 0, 0, 1, -1, -1, 0, 1, 0, 2, 1), (1, -1, 1, 1))
    limit = flow(network, x, y, theta0)
    assert limit.value == pytest.approx(0.0684299, rel=1e-5)  # that of the independent trainer


def test_a_subspace_has_other_coordinates() -> None:
    """The first of an order that can be: the same subspace, with the identity at the new pivots."""
    rows = [[1, 0, 0, 2], [0, 1, 0, -1], [0, 0, 0, 0]][:2]
    basis = np.array(rows, dtype=float).T
    found = Subspace(np.array([0, 1]), np.zeros(4, dtype=bool), True, np.zeros(1), (rows, basis))
    other = found.led_by(np.array([3, 2, 0, 1]))
    assert other.pivots.tolist() == [0, 3]
    np.testing.assert_array_equal(other.basis[[0, 3]], np.eye(2))
    both = np.hstack([found.basis, other.basis])
    assert np.linalg.matrix_rank(both) == 2
    # where 0 and 1 are led by 3, 0 is what is left: theta_1 = 2 theta_0 - theta_3
    np.testing.assert_array_equal(other.basis[1], [2.0, -1.0])


@pytest.mark.parametrize("small", ["1e-8", "1e-10", "1e-11"])
@pytest.mark.parametrize("batched", [False, True])
def test_kinks_of_small_neurons_that_are_tied_to_large_ones_are_met(small: str, batched: bool) -> None:
    """Weights of the last two are 1e-10 times others, for good: their kinks are met all the same, and they win."""
    e = Fraction(small)
    network = fully_connected("leaky_relu", (2, 5), negative_slope=Fraction(2))
    theta0 = ((1, 2, 2, 1, 1, 1, e, 5 * e, 5 * e, e), (1, 1, 2, -4 * e, -4 * e))
    instance = Instance.of(network, "exponential", ((1, 0), (0, 1)), (1, 1), theta0)
    (limit,) = follow_batch([instance]) if batched else [follow(instance)]
    assert limit.status == "converged", limit.reason
    assert limit.value == pytest.approx(0.5**0.5, rel=1e-9)  # that of the independent trainer
    assert {(event["neuron"], event["gate"]) for event in limit.events} == {(4, "off"), (5, "off")}


def test_what_is_left_of_large_terms_is_told_in_integers() -> None:
    """10^12 and 10^12 + 1 differ by little; the kink is left all the same, and not where they are equal."""
    network, big = fully_connected("relu", (2, 1)), 10**12
    one = Instance.of(network, "exponential", ((1, -1), (1, 1)), (1, 1), ((1, 1), (1,)))
    gates = Gates(one, wiring(network))
    gates.start()
    for entry, moves in ((big + 1, 1), (big, 0)):
        rows = [[big, entry, 0], [0, 0, 1]]
        subspace = Subspace(np.array([0, 2]), np.zeros(3, dtype=bool), True, np.zeros(2), (rows, np.zeros((3, 2))))
        subspace = subspace.led_by(np.array([0, 2, 1]))
        assert abs(gates.watch(subspace)[0, gates.first.start]) == moves
        assert gates.watch(subspace)[1, gates.first.start] == 1


def test_a_balance_is_zero_only_where_it_is_that_exactly() -> None:
    """v^2 - w^2 below the least float keeps its sign."""
    network, little = fully_connected("relu", (1, 3)), Fraction(1, 10**400)
    theta0 = ((1, 1, 1), (1, 1 + little, 1 - little))
    gates = Gates(Instance.of(network, "exponential", ((1,),), (1,), theta0), wiring(network))
    assert np.sign(gates.conserved[list(gates.hidden)]).tolist() == [0.0, 1.0, -1.0]
