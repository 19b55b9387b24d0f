"""What a person asks of a point or a limit and other rooms answer: found by name when it is asked for.

`point.nearest_kkt()` is the trainer's, what `print(point)` says is that of harness/show.  This room imports neither.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


def later(module: str, name: str, *arguments: Any) -> Any:
    """Call a function of another room."""
    return getattr(import_module(module), name)(*arguments)
