"""How kernels are compiled: by numba's njit, kept for the next process (keeping.py), and not torn apart by Ctrl-C."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

# Before numba is imported: one level less compiles a tenth faster, and what it compiles runs as fast.
os.environ.setdefault("NUMBA_OPT", "2")
from numba import config as numba_config
from numba import njit

from harness.flow.compiled.keeping import SOURCES, Kept, digest, folders

config: Any = numba_config  # its attributes are made at import

_DIGEST, _FOLDERS = digest(SOURCES), folders(SOURCES)


class _Interrupts:
    """Ctrl-C waits until the innermost kernel that is being compiled is done.

    An exception in the midst of numba and LLVM ends in a SystemError or a crash.
    """

    def __init__(self) -> None:
        self._outside: Callable[[int, FrameType | None], Any] | None = None
        self._waiting = False

    @contextmanager
    def put_off(self) -> Generator[None]:
        outermost = self._outside is None
        handler = signal.getsignal(signal.SIGINT) if outermost else self._outside
        if threading.current_thread() is not threading.main_thread() or not callable(handler):
            # Python interrupts the main thread alone, and only a handler of its own raises an exception.
            yield
            return
        if outermost:
            self._outside, self._waiting = handler, False
            signal.signal(signal.SIGINT, self._wait)
        try:
            yield
        finally:
            if outermost:
                self._outside = None
                signal.signal(signal.SIGINT, handler)
            if self._waiting:
                self._waiting = False
                handler(signal.SIGINT, None)

    def _wait(self, _number: int, _frame: FrameType | None) -> None:
        self._waiting = True


_interrupts = _Interrupts()


def keep(dispatcher: Any, kept: Kept) -> Any:
    """The dispatcher that njit made of a function, with its kernels kept, and Ctrl-C put off while one is compiled."""
    plain = dispatcher.compile

    def compile(signature: Any) -> Any:
        with _interrupts.put_off():
            return plain(signature)

    dispatcher._cache, dispatcher.compile = kept, compile
    return dispatcher


def _unchanged() -> bool:
    return digest(SOURCES) == _DIGEST


def _kept(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """njit with its results kept.  Division by zero gives infinities, which the step control and the polish refuse."""
    # nobody calls kernels from C
    common: dict[str, Any] = {"error_model": "numpy", "no_cfunc_wrapper": True}

    def decorate(function: Callable[..., Any]) -> Any:
        made = njit(**common | options)(function)
        # With NUMBA_DISABLE_JIT, njit gives back the function.
        return made if config.DISABLE_JIT else keep(made, Kept(function, _FOLDERS, _unchanged))

    return decorate


# Said of each, since a kernel that is compiled on the way to another one would inherit what that says.
compiled = _kept(_nrt=True)
# For what is called within steps.  It allocates nothing, the compiler would refuse, so that no references are counted:
# at a call that passes thirty arrays that costs more than the arithmetic.  It must not return an array.
bare = _kept(_nrt=False)
# For what has one caller: compiled as a part of that, and by itself only where Python calls it.
part = _kept(inline="always")
# The same, where the call itself would cost as much as what is called.
inlined = _kept(_nrt=False, forceinline=True)
# Sums may be taken in any order, always the same on one machine: inner products then run in vector registers.
bare_sums = _kept(_nrt=False, fastmath={"reassoc", "nsz"})
