"""What was measured for the tables, as a file.  Reading it needs nothing of what fills it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.problem.fields import FieldError
from harness.records.writing import replace

FORMAT = 1
TABLES = "tables.json"


def read(out: Path) -> dict[str, Any] | None:
    """What was measured, None if nothing was.  Raises FieldError."""
    path = out / TABLES
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        raise FieldError(str(path), "cannot be read") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise FieldError(str(path), f"not measured tables of format {FORMAT}")
    return data


def write(path: Path, data: dict[str, Any]) -> None:
    """Replace what was measured, in one step.  Raises FieldError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace(path, (json.dumps(data, indent=1) + "\n").encode())
    except OSError as error:
        raise FieldError(str(path), error.strerror or "cannot be written") from None


def counted(measured: dict[str, Any] | None, claim: str) -> list[str]:
    """What became of a claim on random instances, a line a group."""
    groups = ((measured or {}).get("groups") or {}).items()
    rows = {name: group["claims"][claim] for name, group in groups if claim in group["claims"]}
    return [
        f"{name}: {of['drawn']:,} drawn, {of['holds'] + of['violated']:,} decided, {of['violated']:,} violated"
        for name, of in rows.items()
    ]
