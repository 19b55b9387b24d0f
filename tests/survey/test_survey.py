"""A survey counts every instance once, the same whoever does the work, and what it says of a limit is so."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest
from scipy.stats import binomtest

import harness
from harness.cli import main
from harness.problem.fields import FieldError
from harness.survey import Cell, Counts, Plan, Rate, count, drawn, grid, run
from harness.survey import work as working
from harness.survey.shards import Folder
from harness.survey.text import summary

CELLS = tuple(grid(width=(2, 3), n=(2, 3), scale=(0.1, 1.0)))
PLAN = Plan(CELLS, instances=90, seed=3, claims=("fc-relu-local", "kkt"), batch=20)


class Now(Executor):
    """Does the work when it is submitted, and stops when it has done so many batches."""

    def __init__(self, most: int = 10**9) -> None:
        self.most, self.batches = most, []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        if len(self.batches) == self.most:
            raise KeyboardInterrupt
        self.batches.append(args[1])
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


class Backwards(ThreadPoolExecutor):
    """Holds the first batch back until the others are done."""

    held: Any = None

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        if self.held is None:
            self.held = (Future(), fn, args)
            return self.held[0]
        future = super().submit(fn, *args, **kwargs)
        if args[1] == PLAN.batches - 1:
            future.add_done_callback(lambda _: self.held[0].set_result(self.held[1](*self.held[2])))
        return future


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Counts]:
    out = tmp_path_factory.mktemp("survey")
    return out, run(PLAN, out, executor=Now())


def shards(out: Path) -> dict[str, bytes]:
    """Those that are whole: one that was being written when the survey was killed bears another name."""
    return {path.name: path.read_bytes() for path in out.glob("shard-*.parquet")}


def test_every_instance_is_counted_once(counted: tuple[Path, Counts]) -> None:
    out, counts = counted
    assert counts.total.instances == PLAN.instances
    assert [tally.instances for _, tally in counts.cells] == [12, 12, *[11] * 6]
    assert sum(counts.total.outcomes.values()) == PLAN.instances
    indices = [index for table in Folder(out).tables(["index"]) for index in table["index"].to_pylist()]
    assert indices == list(range(PLAN.instances))


def test_the_counts_are_what_the_trainer_and_the_oracles_say(counted: tuple[Path, Counts]) -> None:
    counts = counted[1].total
    limits = harness.drive([drawn(PLAN.cell(i)[1], PLAN.seed, i)[0] for i in range(PLAN.instances)])
    converged = [limit for limit in limits if limit.status == "converged"]
    statuses = [harness.decide(limit).local.status for limit in converged]
    assert counts.outcomes["converged"] == len(converged) > 30
    assert counts.local["optimal"] == statuses.count("optimal")
    assert counts.local["not_optimal"] == statuses.count("not_optimal") == counts.claims["fc-relu-local"]["violated"]
    assert counts.claims["kkt"]["holds"] == len(converged)
    assert sum(counts.mechanisms.values()) == counts.local["not_optimal"]
    assert sum(counts.agreement.values()) >= counts.suspects
    assert set(counts.agreement) <= {"agree"}


@pytest.mark.parametrize("executor", ["local", "backwards"])
def test_neither_the_engine_nor_the_order_changes_a_byte(
    counted: tuple[Path, Counts], executor: str, tmp_path: Path
) -> None:
    if executor == "local":
        counts = run(PLAN, tmp_path, executor="local", workers=2)
    else:
        with Backwards(1) as pool:
            counts = run(PLAN, tmp_path, executor=pool, workers=PLAN.batches)
    assert counts == counted[1]
    assert shards(tmp_path) == shards(counted[0])


def test_an_interrupted_survey_goes_on_where_it_stopped(counted: tuple[Path, Counts], tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(PLAN, tmp_path, executor=Now(most=3))
    there = len(shards(tmp_path))
    assert 0 < there < PLAN.batches
    assert count(tmp_path).total.instances == 20 * there
    (tmp_path / ".new-1-shard-000004.parquet").write_bytes(b"half")
    again = Now()
    assert run(PLAN, tmp_path, executor=again) == counted[1]
    assert len(again.batches) == PLAN.batches - there
    assert run(PLAN, tmp_path, executor=Now(most=0)) == counted[1]
    assert not list(tmp_path.glob(".*"))


def test_a_damaged_shard_is_done_again(counted: tuple[Path, Counts], tmp_path: Path) -> None:
    run(PLAN, tmp_path, executor=Now())
    shard = Folder(tmp_path).shard(2)
    shard.write_bytes(shard.read_bytes()[:-7])
    again = Now()
    assert run(PLAN, tmp_path, executor=again) == counted[1]
    assert again.batches == [2]


def test_a_survey_can_be_made_longer_but_not_another(tmp_path: Path) -> None:
    short = replace(PLAN, instances=30)
    assert run(short, tmp_path, executor=Now()).total.instances == 30
    longer = Now()
    assert run(replace(PLAN, instances=50), tmp_path, executor=longer).total.instances == 50
    # the second batch was short
    assert longer.batches == [1, 2]
    for other in (short, replace(PLAN, seed=4), replace(PLAN, cells=CELLS[:3])):
        with pytest.raises(FieldError, match=tmp_path.name):
            run(other, tmp_path, executor=Now(most=0))


def test_results_of_another_trainer_are_not_counted_with_these(
    counted: tuple[Path, Counts], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.survey.shards.fingerprint", lambda: "another")
    with pytest.raises(FieldError, match="another version"):
        run(PLAN, counted[0], executor=Now(most=0))
    with pytest.raises(FieldError, match="a worker has another version"):
        working.work(PLAN, 0, "another")


def test_a_shard_of_another_survey_is_refused(tmp_path: Path) -> None:
    run(replace(PLAN, instances=20, seed=9), tmp_path / "other", executor=Now())
    run(replace(PLAN, instances=20), tmp_path / "this", executor=Now())
    (tmp_path / "other" / "shard-000000.parquet").replace(tmp_path / "this" / "shard-000000.parquet")
    with pytest.raises(FieldError, match="not a shard of this survey"):
        count(tmp_path / "this")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"cells": ()}, "cells"),
        ({"instances": 0}, "instances"),
        ({"seed": -1}, "seed"),
        ({"claims": ("no-such-claim",)}, "claim"),
        ({"features": ("no-such-feature",)}, "features"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(FieldError) as caught:
        replace(PLAN, **changes)
    assert caught.value.field == field


def test_a_plan_survives_json() -> None:
    assert Plan.of(json.loads(json.dumps(PLAN.data()))) == PLAN


def test_killed_at_once_it_loses_only_what_was_in_hand(counted: tuple[Path, Counts], tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from harness.survey import Plan, run; import json\n"
        "if __name__ == '__main__':\n"
        "    run(Plan.of(json.loads(sys.argv[1])), Path(sys.argv[2]), workers=1)\n"
    )
    script = tmp_path / "survey.py"
    script.write_text(program)
    out = tmp_path / "out"
    command = [sys.executable, str(script), json.dumps(PLAN.data()), str(out)]
    survey = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(Path(harness.__file__).parents[1])})
    for _ in range(600):
        if len(shards(out)) >= 1:
            break
        time.sleep(0.1)
    workers = psutil.Process(survey.pid).children(recursive=True)
    os.kill(survey.pid, signal.SIGKILL)
    survey.wait()
    # its worker does not outlive it
    assert workers
    assert not psutil.wait_procs(workers, timeout=30)[1]
    before = shards(out)
    assert before
    again = Now()
    assert run(PLAN, out, executor=again) == counted[1]
    assert len(again.batches) == PLAN.batches - len(before)
    assert before.items() <= shards(out).items()


def test_a_float_verdict_that_the_proof_denies_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted bug: an oracle whose float verdicts are all "not optimal"."""

    class Lying:
        def __init__(self, verdicts: Any, certify: bool) -> None:
            self._verdicts, self._certify = verdicts, certify

        def __getattr__(self, name: str) -> Any:
            found = getattr(self._verdicts, name)
            return found if self._certify or name != "local" else replace(found, status="not_optimal")

    decide = harness.decide
    monkeypatch.setattr("harness.decide", lambda limit, certify: Lying(decide(limit, certify=certify), certify))
    found = working.rows(PLAN, 0)
    converged = [row for row in found if row["outcome"] == "converged"]
    assert all(row["suspect"] for row in converged)
    assert any(row["agreement"] == "contradict" and row["local"] == "optimal" for row in converged)
    assert all(row["claim:fc-relu-local"] != "violated" or row["local"] == "not_optimal" for row in converged)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("optimal", "optimal", "agree"),
        ("undecided", "not_optimal", "agree"),
        ("optimal", "undecided", "unproven"),
        ("optimal", "not_optimal", "contradict"),
    ],
)
def test_how_two_decisions_compare(before: str, after: str, said: str) -> None:
    floats, exact = (
        SimpleNamespace(limit=SimpleNamespace(value=1.0), statuses={"local": status}, claims={})
        for status in (before, after)
    )
    assert working.compared(floats, exact) == said  # pyright: ignore[reportArgumentType]


