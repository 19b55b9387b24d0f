"""The rivals solve what they say they solve, and the report renders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks import deep_relu, hunts, properties, rivals
from benchmarks.families import suite
from benchmarks.run import main, report, same_predictor, shares, timed
from harness import drive
from harness.harvest.spaces import SPACES
from harness.problem.limits import Limit


@pytest.fixture(scope="module")
def linear() -> list[Limit]:
    limits = drive(suite(5, 10, "generic", ["fully connected linear, depth 2", "diagonal linear, depth 2"]))
    found = [limit for limit in limits if limit.status == "converged"][:4]
    assert len(found) == 4
    return found


@pytest.mark.parametrize("method", [rivals.bdf_polished, rivals.bdf_plain])
def test_bdf_and_the_polish_find_the_same_limits(linear: list[Limit], method: rivals.Method) -> None:
    for limit in linear:
        reached = method(limit.instance)
        assert reached.seconds[-1] <= reached.spent < np.inf
        assert limit.theta is not None
        assert same_predictor(limit.instance, np.concatenate(limit.theta), reached.theta)


@pytest.mark.parametrize("method", [rivals.descent, rivals.rescaling, rivals.bdf])
def test_the_others_come_near(linear: list[Limit], method: rivals.Method, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rivals, "DESCENT_STEPS", 100_000)
    levels = [rivals.residual(limit.instance, method(limit.instance).theta) for limit in linear]
    assert min(levels) < 1e-3
    assert np.median(levels) < 0.3


def test_the_two_fields_are_one() -> None:
    for instance in suite(6, 16, "generic"):
        cell, theta = rivals.kernel_cell(instance)
        rivals.open_gates(cell.net, theta, cell.x, cell.gates, instance.network.activation == "relu")
        work = rivals.workspace(cell)
        rivals.rate(cell, theta, work)
        np.testing.assert_allclose(work.f, rivals.numpy_field(instance, theta), rtol=1e-10, atol=1e-12)


def test_a_predictor_is_told_from_another(linear: list[Limit]) -> None:
    theta = np.concatenate(linear[0].theta or ())
    assert same_predictor(linear[0].instance, theta, 3.0 * theta)
    assert not same_predictor(linear[0].instance, theta, theta + 1e-3)


def test_the_report_has_its_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rivals, "DESCENT_STEPS", 1000)
    monkeypatch.setattr("benchmarks.run.startup", lambda: (50.0, 1.5))
    text = report(3, 16, 1, [], lambda line: None)
    assert "| generic | 16 |" in text
    assert "| this trainer | 2 " in text
    assert "| fully connected relu, depth 4, integer | 1 |" in text


@pytest.mark.parametrize("asked", [False, True])
def test_the_report_is_printed_and_written_only_where_it_is_told(
    asked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "benchmarks").mkdir()
    monkeypatch.setattr("benchmarks.run.report", lambda *_: "the tables\n")
    main(["--out", "there.md"] if asked else [])
    assert capsys.readouterr().out == "the tables\n"
    written = {path.name: path.read_text() for path in tmp_path.rglob("*.md")}
    assert written == ({"there.md": "the tables\n"} if asked else {})


def test_what_does_not_separate_is_not_counted() -> None:
    flows = timed(suite(8, 24, "integer"))
    outside = sum(flow.outcome in ("does not separate", "not unique") for flow in flows)
    assert 0 < outside < len(flows)
    assert f" of {len(flows) - outside} (" in shares("integer", flows)


def test_the_loop_of_the_properties_is_measured() -> None:
    ((claim, spent),) = properties.measured(["shared-local"], 5)
    assert claim == "shared-local"
    assert spent["examples"] >= 10
    assert 0.0 < spent["draw"] + spent["drive"] <= spent["all"]


def test_deep_relu_networks_are_counted() -> None:
    found = deep_relu.counted("fully connected relu, depth 3", "generic", 25, 17)
    assert 0 < found["converged"] <= 25
    asked = [found[f"fc-relu-local {outcome}"] for outcome in ("holds", "violated", "undecided", "outside")]
    assert sum(asked) == found["converged"]


def test_a_hunt_is_measured() -> None:
    # As much searching as it takes to find something, and little more.
    quarry = replace(SPACES["depth2-local"].quarries[0], patience=(600, 10))
    cells = [cell.strip() for cell in hunts.row("depth2-local", quarry, [0]).strip("| ").split("|")]
    assert cells[:3] == ["depth2-local", "zero weight", "1 of 1"]
    first, whole = (float(cell.split(" / ")[0]) for cell in cells[3:5])
    assert 0.0 < first <= whole
    assert cells[5:] == ["1 x 2 x 2 (1)", "none"]


@pytest.mark.parametrize("first", [False, True])
def test_a_hunt_may_end_with_its_first_counterexample(monkeypatch: pytest.MonkeyPatch, first: bool) -> None:
    told: list[bool] = []

    def hunt(claim: str, *, found: Callable[[Any], None], **_: Any) -> None:
        for robust in (False, True):
            told.append(robust)
            found(SimpleNamespace(robustness={"robust": robust}))

    monkeypatch.setattr(hunts, "hunt", hunt)
    result = hunts.hunted("depth2-local", SPACES["depth2-local"].quarries[0], 0, first)
    assert told == ([False] if first else [False, True])
    assert list(result.best) == told
    assert result.first is not None
