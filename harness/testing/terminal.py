"""The last lines of a run of pytest: what became of the claims, in short."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from harness.claims.table import Status
from harness.problem.fields import FieldError
from harness.records.record import PAGE, RECORD, Record, load


def news(record: Record, reports: Path) -> str | None:
    """What is new about a counterexample beside those that are stored: a sentence, None if nothing is."""
    path = reports / record.folder / RECORD
    again = record.commands["harvest"]
    if not path.exists():
        return f"new: no {record.folder} is stored; {again}"
    try:
        stored = load(path)
    except FieldError as error:
        return f"new: {error}; {again}"
    return f"new: smaller than the stored {record.folder}; {again}" if record.rank < stored.rank else None


def in_short(
    counts: Mapping[str, Counter[str]], statuses: Mapping[str, Status], reports: Path, new: Iterable[str]
) -> list[str]:
    """One line each: claims held, violated, refuted with the pages of their counterexamples, undecided, new findings.

    counts: what became of the examples of each claim, with the names of harness.testing.check.COLUMNS.
    statuses: of the same claims, which need not be in the table of this process.
    """
    refuted = [claim for claim in counts if statuses[claim] == "refuted" and counts[claim]["violated"]]
    violated = [claim for claim in counts if statuses[claim] != "refuted" and counts[claim]["violated"]]
    held = [claim for claim in counts if counts[claim]["held"] and claim not in (*refuted, *violated)]
    examples = sum(sum(found.values()) for found in counts.values())
    undecided, branching = (sum(found[column] for found in counts.values()) for column in ("undecided", "not unique"))
    lines = [f"held: {len(held)} of {len(counts)} claims"]
    if violated:
        lines.append(f"VIOLATED: {', '.join(violated)}")
    lines += [f"refuted: {claim}{_pages(claim, reports)}" for claim in refuted]
    if examples:
        share = f"undecided: {undecided} of {examples} examples, {100 * undecided / examples:.1f} %"
        lines.append(f"{share}; not unique: {branching}")
    return [*lines, *(sorted(new) or ["new findings: none"])]


def _pages(claim: str, reports: Path) -> str:
    pages = sorted(reports.glob(f"{claim}--*/{PAGE}"))
    return f": {' '.join(map(str, pages))}" if pages else ", nothing stored"
