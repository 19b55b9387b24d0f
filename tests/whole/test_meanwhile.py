"""What `check` says before the trainer is compiled."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cli import main
from harness.cli.meanwhile import Meanwhile, alike
from harness.flow.compiled import beside

STORED = Path(__file__).parents[2] / "reports" / "fc-relu-local--dead-neuron--robust" / "instance.json"


@pytest.fixture
def compiled(capsys: pytest.CaptureFixture[str]) -> str:
    """What the compiled trainer says."""
    assert main(["check", str(STORED)]) == 0
    return capsys.readouterr().out.removesuffix("\n")


def _said_while(path: Path) -> Meanwhile:
    """As where compiling begins, and takes longer than plain Python."""
    with Meanwhile(["check", str(path)]) as meanwhile:
        beside.waiting.pop()()
        meanwhile._thread.join()  # pyright: ignore[reportPrivateUsage]
    return meanwhile


def test_the_answer_is_told_once(compiled: str, capsys: pytest.CaptureFixture[str]) -> None:
    meanwhile = _said_while(STORED)
    early = capsys.readouterr().out
    assert alike(early, f"{compiled}\n")
    meanwhile.settle(compiled)
    assert capsys.readouterr().out == ""


def test_where_the_compiled_trainer_says_otherwise_that_is_told_too(capsys: pytest.CaptureFixture[str]) -> None:
    meanwhile = _said_while(STORED)
    capsys.readouterr()
    meanwhile.settle("undecided: something else")
    out = capsys.readouterr().out
    assert "says otherwise" in out
    assert out.endswith("undecided: something else\n")


def test_where_there_was_no_answer_the_compiled_trainer_gives_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    meanwhile = _said_while(tmp_path / "none.json")
    assert capsys.readouterr().out == ""
    meanwhile.settle("the answer")
    assert capsys.readouterr().out == "the answer\n"


def test_where_nothing_is_compiled_nothing_else_runs(compiled: str) -> None:
    with Meanwhile(["check", str(STORED)]) as meanwhile:
        pass
    assert meanwhile._process is None  # pyright: ignore[reportPrivateUsage]
    assert not beside.waiting


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("value 2.23607", "value 2.23608", True),
        ("value 2.23607", "value 2.24607", False),
        ("residual 1.6e-16", "residual 0", True),
        ("yes, certified (2)", "no, certified (2)", False),
        ("(1, 0.5)", "(1, -0.5)", False),
        ("(1, 0)", "(1)", False),
    ],
)
def test_texts_are_alike_up_to_last_digits(one: str, other: str, expected: bool) -> None:
    assert alike(one, other) is expected
