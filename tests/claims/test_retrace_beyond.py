"""Slopes, fixed layers, several outputs: the flow retraced, what it keeps, and the claims about its path."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest

from harness import drive
from harness.claims.recorded import FOLLOWS, STRAYS, follows_flow
from harness.claims.retrace import Field, retrace
from harness.claims.retrace.kept import Kept
from harness.claims.table import CLAIMS
from harness.problem.instances import Instance
from harness.problem.limits import Limit
from harness.problem.networks import Network, circulant, fully_connected
from tests.claims.test_claims import verdicts
from tests.support.stepped import rate, stepped, with_a_jump

TENTH, HALF = Fraction(1, 10), Fraction(1, 2)
TWO: Any = ((2, 1), (1, 3))
# name -> network, loss, x, y, theta0
CASES: dict[str, tuple[Network, Any, Any, Any, Any]] = {
    "leaky": (
        fully_connected("leaky_relu", (2, 2), negative_slope=TENTH),
        "exponential", TWO, (1, -1), ((-1, -2, 2, -1), (2, 1)),
    ),
    "absolute value": (
        fully_connected("leaky_relu", (2, 2), negative_slope=-1),
        "logistic", TWO, (1, 1), ((0, 2, -1, -1), (-1, 2)),
    ),
    "outputs fixed": (
        fully_connected("leaky_relu", (2, 2), negative_slope=HALF, fixed={2: (1, -1)}),
        "exponential", ((3, 1), (-1, 3)), (1, -1), ((3, -2, -1, 2), (1, -1)),
    ),
    "first layer fixed": (
        fully_connected("relu", (2, 3), fixed={1: (1, 0, 0, 1, 1, -1)}),
        "logistic", TWO, (1, -1), ((1, 0, 0, 1, 1, -1), (3, -1, 1)),
    ),
    "middle layer fixed": (
        fully_connected("leaky_relu", (2, 2, 2), negative_slope=2, fixed={2: (1, 2, -1, 1)}),
        "exponential", TWO, (1, 1), ((2, 2, 1, 2), (1, 2, -1, 1), (1, -1)),
    ),
    "three classes": (
        fully_connected("leaky_relu", (2, 3), negative_slope=HALF, outputs=3),
        "exponential", ((2, 0), (0, 2), (-2, -2)), (0, 1, 2),
        ((2, 0, 0, 2, -2, -1), (2, 0, 0, 0, 2, 0, 0, 0, 2)),
    ),
    "cross entropy": (
        fully_connected("linear", (2,), outputs=3),
        "logistic", ((2, 0), (0, 2), (-2, -2)), (0, 1, 2), ((2, 0, 0, 1, -1, -1),),
    ),
    "cross entropy, fixed outputs": (
        fully_connected("relu", (2, 3), outputs=3, fixed={2: (1, 0, 0, 0, 1, 0, 0, 0, 1)}),
        "logistic", ((2, 0), (0, 2), (-2, -2)), (0, 1, 2), ((2, 0, 0, 2, -2, -1), (1, 0, 0, 0, 1, 0, 0, 0, 1)),
    ),
    "circulant": (circulant("linear", 3), "exponential", ((1, 2, 0), (0, 1, 1)), (1, 1), ((1, 0, 2), (1, 1, 0))),
}  # fmt: skip
ON_EVERY_NETWORK = ("margin-grows", "margin-rate", "margin-floor", "balance", "loss-vanishes")


def instance(case: str) -> Instance:
    network, loss, x, y, theta0 = CASES[case]
    return Instance.of(network, loss, x, y, theta0)


@cache
def recorded(case: str) -> Limit:
    return stepped(instance(case))


@pytest.mark.parametrize("case", CASES)
def test_the_field_is_the_gradient_away_from_kinks(case: str) -> None:
    problem = instance(case)
    field, rng = Field(problem), np.random.default_rng(5)
    theta = rng.standard_normal((6, problem.network.size))
    sharp = [np.full((problem.n, len(p)), 1e-12) for p in problem.network.patterns[:-1]]
    expected = np.array([rate(problem, t) for t in theta])
    np.testing.assert_allclose(field(theta, sharp), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_a_record_in_small_steps_is_found_again(case: str) -> None:
    found = retrace(recorded(case))
    assert found.begins
    assert not found.branches
    assert found.detour is not None
    assert found.detour < FOLLOWS
    assert found.leaves < FOLLOWS


@pytest.mark.parametrize("case", CASES)
def test_a_jump_is_not(case: str) -> None:
    off = retrace(with_a_jump(recorded(case))).detour
    assert off is not None
    assert off > STRAYS


@pytest.mark.parametrize("case", ["leaky", "outputs fixed", "middle layer fixed"])
def test_the_flow_of_another_slope_or_layer_is_not(case: str) -> None:
    own = instance(case)
    network = dataclasses.replace(own.network, negative_slope=own.network.slope + Fraction(1, 5))
    off = retrace(dataclasses.replace(recorded(case), instance=own.changed(network=network))).detour
    assert off is not None
    assert off > STRAYS
    if own.network.degree < own.network.depth:
        fixed = tuple(tuple(2 * a for a in u) if f else u for u, f in zip(own.theta0, own.network.fixed, strict=True))
        uneven = tuple((3 * u[0], *u[1:]) if f else u for u, f in zip(fixed, own.network.fixed, strict=True))
        off = retrace(dataclasses.replace(recorded(case), instance=own.changed(theta0=uneven))).detour
        assert off is not None
    assert off > STRAYS


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("claim", ON_EVERY_NETWORK)
def test_the_claims_on_every_network_hold_of_it(claim: str, case: str) -> None:
    assert CLAIMS[claim].judged(recorded(case), verdicts("undecided")) == "holds"


@pytest.mark.parametrize("case", ["outputs fixed", "cross entropy"])
def test_the_degree_counts_trained_layers(case: str) -> None:
    """By the depth instead, or by the margins' number, the same record would lose margin."""
    limit = recorded(case)
    path = limit.path
    assert path is not None
    backwards = dataclasses.replace(limit, path={**path, "direction": path["direction"][::-1].copy()})
    assert CLAIMS["margin-grows"].judged(backwards, verdicts("undecided")) == "violated"


