"""How processes share a folder of kernels: each kernel is compiled by one of them, and folders in use are not removed.

Locks are those of flock: the system lets go of them when their holder ends, however that is.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "kernels-"
NEWEST = 3  # folders that stay, beside those in use
_IN_USE = ".in-use"
_held: dict[Path, int] = {}  # open for as long as this process runs


@contextmanager
def alone(paths: Sequence[Path]) -> Generator[None]:
    """Only one process at a time makes this file, in the first folder that can be written; the others wait.

    Where there are no locks they all make it.
    """
    opened = next(filter(None, map(_open, paths)), None)
    try:
        if opened:
            with suppress(OSError):
                fcntl.flock(opened[1], fcntl.LOCK_EX)
        yield
    finally:
        if opened:
            # who waits for it has it open; who comes later finds the kernel
            with suppress(OSError):
                opened[0].unlink()
            os.close(opened[1])


def _open(path: Path) -> tuple[Path, int] | None:
    """The file that is locked for this one; None where nothing can be written."""
    lock = path.with_name(f"{path.name}.lock")
    with suppress(OSError):
        lock.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        return lock, os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    return None


def use(folder: Path) -> None:
    """Note that this process uses the kernels of a folder, and when it began to."""
    if folder in _held:
        return
    with suppress(OSError):
        _held[folder] = os.open(folder / _IN_USE, os.O_RDWR | os.O_CREAT, 0o644)
        os.utime(_held[folder])
        fcntl.flock(_held[folder], fcntl.LOCK_SH)


def sweep(folder: Path) -> None:
    """Remove the folders beside this one that were last used before the NEWEST others, and that no process uses now.

    A folder that no process has noted its use of stays.  One that begins to use a folder in this moment has lost
    nothing but kernels, and compiles them again.
    """
    notes = [note for note in folder.parent.glob(f"{PREFIX}*/{_IN_USE}") if note.parent != folder]
    with suppress(OSError):
        for old in sorted(notes, key=lambda note: note.stat().st_mtime, reverse=True)[NEWEST:]:
            _remove(old)


def _remove(note: Path) -> None:
    """The folder of a note, unless somebody holds it.  Raises OSError."""
    descriptor = os.open(note, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(note.parent, ignore_errors=True)
    except BlockingIOError:
        return
    finally:
        os.close(descriptor)
