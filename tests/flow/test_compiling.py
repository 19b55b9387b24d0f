"""Compiled kernels: kept whole or not at all, never used after a change, and Ctrl-C only between them."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import logging
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from llvmlite import binding
from numba import types

from harness.flow.compiled import integrator, keeping, sharing
from harness.flow.compiled.compiling import Kernel
from harness.flow.compiled.keeping import Kept, digest, folders, read, write
from harness.flow.compiled.linking import lowered, object_of

SOURCES = keeping.SOURCES


def double(a: Any) -> Any:
    return 2 * a


def kernel(*places: Path, current: Callable[[], bool] = lambda: True) -> Any:
    """As in another process: nothing of it is compiled yet."""
    return Kernel(double, {}, Kept(double, places, current))


def kept(folder: Path) -> list[Path]:
    """The kernels in a folder."""
    return [path for path in folder.iterdir() if not path.name.startswith(".")]


def hits(dispatcher: Any) -> int:
    return sum(dispatcher.stats.cache_hits.values())


@pytest.fixture(autouse=True)
def unsaid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "said", set())


# --- kept ---


def test_a_kernel_is_compiled_once_for_each_type(tmp_path: Path) -> None:
    first = kernel(tmp_path / "a b")
    assert (first(1), first(1.5)) == (2, 3.0)
    assert len(kept(tmp_path / "a b")) == 2
    again = kernel(tmp_path / "a b")
    assert (again(1), again(1.5), hits(first), hits(again)) == (2, 3.0, 0, 2)


def test_the_trainer_keeps_its_kernels() -> None:
    assert isinstance(integrator.integrate._kept, Kept)


@pytest.mark.parametrize("length", [0, 1, 31, 32, 33, -1])
def test_a_file_that_was_cut_off_is_compiled_again_and_replaced(length: int, tmp_path: Path) -> None:
    kernel(tmp_path)(1)
    (path,) = kept(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:length])
    again = kernel(tmp_path)
    assert (again(1), hits(again)) == (2, 0)
    assert path.read_bytes()[:32] == hashlib.sha256(path.read_bytes()[32:]).digest()
    third = kernel(tmp_path)
    assert (third(1), hits(third)) == (2, 1)


@pytest.mark.parametrize("place", [0, 40, -1])
def test_a_file_with_a_wrong_bit_is_not_run(place: int, tmp_path: Path) -> None:
    kernel(tmp_path)(1)
    (path,) = kept(tmp_path)
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    again = kernel(tmp_path)
    assert (again(1), hits(again)) == (2, 0)


def test_a_folder_in_the_place_of_a_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kernel(tmp_path)(1)
    (path,) = kept(tmp_path)
    path.unlink()
    path.mkdir()
    assert kernel(tmp_path)(1) == 2
    assert "Is a directory" in caplog.text
    assert [path] == kept(tmp_path)


class Swapped(Kept):
    """Gives something else than it is given."""

    def save(self, types: Any, made: Any, codegen: Any, *, lasts: bool) -> Any:
        return object_of(lowered(Kernel(triple, {}, Kept(triple, [], lambda: True)), types, entry=True))[0]


def triple(a: Any) -> Any:
    return 3 * a


def test_who_compiles_runs_what_was_kept(tmp_path: Path) -> None:
    assert Kernel(double, {}, Swapped(double, [tmp_path], lambda: True))(1) == 3


def test_nothing_of_an_object_but_its_entry_is_seen_from_outside(tmp_path: Path) -> None:
    inner = kernel(tmp_path)

    def twice(a: Any) -> Any:
        return inner(a) + inner(a + 1)

    made = lowered(Kernel(twice, {}, Kept(twice, [tmp_path], lambda: True)), (types.int64,), entry=True)
    object_of(made)
    functions = [one for one in made.library._final_module.functions if not one.is_declaration]
    seen = [one.name for one in functions if one.linkage != binding.Linkage.internal]
    assert seen == [made.fndesc.llvm_cpython_wrapper_name]


# --- folders that are old ---


@pytest.fixture
def used(tmp_path: Path) -> Callable[[str, int], Path]:
    """Makes a folder of kernels that was last used so many seconds after the others."""

    def make(name: str, seconds: int) -> Path:
        folder = tmp_path / f"kernels-{name}"
        folder.mkdir()
        (folder / ".in-use").write_text("")
        os.utime(folder / ".in-use", (seconds, seconds))
        return folder

    return make


def test_the_newest_folders_stay(used: Callable[[str, int], Path], tmp_path: Path) -> None:
    old = [used(name, seconds) for seconds, name in enumerate("abcdef")]
    (tmp_path / "kernels-unknown").mkdir()
    (tmp_path / "other").mkdir()
    kernel(tmp_path / "kernels-now")(1)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"kernels-now", "kernels-unknown", "other", *(path.name for path in old[-sharing.NEWEST :])}


def test_a_folder_that_a_process_uses_stays(used: Callable[[str, int], Path], tmp_path: Path) -> None:
    old = [used(name, seconds) for seconds, name in enumerate("abcdef")]
    held = os.open(old[0] / ".in-use", os.O_RDWR)
    fcntl.flock(held, fcntl.LOCK_SH)
    kernel(tmp_path / "kernels-now")(1)
    os.close(held)
    assert old[0].exists()
    assert not old[1].exists()


def test_a_process_holds_the_folder_that_it_uses(tmp_path: Path) -> None:
    kernel(tmp_path)(1)
    other = os.open(tmp_path / ".in-use", os.O_RDWR)
    with pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(other)


# --- not kept ---


def taken(tmp_path: Path) -> Path:
    """Nobody can write below a file, root neither."""
    (tmp_path / "file").write_text("")
    return tmp_path / "file" / "kernels"


def test_where_nothing_can_be_written_one_line_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    place = taken(tmp_path)
    for _ in range(2):
        assert kernel(place, place)(1) == 2
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().count(f"{place}: Not a directory") == 2
    assert "\n" not in record.getMessage()


def test_the_second_folder_serves_where_the_first_cannot_be_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    places = (taken(tmp_path), tmp_path / "user")
    kernel(*places)(1)
    again = kernel(*places)
    assert (again(1), hits(again), caplog.records) == (2, 1, [])


def test_a_full_disk_costs_no_answer_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fill(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[:100])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", fill)
    assert kernel(tmp_path)(1) == 2
    assert kept(tmp_path) == []
    assert "No space left on device" in caplog.text


def test_a_folder_that_others_may_write_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kernel(tmp_path)(1)
    tmp_path.chmod(0o777)
    again = kernel(tmp_path)
    assert (again(1), hits(again)) == (2, 0)
    assert "others may write there" in caplog.text


def test_a_folder_of_another_user_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "kernel", b"content")
    assert read(tmp_path / "kernel") == b"content"
    before = tmp_path.stat()
    status = os.stat_result((*before[:4], 12345, *before[5:]))
    original = Path.stat
    monkeypatch.setattr(Path, "stat", lambda self: status if self == tmp_path else original(self))
    assert read(tmp_path / "kernel") is None
    with pytest.raises(PermissionError):
        write(tmp_path / "kernel", b"content")


# --- never stale ---


def test_kernels_are_not_kept_under_the_name_of_sources_that_have_changed_since(tmp_path: Path) -> None:
    assert kernel(tmp_path, current=lambda: False)(1) == 2
    assert kept(tmp_path) == []


def test_a_change_in_one_source_gives_another_folder(tmp_path: Path) -> None:
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "compiling.py").write_text("")
    (tmp_path / "deeper" / "numbers.py").write_text("one = 1\n")
    (tmp_path / "deeper" / "callee.py").write_text("from flow.deeper.numbers import one\n")
    (tmp_path / "caller.py").write_text("from flow.deeper.compiling import compiled\nfrom flow.deeper import callee\n")
    (tmp_path / "other.py").write_text("from flow.caller import compiled\n")
    before = digest(tmp_path)
    assert digest(tmp_path) == before
    (tmp_path / "other.py").write_text("from flow.caller import callee\n")
    assert digest(tmp_path) == before, "nothing that is compiled is there"
    (tmp_path / "deeper" / "numbers.py").write_text("one = 2\n")
    assert digest(tmp_path) != before


@pytest.mark.parametrize("name", ["NUMBA_BOUNDSCHECK", "NUMBA_OPT"])
def test_a_change_of_the_compiler_gives_another_folder(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest(SOURCES)
    monkeypatch.setenv("NUMBA_NUM_THREADS", "7")
    assert digest(SOURCES) == before
    monkeypatch.setenv(name, "1")
    assert digest(SOURCES) != before
    monkeypatch.delenv(name)
    monkeypatch.setattr(sys, "version", "another")
    assert digest(SOURCES) != before


CALLER = """
from harness.flow.compiled.compiling import compiled
from harness.flow.compiled.callee import two

