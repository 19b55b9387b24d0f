"""Pages, figures and the index of a folder of counterexamples, made anew from the records."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from harness.records.folders import places, set_aside
from harness.records.record import Record, load
from harness.records.writing import locked, replace, sweep
from harness.report import index, pages

INDEX = "README.md"


class NotWritten(OSError):
    """Pages, figures or the index could not be written; why: path -> reason.  The records are as they were."""

    def __init__(self, why: Mapping[Path, str]) -> None:
        self.why = dict(why)
        names = ", ".join(map(str, self.why))
        super().__init__(f"not written ({', '.join(dict.fromkeys(self.why.values()))}): {names}")


def rebuild(out: Path) -> tuple[list[Record], list[str]]:
    """Make every page and figure, and the index, anew from the records.

    Returns the records, and a sentence for each that is not trusted and was set aside.  Files are replaced only where
    their content differs.  Raises NotWritten, once the others are written, and OSError.
    """
    failed: dict[Path, str] = {}
    with locked(out):
        sweep(out)
        aside = [sentence for path in places(out) for sentence in set_aside(path.parent)]
        records = [load(path) for path in places(out)]
        made = {out / record.folder / name: page for record in records for name, page in pages(record).items()}
        for path, content in (made | {out / INDEX: index(records).encode()}).items():
            try:
                replace(path, content)
            except OSError as error:
                failed[path] = error.strerror or str(error)
    if failed:
        raise NotWritten(failed)
    return records, aside
