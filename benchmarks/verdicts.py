"""`python -m benchmarks.verdicts`: what share of the limits the oracles decide with a certificate, and how fast."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.families import DEEP, FAMILIES, Kind, draw
from harness import decide, drive
from harness.limits import Limit
from harness.margin import Verdict

KINDS: tuple[Kind, ...] = ("generic", "integer")


@dataclass
class Tally:
    """The answers to one question on the limits of one family."""

    decided: int = 0
    asked: int = 0
    seconds: list[float] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)

    def take(self, verdicts: Sequence[Verdict], seconds: float) -> None:
        self.seconds.append(seconds)
        for verdict in verdicts:
            self.asked += 1
            if verdict.status != "undecided" and verdict.certified:
                self.decided += 1
            else:
                self.reasons[verdict.reason] += 1

    def cell(self) -> str:
        if not self.asked:
            return "-"
        ms = 1e3 * np.array(self.seconds)
        return (
            f"{self.decided} of {self.asked} ({100 * self.decided / self.asked:.1f} %), "
            f"{np.median(ms):.1f} / {np.percentile(ms, 99):.0f} ms"
        )


def measure(limits: Sequence[Limit]) -> dict[str, Tally]:
    """Local, global and layer verdicts, timed one after the other: what the first computes the next may use."""
    tallies = {"local": Tally(), "global": Tally(), "layers": Tally()}
    for limit in limits:
        verdicts = decide(limit)
        for name, tally in tallies.items():
            start = time.process_time()
            if name == "layers":
                answers = [v for pair in verdicts.layers for v in (pair.local, pair.global_)]
            else:
                answers = [verdicts.local if name == "local" else verdicts.global_]
            tally.take(answers, time.process_time() - start)
    return tallies


def converged(seed: int, count: int, family: str, kind: Kind) -> list[Limit]:
    """The first `count` limits of a family's draws that converged and are in no doubt; at most ten draws for each."""
    rng = np.random.default_rng([seed, sum(family.encode()), kind == "integer"])
    found: list[Limit] = []
    for _ in range(10 * count):
        if len(found) == count:
            break
        (limit,) = drive([draw(rng, family, kind)])
        if limit.status == "converged" and not limit.doubt:
            found.append(limit)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.verdicts", description="Measure the oracles.")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--count", type=int, default=100, help="limits of each family and kind")
    parser.add_argument("--family", default="", help="only families whose name contains this")
    given = parser.parse_args(arguments)
    print("| family | kind | local (median / 99th pc) | global | layers |\n| --- | --- | --- | --- | --- |")
    reasons: Counter[tuple[str, str, str]] = Counter()
    for family in [*FAMILIES, *DEEP]:
        if given.family not in family:
            continue
        for kind in KINDS:
            tallies = measure(converged(given.seed, given.count, family, kind))
            print(f"| {family} | {kind} | {' | '.join(tally.cell() for tally in tallies.values())} |")
            sys.stdout.flush()
            for name, tally in tallies.items():
                for reason, times in tally.reasons.items():
                    reasons[family, name, reason] += times
    print("\nUndecided:\n")
    for (family, name, reason), times in reasons.most_common():
        print(f"- {times} {name}, {family}: {reason}")


if __name__ == "__main__":
    main()
