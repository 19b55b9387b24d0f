"""A whole harvest: a hunt for each refuted claim, in parallel processes, each finding stored at once."""

from __future__ import annotations

import multiprocessing
import os
import queue
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.claims import CLAIMS
from harness.networks import FieldError

Progress = Callable[[str], None]
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(frozen=True)
class Harvested:
    """What became of one claim.  found: whether a counterexample was found; path: its folder; reason: a sentence."""

    claim: str
    found: bool
    path: Path | None
    written: bool
    reason: str


def run_harvest(
    claims: Sequence[str] | None,
    out: Path,
    seed: int = 0,
    progress: Progress = lambda line: None,
    *,
    processes: int | None = None,
) -> list[Harvested]:
    """Hunt, shrink, certify and store counterexamples to every claim, and rebuild the pages under out.

    claims: ids, None for every refuted claim that can be hunted.  processes: one a core, if None.
    Returns one result for each counterexample, and for each claim that none was found for.
    Raises FieldError before any work for a claim that cannot be hunted or an `out` that cannot be written;
    harness.harvest.Rejected if a counterexample does not verify.
    """
    from harness.harvest.folders import rebuild, tidy

    wanted = _wanted(claims)
    _make_writable(out)
    tidy(out)
    hunts = [(claim, mechanism) for claim in wanted for mechanism in mechanisms(claim)]
    count = min(len(hunts), processes or len(os.sched_getaffinity(0)))
    if count == 1:
        results = [harvest_one(*hunt, out, seed, _prefixed(progress, *hunt)) for hunt in hunts]
    else:
        results = _in_processes(hunts, out, seed, progress, count)
    rebuild(out)
    found = {result.claim for result in results if result.found}
    failed = [Harvested(claim, False, None, False, "no counterexample found") for claim in wanted if claim not in found]
    return [result for result in results if result.found] + failed


def harvest_one(claim: str, mechanism: str, out: Path, seed: int, progress: Progress = lambda line: None) -> Harvested:
    """One hunt, for one mechanism of one claim; what is found is stored at once."""
    from harness.harvest.folders import store
    from harness.harvest.search import hunt

    progress("hunting")
    finding = hunt(claim, seed=seed, mechanism=mechanism, progress=progress)
    if finding is None:
        progress("nothing found")
        return Harvested(claim, False, None, False, f"no counterexample found by {mechanism}")
    put = store(finding.record(), out)
    progress(f"{put.reason}, {put.path}")
    return Harvested(claim, True, put.path, put.written, f"{mechanism}: {put.reason}")


def mechanisms(claim: str) -> tuple[str, ...]:
    from harness.harvest.spaces import SPACES

    return SPACES[claim].mechanisms


def _prefixed(progress: Progress, claim: str, mechanism: str) -> Progress:
    return lambda line: progress(f"{claim}, {mechanism}: {line}")


def huntable() -> list[str]:
    """The refuted claims that a hunt exists for, in the order of the registry."""
    from harness.harvest.spaces import SPACES

    return [claim for claim in CLAIMS if claim in SPACES]


def _wanted(claims: Sequence[str] | None) -> list[str]:
    known = huntable()
    if claims is None:
        return known
    for claim in claims:
        if claim not in CLAIMS:
            raise FieldError("claim", f"there is no claim {claim!r}")
        if CLAIMS[claim].status != "refuted":
            raise FieldError("claim", f"{claim} is not refuted: there is nothing to harvest")
        if claim not in known:
            raise FieldError("claim", f"{claim} cannot be hunted yet")
    return list(dict.fromkeys(claims))


def _make_writable(out: Path) -> None:
    probe = out / f".probe-{os.getpid()}"
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe.mkdir()
        probe.rmdir()
    except OSError as error:
        raise FieldError("out", f"{out} cannot be written: {error.strerror}") from None


# --- processes ---

_lines: Any = None


def _start_worker(lines: Any) -> None:
    global _lines
    _lines = lines


def _work(claim: str, mechanism: str, out: Path, seed: int) -> Harvested:
    return harvest_one(claim, mechanism, out, seed, _prefixed(_lines.put, claim, mechanism))


def _in_processes(
    hunts: list[tuple[str, str]], out: Path, seed: int, progress: Progress, count: int
) -> list[Harvested]:
    # Spawned processes read these before they load numpy; more threads than cores only get in each other's way.
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    context = multiprocessing.get_context("spawn")
    lines: Any = context.Queue()
    try:
        with ProcessPoolExecutor(count, context, _start_worker, (lines,)) as pool:
            futures: list[Future[Harvested]] = [pool.submit(_work, *hunt, out, seed) for hunt in hunts]
            pending = set(futures)
            while pending:
                _, pending = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
                _pass_on(lines, progress)
            _pass_on(lines, progress)
            return [future.result() for future in futures]
    finally:
        lines.close()
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _pass_on(lines: Any, progress: Progress) -> None:
    while True:
        try:
            progress(lines.get_nowait())
        except queue.Empty:
            return
