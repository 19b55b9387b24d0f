"""What an installation brings: the wheel, the packages of each extra, and a process that sees no others."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

# A script, and not an option of Python: the processes that it spawns run it again, and are as blind as it is.
BLIND = """
import sys

ALLOWED = {*sys.argv[1].split(","), "harness", "strategies", *sys.stdlib_module_names}

class Blind:
    def find_spec(self, name, path=None, target=None):
        # the standard library keeps how it was built in _sysconfigdata...
        if name.partition(".")[0] not in ALLOWED and not name.startswith("_sysconfigdata"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blind())
if __name__ == "__main__":
    from harness.cli import main

    sys.exit(main(sys.argv[2:]))
"""


def wheel(folder: Path) -> Path:
    """Build the wheel from a copy of the sources and unpack it: what pip would put into site-packages."""
    copy, built, unpacked = folder / "sources", folder / "built", folder / "unpacked"
    for room in ("harness", "strategies"):
        shutil.copytree(ROOT / room, copy / room, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    build = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"
    built.mkdir()
    subprocess.run([sys.executable, "-c", build, built], cwd=copy, check=True, capture_output=True)
    (file,) = built.glob("*.whl")
    with zipfile.ZipFile(file) as archive:
        archive.extractall(unpacked)
    return unpacked


def required(extra: str | None) -> set[str]:
    """The packages that the base install and an extra name, in pyproject.toml."""
    named = PROJECT["dependencies"] if extra is None else PROJECT["optional-dependencies"][extra]
    found = set[str]() if extra is None else required(None)
    for requirement in map(Requirement, named):
        if requirement.name == PROJECT["name"]:
            found |= {package for other in requirement.extras for package in required(other)}
        else:
            found.add(canonicalize_name(requirement.name))
    return found


def with_all_that_they_bring(packages: set[str]) -> set[str]:
    """These packages, those that they require, and so on."""
    brought, ahead = set[str](), set(packages)
    while ahead:
        brought |= ahead
        ahead = {name for package in ahead for name in _brought(package)} - brought
    return brought


def modules_of(packages: set[str]) -> set[str]:
    """The top-level modules of these packages."""
    return {
        module
        for module, owners in metadata.packages_distributions().items()
        if packages & {canonicalize_name(owner) for owner in owners}
    }


def _brought(package: str) -> set[str]:
    requirements = map(Requirement, metadata.requires(package) or ())
    return {
        canonicalize_name(one.name) for one in requirements if one.marker is None or one.marker.evaluate({"extra": ""})
    }


def blind(folder: Path, packages: set[str], *command: str | Path) -> subprocess.CompletedProcess[str]:
    """A command of marginalia, run in the checkout by a process that can import these packages and no others."""
    script = folder / "blind.py"
    script.write_text(BLIND, encoding="utf-8")
    allowed = ",".join(sorted(modules_of(with_all_that_they_bring(packages))))
    return _python([script, allowed, *command], ROOT, ROOT)


def pytest_in(folder: Path, site: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """pytest in a folder of its own, with the package as it lies in `site` installed."""
    return _python(["-m", "pytest", "-p", "no:cacheprovider", *options], folder, site)


def _python(arguments: Sequence[str | Path], folder: Path, path: Path) -> subprocess.CompletedProcess[str]:
    """Python in this folder, with this path to import from."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**_environment(), "PYTHONPATH": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )


def _environment() -> dict[str, str]:
    """Nothing that this run of pytest was told, or told its threads; the kernels that are compiled already."""

    from harness.flow.compiled.keeping import SOURCES, folders

    left_out = ("PYTEST_", "COV_", "HYPOTHESIS_")
    plain = {k: v for k, v in os.environ.items() if not k.startswith(left_out) and not k.endswith("_NUM_THREADS")}
    plain.pop("CI", None)
    kept = next((place for place in folders(SOURCES) if place.exists()), None)
    return plain | ({"NUMBA_CACHE_DIR": str(kept.parent)} if kept else {})
