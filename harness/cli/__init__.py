"""The command line: `marginalia COMMAND`.

options (what may be given) -> one, many (the commands), which import what they need themselves: `marginalia claims`
need not wait for torch.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout

from harness.cli.codes import BAD_INPUT, DEFECT, OK, STOPPED
from harness.cli.options import parser
from harness.cli.output import Output, complain, give_up, log_to_stderr
from harness.problem.fields import FieldError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is returned.  Defects of the harness come out as exceptions."""
    try:
        with redirect_stdout(Output(sys.stdout)), log_to_stderr():
            return _run(arguments)
    except FieldError as error:
        complain(str(error))
        return BAD_INPUT
    except BrokenPipeError:
        # The reader of a pipe, say head, has seen enough.
        give_up(sys.stdout)
        return OK
    except OSError as error:
        # A full disk, say.
        complain(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        if error.filename == Output.NAME:
            give_up(sys.stdout)
        return DEFECT
    except KeyboardInterrupt:
        complain("stopped; what was stored stays")
        return STOPPED


def _run(arguments: Sequence[str] | None) -> int:
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        options = parser().parse_args(given)
    except SystemExit:
        # After --help, say.
        sys.stdout.flush()
        raise
    # What a command starts a second process with.
    options.given = given
    try:
        code: int = options.command(options)
    except ModuleNotFoundError as error:
        raise _lacking(options.extra, error) from error
    sys.stdout.flush()
    return code


def _lacking(extra: str | None, error: ModuleNotFoundError) -> Exception:
    """Names the extra of a command that lacks a package; the error itself where no extra brings the module."""
    package = (error.name or "").partition(".")[0]
    if extra is None or package in {"", "harness", "strategies", *sys.stdlib_module_names}:
        return error
    return FieldError(package, f"not installed; this command needs pip install '.[{extra}]'")
