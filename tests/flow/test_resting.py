"""Inputs that rest on kinks of relu networks of three layers and more: followed while what is above pushes back."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from benchmarks.families import draw
from harness.flow import follow, run
from harness.problem.instances import Instance
from harness.problem.limits import Limit
from harness.problem.networks import fully_connected
from tests.support import reference


def test_what_rests_ends_where_the_reference_does() -> None:
    """Draws whose flows have inputs at rest in the end: their limits are those of the independent trainer."""
    rng = np.random.default_rng([601, 0, 29])
    every = [draw(rng, "fully connected relu, depth 3", "generic") for _ in range(230)]
    for instance in (every[96], every[209], every[229]):
        limit = follow(instance)
        assert limit.status == "converged", limit.reason
        assert limit.value is not None
        record = reference.follow(instance, 40.0)
        assert record.status == "followed"
        assert record.value == pytest.approx(limit.value, rel=1e-3)


def test_what_rests_below_what_it_would_open_stays() -> None:
    """Draws of four layers in which all falls asleep: explicit steps stand still there, too, with margins of zero."""
    rng = np.random.default_rng(999)
    every = [draw(rng, "fully connected relu, depth 4", "generic") for _ in range(28)]
    assert [follow(every[k]).status for k in (10, 27)] == ["never_separates"] * 2
    assert "stationary point" in follow(every[23]).reason


def woken(push: int) -> Limit:
    """A neuron with w = 0 on the kink of x = 1 below a live neuron of the second layer, which it feeds with `push`."""
    network = fully_connected("relu", (1, 2, 1))
    return follow(Instance.of(network, "exponential", ((1,),), (1,), ((1, 0), (1, Fraction(push, 4)), (1,))))


def test_a_neuron_that_is_pushed_back_stays_at_zero() -> None:
    limit = woken(-1)
    assert limit.status == "converged", limit.reason
    assert limit.theta is not None
    assert limit.theta[0][1] == 0.0
    assert limit.value == pytest.approx(1.5, rel=1e-9)


def test_a_neuron_that_may_leave_is_not_left_at_zero() -> None:
    limit = woken(1)
    assert limit.status == "undecided"
    assert "not unique" in limit.reason


@pytest.mark.parametrize("late", [1, 5, 20])
def test_it_is_looked_at_after_every_step(monkeypatch: pytest.MonkeyPatch, late: int) -> None:
    """What stops pushing back on the way is noticed, wherever on the way that is."""
    answers = iter(["stand"] * late)
    monkeypatch.setattr(run, "resting", lambda *_: next(answers, "leave"))
    assert woken(-1).reason.startswith("A kink is degenerate: an input that cannot leave it")
    assert next(answers, None) is None
