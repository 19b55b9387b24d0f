"""What is found by name when it is asked for.

What a person asks of a point or a limit and other rooms answer: `point.nearest_kkt()` is the trainer's, what
`print(point)` says is that of harness/show.  This room imports neither.  And what a package has to give and is slow to
load.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def later(module: str, name: str, *arguments: Any) -> Any:
    """Call a function of another room."""
    return getattr(import_module(module), name)(*arguments)


def at_first_use(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """The __getattr__ of a package: each of the names is loaded from its module when it is first used."""

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(homes[name]), name)

    return load
