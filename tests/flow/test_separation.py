"""never_separates only with a proof: Gordan's theorem, an exactly stationary start, or outgoing signs that are kept."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

from benchmarks import wider_draws
from benchmarks.families import FAMILIES, Kind, draw
from harness.flow import follow
from harness.flow.separation import gordan, proof_of_no_separation, stationary_start
from harness.problem.instances import Instance
from harness.problem.networks import Network, diagonal, fully_connected, sparse
from tests.support.draws import first
from tests.support.integrations import euler_path, margins_and_gradients

# One in a hundred never separates in the family in which fewest do.
DRAWS = 2000


def instance_of(network: Network, x: Any, y: Any, theta0: Any) -> Instance:
    return Instance.of(network, "exponential", x, y, theta0)


def relu(w: Any, v: Any, x: Any, y: Any) -> Instance:
    network = fully_connected("relu", (len(x[0]), len(w)))
    return instance_of(network, x, y, (tuple(a for row in w for a in row), v))


def separable(instance: Instance) -> bool:
    """Whether some w has y_i w . x_i >= 1 for all i, by a linear programme."""
    rows = -instance.y_float[:, None] * instance.x_float
    free = [(None, None)] * instance.d
    return bool(linprog(np.zeros(instance.d), A_ub=rows, b_ub=-np.ones(instance.n), bounds=free).success)


def with_free_labels(rng: np.random.Generator, family: str, kind: Kind) -> Instance:
    instance = draw(rng, family, kind)
    return instance.changed(y=tuple(int(v) for v in rng.choice([-1, 1], instance.n)))


@pytest.mark.parametrize("kind", ["generic", "integer"])
@pytest.mark.parametrize("family", [name for name in FAMILIES if "fully connected linear" in name])
def test_linear_networks_separate_exactly_the_separable_data(family: str, kind: Kind) -> None:
    rng = np.random.default_rng([101, len(family)])
    both = [0, 0]
    for _ in range(60):
        instance = with_free_labels(rng, family, kind)
        limit = follow(instance)
        if limit.status == "undecided":
            continue
        if limit.status == "never_separates" and not np.concatenate(instance.theta0_float).all():
            continue  # a stationary start separates nothing, whatever the data
        assert (limit.status == "converged") == separable(instance), instance.to_json()
        both[limit.status == "converged"] += 1
    assert min(both) >= 3, both


def test_gordan_certificates_are_exact() -> None:
    rng = np.random.default_rng(102)
    found = 0
    for _ in range(100):
        instance = with_free_labels(rng, "fully connected linear, depth 2", "integer")
        alpha = gordan(instance)
        if alpha is None:
            assert separable(instance), instance.to_json()
            continue
        assert not separable(instance), instance.to_json()
        assert all(a >= 0 for a in alpha)
        assert sum(alpha) > 0
        for c in range(instance.d):
            column = [a * y * x[c] for a, y, x in zip(alpha, instance.y, instance.x, strict=True)]
            assert sum(column, start=Fraction(0)) == 0
        found += 1
    assert found >= 20


def test_only_coordinates_that_reach_the_output_count() -> None:
    """Separable by the second coordinate, which no path leads from."""
    network = Network("linear", (((0, -1), (1, 2)), ((0, -1),)))
    assert network.reaching == [(0, 0)]
    instance = instance_of(network, ((1, 1), (-1, 1)), (1, 1), ((1, 1, 1), (1,)))
    limit = follow(instance)
    assert limit.status == "never_separates"
    assert gordan(instance) == (Fraction(1, 2), Fraction(1, 2))


def test_coordinates_that_reach_another_output_count() -> None:
    """Each output hears a coordinate of its own, and the second separates; by what the first hears nothing would."""
    network = sparse("linear", ([[1, 0], [0, 1]],))
    assert network.reaching == [(0, 0), (1, 1)]
    instance = instance_of(network, ((1, 1), (1, -1)), (0, 1), ((1, 0),))
    assert gordan(instance) is None
    assert follow(instance).status == "converged"


def test_gordan_certificates_of_classes_are_exact() -> None:
    """sum alpha_ik (e_y - e_k) (x) x_i = 0, and there are none where a multi-class machine separates."""
    rng = np.random.default_rng(104)
    found = 0
    for index in range(100):
        instance = wider_draws.draw(rng, "classes, depth 1", integer=index % 4 > 0)
        labels = [int(k) for k in rng.integers(0, 3, instance.n)]
        instance = instance.changed(y=tuple(labels))
        rows = [np.kron(seed, instance.x_float[i]) for i, seed in instance.problem.rows]
        size = len(rows[0])
        separates = linprog(np.zeros(size), -np.array(rows), -np.ones(len(rows)), bounds=[(None, None)] * size).success
        alpha = gordan(instance)
        assert (alpha is None) == separates, instance.to_json()
        if alpha is None:
            continue
        assert min(alpha) >= 0 < sum(alpha)
        for k, c in itertools.product(range(3), range(instance.d)):
            terms = [a * seed[k] * instance.x[i][c] for a, (i, seed) in zip(alpha, instance.problem.rows, strict=True)]
            assert sum(terms, start=Fraction(0)) == 0
        assert follow(instance).status == "never_separates"
        found += 1
    assert found >= 20


def test_outgoing_signs_that_are_fixed() -> None:
    """Of relu no output of the other sign comes; with a slope one does, and a weight fixed at zero is no help."""
    x, w = ((1, 0), (0, 1)), ((1, 0, 0, 1),)
    plus = fully_connected("relu", (2, 2), fixed={2: (1, 1)})
    assert proof_of_no_separation(instance_of(plus, x, (1, -1), (*w, (1, 1)))) is not None
    assert proof_of_no_separation(instance_of(plus, x, (1, 1), (*w, (1, 1)))) is None
    zero = fully_connected("relu", (2, 2), fixed={2: (1, 0)})
    assert proof_of_no_separation(instance_of(zero, x, (1, -1), (*w, (1, 0)))) is not None
    bent = fully_connected("leaky_relu", (2, 2), negative_slope=Fraction(1, 2), fixed={2: (1, 1)})
    instance = instance_of(bent, x, (1, -1), (*w, (1, 1)))
    assert proof_of_no_separation(instance) is None
    assert follow(instance).status == "converged"


def test_a_network_of_fixed_zeros_never_separates() -> None:
    silent = fully_connected("leaky_relu", (2, 2), negative_slope=Fraction(1, 2), fixed={2: (0, 0)})
    instance = instance_of(silent, ((1, 0),), (1,), ((1, 2, 3, 4), (0, 0)))
    assert stationary_start(instance)
    assert follow(instance).status == "never_separates"


def test_exactly_stationary_starts() -> None:
    zero = instance_of(fully_connected("linear", (1, 1)), ((1,),), (1,), ((0,), (0,)))
    assert stationary_start(zero)
    assert follow(zero).status == "never_separates"
    almost = instance_of(fully_connected("linear", (1, 1)), ((1,),), (1,), ((0,), (Fraction(1, 10**9),)))
    assert not stationary_start(almost)
    assert follow(almost).status == "converged"
    dead = relu(((-1,),), (1,), ((1,),), (1,))
    assert stationary_start(dead)
    assert follow(dead).status == "never_separates"
    # the gradients of the two samples cancel in sum, and only in sum
    balanced = instance_of(fully_connected("linear", (1, 1)), ((1,), (-1,)), (1, 1), ((0,), (1,)))
    assert not stationary_start(balanced)
    assert follow(balanced).status == "never_separates"
    assert gordan(balanced) is not None


def test_outgoing_signs_that_are_kept() -> None:
    """v = -1 <= -||w|| keeps its sign (sign-kept), and a sample of label +1 has no other neuron."""
    kept = relu(((1, 0),), (-1,), ((1, 0),), (1,))
    assert proof_of_no_separation(kept) is not None
    assert follow(kept).status == "never_separates"
    longer = relu(((2, 0),), (-1,), ((1, 0),), (1,))
    assert proof_of_no_separation(longer) is None, "v may cross zero"
    assert follow(longer).status == "converged"


def test_what_is_not_proven_is_undecided() -> None:
    # one neuron cannot fit labels +1 and -1; nothing here proves it
    both = relu(((3, 3),), (1,), ((1, 0), (0, 1)), (1, -1))
    assert proof_of_no_separation(both) is None
    assert follow(both).status == "undecided"
    # only the second coordinate separates, and its pair of weights is zero for ever
    pair = instance_of(diagonal("linear", 2, 2), ((1, 1), (-1, 1)), (1, 1), ((1, 0), (1, 0)))
    assert proof_of_no_separation(pair) is None
    assert follow(pair).status != "converged"


@pytest.mark.parametrize("kind", ["generic", "integer"])
@pytest.mark.parametrize("family", FAMILIES)
def test_what_never_separates_does_not_separate_in_a_while(family: str, kind: Kind) -> None:
    rng = np.random.default_rng([103, list(FAMILIES).index(family)])
    drawn = (draw(rng, family, kind, largest=2) for _ in range(DRAWS))
    for instance in first(2, (instance for instance in drawn if follow(instance).status == "never_separates")):
        theta = euler_path(instance, np.array([1.0, 4.0]), 2e-2)
        for row in theta:
            q = margins_and_gradients(instance, row)[0]
            with np.errstate(over="ignore"):
                loss = np.exp(-q).sum() if instance.loss == "exponential" else np.logaddexp(0.0, -q).sum()
            assert loss >= (1.0 if instance.loss == "exponential" else np.log(2.0)) - 1e-9, instance.to_json()
