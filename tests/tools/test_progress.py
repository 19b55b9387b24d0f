"""The progress line: in place on a terminal, plain lines elsewhere."""

from __future__ import annotations

import io
import sys

import pytest

from harness.tools.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_one_line_in_place_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    stream = Terminal()
    with Progress(stream) as progress:
        progress("one")
        progress("two\nlines " + 100 * "x")
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert text.endswith("\n")
    _, first, second = text.split("\r\x1b[K")
    assert first.endswith("one")
    assert "two lines" in second
    assert len(second.rstrip("\n")) < 30


def test_plain_lines_elsewhere_and_not_too_many() -> None:
    stream = io.StringIO()
    with Progress(stream, every=1e9) as progress:
        progress("one")
        progress("two")
    assert stream.getvalue() == "[   0 s] one\n"


def test_nothing_is_printed_if_nothing_was_said() -> None:
    stream = Terminal()
    with Progress(stream):
        pass
    assert stream.getvalue() == ""


class Full(io.StringIO):
    def write(self, s: str) -> int:
        raise OSError(28, "No space left on device")


def test_work_goes_on_where_nobody_can_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    for stream in (None, Full()):
        with Progress(stream, every=0) as progress:
            progress("one")
