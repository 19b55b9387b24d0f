"""The answer of the trainer that is not compiled yet, told while the compiler is at work.

The same sources run as plain Python, hundreds of times slower: on a few neurons that is a second or two, and compiling
takes a minute.  Sums are taken in another order there, so that last places differ.
"""

from __future__ import annotations

import math
import re
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType

from harness.cli.codes import OK
from harness.cli.output import complain
from harness.tools.processes import beside

CLOSE, ZERO = 1e-4, 1e-9  # numbers are told with six digits, and so is what rounding leaves of a zero
_NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d*)?(?:e[-+]?\d+)?")


class Meanwhile:
    """A command once more, in a process of its own, from when the trainer begins to be compiled.

    A context manager, at whose end that process ends too.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self._arguments = list(arguments)
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._tell, daemon=True)
        self._said: str | None = None

    def __enter__(self) -> Meanwhile:
        from harness.flow.compiled.beside import waiting

        waiting.append(self._start)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        from harness.flow.compiled.beside import waiting

        with suppress(ValueError):  # nothing was compiled
            waiting.remove(self._start)
        self._stop()

    def _start(self) -> None:
        command = "import harness.cli; sys.exit(harness.cli.main(sys.argv[1:]))"
        self._process = beside(command, self._arguments, stdout=subprocess.PIPE, env={"NUMBA_DISABLE_JIT": "1"})
        self._thread.start()

    def _tell(self) -> None:
        assert self._process is not None
        with self._process as process:
            assert process.stdout is not None
            text = process.stdout.read().decode()
        if process.returncode == OK:
            self._said = text
            # whoever prints next is told that nobody reads
            with suppress(OSError):
                print(text, end="", flush=True)
            complain("this was the trainer as plain Python; it goes on being compiled, once")

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._thread.join()

    def settle(self, text: str) -> None:
        """Print what the compiled trainer says, where it is not what has been said."""
        self._stop()
        if self._said is None:
            print(text)
        elif alike(self._said, f"{text}\n"):
            complain("the compiled trainer says the same")
        else:
            print(f"\nThe compiled trainer says otherwise, and it counts:\n\n{text}")


def alike(one: str, other: str) -> bool:
    """Whether two texts are the same but for the last digits of their numbers."""
    if _NUMBER.sub("0", one) != _NUMBER.sub("0", other):
        return False
    pairs = zip(_NUMBER.findall(one), _NUMBER.findall(other), strict=True)
    return all(math.isclose(float(a), float(b), rel_tol=CLOSE, abs_tol=ZERO) for a, b in pairs)
