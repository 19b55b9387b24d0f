"""What a night found."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from harness.nightly.violations import Violation
from harness.records.writing import replace
from harness.report.words import table
from harness.show.lines import count

JSON, MARKDOWN = "summary.json", "summary.md"
_COLUMNS = ("held", "violated", "undecided", "outside", "not unique", "not separating")


@dataclass
class Summary:
    """seeds: of the rounds that were finished.  counts: what became of the examples of each claim.  violated: what is
    kept of violations of proven claims.  new: (folder, sentence) of every new counterexample.  failed: tests that
    failed for another reason, and what could not be written.  notes: sentences.  stopped: whether the night was stopped
    before its time."""

    seeds: list[int] = field(default_factory=list)
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    violated: list[Violation] = field(default_factory=list)
    new: list[tuple[str, str]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    stopped: bool = False

    def add(self, counts: dict[str, dict[str, int]]) -> None:
        for claim, found in counts.items():
            self.counts.setdefault(claim, Counter()).update(found)

    @property
    def still_violated(self) -> list[Violation]:
        return [violation for violation in self.violated if violation.outcome == "violated"]

    def markdown(self) -> str:
        """For a person, in a terminal as well as on a forge."""
        rounds = count(len(self.seeds), "round")
        seeds = f", seeds {self.seeds[0]} to {self.seeds[-1]}" if self.seeds else ""
        blocks = [f"{rounds} of hunting{seeds}{'; stopped before its time' if self.stopped else ''}."]
        if self.counts:
            rows = [
                (claim, *(str(found[column]) for column in _COLUMNS)) for claim, found in sorted(self.counts.items())
            ]
            blocks.append(table(("claim", *_COLUMNS), rows))
        for violation in self.violated:
            if violation.outcome == "violated":
                said = f"VIOLATED: {violation.claim}, which is proven"
            else:
                now = violation.outcome if violation.outcome == "holds" else f"is {violation.outcome}"
                said = f"{violation.claim} was violated, and {now} now"
            blocks.append(f"{said}: `marginalia check {violation.path}`")
        blocks += [f"New: {folder}, {sentence}." for folder, sentence in self.new]
        blocks += [f"Failed: {name}" for name in self.failed]
        blocks += self.notes
        if not (self.violated or self.new or self.failed):
            blocks.append("Nothing new.")
        return "\n\n".join(blocks) + "\n"

    def write(self, folder: Path) -> None:
        """Raises OSError."""
        data = {
            "seeds": self.seeds,
            "violated": [{"claim": found.claim, "path": str(found.path)} for found in self.still_violated],
            "new": [folder for folder, _ in self.new],
            "failed": self.failed,
            "stopped": self.stopped,
        }
        replace(folder / JSON, (json.dumps(data, indent=1) + "\n").encode())
        replace(folder / MARKDOWN, self.markdown().encode())
