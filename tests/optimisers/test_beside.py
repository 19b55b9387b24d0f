"""The commands: `check --optimiser` tells of an end, `survey --optimiser` counts them beside the flow's limits."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import harness
from harness.cli import main
from harness.optimisers import Setup, settle, train
from harness.optimisers.descents import Descent
from harness.survey import Plan, count, drawn, grid, run
from harness.survey.beside import kind
from harness.survey.counts import read_csv
from harness.survey.studies import PAGE, STUDIES, Study
from tests.survey.test_survey import Now

L2 = Setup("l2", steps=3000)
CELLS = tuple(grid(activation=("relu", "linear"), width=3, n=3, d=2))
PLAN = Plan(CELLS, 24, seed=4, claims=("kkt", "fc-relu-local", "loss-vanishes"), optimisers=(L2,), batch=12)


@pytest.fixture
def instance_file(tmp_path: Path) -> Path:
    path = tmp_path / "instance.json"
    path.write_text(drawn(CELLS[1], 4, 0)[0].to_json())
    return path


def test_check_tells_of_the_end(instance_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(instance_file), "--optimiser", "l2", "--steps", "3000", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    instance = drawn(CELLS[1], 4, 0)[0]
    (training,) = train([instance], L2.method, steps=3000)
    end = settle(training)
    assert end.point is not None
    assert (found["status"], found["reason"]) == ("converged", end.reason)
    assert found["limit"]["theta"] == [u.tolist() for u in end.point.theta]
    assert found["limit"]["proven"] is False
    assert found["verdicts"]["global"] == {**found["verdicts"]["global"], "status": "optimal", "certified": True}
    assert found["optimiser"]["log_loss"] == training.log_loss[-1]
    assert found["flow"]["status"] == "converged"
    assert found["flow"]["limit"]["value"] == pytest.approx(end.point.value)
    assert main(["check", str(instance_file), "--optimiser", "l2", "--steps", "3000"]) == 0
    text = capsys.readouterr().out
    assert end.reason in text
    assert "The flow from the same start: converged" in text


def test_check_reads_an_optimiser_in_the_file(
    instance_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As --optimiser does; what is kept of a claim about optimisers is such a file."""
    descent = Descent.by(Setup("l2", 3000), drawn(CELLS[1], 4, 0)[0])
    (tmp_path / "descent.json").write_text(descent.to_json())
    assert main(["check", str(tmp_path / "descent.json"), "--json"]) == 0
    found = capsys.readouterr().out
    assert main(["check", str(instance_file), "--optimiser", "l2", "--steps", "3000", "--json"]) == 0
    assert found == capsys.readouterr().out
    for more in (["--optimiser", "gd"], ["--steps", "5"]):
        assert main(["check", str(tmp_path / "descent.json"), *more]) == 2
        assert capsys.readouterr().err.startswith("marginalia: optimiser: ")
    (tmp_path / "descent.json").write_text(descent.to_json().replace('"l2"', '"sgd"'))
    assert main(["check", str(tmp_path / "descent.json")]) == 2
    assert capsys.readouterr().err.startswith("marginalia: optimiser: there is no 'sgd'")


def test_check_tells_of_none(instance_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(instance_file), "--optimiser", "gd", "--steps", "3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["status"] == "undecided"
    assert found["limit"] is found["verdicts"] is None
    assert found["flow"]["limit"] is not None


@pytest.mark.parametrize(
    ("given", "field"),
    [
        (["--optimiser", "sgd"], "optimiser"),
        (["--optimiser", "gd", "--step-size", "0"], "step-size"),
        (["--optimiser", "gd", "--steps", "0"], "steps"),
        (["--optimiser", "gd", "--decay", "-1"], "decay"),
        (["--optimiser", "gd", "--eps", "0"], "eps"),
        (["--optimiser", "momentum", "--beta", "1"], "beta"),
        (["--optimiser", "adam", "--eps", "-1"], "eps"),
        (["--optimiser", "gd", "--events", "5"], "events"),
        (["--step-size", "0.1"], "step-size"),
        (["--eps", "0"], "eps"),
    ],
)
def test_bad_options_name_their_field(
    instance_file: Path, given: list[str], field: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(instance_file), *given]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"marginalia: {field}: ")
    assert len(captured.err.splitlines()) == 1


def test_a_survey_counts_the_ends(tmp_path: Path) -> None:
    """What it counts is what training and deciding one by one say; the path of the flow is no matter of an end."""
    counts = run(PLAN, tmp_path, executor=Now()).total
    instances = [drawn(PLAN.cell(i)[1], PLAN.seed, i)[0] for i in range(PLAN.instances)]
    ends = [settle(training) for training in train(instances, L2.method, steps=L2.steps)]
    told = counts.beside["l2:end"]
    assert told == {name: n for name in told if (n := sum(kind(end) == name for end in ends))}
    assert sum(told.values()) == PLAN.instances
    limits = harness.drive(instances)
    both = [(end, flow) for end, flow in zip(ends, limits, strict=True) if end.point and flow.point]
    assert counts.beside["l2:value"] == {"the same": len(both)}
    pairs = {f"{harness.decide(flow).local.status} -> {harness.decide(end).local.status}" for end, flow in both}
    assert set(counts.beside["l2:local"]) == pairs
    assert counts.beside["l2:kkt"] == {"holds -> holds": len(both)}
    assert "l2:loss-vanishes" not in counts.beside
    assert len(both) >= 8
    assert read_csv(count(tmp_path).csv()) == count(tmp_path)


def test_the_plan_knows_its_optimisers() -> None:
    assert Plan.of(json.loads(json.dumps(PLAN.data()))) == PLAN
    assert replace(PLAN, optimisers=()).digest() != PLAN.digest()
    assert replace(PLAN, optimisers=(replace(L2, steps=3001),)).digest() != PLAN.digest()


def test_the_command_trains_and_the_study_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from contextlib import nullcontext

    study = STUDIES["optimisers"]
    few = tuple(replace(setup, steps=40) for setup in study.optimisers)
    short: Study = replace(study, cells=study.cells[:2], optimisers=few)
    monkeypatch.setitem(STUDIES, study.name, short)
    monkeypatch.setattr("harness.survey.runner.engine", lambda *_: nullcontext((Now(), 1)))
    given = ["survey", "--study", study.name, "--instances", "12", "--out", str(tmp_path / "study")]
    assert main([*given, "--report", str(tmp_path / "reports")]) == 0
    assert "adam (beta2 0.9, eps 0) ends: " in capsys.readouterr().out
    assert "| momentum: on its way |" in (tmp_path / "reports" / study.name / PAGE).read_text()
    assert main([*given, "--optimiser", "gd"]) == 2
    assert "optimiser: a study has its own" in capsys.readouterr().err
    asked = ["--claim", "kkt", "--instances", "4", "--out", str(tmp_path / "own")]
    assert main(["survey", *asked, "--steps", "5"]) == 2
    assert "steps: only with --optimiser" in capsys.readouterr().err
    assert main(["survey", *asked, "--optimiser", "linf", "--steps", "5"]) == 0
    assert "linf ends: " in capsys.readouterr().out
