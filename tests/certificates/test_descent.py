"""Kind "descent": this very point is no local optimum, by a direction; and the margins in integers that it takes."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.certificates import check, integers, verify
from harness.certificates.integers import margins, rates
from harness.certificates.numbers import Rejected
from harness.problem.fields import FieldError
from harness.problem.instances import Instance
from harness.problem.networks import Network, fully_connected
from harness.problem.problems import Problem
from strategies import instances
from tests.support.points import problem_of

RELU = fully_connected("relu", (2, 2))
PROBLEM = problem_of(RELU, [[1, 0], [0, 1]], [1, 1])
# q = (2, 1): only the second margin is the least.
THETA = [[2, 0, 0, 1], [1, 1]]


def descent(d: Any, theta: Any = THETA, problem: str = "full", **other: Any) -> dict[str, Any]:
    return {"kind": "descent", "problem": problem, "scope": "local", "theta": theta, "d": d, **other}


def test_less_of_what_is_not_least() -> None:
    answer = check(PROBLEM, descent([["-1/2", 0, 0, 0], [0, 0]]))
    assert answer.accepted, answer.reason
    assert (answer.value, answer.bound) == (3.5, 2.625)
    assert answer.gap == pytest.approx(0.25)


def test_the_scale_of_theta_does_not_matter() -> None:
    twice = [[4, 0, 0, 2], [2, 2]]
    answer = check(PROBLEM, descent([[-1, 0, 0, 0], [0, 0]], twice, scope="global"))
    assert (answer.accepted, answer.value, answer.bound) == (True, 3.5, 2.625)


def test_a_layer_alone() -> None:
    answer = check(PROBLEM, descent([["-1/2", 0, 0, 0], [0, 0]], problem="layer 1"))
    assert (answer.accepted, answer.value, answer.bound) == (True, 2.5, 1.625)
    both = descent([["-1/2", 0, 0, 0], ["1/8", 0]], problem="layer 1")
    assert "another layer" in check(PROBLEM, both).reason


def test_a_slope_whose_denominator_is_beyond_the_integers_of_numpy() -> None:
    network = fully_connected("leaky_relu", (2, 2), negative_slope=1e-4)
    given = problem_of(network, [[1, 0], [0, 1]], [1, 1])
    theta = ((Fraction(2), Fraction(-1), Fraction(0), Fraction(1)), (Fraction(1),) * 2)
    assert margins(given, theta) == list(given.margins(theta)) == [2, 1 - network.slope]
    along = ((Fraction(0), Fraction(1), Fraction(0), Fraction(0)), (Fraction(0),) * 2)
    assert rates(given, theta, along, [1]) == [network.slope]


@pytest.mark.parametrize(
    ("d", "reason"),
    [
        # the least margin falls by as much as the norm lets it
        ([[0, 0, 0, "-1/2"], [0, 0]], "sample 1, does not grow along d"),
        # along theta itself nothing changes
        ([[2, 0, 0, 1], [1, 1]], "does not grow along d"),
        ([[0, 0, 0, 0], [0, 0]], "does not grow along d"),
        # a good way, gone too far: the first margin has become negative, or the least
        ([[-3, 0, 0, 0], [0, 0]], "does not cost less"),
        ([["-7/4", 0, 0, 0], [0, 0]], "does not cost less"),
        ([[0, 0, 0, 0], [-10, 0]], "does not cost less"),
    ],
)
def test_ways_that_prove_nothing(d: Any, reason: str) -> None:
    answer = check(PROBLEM, descent(d))
    assert not answer.accepted
    assert reason in answer.reason
    assert answer.bound is None


def test_every_margin_that_is_exactly_the_least_has_to_grow() -> None:
    tied = [[1, 0, 0, 1], [1, 1]]
    assert "sample 0" in check(PROBLEM, descent([["-1/8", 0, 0, "1/8"], [0, 0]], tied)).reason
    assert "sample 1" in check(PROBLEM, descent([["1/8", 0, 0, "-1/8"], [0, 0]], tied)).reason
    # a float that is the least by its last digit alone is the only one that counts
    below = [[1, 0, 0, 1 - 2**-53], [1, 1]]
    shift = descent([[f"-1/{2**55}", 0, 0, f"1/{2**55}"], [0, 0]], below)
    assert check(PROBLEM, shift).accepted


def test_the_side_of_a_kink_is_that_of_the_direction() -> None:
    """At w = (0, 1) on (1, 0): one way the neuron helps the first point, the other way it does nothing."""
    problem = problem_of(fully_connected("relu", (2, 2)), [[1, 0], [-1, 4]], [1, 1])
    theta = [[1, 0, 0, 1], [1, 1]]
    helps, idle = ([[0, 0, s * Fraction(1, 8), 0], [0, 0]] for s in (1, -1))
    exact = tuple(tuple(map(Fraction, u)) for u in theta)
    for d, rate in ((helps, Fraction(1, 8)), (idle, 0)):
        motion = tuple(tuple(map(Fraction, u)) for u in d)
        assert rates(problem, exact, motion, [0]) == [rate]
    assert check(problem, descent([[str(v) for v in u] for u in helps], theta)).accepted
    assert not check(problem, descent([[str(v) for v in u] for u in idle], theta)).accepted


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"problem": "layer 3"}, "certificate.problem"),
        ({"scope": "near"}, "certificate.scope"),
        ({"d": [[0, 0, 0], [0, 0]]}, "certificate.d[0]"),
        ({"d": None}, "certificate.d"),
        ({"theta": [[0, 0, 0, float("nan")], [0, 0]]}, "certificate.theta[0][3]"),
        ({"step": 1}, "certificate"),
    ],
)
def test_wrong_shapes_name_the_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(FieldError) as caught:
        check(PROBLEM, descent([["-1/2", 0, 0, 0], [0, 0]]) | change)
    assert caught.value.field == field


def test_a_fixed_layer_does_not_move() -> None:
    problem = Problem(RELU.fixing({2: [1, 1]}), PROBLEM.x, PROBLEM.y)
    assert check(problem, descent([["-1/2", 0, 0, 0], [0, 0]])).accepted
    assert "fixed" in check(problem, descent([["-1/2", 0, 0, 0], ["1/8", 0]])).reason
    with pytest.raises(FieldError, match="problem"):
        check(problem, descent([[0, 0, 0, 0], [1, 1]], problem="layer 2"))


def test_it_is_no_counterexample() -> None:
    """A limit's floats are rounded, and a descent says nothing of what they round."""
    path = next(Path("reports").glob("fc-relu-local--dead-neuron--robust/counterexample.json"))
    record = json.loads(path.read_text())
    record["certificate"] = descent(record["limit"]["theta"], record["limit"]["theta"])
    with pytest.raises(FieldError, match=r"certificate\.kind"):
        verify(record)