def test_balance_is_between_trained_layers_alone() -> None:
    limit = recorded("middle layer fixed")
    path = limit.path
    assert path is not None
    direction = path["direction"] * np.where(np.arange(6) < 4, 1.05, 0.9)
    direction[0] = path["direction"][0]
    tampered = dataclasses.replace(limit, path={**path, "direction": direction})
    assert CLAIMS["balance"].judged(tampered, verdicts("undecided")) == "violated"
    # one trained layer has nothing to be balanced against
    limit = recorded("outputs fixed")
    path = limit.path
    assert path is not None
    direction = path["direction"] * np.where(np.arange(4) < 2, 1.05, 0.9)
    tampered = dataclasses.replace(limit, path={**path, "direction": direction})
    assert CLAIMS["balance"].judged(tampered, verdicts("undecided")) == "holds"


def kept(start: Instance, gates: Any) -> np.ndarray:
    found = Kept(start)
    found.under(np.array(gates, dtype=np.int8))
    return found.basis(np.ones(start.network.size))


def test_what_a_leaky_neuron_keeps() -> None:
    """The neuron off on every point moves all the same, along what its slope passes on."""
    network = fully_connected("leaky_relu", (2, 2), negative_slope=HALF)
    start = Instance.of(network, "exponential", ((1, 0), (0, 1)), (1, 1), ((1, 1, -1, -1), (1, -1)))
    basis = kept(start, [[1, 0], [1, 0]])
    # the points are exchanged with the coordinates, and so equal
    np.testing.assert_allclose(basis[:, 0], basis[:, 1], atol=1e-14)
    assert len(basis) == 4
    relu = start.changed(network=fully_connected("relu", (2, 2)))
    assert len(kept(relu, [[1, 0], [1, 0]])) == 3


def test_fixed_layers_take_no_part_in_what_is_kept() -> None:
    network = fully_connected("leaky_relu", (2, 2), negative_slope=HALF, fixed={2: (1, -1)})
    start = Instance.of(network, "exponential", ((1, 2),), (1,), ((1, 0, 0, -1), (1, -1)))
    basis = kept(start, [[1, 0]])
    # the start and the one gradient there is
    assert basis.shape == (2, 4)
    span = np.array([[1, 0, 0, -1], [1, 2, -0.5, -1]])
    np.testing.assert_allclose(span - (span @ basis.T) @ basis, 0.0, atol=1e-13)


@pytest.mark.parametrize(("loss", "rank"), [("exponential", 2), ("logistic", 2)])
def test_classes_that_are_exchanged_with_outputs_are_kept(loss: Any, rank: int) -> None:
    network = fully_connected("linear", (3,), outputs=3)
    eye = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
    start = Instance.of(network, loss, eye, (0, 1, 2), ((2, 0, 0, 0, 2, 0, 0, 0, 2),))
    assert len(kept(start, np.ones((3, 0)))) == rank


@pytest.mark.parametrize("case", CASES)
def test_what_the_trainer_records_is_found_again(case: str) -> None:
    (limit,) = drive([instance(case)], record=True)
    assert limit.status == "converged", limit.reason
    assert follows_flow(limit, verdicts("undecided")) is True
    for claim in ON_EVERY_NETWORK:
        assert CLAIMS[claim].judged(limit, verdicts("undecided")) == "holds"
