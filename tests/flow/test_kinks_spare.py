"""More kinks meet than a neuron has weights: all are slid on, and the coefficients are a matter of choice."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from harness import Instance, drive
from harness.flow.compiled.kernel import wiring
from harness.flow.kinks.departure import inmost
from harness.flow.kinks.gates import Gates
from harness.flow.kinks.resolve import resolve
from harness.flow.run import Run, Settings
from harness.problem.limits import Limit
from harness.problem.networks import fully_connected
from tests.support.integrations import velocity

HOLD, STEP = 50.0, 0.05  # the inverse temperature at which the softmax is held, and steps at one of 1


def leaky(
    slope: str, widths: tuple[int, ...], x: Any, y: tuple[int, ...], theta0: Any, loss: Any = "exponential"
) -> Instance:
    network = fully_connected("leaky_relu", widths[:-1], outputs=widths[-1], negative_slope=Fraction(slope))
    return Instance.of(network, loss, x, y, theta0)


# The weights of one neuron come to zero, where it is on the kinks of all points.
IN_A_PLANE = leaky(
    "1/10",
    (3, 4, 1),
    ((-2, -2, 2), (2, 2, 0), (-2, -2, -2)),
    (-1, -1, -1),
    ((3, -1, 1, -2, 0, 2, 2, -3, -1, 2, 3, 0), (2, -2, 1, -1)),
)
ALL_FOUR = leaky(
    "-1",
    (2, 4, 1),
    ((1.2204, -0.0885), (0.7226, 1.3683), (-0.9168, -0.9857), (-0.7909, -1.9525)),
    (-1, -1, -1, -1),
    ((-1.5689, -0.0717, 0.0048, -1.1425, 0.4870, 1.1363, -0.4747, -1.6882), (1.5816, -1.0073, 2.3215, 0.5221)),
)
CROSS_ENTROPY = leaky(
    "1/2",
    (3, 4, 3),
    ((-3, 2, 1), (2, 3, -3), (2, 1, 3), (-3, -3, 0)),
    (0, 2, 1, 2),
    ((2, -3, -3, -3, 3, -3, -1, -2, -3, 3, 3, 2), (3, -2, 0, 3, 3, 3, -3, 2, -3, 0, 3, 1)),
    "logistic",
)
THREE_CLASSES = leaky(
    "1/2",
    (2, 3, 3),
    ((2, -1), (-1, -1), (-1, 1)),
    (0, 0, 0),
    ((1, 1, -2, 0, -3, -1), (-2, -1, 3, 0, 2, 3, -3, 3, 3)),
)
# Here the neuron comes to life again, when the weights of the samples have changed.
LEFT_AGAIN = leaky(
    "1/2",
    (2, 3, 3),
    ((0.7876, 0.1136), (-0.7282, 0.6040), (-0.7748, -1.1779)),
    (1, 0, 1),
    (
        (-0.2624, -1.6033, 1.3465, -0.6387, -0.7212, -0.7136),
        (-0.7936, 0.0241, -2.4697, -1.6465, -1.7086, -2.3743, 0.7066, -0.1960, 1.1730),
    ),
)


def followed(instance: Instance) -> Limit:
    (limit,) = drive([instance])
    assert limit.theta is not None, limit.reason
    return limit


def distances(limit: Limit, *log_norms: float) -> list[float]:
    """Of the flow's direction to the limit, by Euler steps of theta, kept at the norm at which the softmax is held."""
    instance = limit.instance
    theta, booked, out = instance.network.flat(instance.theta0_float), 0.0, list[float]()
    assert limit.theta is not None
    goal = instance.network.flat(limit.theta)
    goal = goal / np.linalg.norm(goal)
    for log_norm in log_norms:
        while booked + math.log(np.linalg.norm(theta)) < log_norm:
            moves = velocity(instance, theta)
            theta = (
                theta + STEP / max(1.0, float(theta @ theta)) * np.linalg.norm(theta) / np.linalg.norm(moves) * moves
            )
            over = float(np.linalg.norm(theta)) / math.sqrt(HOLD)
            if over > 1.0:
                theta, booked = theta / over, booked + math.log(over)
        out.append(float(np.linalg.norm(theta / np.linalg.norm(theta) - goal)))
    return out


def test_a_neuron_whose_weights_become_zero() -> None:
    limit = followed(IN_A_PLANE)
    assert len(limit.events) < 30
    assert distances(limit, 15.0)[0] < 1.5 / HOLD


def test_a_sample_that_no_longer_counts_is_no_obstacle() -> None:
    """The weight of one of them underflows while the neuron stays at zero."""
    assert distances(followed(ALL_FOUR), 18.0)[0] < 1.5 / HOLD


def test_the_batched_trainer_does_the_same() -> None:
    """But where spare kinks would have to be looked at after every step: there it says that it does not know."""
    plane, four, classes = drive([IN_A_PLANE, ALL_FOUR, THREE_CLASSES], device="cpu:0")
    assert plane.value == pytest.approx(followed(IN_A_PLANE).value)
    assert four.value == pytest.approx(followed(ALL_FOUR).value)
    assert "may not attract" in classes.reason


