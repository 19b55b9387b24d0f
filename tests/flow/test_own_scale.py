"""What belongs to one unit or sample is measured by it: plain flows stay plain, however small a unit on its kinks."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks.uniqueness import balanced
from harness.flow import Settings, follow
from harness.flow.kinks import departure
from harness.problem.instances import Instance
from harness.problem.networks import fully_connected

CASES = Path(__file__).parents[1] / "cases"
VALUES = {
    "not-unique-two-points": 1.0 / math.sqrt(5.0),
    "one-neuron-crossing-start2": math.sqrt(10.0) / 8.0,
    "late-kink-degenerate-2": 1.4,
    "nine-on-a-kink-9": 1.0 + math.sqrt(2.0),
    "three-points-m60": 13.4164079,
    "iris01-100-relu-5-4-1-s1": 1.34571476,
}


@pytest.mark.parametrize("name", VALUES)
def test_plain_flows_converge(name: str) -> None:
    limit = follow(Instance.from_json((CASES / f"{name}.json").read_text()))
    assert limit.status == "converged", limit.reason
    assert limit.value == pytest.approx(VALUES[name], rel=1e-8)


@pytest.mark.parametrize(
    ("name", "status", "reason"),
    [
        ("not-unique-one-neuron", "never_separates", "No outgoing weight that sample 0 can reach is or becomes of its"),
        ("moons10-relu-3-4-1-s0", "undecided", "The flow tends to a stationary point where the data are not separated"),
        ("moons20-relu-3-8-1-s0", "undecided", "The flow tends to a stationary point where the data are not separated"),
    ],
)
def test_flows_that_do_not_separate_say_why(name: str, status: str, reason: str) -> None:
    limit = follow(Instance.from_json((CASES / f"{name}.json").read_text()))
    assert limit.status == status
    assert limit.reason.startswith(reason)


def test_balanced_starts_are_unique_and_keep_their_balance() -> None:
    """|v_j| = ||w_j|| exactly: no outgoing weight changes its sign, and the two stay equal as a unit shrinks.

    Units that the subspace ties to each other are not put back on their balance.
    """
    rng = np.random.default_rng(14)
    slid = smallest = compared = 0.0
    for _ in range(150):
        instance = balanced(rng)
        limit = follow(instance, record=True)
        assert "not unique" not in limit.reason, instance.to_json()
        slid += any(event["gate"] == "sliding" for event in limit.events)
        assert limit.path is not None
        directions = limit.path["direction"]
        width = len(instance.network.patterns[0])
        w = np.linalg.norm(directions[:, : 2 * width].reshape(-1, width, 2), axis=2)
        v = directions[:, 2 * width :]
        seen = np.abs(v) > 1e-90
        if not limit.held:
            # a unit that stands still while others grow ends in their rounding
            np.testing.assert_allclose(np.abs(v), w, rtol=1e-3, atol=1e-9)
            compared += 1
        assert (np.sign(v) == np.sign(v[0]))[seen].all()
        smallest = min(smallest, float(np.log10(np.abs(v)[seen].min())))
    assert slid > 50
    assert compared > 100
    assert smallest < -9.0


def test_a_slow_crossing_beside_a_large_jump() -> None:
    """Both sides push to the on side, one 1e10 times as fast as the other."""
    normal, base = np.array([[3.0, -1.0, 0.0]]), np.array([1e-10, 1e-10, 5.0])
    found = departure.depart(normal, base, np.abs(base), np.array([2.0]), np.zeros(1))
    assert (found.status, found.sides) == ("unique", (1,))
    twice = departure.depart(np.eye(3)[:2], base, np.abs(base), np.array([2.0, -1e-12]), np.zeros(2))
    assert (twice.status, twice.sides) == ("unique", (1, 1))


def test_a_speed_that_cancels_is_zero_by_its_terms() -> None:
    """The same speed as the rounding of larger terms is none: either side may be taken."""
    normal, base = np.array([[1.0, 0.0]]), np.array([1e-13, 0.0])
    found = departure.depart(normal, base, np.array([1.0, 0.0]), np.array([2.0]), np.zeros(1))
    assert found.status == "not unique"


def test_speeds_beyond_the_floats_are_said_to_be() -> None:
    found = departure.depart(np.eye(2)[:1], np.array([1e-300, 1.0]), np.array([1e-300, 1.0]), np.zeros(1), np.zeros(1))
    assert found.status == "faint"


def test_a_kink_right_behind_another_is_not_met_late() -> None:
    """At the integrator's own error the second comes too late, by 0.03 of log-norm, and the direction with it."""
    instance = Instance.from_json((CASES / "kink-behind-a-kink.json").read_text())
    limit, exact = follow(instance), follow(instance, Settings(rtol=1e-8))
    assert exact.theta is not None
    if limit.theta is not None:
        np.testing.assert_allclose(np.concatenate(limit.theta), np.concatenate(exact.theta), rtol=0, atol=1e-3)
    else:
        assert limit.reason.startswith("The flow passes a saddle or a kink")


@pytest.mark.parametrize(("last", "doubt"), [(1.0, False), (2.0**-12, True)])
def test_a_weight_is_told_from_zero_by_the_size_of_its_neuron(last: float, doubt: bool) -> None:
    """Nine neurons point at (1, 4e-6): a small weight is 7e-7 of all weights, and 3e-6 of its neuron.

    Where the last neuron is 2^-12 of the others its size is no longer clear.
    """
    sizes = [1.0] * 8 + [last]
    w = [a * s for j, s in enumerate(sizes) for a in (1.0 + j / 16, j / 64)]
    v = [(1.0 + j / 8) * s for j, s in enumerate(sizes)]
    limit = follow(Instance.of(fully_connected("relu", (2, 9)), "exponential", [[1, 4e-6]], [1], [w, v]))
    assert limit.point is not None
    assert limit.value == pytest.approx(1.0 / math.hypot(1.0, 4e-6), rel=1e-14)
    assert bool(limit.point.doubt) == doubt