@compiled
def four(a):
    return 2 * two(a)

print(four(1), sum(four.stats.cache_hits.values()))
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package like the trainer, with one kernel that calls another one, on whose folder nothing can be written."""
    flow = tmp_path / "harness" / "flow"
    (flow / "compiled").mkdir(parents=True)
    for name in ("beside.py", "compiling.py", "keeping.py", "linking.py", "sharing.py"):
        shutil.copy(SOURCES / "compiled" / name, flow / "compiled")
    (flow.parent / "tools").mkdir()
    shutil.copy(SOURCES.parent / "tools" / "processes.py", flow.parent / "tools")
    (flow / "caller.py").write_text(CALLER)
    (flow / "compiled" / "callee.py").write_text(
        "from harness.flow.compiled.compiling import compiled\n\n@compiled\ndef two(a):\n    return a + 1\n"
    )
    (flow / "__pycache__").write_text("")
    return tmp_path


def called(package: Path, **environment: str) -> tuple[str, str]:
    """Standard output and error of a process that calls the kernel."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA_CACHE", "XDG", "HOME"))}
    done = subprocess.run(
        [sys.executable, "-c", "import harness.flow.caller"],
        capture_output=True,
        text=True,
        check=True,
        cwd=package,
        # Python's own copies know a source by its age and length
        env=kept | {"PYTHONPATH": str(package), "PYTHONDONTWRITEBYTECODE": "1"} | environment,
    )
    return done.stdout.strip(), done.stderr


