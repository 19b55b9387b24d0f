"""What a stranger has after an installation: commands by extra, types, and a property in a folder of their own."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.installed import PROJECT, ROOT, blind, modules_of, pytest_in, required, wheel
from tests.support.points import fc_relu_local
from tests.whole.test_rooms import MODULES, ROOMS, imported, room

STORED = ROOT / "reports" / "depth2-local--linear--zero-weight--fragile"
EXTRAS = PROJECT["optional-dependencies"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as site-packages is once pip has installed the wheel."""
    return wheel(tmp_path_factory.mktemp("wheel"))


# --- extras ---


def test_the_base_install_verifies_and_lists_with_numpy_alone(tmp_path: Path) -> None:
    assert required(None) == {"numpy"}
    stored = sorted((ROOT / "reports").glob("*/counterexample.json"))
    done = blind(tmp_path, required(None), "verify", *stored)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(": accepted: ") == len(stored) > 10
    done = blind(tmp_path, required(None), "claims")
    assert done.returncode == 0, done.stderr
    assert "fc-relu-local  (refuted)" in done.stdout


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        (("check", STORED / "instance.json"), "flow"),
        (("report",), "report"),
        (("harvest",), "hunt"),
        (("survey", "--instances", "1"), "survey"),
        (("tables",), "survey"),
        (("nightly", "--minutes", "0"), "test"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else value,
)
def test_a_command_that_lacks_its_extra_names_it_in_one_line(
    command: tuple[str | Path, ...], extra: str, tmp_path: Path
) -> None:
    done = blind(tmp_path, required(None), *command)
    assert (done.returncode, done.stdout) == (2, "")
    said = rf"marginalia: \w+: not installed; this command needs pip install '\.\[{extra}\]'\n"
    assert re.fullmatch(said, done.stderr), done.stderr


@pytest.mark.parametrize(
    ("extra", "command"),
    [
        ("flow", ("check", STORED / "counterexample.json")),
        ("flow", ("judge", "POINT")),
        ("report", ("report", "--reports", "REPORTS", "--out", "OUT")),
        ("hunt", ("harvest", "--stored", "--out", "REPORTS")),
        ("survey", ("survey", "--claim", "depth2-local", "--instances", "30", "--processes", "1", "--out", "OUT")),
        ("survey", ("tables",)),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else value,
)
def test_an_extra_brings_what_its_command_needs(extra: str, command: tuple[str | Path, ...], tmp_path: Path) -> None:
    """But for torch, which no command needs without --device, and which brings much that others would lack."""
    places = {"OUT": tmp_path / "out", "REPORTS": tmp_path / "reports", "POINT": tmp_path / "point.json"}
    places["POINT"].write_text(fc_relu_local().to_json())
    shutil.copytree(STORED, places["REPORTS"] / STORED.name)
    done = blind(tmp_path, required(extra) - {"torch"}, *(places.get(str(part), part) for part in command))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("extra", "rooms"),
    [
        (
            "flow",
            {"tools", "problem", "certificates", "retrace", "claims", "flow", "oracles", "show", "harness", "cli"},
        ),
        ("report", {"report"}),
        ("hunt", {"strategies", "records", "harvest"}),
        ("cluster", {"survey", "tables"}),
        ("test", {"testing", "nightly"}),
    ],
)
def test_a_room_imports_only_what_its_extra_names(extra: str, rooms: set[str]) -> None:
    """Within functions too, which a run may not come by."""
    assert rooms <= {*ROOMS}
    known = {"harness", "strategies", *sys.stdlib_module_names, *modules_of(required(extra))}
    # what numba and jinja2 are made of
    known |= {"llvmlite", "markupsafe"}
    used = {
        other.partition(".")[0]: path
        for module, path in MODULES.items()
        if room(module) in rooms
        for other in imported(path)
    }
    assert not used.keys() - known, [f"{path} imports {name}" for name, path in used.items() if name not in known]


def test_the_lock_has_everything() -> None:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    locked = {canonicalize_name(Requirement(line).name) for line in lines if not line.startswith("#")}
    assert required("all") == {name for extra in EXTRAS for name in required(extra) if extra != "dev"}
    assert required("all") | required("dev") <= locked


# --- the wheel ---


