"""How often a flow is followed again before its limit is believed."""

from __future__ import annotations

import sys
from typing import Any

import pytest

import harness
from harness.flow.run import Settings
from harness.problem.limits import Limit
from harness.survey.laws import Cell, drawn

# It passes a kink closely, and margins nearly tie.
BOTH = drawn(Cell(width=8, n=8, d=4, labels="random", scale=1.0), 0, 32)[0]


@pytest.fixture
def followed(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings of every following but the first, as they come."""
    module, settings = sys.modules["harness.flow.follow"], list[Settings]()
    plain = module.follow

    def follow(instance: Any, own: Settings, record: bool = False) -> Limit:
        settings.append(own)
        return plain(instance, own, record)

    monkeypatch.setattr(module, "follow", follow)
    return settings


def test_a_smaller_error_and_a_firmer_softmax_are_tried_at_once(followed: list[Settings]) -> None:
    (limit,) = harness.drive([BOTH])
    assert limit.status == "converged"
    once = [own for own in followed if own.again or own.firm]
    assert [(own.again, own.firm, own.goal) for own in once] == [(True, True, None)]


def test_where_both_at_once_lead_nowhere_each_is_tried_by_itself(
    followed: list[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = sys.modules["harness.flow.follow"]
    spied = module.follow

    def follow(instance: Any, own: Settings, record: bool = False) -> Limit:
        found = spied(instance, own, record)
        return Limit(instance, "undecided", "Lost.") if own.again and own.firm and own.goal is None else found

    monkeypatch.setattr(module, "follow", follow)
    (limit,) = harness.drive([BOTH])
    assert limit.status == "converged"
    reasons = [(own.again, own.firm) for own in followed if own.again or own.firm]
    assert reasons[:3] == [(True, True), (True, False), (False, True)]
