"""How kernels are compiled: by numba's njit, kept for the next process (keeping.py), and not torn apart by Ctrl-C."""

from __future__ import annotations

import gc
import logging
import os
import signal
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

# Before numba is imported: one level less compiles a tenth faster, and what it compiles runs as fast.
os.environ.setdefault("NUMBA_OPT", "2")
from numba import config as numba_config
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import CPUDispatcher
from numba.core.sigutils import normalize_signature
from numba.core.typing.templates import make_concrete_template

from harness.flow.compiled import beside
from harness.flow.compiled.keeping import FIRST, SOURCES, Kept, digest, folders, say_once
from harness.flow.compiled.linking import Result, lowered, object_of

Dispatcher: Any = CPUDispatcher
config: Any = numba_config  # its attributes are made at import

_DIGEST, _FOLDERS = digest(SOURCES), folders(SOURCES)


_Handler = Callable[[int, FrameType | None], Any]


def _handler() -> _Handler | None:
    """That of Ctrl-C.  Python interrupts the main thread alone, and only a handler of its own raises an exception."""
    handler = signal.getsignal(signal.SIGINT)
    return handler if threading.current_thread() is threading.main_thread() and callable(handler) else None


class _Interrupts:
    """Ctrl-C waits until the innermost kernel that is being compiled is done.

    An exception in the midst of numba and LLVM ends in a SystemError or a crash.  Between two kernels it is raised at
    once; one that is lost there, since it came within a destructor, is raised again.
    """

    def __init__(self) -> None:
        self._outside: _Handler | None = None
        self._waiting = False
        self._came: bool | None = None  # None where nobody remembers

    @contextmanager
    def remembered(self) -> Generator[None]:
        handler = _handler()
        if handler is None or self._outside is not None or self._came is not None:
            yield
            return

        def told(number: int, frame: FrameType | None) -> None:
            try:
                handler(number, frame)
            except BaseException:
                self._came = True
                raise

        self._came = False
        try:
            signal.signal(signal.SIGINT, told)
            yield
        finally:
            signal.signal(signal.SIGINT, handler)
            came, self._came = self._came, None
        if came:
            handler(signal.SIGINT, None)

    @contextmanager
    def put_off(self) -> Generator[None]:
        own = _handler()
        if own is None:
            yield
            return
        outermost, handler = self._outside is None, self._outside or own
        if self._came:
            handler(signal.SIGINT, None)
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


@contextmanager
def _uncollected() -> Generator[None]:
    """numba makes objects by the million, and to look for garbage among them takes a tenth of its time and more."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class Kernel(Dispatcher):
    """A function that Python and other kernels call: an object of its own for Python, a part of theirs for them."""

    def __init__(self, function: Callable[..., Any], options: Mapping[str, Any], kept: Kept) -> None:
        super().__init__(function, targetoptions={"nopython": True} | dict(options))
        self._kept = kept
        self._parts: dict[tuple[Any, ...], Any] = {}

    def compile(self, sig: Any) -> Any:
        """What Python calls for these types.  It is always what was kept: who compiles it runs what others load."""
        types = tuple(normalize_signature(sig)[0])
        with _interrupts.remembered(), global_compiler_lock, self._compiling_counter:
            if types not in self.overloads and not self._load(types):
                beside.start()
                say_once(logging.INFO, FIRST)
                with self._kept.alone(types, self._codegen):
                    # another process may have made it meanwhile
                    if not self._load(types):
                        self._make(types)
            return self.overloads[types].entry_point

    @property
    def _codegen(self) -> Any:
        return self.targetctx.codegen()

    def _load(self, types: Any) -> bool:
        with _interrupts.put_off():
            self.targetctx.refresh()
            made = self._kept.load(types, self._codegen)
            if made is not None:
                self._cache_hits[types] += 1
                self.add_overload(Result._rebuild(self.targetctx, *made))
        return made is not None

    def _make(self, types: Any) -> None:
        with _interrupts.put_off(), _uncollected():
            self._cache_misses[types] += 1
            made, lasts = object_of(lowered(self, types, entry=True))
            made = self._kept.save(types, made, self._codegen, lasts=lasts)
            self.add_overload(Result._rebuild(self.targetctx, *made))

    def get_call_template(self, args: Any, kws: Any) -> Any:
        """numba asks for this where another kernel calls this one, and for the next."""
        signature, args = self._compiler.fold_argument_types(args, kws)
        if tuple(args) not in self._parts:
            with _interrupts.put_off():
                self._parts[tuple(args)] = self._part(tuple(args))
        known = [part.signature for part in self._parts.values()]
        return make_concrete_template(self.__name__, key=self.__name__, signatures=known), signature, args, {}

    def _part(self, types: Any) -> Any:
        part = lowered(self, types, entry=False)._replace(entry_point=object())
        self.targetctx.insert_user_function(part.entry_point, part.fndesc, [part.library])
        return part

    def get_overload(self, sig: Any) -> Any:
        return self._parts[tuple(normalize_signature(sig)[0])].entry_point


def _unchanged() -> bool:
    return digest(SOURCES) == _DIGEST


def kernels(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """njit with its results kept.  Division by zero gives infinities, which the step control and the polish refuse."""
    # nobody calls kernels from C
    common: dict[str, Any] = {"error_model": "numpy", "no_cfunc_wrapper": True}

    def decorate(function: Callable[..., Any]) -> Any:
        # With NUMBA_DISABLE_JIT, functions stay as they are.
        if config.DISABLE_JIT:
            return function
        return Kernel(function, common | options, Kept(function, _FOLDERS, _unchanged))

    return decorate


# Said of each, since a kernel that is compiled on the way to another one would inherit what that says.
compiled = kernels(_nrt=True)
# For what is called within steps.  It allocates nothing, the compiler would refuse, so that no references are counted:
# at a call that passes thirty arrays that costs more than the arithmetic.  It must not return an array.
bare = kernels(_nrt=False)
# For what has one caller: put into its source, so that what is passed costs nothing.
part = kernels(inline="always")
# The same, where the call itself would cost as much as what is called.
inlined = kernels(_nrt=False, forceinline=True)
# Sums may be taken in any order, always the same on one machine: inner products then run in vector registers.
bare_sums = kernels(_nrt=False, fastmath={"reassoc", "nsz"})
