"""Instances that violate a claim which is proven: one plain instance a claim, the smallest so far, named after it.

Such a file is for `marginalia check`.  What it shows is a defect: in the trainer, the oracles, the claim or its proof.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.claims.table import CLAIMS
from harness.problem.instances import Instance
from harness.records.smallest import keep_smallest, read


@dataclass(frozen=True)
class Violation:
    """One that is kept.  outcome: of its claim now; "unreadable" where there is no telling."""

    claim: str
    path: Path
    outcome: str


def keep(claim: str, instance: Instance, folder: Path) -> Path:
    """Put an instance into the folder unless one no larger is there.  Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{claim}.json"
    keep_smallest(instance, path, folder)
    return path


def again(folder: Path) -> list[Violation]:
    """Every one that is kept, judged again, in the order of the registry."""
    found = {path.stem: path for path in folder.glob("*.json")}
    return [
        Violation(claim, found[claim], _outcome(claim, found[claim]))
        for claim in sorted(found, key=lambda claim: list(CLAIMS).index(claim) if claim in CLAIMS else len(CLAIMS))
    ]


def _outcome(claim: str, path: Path) -> str:
    from harness.claims.judge import judge

    instance = read(path)
    if instance is None or claim not in CLAIMS:
        return "unreadable"
    return judge(CLAIMS[claim], instance, certify="always").outcome
