"""Storing counterexamples: one folder for each claim and mechanism, the smallest one found so far.

A folder appears complete or not at all: it is written beside its place, its record is read back and
verified in exact arithmetic, and then it is renamed.  A counterexample that does not verify is never
left behind.  One that is not smaller than what is stored is not stored.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from harness.certificates import verify_file
from harness.harvest.finding import record_text
from harness.networks import FieldError
from harness.report import RECORD, Record, index, load, pages, stored

INDEX = "README.md"
_NEW, _OLD = ".new-", ".old-"


class Rejected(Exception):
    """A counterexample that the exact checker does not accept: a defect of whoever made it."""


@dataclass(frozen=True)
class Stored:
    """Where a counterexample is.  written: whether this call put it there; reason: a sentence."""

    path: Path
    written: bool
    reason: str


def store(record: Record, out: Path) -> Stored:
    """Put one counterexample under out, unless one as small is there.  Raises Rejected, OSError."""
    place = out / record.folder
    new, old = out / f"{_NEW}{record.folder}-{os.getpid()}", out / f"{_OLD}{record.folder}-{os.getpid()}"
    _remove(new)
    try:
        _write(record, new)
        verified = verify_file(new / RECORD)
        if not verified.accepted:
            raise Rejected(f"{record.folder}: {verified.reason}")
        kept = _kept(place)
        if kept is not None and kept.size <= record.size:
            same = "the same one" if kept.instance == record.instance else "one at least as small"
            return Stored(place, False, f"{same} is stored already")
        if not place.exists():
            os.rename(new, place)
            return Stored(place, True, "stored")
        # A folder that is not empty cannot be replaced in one step: move it aside, and back if that fails.
        _remove(old)
        os.rename(place, old)
        try:
            os.rename(new, place)
        except OSError:
            os.rename(old, place)
            raise
        _remove(old)
        reason = "what was stored did not verify, and is replaced" if kept is None else "smaller than what was stored"
        return Stored(place, True, reason)
    finally:
        _remove(new)


def rebuild(out: Path) -> list[Record]:
    """Make every page and figure, and the index, anew from the records.  Returns the records.

    Files are replaced only where their content differs.  Raises FieldError for a record that cannot be read.
    """
    records = stored(out)
    for record in records:
        for name, content in pages(record).items():
            _replace(out / record.folder / name, content)
    _replace(out / INDEX, index(records).encode())
    return records


def tidy(out: Path) -> None:
    """Clear up after a run that was killed: put back what it had moved aside, remove what it had not finished."""
    for old in out.glob(f"{_OLD}*"):
        place = out / old.name[len(_OLD) :].rpartition("-")[0]
        if place.exists():
            _remove(old)
        else:
            os.rename(old, place)
    for new in out.glob(f"{_NEW}*"):
        _remove(new)


def _kept(place: Path) -> Record | None:
    """What is stored there, if it is a counterexample to that claim that verifies."""
    try:
        record = load(place / RECORD)
        return record if record.folder == place.name and verify_file(place / RECORD).accepted else None
    except FieldError:
        return None


def _write(record: Record, folder: Path) -> None:
    folder.mkdir()
    for name, content in {RECORD: record_text(record).encode(), **pages(record)}.items():
        (folder / name).write_bytes(content)


def _replace(path: Path, content: bytes) -> None:
    """Write a file in one step, unless it has this content already."""
    if path.exists() and path.read_bytes() == content:
        return
    beside = path.with_name(f".{path.name}-{os.getpid()}")
    beside.write_bytes(content)
    os.replace(beside, path)


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
