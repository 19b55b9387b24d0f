"""A whole harvest: a hunt for each refuted claim, in parallel processes, each finding stored at once."""

from __future__ import annotations

import multiprocessing
import queue
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.claims.table import CLAIMS
from harness.problem.fields import FieldError
from harness.tools.processes import cores, leave_with_parent, one_thread_each

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

    from harness.harvest.finding import Finding
    from harness.harvest.spaces import Quarry
    from harness.problem.instances import Instance

Progress = Callable[[str], None]
# Stands for a claim in the result that tells of pages and figures.
PAGES = "pages"
_Hunt = tuple[str, "Quarry"]


@dataclass(frozen=True)
class Harvested:
    """What became of one hunt.

    found: whether a counterexample was found.  path: the folder it is in, or one as small; None if there is none, or it
    could not be stored.  written: whether this harvest put it there.  reason: a sentence.  new: the folders, of every
    kind, in which there is now something else than before, not just named differently.
    """

    claim: str
    found: bool
    path: Path | None
    written: bool
    reason: str
    new: tuple[Path, ...] = ()


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
    Returns one result for each counterexample, for each claim that none was found for, and for pages that could not be
    written.
    Raises FieldError before any work for a claim that cannot be hunted or an `out` that cannot be written;
    harness.harvest.Rejected if a counterexample does not verify.
    """
    from harness.records.folders import make_writable

    wanted = _wanted(claims)
    make_writable(out)
    hunts = [(claim, quarry) for claim in wanted for quarry in quarries(claim)]
    count = min(len(hunts), processes or cores())
    if count == 1:
        results = [harvest_one(*hunt, out, seed, _prefixed(progress, *hunt)) for hunt in hunts]
    else:
        results = _in_processes(hunts, out, seed, progress, count)
    found = {result.claim for result in results if result.found}
    failed = [result for result in results if result.claim not in found]
    results = [result for result in results if result.found] + list({r.claim: r for r in failed}.values())
    return results + rebuilt(out, progress)


def rebuilt(out: Path, progress: Progress) -> list[Harvested]:
    """Make the pages under out anew; one result if some could not be written, for the claim PAGES."""
    from harness.harvest.pages import NotWritten, rebuild

    try:
        for sentence in rebuild(out)[1]:
            progress(sentence)
    except OSError as error:
        unwritten = str(error) if isinstance(error, NotWritten) else f"not written ({error.strerror or error})"
        return [Harvested(PAGES, False, None, False, f"{unwritten}; the next harvest makes them again")]
    return []


def harvest_one(
    claim: str,
    quarry: Quarry,
    out: Path,
    seed: int,
    progress: Progress = lambda line: None,
    *,
    opening: SearchStrategy[list[Instance]] | None = None,
) -> Harvested:
    """One hunt, for one quarry of one claim; whatever is found on the way is stored before it is spoken of.

    opening: as of harness.harvest.hunt.
    """
    from harness.harvest.search import hunt

    progress("hunting")
    keeper = Keeper(out, progress)
    finding = hunt(claim, seed=seed, quarry=quarry, progress=progress, found=keeper.keep, opening=opening)
    if finding is None:
        progress("nothing found")
        return Harvested(claim, False, None, False, f"no counterexample found by {quarry}")
    keeper.keep(finding)
    if keeper.rejected is not None:
        raise keeper.rejected
    if keeper.trouble is not None:
        # Whoever reads this can save it by hand.
        reason = f"{quarry}: found, but not stored: {keeper.trouble}; {finding.instance.to_json()}"
        progress(reason)
        return Harvested(claim, True, None, False, reason)
    progress(f"{keeper.reason}, {keeper.path}")
    return Harvested(claim, True, keeper.path, keeper.written, f"{quarry}: {keeper.reason}", tuple(keeper.new))


class Keeper:
    """Stores what a hunt finds, each at once; what is wrong with the last one is kept for the hunt's end."""

    def __init__(self, out: Path, progress: Progress) -> None:
        self.out, self.progress = out, progress
        self.path: Path | None = None
        self.written, self.reason = False, ""
        # As an ordered set.
        self.new: dict[Path, None] = {}
        self.trouble: str | None = None
        self.rejected: Exception | None = None

    def keep(self, finding: Finding) -> None:
        """Never raises: a full disk is no reason to stop the hunt."""
        from harness.records.folders import Rejected, store

        self.trouble = None
        try:
            put = store(finding.record(), self.out)
        except OSError as error:
            self.trouble = error.strerror or str(error)
            return
        except Rejected as rejected:
            self.rejected = rejected
            return
        for sentence in put.aside:
            self.progress(sentence)
        if put.written or not self.written:
            self.reason = put.reason
        if put.new:
            self.new[put.path] = None
        self.path, self.written = put.path, self.written or put.written


def quarries(claim: str) -> tuple[Quarry, ...]:
    from harness.harvest.spaces import SPACES

    return SPACES[claim].quarries


def _prefixed(progress: Progress, claim: str, quarry: Quarry) -> Progress:
    return lambda line: progress(f"{claim}, {quarry}: {line}")


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


# --- processes ---

_lines: Any = None


def _start_worker(lines: Any) -> None:
    global _lines
    _lines = lines
    # Ctrl-C reaches every process of a terminal; the parent ends the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    leave_with_parent()


def _work(claim: str, quarry: Quarry, out: Path, seed: int) -> Harvested:
    return harvest_one(claim, quarry, out, seed, _prefixed(_lines.put, claim, quarry))


def _in_processes(hunts: list[_Hunt], out: Path, seed: int, progress: Progress, count: int) -> list[Harvested]:
    done: dict[_Hunt, Harvested] = {}
    with one_thread_each():
        if not _pool(hunts, done, out, seed, progress, count):
            progress("a worker was killed; the hunts that it took with it are started again, one at a time")
            for hunt in hunts:
                if hunt not in done:
                    _pool([hunt], done, out, seed, progress, 1)
    killed = "its worker was killed, twice"
    return [done.get(hunt) or Harvested(hunt[0], False, None, False, f"{hunt[1]}: {killed}") for hunt in hunts]


def _pool(
    hunts: list[_Hunt],
    done: dict[_Hunt, Harvested],
    out: Path,
    seed: int,
    progress: Progress,
    count: int,
) -> bool:
    """Work through hunts, filling done; False if a worker was killed, which ends all the others."""
    context = multiprocessing.get_context("spawn")
    lines: Any = context.Queue()
    pool = ProcessPoolExecutor(count, context, _start_worker, (lines,))
    try:
        futures: dict[_Hunt, Future[Harvested]] = {hunt: pool.submit(_work, *hunt, out, seed) for hunt in hunts}
        pending = set(futures.values())
        while pending:
            over, pending = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
            _pass_on(lines, progress)
            if over:
                progress(f"{len(pending)} of {len(futures)} hunts to go")
        _pass_on(lines, progress)
        killed = False
        for hunt, future in futures.items():
            try:
                done[hunt] = future.result()
            except BrokenProcessPool:
                killed = True
        return not killed
    except BaseException:
        # Stopped, or a defect: the workers have stored what they found, and nothing waits for them.
        for process in list((getattr(pool, "_processes", None) or {}).values()):
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        lines.close()


def _pass_on(lines: Any, progress: Progress) -> None:
    while True:
        try:
            progress(lines.get_nowait())
        except queue.Empty:
            return
