"""What holds in this checkout only: one thread a process, and the profiles for every test, not for properties alone.

The marker, the fixtures and the table of claims are harness/testing/plugin.py, which works in any folder.
"""

from __future__ import annotations

import os
import sys

# Before numpy and torch are imported: thread counts change results, and xdist already runs a process a core.
THREADS = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS", "NUMBA", "VECLIB_MAXIMUM")}
if os.environ.get("OMP_NUM_THREADS") != "1" and {"numpy", "torch"} & sys.modules.keys():
    raise RuntimeError("a pytest plugin imports numpy or torch too early: set OMP_NUM_THREADS=1 for this run")
os.environ.update(THREADS)

import logging  # noqa: E402

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

from harness.testing import profiles  # noqa: E402

# Also where the package is not installed, and has no entry point.
pytest_plugins = ["harness.testing.plugin"]

# Tests say what a command prints: that something was compiled for it is no part of that.
logging.getLogger("harness.flow").setLevel(logging.WARNING)
profiles.load()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A profile of more examples gives each test as much more time before it counts as hanging."""
    longer = settings().max_examples / profiles.USUAL
    if longer > 1.0:
        for item in items:
            item.add_marker(pytest.mark.timeout(longer * float(config.getini("timeout"))))
        # Its own time is the same for all; without it only compiled code that hangs is left to whoever started the run.
        config.pluginmanager.unregister(name="faulthandler")


def pytest_report_header() -> str:
    threads = os.environ["OMP_NUM_THREADS"]
    return f"marginalia: device cpu, dtype float64, threads {threads}, profile {profiles.name()}"
