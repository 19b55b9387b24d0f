"""What a command writes: standard output, of which an error says so, and one line each on standard error."""

from __future__ import annotations

import errno
import io
import logging
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import TextIO, cast


class Output(io.TextIOBase):
    """Standard output; an error of it says so in its file name."""

    NAME = "standard output"

    def __init__(self, stream: TextIO | None) -> None:
        # None if it was closed before the program began.
        self._stream = stream
        # argparse passes over what it cannot print.
        self._error: OSError | None = None

    def write(self, text: str) -> int:
        with self._named() as stream:
            return stream.write(text)

    def flush(self) -> None:
        with self._named() as stream:
            stream.flush()

    @contextmanager
    def _named(self) -> Generator[TextIO]:
        try:
            if self._error is not None:
                raise self._error
            if self._stream is None:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            yield self._stream
        except OSError as error:
            error.filename = self.NAME
            self._error = error
            raise


def give_up(stream: TextIO | None) -> None:
    """What is still to be written goes nowhere; Python would complain once more on exit."""
    if stream is not None:
        with suppress(io.UnsupportedOperation):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def complain(message: str) -> None:
    # Where standard error cannot be written either, the exit code has to do; print takes None for standard output.
    if cast("TextIO | None", sys.stderr) is not None:
        with suppress(OSError):
            print("marginalia:", " ".join(message.split()), file=sys.stderr, flush=True)


class _Lines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        complain(record.getMessage())


@contextmanager
def log_to_stderr() -> Generator[None]:
    """What the program says of its own running, a line each."""
    log, lines = logging.getLogger("harness"), _Lines()
    before = log.level
    log.addHandler(lines)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(lines)
        log.setLevel(before)
