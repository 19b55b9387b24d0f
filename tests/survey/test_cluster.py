"""A survey on a real dask cluster counts as one in this process does, though a worker is killed halfway."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from distributed import Client

from harness.problem.fields import FieldError
from harness.survey import run
from harness.survey.engines import engine, local_cluster
from tests.survey.test_survey import PLAN, Now, shards

LONG = replace(PLAN, instances=240)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with local_cluster(2) as started:
        yield started


def pids(cluster: Any) -> set[int]:
    """Of its two workers."""
    client: Any
    with Client(cluster) as client:
        client.wait_for_workers(2, timeout=60)
        return set(client.run(os.getpid).values())


def test_one_of_two_workers_is_killed_halfway(cluster: Any, tmp_path: Path) -> None:
    expected = run(LONG, tmp_path / "here", executor=Now())
    victim = min(pids(cluster))
    killed: list[str] = []

    def kill(line: str) -> None:
        if line.startswith("120 of") and not killed:
            killed.append(line)
            os.kill(victim, signal.SIGKILL)

    address = f"dask:{cluster.scheduler_address}"
    assert run(LONG, tmp_path / "there", executor=address, progress=kill) == expected
    assert killed
    assert victim not in pids(cluster)
    assert shards(tmp_path / "there") == shards(tmp_path / "here")


def test_a_cluster_of_its_own() -> None:
    with engine("dask", 1) as (executor, workers):
        assert workers == 1
        assert executor.submit(pow, 2, 10).result() == 1024


def test_a_scheduler_that_is_not_there() -> None:
    with pytest.raises(FieldError, match="executor: no dask scheduler answers"), engine("dask:nowhere"):
        pass
