"""What violates a claim in a survey is drawn again, shrinks, and is stored as any other counterexample."""

from __future__ import annotations

from contextlib import nullcontext
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import find, settings

import harness
from harness.certificates import verify_file
from harness.claims.table import CLAIMS
from harness.cli import main
from harness.harvest import Harvested
from harness.problem.fields import FieldError
from harness.problem.instances import Instance
from harness.problem.sizes import size
from harness.records.record import RECORD, load
from harness.survey import Cell, Plan, drawn, grid, run
from harness.survey.laws import draw, stream
from harness.survey.suspects import coarser, pursue, suspects, versions
from tests.survey.test_survey import Now

# Half of these limits are no local optimum: a coordinate that is off on all points at the start is lost.
PLAN = Plan(tuple(grid(family="diagonal", n=2, d=2, scale=(0.1, 1.0))), 120, claims=("depth2-local", "kkt"), batch=60)


@pytest.fixture(scope="module")
def surveyed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("survey")
    run(PLAN, out, executor=Now())
    return out


def violates(instance: Instance, claim: str = "depth2-local") -> bool:
    (limit,) = harness.drive([instance])
    verdicts = harness.decide(limit) if limit.status == "converged" else None
    return CLAIMS[claim].judged(limit, verdicts) == "violated"


def test_suspects_are_drawn_again(surveyed: Path) -> None:
    found = suspects(surveyed, "depth2-local")
    assert set(found) == {"dead neuron"}
    instances = found["dead neuron"]
    assert len(instances) > 5
    assert instances == sorted(instances, key=size)
    assert all(map(violates, instances))
    assert set(instances) < {drawn(PLAN.cell(index)[1], PLAN.seed, index)[0] for index in range(PLAN.instances)}
    assert suspects(surveyed, "kkt") == {}
    with pytest.raises(FieldError, match="was not judged"):
        suspects(surveyed, "fc-relu-local")


@pytest.mark.parametrize("scale", [0.01, 10.0])
def test_coarser_versions(scale: float) -> None:
    instance = draw(Cell(width=3, scale=scale), stream(0, 1))
    assert coarser(instance, None) is instance
    whole = coarser(instance, (1, False))
    assert all(a.denominator == 1 for rows in (whole.x, whole.theta0) for row in rows for a in row)
    assert 2 <= max(abs(a) for row in whole.theta0 for a in row) <= 4
    quarters = coarser(instance, (4, True))
    largest = max(abs(a) for row in instance.theta0 for a in row)
    for row, given in zip(quarters.theta0, instance.theta0, strict=True):
        assert all(abs(a - b) <= largest / 16 for a, b in zip(row, given, strict=True))


def test_a_point_that_would_be_zero_is_left_alone() -> None:
    instance = draw(Cell(width=1, n=1), stream(0, 1))
    tiny = Instance.of(instance.network, instance.loss, ((Fraction(1, 9), Fraction(0)),), (1,), instance.theta0)
    assert coarser(tiny, (1, False)) is tiny


def test_hypothesis_shrinks_a_list_to_the_one_that_fails(surveyed: Path) -> None:
    instances = suspects(surveyed, "depth2-local")["dead neuron"]
    batch = find(versions(instances), lambda batch: any(map(violates, batch)), settings=settings(database=None))
    assert len(batch) == 1
    assert violates(batch[0])
    assert size(batch[0]) < min(map(size, instances))


def test_suspects_become_a_stored_counterexample(surveyed: Path, tmp_path: Path) -> None:
    (result,) = pursue(surveyed, "depth2-local", tmp_path)
    assert result.found
    assert result.written
    assert result.path is not None
    record = load(result.path / RECORD)
    assert (record.claim, record.mechanism) == ("depth2-local", "dead neuron")
    assert verify_file(result.path / RECORD).accepted
    assert violates(record.instance)
    # much smaller than what the law drew
    assert all(abs(a) <= 3 and a.denominator == 1 for row in record.instance.x for a in row)


def test_the_command_hunts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[tuple[Path, str, Path, int]] = []

    def pursued(out: Path, claim: str, reports: Path, seed: int, progress: object) -> list[Harvested]:
        asked.append((out, claim, reports, seed))
        return [Harvested(claim, True, reports / "found", True, "stored")]

    monkeypatch.setattr("harness.survey.suspects.pursue", pursued)
    monkeypatch.setattr("harness.survey.runner.engine", lambda name, processes: nullcontext((Now(), 1)))
    given = ["survey", "--claim", "depth2-local", "--claim", "kkt", "--instances", "6", "--seed", "4"]
    assert main([*given, "--out", str(tmp_path / "out"), "--hunt", str(tmp_path / "reports")]) == 0
    # what is no refuted claim has nothing to hunt
    assert asked == [(tmp_path / "out", "depth2-local", tmp_path / "reports", 4)]
    assert f"depth2-local: stored ({tmp_path / 'reports' / 'found'})" in capsys.readouterr().out


def test_what_cannot_be_hunted_is_refused(surveyed: Path, tmp_path: Path) -> None:
    with pytest.raises(FieldError, match="kkt cannot be hunted"):
        pursue(surveyed, "kkt", tmp_path)
