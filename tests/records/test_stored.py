"""Every stored counterexample, again: proven exactly, replayed by the flow, and shown as its record says."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.certificates import verify_file
from harness.cli import main
from harness.harvest import huntable
from harness.problem.instances import Instance
from harness.records.record import INSTANCE, PAGE, RECORD, load, stored
from harness.records.replay import replay
from harness.report import index, page

REPORTS = Path(__file__).parents[2] / "reports"
FOLDERS = sorted(path.parent.name for path in REPORTS.glob(f"*/{RECORD}"))
every = pytest.mark.parametrize("folder", FOLDERS)


@every
def test_it_is_proven(folder: str) -> None:
    verified = verify_file(REPORTS / folder / RECORD)
    assert verified.accepted, verified.reason


@every
def test_the_flow_still_ends_there_and_denies_the_claim(folder: str) -> None:
    record = load(REPORTS / folder / RECORD)
    assert record.folder == folder
    replayed = replay(record)
    assert replayed.agrees, replayed.reason


@every
def test_check_replays_it(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(REPORTS / folder / RECORD)]) == 0
    out = capsys.readouterr().out
    assert "converged: " in out
    # of what is stated of the limit itself no verdict is a proof
    assert "no, certified" in out or load(REPORTS / folder / RECORD).stated
    assert out.splitlines()[-1].endswith("and the claim is violated")


@every
def test_its_page_is_that_of_its_record(folder: str) -> None:
    record = load(REPORTS / folder / RECORD)
    assert (REPORTS / folder / PAGE).read_text(encoding="utf-8") == page(record)
    assert Instance.from_json((REPORTS / folder / INSTANCE).read_text()) == record.instance


def test_every_refuted_claim_has_one_and_the_index_has_all() -> None:
    records = stored(REPORTS)
    assert {record.claim for record in records} >= set(huntable())
    assert (REPORTS / "README.md").read_text(encoding="utf-8") == index(records)
    assert not list(REPORTS.glob("*.aside-*"))
