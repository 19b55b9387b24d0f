"""Harvesting workers killed at random moments: is anything lost that was told of, or anything left that is wrong?

    python -m benchmarks.kills [--kills 200] [--seed 0]

Two workers at a time harvest into one folder, and after a random moment one of them gets SIGKILL and another takes its
place.  Every other worker hunts for real; the others store, one after the other, what an earlier hunt had found, so
that many kills fall into the few milliseconds in which something is written.  A worker tells of a finding as soon as
it has stored it, as `marginalia harvest` does.  After every kill:

- each finding told of is stored, or one as small of its kind (lost);
- each counterexample.json is accepted by the exact checker (wrong);
- the lock is free and nothing half-written is left once the next one has looked (litter).

Exit code 1 if any of these is not so.  Counts decide, not the clock; it takes about three minutes of one core.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from harness.certificates import verify_file
from harness.harvest import hunt
from harness.harvest import run as run_module
from harness.harvest.spaces import SPACES
from harness.problem.fields import FieldError
from harness.records.folders import make_writable, store
from harness.records.record import RECORD, Record, load

# The hunts that find something soonest.
HUNTS = tuple(
    (claim, quarry) for claim in ("depth2-local", "relu-layerwise-local") for quarry in SPACES[claim].quarries
)
# No worker lives longer, in seconds, and a folder sees so many kills before a fresh one is taken.
LONGEST = {"hunting": 2.0, "storing": 0.3}
FRESH = 4


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0], allow_abbrev=False)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        tally = kill_many(Path(folder), options.kills, options.seed)
    print(tally)
    return 0 if tally.clean else 1


@dataclass
class Tally:
    kills: int = 0
    half_written: int = 0
    told: int = 0
    wrong: int = 0
    lost: list[str] = field(default_factory=list)
    litter: int = 0

    @property
    def clean(self) -> bool:
        return not (self.lost or self.wrong or self.litter)

    def __str__(self) -> str:
        return (
            f"{self.kills} kills, {self.half_written} folders left with a half-written file; "
            f"{self.told} findings told of; "
            f"lost {len(self.lost)}, wrong files {self.wrong}, litter {self.litter}"
        )


def kill_many(folder: Path, kills: int, seed: int) -> Tally:
    """Start and kill workers in folder, and look after each kill."""
    source, tally = random.Random(seed), Tally()
    findings = _findings()
    workers: list[tuple[BaseProcess, Connection, float]] = []
    smallest: dict[str, Any] = {}
    out = folder
    for kill in range(kills):
        if kill % FRESH == 0:
            _end(out, workers, tally)
            out, workers, smallest = folder / str(kill // FRESH), [], {}
            out.mkdir()
        while len(workers) < 2:
            workers.append(_start(out, findings, source, hunting=len(workers) == kill % 2))
        worker, pipe, longest = workers.pop(source.randrange(2))
        time.sleep(source.random() * longest)
        _kill(worker)
        tally.kills += 1
        # What the other one tells meanwhile counts too.
        for heard in (pipe, *(pipe for _, pipe, _ in workers)):
            for place, size in _heard(heard):
                tally.told += 1
                smallest[place] = min(size, smallest.get(place, size))
        _look(out, smallest, tally)
    _end(out, workers, tally)
    return tally


def _end(out: Path, workers: list[tuple[BaseProcess, Connection, float]], tally: Tally) -> None:
    for worker, _, _ in workers:
        _kill(worker)
    half_written = [*out.glob("**/.new-*")]
    tally.half_written += bool(half_written)
    make_writable(out)
    tally.litter += any(path.exists() for path in half_written)


def _look(out: Path, smallest: dict[str, Any], tally: Tally) -> None:
    records = {path.parent.name: path for path in out.glob(f"*/{RECORD}")}
    sizes: dict[str, Any] = {}
    for place, path in records.items():
        try:
            accepted = verify_file(path).accepted
            sizes[place] = load(path).rank
        except FieldError:
            accepted = False
        tally.wrong += not accepted
    for place, size in smallest.items():
        if place not in sizes or sizes[place] > size:
            tally.lost.append(f"{out.name}/{place}")


def _findings() -> list[Record]:
    """What hunts find on their way, largest first."""
    found: list[Record] = []
    for claim, quarry in HUNTS:
        hunt(claim, quarry=quarry, found=lambda finding: found.append(finding.record()))
    return found


def _start(
    out: Path, findings: list[Record], source: random.Random, *, hunting: bool
) -> tuple[BaseProcess, Connection, float]:
    # Forked: everything is loaded and compiled already.
    context = multiprocessing.get_context("fork")
    heard, tells = context.Pipe(duplex=False)
    seed = source.randrange(10**6)
    worker = context.Process(target=_hunt if hunting else _store, args=(out, findings, seed, tells), daemon=True)
    worker.start()
    tells.close()
    return worker, heard, LONGEST["hunting" if hunting else "storing"]


def _hunt(out: Path, findings: list[Record], seed: int, tells: Connection) -> None:
    keep = run_module.Keeper.keep

    def keep_and_tell(self: Any, finding: Any) -> None:
        keep(self, finding)
        tells.send((finding.record().folder, finding.record().rank))

    run_module.Keeper.keep = keep_and_tell
    source = random.Random(seed)
    while True:
        run_module.harvest_one(*source.choice(HUNTS), out, source.randrange(10**6))


def _store(out: Path, findings: list[Record], seed: int, tells: Connection) -> None:
    source = random.Random(seed)
    while True:
        # As they come, so that each takes the place of the one before, or in disorder.
        for record in findings if source.random() < 0.5 else source.sample(findings, len(findings)):
            store(record, out)
            tells.send((record.folder, record.rank))


def _kill(worker: BaseProcess) -> None:
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()


def _heard(pipe: Connection) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    try:
        while pipe.poll():
            found.append(pipe.recv())
    except EOFError:
        pass
    return found


if __name__ == "__main__":
    sys.exit(main())
