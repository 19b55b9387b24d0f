"""Neurons of the second layer whose inputs on their kinks only their own weights move."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from harness import drive
from harness.flow.compiled.field import look
from harness.flow.compiled.kernel import wiring
from harness.flow.kinks.answers import open_unfed_units, sleeps
from harness.flow.kinks.departure import Line
from harness.flow.kinks.gates import Gates
from harness.flow.kinks.lines import as_one, singly
from harness.flow.kinks.rest import pushed_back, stand_in
from harness.problem.instances import Instance
from harness.problem.limits import Limit
from harness.problem.networks import Network, fully_connected
from tests.support import reference

# Two neurons below, on at one point each.
APART: Any = ((1, -1), (-1, 1))
EACH: Any = (1, 0, 0, 1)


def limit_of(y: tuple[int, ...], second: tuple[int, ...], v: tuple[int, ...]) -> Limit:
    """Below are `EACH`; second: two neurons of two weights each."""
    network = fully_connected("relu", (2, 2, 2))
    (limit,) = drive([Instance.of(network, "exponential", APART, y, (EACH, second, v))])
    return limit


def test_what_may_stay_and_may_leave_is_not_unique() -> None:
    """Off at point 0, and on its kink at point 1, which pulls it on."""
    assert "not unique" in limit_of((1, 1), (-1, 0, 1, 1), (1, 1)).reason


def test_what_is_pushed_back_rests() -> None:
    """The same with a weight out of it that no point wants: it never wakes, and the limit is that of the other one."""
    limit = limit_of((1, 1), (-1, 0, 1, 1), (-1, 1))
    assert limit.status == "converged", limit.reason
    assert limit.theta is not None
    assert limit.theta[1][1] == 0.0
    record = reference.follow(limit.instance, 40.0)
    assert limit.value == pytest.approx(record.value, rel=1e-3)


def test_what_starts_to_be_pulled_may_stay_too() -> None:
    """On at point 0 with v = 0, and on its kink at point 1: as soon as v has grown, point 1 pulls it on."""
    assert "not unique" in limit_of((1, 1), (1, 0, 1, 1), (0, 1)).reason


def test_what_starts_to_be_pushed_back_is_not_decided() -> None:
    assert limit_of((1, -1), (1, 0, 0, 1), (0, -1)).reason.startswith("A kink is degenerate")


def test_what_nothing_starts_to_answer_is_not_taken_for_off() -> None:
    """On at one point of either label, which pull its v both ways alike, and on its kink at a third."""
    x: Any = ((1, -1), (1, -1), (-1, 1))
    network, start = fully_connected("relu", (2, 2, 2)), (EACH, (1, 0, -1, 1), (0, 1))
    (limit,) = drive([Instance.of(network, "exponential", x, (1, -1, 1), start)])
    assert limit.reason.startswith("A kink is degenerate")


@pytest.mark.parametrize(("v", "decided"), [("0", False), ("-1/16", False), ("-1/2", True)])
def test_what_rests_is_looked_at_when_its_neuron_wakes_elsewhere(v: str, decided: bool) -> None:
    """A third neuron below switches the first one above on at point 1; its v grows, and above 0 point 0 pulls it on.

    It may then stay on its kink there or leave, by a weight of zero that point 1 does not move.
    """
    first: Any = (1, 0, 0, 1, 0, Fraction(9, 10))
    start: Any = (first, (0, -1, 1, 1, 0, 1), (Fraction(v), 2))
    (limit,) = drive([Instance.of(fully_connected("relu", (2, 3, 2)), "exponential", APART, (1, 1), start)])
    assert limit.events
    assert (limit.status == "converged") is decided
    if not decided:
        assert "a gate that makes a difference" in limit.reason


THREE: Any = ((1, -1), (0, 1), (2, -1))


@pytest.mark.parametrize(
    ("patterns", "start"),
    [
        # two live neurons below, alike, that it hears by 1 and by -1
        (
            (((0, 1), (2, 3), (4, 5), (6, 7)), ((0, 1, 2, -1), (-1, -1, -1, 3)), ((0, 1),)),
            (("-1", "-3/2", "-1", "-3/2", "-1/2", "1", "-5/8", "-1"), ("1", "-1", "1", "1"), ("-1/4", "1")),
        ),
        # below it, and heard by what gets nothing: another neuron that wakes at the point does not reach that
        (
            (((0, 1), (2, 3), (4, 5), (6, 7)), ((-1, 0, -1, 1), (2, -1, -1, -1), (-1, -1, 3, -1)), ((0, 1, 2),)),
            (("31/64", "1/2", "-1", "-1", "-65/128", "-1", "-1", "2"), ("1", "1", "1", "1"), ("-1/4", "1/2", "1")),
        ),
    ],
    ids=["cancelled", "unfed"],
)
def test_what_slid_and_rests_is_looked_at_too(patterns: Any, start: Any) -> None:
    """Its v is below zero at first, so that it slides on its kink, and ends off; another point lifts v above zero."""
    theta0: Any = tuple(tuple(map(Fraction, u)) for u in start)
    (limit,) = drive([Instance.of(Network("relu", patterns), "exponential", THREE, (1, 1, 1), theta0)])
    assert limit.status == "undecided"
    assert "a gate that makes a difference" in limit.reason


# --- the rules one by one ---


def gates_of(instance: Instance) -> tuple[Gates, np.ndarray, list[tuple[int, int]]]:
    """Those at the start, the start (N,), and the pairs that are on their kinks there."""
    gates = Gates(instance, wiring(instance.network))
    return gates, instance.network.flat(instance.theta0_float), gates.start()


@pytest.mark.parametrize(("off", "lines"), [("1/100000000", 1), ("1/1000", 2)])
def test_kinks_that_one_weight_carries_are_one_line_up_to_what_an_event_leaves(off: str, lines: int) -> None:
    """Two points that one neuron below carries upwards, by a weight that should be zero and is `off`."""
    start: Any = ((1, 2), (Fraction(off),), (1,))
    gates, theta, _ = gates_of(
        Instance.of(fully_connected("relu", (2, 1, 1)), "exponential", ((1, 1), (3, 1)), (1, 1), start)
    )
    unit = gates.hidden.stop - 1
    every = singly(Line(False, [(i, unit, Fraction(1)) for i in range(2)]))
    assert len(as_one(gates, every, theta)) == lines


def test_what_rests_has_to_be_pushed_back_on_both_sides_of_what_is_met_above() -> None:
    """A neuron with w = 0 below one that is off, and would be pulled on if that one were on."""
    start: Any = ((1, 0), (-1, 1), (1,))
    gates, theta, _ = gates_of(Instance.of(fully_connected("relu", (1, 2, 1)), "exponential", ((1,),), (1,), start))
    rest, below, above = np.zeros(gates.gates.shape, dtype=bool), gates.first.stop - 1, gates.hidden.stop - 1
    rest[0, below] = True
    assert pushed_back(gates, theta, rest, [])
    assert not pushed_back(gates, theta, rest, [(0, above)])


def test_what_is_heard_by_what_is_off_where_it_is_on_its_kink_sleeps() -> None:
    """A neuron of the first layer, off at point 0 and on its kink at point 1, where the one that hears it is off.

    At point 0 that one is on.
    """
    first, network = (1, 0, 0, 1, -1, -2), fully_connected("relu", (2, 3, 2))

    def asleep(second: tuple[int, ...]) -> bool:
        start: Any = (first, second, (1, 1))
        gates, theta, pairs = gates_of(Instance.of(network, "exponential", ((1, -1), (1, 0)), (1, 1), start))
        unit = gates.first.start + 1
        assert pairs == [(1, unit)]
        return sleeps(gates, unit, pairs, theta, look(gates.cell, theta).pre)

    assert asleep((1, 0, 0, -1, 2, 3))
    assert not asleep((1, 1, 0, -1, 2, 3))


@pytest.mark.parametrize(("v", "trained", "torn"), [(0, False, False), (0, True, True), (1, True, True)])
def test_what_is_pushed_both_ways_does_not_matter_where_nothing_can_hear_it(v: int, trained: bool, torn: bool) -> None:
    """A weight of zero that is trained moves at once."""
    start: Any = ((0, 0), (1, -1), (v,))
    network = fully_connected("relu", (1, 2, 1), fixed=None if trained else {3: [v]})
    gates, theta, pairs = gates_of(Instance.of(network, "exponential", ((1,),), (1,), start))
    assert len(pairs) == 2
    assert open_unfed_units(gates, pairs, theta) == [(0, 3)] * torn


def rests(second: tuple[int, ...], v: tuple[Any, ...], x: Any = ((1,),), y: tuple[int, ...] = (1,)) -> bool:
    """Whether neurons with w = 0 below such ones are pushed back."""
    layers = (1, len(second) // len(v), len(v))
    start: Any = ((0,) * layers[1], second, v)
    gates, theta, _ = gates_of(Instance.of(fully_connected("relu", layers), "exponential", x, y, start))
    rest = np.zeros(gates.gates.shape, dtype=bool)
    rest[:, list(gates.first)] = True
    return pushed_back(gates, theta, rest, [])


def test_what_gets_nothing_goes_on_with_what_wakes_below_it() -> None:
    """Two above it: what it gives to the second one costs twice what the first one gains, if that goes on with it."""
    assert rests((1, 1), (1, -2))
    assert not rests((1, -1), (1, -2))
    assert not rests((1, 0), (1, -2))


def test_what_two_push_both_ways_is_not_known_to_go_on() -> None:
    """Each of the two alone is pushed back. Together they are not: they give 2 to the first above them, nothing to the
    second, which would cost twice as much, and 1 to the third.
    """
    assert not rests((1, 1, 1, -1, -1, 1), (1, -2, Fraction(-3, 2)))


@pytest.mark.parametrize("layer", [1, 2])
@pytest.mark.parametrize(("v", "pushed"), [(1, True), (-1, False)])
def test_what_rests_on_one_line_rises_together(layer: int, v: int, pushed: bool) -> None:
    """The points 1 and 2, of either label: what pulls at the one pushes back at the other, twice as much for v = 1."""
    x: Any = ((1,), (2,))
    if layer == 1:
        assert rests((1,), (v,), x, (1, -1)) is pushed
        return
    start: Any = ((1, 1), (1, -1, 1, 1), (v, 0))
    gates, theta, _ = gates_of(Instance.of(fully_connected("relu", (1, 2, 2)), "exponential", x, (1, -1), start))
    rest = np.zeros(gates.gates.shape, dtype=bool)
    rest[:, gates.first.stop] = True
    assert pushed_back(gates, theta, rest, []) is pushed


@pytest.mark.parametrize(("y", "pushed"), [((-1, -1), True), ((1, -1), False), ((-1, 1), False), ((1, 1), False)])
def test_each_side_of_a_line_has_to_be_pushed_back(y: tuple[int, int], pushed: bool) -> None:
    assert rests((1,), (1,), ((1,), (-1,)), y) is pushed


# Three neurons below: one on, one that the first point switches on later at the second, and one with w = 0 on its kink
# there. Two above hear both of these, and get nothing there.
SWITCHING: Any = (((-1, 0, 1), (2, -1, -1)), ((0, -1), (1, 2), (3, 4)), ((0, 1, 2),))
SWITCHING_BESIDE: Any = (
    ((-1, 0, 1, -1, -1), (2, -1, -1, -1, -1), (-1, -1, -1, 3, 4)),
    ((0, -1, -1), (1, 2, -1), (3, 4, -1), (-1, -1, 5)),
    ((0, 1, 2, 3),),
)
QUARTER = Fraction(1, 4)


@pytest.mark.parametrize(
    ("patterns", "x", "start", "said"),
    [
        # at rest when the second one switches on
        (
            SWITCHING_BESIDE,
            ((0, 1, 0, 0, 0), (4, QUARTER, QUARTER, 0, 0), (0, 0, 0, 1, 0), (0, 0, 0, QUARTER, QUARTER)),
            ((1, Fraction(-3, 2), 0, 1, Fraction(-5, 4)), (1, -1, 1, -300, 1, 1), (1, 1, -2, 1)),
            "a gate that makes a difference",
        ),
        # on a slide with a share of zero, which ends as the second one switches on
        (
            SWITCHING,
            ((0, 1, 0), (4, QUARTER, QUARTER)),
            ((1, Fraction(-3, 2), 0), (1, -1, 1, -300, 1), (1, 1, -2)),
            "not unique",
        ),
    ],
)
def test_what_rests_may_leave_with_what_switches(patterns: Any, x: Any, start: Any, said: str) -> None:
    """Pushed back alone, and pushed back as soon as the other is on. Together with it it may leave: small steps that
    are kicked there once, by as little as one likes, end at 4.68 for 6, and at 1.68 for 3.
    """
    instance = Instance.of(Network("relu", patterns), "exponential", x, (1,) * len(x), start)
    (limit,) = drive([instance])
    assert limit.log_norm is not None
    assert limit.log_norm > 1.0
    assert said in limit.reason


def test_what_rests_is_weighed_with_the_multipliers_of_the_limit() -> None:
    """Pulled at point 1 and pushed back at point 2 of one line: the weights of the points decide."""
    gates, theta, _ = gates_of(
        Instance.of(fully_connected("relu", (1, 1, 1)), "exponential", ((1,), (2,)), (1, -1), ((0,), (1,), (1,)))
    )
    rest = np.zeros(gates.gates.shape, dtype=bool)
    rest[:, list(gates.first)] = True
    answers = [pushed_back(gates, theta, rest, [], np.array(weights), 0.1) for weights in ((1, 1), (2.1, 1), (1.9, 1))]
    assert answers == [True, False, False]
    assert pushed_back(gates, theta, rest, [], np.array((1.9, 1)))
    watch = np.zeros(rest.shape, dtype=np.int8)
    stands = [stand_in(gates, theta, watch, theta, np.array(weights)) for weights in ((1.0, 1.0), (2.1, 1.0))]
    assert stands == [True, False]


def test_what_rests_has_to_be_pushed_back_also_when_what_is_on_beside_it_goes_off() -> None:
    """Above is one that the other neuron holds off, and that it would open by itself."""
    start: Any = ((1, 0), (-1, 1), (1,))
    gates, theta, _ = gates_of(Instance.of(fully_connected("relu", (1, 2, 1)), "exponential", ((1,),), (1,), start))
    rest = np.zeros(gates.gates.shape, dtype=bool)
    rest[0, gates.first.stop - 1] = True
    assert pushed_back(gates, theta, rest, [])
    assert not pushed_back(gates, theta, rest, [(0, gates.first.start)])