def test_read_only_package_and_a_change_in_a_callee(package: Path) -> None:
    home = str(package / "a home")
    assert called(package, HOME=home) == ("4 0", "")
    assert called(package, HOME=home) == ("4 1", "")
    # Of the same length, and as old.
    callee = package / "harness" / "flow" / "compiled" / "callee.py"
    status = callee.stat()
    callee.write_text(callee.read_text().replace("a + 1", "a + 2"))
    os.utime(callee, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert called(package, HOME=home) == ("6 0", "")


def test_read_only_package_without_a_home(package: Path) -> None:
    nowhere = str(package / "harness" / "flow" / "compiled" / "callee.py" / "home")
    for _ in range(2):
        out, err = called(package, HOME=nowhere)
        assert out == "4 0"
        assert len(err.splitlines()) == 1
        assert "cannot be kept" in err


# --- folders ---


def test_the_folder_that_numba_is_given_is_the_only_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert [place.parent for place in folders(SOURCES)] == [tmp_path]


def test_the_users_folder_comes_before_that_of_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert [place.parent for place in folders(SOURCES)] == [tmp_path / "marginalia", SOURCES / "__pycache__"]
    # The specification calls these invalid.
    for relative in ("", "cache"):
        monkeypatch.setenv("XDG_CACHE_HOME", relative)
        monkeypatch.setenv("HOME", str(tmp_path))
        system = {"Darwin": "Library/Caches"}.get(keeping.platform.system(), ".cache")
        assert folders(SOURCES)[0].parent == tmp_path / system / "marginalia"


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert [place.parent for place in folders(SOURCES)] == [SOURCES / "__pycache__"]


# --- several at once ---


def _compile(place: Path, number: int) -> None:
    dispatcher = kernel(place)
    # Half of them begin with the other type.
    for argument in (1, 1.5) if number % 2 else (1.5, 1):
        assert dispatcher(argument) == 2 * argument


def _double_and_count(place: Path, number: int) -> None:
    dispatcher = kernel(place)
    assert dispatcher(1) == 2
    (place.parent / f"compiled-{number}").write_text(str(sum(dispatcher.stats.cache_misses.values())))


def test_one_of_several_processes_compiles(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_double_and_count, args=(tmp_path / "kernels", number)) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sum(int(path.read_text()) for path in tmp_path.glob("compiled-*")) == 1
    assert [path.suffix for path in kept(tmp_path / "kernels")] == [".kernel"]


def test_processes_that_compile_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_compile, args=(tmp_path, number)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    again = kernel(tmp_path)
    assert (again(1), again(1.5), hits(again), len(kept(tmp_path))) == (2, 3.0, 2, 2)


# --- what is said ---


def test_the_first_compilation_of_a_process_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "harness.flow")
    kernel(tmp_path)(1)
    kernel(tmp_path)(1.5)
    assert [record.getMessage() for record in caplog.records] == [keeping.FIRST]
    caplog.clear()
    keeping.said.clear()
    kernel(tmp_path)(1)
    assert caplog.records == []


