"""Kinks of relu networks beside which nothing answers to their neuron yet, or ever."""

from __future__ import annotations

from typing import Any

import pytest

from harness import Instance, drive
from harness.flow.compiled.field import look
from harness.flow.compiled.kernel import wiring
from harness.flow.kinks.answers import sleeps
from harness.flow.kinks.gates import Gates
from harness.problem.networks import fully_connected
from tests.support.reference import follow


def relu(widths: tuple[int, ...], x: Any, y: tuple[int, ...], theta0: Any) -> Instance:
    return Instance.of(fully_connected("relu", widths), "exponential", x, y, theta0)


def ending(widths: tuple[int, ...], x: Any, y: tuple[int, ...], theta0: Any) -> str:
    (limit,) = drive([relu(widths, x, y, theta0)])
    return "not unique" if "not unique" in limit.reason else limit.status


def test_what_starts_to_answer_leaves_with_two_velocities_or_one() -> None:
    """The weight out of the neuron above is zero and starts to grow.  The lower neuron is asleep but for its kink: it
    may wake or not.  Where a point beside it holds it on, it wakes.
    """
    assert ending((2, 1, 1), ((1.0, 0.0), (0.0, 1.0)), (1, 1), ((0.0, 1.0), (1.0,), (0.0,))) == "not unique"
    assert ending((1, 1, 1), ((1.0,), (-1.0,)), (1, 1), ((0.0,), (1.0,), (0.0,))) != "converged"


def test_what_a_neuron_hears_by_fixed_zeros_it_does_not_hear() -> None:
    """What the first of the two is given is multiplied by a zero that is not trained."""
    network = fully_connected("relu", (1, 1, 2), fixed={2: [0, 1]})
    for n in (1, 3, 8):
        (limit,) = drive([Instance.of(network, "exponential", ((1,),) * n, (1,) * n, ((1,), (0, 1), (1, 1)))])
        assert limit.status == "converged", limit.reason
        assert limit.value == pytest.approx(1.0)


def test_a_neuron_below_one_that_is_off_sleeps_on() -> None:
    """Neuron 1 is on its kink and only heard by what is off: its gate makes no difference, and the flow has a limit."""
    theta0 = ((-1.0, 1.0, 1.0, 1.0), (2.0, -3.0, 0.0, 1.0), (1.0, 1.0))
    assert ending((2, 2, 2), ((1.0, 1.0),), (1,), theta0) == "converged"
    assert follow(relu((2, 2, 2), ((1.0, 1.0),), (1,), theta0), 8.0).status == "followed"


def test_a_deeper_neuron_below_one_that_switches_on_later_may_wake() -> None:
    """Neuron 1 of the second layer has no weights into it, and only what is off hears it.  That switches on at log-norm
    1.3, and from then on neuron 1 may wake at any time.
    """
    theta0 = ((1.0,), (0.0, 1.0, 1.0), (1.0, 1.0, -1.2, 0.0, 2.0, 0.0), (1.0, 1.0))
    assert ending((1, 1, 3, 2), ((1.0,),), (1,), theta0) == "undecided"


def test_what_may_switch_on_with_a_neuron_by_a_weight_that_is_zero() -> None:
    """Neuron 1 is on on point 0, which pushes it off its kink on point 1.  What hears it by a weight that grows from
    zero gets nothing on point 1; it is on with neuron 1 there, and then pushes it on.
    """
    theta0 = ((0.0, 1.0, -1.0, 1.0), (0.0, 1.0), (1.0,))
    (limit,) = drive([relu((2, 2, 1), ((-0.5, 1.0), (1.0, 0.0)), (1, 1), theta0)])
    assert "nothing answers to its neuron" in limit.reason


def test_a_neuron_to_which_no_class_answers_sleeps() -> None:
    """Its outgoing weights are alike, and it gives nothing: it neither moves nor is moved."""
    network, x = fully_connected("relu", (2, 2), outputs=3), ((0, 1), (0, 3))

    def status(v: tuple[int, ...]) -> tuple[str, bool]:
        one = Instance.of(network, "exponential", x, (0, 1), ((3, 0, 0, 2), v))
        gates, theta = Gates(one, wiring(network)), network.flat(one.theta0_float)
        pairs, unit = gates.start(), gates.hidden.start
        return drive([one])[0].status, sleeps(gates, unit, pairs, theta, look(gates.cell, theta).pre)

    assert status((-1, 2, -1, -3, -1, -2)) == ("never_separates", True)
    # point 1, which is three times as far out, pulls it to its on side
    other, asleep = status((-1, 2, 0, -3, -1, -2))
    assert other != "never_separates"
    assert not asleep
