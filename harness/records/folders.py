"""Storing counterexamples: one folder for each kind, the smallest of the kind found so far.

A kind is a claim, a mechanism, whether the counterexample was shown to be robust, and, where the claim speaks of
several, the networks it is about: linear or relu, of the least depth or deeper.  "Smallest" is by
harness.problem.sizes.rank.  Its folder holds counterexample.json, the record, and what is made from it (`rebuild`).
The record alone counts.  It is one file, written beside its place, verified in exact arithmetic as it lies on the disk,
and moved there in one step, all under a lock that dies with its process.  So at every moment every record is a whole
one, whoever is killed.

What is found in the place of a record and is not to be trusted (replay.py) is set aside with its whole folder,
never deleted.  A record is deleted only when a smaller one of the same kind, or the same one with a simpler proof or
with its robustness measured, takes its place.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness.certificates import verify_file
from harness.problem.fields import FieldError
from harness.records.record import DERIVED, RECORD, Record, load, record_text
from harness.records.replay import distrust
from harness.records.same import same
from harness.records.simplicity import simplicity
from harness.records.writing import NEW, locked, sweep, sync, write

ASIDE = ".aside-"  # in the name of a folder that was set aside


class Rejected(Exception):
    """A counterexample that the exact checker does not accept: a defect of whoever made it."""


@dataclass(frozen=True)
class Stored:
    """Where a counterexample is.

    written: whether this call put it there.  new: whether it is not just what was there, named differently.
    reason: a sentence.  aside: what was found in its place and is not trusted, a sentence each.
    """

    path: Path
    written: bool
    new: bool
    reason: str
    aside: tuple[str, ...] = ()


def store(record: Record, out: Path) -> Stored:
    """Put one counterexample under out, unless one as small and as simple of its kind is there.

    Raises Rejected, OSError.
    """
    place = out / record.folder
    fresh = out / f"{NEW}{record.folder}.json"
    with locked(out):
        sweep(out)
        try:
            write(fresh, record_text(record).encode())
            verified = verify_file(fresh)
            if not verified.accepted:
                raise Rejected(f"{record.folder}: {verified.reason}")
            aside = set_aside(place)
            kept = load(place / RECORD) if (place / RECORD).exists() else None
            if kept is not None and not _simpler(record, kept):
                _drop_unmeasured(record, out)
                again = "the same one" if kept.instance == record.instance else "one at least as small"
                return Stored(place, False, False, f"{again} is stored already", aside)
            place.mkdir(exist_ok=True)
            os.replace(fresh, place / RECORD)
            sync(place)
            dropped = _drop_unmeasured(record, out)
        finally:
            with suppress(OSError):
                fresh.unlink(missing_ok=True)
    if kept is None:
        return Stored(place, True, not dropped, "stored", aside)
    if kept.instance == record.instance:
        better = "a simpler proof" if record.proven == kept.proven else "a proof of where its flow ends"
        return Stored(place, True, False, f"what was stored, with {better}", aside)
    if same(kept.instance, record.instance):
        return Stored(place, True, False, "what was stored, written more simply", aside)
    smaller = "smaller than what was stored" if record.proven == kept.proven else "its flow is proven to end there"
    return Stored(place, True, True, smaller, aside)


def _simpler(record: Record, kept: Record) -> bool:
    """Whether the instance goes before the one that is kept, or is the same with a simpler proof."""
    one, other = (simplicity(r.data["certificate"]) for r in (record, kept))
    return record.rank < kept.rank or (record.rank == kept.rank and one < other)


def trusted(out: Path) -> tuple[list[Record], list[tuple[Path, str]]]:
    """The records under out that are to be trusted, and the paths of those that are not, each with the reason.

    Changes nothing.  In the order of the folders' names.
    """
    records: list[Record] = []
    refused: list[tuple[Path, str]] = []
    for path in places(out):
        why = distrust(path)
        if why is None:
            records.append(load(path))
        else:
            refused.append((path, why))
    return records, refused


def make_writable(out: Path, field: str = "out") -> None:
    """Make the folder, and find out whether it can be written.  Raises FieldError, which names the field."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with locked(out):
            sweep(out)
            probe = out / f"{NEW}probe"
            probe.write_bytes(b"")
            probe.unlink()
    except OSError as error:
        raise FieldError(field, f"{out} cannot be written: {error.strerror}") from None


# --- under the lock ---


def places(out: Path) -> list[Path]:
    return [path for path in sorted(out.glob(f"[!.]*/{RECORD}")) if ASIDE not in path.parent.name]


def set_aside(place: Path) -> tuple[str, ...]:
    """Move the folder of a record that is not trusted; a sentence about it, none if there is nothing to move."""
    path = place / RECORD
    why = distrust(path) if os.path.lexists(path) else None
    if why is None:
        return ()
    number = 1
    while os.path.lexists(target := place.with_name(f"{place.name}{ASIDE}{number}")):
        number += 1
    os.rename(place, target)
    return (f"{path} is not trusted and is kept in {target.name}: {why}",)


def _drop_unmeasured(record: Record, out: Path) -> bool:
    """Remove the same finding stored without its robustness; whether there was one."""
    unmeasured = Record({key: part for key, part in record.data.items() if key != "robustness"})
    place = out / unmeasured.folder
    if record.robust is None or not (place / RECORD).exists() or distrust(place / RECORD) is not None:
        return False
    if not same(load(place / RECORD).instance, record.instance):
        return False
    for name in (RECORD, *DERIVED):
        (place / name).unlink(missing_ok=True)
    # someone else's files stay
    with suppress(OSError):
        place.rmdir()
    return True
