"""The testers of the claims about optimisers: for each theorem a wrong optimiser that its property notices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from torch import Tensor

import properties.test_optimisers
from harness import optimisers
from harness.claims.optimisers import DESCENTS
from harness.claims.table import CLAIMS
from harness.optimisers.batch import Slope
from harness.testing.check import Check

THEOREMS = [claim.id for claim in DESCENTS if claim.status == "theorem"]
_named = optimisers.named

# --- wrong optimisers, in place of the ones that are asked for ---


def in_the_next_norm(name: str, **options: Any) -> optimisers.Method:
    """Steepest descent in another norm."""
    return _named({"linf": "l1", "l1": "l2", "l2": "linf"}[name], **options)


def with_another_potential(name: str, *, p: float, **options: Any) -> optimisers.Method:
    """Mirror descent with a larger p."""
    return _named(name, p=p + 1.0, **options)


def by_signs(name: str, *, step_size: float, **options: Any) -> optimisers.Method:
    """Sign descent in place of anything."""
    return _named("linf", step_size=step_size)


def by_the_unit_gradient(name: str, *, step_size: float, decay: float, **options: Any) -> optimisers.Method:
    """Normalised gradient descent in place of anything."""
    return _named("l2", step_size=step_size, decay=decay)


class Skewed(optimisers.GradientDescent):
    """Gradient descent that moves every coordinate a quarter as far as the one before."""

    def move(self, theta: Tensor, slope: Slope, eta: float, t: int, state: None) -> tuple[Tensor, None]:
        share = 0.25 ** torch.arange(theta.shape[1], dtype=theta.dtype)
        return theta + eta * share * slope.of_loss, None


def skewed(name: str, *, step_size: float, **options: Any) -> optimisers.Method:
    return Skewed(optimisers.Steps(step_size))


FAULTS: dict[str, Callable[..., optimisers.Method]] = {
    "nsd-floor": in_the_next_norm,
    "mirror-lp": with_another_potential,
    "gd-svm": by_signs,
    "adam-linf": by_the_unit_gradient,
    "adam-eps-l2": skewed,
    "steepest-margin": in_the_next_norm,
    "steepest-kkt": in_the_next_norm,
}


def run(claim: str, count: int) -> Check:
    """The property itself, on few examples, without shrinking.  Raises the claim's exception where it is violated."""
    (found,) = [
        test
        for test in vars(properties.test_optimisers).values()
        for mark in getattr(test, "pytestmark", ())
        if mark.args[:1] == (claim,)
    ]
    test, check = found.hypothesis, Check(CLAIMS[claim])

    @settings(
        max_examples=count, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large),
    )  # fmt: skip
    @given(**test._given_kwargs)
    def few(instance: Any) -> None:
        test.inner_test(check=check, instance=instance)

    few()
    return check


def test_every_theorem_has_a_fault() -> None:
    assert FAULTS.keys() == {*THEOREMS}


@pytest.mark.parametrize("claim", FAULTS)
def test_a_wrong_optimiser_is_seen(claim: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimisers, "named", FAULTS[claim])
    with pytest.raises(CLAIMS[claim].exception):
        run(claim, 40)
