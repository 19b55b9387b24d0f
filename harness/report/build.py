"""What `marginalia report` writes: stored counterexamples as a site, or one of them as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.problem.fields import FieldError
from harness.records.record import PAGE, Record
from harness.report.figure import KINDS, figure
from harness.report.site import build
from harness.report.surveys import read_surveys


def build_site(records: Sequence[Record], measured: str, out: Path, surveys: Path | None = None) -> Path:
    """Write the site of these records, of the measured tables, in Markdown, and of a folder of surveys; its first page.

    Raises FieldError for a folder that cannot be written, or not be read.
    """
    try:
        found = [] if surveys is None else read_surveys(surveys)
    except OSError as error:
        raise FieldError("reports", f"{surveys} cannot be read: {error.strerror}") from None
    try:
        # A page of the site is not called as the gallery's.
        return build(records, measured.replace(f"/{PAGE})", "/index.html)"), out, found)
    except OSError as error:
        raise FieldError("out", f"{out} cannot be written: {error.strerror}") from None


def write_figure(records: Sequence[Record], name: str, out: Path | None) -> Path:
    """Write the figure of one counterexample; name: of its folder, or of a claim with only one.  Raises FieldError."""
    by_folder = {record.folder: record for record in records}
    named = [folder for folder, record in by_folder.items() if name in (folder, record.claim)]
    if len(named) != 1:
        known = ", ".join(named or sorted(by_folder)) or "nothing is stored"
        what = "several" if named else "no"
        raise FieldError("figure", f"{what} counterexamples have the name {name!r}: {known}")
    path = out or Path(f"{named[0]}.svg")
    kind = path.suffix.removeprefix(".")
    if kind not in KINDS:
        raise FieldError("out", f"{path} should end in one of {', '.join('.' + known for known in KINDS)}")
    try:
        path.write_bytes(figure(by_folder[named[0]], kind))
    except OSError as error:
        raise FieldError("out", f"{path} cannot be written: {error.strerror}") from None
    return path
