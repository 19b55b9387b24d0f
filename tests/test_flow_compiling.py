"""Where compiled kernels are kept: a change in any of them leaves none of the old ones in use."""

from __future__ import annotations

from pathlib import Path

from harness.flow import compiling
from harness.flow.integrator import integrate


def test_a_change_in_one_source_gives_another_folder(tmp_path: Path) -> None:
    (tmp_path / "callee.py").write_text("one = 1\n")
    (tmp_path / "caller.py").write_text("from callee import one\n")
    before = compiling.folder(tmp_path)
    assert compiling.folder(tmp_path) == before
    (tmp_path / "callee.py").write_text("one = 2\n")
    assert compiling.folder(tmp_path) != before


def test_kernels_are_kept_in_that_folder() -> None:
    kept = Path(integrate.stats.cache_path)
    assert Path(compiling.folder(Path(compiling.__file__).parent)) in [kept, *kept.parents]