def test_with_cross_entropy() -> None:
    """The same limit as by explicit steps, whose directions end within 1e-4 of it."""
    limit = followed(CROSS_ENTROPY)
    assert limit.value == pytest.approx(0.9342287704879)
    assert len(limit.events) < 100


def test_the_neuron_is_left_go_when_no_coefficients_are_left() -> None:
    limit = followed(LEFT_AGAIN)
    last = [event for event in limit.events if event["neuron"] == 3][-1]
    assert last["gate"] != "sliding"
    early, late = distances(limit, 15.0, 22.0)
    assert late < 0.8 * early < 0.2


def test_shares_as_far_from_their_ends_as_can_be() -> None:
    # a velocity of (-1, -1/2), which the positive sides of three kinks add to
    normals, jumps = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), np.array([-1.0, -1.0, -1.0])
    shares, room = inmost(normals, np.array([1.0, 0.5]), jumps)
    assert normals.T @ (shares * jumps) + [1.0, 0.5] == pytest.approx([0.0, 0.0], abs=1e-9)
    # shares (1 - t, 1/2 - t, t): at t = 1/4 the least of them is as large as it can be
    assert (shares, room) == (pytest.approx([0.75, 0.25, 0.25]), pytest.approx(0.25))
    assert inmost(normals, np.array([2.5, 0.5]), jumps)[1] < 0.0


def test_what_depends_on_the_others_is_spare() -> None:
    """At w = 0 two kinks are slid on, which say where w goes; the third has a coefficient that stands."""
    x, theta0 = ((1, 0), (0, 1), (-1, -1)), ((0, 0, 1, 2), (-1, 0))
    gates = Gates(one := leaky("1/2", (2, 2, 1), x, (1, 1, 1), theta0), wiring(one.network))
    zero = gates.start()
    resolve(gates, one.network.flat(one.theta0_float), zero)
    assert len(gates.slides) == 2
    (spare,) = gates.spare
    sample, unit, _ = spare.members[0]
    assert 0.5 < gates.gates[sample, unit] < 1.0
    assert gates.sliding_pairs() == set(zero)
    # what it is left with when the flow leaves is known anew
    resolve(gates, one.network.flat(one.theta0_float), zero[:1])
    assert gates.sliding_pairs() == set(zero)
    assert len(gates.spare) == 1


def test_a_neuron_that_gives_nothing_has_constant_weights() -> None:
    """What is spare counts as off where the subspace is looked for: a relu neuron at w = 0 feeds nobody."""
    x, theta0 = ((1, 0), (0, 1), (-1, -1)), ((0, 0, 1, 2), (-1, 1))
    run = Run(leaky("0", (2, 2, 1), x, (1, 1, 1), theta0), Settings(), record=False)
    assert run.gates.spare
    assert run.subspace.constant[4]


def test_a_neuron_that_is_held_for_ever_is_known_to_die() -> None:
    """The same limit as by explicit steps, whose directions end within 1e-4 of it."""
    assert followed(THREE_CLASSES).value == pytest.approx(2.2359246371723)


def test_a_spare_kink_may_begin_to_repel(monkeypatch: pytest.MonkeyPatch) -> None:
    """With classes its margins have weights of their own: it is looked at after every step, then followed no more."""
    answers = [True] * 20 + [False]
    monkeypatch.setattr(Gates, "spare_attract", lambda *_: answers.pop(0))
    (limit,) = drive([THREE_CLASSES])
    assert "may not attract" in limit.reason
    assert not answers


def test_a_spare_kink_of_points_of_both_labels_is_looked_at() -> None:
    """Points 1 and 3 lie on one line through zero and have one kink: it attracts by the weights of the samples.

    At log-norm 2.15 there is a direction in which w = 0 can be left, though the slides go on attracting.
    """
    x, y = ((-1, -2), (3, 1), (-1, 2), (3, -6)), (1, 1, 1, -1)
    w = (0, 0, 1.5, -1, -1.5, -1.5, -3, 2.5, 2.5, -3)
    v = (-1, 5.051960431242075, 1.5518099813516828, 0.23018721372567175, -2.3654108337079824)
    (limit,) = drive([leaky("1/2", (2, 5, 1), x, y, (w, v))])
    assert "may not attract" in limit.reason


def test_a_spare_kink_attracts_by_the_sum_over_its_margins() -> None:
    x, y = ((1, 0), (0, 1), (-1, -1)), (0, 0, 0)
    theta0 = ((0, 0, 1, 2), (-1, 0, 1, 0, 1, 0))
    run = Run(leaky("1/2", (2, 2, 3), x, y, theta0), Settings(), record=False)
    assert run.gates.spare
    theta = run.theta
    assert run.gates.spare_attract(theta)
    # the neuron now prefers class 0 to both others
    turned = theta.copy()
    turned[4], turned[6], turned[8] = 2.0, -1.0, -1.0
    assert not run.gates.spare_attract(turned)