def test_numbers_without_a_common_denominator_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(integers, "MAX_BITS", 100)
    with pytest.raises(Rejected, match="common denominator"):
        margins(PROBLEM, tuple((Fraction(1, 3**k),) * size for k, size in zip((40, 70), RELU.sizes, strict=True)))


@settings(max_examples=40)
@given(instance=instances(), seed=st.integers(0, 99))
def test_margins_and_rates_in_integers(instance: Instance, seed: int) -> None:
    """The margins are those of one fraction after another, the rates those of a step that meets no kink."""
    problem, theta = instance.problem, instance.theta0
    assert margins(problem, theta) == problem.margins(theta)
    rng = np.random.default_rng(seed)
    d = tuple(
        tuple(Fraction(int(v)) if own else Fraction(0) for v in rng.integers(-3, 4, len(u)))
        for u, own in zip(theta, instance.network.trained, strict=True)
    )
    rows = list(range(len(problem.rows)))
    # a difference of third order in a step this short tells every smaller rate apart
    step = Fraction(1, 10**60)
    moved = tuple(tuple(a + step * b for a, b in zip(u, v, strict=True)) for u, v in zip(theta, d, strict=True))
    here, there = problem.margins(theta), problem.margins(moved)
    for rate, q, after in zip(rates(problem, theta, d, rows), here, there, strict=True):
        assert abs((after - q) / step - rate) <= Fraction(1, 10**30)


def test_several_outputs_and_depth_3() -> None:
    network = Network("relu", (((0, 1), (2, 3)), ((0, 1), (2, 3)), ((0, 1), (2, 3))))
    problem = problem_of(network, [[1, 0], [0, 1]], [0, 1])
    theta = [[1, 0, 0, 1], [1, 0, 0, 1], [2, 0, 0, 1]]
    answer = check(problem, descent([[0] * 4, [0] * 4, ["-1/2", 0, 0, 0]], theta))
    assert answer.accepted
    # of degree 3: 1/2 |theta|^2 / (min q)^(2/3)
    assert answer.bound == pytest.approx(0.5 * (4 + 2.25 + 1))
