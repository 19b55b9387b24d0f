"""Instances that violate a claim which is proven: one plain instance a claim, the smallest so far, named after it.

Such a file is for `marginalia check`.  What it shows is a defect: in the trainer, the oracles, the claim or its proof.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.claims.table import CLAIMS
from harness.problem.fields import FieldError
from harness.problem.instances import Instance
from harness.problem.sizes import size
from harness.records.writing import locked, replace


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
    with locked(folder):
        kept = _read(path)
        if kept is None or size(instance) < size(kept):
            replace(path, (instance.to_json() + "\n").encode())
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

    instance = _read(path)
    if instance is None or claim not in CLAIMS:
        return "unreadable"
    return judge(CLAIMS[claim], instance, certify="always").outcome


def _read(path: Path) -> Instance | None:
    try:
        return Instance.from_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, FieldError):
        return None
