"""The strategy of the hunts, and a whole harvest."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

import harness
from harness.cli import main
from harness.harvest import Harvested, huntable, rebuild, run_harvest
from harness.harvest import run as run_module
from harness.harvest.finding import Finding
from harness.harvest.search import Hunter, hunt
from harness.harvest.spaces import SPACES, Quarry, space, within
from harness.problem.fields import FieldError
from harness.problem.instances import Instance
from harness.problem.limits import Limit
from harness.problem.sizes import Sizes
from harness.records.folders import Rejected, store
from harness.records.record import FIGURE, INSTANCE, PAGE, RECORD, Record, record_text, stored
from tests.records.test_folders import everything, forged
from tests.support.counterexamples import ALL, depth2_local, fc_relu_local

every = pytest.mark.parametrize("make", ALL.values(), ids=ALL)


# --- the record ---


@every
def test_record_text_is_json_and_readable(make: Callable[[], Record]) -> None:
    record = make()
    text = record_text(record)
    assert json.loads(text) == record.data
    assert max(map(len, text.splitlines())) < 200
    assert len(text.splitlines()) < 80


# --- the strategy of the hunts ---


@pytest.mark.parametrize("claim", [name for name, own in SPACES.items() if own.drawn is None])
def test_the_space_of_a_claim_has_only_what_it_speaks_of(claim: str) -> None:
    from harness.claims.table import CLAIMS

    sizes, kinds, count = Sizes(2, 3, 2), set[str](), Counter[bool]()

    @settings(max_examples=30, database=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
    @given(space(claim, Quarry(), sizes, 10))
    def check(batch: list[Instance]) -> None:
        assert len(batch) == 10
        for instance in batch:
            count[CLAIMS[claim].applies(instance.network)] += 1
            assert sizes.holds(instance)
            assert all(a.denominator == 1 for rows in (instance.x, instance.theta0) for row in rows for a in row)
            kinds.add(instance.network.activation)

    check()
    # One coordinate only leaves a filter no second position.
    # Data are what they are: only networks are drawn for a claim.
    assert count[True] > (2 if claim == "shared-local" else 1000) * count[False]
    assert kinds == {architecture.activation for architecture in SPACES[claim].architectures}


def test_within_takes_one_away_at_a_time() -> None:
    assert list(within(fc_relu_local().instance)) == [Sizes(1, 2, 2), Sizes(2, 1, 2), Sizes(2, 2, 1), Sizes(2, 2, 2)]
    assert list(within(depth2_local().instance)) == [Sizes(1, 1, 2), Sizes(1, 2, 1), Sizes(1, 2, 2)]


def test_smaller_sizes_are_searched_again_after_the_opening_found_nothing_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked: list[tuple[int, bool | None]] = []
    hunter = Hunter("depth2-local", Quarry(), 0, print, lambda finding: None)
    monkeypatch.setattr(Hunter, "look", lambda self, instances, count, wanted: looked.append((count, wanted)))
    for count, wanted in ((30, None), (20, None), (20, None), (20, True)):
        assert hunter.search(Sizes(1, 2, 2), count, wanted) is None
    assert looked == [(30, None), (20, None), (20, True)]


# --- the hunt believes nobody ---


def test_a_trainer_that_never_converges_yields_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(instances: list[Instance], **_: Any) -> list[Limit]:
        return [Limit(instance, "undecided", "out of order") for instance in instances]

    monkeypatch.setattr(harness, "drive", never, raising=False)
    assert hunt("depth2-local", max_examples=100) is None


def test_a_verdict_without_a_certificate_yields_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.oracles import decide

    monkeypatch.setattr(harness, "decide", lambda limit, **_: decide(limit, certify=False), raising=False)
    assert hunt("depth2-local", max_examples=300) is None


# --- a whole harvest ---


def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the first hunt as much searching as it takes to find something, and little more."""
    space = SPACES["depth2-local"]
    quarries = tuple(replace(quarry, patience=(600, 10)) for quarry in space.quarries[:1])
    monkeypatch.setitem(SPACES, "depth2-local", replace(space, quarries=quarries))


@pytest.mark.parametrize("claim", ["no-such-claim", "kkt", ""])
def test_claims_that_cannot_be_hunted(claim: str, tmp_path: Path) -> None:
    with pytest.raises(FieldError) as caught:
        run_harvest(["depth2-local", claim], tmp_path / "reports")
    assert caught.value.field == "claim"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "taken"
    path.write_text("")
    for out in (path, path / "below"):
        with pytest.raises(FieldError) as caught:
            run_harvest(None, out)
        assert caught.value.field == "out"


def test_every_refuted_claim_has_a_hunt() -> None:
    from harness.claims.table import CLAIMS

    assert huntable() == [name for name, claim in CLAIMS.items() if claim.status == "refuted"]
    assert len(huntable()) == 19


def test_a_claim_without_a_counterexample_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.harvest.search.hunt", lambda *_, **__: None)
    (result,) = run_harvest(["depth2-local"], tmp_path, processes=1)
    assert (result.claim, result.found, result.path, result.written) == ("depth2-local", False, None, False)


def test_harvest_in_processes(tmp_path: Path) -> None:
    lines: list[str] = []
    results = run_harvest(["depth2-local"], tmp_path, 0, lines.append, processes=2)
    assert [(result.claim, result.found, result.written) for result in results] == [("depth2-local", True, True)] * 2
    assert {record.mechanism for record in stored(tmp_path)} == {"zero weight", "dead neuron"}
    assert any(line.startswith("depth2-local, zero weight: ") and "counterexample with" in line for line in lines)


