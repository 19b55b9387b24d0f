"""A test that hangs, in Python or in compiled code, fails, and holds up no other."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

PLANTED = """
from hypothesis import given, strategies as st
from numba import njit

@given(st.integers())
def test_hangs(number):
    while True:
        pass

@njit
def spin(number):
    while number > 0:
        number = 3 - number
    return number

def test_hangs_compiled():
    spin(1)

def test_passes():
    pass
"""


def test_what_hangs_fails(tmp_path: Path) -> None:
    shutil.copy(Path(__file__).parents[2] / "pyproject.toml", tmp_path)
    (tmp_path / "test_planted.py").write_text(PLANTED)
    limits = ["-o", "timeout=2", "-o", "faulthandler_timeout=3"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "1", "-p", "no:cacheprovider", *limits, "test_planted.py"],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "2 failed, 1 passed" in done.stdout
    for name in ("test_hangs", "test_hangs_compiled"):
        assert f"crashed while running 'test_planted.py::{name}'" in done.stdout