def test_the_wheel_has_its_types_its_assets_and_its_plugin(site: Path) -> None:
    assert all((site / room / "py.typed").exists() for room in ("harness", "strategies"))
    sources = {path.relative_to(ROOT) for room in ("harness", "strategies") for path in (ROOT / room).rglob("*.*")}
    missing = {path for path in sources if "__pycache__" not in path.parts and not (site / path).exists()}
    assert missing == set()
    (distribution,) = metadata.distributions(path=[str(site)])
    assert distribution.metadata.get_all("Provides-Extra") == [*EXTRAS]
    assert [point.value for point in distribution.entry_points.select(group="pytest11")] == ["harness.testing.plugin"]


def page() -> str:
    """The file that docs/adding-a-claim.md shows."""
    text = (ROOT / "docs" / "adding-a-claim.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"\n\n((?: {8}.*\n|\n)* {8}import pytest\n(?: {8}.*\n|\n)*)", text)
    return textwrap.dedent(block)


def row(output: str, claim: str) -> dict[str, int]:
    names = ("held", "violated", "undecided", "outside", "not unique", "not separating")
    (found,) = (line for line in output.splitlines() if line.startswith(f"{claim} ") and line.split()[1].isdigit())
    return dict(zip(names, map(int, found.split()[1:]), strict=True))


@pytest.mark.parametrize("processes", ["0", "2"])
def test_the_property_of_the_page_runs_in_a_folder_of_its_own(processes: str, site: Path, tmp_path: Path) -> None:
    """No conftest.py, no settings: the plugin, its marker, its fixtures, its profile and its table are there."""
    (tmp_path / "test_mine.py").write_text(page(), encoding="utf-8")
    done = pytest_in(tmp_path, site, "test_mine.py", "-n", processes, "--strict-markers")
    assert done.returncode == 0, done.stdout + done.stderr
    families = re.search(r"(\d+) passed", done.stdout)
    assert families is not None
    assert int(families[1]) == 3
    became = row(done.stdout, "depth2-narrow-global")
    assert sum(became.values()) == 3 * 100
    assert became["held"] >= 3 * 10
    assert became["violated"] == 0
    assert "held: 1 of 1 claims" in done.stdout


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), "True None 20"),
        (("--hypothesis-profile=ci",), "False None 20"),
        (("--hypothesis-profile=nightly-hunt",), "True None 400"),
        (("--hypothesis-verbosity=verbose",), "True None 20"),
        (("--hypothesis-profile=theirs",), "True 0:00:03 2"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_profiles_in_a_folder_of_its_own(options: tuple[str, ...], expected: str, site: Path, tmp_path: Path) -> None:
    """Whether a database is kept, the deadline, and how many examples a property of 20 has."""
    (tmp_path / "conftest.py").write_text(
        "from hypothesis import settings\nsettings.register_profile('theirs', deadline=3000, max_examples=15)\n"
    )
    (tmp_path / "test_it.py").write_text(
        "from harness.testing.check import examples\n\n"
        "def test_it():\n"
        "    found = examples(20)\n"
        "    print('found', found.database is not None, found.deadline, found.max_examples)\n"
    )
    done = pytest_in(tmp_path, site, "-s", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"found {expected}\n" in done.stdout


FOREIGN = """
import os, sys
import pytest

def test_nothing_of_ours_is_imported():
    ours = {name for name in sys.modules if name.split(".")[0] in ("harness", "strategies")}
    assert ours == {"harness", "harness.testing", "harness.testing.plugin"}
    assert not {"numpy", "torch", "hypothesis", "scipy"} & sys.modules.keys()
    assert not [name for name in os.environ if name.endswith("_NUM_THREADS")]

@pytest.mark.claim("a damaged roof", insured=True)
def test_a_marker_of_that_name_is_theirs():
    pass

def test_their_settings_are_theirs():
    from datetime import timedelta
    from hypothesis import settings
    assert settings.get_current_profile_name() == "default"
    assert settings().deadline == timedelta(milliseconds=200)
"""


def test_a_project_that_has_nothing_to_do_with_it_notices_nothing(site: Path, tmp_path: Path) -> None:
    (tmp_path / "test_theirs.py").write_text(FOREIGN)
    done = pytest_in(tmp_path, site)
    assert done.returncode == 0, done.stdout + done.stderr
    # pytest's own line of plugins has the name, and nothing else does
    assert [line for line in done.stdout.splitlines() if "marginalia" in line and "plugins:" not in line] == []
    assert "marginalia-" in done.stdout
    assert "claims" not in done.stdout
