"""The flow retraced: it finds what the trainer recorded, and not what another method, or another flow, would have."""

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
from harness.problem.instances import Instance
from harness.problem.limits import Limit
from harness.problem.networks import Network, convolutional, diagonal, fully_connected
from tests.claims.test_claims import verdicts
from tests.support.integrations import velocity
from tests.support.sabotage import as_of, relu_of_zero_has_slope_half, without_neuron
from tests.support.stepped import rate, step, with_a_jump

RELU = fully_connected("relu", (2, 2))
# name -> network, x, y, theta0
CASES: dict[str, tuple[Network, Any, Any, Any]] = {
    "smooth": (fully_connected("linear", (2, 2, 2)), ((2, 1), (1, 2)), (1, 1), ((1, 0, 1, 1), (1, 0, 0, 1), (1, 1))),
    "slides": (RELU, ((-1, -1), (-2, 1), (2, -2)), (-1, 1, -1), ((1, -2, -2, 1), (-2, 1))),
    "starts on a kink": (fully_connected("relu", (1, 2)), ((1,), (-1,)), (1, -1), ((0, -2), (1, -1))),
    "shares weights": (convolutional("relu", 3, 2), ((-1, 0, 1), (-1, 2, -2)), (-1, 1), ((1, 2), (1, -2))),
    "curved kinks": (
        fully_connected("relu", (2, 2, 2)), ((1, 2), (2, -1)), (1, 1), ((1, 1, 2, 1), (1, -1, 2, 1), (1, 2)),
    ),
}  # fmt: skip


def instance(case: str) -> Instance:
    network, x, y, theta0 = CASES[case]
    return Instance.of(network, "exponential", x, y, theta0)


@cache
def recorded(case: str) -> Limit:
    (limit,) = drive([instance(case)], record=True)
    assert limit.status == "converged", limit.reason
    return limit


@pytest.mark.parametrize("case", CASES)
def test_a_recorded_flow_is_found_again(case: str) -> None:
    off = retrace(recorded(case)).detour
    assert off is not None
    assert off < FOLLOWS
    assert follows_flow(recorded(case), verdicts("undecided")) is True


def test_the_cases_are_what_they_are_called() -> None:
    assert {event["gate"] for event in recorded("slides").events} == {"sliding"}
    assert {event["gate"] for event in recorded("shares weights").events} == {"sliding"}
    assert {event["layer"] for event in recorded("curved kinks").events} == {2}


