"""The versions of what a result was computed with."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version


def software(packages: Sequence[str]) -> dict[str, str]:
    """The version of Python and of each package that is installed: marginalia may be run from its source tree."""
    found = {"python": platform.python_version()}
    for name in packages:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
