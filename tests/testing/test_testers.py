"""The testers are tested: with a trainer or an oracle that is wrong, properties go red, by the claim one would expect.

Everything about the limit alone follows from its being a KKT point, so that a Newton polish that jumps to another
KKT point passes all of that; follows-flow and margin-floor see it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import properties.test_flow
import properties.test_fully_connected
from harness.claims.table import CLAIMS
from harness.problem.networks import Network, fully_connected
from harness.testing.check import Check
from strategies import FAMILIES
from tests.support import sabotage

FLOW, FULL = properties.test_flow, properties.test_fully_connected
PROPERTIES: dict[str, tuple[ModuleType, str]] = {
    "kkt": (FLOW, "the_limit_is_a_kkt_point"),
    "balance": (FLOW, "layers_and_neurons_stay_balanced"),
    "loss-vanishes": (FLOW, "the_loss_vanishes"),
    "margin-floor": (FLOW, "the_limit_has_the_largest_margin"),
    "follows-flow": (FLOW, "the_record_is_of_the_flow"),
    "fc-linear-global": (FULL, "linear_is_globally_optimal"),
    "fc-linear-aligned": (FULL, "linear_is_aligned"),
}
DEEP = "diagonal linear, depth 3 and 4"
LINEAR, DIAGONAL, RELU = "fully connected linear, depth 2", "diagonal linear, depth 2", "fully connected relu, depth 2"


def run(claim: str, family: str | Network, count: int = 12) -> Check:
    """The property itself, on few examples, without shrinking.  Raises the claim's exception where it is violated.

    family: its name, or one network of it.
    """
    module, name = PROPERTIES[claim]
    inner: Callable[..., None] = getattr(module, f"test_{name}").hypothesis.inner_test
    check = Check(CLAIMS[claim])
    members = st.just(family) if isinstance(family, Network) else st.sampled_from(FAMILIES[family])

    @settings(
        max_examples=count, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large),
    )  # fmt: skip
    @given(data=st.data())
    def few(data: Any) -> None:
        inner(check=check, family=members, data=data)

    few()
    return check


TRAINERS = {
    "gradient descent stopped early": (sabotage.gradient_descent_stopped_early, LINEAR, ["kkt", "fc-linear-global"]),
    "Adam": (sabotage.adam, LINEAR, ["kkt", "fc-linear-aligned"]),
    "the flow of the squared loss": (sabotage.flow_of_the_squared_loss, LINEAR, ["loss-vanishes", "kkt"]),
    "the flow with one label flipped": (sabotage.one_label_flipped, RELU, ["loss-vanishes", "follows-flow"]),
    "a moved start": (sabotage.moved_start, RELU, ["follows-flow", "balance"]),
    "Euler first": (sabotage.euler_first, LINEAR, ["follows-flow", "balance"]),
    "a late believer": (sabotage.late_believer, DIAGONAL, ["follows-flow"]),
    "a late believer with kinks": (sabotage.late_believer, RELU, ["follows-flow"]),
    "a broken symmetry": (sabotage.perturbed_by_rounding, DEEP, ["follows-flow"]),
    "a polish that jumps": (sabotage.newton_jumps_elsewhere, DIAGONAL, ["follows-flow", "margin-floor"]),
}
EXPECTED = [(name, claim) for name, (_, _, claims) in TRAINERS.items() for claim in claims]


@pytest.mark.parametrize(("trainer", "claim"), EXPECTED)
def test_a_wrong_trainer_is_seen(trainer: str, claim: str) -> None:
    drive, family, _ = TRAINERS[trainer]
    with sabotage.in_place_of("drive", drive), pytest.raises(CLAIMS[claim].exception):
        run(claim, family, 40)


@pytest.mark.parametrize(("claim", "family"), sorted({(c, f) for _, f, claims in TRAINERS.values() for c in claims}))
def test_the_right_one_is_not(claim: str, family: str) -> None:
    assert run(claim, family).decided > 0


def test_a_jump_passes_for_a_kkt_point() -> None:
    with sabotage.in_place_of("drive", sabotage.newton_jumps_elsewhere):
        assert run("kkt", DIAGONAL, 40).decided >= 5


@pytest.mark.parametrize("slope", [sabotage.relu_of_zero_has_slope_zero, sabotage.relu_of_zero_has_slope_half])
def test_another_slope_at_zero_is_seen(slope: Callable[[], AbstractContextManager[None]]) -> None:
    """In one dimension, where many starts are on kinks."""
    network = fully_connected("relu", (1, 3))
    with slope(), pytest.raises(CLAIMS["follows-flow"].exception):
        run("follows-flow", network, 150)


def test_the_right_slope_is_not() -> None:
    assert run("follows-flow", fully_connected("relu", (1, 3)), 40).decided >= 5


@pytest.mark.parametrize("family", [DIAGONAL, DEEP])
def test_a_weight_that_is_held_still_is_seen(family: str) -> None:
    with sabotage.a_subspace_too_small(), pytest.raises(CLAIMS["follows-flow"].exception):
        run("follows-flow", family, 40)


def test_an_oracle_that_lies_finds_no_counterexample() -> None:
    from harness.harvest import hunt

    with sabotage.in_place_of("decide", sabotage.always_optimal):
        assert hunt("depth2-local", seed=0, max_examples=300) is None
