"""Files that are whole at every moment, whoever is killed, and a lock that dies with its holder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

# At the start of the name of a file that is being written.
NEW = ".new-"


@contextmanager
def locked(folder: Path) -> Generator[None]:
    """Only one process at a time; the system lets go of the lock when its holder dies, however that is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def replace(path: Path, content: bytes) -> None:
    """Write a file in one step, unless it has this content already.  Raises OSError."""
    if path.exists() and path.read_bytes() == content:
        return
    beside = path.with_name(f"{NEW}{os.getpid()}-{path.name}")
    try:
        write(beside, content)
        os.replace(beside, path)
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def write(path: Path, content: bytes) -> None:
    """Write a file through to the disk."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync(folder: Path) -> None:
    """Make the renames in a folder, and its own name, outlast a loss of power."""
    for path in (folder, folder.parent):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sweep(folder: Path) -> None:
    """Remove what killed processes had not finished; under the lock, nobody is writing."""
    for new in (*folder.glob(f"{NEW}*"), *folder.glob(f"*/{NEW}*")):
        new.unlink(missing_ok=True)