# --- Ctrl-C ---


@pytest.fixture
def interruptible() -> Generator[None]:
    """Python's own handler: a shell has processes in the background ignore Ctrl-C, and their children too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Interrupting(Kept):
    """Ctrl-C before the compilation is over."""

    def save(self, types: Any, made: Any, codegen: Any, *, lasts: bool) -> Any:
        signal.raise_signal(signal.SIGINT)
        return super().save(types, made, codegen, lasts=lasts)


class Interrupted(Kernel):
    """Ctrl-C while it is lowered for another kernel."""

    def _part(self, types: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return super()._part(types)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_waits_until_the_kernel_is_compiled(tmp_path: Path) -> None:
    handler = signal.getsignal(signal.SIGINT)
    dispatcher = Kernel(double, {}, Interrupting(double, [tmp_path], lambda: True))
    with pytest.raises(KeyboardInterrupt):
        dispatcher(1)
    assert len(kept(tmp_path)) == 1
    assert signal.getsignal(signal.SIGINT) is handler
    assert dispatcher(1) == 2


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_in_a_kernel_that_another_one_calls(tmp_path: Path) -> None:
    inner = Interrupted(double, {}, Kept(double, [tmp_path], lambda: True))

    def twice(a: Any) -> Any:
        return inner(a) + inner(a)

    outer = Kernel(twice, {}, Kept(twice, [tmp_path], lambda: True))
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        outer(1)
    # The outer one was not waited for.
    assert kept(tmp_path) == []
    assert signal.getsignal(signal.SIGINT) is handler
    assert outer(1) == 4


class Destroyed:
    """Python ignores what a destructor raises."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


class Losing(Kept):
    """Ctrl-C between two kernels, while something is destroyed."""

    def alone(self, types: Any, codegen: Any) -> Any:
        Destroyed()
        return super().alone(types, codegen)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_ctrl_c_in_a_destructor_is_not_lost(tmp_path: Path) -> None:
    handler = signal.getsignal(signal.SIGINT)
    dispatcher = Kernel(double, {}, Losing(double, [tmp_path], lambda: True))
    with pytest.raises(KeyboardInterrupt):
        dispatcher(1)
    # before the next kernel
    assert kept(tmp_path) == []
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.mark.usefixtures("interruptible")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_handler_that_returns_is_called_once(tmp_path: Path) -> None:
    """As of a program that only notes Ctrl-C, to stop when it likes."""
    came: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    dispatcher = Kernel(double, {}, Losing(double, [tmp_path], lambda: True))
    assert dispatcher(1) == 2
    assert came == [signal.SIGINT]


@pytest.mark.usefixtures("interruptible")
def test_another_thread_compiles_and_leaves_signals_alone(tmp_path: Path) -> None:
    handler = signal.getsignal(signal.SIGINT)
    found: list[Any] = []
    dispatcher = kernel(tmp_path)

    def work() -> None:
        found.append((dispatcher(1), signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [(2, handler)]