def test_the_same_harvest_twice_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _hurried(monkeypatch)
    first, second = tmp_path / "first", tmp_path / "second"
    for out in (first, second):
        assert all(result.written for result in run_harvest(["depth2-local"], out, 0, processes=1))
    assert len(everything(first)) > 4
    assert everything(first) == everything(second)
    assert not any(result.written for result in run_harvest(["depth2-local"], first, 0, processes=1))
    assert everything(first) == everything(second)


class _Found:
    """Stands for a Finding with this record."""

    def __init__(self, record: Record) -> None:
        self._record, self.instance = record, record.instance

    def record(self) -> Record:
        return self._record


def hunting(*records: Record) -> Callable[..., Any]:
    """A hunt that finds these, one after the other."""

    def hunt(claim: str, *, found: Callable[[Any], None], **_: Any) -> Any:
        for record in records:
            found(_Found(record))
        return _Found(records[-1])

    return hunt


def test_everything_on_the_way_is_stored_before_it_is_spoken_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[set[str]] = []

    def progress(line: str) -> None:
        if "counterexample with" in line:
            told.append({record.instance.to_json() for record in stored(tmp_path)})

    kept: list[Finding] = []
    _hurried(monkeypatch)
    finding = hunt(
        "depth2-local",
        progress=progress,
        found=lambda finding: (kept.append(finding), store(finding.record(), tmp_path))[0],
    )
    assert finding in kept
    assert len(told) == len(kept) > 0
    for finding, seen in zip(kept, told, strict=True):
        assert finding.instance.to_json() in seen


def test_a_full_disk_does_not_end_the_hunt_and_the_instance_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("harness.harvest.search.hunt", hunting(depth2_local(3), depth2_local(2)))
    for place in ("harness.records.folders", "harness.records.writing"):
        monkeypatch.setattr(f"{place}.write", full)
    lines: list[str] = []
    result, _, pages = run_harvest(["depth2-local"], tmp_path, 0, lines.append, processes=1)
    assert (result.found, result.path, result.written) == (True, None, False)
    assert "No space left on device" in result.reason
    assert depth2_local(2).instance.to_json() in result.reason
    assert (pages.claim, pages.path) == ("pages", None)
    assert pages.reason.startswith(f"not written (No space left on device): {tmp_path / 'README.md'};")


def test_what_is_missing_beside_a_record_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nearly_full(path: Path, content: bytes) -> None:
        if len(content) > 20_000:
            raise OSError(28, "No space left on device")
        path.write_bytes(content)

    monkeypatch.setattr("harness.harvest.search.hunt", hunting(depth2_local(3), depth2_local(2)))
    monkeypatch.setattr("harness.harvest.run.cores", lambda: 1)
    for place in ("harness.records.folders", "harness.records.writing"):
        monkeypatch.setattr(f"{place}.write", nearly_full)
    assert main(["harvest", "--claim", "depth2-local", "--out", str(tmp_path)]) == 1
    place = tmp_path / depth2_local(2).folder
    # The others are there, and the figure comes with the next harvest.
    assert sorted(path.name for path in place.iterdir()) == sorted({RECORD, INSTANCE, PAGE})
    assert (tmp_path / "README.md").exists()
    *_, said, _ = capsys.readouterr().out.splitlines()
    assert said.startswith(f"pages: not written (No space left on device): {place / FIGURE};")
    monkeypatch.undo()
    rebuild(tmp_path)
    assert (place / FIGURE).exists()


def test_a_forged_finding_is_a_defect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.harvest.search.hunt", hunting(forged()))
    with pytest.raises(Rejected):
        run_harvest(["depth2-local"], tmp_path, processes=1)


def test_what_is_new_is_told_from_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.harvest.search.hunt", hunting(depth2_local(3), depth2_local(2)))
    first, again = run_harvest(["depth2-local"], tmp_path, processes=1)
    assert (first.written, first.new, first.reason) == (
        True,
        (first.path,),
        "zero weight: smaller than what was stored",
    )
    assert (again.written, again.new, again.reason) == (False, (), "dead neuron: the same one is stored already")


_KILLED = "killed"


def _work_or_die(claim: str, quarry: Quarry, out: Path, seed: int) -> Harvested:
    mark = out / _KILLED
    if claim == "depth2-local" and quarry.mechanism == "dead neuron" and (seed == 1 or not mark.exists()):
        mark.write_text("")
        os.kill(os.getpid(), signal.SIGKILL)
    return Harvested(claim, True, out, True, str(quarry))


@pytest.mark.parametrize(("seed", "survives"), [(0, True), (1, False)])
def test_a_killed_worker_does_not_end_the_harvest(
    seed: int, survives: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Forked, so that the workers have this module's function too.
    fork = multiprocessing.get_context("fork")
    monkeypatch.setattr(multiprocessing, "get_context", lambda _: fork)
    monkeypatch.setattr(run_module, "_work", _work_or_die)
    lines: list[str] = []
    results = run_harvest(["depth2-local", "fc-relu-local"], tmp_path, seed, lines.append, processes=2)
    assert any("a worker was killed" in line for line in lines)
    reasons = sorted(result.reason for result in results)
    others = [str(quarry) for quarry in SPACES["fc-relu-local"].quarries]
    if survives:
        assert reasons == sorted(["dead neuron", *others, "zero weight"])
    else:
        # One hunt that is killed each time takes no other down.
        assert reasons == sorted([*others, "zero weight"])
