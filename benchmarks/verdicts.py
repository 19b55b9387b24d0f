"""`python -m benchmarks.verdicts`: what share of the limits the oracles decide with a certificate, and how fast."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.families import DEEP, FAMILIES, OTHERS, Kind, draw
from harness import decide, drive
from harness.oracles import Verdict, Verdicts
from harness.problem.limits import Limit

KINDS: tuple[Kind, ...] = ("generic", "integer")
QUESTIONS = ("local", "global", "layers local", "layers global")

# What is to be reached: the question, words of the families, and the least share decided.
GOALS = (
    ("depth 2, no shared weights", "local", ("fully connected", "diagonal", "sparse"), ("depth 2",), 0.995),
    ("diagonal, depth 3 and 4", "local", ("diagonal",), ("depth 3", "depth 4"), 0.995),
    ("depth 2, shared weights", "local", ("convolutional",), ("depth 2",), 0.95),
    ("layers of all networks", "layers local", ("",), ("",), 0.995),
    ("fully connected relu, depth 3 and 4", "local", ("fully connected relu",), ("depth 3", "depth 4"), None),
)


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
                self.reasons[re.sub(r"[0-9.]+", "..", verdict.reason)] += 1

    def cell(self) -> str:
        if not self.asked:
            return "-"
        ms = 1e3 * np.array(self.seconds)
        return f"{self.decided} of {self.asked}, {np.median(ms):.1f} / {np.percentile(ms, 99):.0f} ms"


def answers(verdicts: Verdicts, question: str) -> list[Verdict]:
    match question:
        case "local":
            return [verdicts.local]
        case "global":
            return [verdicts.global_]
        case "layers local":
            return [pair.local for pair in verdicts.trained_layers]
        case _:
            return [pair.global_ for pair in verdicts.trained_layers]


def measure(limits: Sequence[Limit]) -> dict[str, Tally]:
    """Every question, timed one after the other: what the first computes the next may use."""
    tallies = {question: Tally() for question in QUESTIONS}
    for limit in limits:
        verdicts = decide(limit)
        for question, tally in tallies.items():
            start = time.process_time()
            found = answers(verdicts, question)
            tally.take(found, time.process_time() - start)
    return tallies


def converged(seed: int, count: int, family: str, kind: Kind) -> list[Limit]:
    """The first `count` limits of a family's draws that converged and are in no doubt; at most ten draws for each."""
    rng = np.random.default_rng([seed, sum(family.encode()), kind == "integer"])
    found: list[Limit] = []
    for _ in range(10 * count):
        if len(found) == count:
            break
        (limit,) = drive([draw(rng, family, kind)])
        if limit.point is not None and not limit.point.doubt:
            found.append(limit)
    return found


def small(seed: int, count: int) -> Iterator[Limit]:
    """Limits at depth 2 without shared weights with d = 2, width <= 4, n <= 5."""
    families = [name for name in (*FAMILIES, *OTHERS) if "depth 2" in name and "convolutional" not in name]
    rng = np.random.default_rng([seed, 2])
    while count:
        instance = draw(rng, families[int(rng.integers(len(families)))], KINDS[int(rng.integers(2))])
        if instance.d != 2 or instance.n > 5 or instance.network.widths[1] > 4:
            continue
        (limit,) = drive([instance])
        if limit.point is not None and not limit.point.doubt:
            count -= 1
            yield limit


def full_decision(limits: Sequence[Limit], certify: bool) -> np.ndarray:
    """Milliseconds of CPU time for all verdicts on each limit, the mechanism and the assumptions."""
    spent = []
    for limit in limits:
        start = time.process_time()
        verdicts = decide(limit, certify=certify)
        _ = verdicts.local, verdicts.global_, verdicts.trained_layers, verdicts.mechanism, verdicts.assumptions
        spent.append(time.process_time() - start)
    return 1e3 * np.array(spent)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.verdicts", allow_abbrev=False, description="Measure the oracles.")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--count", type=int, default=70, help="limits of each family and kind")
    parser.add_argument("--family", default="", help="only families whose name contains this")
    given = parser.parse_args(arguments)
    print("Decided and certified, with the median and the 99th percentile of the CPU time a limit takes.\n")
    print(f"| family | kind | {' | '.join(QUESTIONS)} |\n| --- | --- |{' --- |' * len(QUESTIONS)}")
    found: dict[str, list[dict[str, Tally]]] = {}
    for family in [*FAMILIES, *OTHERS, *DEEP]:
        if given.family not in family:
            continue
        for kind in KINDS:
            tallies = measure(converged(given.seed, given.count, family, kind))
            found.setdefault(family, []).append(tallies)
            print(f"| {family} | {kind} | {' | '.join(tally.cell() for tally in tallies.values())} |")
            sys.stdout.flush()
    _print_goals(found)
    _print_reasons(found)
    if not given.family:
        limits = list(small(given.seed, 4 * given.count))
        print(f"\nA full decision at depth 2, d = 2, width <= 4, n <= 5, {len(limits)} limits, ms of CPU time:\n")
        print("| certificates | median | 99th percentile | goal |\n| --- | --- | --- | --- |")
        for certify, goal in ((False, "3 / 100"), (True, "10 / 100")):
            ms = full_decision(limits, certify)
            print(f"| {'yes' if certify else 'no'} | {np.median(ms):.1f} | {np.percentile(ms, 99):.0f} | {goal} |")


def _print_goals(found: dict[str, list[dict[str, Tally]]]) -> None:
    print("\n| figure | decided | share | goal |\n| --- | --- | --- | --- |")
    for name, question, kinds, depths, goal in GOALS:
        tallies = [
            tally[question]
            for family, both in found.items()
            if family.startswith(kinds) and any(depth in family for depth in depths)
            for tally in both
        ]
        decided, asked = sum(t.decided for t in tallies), sum(t.asked for t in tallies)
        if asked:
            print(f"| {name}, {question} | {decided} of {asked} | {100 * decided / asked:.2f} % | {_percent(goal)} |")


def _percent(goal: float | None) -> str:
    return "-" if goal is None else f"{100 * goal:g} %"


def _print_reasons(found: dict[str, list[dict[str, Tally]]]) -> None:
    reasons: Counter[tuple[str, str, str]] = Counter()
    for family, both in found.items():
        for tallies in both:
            for question, tally in tallies.items():
                for reason, times in tally.reasons.items():
                    reasons[family, question, reason] += times
    print("\nUndecided:\n")
    for (family, question, reason), times in reasons.most_common():
        print(f"- {times} {question}, {family}: {reason}")


if __name__ == "__main__":
    main()
