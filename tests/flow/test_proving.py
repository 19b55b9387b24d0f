"""A subspace is believed when it is proven: numbers against the primes, symmetries between samples, false subspaces."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from harness.flow import follow
from harness.flow.compiled.kernel import wiring
from harness.flow.invariants.lifting import prime_below
from harness.flow.invariants.proving import Prover, Setting, integers, meets
from harness.problem.instances import Instance
from harness.problem.networks import convolutional, diagonal, fully_connected
from tests.flow.test_reference import VALUES, case

PRIMES = [prime_below(k) for k in range(5)]


@pytest.mark.parametrize("name", ["prime-theta", "prime-x-diag", "sym-diaglin3-swap"])
def test_values_known_by_hand(name: str) -> None:
    limit = follow(case(name))
    assert limit.status == "converged", limit.reason
    assert limit.value == pytest.approx(VALUES[name], rel=1e-9)


def test_primes_are_the_largest_of_31_bits() -> None:
    assert PRIMES[:3] == [2147483647, 2147483629, 2147483587]
    assert all(p % k for p in PRIMES for k in range(2, 46341))


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_a_multiple_of_primes_is_no_zero(count: int) -> None:
    """The weight that they divide moves, and the coordinate that it belongs to is the better one."""
    product = math.prod(PRIMES[:count])
    size = Fraction(product, 10 ** (len(str(product)) - 1))
    limit = follow(Instance.of(diagonal("linear", 2, 2), "exponential", ((2, 1),), (1,), ((size, 1), (1, 1))))
    assert limit.value == pytest.approx(0.5, rel=1e-9)


@pytest.mark.parametrize("count", [1, 3])
def test_a_multiple_of_primes_is_no_tie(count: int) -> None:
    """Equal coordinates of depth 3 stay at the saddle between them; those that primes take for equal do not."""
    product = math.prod(PRIMES[:count])
    near = 1 + Fraction(product, 10 ** (len(str(product)) + 2))
    limit = follow(Instance.of(diagonal("linear", 2, 3), "exponential", ((1, 1),), (1,), ((near, 1),) * 3))
    assert limit.value == pytest.approx(1.5, rel=1e-9)
    tied = follow(Instance.of(diagonal("linear", 2, 3), "exponential", ((1, 1),), (1,), ((near, near),) * 3))
    assert tied.value == pytest.approx(1.5 * 2.0 ** (1.0 / 3.0), rel=1e-9)


def test_denominators_that_primes_divide_are_no_obstacle() -> None:
    start = (Fraction(1, PRIMES[0]), Fraction(2, PRIMES[0] * PRIMES[1]))
    limit = follow(Instance.of(diagonal("linear", 2, 2), "exponential", ((2, 1),), (1,), (start, start)))
    assert limit.status == "converged", limit.reason


def test_a_rotation_by_long_numbers_is_kept() -> None:
    """The rotated filter whose second singular pair has numbers of forty digits: no three primes show it."""
    a, b = 10**20 + 39, 10**20 + 129
    # patches P = s1 u1 v1^T + s2 u2 v2^T with u1 along (a, -b), u2 along (b, a), v1 = (1, 1), v2 = (1, -1)
    rows = [[3 * a + b, 3 * a - b], [-3 * b + a, -3 * b - a]]
    x = tuple(Fraction(v, 10**20) for row in rows for v in row)
    w, v = (1, -1), (Fraction(b, 10**20), Fraction(a, 10**20))
    limit = follow(Instance.of(convolutional("linear", 4, 2, stride=2), "exponential", (x,), (1,), (w, v)))
    singular = np.linalg.svd(np.array(x, dtype=float).reshape(2, 2), compute_uv=False)
    assert limit.value == pytest.approx(1.0 / singular[1], rel=1e-9), "the second singular pair"


# --- symmetries between samples ---


def mirrored(depth: int, activation: Any, moved: Fraction = Fraction(0)) -> Instance:
    """Exchanging the coordinates exchanges two samples and leaves the start as it is, but for what is moved."""
    x = ((2, 1), (1, 2 + moved), (1, 1))
    return Instance.of(diagonal(activation, 2, depth), "exponential", x, (1, 1, 1), ((1, 1),) * depth)


@pytest.mark.parametrize("activation", ["linear", "relu"])
@pytest.mark.parametrize("depth", [3, 4])
def test_samples_that_are_exchanged_keep_equal_weights(depth: int, activation: Any) -> None:
    """The flow stays at the products (1/2, 1/2), a saddle: the cost is concave where b_1 + b_2 = 1."""
    limit = follow(mirrored(depth, activation))
    assert limit.status == "converged", limit.reason
    assert limit.held
    assert limit.value == pytest.approx(depth * 2.0 ** (-2.0 / depth), rel=1e-9)


def test_a_symmetry_that_is_nearly_one_is_none() -> None:
    limit = follow(mirrored(3, "linear", Fraction(1, 10**6)))
    assert limit.status == "converged", limit.reason
    assert limit.value == pytest.approx(1.5, rel=1e-5), "at one end of the segment"


def test_the_other_label_exchanges_too() -> None:
    """(x, 1) and (-x', -1) are exchanged where the network is linear."""
    given = mirrored(3, "linear")
    x = (given.x[0], tuple(-v for v in given.x[1]), given.x[2])
    turned = Instance.of(given.network, given.loss, x, (1, -1, 1), given.theta0)
    one, other = follow(given), follow(turned)
    assert one.value == pytest.approx(other.value, rel=1e-12)


def test_neurons_that_are_exchanged_with_their_samples() -> None:
    """Two relu neurons, mirror images as the samples are: equal sizes for ever, whatever rounding does."""
    network = fully_connected("relu", (2, 2))
    w = (Fraction(3), Fraction(1, 7), Fraction(3), Fraction(-1, 7))
    x = ((1, Fraction(5, 3)), (1, Fraction(-5, 3)))
    limit = follow(Instance.of(network, "logistic", x, (1, 1), (w, (2, 2))), record=True)
    assert limit.status == "converged", limit.reason
    assert limit.path is not None
    rows = limit.path["direction"]
    np.testing.assert_array_equal(rows[:, 0], rows[:, 2])
    np.testing.assert_array_equal(rows[:, 1], -rows[:, 3])


# --- the proof refuses ---


def setting(instance: Instance, blocks: list[int]) -> tuple[Prover, Setting]:
    net = wiring(instance.network)
    gates = np.ones((len(instance.problem.rows), int(net.uptr[-1])))
    constant = np.zeros(instance.network.size, dtype=bool)
    group = instance.network.outputs - 1 if instance.loss == "logistic" else 1
    return Prover(instance.problem, net, max(group, 1)), Setting(gates, [], [], constant, np.array(blocks))


def test_a_subspace_that_is_closed_and_contains_the_start_is_proven() -> None:
    prover, where = setting(mirrored(2, "linear"), [0, 0, 2])
    assert prover.holds([[1, 1, 0, 0], [0, 0, 1, 1]], [0, 2], [[1, 1, 1, 1]], where)


def test_false_subspaces_are_refused() -> None:
    prover, where = setting(mirrored(2, "linear"), [0, 0, 2])
    both = [[1, 1, 0, 0], [0, 0, 1, 1]]
    assert not prover.holds(both, [0, 2], [[1, 2, 1, 1]], where), "does not contain the start"
    assert not prover.holds([[1, 0, 0, 0], [0, 0, 1, 0]], [0, 2], [[1, 0, 2, 0]], where), "is left at once"
    _, apart = setting(mirrored(2, "linear"), [0, 1, 2])
    assert not prover.holds(both, [0, 2], [[1, 1, 1, 1]], apart), "is left where the samples' weights may differ"
    near, _ = setting(mirrored(2, "linear", Fraction(1, PRIMES[0])), [0, 0, 2])
    assert not near.holds(both, [0, 2], [[1, 1, 1, 1]], where), "the margins of a block differ a little"


def test_what_lies_on_kinks() -> None:
    rows = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    (left,) = meets(rows, [(Fraction(1), Fraction(2), Fraction(0)), (Fraction(0), Fraction(1, 3), Fraction(1))])
    assert left[0] + 2 * left[1] == 0 == left[1] + 3 * left[2]
    assert integers((Fraction(2, 3), Fraction(-4, 9))) == [3, -2]