# Where what the floats hold of a flow is not the flow: name -> network, loss, x, y, theta0.
LESS: dict[str, tuple[Network, Any, Any, Any, Any]] = {
    "dies by 24 orders of magnitude": (
        fully_connected("relu", (2, 3)), "exponential", ((Fraction(-1, 3), Fraction(1, 4)),), (1,),
        ((Fraction(-1, 3), Fraction(1, 4)) * 3, (Fraction(-5, 12), Fraction(5, 12), Fraction(-5, 12))),
    ),
    "a weight of 1e-17 is a difference of large ones": (
        fully_connected("relu", (3, 2, 2)), "exponential", ((3, 3, -4),) * 2, (-1, -1),
        ((4, 1, -2, 0, 0, 0), (0, 0, 2, 0), (1, -1)),
    ),
    "a kink of 1e-10 is integrated badly": (
        fully_connected("leaky_relu", (2, 3), negative_slope=-1, outputs=3), "logistic", ((1, 2), (1, 2), (-2, 2)),
        (1, 1, 1), ((-1, -2, -1, -1, -1, -2), (-4, -3, -4, 1, 0, 1, 1, 2, 1)),
    ),
    "a sign that keeps a slide is lost": (
        Network("relu", (((0, 1, -1), (-1, 0, 1)), ((0, 1), (1, 0)), ((0, 1),))), "exponential", ((-2, 1, 2),), (1,),
        ((0, 2), (0, 1), (2, -2)),
    ),
    "a neuron stands still on its kink while the norm grows a million times": (
        fully_connected("relu", (2, 2, 2)), "exponential", ((1, 1),), (1,), ((0, 1, -1, 1), (1, -1, -1, 0), (1, 0)),
    ),
    "one slides there": (
        fully_connected("relu", (3, 2, 3)), "logistic", ((3, 2, 1), (2, -3, 0)), (1, 1),
        ((1, 2, -1, 5, -1, 1), (-2, 3, -2, -2, -2, 2), (4, -2, 4)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", LESS)
def test_what_floats_hold_less_of_is_no_other_flow(case: str) -> None:
    network, loss, x, y, theta0 = LESS[case]
    (limit,) = drive([Instance.of(network, loss, x, y, theta0)], record=True)
    assert limit.status == "converged", limit.reason
    found = retrace(limit)
    assert not found.branches
    assert found.leaves < FOLLOWS
    assert found.detour is None or found.detour < FOLLOWS
    assert follows_flow(limit, verdicts("undecided")) is not False


def test_a_small_neuron_that_leaves_what_is_kept_is_seen_once_it_has_grown() -> None:
    """The weights of a neuron on its kink are tied: one of them goes elsewhere, by so much of the norm."""
    network, loss, x, y, theta0 = LESS["a neuron stands still on its kink while the norm grows a million times"]
    (limit,) = drive([Instance.of(network, loss, x, y, theta0)], record=True)
    assert limit.path is not None
    for size, seen in ((1e-8, False), (1e-5, True)):
        direction = limit.path["direction"].copy()
        direction[-1, 2] += size
        found = retrace(dataclasses.replace(limit, path={**limit.path, "direction": direction}))
        assert (found.leaves > STRAYS) is seen


def test_a_neuron_that_dies_is_forgiven_a_little_only() -> None:
    """A twentieth of its size in every row, where the record keeps a hundredth of the rate."""
    network, loss, x, y, theta0 = LESS["dies by 24 orders of magnitude"]
    (limit,) = drive([Instance.of(network, loss, x, y, theta0)], record=True)
    assert limit.path is not None
    slower = limit.path["direction"].copy()
    slower[:, [0, 1, 4, 5, 6, 8]] *= np.exp(0.05 * np.maximum(np.arange(len(slower)) - 40, 0))[:, None]
    slower /= np.linalg.norm(slower, axis=1)[:, None]
    off = retrace(dataclasses.replace(limit, path={**limit.path, "direction": slower})).detour
    assert off is not None
    assert off > STRAYS


def test_a_lost_sign_hides_no_detour_before_it() -> None:
    network, loss, x, y, theta0 = LESS["a sign that keeps a slide is lost"]
    (limit,) = drive([Instance.of(network, loss, x, y, theta0)], record=True)
    assert retrace(limit).detour is None
    off = retrace(with_a_jump(limit)).detour
    assert off is not None
    assert off > STRAYS


@pytest.mark.parametrize("late", [0.02, 0.05])
def test_a_lost_sign_hides_no_jump_behind_it(late: float) -> None:
    network, loss, x, y, theta0 = LESS["a sign that keeps a slide is lost"]
    (limit,) = drive([Instance.of(network, loss, x, y, theta0)], record=True)
    assert limit.path is not None
    turned = limit.path["direction"].copy()
    turned[len(turned) - 3 :, 0] += late
    turned /= np.linalg.norm(turned, axis=1)[:, None]
    moved = dataclasses.replace(limit, path={**limit.path, "direction": turned})
    off = retrace(moved).detour
    assert off is not None
    assert off > STRAYS


@pytest.mark.parametrize(("size", "small"), [(0.005, Fraction(1, 1000)), (0.002, Fraction(1, 1000))])
def test_a_small_neuron_that_goes_the_other_way_is_seen_however_dense_the_rows_are(
    size: float, small: Fraction
) -> None:
    """It wakes, in truth; with its velocity turned round it is balanced still, and dies. Each row is a little off."""
    network = fully_connected("relu", (2, 2))
    start = Instance.of(network, "exponential", ((1, 0), (-2, 2)), (1, 1), ((1, 2, small, small / 4), (2, 2 * small)))
    turned = np.array([1, 1, -1, -1, 1, -1])
    theta, sigma, rows, clock = network.flat(start.theta0_float), 0.0, [], []
    while (start.x_float @ theta[2:4] >= 0.0).any():
        rows, clock = [*rows, theta], [*clock, sigma]
        theta, h = step(lambda at: turned * rate(start, at), theta, size)
        sigma += h
    (onward,) = drive([start.changed(theta0=tuple(tuple(map(float, u)) for u in network.split(theta)))], record=True)
    assert onward.value == pytest.approx(1.80278, rel=1e-4)
    wrong = as_of(start, onward, (np.array(rows), np.array(clock)), sigma)
    assert follows_flow(wrong, verdicts("undecided")) is False


@pytest.mark.parametrize("case", CASES)
def test_the_field_is_the_gradient_away_from_kinks(case: str) -> None:
    """Against the reference of the trainer's own tests, written apart from it."""
    problem = instance(case)
    field, rng = Field(problem), np.random.default_rng(5)
    theta = rng.standard_normal((6, field.size))
    sharp = [np.full((problem.n, len(p)), 1e-12) for p in problem.network.patterns[:-1]]
    expected = np.array([velocity(problem, t) for t in theta])
    np.testing.assert_allclose(field(theta, sharp), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_the_flow_of_another_problem_is_not(case: str) -> None:
    """The points are moved: the record is of a flow, but not of this one."""
    moved = instance(case).changed(
        x=tuple(tuple(2 * a for a in row) for row in instance(case).x[:1]) + instance(case).x[1:]
    )
    off = retrace(dataclasses.replace(recorded(case), instance=moved)).detour
    assert off is not None
    assert off > STRAYS


@pytest.mark.parametrize("case", CASES)
def test_a_jump_is_not(case: str) -> None:
    off = retrace(with_a_jump(recorded(case))).detour
    assert off is not None
    assert off > STRAYS


def test_a_softmax_may_not_be_held_early() -> None:
    path = recorded("smooth").path
    assert path is not None
    early = {**path, "booked": np.maximum(path["log_norm"] - 1.0, 0.0)}
    assert retrace(dataclasses.replace(recorded("smooth"), path=early)).detour == np.inf


def test_a_record_has_to_come_to_its_limit() -> None:
    """Another KKT point, of the second path alone, is not where this record goes."""
    start = Instance.of(diagonal("linear", 2, 2), "exponential", ((5, 1),), (1,), ((1, 2), (1, 2)))
    (limit,) = drive([start], record=True)
    assert follows_flow(limit, verdicts("undecided")) is True
    assert limit.point is not None
    point = dataclasses.replace(limit.point, theta=(np.array([0.0, 1.0]), np.array([0.0, 1.0])), value=1.0)
    elsewhere = dataclasses.replace(limit, point=point)
    assert follows_flow(elsewhere, verdicts("undecided")) is False


def test_a_record_that_is_cut_short_is_open() -> None:
    path = recorded("smooth").path
    assert path is not None
    short = {key: rows[:-20] for key, rows in path.items()}
    assert follows_flow(dataclasses.replace(recorded("smooth"), path=short), verdicts("undecided")) is not True


def test_a_small_neuron_that_wakes_late_is_waited_for() -> None:
    """Neuron 2 shrinks, crosses a kink at a log-norm of 20, and replaces neuron 3 long after the record has ended."""
    start: Any = ((1, Fraction(9, 10000), 1), (1, Fraction(-1, 1000), -1))
    points: Any = ((1, Fraction(1, 10), 0), (0, -3, 1))
    late = Instance.of(diagonal("relu", 3, 2), "exponential", points, (1, -1), start)
    (limit,) = drive([late], record=True)
    believed = without_neuron(limit, 1, last=7.0)
    assert believed.value == pytest.approx(2.0)
    assert follows_flow(believed, verdicts("undecided")) is False


def test_what_the_flow_keeps_is_kept_beyond_the_record() -> None:
    """All weights are equal, for ever: a saddle, which the flow does not leave."""
    start: Any = ((1, 1), (1, 1), (1, 1))
    tied = Instance.of(diagonal("linear", 2, 3), "exponential", ((1, 1),), (1,), start)
    (limit,) = drive([tied], record=True)
    assert follows_flow(limit, verdicts("undecided")) is True
    kept = Kept(tied)
    kept.under(np.ones((1, 4), dtype=np.int8))
    assert sorted(kept.rows) == [0]


def test_samples_that_are_exchanged_with_neurons_are_kept() -> None:
    start: Any = ((2, 2, 1), (2, 2, 1), (2, 2, 1))
    swap = Instance.of(diagonal("linear", 3, 3), "exponential", ((2, 1, 1), (1, 2, 1)), (1, 1), start)
    kept = Kept(swap)
    kept.under(np.ones((2, 6), dtype=np.int8))
    basis = kept.basis(np.ones(9))
    np.testing.assert_allclose(basis[:, 0::3], basis[:, 1::3], atol=1e-14)
    assert len(basis) == 2


def test_a_start_from_which_two_solutions_depart_is_seen() -> None:
    """w = 0, v = 1 at x = 1: relu may stay off, or switch on."""
    network = fully_connected("relu", (1, 2))
    with relu_of_zero_has_slope_half():
        (limit,) = drive([Instance.of(network, "exponential", ((1,),), (1,), ((0, 1), (1, 1)))], record=True)
    assert limit.status == "converged"
    assert retrace(limit).branches
    assert follows_flow(limit, verdicts("undecided")) is False


@pytest.mark.parametrize(
    ("widths", "x", "y", "theta0"),
    [((2, 2), (2, -1), 1, ((2, -2, 1, 2), (2, 1))), ((1, 3), (-2,), -1, ((2, 0, -1), (1, -2, -1)))],
)
def test_it_is_seen_where_one_of_the_solutions_moves_nothing(widths: Any, x: Any, y: int, theta0: Any) -> None:
    """A relu neuron alone on the kink of its one point: off, nothing carries it away."""
    instance = Instance.of(fully_connected("relu", widths), "exponential", (x,), (y,), theta0)
    (limit,) = drive([instance], record=True)
    assert "not unique" in limit.reason
    with relu_of_zero_has_slope_half():
        (limit,) = drive([instance], record=True)
    assert limit.path is not None
    assert retrace(limit).branches


@pytest.mark.parametrize(("far", "steep"), [(2, 2), (3, 2), (3, 3)])
def test_a_solution_that_stretches_what_is_beside_it_is_one(far: int, steep: int) -> None:
    """On one side of a kink of the second layer the flow is far slower: 3e-6 apart becomes 1e-3, 4e-2, or as far as on.

    What is 3e-9 apart becomes 2e-2 in the last.
    """
    network = Network("relu", (((0, 1, -1), (-1, 0, 1)), ((0, 1), (1, 0)), ((0, 1),)))
    start: Any = ((1, -steep), (0, 1), (2, 1))
    (limit,) = drive([Instance.of(network, "exponential", ((1, 0, 0), (0, -1, -far)), (1, 1), start)], record=True)
    assert limit.status == "converged"
    assert not retrace(limit).branches
    assert follows_flow(limit, verdicts("undecided")) is True


def test_what_a_sample_of_next_to_no_weight_decides_is_not_known() -> None:
    """On its kink at point 0, which pulls it on once it is; the others, of weight 1e-13, push it there."""
    network = fully_connected("relu", (2, 2, 3)).fixing({3: (1, 1, -1)})
    x, first = ((-2, 0), (-4, 1), (-4, 1)), (0, 3, -2, 4)
    start: Any = (first, (3, -3, -1, -2, 2, 3), (1, 1, -1))
    (limit,) = drive([Instance.of(network, "exponential", x, (-1, -1, -1), start)], record=True)
    assert limit.status == "converged"
    assert retrace(limit).branches is None
    assert follows_flow(limit, verdicts("undecided")) is None


def test_a_record_that_begins_beside_the_start_does_not_begin() -> None:
    limit = recorded("smooth")
    start = tuple(tuple(a + Fraction(1, 10**10) for a in u) for u in limit.instance.theta0)
    beside = dataclasses.replace(limit.instance, theta0=start)
    assert follows_flow(dataclasses.replace(limit, instance=beside), verdicts("undecided")) is False


def test_evidence_that_the_record_does_not_have_is_seen() -> None:
    limit = recorded("smooth")
    told = (*limit.evidence[:-1], (limit.evidence[-1][0], 0.5 * limit.evidence[-1][1]))
    assert follows_flow(dataclasses.replace(limit, evidence=told), verdicts("undecided")) is False
