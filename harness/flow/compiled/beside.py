"""What a first flow waits for longest, compiled by a second process meanwhile, where there is a second core."""

from __future__ import annotations

import atexit
import subprocess
import sys

from harness.tools.processes import cores

# The one that is asked for last is compiled beside all others, and takes about as long.
WHAT = "harness.flow.ahead"
_started: list[subprocess.Popen[bytes]] = []


def start() -> None:
    """Once a process; where it does not come to an end, whoever needs the kernel compiles it."""
    if _started or WHAT in sys.modules or cores() < 2:
        return
    command = f"import sys; sys.path[:] = {sys.path!r}; import {WHAT}"
    _started.append(
        subprocess.Popen(
            [sys.executable, "-c", command], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
    )


@atexit.register
def _stop() -> None:
    for process in _started:
        process.kill()
        process.communicate()
