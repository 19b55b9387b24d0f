"""A training's end is believed where it is one: beside the trainer's limits, and on directions made up to mislead."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from harness import drive
from harness.optimisers import GradientDescent, Setup, Steepest, Steps, Training, settle, train
from harness.problem.instances import Instance
from harness.problem.limits import Limit
from harness.problem.networks import fully_connected
from harness.survey.laws import Cell, draw, stream

CELLS = (Cell(width=3, n=3), Cell(activation="linear", width=2, n=3), Cell(depth=1, n=3, d=2))


@lru_cache(maxsize=1)
def flows() -> list[Limit]:
    """Limits of the trainer, of relu and linear networks of depth 2 and of depth 1."""
    instances = [draw(cell, stream(11, index)) for cell in CELLS for index in range(24)]
    return [limit for limit in drive(instances) if limit.status == "converged"]


@lru_cache(maxsize=1)
def halved() -> list[list[Training]]:
    """Their starts, by l2 steps of two sizes along the same way."""
    instances = [limit.instance for limit in flows()]
    return [train(instances, Steepest("l2", Steps(size)), steps=round(60.0 / size)) for size in (0.02, 0.01)]


def test_small_steps_in_l2_end_where_the_flow_does() -> None:
    """Of one cost to rounding wherever an end is believed, and most are."""
    for trainings in halved():
        ends = [settle(training) for training in trainings]
        believed = [(end, limit) for end, limit in zip(ends, flows(), strict=True) if end.point is not None]
        assert len(believed) >= 0.7 * len(ends)
        for end, limit in believed:
            assert end.point is not None
            assert limit.value is not None
            assert end.point.residual < 1e-9
            assert abs(end.point.value - limit.value) <= 1e-7 * limit.value


def test_half_the_step_makes_half_the_error() -> None:
    """The ways by steps of two sizes differ the less, the smaller they are: both follow the flow."""
    instances = [limit.instance for limit in flows()]
    ways = [train(instances, Steepest("l2", Steps(size)), steps=round(10.0 / size)) for size in (0.02, 0.01, 0.005)]
    gaps = [
        float(np.median([np.linalg.norm(a.theta[-1] - b.theta[-1]) for a, b in zip(one, two, strict=True)]))
        for one, two in ((ways[0], ways[1]), (ways[1], ways[2]))
    ]
    assert 0.0 < gaps[1] <= 0.7 * gaps[0]


def made_up(instance: Instance, directions: np.ndarray, norms: np.ndarray) -> Training:
    """A training that has these directions at these norms, its loss as it would be."""
    theta = directions / np.linalg.norm(directions, axis=1, keepdims=True) * norms[:, None]
    (real,) = train([instance], GradientDescent(), steps=1)
    lines = instance.x_float * instance.y_float[:, None]
    q = theta @ lines.T
    log_loss = np.logaddexp.reduce(-q, axis=1)
    steps = np.arange(len(theta))
    return replace(
        real,
        steps=int(steps[-1]),
        step=steps,
        theta=theta,
        log_loss=log_loss,
        margin=q.min(axis=1),
        travelled=1.0 * steps,
        squares=1.0 * steps,
    )


PLANE = Instance.of(fully_connected("linear", (2,)), "exponential", [[2, 1], [1, 2]], (1, 1), [[1, 0]])


@pytest.mark.parametrize(
    ("angle", "status", "word"),
    [
        (lambda norm: 0.3 / norm, "converged", "tends to a KKT point"),
        (lambda norm: 0.2 + 0.3 / norm, "converged", "rests at no KKT point"),
        (lambda norm: 0.02 + 0.0 * norm, "converged", "rests at no KKT point"),
        # the logarithm of the norm never comes to rest
        (lambda norm: 0.04 * np.log(norm), "undecided", "still on its way"),
        (lambda norm: 0.2 * np.sin(np.log(norm)), "undecided", "still on its way"),
        # at rest, next to a KKT point, but nearer than the moves can tell
        (lambda norm: 0.02 + 1.0 / norm, "undecided", "neither near a KKT point nor clearly none"),
        (lambda norm: 1.5 + 0.0 * norm, "undecided", "Not separated"),
    ],
)
def test_what_is_believed_of_a_direction(angle, status: str, word: str) -> None:  # type: ignore[no-untyped-def]
    """The best direction is the diagonal, the only KKT point; the training's is off it by an angle that is made up."""
    norms = 2.0 ** np.arange(0.0, 7.01, 0.125)
    turned = np.pi / 4.0 + angle(norms)
    end = settle(made_up(PLANE, np.column_stack([np.cos(turned), np.sin(turned)]), norms))
    assert end.status == status
    assert word in end.reason
    assert (end.point is not None) == (status == "converged")
    if end.point is not None:
        assert (end.point.residual < 1e-9) == ("tends" in word)
        distances = [distance for _, distance in end.evidence]
        assert len(distances) == 4
        assert ("rests" in word) or distances == sorted(distances, reverse=True)


