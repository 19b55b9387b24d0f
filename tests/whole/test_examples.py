"""Every command's --help has examples, and they are what the command takes; the quick ones are run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from harness.cli import main
from harness.cli.options import parser

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = ("check", "judge", "harvest", "verify", "report", "survey", "nightly", "tables", "claims")
# In seconds, whatever they are given.
QUICK = ("check", "judge", "claims", "tables", "report --figure")


def examples(command: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    return re.findall(r"^  marginalia (.*)$", capsys.readouterr().out, re.MULTILINE)


def test_these_are_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert set(re.findall(r"^    ([a-z]+) ", capsys.readouterr().out, re.MULTILINE)) == {*COMMANDS}


@pytest.mark.parametrize("command", COMMANDS)
def test_examples(
    command: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = examples(command, capsys)
    assert shown
    for name in ("reports", "docs"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    for line in shown:
        given = shlex.split(line)
        assert given[0] == command
        # as a shell has it
        files = [[str(path) for path in sorted(Path().glob(word))] if "*" in word else [word] for word in given]
        words = [word for group in files for word in group]
        parser().parse_args(words)
        named = [word for word in words if word.startswith(("reports/", "docs/"))]
        assert [name for name in named if not Path(name).exists()] == []
        if line.startswith(QUICK) and "--run" not in line:
            assert main(words) == 0
            assert capsys.readouterr().out
