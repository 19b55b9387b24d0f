"""The testers of the claims around the paper are tested: for each theorem a fault that its property notices.

Of the trainer, of what the claim assumes, or of what it says.  Where a limit is a little off, or lopsided, what is
stated of it is false and proven to be so; a predicate that is too weak lets in what lies just beyond.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

import harness.certificates.statements
import harness.claims.measures
import properties.test_around_the_limit
import properties.test_classes
import properties.test_data
import properties.test_leaky
import properties.test_starts
from harness.claims.assumed import dead_neuron
from harness.claims.beyond import BEYOND
from harness.claims.table import CLAIMS, Claim, Violation
from tests.support import sabotage
from tests.support.properties import run

MODULES = (
    properties.test_around_the_limit,
    properties.test_classes,
    properties.test_data,
    properties.test_leaky,
    properties.test_starts,
)
THEOREMS = [claim.id for claim in BEYOND if claim.status == "theorem"]


def changed(claim: str, **fields: Any) -> Claim:
    """The claim with something else that it assumes."""
    return dataclasses.replace(CLAIMS[claim], decided_by=dataclasses.replace(CLAIMS[claim].decided_by, **fields))


@contextmanager
def a_short_step() -> Generator[None]:
    """The step that nearorth-adversarial states, a tenth as long."""
    stated = harness.certificates.statements.stated_step
    modules = (harness.certificates.statements, harness.claims.measures)
    for module in modules:
        module.stated_step = lambda *arguments: stated(*arguments) / 10  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for module in modules:
            module.stated_step = stated  # type: ignore[attr-defined]


def trained_by(drive: sabotage.Trainer) -> Callable[[], AbstractContextManager[None]]:
    return lambda: sabotage.in_place_of("drive", drive)


OFF, LOPSIDED = trained_by(sabotage.two_percent_off), trained_by(sabotage.lopsided)
FAULTS: dict[str, Callable[[], AbstractContextManager[None]]] = {
    "pattern-collapse": OFF,
    "multi-margin": trained_by(sabotage.backwards),
    "orthsep-global": LOPSIDED,
    "nearorth-equal": OFF,
    "nearorth-adversarial": a_short_step,
    "linear-all-support": OFF,
    "univariate-two-breaks": OFF,
    "diag2-unbalanced-global": trained_by(sabotage.newton_jumps_elsewhere),
    "diag2-balanced-orthant": trained_by(sabotage.newton_jumps_elsewhere),
    "conv-full-nonzero-global": OFF,
    "conv-scalar-global": OFF,
    "leaky-equal": OFF,
    "leaky-nearorth": OFF,
    "leaky-separable-separates": trained_by(sabotage.gives_up),
    "leaky-orthsep": OFF,
    "leaky-linear-margin": LOPSIDED,
    "mc-depth1-global": OFF,
}
WEAKER: dict[str, dict[str, Any]] = {
    "depth2-concave-kinks-local": {"assumptions": ()},
    "frozen-concave-kinks-local": {"assumptions": ()},
    "dead-local-global": {"assumptions": (dead_neuron,)},
    "nearorth-equal": {"data": None},
    "linear-all-support": {"data": None},
    "sym-floor": {"data": None},
    "mc-seli-floor": {"data": None},
}


def test_every_theorem_has_a_fault() -> None:
    assert {*FAULTS, *WEAKER} == {*THEOREMS}


@pytest.mark.parametrize("claim", FAULTS)
def test_a_fault_is_seen(claim: str) -> None:
    with FAULTS[claim](), pytest.raises(CLAIMS[claim].exception):
        run(CLAIMS[claim], 40, MODULES)


@pytest.mark.parametrize("claim", WEAKER)
def test_a_predicate_that_is_too_weak_is_seen(claim: str) -> None:
    with pytest.raises(Violation):
        run(changed(claim, **WEAKER[claim]), 120, MODULES)


@pytest.mark.parametrize("claim", WEAKER)
def test_the_right_one_is_not(claim: str) -> None:
    assert run(CLAIMS[claim], 25, MODULES).decided > 0
