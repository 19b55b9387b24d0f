"""When a polished point is believed to be the limit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import harness
from benchmarks.families import suite
from harness.flow import Settings
from harness.flow.settling.approach import Approach, vanishing
from harness.problem.instances import Instance
from harness.problem.networks import Network, diagonal

Q = np.array([1.0])


def offered(distances: list[float], log_norms: list[float]) -> list[bool]:
    approach = Approach(2)
    out = []
    for distance, log_norm in zip(distances, log_norms, strict=True):
        out.append(approach.arrived(log_norm, distance, 0.5, Q))
    return out


def test_two_polishes_and_a_flow_that_is_near() -> None:
    assert offered([1e-4, 1e-4], [3.0, 4.0]) == [False, True]
    assert offered([0.05, 2e-3, 5e-4], [3.0, 4.0, 5.0]) == [False, False, True]


def test_a_point_that_the_flow_passes_at_a_distance_is_never_believed() -> None:
    times = [3.0 + t for t in range(40)]
    assert not any(offered([0.02 + np.exp(-2.0 * t) for t in times], times))
    assert not any(offered([0.02 + 0.01 / t for t in times], times))


def test_a_slow_mode_takes_the_growth_of_ten() -> None:
    # one apart up to a log-norm of 8, then an eighth
    times = [3.0 * 1.2**t for t in range(12)]
    assert offered([0.3 / t for t in times], times) == [False] * 8 + [True] * 4
    times = [3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.125, 11.4, 12.9]
    assert offered([0.3 / t for t in times], times) == [False] * 9 + [True]


def test_a_slow_mode_that_is_seldom_looked_at_takes_five() -> None:
    times = [3.0 * 2.0**t for t in range(6)]
    assert offered([0.3 / t for t in times], times) == [False] * 4 + [True] * 2


def test_a_rest_is_told_from_a_slow_law() -> None:
    assert vanishing((10.0, 0.1), (20.0, 0.05))
    assert not vanishing((10.0, 0.1), (20.0, 0.09))


@pytest.mark.parametrize(("index", "zeros"), [(445, [[], []]), (557, [[3, 4, 5], [1]]), (877, [[], []])])
def test_a_small_neuron_is_not_taken_for_dead(index: int, zeros: list[list[int]]) -> None:
    """From a distance of a few hundredths a point without one of the small neurons of these limits looks right."""
    (limit,) = harness.drive([suite(202, index + 1, "generic")[index]])
    assert limit.point is not None
    assert limit.point.zeros == zeros
    assert limit.evidence[-1][1] < 1e-3


@pytest.mark.parametrize("device", ["cpu", "cpu:0"])
def test_a_parameter_that_only_just_dies_is_exactly_zero(device: str) -> None:
    """Diagonal: both samples bind, with multipliers of 1/2 under which coordinate 1 neither grows nor decays."""
    x: Any = ((0, 1), (-2, -1))
    theta0: Any = ((2, 0), (2, -3))
    instance = Instance.of(diagonal("linear", 2, 2), "exponential", x, (1, -1), theta0)
    (limit,) = harness.drive([instance], device=device)
    assert limit.point is not None
    assert limit.point.doubt == ""
    assert limit.point.zeros == [[0], [0]]
    assert limit.value == pytest.approx(1.0, rel=1e-14)


@pytest.mark.parametrize("device", ["cpu", "cpu:0"])
def test_a_flow_that_errors_push_off_a_saddle_is_not_believed(device: str) -> None:
    """The true flow loses the first coordinate, value 4.62; at the usual tolerance it lost the third, value 3.88."""
    x: Any = ((-1, -2, -1), (-1, 0, 1), (1, -1, -2))
    start: Any = ((2, 2, -2), (2, 2, 2), (1, -1, -1))
    instance = Instance.of(diagonal("linear", 3, 3), "logistic", x, (1, 1, 1), start)
    (limit,) = harness.drive([instance], device=device)
    assert limit.status == "undecided"
    assert "saddle" in limit.reason
    (true,) = harness.drive([instance], settings=Settings(rtol=1e-8))
    assert true.value is not None
    assert abs(true.value - 4.620125734577856) < 1e-9


def test_a_point_that_a_kink_turns_into_a_saddle_is_left() -> None:
    """A dying neuron is switched on by the first sample at a log-norm of 7; before that the point looks right."""
    network = Network("relu", (((0, 1, -1), (-1, 2, 3)), ((0, 1),)))
    x: Any = ((1, -1, 2), (-3, -3, 0))
    theta0: Any = (
        (0.8950438964294068, -1.8267388878368673, -0.3751722437116981, -0.52228643483443),
        (2.3012075158489957, 0.17573967710390437),
    )
    (limit,) = harness.drive([Instance.of(network, "exponential", x, (1, 1), theta0)])
    assert limit.point is not None
    assert limit.value == pytest.approx(np.sqrt(2.0) / 3.0, rel=1e-12)
    assert limit.point.zeros == [[0, 1], [0]]


def test_multipliers_of_very_different_sizes_are_found() -> None:
    """38, 13 and 54,265: Newton's method fails where the smallest start from a thousandth of the largest."""
    (limit,) = harness.drive([suite(20261125, 695, "generic")[694]])
    assert limit.status == "converged"
    assert limit.value == pytest.approx(54316.0266297, rel=1e-9)
