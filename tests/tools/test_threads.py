"""One thread for BLAS wherever the package computes, whoever imported numpy before."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.tools.processes import cores

SCRIPT = """
import json, sys
import scipy.linalg
from threadpoolctl import threadpool_info, threadpool_limits
threadpool_limits(limits=3, user_api="blas")
def threads():
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]
before = threads()
exec(sys.argv[1])
print(json.dumps([before, threads()]))
"""


@pytest.mark.parametrize(
    "use",
    [
        "import harness.problem.kkt",
        "import harness.oracles.cone",
        "import harness.flow.compiled.field",
        "from harness import drive",
    ],
)
def test_one_thread_for_blas(use: str) -> None:
    root = Path(__file__).parents[2]
    plain = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, use],
        capture_output=True,
        text=True,
        check=True,
        env=plain | {"PYTHONPATH": str(root)},
    )
    # numpy's library and scipy's
    assert done.stdout == "[[3, 3], [1, 1]]\n"


def test_as_many_cores_as_the_system_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux says which it may use; macOS only how many there are."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {3, 5}, raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    assert cores() == 2
    monkeypatch.delattr("os.sched_getaffinity")
    assert cores() == 8
    monkeypatch.setattr("os.cpu_count", lambda: None)
    assert cores() == 1
