"""The nightly: its rounds and its exit code, what it keeps, and whom it tells."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.claims.table import CLAIMS
from harness.cli import main
from harness.harvest import Harvested
from harness.nightly import issues, night
from harness.nightly.night import DEFECT, FOUND, VIOLATED, Night
from harness.nightly.violations import again, keep
from harness.problem.fields import FieldError
from harness.records.folders import store
from harness.records.record import stored
from tests.support.counterexamples import depth2_local, fc_relu_local

ROOT = Path(__file__).parents[2]


# --- violations ---


def test_the_smallest_violation_of_a_claim_is_kept(tmp_path: Path) -> None:
    small, large = depth2_local(2).instance, depth2_local(3).instance
    for instance in (large, small, large):
        path = keep("depth2-local", instance, tmp_path)
    assert path == tmp_path / "depth2-local.json"
    assert path.read_text() == small.to_json() + "\n"
    assert [item.name for item in tmp_path.iterdir()] == ["depth2-local.json"]
    assert main(["check", str(path)]) == 0


def test_what_is_kept_is_judged_again(tmp_path: Path) -> None:
    # A refuted claim stands for a theorem that is wrong.
    keep("depth2-local", depth2_local().instance, tmp_path)
    keep("kkt", depth2_local().instance, tmp_path)
    (tmp_path / "balance.json").write_text('{"format": 1')
    (tmp_path / "no-such-claim.json").write_text(depth2_local().instance.to_json())
    assert [(found.claim, found.outcome) for found in again(tmp_path)] == [
        ("kkt", "holds"),
        ("balance", "unreadable"),
        ("depth2-local", "violated"),
        ("no-such-claim", "unreadable"),
    ]


# --- the plugin ---

PLANTED = """
import pytest
from harness.claims.table import CLAIMS
from harness.testing.plugin import REPORTED
from tests.support.counterexamples import depth2_local

def violate(claim):
    error = CLAIMS[claim].exception.__new__(CLAIMS[claim].exception)
    error.instance = depth2_local().instance
    return error

def test_violated():
    raise violate("balance")

def test_several_at_once():
    raise ExceptionGroup("several", [violate("kkt"), ValueError()])

def test_a_defect():
    raise ZeroDivisionError

def test_passes(request):
    request.node.user_properties.append((REPORTED, ["kkt", "theorem", {"held": 3, "outside": 1}, [], None]))

@pytest.mark.claim("depth2-local", decided=1)
def test_of_a_refuted_claim():
    raise AssertionError("this is left to the harvest")
"""


@pytest.mark.parametrize("processes", ["0", "2"])
def test_the_plugin_keeps_violations_and_counts_and_tells_defects_apart(processes: str, tmp_path: Path) -> None:
    (tmp_path / "test_planted.py").write_text(PLANTED)
    (tmp_path / "pytest.ini").write_text(f"[pytest]\nmarkers = claim\npythonpath = {ROOT}\n")
    arguments = ["-p", "harness.testing.nightly", "-n", processes, f"--tally={tmp_path}/tally.json"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments, f"--violations={tmp_path}/violations", "test_planted.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    tally = json.loads((tmp_path / "tally.json").read_text())
    assert tally == {"counts": {"kkt": {"held": 3, "outside": 1}}, "failed": ["test_planted.py::test_a_defect"]}
    assert sorted(path.name for path in (tmp_path / "violations").iterdir()) == ["balance.json", "kkt.json"]


# --- the night ---


class Stage:
    """Stands for pytest and for the harvest: what they find is planted."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (folder / "properties").mkdir()
        for name in ("test_a.py", "test_b.py"):
            (folder / "properties" / name).write_text("")
        monkeypatch.chdir(folder)
        monkeypatch.setattr(night, "run_pytest", self.pytest)
        monkeypatch.setattr(night, "run_harvest", self.harvest)
        self.calls: list[str] = []
        self.failed: list[str] = []
        self.in_pytest: Callable[[str], None] = lambda profile: None
        self.in_harvest: Callable[[Path], list[Harvested]] = lambda out: []

    def pytest(self, arguments: Sequence[str]) -> None:
        options = dict(item.removeprefix("--").split("=") for item in arguments if item.startswith("--"))
        profile = options["hypothesis-profile"]
        what = [item for item in arguments if not item.startswith("--")]
        self.calls.append(" ".join([profile, *what, options.get("hypothesis-seed", "")]).strip())
        self.in_pytest(profile)
        counts = {"kkt": {"held": 5, "undecided": 1}}
        Path(options["tally"]).write_text(json.dumps({"counts": counts, "failed": self.failed}))

    def harvest(self, claims: object, out: Path, seed: int, progress: object) -> list[Harvested]:
        self.calls.append(f"harvest {seed}")
        return self.in_harvest(out)

    def night(self, minutes: float = 0.0, clock: Callable[[], float] = lambda: 0.0) -> tuple[int, Night]:
        held = Night(Path("reports"), Path("state"), lambda line: None)
        return held.run(minutes, clock), held


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(tmp_path, monkeypatch)


