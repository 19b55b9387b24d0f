"""Kinks that a step only touches: how near a pre-activation comes between its looks, and what follows from it."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from benchmarks.families import Kind, suite
from harness.flow import follow
from harness.flow.batched.follow import follow_batch
from harness.flow.batched.integrator import lowest as batched_lowest
from harness.flow.compiled.events import above, lowest
from harness.flow.kinks.resolve import crossing
from harness.flow.run import Run
from harness.problem.instances import Instance
from harness.problem.networks import fully_connected, sparse
from tests.support.integrations import velocity


def cubics(count: int) -> np.ndarray:
    """Values at 0, 1/3, 2/3 and 1 of random cubics, (count, 4)."""
    return np.random.default_rng(11).standard_normal((count, 4))


def test_the_lowest_point_of_a_cubic() -> None:
    """Against a fine grid: the interior minimum, and none where the cubic has none."""
    grid = np.linspace(0.0, 1.0, 20001)
    found = 0
    for values in cubics(300):
        curve = np.polyval(np.polyfit(np.arange(4) / 3.0, values, 3), grid)
        inside = np.flatnonzero((curve[1:-1] < curve[:-2]) & (curve[1:-1] < curve[2:])) + 1
        place, value = lowest(*values)
        if len(inside):
            found += 1
            assert place == pytest.approx(grid[inside[0]], abs=1e-4)
            assert value == pytest.approx(curve[inside[0]], abs=1e-6)
        else:
            assert place == 2.0 or min(place, 1.0 - place) < 1e-4
    assert found > 50


def test_what_is_said_to_be_above_a_floor_has_no_lowest_point_below_it() -> None:
    """The cubics that are not searched; the nearest that comes to its floor is 0.316 of its range below its values."""
    said = 0
    nearest = np.array([1.0, -1.0, -1.0, 1.0])
    for values in (*cubics(3000), nearest, *(nearest + 0.01 * cubics(100))):
        place, value = lowest(*values)
        least = min(value, *values) if place < 1.0 else min(values)
        looks = values.reshape(4, 1, 1)
        for floor in least + np.array([-1.0, -0.1, -1e-3, 0.0, 1e-3]) * np.ptp(values):
            said += above(looks, 0, 0, 1, floor)
            assert not above(looks, 0, 0, 1, floor) or least > floor
            assert above(looks, 0, 0, 1, floor) == above(-looks, 0, 0, -1, floor)
    assert said > 2000


def test_both_implementations_find_the_same_lowest_point() -> None:
    values = cubics(300)
    places, heights = batched_lowest(*torch.from_numpy(values).unbind(1))
    for row, place, height in zip(values, places.tolist(), heights.tolist(), strict=True):
        assert (place == 2.0) == (lowest(*row)[0] == 2.0)
        if place < 2.0:
            assert (place, height) == pytest.approx(lowest(*row), abs=1e-12)


# A pre-activation falls below zero by 1e-5 and returns, all within one step of the integrator.
TOUCHED = Instance.of(
    fully_connected("relu", (2, 2)),
    "exponential",
    tuple(tuple(map(Fraction, row)) for row in ((-2, 3), (1, 2), (1, 0))),
    (1, 1, 1),
    (
        tuple(map(Fraction, (0.05668460245655995, 0.8673999599582427, 0.7758016295142314, 0.5362689577840231))),
        (Fraction(1.3769432611566026), Fraction(0.032306651744066155)),
    ),
)


def test_a_kink_that_is_crossed_within_one_step_is_seen() -> None:
    """Small steps of an explicit method of order 8 say that the kink is reached, and when."""

    def kink(_: float, theta: np.ndarray) -> float:
        return float(theta[2:4] @ TOUCHED.x_float[0])

    kink.terminal = True  # pyright: ignore[reportFunctionMemberAccess]
    reference = solve_ivp(
        lambda _, theta: velocity(TOUCHED, theta), (0.0, 1.0), np.concatenate(TOUCHED.theta0_float),
        method="DOP853", rtol=1e-12, atol=1e-14, max_step=1e-3, events=kink,
    )  # fmt: skip
    (reached,) = reference.y_events[0]
    limit = follow(TOUCHED)
    assert [(event["sample"], event["neuron"], event["gate"]) for event in limit.events] == [(0, 2, "off")]
    assert limit.events[0]["log_norm"] == pytest.approx(math.log(np.linalg.norm(reached)), abs=1e-3)
    assert limit.value == pytest.approx(17.0 / 13.0, rel=1e-9)
    (batched,) = follow_batch([TOUCHED])
    assert batched.value == pytest.approx(limit.value, rel=1e-9)


def test_a_kink_that_is_grazed_while_the_norm_falls_is_followed_again() -> None:
    """TOUCHED beside a neuron that is on the wrong side of a point of its own, so that the norm falls below its start.

    To an integrator with rtol 1e-5 the kink is not reached, to one with 1e-9 and to the reference it is.
    """
    incoming = (
        Fraction(1021127599663573, 2**54),
        *(Fraction(a, 2**53) for a in (7812850271528859, 6987770778812813, 4830276593578157)),
        Fraction(5),
    )
    outgoing = (Fraction(1550303329929737, 2**50), Fraction(2327808241348457, 2**56), Fraction(-4))
    points = (*((*x, Fraction(0)) for x in TOUCHED.x), (Fraction(0), Fraction(0), Fraction(1)))
    network = sparse("relu", ([[1, 1, 0], [1, 1, 0], [0, 0, 1]], [[1, 1, 1]]))
    instance = Instance.of(network, "exponential", points, (1, 1, 1, 1), (incoming, outgoing))
    for limit in (follow(instance), *follow_batch([instance])):
        assert limit.status == "undecided" or limit.value == pytest.approx(30.0 / 13.0, rel=1e-9)


def test_a_kink_that_is_grazed_too_closely_for_both_times_is_undecided() -> None:
    """With rtol 1e-5 and 1e-8 the kink is not reached, with 1e-11 and for the reference it is."""
    incoming = (
        Fraction(8168982842653053, 2**57), Fraction(1953213190991477, 2**51), Fraction(436734918492995, 2**49),
        Fraction(4830274614416059, 2**53),
    )  # fmt: skip
    outgoing = (Fraction(6201218372985567, 2**52), Fraction(2327753663317689, 2**56))
    instance = replace(TOUCHED, theta0=(incoming, outgoing))
    for limit in (follow(instance), *follow_batch([instance])):
        assert limit.status == "undecided" or limit.value == pytest.approx(17.0 / 13.0, rel=1e-9)


@pytest.mark.parametrize("kind", ["generic", "integer"])
def test_a_clean_crossing_is_what_any_event_comes_to(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    """Most events change one gate and nothing else; resolved like all others they come to the same, bit for bit."""
    relu = [f"{name} relu, depth 2" for name in ("fully connected", "diagonal", "convolutional")]
    # the last one meets a kink and stays on its side
    instances = [*suite(17, 150, kind, relu), suite(303, 190, "generic")[-1]]
    quick = [follow(instance) for instance in instances]
    passed = 0

    def refuse(run: Run, pair: tuple[int, int], theta: np.ndarray) -> bool:
        nonlocal passed
        passed += run.subspace.whole and crossing(run.gates, pair, theta) != 0
        return False

    monkeypatch.setattr("harness.flow.crossing._passes", refuse)
    for instance, one in zip(instances, quick, strict=True):
        two = follow(instance)
        assert (one.status, one.reason, one.value, one.events) == (two.status, two.reason, two.value, two.events)
    assert passed > 20
