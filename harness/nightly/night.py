"""The nightly run itself.

First what is known is tried again: the examples of Hypothesis's database, the stored counterexamples, the violations
that are kept.  Then rounds of hunting, each with a seed of its own, the next after the last night's: one file of
properties, the next after the last round's, on fresh examples, and a harvest of the refuted claims.  The time decides
only whether another round is started.

What a round finds is stored when it is found, and a round counts once it is finished: a night that is stopped, in
whatever way, is continued by the next.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.harvest import Harvested, run_harvest
from harness.harvest.run import PAGES, rebuilt
from harness.nightly.summary import Summary
from harness.nightly.violations import again
from harness.problem.fields import FieldError
from harness.records.folders import make_writable, store, trusted
from harness.records.record import RECORD, Record, load
from harness.records.same import same
from harness.records.writing import replace

PROPERTIES, STORED = "properties", "tests/records/test_stored.py"
FOUND, DEFECT, VIOLATED = 0, 1, 3

Progress = Callable[[str], None]


class Night:
    """One night.  reports: where counterexamples are; state: what outlasts the night."""

    def __init__(self, reports: Path, state: Path, progress: Progress) -> None:
        self.reports, self.state, self.progress = reports, state, progress
        self.violations, self.findings = state / "violations", state / "findings"
        self.summary = Summary()

    def run(self, minutes: float, clock: Callable[[], float] = time.monotonic) -> int:
        """Returns the exit code: VIOLATED, DEFECT, or FOUND, which is also that of a night that found nothing.

        Raises FieldError before any work for folders that cannot be written, or where there are no properties.
        """
        if not any(Path(PROPERTIES).glob("test_*.py")):
            raise FieldError(PROPERTIES, "there are none here; the nightly runs in marginalia's own folder")
        for folder in (self.reports, self.state, self.findings):
            make_writable(folder)
        end = clock() + 60.0 * minutes
        with _stopping():
            try:
                self._replay()
                while not self.summary.seeds or clock() < end:
                    self._round()
            except KeyboardInterrupt:
                self.summary.stopped = True
        self._conclude()
        if self.summary.still_violated:
            return VIOLATED
        return DEFECT if self.summary.failed else FOUND

    def _replay(self) -> None:
        self.progress("replaying what is known")
        for record in trusted(self.findings)[0]:
            # Found on another night, perhaps in another checkout.
            store(record, self.reports)
        for unwritten in rebuilt(self.reports, self.summary.notes.append):
            self._keep(unwritten)
        self._pytest("nightly-replay", [PROPERTIES, STORED])
        self._conclude()

    def _round(self) -> None:
        seed = self._next_seed()
        self.progress(f"hunting, round {len(self.summary.seeds) + 1}, seed {seed}")
        files = sorted(Path(PROPERTIES).glob("test_*.py"))
        self._pytest("nightly-hunt", [str(files[seed % len(files)]), f"--hypothesis-seed={seed}"])
        self._conclude()
        before = {record.folder: record.instance for record in trusted(self.reports)[0]}
        try:
            results = run_harvest(None, self.reports, seed, self.progress)
        except KeyboardInterrupt:
            # hunts store what they find at once, and have not told of it
            for record in trusted(self.reports)[0]:
                if record.folder not in before or not same(before[record.folder], record.instance):
                    self._new(record, "stored before the night was stopped")
            raise
        for result in results:
            self._keep(result)
        self.summary.seeds.append(seed)
        replace(self.state / "next.json", json.dumps({"seed": seed + 1}).encode())
        self._conclude()

    def _keep(self, result: Harvested) -> None:
        if result.path is None:
            told = self.summary.failed if result.claim == PAGES else self.summary.notes
            told.append(f"{result.claim}: {result.reason}.")
        for path in result.new:
            self._new(load(path / RECORD), result.reason)

    def _new(self, record: Record, reason: str) -> None:
        self.summary.new.append((record.folder, reason))
        store(record, self.findings)

    def _next_seed(self) -> int:
        """One more than the last that was finished, whenever that was; 1 at first, as 0 is what `make test` hunts."""
        try:
            return int(json.loads((self.state / "next.json").read_text(encoding="utf-8"))["seed"])
        except (OSError, ValueError, KeyError, TypeError):
            return 1

    def _pytest(self, profile: str, arguments: Sequence[str]) -> None:
        tally = self.state / "tally.json"
        tally.unlink(missing_ok=True)
        run_pytest(
            [f"--hypothesis-profile={profile}", f"--tally={tally}", f"--violations={self.violations}", *arguments]
        )
        try:
            found: dict[str, Any] = json.loads(tally.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self.summary.failed.append(f"pytest with the profile {profile} ended without its counts")
            return
        self.summary.add(found["counts"])
        self.summary.failed += found["failed"]

    def _conclude(self) -> None:
        self.summary.violated = again(self.violations)
        self.summary.write(self.state)


def run_pytest(arguments: Sequence[str]) -> None:
    """pytest on every core with the nightly's plugin; its exit code tells less than its tally."""
    command = [sys.executable, "-m", "pytest", "-n", "auto", "-q", "-p", "harness.testing.nightly", *arguments]
    subprocess.run(command, check=False)


@contextmanager
def _stopping() -> Generator[None]:
    """To be asked to end is to be interrupted."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
