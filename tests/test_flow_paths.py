"""The trainer's path against integrations that share no code with it (tests/reference.py)."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from benchmarks.families import FAMILIES, Kind, draw
from harness.flow import follow
from harness.problem.instances import Instance
from harness.problem.limits import Limit
from harness.problem.networks import preactivations
from tests.reference import euler_path, margins_and_gradients, smooth_path

LINEAR = [name for name in FAMILIES if "linear" in name]
RELU = [name for name in FAMILIES if "relu" in name]
# What an integrator with rtol 1e-5 is allowed in direction; on 60 draws of this file the worst was 7e-6.
TOLERANCE = 3e-5
# The explicit reference becomes slow beyond this inverse temperature.
HIGHEST_MARGIN = 50.0
EULER_STEP = 1e-3
EULER_CLOCK = 1.0


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
    theta0 = np.concatenate(limit.instance.theta0_float)
    first = limit.path["direction"][0] * np.exp(limit.path["log_norm"][0])
    return bool(np.abs(first - theta0).max() <= 1e-12 * np.linalg.norm(theta0))


@pytest.mark.parametrize("kind", ["generic", "integer"])
@pytest.mark.parametrize("family", LINEAR)
def test_linear_paths(family: str, kind: Kind) -> None:
    rng = np.random.default_rng([41, LINEAR.index(family)])
    compared = 0
    while compared < 4:
        instance = draw(rng, family, kind, largest=2)
        limit = follow(instance, record=True)
        if limit.status != "converged":
            continue
        assert starts_where_the_flow_starts(limit), instance.to_json()
        clock, theta = recorded(limit)
        low = [margins_and_gradients(instance, t)[0].min() < HIGHEST_MARGIN for t in theta if t @ t < 900.0]
        rows = np.flatnonzero(low)
        if not len(rows):
            continue
        error = np.abs(directions(smooth_path(instance, clock[rows])) - directions(theta[rows])).max()
        assert error <= TOLERANCE, f"{error:.1e}\n{instance.to_json()}"
        compared += 1


def compare_with_euler(instance: Instance, limit: Limit) -> None:
    """Small Euler steps are of first order: 4 h and h differ by three times the error at h.

    They start 1e-9 away, so that a start on a kink is left to the side that the flow takes, if it is unique.
    """
    clock, theta = recorded(limit)
    rows = np.flatnonzero(clock < EULER_CLOCK)[::3]
    rng = np.random.default_rng(1)
    near = [[float(v) + 1e-9 * rng.standard_normal() for v in u] for u in instance.theta0]
    moved = dataclasses.replace(instance, theta0=tuple(map(tuple, near)))
    coarse = directions(euler_path(moved, clock[rows], 4.0 * EULER_STEP))
    fine = directions(euler_path(moved, clock[rows], EULER_STEP))
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
    compared = 0
    for _ in range(400):
        instance = draw(rng, family, "generic")
        limit = follow(instance, record=True)
        if limit.status != "converged" or not early_gates(limit):
            continue
        if ("sliding" in early_gates(limit)) == (what == "sliding"):
            compare_with_euler(instance, limit)
            compared += 1
        if compared == 4:
            return
    pytest.fail(f"only {compared} of 400 draws do so and converge")


@pytest.mark.parametrize("family", RELU)
def test_relu_paths_from_kinks(family: str) -> None:
    """Starts at which some pre-activation is exactly zero, and from which one solution departs."""
    rng = np.random.default_rng([44, RELU.index(family)])
    compared = 0
    for _ in range(400):
        instance = draw(rng, family, "integer", largest=2)
        inputs = [preactivations(instance.network, instance.theta0, x)[0] for x in instance.x]
        if not any(value == 0 for row in inputs for value in row):
            continue
        limit = follow(instance, record=True)
        if limit.status != "converged":
            continue
        assert starts_where_the_flow_starts(limit), instance.to_json()
        compare_with_euler(instance, limit)
        compared += 1
        if compared == 4:
            return
    pytest.fail(f"only {compared} of 400 draws do so and converge")
