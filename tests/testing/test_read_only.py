"""pytest where nothing can be written, and where Hypothesis is told to keep its examples elsewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PLANTED = """
import pytest
from hypothesis import given, strategies as st

@pytest.mark.claim("kkt", decided=0)
def test_with_a_line_in_the_table():
    pass

@given(st.integers())
def test_fails(number):
    assert number < 100
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "test_planted.py").write_text(PLANTED)
    return tmp_path


def run(checkout: Path, *arguments: str, **new: str) -> str:
    """The output of a run in which one test passes and one fails."""
    plain = {name: value for name, value in os.environ.items() if name not in ("CI", "PYTEST_ADDOPTS")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments, "test_planted.py"],
        cwd=checkout,
        env=plain | {"PYTHONPATH": str(ROOT)} | new,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 failed, 1 passed" in done.stdout
    return done.stdout


@pytest.mark.parametrize("processes", ["0", "2"])
def test_the_table_of_claims_is_printed_where_nothing_can_be_kept(processes: str, checkout: Path) -> None:
    # Root could write into folders that are read-only, but not below files.
    for name in (".pytest_cache", ".hypothesis"):
        (checkout / name).write_text("")
    lines = run(checkout, "-n", processes).splitlines()
    heading = next(number for number, line in enumerate(lines) if line.strip("= ") == "claims")
    assert lines[heading + 2].startswith("kkt ")


def test_examples_are_kept_where_hypothesis_is_told(checkout: Path) -> None:
    elsewhere = checkout / "else where"
    run(checkout, "-n0", HYPOTHESIS_STORAGE_DIRECTORY=str(elsewhere))
    assert any((elsewhere / "examples").iterdir())
    assert not (checkout / ".hypothesis" / "examples").exists()
    run(checkout, "-n0")
    assert any((checkout / ".hypothesis" / "examples").iterdir())
