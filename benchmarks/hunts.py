"""`python -m benchmarks.hunts`: how long every hunt takes, and whether it ends at the same size whatever its seed.

CPU seconds of one core for a whole hunt: until the first counterexample, shrunk and measured, and until nothing
smaller is found; with --first only until the first.  Sizes are points, neurons and dimensions, of the smallest
counterexample and of the smallest robust one.  Nothing here is a test.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

from benchmarks.families import draw
from harness import drive
from harness.harvest.finding import Finding
from harness.harvest.search import hunt
from harness.harvest.spaces import SPACES, Quarry
from harness.problem.sizes import Sizes, size


@dataclass
class Hunted:
    """One hunt.  first, whole: CPU seconds, first None if nothing was found; best: by whether it is robust."""

    whole: float
    first: float | None = None
    best: dict[bool, Finding] = field(default_factory=dict)

    @property
    def smallest(self) -> Sizes | None:
        """Of any kind."""
        found = sorted((finding.instance for finding in self.best.values()), key=size)
        return Sizes.of(found[0]) if found else None


class _Enough(Exception):
    """The first counterexample is found, and no other is wanted."""


def hunted(claim: str, quarry: Quarry, seed: int, first: bool) -> Hunted:
    """One hunt, timed.  first: it ends with its first counterexample."""
    start = time.process_time()
    result = Hunted(0.0)

    def found(finding: Finding) -> None:
        assert finding.robustness is not None
        result.best[finding.robustness["robust"]] = finding
        if result.first is None:
            result.first = time.process_time() - start
        if first:
            raise _Enough

    with suppress(_Enough):
        hunt(claim, seed=seed, quarry=quarry, found=found)
    result.whole = time.process_time() - start
    return result


def row(claim: str, quarry: Quarry, seeds: Sequence[int], first_only: bool = False) -> str:
    """The line of the table for one hunt."""
    hunts = [hunted(claim, quarry, seed, first_only) for seed in seeds]
    first = [h.first for h in hunts if h.first is not None]
    whole = [h.whole for h in hunts]
    sizes = Counter(_text(h.smallest) for h in hunts)
    robust = Counter(_text(Sizes.of(h.best[True].instance)) for h in hunts if True in h.best)
    return (
        f"| {claim} | {quarry} | {len(first)} of {len(hunts)} | {_times(first)} | {_times(whole)} | "
        f"{_counted(sizes)} | {_counted(robust)} |"
    )


def _times(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds):.1f} / {max(seconds):.1f}" if seconds else "-"


def _text(sizes: Sizes | None) -> str:
    return "none" if sizes is None else f"{sizes.points} x {sizes.neurons} x {sizes.dimensions}"


def _counted(sizes: Counter[str]) -> str:
    return ", ".join(f"{text} ({times})" for text, times in sizes.most_common()) or "none"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.hunts", allow_abbrev=False, description="Measure the hunts.")
    parser.add_argument("--seeds", type=int, default=20, help="hunts of each kind, seeds 0, 1, ...")
    parser.add_argument("--first", action="store_true", help="end each hunt with its first counterexample")
    parser.add_argument("--claim", default="", help="only claims whose id contains this")
    parser.add_argument("--by", default="", help="only hunts by what contains this, such as depth 3")
    given = parser.parse_args(arguments)
    # What is compiled at first use is no part of a hunt.
    drive([draw(np.random.default_rng(0), "fully connected relu, depth 2", "integer")])
    print("| claim | by | found | first s (median / worst) | whole s | smallest | smallest robust |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for claim, space in SPACES.items():
        for quarry in space.quarries if given.claim in claim else ():
            if given.by not in str(quarry):
                continue
            print(row(claim, quarry, range(given.seeds), given.first))
            sys.stdout.flush()


if __name__ == "__main__":
    main()
