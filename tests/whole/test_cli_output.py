"""What commands do where their output goes nowhere, a disk is full, or Ctrl-C comes while kernels are compiled."""

from __future__ import annotations

import errno
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import IO, Any

import pytest

from harness.cli import main, one
from harness.flow.compiled import keeping
from tests.support.bad_inputs import good_object

COMMAND = [sys.executable, "-m", "harness.cli"]
ROOT = Path(__file__).parents[2]
STORED = sorted(map(str, (ROOT / "reports").glob("*/counterexample.json")))[:2]

full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")


def instance_file(folder: Path) -> Path:
    path = folder / "instance.json"
    path.write_text(json.dumps(good_object()))
    return path


def run(
    *arguments: object, stdout: int | IO[Any] = subprocess.PIPE, stderr: int | IO[Any] = subprocess.PIPE, **new: str
) -> tuple[int, str | None, str | None]:
    """A process of its own: its exit code, standard output and error."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | new
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)], stdout=stdout, stderr=stderr, env=environment, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


# --- standard output and error ---


@full
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [["claims"], ["--help"], ["--version"], ["verify", *STORED]], ids=" ".join)
def test_a_full_device(arguments: list[str], unbuffered: str) -> None:
    with open("/dev/full", "w") as device:
        code, _, err = run(*arguments, stdout=device, PYTHONUNBUFFERED=unbuffered)
    assert (code, err) == (1, "marginalia: standard output: No space left on device\n")


@full
def test_a_full_device_for_complaints_leaves_the_exit_code(tmp_path: Path) -> None:
    with open("/dev/full", "w") as device:
        assert run("check", tmp_path / "missing.json", stderr=device)[:2] == (2, "")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_seen_enough(unbuffered: str) -> None:
    reads, writes = os.pipe()
    os.close(reads)
    with os.fdopen(writes, "w") as pipe:
        code, _, err = run("claims", stdout=pipe, PYTHONUNBUFFERED=unbuffered)
    assert (code, err) == (0, "")


@pytest.mark.parametrize(
    ("closed", "expected"),
    [
        (">&-", (1, "", "marginalia: standard output: Bad file descriptor\n")),
        (">&- 2>&-", (1, "", "")),
    ],
)
def test_streams_that_were_closed_before(closed: str, expected: tuple[int, str, str]) -> None:
    shell = ["sh", "-c", f'exec "$@" {closed}', "sh", *COMMAND, "claims"]
    done = subprocess.run(
        shell, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == expected


def test_complaints_do_not_go_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", None)
        assert main(["check", "missing.json"]) == 2
    assert capsys.readouterr().out == ""


# --- disks ---


@pytest.mark.parametrize("name", [None, "pages/index.html"])
def test_a_disk_that_is_full_is_no_defect(
    name: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fill(_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), *([name] if name else []))

    monkeypatch.setattr(one, "claims", fill)
    assert main(["claims"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [f"marginalia: {name or '[Errno 28]'}{':' if name else ''} No space left on device"]


# --- options and files ---


@pytest.mark.parametrize(
    "arguments",
    [
        ["--vers"],
        ["check", "--devic", "cpu", "i.json"],
        ["harvest", "--see", "x"],
        ["report", "--figur", "i"],
        ["survey", "--instance", "x"],
        ["nightly", "--minute", "x"],
        ["tables", "--shar", "x"],
    ],
    ids=" ".join,
)
def test_options_are_not_abbreviated(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    # An option that is known would be told of its value.
    err = capsys.readouterr().err
    assert "unrecognized arguments" in err or "arguments are required" in err


@pytest.mark.parametrize(
    ("options", "field"),
    [(["--group", "relu-2"], "group"), (["--share", "0.5"], "share"), (["--processes", "1"], "processes")],
)
def test_tables_that_are_not_run_take_no_options_of_a_run(
    options: list[str], field: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tables", *options]) == 2
    assert capsys.readouterr().err == f"marginalia: {field}: only with --run\n"


def test_a_folder_for_hunts_is_tried_before_the_survey(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("harness.survey.run", lambda *_, **__: pytest.fail("it was begun"))
    (tmp_path / "file").touch()
    survey = ["survey", "--claim", "kkt", "--instances", "5", "--out", str(tmp_path / "out")]
    assert main([*survey, "--hunt", str(tmp_path / "file" / "reports")]) == 2
    assert capsys.readouterr().err.startswith(f"marginalia: hunt: {tmp_path / 'file' / 'reports'} cannot be written: ")


@pytest.mark.parametrize("text", ["", "[", "[1]", '{"format": 1'])
def test_what_is_no_instance_at_all_names_the_file(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a b.json"
    path.write_text(text)
    assert main(["check", str(path)]) == 2
    assert capsys.readouterr().err.startswith(f"marginalia: {path}: ")


def test_another_format_is_called_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "new.json"
    path.write_text(json.dumps({"net": [], "format": 2}))
    assert main(["check", str(path)]) == 2
    assert capsys.readouterr().err == "marginalia: format: format 2 is not known; this version reads format 1\n"


# --- compiling ---


def test_the_first_compilation_is_told_of_on_standard_error(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    def compiles(*_: object, **__: object) -> None:
        logging.getLogger(keeping.__name__).info(keeping.FIRST)
        raise KeyboardInterrupt

    caplog.set_level(logging.NOTSET, "harness.flow")
    monkeypatch.setattr("harness.drive", compiles)
    assert main(["check", str(instance_file(tmp_path)), "--json"]) == 130
    out, err = capsys.readouterr()
    assert (out, err.splitlines()[0]) == ("", f"marginalia: {keeping.FIRST}")


@pytest.fixture
def interruptible() -> Generator[None]:
    """Python's own handler: a shell has processes in the background ignore Ctrl-C, and their children too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_while_kernels_are_compiled(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(tmp_path / "kernels")}
    # As JSON nothing is said meanwhile.
    command = [*COMMAND, "check", "--json", str(instance_file(tmp_path))]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        # From now on it compiles for a minute.
        assert process.stderr.readline() == f"marginalia: {keeping.FIRST}\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert (process.returncode, out, err) == (130, "", "marginalia: stopped; what was stored stays\n")
