"""Worker processes: how many, one thread each, and none that outlives the process it works for."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


def cores() -> int:
    """How many cores this process may use: on Linux those that it is bound to, elsewhere all that there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def one_thread_each() -> Generator[None]:
    """Processes that are spawned meanwhile have one thread: more than cores only get in each other's way."""
    # they read these before they load numpy
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def pool(processes: int) -> Generator[Executor]:
    """Processes on this machine, of one thread each, that end with this one; what waits is dropped at the end."""
    with one_thread_each():
        executor = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), leave_with_parent)
        try:
            yield executor
        finally:
            executor.shutdown(cancel_futures=True)


def leave_with_parent() -> None:
    """A worker waits for work for ever, also from a parent that was killed: end it with its parent."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def beside(
    command: str, arguments: Sequence[str] = (), stdout: int = subprocess.DEVNULL, env: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Another Python that runs a command, says nothing on standard error, and ends with this one.

    Its standard input closes when this one ends, and has to be left alone.
    """
    begin = f"import sys; sys.path[:] = {sys.path!r}; from harness.tools.processes import end_with_input"
    return subprocess.Popen(
        [sys.executable, "-c", f"{begin}; end_with_input(); {command}", *arguments],
        stdin=subprocess.PIPE, stdout=stdout, stderr=subprocess.DEVNULL, env=os.environ | (env or {}),
    )  # fmt: skip


def end_with_input() -> None:
    """End this process when its standard input closes."""

    def watch() -> None:
        # not by sys.stdin, whose lock would be held when this process ends by itself
        while os.read(0, 1):
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
