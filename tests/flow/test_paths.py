"""The trainer's path against integrations that share no code with it (tests/support/integrations.py)."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from benchmarks import wider_draws
from benchmarks.families import FAMILIES, Kind, draw
from harness.flow import follow
from harness.problem.instances import Instance
from harness.problem.limits import Limit
from harness.problem.networks import preactivations
from tests.support.draws import first
from tests.support.integrations import euler_path, margins_and_gradients, smooth_path

LINEAR = [name for name in FAMILIES if "linear" in name]
RELU = [name for name in FAMILIES if "relu" in name]
# What an integrator with rtol 1e-5 is allowed in direction; on 60 draws of this file the worst was 7e-6.
TOLERANCE = 3e-5
# The explicit reference becomes slow beyond this inverse temperature.
HIGHEST_MARGIN = 50.0
EULER_STEP = 1e-3
EULER_CLOCK = 1.0
# So many paths are compared, and looked for among so many draws.
COMPARED = 3
DRAWS = 400


def recorded(limit: Limit) -> tuple[np.ndarray, np.ndarray]:
    """The clock (T,), strictly increasing, and theta (T, N) of a path, from its second row on."""
    assert limit.path is not None
    clock = limit.path["sigma"]
    new = np.append(False, np.diff(clock) > 0.0)
    return clock[new], (limit.path["direction"] * np.exp(limit.path["log_norm"])[:, None])[new]


def directions(path: np.ndarray) -> np.ndarray:
    return path / np.linalg.norm(path, axis=1)[:, None]


def starts_where_the_flow_starts(limit: Limit) -> bool:
    assert limit.path is not None
    theta0 = limit.instance.network.flat(limit.instance.theta0_float)
    first = limit.path["direction"][0] * np.exp(limit.path["log_norm"][0])
    return bool(np.abs(first - theta0).max() <= 1e-12 * np.linalg.norm(theta0))


def rows_within_reach(limit: Limit) -> np.ndarray:
    """The rows of the path that the explicit reference comes to."""
    _, theta = recorded(limit)
    low = [margins_and_gradients(limit.instance, t)[0].min() < HIGHEST_MARGIN for t in theta if t @ t < 900.0]
    return np.flatnonzero(low)


@pytest.mark.parametrize("kind", ["generic", "integer"])
@pytest.mark.parametrize("family", LINEAR)
def test_linear_paths(family: str, kind: Kind) -> None:
    rng = np.random.default_rng([41, LINEAR.index(family)])
    limits = (follow(draw(rng, family, kind, largest=2), record=True) for _ in range(DRAWS))
    converged = (limit for limit in limits if limit.status == "converged")
    for limit in first(COMPARED, (limit for limit in converged if len(rows_within_reach(limit)))):
        instance = limit.instance
        assert starts_where_the_flow_starts(limit), instance.to_json()
        clock, theta = recorded(limit)
        rows = rows_within_reach(limit)
        error = np.abs(directions(smooth_path(instance, clock[rows])) - directions(theta[rows])).max()
        assert error <= TOLERANCE, f"{error:.1e}\n{instance.to_json()}"


def compare_with_euler(instance: Instance, limit: Limit, step: float = EULER_STEP) -> None:
    """Small Euler steps are of first order: 4 h and h differ by three times the error at h.

    They start 1e-9 away, so that a start on a kink is left to the side that the flow takes, if it is unique.
    """
    clock, theta = recorded(limit)
    rows = np.flatnonzero(clock < EULER_CLOCK)[::3]
    rng = np.random.default_rng(1)
    near = [
        [float(v) + 1e-9 * rng.standard_normal() for v in u] if own else u
        for u, own in zip(instance.theta0, instance.network.trained, strict=True)
    ]
    moved = dataclasses.replace(instance, theta0=tuple(map(tuple, near)))
    coarse = directions(euler_path(moved, clock[rows], 4.0 * step))
    fine = directions(euler_path(moved, clock[rows], step))
    own = np.abs(coarse - fine).max()
    error = np.abs(fine - directions(theta[rows])).max()
    assert own < 0.02, "the reference itself is resolved"
    assert error <= 0.5 * own + 1e-4, f"{error:.1e}, and {own:.1e} between 4 h and h\n{instance.to_json()}"


def early_gates(limit: Limit) -> set[str]:
    """What happens at kinks before EULER_CLOCK: "on", "off", "sliding"."""
    assert limit.path is not None
    end = limit.path["log_norm"][limit.path["sigma"] < EULER_CLOCK][-1]
    return {event["gate"] for event in limit.events if event["log_norm"] < end}


@pytest.mark.parametrize("family", RELU)
@pytest.mark.parametrize("what", ["crossing", "sliding"])
def test_relu_paths_through_kinks(family: str, what: str) -> None:
    rng = np.random.default_rng([43, RELU.index(family)])
    limits = (follow(draw(rng, family, "generic"), record=True) for _ in range(DRAWS))
    converged = (limit for limit in limits if limit.status == "converged" and early_gates(limit))
    does = (limit for limit in converged if ("sliding" in early_gates(limit)) == (what == "sliding"))
    for limit in first(COMPARED, does):
        compare_with_euler(limit.instance, limit)


def starts_on_a_kink(instance: Instance) -> bool:
    """Some pre-activation of the first layer is exactly zero."""
    rows = [preactivations(instance.network, instance.theta0, x)[0] for x in instance.x]
    return any(value == 0 for row in rows for value in row)


@pytest.mark.parametrize("family", RELU)
def test_relu_paths_from_kinks(family: str) -> None:
    """Starts at which some pre-activation is exactly zero, and from which one solution departs."""
    rng = np.random.default_rng([44, RELU.index(family)])
    starts = (draw(rng, family, "integer", largest=2) for _ in range(DRAWS))
    limits = (follow(instance, record=True) for instance in starts if starts_on_a_kink(instance))
    for limit in first(COMPARED, (limit for limit in limits if limit.status == "converged")):
        assert starts_where_the_flow_starts(limit), limit.instance.to_json()
        compare_with_euler(limit.instance, limit)


# --- slopes, layers that are fixed, several outputs ---


@pytest.mark.parametrize("kind", ["classes, depth 1", "classes, depth 2", "cross entropy"])
def test_linear_paths_of_classes(kind: str) -> None:
    rng = np.random.default_rng([45, len(kind)])
    instances = (wider_draws.draw(rng, kind, integer=k % 2 == 1) for k in range(DRAWS))
    limits = (follow(instance, record=True) for instance in instances if not instance.network.kinked)
    converged = (limit for limit in limits if limit.status == "converged")
    for limit in first(COMPARED, (limit for limit in converged if len(rows_within_reach(limit)))):
        clock, theta = recorded(limit)
        rows = rows_within_reach(limit)
        error = np.abs(directions(smooth_path(limit.instance, clock[rows])) - directions(theta[rows])).max()
        assert error <= TOLERANCE, f"{error:.1e}\n{limit.instance.to_json()}"


@pytest.mark.parametrize("kind", [kind for kind in wider_draws.KINDS if kind != "classes, depth 1"])
def test_paths_through_other_kinks(kind: str) -> None:
    rng = np.random.default_rng([46, len(kind)])
    instances = (wider_draws.draw(rng, kind, integer=False) for _ in range(DRAWS))
    limits = (follow(instance, record=True) for instance in instances if instance.network.kinked)
    for limit in first(COMPARED, (limit for limit in limits if limit.status == "converged" and early_gates(limit))):
        assert starts_where_the_flow_starts(limit), limit.instance.to_json()
        # at EULER_STEP some of them are not of first order yet
        compare_with_euler(limit.instance, limit, 0.25 * EULER_STEP)
