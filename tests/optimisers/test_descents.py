"""An instance with an optimiser: as JSON, and where it meets a claim."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from harness import Instance, judge
from harness.claims.descending import mirror_floor
from harness.claims.steepest import ends_at_kkt, margin_never_falls, margins, missed
from harness.claims.table import CLAIMS
from harness.claims.trained import trainings
from harness.nightly.violations import again, keep
from harness.optimisers.descents import Descent, read_any
from harness.optimisers.setups import Setup
from harness.problem.fields import FieldError
from harness.problem.networks import fully_connected
from harness.survey.standard import cells

POINT = Instance.of(fully_connected("linear", (1,)), "exponential", [(1,)], [1], [(0,)])
SIGNS = Descent.by(Setup("linf", 8, 0.25), POINT)


@pytest.mark.parametrize(
    "setup",
    [Setup("linf", 8, 0.25), Setup("adam", 3, 0.1, 0.5, {"beta1": 0.5, "eps": 0.0}), Setup("gd", 2)],
)
def test_json_gives_it_back(setup: Setup) -> None:
    descent = Descent.by(setup, POINT)
    assert read_any(descent.to_json()) == descent
    assert read_any(POINT.to_json()) == POINT


@pytest.mark.parametrize(
    ("field", "was", "becomes"),
    [
        ("optimiser", '"linf"', '"lin"'),
        ("optimiser.steps", '"steps": 8', '"steps": 0.5'),
        ("steps", '"steps": 8', '"steps": 0'),
        ("step-size", '"step_size": 0.25', '"step_size": -1'),
        ("optimiser.decay", '"decay": 0.0', '"decay": "x"'),
        ("optimiser.options", '"options": {}', '"options": []'),
        ("beta", '"options": {}', '"options": {"beta": 0.5}'),
        ("optimiser.size", '"step_size"', '"size"'),
    ],
)
def test_bad_input_names_the_field(field: str, was: str, becomes: str) -> None:
    text = SIGNS.to_json()
    assert was in text
    with pytest.raises(FieldError) as refused:
        read_any(text.replace(was, becomes))
    assert refused.value.field == field


def test_a_claim_is_about_a_flow_or_an_optimiser() -> None:
    assert judge(CLAIMS["nsd-floor"], SIGNS).outcome == "holds"
    assert judge(CLAIMS["kkt"], SIGNS).outcome == "outside"
    assert judge(CLAIMS["nsd-floor"], POINT).outcome == "outside"
    assert judge(CLAIMS["gd-svm"], SIGNS).outcome == "outside"
    # a survey of flows has nothing for it
    assert not cells(["nsd-floor", "steepest-kkt"])


def test_gradient_descent_is_spoken_of_with_small_steps_alone() -> None:
    # B = L(w_0) = 1
    sizes = {size: CLAIMS["gd-svm"].speaks_of(Descent.by(Setup("gd", 1, size), POINT)) for size in (0.5, 1.0, 1.01)}
    assert sizes == {0.5: True, 1.0: True, 1.01: False}


def test_what_leaves_the_floats_is_open() -> None:
    far = POINT.changed(x=[(10**9,)])
    gone = Descent.by(Setup("mirror", 64, 1.0, options={"p": 1.0078125}), far)
    assert trainings([gone])[0][0].step[-1] < 64
    assert judge(CLAIMS["mirror-lp"], gone).outcome == "undecided"


def test_of_a_p_without_small_terms_nothing_is_said() -> None:
    assert mirror_floor(trainings([Descent.by(Setup("mirror", 4, 0.25, options={"p": 1.1}), POINT)])[0]) is None


@pytest.mark.parametrize(("p", "size"), [(1.25, 20.0), (1.0625, 0.5), (2.0, 4.0)])
def test_long_steps_of_mirror_descent_deny_nothing(p: float, size: float) -> None:
    """The floor of the margin is that of the steps, and not that of the flow, which these do not follow."""
    data = [(1, 3), (-1, 2), (5, 1)]
    instance = Instance.of(fully_connected("linear", (2,)), "exponential", data, [1] * 3, [(-2, 0)])
    setup = Setup("mirror", 128, size, options={"p": p})
    assert judge(CLAIMS["mirror-lp"], Descent.by(setup, instance)).outcome != "violated"


def test_data_whose_squares_leave_the_floats() -> None:
    """The unit gradient is one of length 1 there, too."""
    x = Fraction(13, 10**162)
    data = POINT.changed(network=fully_connected("linear", (2,)), x=[(x, x), (x, -x / 3)], y=[1, 1], theta0=[(0, 0)])
    assert judge(CLAIMS["nsd-floor"], Descent.by(Setup("l2", 4, 1e148), data)).outcome == "holds"
    # squares of these are beyond the floats, and so is what is lost
    data = data.changed(x=[(10**170, 1), (1, 10**170)])
    assert judge(CLAIMS["nsd-floor"], Descent.by(Setup("l2", 4, 1.0), data)).outcome == "undecided"


def test_a_loss_beyond_the_floats_is_open_or_decided() -> None:
    adam = Setup("adam", 64, 1.0, options={"beta1": 0.0, "beta2": 0.0, "eps": 1.0})
    judged = judge(CLAIMS["adam-eps-l2"], Descent.by(adam, POINT.changed(theta0=[(-800,)])))
    assert judged.outcome in ("holds", "undecided")


def test_a_loss_that_is_not_told_from_zero_is_open() -> None:
    assert judge(CLAIMS["gd-svm"], Descent.by(Setup("gd", 16, 1.0), POINT.changed(theta0=[(5000,)]))).outcome == (
        "undecided"
    )


def test_steps_that_jump_from_margin_to_margin_deny_nothing() -> None:
    """With steps of one size the margins end up moving by five in each, and the flow is not followed.

    M falls to a fifth then, and less.  With smaller steps it does not fall.
    """
    net = fully_connected("linear", (2, 1))
    start = [(0, 0), (Fraction(1, 8),)]
    instance = Instance.of(net, "exponential", [(1, 2), (-1, -1)], [1, 1], start)
    (large,) = trainings([Descent.by(Setup("linf", 320, 0.125), instance)], 2)
    assert margins(large[-1])[-1] < 0.2 * np.nanmax(margins(large[-1]))
    assert all(missed(one)[-1] > 2.0 for one in large)
    assert margin_never_falls(large) is ends_at_kkt(large) is None
    (small,) = trainings([Descent.by(Setup("linf", 512, 0.25, 0.5), instance)], 2)
    assert margin_never_falls(small) is True


def test_a_violation_that_is_kept_is_trained_again(tmp_path: Any) -> None:
    path = keep("nsd-floor", SIGNS, tmp_path)
    assert read_any(path.read_text()) == SIGNS
    assert [(one.claim, one.outcome) for one in again(tmp_path)] == [("nsd-floor", "holds")]