def summary() -> dict[str, Any]:
    return json.loads(Path("state/summary.json").read_text())


def test_a_night_that_finds_nothing(stage: Stage) -> None:
    code, held = stage.night()
    assert code == FOUND
    assert stage.calls == [
        "nightly-replay properties tests/records/test_stored.py",
        "nightly-hunt properties/test_b.py 1",
        "harvest 1",
    ]
    assert "Nothing new." in held.summary.markdown()
    assert "| kkt | 10 | 0 | 2 |" in held.summary.markdown()
    assert summary() == {"seeds": [1], "violated": [], "new": [], "failed": [], "stopped": False}


def test_rounds_are_started_while_there_is_time_and_the_next_night_goes_on(stage: Stage) -> None:
    times = iter([0.0, 59.0, 60.0 + 59.0, 120.0])
    assert stage.night(2.0, lambda: next(times))[0] == FOUND
    assert summary()["seeds"] == [1, 2, 3]
    assert [call for call in stage.calls if "hunt" in call] == [
        "nightly-hunt properties/test_b.py 1",
        "nightly-hunt properties/test_a.py 2",
        "nightly-hunt properties/test_b.py 3",
    ]
    assert stage.night()[0] == FOUND
    assert summary()["seeds"] == [4]


def test_a_violation_decides_the_exit_code_until_it_is_mended(stage: Stage) -> None:
    def violate(profile: str) -> None:
        if profile == "nightly-hunt":
            keep("depth2-local", depth2_local().instance, Path("state/violations"))

    stage.in_pytest = violate
    code, held = stage.night()
    assert code == VIOLATED
    assert summary()["violated"] == [{"claim": "depth2-local", "path": "state/violations/depth2-local.json"}]
    assert "VIOLATED: depth2-local" in held.summary.markdown()
    # It is met again the next night, even if the hunt does not find it.
    stage.in_pytest = lambda profile: None
    assert stage.night()[0] == VIOLATED
    # Mended: what is kept holds now.
    Path("state/violations/depth2-local.json").rename("state/violations/kkt.json")
    code, held = stage.night()
    assert code == FOUND
    assert "kkt was violated, and holds now" in held.summary.markdown()


def test_new_counterexamples_are_told_once_and_kept(stage: Stage) -> None:
    def find(out: Path) -> list[Harvested]:
        put = store(depth2_local(), out)
        return [Harvested("depth2-local", True, put.path, put.written, put.reason, (put.path,) if put.new else ())]

    stage.in_harvest = find
    code, held = stage.night()
    assert code == FOUND
    assert "New: depth2-local--linear--zero-weight, stored." in held.summary.markdown()
    assert stage.night()[0] == FOUND
    assert summary()["new"] == []
    # Another checkout, with the same state.
    Path("reports").rename("elsewhere")
    assert stage.night()[0] == FOUND
    assert summary()["new"] == []
    assert [record.data for record in stored(Path("reports"))] == [depth2_local().data]


def test_a_failure_that_is_no_violation_is_a_defect(stage: Stage) -> None:
    stage.failed = ["properties/test_kkt.py::test_x"]
    assert stage.night()[0] == DEFECT
    stage.failed = []
    assert stage.night()[0] == FOUND


