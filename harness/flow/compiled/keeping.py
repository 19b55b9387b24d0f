"""Where compiled kernels are kept from one process to the next.

A kernel is one file, named by all that its machine code depends on: every source of this package that kernels are in,
with what these import, since a caller contains what it calls; the function's own file; Python, numba, LLVM, numpy and
numba's settings; the processor; the types of the arguments.  After a change its name is another one, so that no stale
kernel is found, wherever it lies, and all copies of one source have one kernel.  A file
begins with the digest of the rest: a damaged one is compiled again and replaced.  What cannot be kept is compiled and
used all the same.

The folder is NUMBA_CACHE_DIR if that is set; else the user's cache folder, or __pycache__ beside the sources where that
one cannot be written.  Loading a kernel runs it, so a folder that others may have filled is left alone.
"""

from __future__ import annotations

import hashlib
import inspect
import logging
import os
import platform
import re
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from pickle import loads
from typing import Any

import llvmlite
import numba
import numpy as np
from numba.core.serialize import dumps

from harness.flow.compiled.sharing import PREFIX, alone, sweep, use

SOURCES = Path(__file__).parents[1]
FIRST = "compiling the trainer, which takes about a minute, once"

_log = logging.getLogger(__name__)
said = set[str]()
_DIGEST = hashlib.sha256().digest_size
_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import[ \t]+(\([^)]*\)|.*)|import[ \t]+([\w.]+))", re.MULTILINE
)
# Where numba keeps its results, and with how many threads it works, changes none of them.
_NO_MATTER = ("NUMBA_CACHE_DIR", "NUMBA_NUM_THREADS", "NUMBA_THREADING_LAYER")


def digest(sources: Path) -> str:
    """Of everything that all kernels depend on."""
    settings = [f"{name}={value}" for name, value in sorted(os.environ.items()) if name.startswith("NUMBA_")]
    settings = [line for line in settings if not line.startswith(_NO_MATTER)]
    versions = [sys.version, str(sys.flags.optimize), numba.__version__, llvmlite.__version__, np.__version__]
    contents = [hashlib.sha256(path.read_bytes()).hexdigest() for path in kernel_sources(sources)]
    return _short(*settings, *versions, *contents)


def kernel_sources(sources: Path) -> list[Path]:
    """The files below a folder that kernels are in, those that import what makes them, and all that these import."""
    files = {".".join(path.relative_to(sources).with_suffix("").parts): path for path in sources.rglob("*.py")}
    imports = {name: _imported(path, files) for name, path in files.items()}
    found = {name for name in files if any(own.split(".")[-1] == "compiling" for own in imports[name])}
    while more := {other for name in found for other in imports[name]} - found:
        found |= more
    return [files[name] for name in sorted(found)]


def _imported(path: Path, files: dict[str, Path]) -> set[str]:
    """Which of the files, by their dotted names, a source imports; they may be a part of what it says."""
    said: set[str] = set()
    for module, names, plain in _IMPORT.findall(path.read_text(encoding="utf-8")):
        said |= {f".{module or plain}", *(f".{module}.{name}" for name in re.findall(r"\w+", names))}
    return {name for name in files if any(one.endswith(f".{name}") for one in said)}


def folders(sources: Path) -> list[Path]:
    """The folders that kernels are looked for in, and kept in the first of them that can be written."""
    given = os.environ.get("NUMBA_CACHE_DIR")
    parents = [Path(given)] if given else [*_users(), sources / "__pycache__"]
    return [parent / f"{PREFIX}{digest(sources)}" for parent in parents]


def _users() -> Iterator[Path]:
    """The user's cache folder; none where there is no home."""
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if given.is_absolute():  # others are invalid, says its specification
        yield given / "marginalia"
        return
    with suppress(RuntimeError):
        home = Path.home()
        if home.is_absolute():
            yield home / ("Library/Caches" if platform.system() == "Darwin" else ".cache") / "marginalia"


def _short(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


class Kept:
    """The kernels of one function, by the types of their arguments.

    current: whether the sources are still those that the folders are named by.
    """

    def __init__(self, function: Callable[..., Any], places: Sequence[Path], current: Callable[[], bool]) -> None:
        self._places, self._current = places, current
        self._title = f"{function.__module__}.{function.__qualname__}".replace("<locals>.", "")
        # A function outside this package, say of a benchmark, is in no folder's name.
        self._source = Path(inspect.getfile(function)).read_text(encoding="utf-8")

    def _name(self, types: Any, codegen: Any) -> str:
        return f"{self._title}-{_short(self._source, str(types), str(codegen.magic_tuple()))}.kernel"

    def load(self, types: Any, codegen: Any) -> Any:
        """What save was given; None where there is nothing."""
        name = self._name(types, codegen)
        for place in self._places:
            payload = read(place / name)
            if payload is not None:
                of, made = loads(payload)
                if of == types:
                    use(place)
                    return made
        return None

    def alone(self, types: Any, codegen: Any) -> AbstractContextManager[None]:
        """While it is made: other processes wait for it."""
        name = self._name(types, codegen)
        return alone([place / name for place in self._places])

    def save(self, types: Any, made: Any, codegen: Any, *, lasts: bool) -> Any:
        """Keep it for others, and give it as they find it.  lasts: whether no address of this process is in it."""
        payload = dumps((types, made))
        if lasts and self._current():
            self._write(self._name(types, codegen), payload)
        return loads(payload)[1]

    def _write(self, name: str, payload: bytes) -> None:
        troubles: list[str] = []
        for place in self._places:
            try:
                write(place / name, payload)
            except OSError as error:
                troubles.append(f"{place}: {error.strerror or error}")
            else:
                use(place)
                sweep(place)
                return
        say_once(logging.WARNING, f"what is compiled cannot be kept for the next time ({'; '.join(troubles)})")


def read(path: Path) -> bytes | None:
    """What write was given; None where there is nothing, or nothing to be trusted."""
    try:
        content = path.read_bytes() if _ours(path.parent) else b""
    except OSError:
        return None
    payload = content[_DIGEST:]
    return payload if payload and hashlib.sha256(payload).digest() == content[:_DIGEST] else None


def write(path: Path, payload: bytes) -> None:
    """Keep it, in one step: whoever reads meanwhile finds the old or the new.  Raises OSError."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    if not _ours(path.parent):
        raise PermissionError(0, "others may write there")
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(hashlib.sha256(payload).digest() + payload)
        os.replace(beside, path)
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def _ours(folder: Path) -> bool:
    """Whether only those could write into a folder who may run what they like here anyway.  Raises OSError."""
    status = folder.stat()
    return status.st_uid in (os.geteuid(), 0, SOURCES.stat().st_uid) and not status.st_mode & stat.S_IWOTH


def say_once(level: int, message: str) -> None:
    if message not in said:
        said.add(message)
        _log.log(level, message)
