"""Storing counterexamples: whatever happens on the way, whoever else is writing, and whatever lies there already."""

from __future__ import annotations

import copy
import errno
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.certificates import verify_file
from harness.harvest import rebuild
from harness.problem.fields import FieldError
from harness.records import folders as folders_module
from harness.records.folders import Rejected, Stored, store, trusted
from harness.records.record import FIGURE, INSTANCE, PAGE, RECORD, Record, stored
from tests.support.counterexamples import ALL, depth2_local, fc_relu_local

every = pytest.mark.parametrize("make", ALL.values(), ids=ALL)


def everything(folder: Path) -> dict[str, bytes]:
    """Relative path -> content of every file, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def changed(record: Record, **changes: Any) -> Record:
    return Record(copy.deepcopy(record.data) | changes)


def forged() -> Record:
    """The better point is not feasible."""
    data = copy.deepcopy(depth2_local().data)
    data["certificate"]["better"] = [[0, "1/3"], [0, "1/3"]]
    return Record(data)


# --- one after the other ---


@every
def test_what_is_stored_verifies_and_nothing_else_is_left(make: Callable[[], Record], tmp_path: Path) -> None:
    record = make()
    put = store(record, tmp_path)
    assert put == Stored(tmp_path / record.folder, True, True, "stored")
    assert verify_file(put.path / RECORD).accepted
    assert list(everything(tmp_path)) == [f"{record.folder}/{RECORD}"]
    assert json.loads((put.path / RECORD).read_text()) == record.data


def test_storing_twice_changes_nothing(tmp_path: Path) -> None:
    store(fc_relu_local(), tmp_path)
    before = everything(tmp_path)
    assert not store(fc_relu_local(), tmp_path).written
    assert everything(tmp_path) == before


def test_a_smaller_one_replaces_and_a_larger_one_does_not(tmp_path: Path) -> None:
    small, large = depth2_local(2), depth2_local(3)
    assert store(large, tmp_path).written
    put = store(small, tmp_path)
    assert (put.written, put.new) == (True, True)
    kept = everything(tmp_path)
    assert json.loads(kept[f"{small.folder}/{RECORD}"]) == small.data
    assert not store(large, tmp_path).written
    assert everything(tmp_path) == kept


def test_every_kind_has_its_own_place(tmp_path: Path) -> None:
    for make in ALL.values():
        store(make(), tmp_path)
    for robust in (True, False):
        store(changed(depth2_local(3), robustness={"robust": robust}), tmp_path)
    assert len(stored(tmp_path)) == len(ALL) + 2


def test_the_same_one_with_its_robustness_measured_takes_the_place_of_that_without(tmp_path: Path) -> None:
    store(depth2_local(), tmp_path)
    put = store(changed(depth2_local(), robustness={"robust": False}), tmp_path)
    assert (put.written, put.new, put.path.name) == (True, False, "depth2-local--linear--zero-weight--fragile")
    assert [record.robust for record in stored(tmp_path)] == [False]


def test_the_same_one_named_differently_is_stored_once_and_is_not_new(tmp_path: Path) -> None:
    # The mirror image: the sign of both coordinates, and of the weights on them.
    data = copy.deepcopy(depth2_local().data)
    data["instance"]["x"] = [[-1, -4]]
    data["instance"]["theta0"][0] = [-1, 0]
    for place in ("limit", "certificate"):
        data[place]["theta"][0] = [-1, 0]
    data["certificate"]["better"][0][1] = "-1/2"
    assert store(Record(data), tmp_path).written
    put = store(depth2_local(), tmp_path)
    assert (put.written, put.new) == (True, False)
    assert [record.data for record in stored(tmp_path)] == [depth2_local().data]


# --- what is not to be trusted ---


def test_a_rejected_one_is_never_left_behind(tmp_path: Path) -> None:
    with pytest.raises(Rejected):
        store(forged(), tmp_path)
    assert list(tmp_path.iterdir()) == []
    store(depth2_local(3), tmp_path)
    before = everything(tmp_path)
    with pytest.raises(Rejected):
        store(forged(), tmp_path)
    assert everything(tmp_path) == before


def another_start() -> Record:
    """By hand: the proof still holds, but from this start the flow ends elsewhere."""
    data = copy.deepcopy(depth2_local(3).data)
    data["instance"]["theta0"] = [[1, 1], [1, 1]]
    return Record(data)


HALF = json.dumps(depth2_local(3).data)[:700]
DISTRUSTED = {
    "empty": "",
    "half": HALF,
    "not an object": "[]",
    "a better point that is none": json.dumps(forged().data),
    "a start that leads elsewhere": json.dumps(another_start().data),
    "another claim's": json.dumps(fc_relu_local().data),
    "no text": "\xff",
    "a robustness that is none": json.dumps(depth2_local().data | {"robustness": "much"}),
}


@pytest.mark.parametrize("content", DISTRUSTED.values(), ids=DISTRUSTED)
def test_what_is_not_trusted_is_set_aside_whole_and_replaced(content: str, tmp_path: Path) -> None:
    record = depth2_local(3)
    place = store(record, tmp_path).path
    (place / RECORD).write_text(content, encoding="latin-1")
    (place / "notes.txt").write_text("someone's own")
    (path, why), *others = trusted(tmp_path)[1]
    assert (path, others) == (place / RECORD, [])
    assert why

    put = store(record, tmp_path)
    assert put.written
    (sentence,) = put.aside
    assert why in sentence
    assert verify_file(place / RECORD).accepted
    aside = place.with_name(f"{place.name}.aside-1")
    assert everything(aside) == {RECORD: content.encode("latin-1"), "notes.txt": b"someone's own"}
    assert [kept.data for kept in trusted(tmp_path)[0]] == [record.data]
    assert trusted(tmp_path)[1] == []


def test_two_that_are_set_aside_are_both_kept(tmp_path: Path) -> None:
    for content in ("one", "two"):
        path = store(depth2_local(), tmp_path).path / RECORD
        path.write_text(content)
    store(depth2_local(), tmp_path)
    assert sorted(path.read_text() for path in tmp_path.glob(f"*.aside-*/{RECORD}")) == ["one", "two"]


def test_rebuild_sets_aside_what_it_does_not_trust_and_shows_the_rest(tmp_path: Path) -> None:
    store(fc_relu_local(), tmp_path)
    broken = store(depth2_local(), tmp_path).path
    (broken / RECORD).write_text(HALF)
    records, aside = rebuild(tmp_path)
    assert [record.claim for record in records] == ["fc-relu-local"]
    assert len(aside) == 1
    assert "depth2-local" not in (tmp_path / "README.md").read_text()
    assert rebuild(tmp_path) == (records, [])


def test_a_record_that_cannot_be_read_at_all(tmp_path: Path) -> None:
    place = tmp_path / depth2_local().folder
    (place / RECORD).mkdir(parents=True)
    put = store(depth2_local(), tmp_path)
    assert put.written
    assert "Is a directory" in put.aside[0]
    # Nor a link to nowhere.
    (place / RECORD).unlink()
    (place / RECORD).symlink_to("nowhere")
    assert "No such file" in store(depth2_local(), tmp_path).aside[0]


# --- disks ---


@pytest.mark.parametrize("failing", ["write", "verify_file", "sync"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_failure_on_the_way_leaves_a_whole_record(
    failing: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, large = depth2_local(2), depth2_local(3)
    store(large, tmp_path)

    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(folders_module, failing, fail)
    with pytest.raises(OSError, match=os.strerror(code)):
        store(small, tmp_path)
    (record,) = stored(tmp_path)
    # Once it has its name it stays, even if the disk could not be asked to keep it.
    assert record.data == (small if failing == "sync" else large).data
    assert list(everything(tmp_path)) == [f"{small.folder}/{RECORD}"]


def _store_on_a_small_disk(record: Record, out: Path, size: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    try:
        store(record, out)
    except OSError:
        os._exit(7)


@pytest.mark.parametrize("size", [0, 1, 700])
def test_a_disk_that_fills_up_in_the_middle_of_the_file(size: int, tmp_path: Path) -> None:
    store(depth2_local(3), tmp_path)
    before = everything(tmp_path)
    worker = multiprocessing.get_context("fork").Process(
        target=_store_on_a_small_disk, args=(depth2_local(2), tmp_path, size)
    )
    worker.start()
    worker.join()
    assert worker.exitcode == 7
    assert everything(tmp_path) == before


# --- several at once, and killed ---

# In every order and at once, these end as two records.
CROWD = [depth2_local(root) for root in (2, 3, 4, 5, 6, 7)] + [fc_relu_local()]


def _store_all(out: Path, seed: int, times: int) -> None:
    source = random.Random(seed)
    for _ in range(times):
        for record in source.sample(CROWD, len(CROWD)):
            store(record, out)


def test_several_at_once_end_as_one_after_the_other(tmp_path: Path) -> None:
    one, many = tmp_path / "one", tmp_path / "many"
    for out in (one, many):
        out.mkdir()
    _store_all(one, 0, 1)
    workers = [
        multiprocessing.get_context("fork").Process(target=_store_all, args=(many, seed, 2)) for seed in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert everything(many) == everything(one)
    assert len(stored(many)) == 2


def _store_for_ever(out: Path, seed: int, told: Any) -> None:
    source = random.Random(seed)
    while True:
        for record in source.sample(CROWD, len(CROWD)):
            put = store(record, out)
            told.send((put.path.name, record.rank))
            # Else the smallest is stored once and nothing is ever written again.
            if source.random() < 0.3:
                shutil.rmtree(put.path, ignore_errors=True)
                told.send((put.path.name, None))


@pytest.mark.parametrize("seed", range(6))
def test_a_killed_worker_loses_nothing_it_has_told_of(seed: int, tmp_path: Path) -> None:
    context, source = multiprocessing.get_context("fork"), random.Random(seed)
    told, tells = context.Pipe(duplex=False)
    worker = context.Process(target=_store_for_ever, args=(tmp_path, seed, tells))
    worker.start()
    tells.close()
    told.poll(60)
    time.sleep(source.random() * 0.3)
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    last: dict[str, Any] = {}
    try:
        while told.poll():
            folder, size = told.recv()
            last[folder] = None if size is None else min(size, last.get(folder) or size)
    except EOFError:
        pass
    assert last
    records = {record.folder: record for record in stored(tmp_path)}
    for path in tmp_path.glob(f"*/{RECORD}"):
        assert verify_file(path).accepted
    in_doubt = 0
    for folder, size in last.items():
        # It may have been killed just after it removed the folder, before it told so.
        in_doubt += size is not None and folder not in records
        if size is not None and folder in records:
            assert records[folder].rank <= size
    assert in_doubt <= 1
    # The lock died with it.
    store(depth2_local(), tmp_path)
    assert not list(tmp_path.glob(".new-*"))
    assert trusted(tmp_path)[1] == []


# --- pages ---


def test_rebuild_makes_pages_and_index_from_the_records_alone(tmp_path: Path) -> None:
    for make in ALL.values():
        store(make(), tmp_path)
    rebuild(tmp_path)
    before = everything(tmp_path)
    assert len(before) == 1 + 4 * len(ALL)
    assert {Path(name).name for name in before} == {RECORD, INSTANCE, PAGE, FIGURE}
    for path in tmp_path.rglob(f"*/{PAGE}"):
        path.write_text("stale")
    (tmp_path / "README.md").unlink()
    rebuild(tmp_path)
    assert everything(tmp_path) == before


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "taken"
    path.write_text("")
    for out in (path, path / "below"):
        with pytest.raises(FieldError, match="cannot be written") as caught:
            folders_module.make_writable(out)
        assert caught.value.field == "out"


def test_a_folder_that_is_read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store(depth2_local(), tmp_path)
    before = everything(tmp_path)

    def refuse(self: Path, content: bytes) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    # As root, which may write anywhere, permissions would show nothing.
    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(FieldError, match="Read-only file system"):
        folders_module.make_writable(tmp_path)
    assert everything(tmp_path) == before
    assert [record.data for record in trusted(tmp_path)[0]] == [depth2_local().data]