def test_a_run_of_pytest_that_dies_is_a_defect(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(night, "run_pytest", lambda arguments: None)
    assert stage.night()[0] == DEFECT
    assert "ended without its counts" in summary()["failed"][0]


def test_a_night_that_is_stopped_is_summed_up_and_continued(stage: Stage) -> None:
    def stop(out: Path) -> list[Harvested]:
        store(fc_relu_local(), out)
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("it went on")

    before = signal.getsignal(signal.SIGTERM)
    stage.in_harvest = stop
    code, held = stage.night(60.0)
    assert code == FOUND
    assert held.summary.stopped
    assert summary()["seeds"] == []
    assert summary()["new"] == [fc_relu_local().folder] == [record.folder for record in stored(held.findings)]
    assert signal.getsignal(signal.SIGTERM) is before
    # What it had stored is there, and its round is begun again.
    assert [record.claim for record in stored(Path("reports"))] == ["fc-relu-local"]
    stage.in_harvest = lambda out: []
    stage.night()
    assert summary()["seeds"] == [1]


def test_what_could_not_be_stored_is_told(stage: Stage) -> None:
    stage.in_harvest = lambda out: [Harvested("kkt", True, None, False, "found, but not stored: No space left")]
    _, held = stage.night()
    assert "kkt: found, but not stored: No space left." in held.summary.markdown()


def test_pages_that_could_not_be_written_are_a_defect(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("harness.harvest.pages.rebuild", full)
    code, held = stage.night()
    assert code == DEFECT
    assert "Failed: pages: not written (No space left on device);" in held.summary.markdown()


def test_it_runs_where_the_properties_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FieldError) as caught:
        Night(Path("reports"), Path("state"), lambda line: None).run(0.0)
    assert caught.value.field == "properties"
    assert list(tmp_path.iterdir()) == []


def test_the_command(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nightly", "--minutes", "0", "--out", "reports", "--state", "state"]) == 0
    assert capsys.readouterr().out.startswith("1 round of hunting, seeds 1 to 1.\n")
    assert main(["nightly", "--minutes", "nan"]) == 2
    assert main(["nightly", "--minutes", "-1"]) == 2


# --- whom it tells ---

GH = """#!{python}
import json, pathlib, sys
here = pathlib.Path(__file__).parent
calls = here / "calls.jsonl"
with calls.open("a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
if sys.argv[1:3] == ["issue", "list"]:
    print((here / "open.json").read_text())
"""


@pytest.fixture
def forge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any], list[int]], list[list[str]]]:
    """Tell a forge of a summary, with these issues open; what it was told."""
    program = tmp_path / "gh"
    program.write_text(GH.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    def tell(data: dict[str, Any], numbers: list[int]) -> list[list[str]]:
        (tmp_path / "summary.json").write_text(json.dumps(data))
        (tmp_path / "open.json").write_text(json.dumps([{"number": number} for number in numbers]))
        calls = tmp_path / "calls.jsonl"
        calls.unlink(missing_ok=True)
        assert issues.main([str(tmp_path)]) == 0
        return [json.loads(line) for line in calls.read_text().splitlines()] if calls.exists() else []

    return tell


def test_nothing_new_is_nobodys_business(forge: Any) -> None:
    assert forge({"violated": [], "new": []}, []) == []


@pytest.mark.parametrize(("key", "label"), [("violated", "theorem-violated"), ("new", "counterexample")])
def test_an_issue_is_opened_once_and_then_updated(key: str, label: str, forge: Any) -> None:
    data = {"violated": [], "new": []} | {key: ["something"]}
    made, listed, opened = forge(data, [])
    assert made[:4] == ["label", "create", label, "--force"]
    assert listed[:4] == ["issue", "list", "--label", label]
    assert opened[:2] == ["issue", "create"]
    assert opened[opened.index("--label") + 1] == label
    edited = forge(data, [7])[-1]
    assert edited[:3] == ["issue", "edit", "7"]
    assert edited[3] == "--body-file"


def test_every_claim_has_an_exception_that_the_plugin_can_tell() -> None:
    assert len({claim.exception for claim in CLAIMS.values()}) == len(CLAIMS)
