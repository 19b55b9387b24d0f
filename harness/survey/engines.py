"""Where the batches run: any concurrent.futures.Executor, with the number of batches it works on at once."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import BrokenExecutor, Executor
from contextlib import contextmanager
from typing import Any

from harness.problem.fields import FieldError
from harness.tools.processes import cores, pool


@contextmanager
def engine(name: str, processes: int | None = None) -> Generator[tuple[Executor, int]]:
    """An executor and its number of workers.

    name: "local"; "dask" for a dask cluster on this machine; "dask:ADDRESS" for the one whose scheduler is there.
    processes: one a core, if None; a cluster that is joined has its own. Raises FieldError.
    """
    if processes is not None and processes < 1:
        raise FieldError("processes", "must be at least 1")
    count = processes or cores()
    kind, _, address = name.partition(":")
    if name == "local":
        with pool(count) as executor:
            yield executor, count
    elif kind == "dask" and (address or name == "dask"):
        with _dask(address, count) as cluster:
            yield cluster
    else:
        raise FieldError("executor", f"there is no {name!r}, but local, dask and dask:ADDRESS")


@contextmanager
def _dask(address: str, processes: int) -> Generator[tuple[Executor, int]]:
    """A dask cluster; what a worker had in hand when it died is done again by another."""
    try:
        from distributed import Client
    except ImportError:
        raise FieldError("executor", "dask needs the extra: pip install '.[cluster]'") from None
    if not address:
        with local_cluster(processes) as cluster, Client(cluster) as client:
            yield client.get_executor(), processes
        return
    try:
        client: Any = Client(address, timeout=10)
    except (OSError, ValueError) as error:
        raise FieldError("executor", f"no dask scheduler answers at {address}: {error}") from None
    with client:
        client.wait_for_workers(1, timeout=60)
        yield client.get_executor(), sum(client.nthreads().values())


def local_cluster(processes: int) -> Any:
    """A dask cluster of processes on this machine, of one thread each; a context manager."""
    from distributed import LocalCluster

    # any free port for its page, and for nobody else
    return LocalCluster(n_workers=processes, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0")


def has_died(error: Exception) -> bool:
    """Whether an executor's future failed because workers died, and not by what it computed."""
    return isinstance(error, BrokenExecutor) or type(error).__name__ == "KilledWorker"
