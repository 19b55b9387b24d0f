"""One line that says how far long work has come: rewritten in place on a terminal, else a line at a time."""

from __future__ import annotations

import shutil
import sys
import time
from contextlib import suppress
from types import TracebackType
from typing import TextIO, cast


class Progress:
    """Call it with a short text; a context manager that leaves the cursor on a fresh line.

    every: the least number of seconds between two lines where the stream is no terminal.
    """

    def __init__(self, stream: TextIO | None = None, every: float = 5.0) -> None:
        # None if it was closed before the program began.
        self._stream = cast("TextIO | None", sys.stderr) if stream is None else stream
        self._in_place = self._stream is not None and self._stream.isatty()
        self._every = every
        self._began = time.monotonic()
        self._printed: float | None = None
        self._open = False

    def __call__(self, text: str) -> None:
        now = time.monotonic()
        line = f"[{now - self._began:4.0f} s] {' '.join(text.split())}"
        if self._in_place:
            width = shutil.get_terminal_size().columns - 1
            self._write(f"\r\x1b[K{line[:width]}")
            self._open = True
        elif self._printed is None or now - self._printed >= self._every:
            self._write(line + "\n")
            self._printed = now

    def _write(self, text: str) -> None:
        # Work does not end because nobody can be told of it.
        if self._stream is not None:
            with suppress(OSError):
                self._stream.write(text)
                self._stream.flush()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        if self._open:
            self._write("\n")
            self._open = False
