"""What a first flow waits for longest, compiled by a second process meanwhile, where there is a second core."""

from __future__ import annotations

import atexit
import subprocess
import sys
from collections.abc import Callable

from harness.tools.processes import beside, cores

# The one that is asked for last is compiled beside all others, and takes about as long.
WHAT = "harness.flow.ahead"
_started: list[subprocess.Popen[bytes]] = []
# What waits for the first kernel that is compiled; each is called once.
waiting: list[Callable[[], None]] = []


def start() -> None:
    """Once a process; where it does not come to an end, whoever needs the kernel compiles it."""
    while waiting:
        waiting.pop()()
    if not _started and WHAT not in sys.modules and cores() >= 2:
        _started.append(beside(f"import {WHAT}"))


@atexit.register
def _stop() -> None:
    for process in _started:
        process.kill()
        process.communicate()
