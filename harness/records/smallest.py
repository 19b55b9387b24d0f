"""One plain instance in a file, the smallest so far."""

from __future__ import annotations

from pathlib import Path

from harness.optimisers.descents import read_any
from harness.problem.fields import FieldError
from harness.problem.instances import Instance
from harness.problem.sizes import size
from harness.records.writing import locked, replace


def keep_smallest(instance: Instance, path: Path, folder: Path) -> None:
    """Put an instance there unless one no larger is, under the lock of a folder that exists.  Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        kept = read(path)
        if kept is None or size(instance) < size(kept):
            replace(path, (instance.to_json() + "\n").encode())


def read(path: Path) -> Instance | None:
    """The instance that is kept; None where there is none, or none that can be read."""
    try:
        return read_any(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, FieldError):
        return None
