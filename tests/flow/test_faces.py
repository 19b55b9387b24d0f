"""The faces around a point in which kinks of several layers meet, and slides of several layers."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest

from benchmarks.families import Kind, draw
from harness import Instance, drive
from harness.flow import undecided
from harness.flow.batched.follow import follow_batch
from harness.flow.kinks.answers import close_unfed_units
from harness.flow.kinks.departure import MOST_FACES, Face, Line, depart_by_face, leads_away
from harness.flow.kinks.faces import runs_along_others
from harness.flow.run import STANDS_STILL, Run, Settings
from harness.problem.networks import fully_connected
from tests.support import reference

FACES = list(product((-1, 1, 0), repeat=2))


def face(along: bool) -> Face:
    return Face(np.eye(2), np.array([1.0, 0.0]), np.ones(2), along, np.zeros(2, dtype=bool))


def test_a_face_whose_velocity_leaves_its_kinks_says_nothing() -> None:
    assert depart_by_face(FACES, lambda sides: face(True) if sides == (1, 0) else None).sides == (1, 0)
    assert depart_by_face(FACES, lambda sides: face(False) if sides == (1, 0) else None).status == "faint"


def test_velocities_with_the_same_sides_are_one() -> None:
    """One is found in the closed face beside it, and differs by rounding where the terms of that face are small."""

    def on(sides: tuple[int, ...]) -> Face | None:
        if sides not in ((1, 0), (1, -1)):
            return None
        beside = 1e-12 if sides[1] else 0.0
        normals, velocity = np.array([[1.0, 0.0], [1.0, 1.0]]), np.array([1.0, -1.0 - beside])
        return Face(normals, velocity, np.array([1.0, 1e-4]), True, np.zeros(2, dtype=bool))

    assert depart_by_face(FACES, on).sides == (1, 0)


def test_faces_are_tried_up_to_a_number_of_them() -> None:
    few = [(1, 0)] * MOST_FACES
    assert depart_by_face(few, lambda sides: face(True)).status == "unique"
    assert depart_by_face([*few, (1, 0)], lambda sides: face(True)).status == "crowded"


@pytest.mark.parametrize(
    ("speeds", "away"),
    [
        ([[1.0, 0.0], [0.0, 1.0]], True),
        ([[1.0, 1.0], [-1.0, 2.0], [0.5, -0.2]], True),
        ([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]], False),
        ([[1.0, 0.0], [-2.0, 0.0]], False),
        # on the edge: zero is one of them
        ([[1.0, 0.0], [0.0, 0.0]], False),
        ([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [-1.0, -1.0, 1.0]], True),
        ([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [-1.0, -1.0, 0.0]], False),
    ],
)
def test_a_direction_that_leads_away_from_all_faces(speeds: list[list[float]], away: bool) -> None:
    assert leads_away(np.array(speeds), 1e-10) is away


def test_in_a_plane_directions_lead_away_as_in_space() -> None:
    rng = np.random.default_rng(4)
    found = Counter[bool]()
    for _ in range(200):
        plane = rng.standard_normal((int(rng.integers(1, 6)), 2))
        away = leads_away(plane, 1e-10)
        assert away == leads_away(np.column_stack([plane, np.zeros(len(plane))]), 1e-10)
        found[away] += 1
    assert min(found.values()) > 40


# On the kinks of both neurons on point 0, which point 1 pushes to their on sides.
X, Y = ((1.0, 0.0), (1.0, 1.0)), (1, 1)


def torn(third: tuple[float, float]) -> Instance:
    """Two neurons that wake on point 0, one above that hears them by `third`, and one that they push on."""
    theta0 = ((0.0, 1.0, 0.0, 2.0), (*third, 1.0, 1.0), (1.0, 3.0))
    return Instance.of(fully_connected("relu", (2, 2, 2)), "exponential", X, Y, theta0)


@pytest.mark.parametrize(("third", "on"), [((0.5, -0.2), True), ((0.2, -0.5), False), ((0.5, -1.0), False)])
def test_a_neuron_that_two_push_both_ways_goes_where_their_speeds_carry_it(
    third: tuple[float, float], on: bool
) -> None:
    """Both wake at speeds of 3 p_1 and more; the first gets third_0 p_0 more where the torn one is on, the other
    third_1 p_0 less."""
    instance = torn(third)
    gates = Run(instance, Settings(), False).gates
    assert gates.gates[0, gates.hidden[2]] == float(on)
    (limit,) = drive([instance])
    assert limit.value == pytest.approx(reference.follow(instance, 20.0).value, rel=1e-4)


def test_a_torn_neuron_that_may_go_either_way() -> None:
    """On, it makes the first so much faster that it stays on, and off it stays off: 4 - 2 > 0 > 3 - 6."""
    (limit,) = drive([torn((1.0, -2.0))])
    assert limit.reason[1:] == undecided.TWO_VELOCITIES[1:] + "."


def drawn(seed: int | list[int], depth: int, kind: Kind, at: int) -> Instance:
    rng = np.random.default_rng(seed)
    return [draw(rng, f"fully connected relu, depth {depth}", kind) for _ in range(at + 1)][-1]


@pytest.mark.parametrize(
    ("seed", "kind", "at"),
    [
        # slides of three layers: with the share of the first found as if those of the second were off, one ended and
        # began for ever
        (999, "integer", 33),
        ([2024, ord("4")], "integer", 15),
        # what nothing moves, beside what wakes
        ([2024, ord("4")], "integer", 343),
    ],
)
def test_limits_are_those_of_the_reference(seed: int | list[int], kind: Kind, at: int) -> None:
    instance = drawn(seed, 4, kind, at)
    (limit,) = drive([instance])
    assert limit.status == "converged", limit.reason
    assert len(limit.events) < 20
    assert limit.value == pytest.approx(reference.follow(instance, 9.0).value, rel=2e-3)


def test_batches_leave_slides_of_several_layers_to_single_flows() -> None:
    (limit,) = follow_batch([drawn(999, 4, "integer", 33)])
    assert limit.reason[1:] == undecided.LAYERED[1:] + "."


def test_a_slide_whose_share_is_a_matter_of_choice() -> None:
    """Two pairs above it slide along one line, and share what they add in any way."""
    gates = Run(drawn(999, 3, "generic", 84), Settings(), False).gates
    below, above = gates.hidden[0], gates.hidden[-1]
    gates.slides = [Line(True, [(1, below, Fraction(1))])]
    gates.curved = [Line(False, [(1, above, Fraction(1)), (2, above, Fraction(2))])]
    assert gates.undetermined(0)
    assert not gates.undetermined(1)
    gates.curved = [Line(False, [(2, above, Fraction(1)), (3, above, Fraction(2))])]
    assert not gates.undetermined(0)
    gates.curved = [Line(False, [(1, above, Fraction(1))])]
    assert not gates.undetermined(0)
    # a flow that meets the end of one
    (limit,) = drive([drawn([2024, ord("3")], 3, "generic", 170)])
    assert limit.reason[1:] == undecided.DEPENDENT[1:] + "."


def test_a_neuron_above_one_with_an_old_gate_is_closed_too() -> None:
    """Layer 2 gets nothing from point 0, and layer 3 only what layer 2 gives."""
    instance = Instance.of(
        fully_connected("relu", (1, 1, 1, 1)), "exponential", ((1,),), (1,), ((-1,), (1,), (1,), (1,))
    )
    gates = Run(instance, Settings(), False).gates
    for unit in gates.hidden[1:]:
        gates.put((0, unit), 1)
    assert close_unfed_units(gates, 0) == list(gates.hidden[1:])
    assert not gates.gates[0, gates.hidden].any()


SEEN = ((1, 0), (-1, -2), (1, 1)), (1, 1, 1)


def reason_of(x: Any, y: Any, *theta0: tuple[float, ...], loss: Any = "exponential") -> str:
    """Of two neurons of the last hidden layer, or as many as it has weights."""
    network = fully_connected("relu", (2, len(theta0[0]) // 2, len(theta0[2])))
    (limit,) = drive([Instance.of(network, loss, x, y, theta0)])
    return limit.reason[1:-1]


@pytest.mark.parametrize("v", [1.0, 0.125, 0.0])
def test_what_rests_below_one_that_has_just_gone_on_is_seen(v: float) -> None:
    """It hears by a weight of zero the neuron that wakes on point 0; moved starts end 0.43 apart."""
    reason = reason_of(*SEEN, (0, 1, -1, 0, -1, 2), (0, 1, -1, 1, -1, 1), (v, 1))
    assert reason == undecided.RESTING[1:]


@pytest.mark.parametrize(
    ("torn", "other", "v"),
    [
        ((1, -1, 1, -1), (1, 1, -1, 1), 0),
        ((1, -2, 1, -1), (2, 1, -1, 1), 0),
        ((1, -1, 1, -1), (1, 1, -1, 1), -0.125),
    ],
)
def test_pushes_that_cancel_do_not_decide(torn: tuple[int, ...], other: tuple[int, ...], v: float) -> None:
    """Also of a neuron that is not heard yet: its weight moves at once, and moved starts end 0.57 apart."""
    reason = reason_of(*SEEN, (0, 1, 0, 1, -1, 0, -1, 2), (*torn, *other), (v, 1))
    assert reason == undecided.BOTH_WAYS[1:]


def test_a_face_that_no_point_lies_in_is_none() -> None:
    """Two torn neurons hear the opposite of each other; 200 moved starts agree to 3e-5."""
    reason = reason_of(((0, -1), (2, 2)), (-1, -1), (1, 0, 0, 0), (-0.5, 0.5, 0.5, -0.5), (0.5, -0.5))
    assert "not unique" not in reason


def test_faces_that_run_along_another_kink() -> None:
    normals, slides = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, -2.0, 0.0]]), np.array([True, True, False])
    none = np.zeros(3, dtype=bool)
    assert runs_along_others(normals, slides, none)
    assert not runs_along_others(normals, slides, ~slides)
    assert not runs_along_others(normals + 1e-3 * np.eye(3)[[2]] * ~slides[:, None], slides, none)
    # what has no normal runs along nothing
    assert not runs_along_others(normals * slides[:, None], slides, none)


def test_kinks_that_may_all_slide_and_depend_on_each_other_are_not_resolved() -> None:
    (limit,) = drive([drawn([2024, ord("3")], 3, "integer", 346)])
    assert limit.reason[1:] == undecided.DEPENDENT[1:] + "."


def test_a_gate_that_has_been_opened_below_feeds_nothing() -> None:
    """What was opened by neurons that have gone off since is no input that something rests on."""
    (limit,) = drive([drawn([2024, ord("4")], 4, "generic", 385)])
    assert limit.reason[1:] == STANDS_STILL[1:] + "."


def test_velocities_that_are_rounding_are_one() -> None:
    """Nothing moves, whatever the shares are."""
    theta0 = (-1, -1, -1, -1), (-1, 1, -1, -1, 2, -2), (2, -1, 2)
    assert reason_of(((1, -1),), (-1,), *theta0, loss="logistic") == undecided.RESTS[1:]
