"""How kernels are compiled, and where the results are kept.

numba keeps what it compiled while the source file of the function is unchanged; but a caller contains what it
calls.  So the results lie in a folder named by the contents of all files here: a change in one compiles all anew.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Before numba is imported: one level less compiles a tenth faster, and what it compiles runs as fast.
os.environ.setdefault("NUMBA_OPT", "2")
from numba import config as numba_config
from numba import njit

config: Any = numba_config  # its attributes are made at import


def folder(sources: Path) -> str:
    """The folder of the results: in numba's own where the user has set one, else beside the sources."""
    contents = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(sources.glob("*.py"))))
    return str(Path(config.CACHE_DIR or sources / "__pycache__") / f"kernels-{contents.hexdigest()[:16]}")


_FOLDER = folder(Path(__file__).parent)


def _kept(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """njit with its results kept.  Division by zero gives infinities, which the step control and the polish refuse."""

    def decorate(function: Callable[..., Any]) -> Any:
        elsewhere, config.CACHE_DIR = config.CACHE_DIR, _FOLDER
        try:
            return njit(cache=True, error_model="numpy", **options)(function)
        finally:
            config.CACHE_DIR = elsewhere

    return decorate


compiled = _kept()
# For what is called at every stage: a call that passes twenty arrays costs as much as the arithmetic.
inlined = _kept(forceinline=True)
# Sums may be taken in any order, always the same on one machine: inner products then run in vector registers.
compiled_sums = _kept(fastmath={"reassoc", "nsz"})
