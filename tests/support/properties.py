"""A property taken out of its file, to see what it notices."""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings

from harness.claims.table import Claim
from harness.testing.check import Check


def of_claim(claim: str, modules: Iterable[ModuleType]) -> Any:
    """The property of a claim, in one of these files."""
    (found,) = [
        found
        for module in modules
        for name, found in vars(module).items()
        if name.startswith("test_")
        for mark in getattr(found, "pytestmark", ())
        if mark.name == "claim" and mark.args[0] == claim
    ]
    return found


def run(claim: Claim, count: int, modules: Iterable[ModuleType]) -> Check:
    """The property itself, on few examples, without shrinking.  Raises the claim's exception where it is violated."""
    test, check = of_claim(claim.id, modules).hypothesis, Check(claim)

    @settings(
        max_examples=count, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large),
    )  # fmt: skip
    @given(**test._given_kwargs)
    def few(instance: Any) -> None:
        test.inner_test(check=check, instance=instance)

    few()
    return check