def test_a_device_screens_and_the_cpu_has_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan(tuple(grid(width=4, n=4, d=3, scale=(0.1, 1.0))), instances=40, seed=1, batch=40)
    driven: list[tuple[str, int]] = []
    drive = harness.drive

    def watched(instances: Any, *, device: str = "cpu", **others: Any) -> Any:
        driven.append((device, len(instances)))
        return drive(instances, device=device, **others)

    monkeypatch.setattr("harness.drive", watched)
    here = working.rows(plan, 0)
    driven.clear()
    screened = working.rows(replace(plan, device="cpu:0"), 0)
    again = sum(row["agreement"] is not None for row in screened)
    assert sum(row["suspect"] for row in screened) > 0
    assert driven == [("cpu:0", 40), *[("cpu", 1)] * again]
    for one, other in zip(here, screened, strict=True):
        assert (one["outcome"], one["local"], one["global"]) == (other["outcome"], other["local"], other["global"])
        if one["value"] is not None:
            assert one["value"] == pytest.approx(other["value"], rel=1e-9)


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    @contextmanager
    def here(name: str, processes: int | None) -> Generator[tuple[Executor, int]]:
        assert (name, processes) == ("local", 3)
        yield Now(), 3

    monkeypatch.setattr("harness.survey.runner.engine", here)
    out = str(tmp_path / "out")
    given = ["survey", "--claim", "shared-local", "--seed", "2", "--processes", "3", "--out", out]
    assert main([*given, "--instances", "30"]) == 0
    printed = capsys.readouterr()
    assert "convolutional relu, depth 2\n    16 instances: " in printed.out
    assert "0 of 30 instances are there" in printed.err
    assert main([*given, "--instances", "20"]) == 2
    assert f"marginalia: {out}: holds a longer survey" in capsys.readouterr().err