def test_too_short_and_too_far() -> None:
    (short,) = train([PLANE], Steepest("l2", Steps(0.01)), steps=20)
    assert "has not doubled 3 times" in settle(short).reason
    (far,) = train([PLANE], GradientDescent(Steps(1e200)), steps=20)
    end = settle(far)
    assert end.status == "undecided"
    assert "left the floats" in end.reason


def test_a_kink_is_no_proof_that_it_is_none() -> None:
    """Next to a kink the residual is large, and where flows end on kinks no training is said to end at no KKT point."""
    cell = Cell(width=3, n=3, data="integer", start="integer")
    limits = drive([draw(cell, stream(12, index)) for index in range(150)])
    kinked = [limit for limit in limits if limit.point is not None and _alive_kinks(limit)]
    assert len(kinked) >= 8
    for name in ("l2", "gd"):
        setup = Setup(name, steps=4000)
        for training in train([limit.instance for limit in kinked], setup.method, steps=setup.steps):
            end = settle(training)
            assert end.point is None or end.point.residual < 1e-9


def _alive_kinks(limit: Limit) -> bool:
    assert limit.point is not None
    return any(kink.place.hidden not in limit.point.idle for kink in limit.point.kinks)


def test_signs_end_elsewhere() -> None:
    """At depth 1 sign descent tends to the largest l_inf margin, for this point the diagonal, and the flow does not."""
    instance = PLANE.changed(x=[[3, 1]], y=(1,))
    (training,) = train([instance], Steepest("linf", Steps(0.01)), steps=20_000)
    end = settle(training)
    assert end.point is not None
    assert "rests at no KKT point" in end.reason
    np.testing.assert_allclose(end.point.theta[0], [0.25, 0.25], rtol=1e-2)
    (flow,) = drive([instance])
    assert flow.point is not None
    np.testing.assert_allclose(flow.point.theta[0], [0.3, 0.1], rtol=1e-9)


def test_the_path_is_as_the_flows() -> None:
    (limit,) = drive([PLANE], record=True)
    (training,) = train([PLANE], Steepest("l2", Steps(0.1)), steps=100, at=range(101))
    path = settle(training).path
    assert path is not None
    assert limit.path is not None
    assert set(limit.path) <= set(path)
    for key, column in limit.path.items():
        assert path[key].shape == (101, *column.shape[1:])
    norms = np.linalg.norm(training.theta, axis=1)
    np.testing.assert_allclose(np.exp(path["log_norm"]), norms)
    np.testing.assert_allclose(path["direction"] * norms[:, None], training.theta)
    np.testing.assert_allclose(path["sigma"], 0.1 * np.arange(101), atol=1e-12)


def test_rows_that_are_far_apart_show_no_rest() -> None:
    """By long steps along grad log L the norm grows by a factor a step, and c by many doublings from row to row.

    The direction stays where it is for a while, with a residual of 0.19, and leaves.
    """
    data = [(-3, -2, -2), (-2, 0, 2), (-2, 2, -3)]
    start = [[0.59, -0.53, 0.54], [0.26]]
    instance = Instance.of(fully_connected("linear", (3, 1)), "exponential", data, [1, -1, 1], start)
    (training,) = train([instance], GradientDescent(Steps(0.1), normalised=True), steps=1500)
    limit = settle(training)
    assert limit.status == "undecided"
    assert "has not doubled" in limit.reason
