"""Where the batches run: any concurrent.futures.Executor, with the number of batches it works on at once."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager

from harness.networks import FieldError

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


@contextmanager
def engine(name: str, processes: int | None = None) -> Iterator[tuple[Executor, int]]:
    """An executor and its number of workers. name: "local". processes: one a core, if None. Raises FieldError."""
    count = processes or len(os.sched_getaffinity(0))
    if name == "local":
        with local(count) as pool:
            yield pool, count
    else:
        raise FieldError("executor", f"there is no {name!r}")


@contextmanager
def local(processes: int) -> Iterator[Executor]:
    """A pool of processes on this machine, of one thread each."""
    # Spawned processes read these before they load numpy; more threads than cores only get in each other's way.
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