def test_an_engine_that_there_is_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["survey", "--instances", "5", "--executor", "abacus", "--out", str(out)]) == 2
    assert "executor: there is no 'abacus'" in capsys.readouterr().err
    assert not out.exists()


def test_a_suspect_whose_flow_ends_elsewhere_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted bug: a trainer whose limits are not there when it is to be strict."""
    plan = Plan((Cell("diagonal", n=2, d=3),), instances=30, batch=30)
    before = working.rows(plan, 0)
    assert any(row["local"] == "not_optimal" for row in before)
    drive = harness.drive

    def late(instances: Any, **others: Any) -> Any:
        limits = drive(instances, **others)
        if others.get("settings") is not working.STRICT:
            return limits
        return [replace(limit, status="undecided", point=None, reason="Separated, but lost.") for limit in limits]

    monkeypatch.setattr("harness.drive", late)
    after = working.rows(plan, 0)
    assert not any(row["local"] == "not_optimal" for row in after)
    assert all(row["outcome"] == "undecided" and row["agreement"] == "unproven" for row in after if row["suspect"])


@pytest.mark.parametrize(("k", "n"), [(0, 1), (0, 50), (3, 50), (50, 50), (120, 9000)])
def test_wilson_intervals(k: int, n: int) -> None:
    expected = binomtest(k, n).proportion_ci(0.95, method="wilson")
    assert Rate(k, n).interval == pytest.approx((expected.low, expected.high), abs=1e-6)
    assert Rate(0, 0).interval == (0.0, 1.0)


def test_the_tables_add_up(counted: tuple[Path, Counts]) -> None:
    counts = counted[1]
    assert sum(tally.instances for tally in counts.by("width", "n").values()) == PLAN.instances
    assert counts.by()[()] == counts.total
    lines = counts.csv().splitlines()
    assert len(lines) == 1 + len(CELLS)
    assert "fc-relu-local: holds" in lines[0]
    assert f"{PLAN.instances} instances" in summary(counts)


def test_columns_of_a_shard(counted: tuple[Path, Counts]) -> None:
    table = pq.read_table(Folder(counted[0]).shard(0)).to_pylist()
    for row in table:
        converged = row["outcome"] == "converged"
        assert (row["local"] is not None) == (row["value"] is not None) == (row["reason"] is None) == converged
        assert (row["mechanism"] is not None) <= (row["local"] == "not_optimal")


def test_a_law_that_no_flow_separates_is_reported_as_such() -> None:
    # one neuron, many random labels: hardly any flow can separate
    plan = Plan((Cell(width=1, n=6, d=2, labels="random"),), instances=20, batch=20)
    outcomes = {row["outcome"] for row in working.rows(plan, 0)}
    assert outcomes <= {"never separates", "not separated", "not unique", "converged", "undecided"}
    assert "not separated" in outcomes
