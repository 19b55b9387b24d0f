"""The testers of the claims about optimisers: for each theorem a wrong optimiser that its property notices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import properties.test_optimisers
from harness import optimisers
from harness.claims.optimisers import DESCENTS
from harness.claims.table import CLAIMS
from harness.optimisers.batch import Slope
from harness.optimisers.methods import Norm
from tests.support.properties import run

THEOREMS = [claim.id for claim in DESCENTS if claim.status == "theorem"]
_train = optimisers.train

# --- wrong optimisers, in place of the ones that are asked for ---


def in_the_next_norm(method: optimisers.Steepest) -> optimisers.Method:
    """Steepest descent in another norm."""
    norms: dict[str, Norm] = {"linf": "l1", "l1": "l2", "l2": "linf"}
    return optimisers.Steepest(norms[method.norm], method.steps)


def with_another_potential(method: optimisers.Mirror) -> optimisers.Method:
    """Mirror descent with a larger p."""
    return optimisers.Mirror(method.p + 1.0, method.steps)


def by_signs(method: optimisers.Method) -> optimisers.Method:
    return optimisers.Steepest("linf", method.steps)


def by_the_unit_gradient(method: optimisers.Method) -> optimisers.Method:
    return optimisers.Steepest("l2", method.steps)


class Skewed(optimisers.GradientDescent):
    """Gradient descent that moves every coordinate a quarter as far as the one before."""

    def move(self, theta: Tensor, slope: Slope, eta: float, t: int, state: None) -> tuple[Tensor, None]:
        share = 0.25 ** torch.arange(theta.shape[1], dtype=theta.dtype)
        return theta + eta * share * slope.of_loss, None


def skewed(method: optimisers.Method) -> optimisers.Method:
    return Skewed(method.steps)


FAULTS: dict[str, Callable[[Any], optimisers.Method]] = {
    "nsd-floor": in_the_next_norm,
    "mirror-lp": with_another_potential,
    "gd-svm": by_signs,
    "adam-linf": by_the_unit_gradient,
    "adam-eps-l2": skewed,
    "steepest-margin": in_the_next_norm,
    "steepest-kkt": in_the_next_norm,
}


def test_every_theorem_has_a_fault() -> None:
    assert FAULTS.keys() == {*THEOREMS}


@pytest.mark.parametrize("claim", FAULTS)
def test_a_wrong_optimiser_is_seen(claim: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def train(instances: Any, method: Any, **options: Any) -> list[optimisers.Training]:
        return _train(instances, FAULTS[claim](method), **options)

    monkeypatch.setattr(optimisers, "train", train)
    with pytest.raises(CLAIMS[claim].exception):
        run(CLAIMS[claim], 40, [properties.test_optimisers])
