"""`python -m benchmarks.proofs`: how many flows have a proof of where they end; how fast is it found, does it agree?

Of drawn fully connected relu networks of depth 2.  "proven": of all draws, and of those whose flow the trainer follows
to a limit.  "ms": CPU time of the search from the trainer's limit, where there is a proof.  "clashes": a proof found
without the trainer (harness.proofs.predicted) says that the flow ends elsewhere than the trainer; one of the two is
wrong, and the instance is printed.  "more": proven where the trainer is undecided.

--clashes N: of as many draws as it takes, only those with a proof are followed, until there are N.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from harness import drive
from harness.problem.instances import Instance
from harness.problem.limits import Limit
from harness.proofs import predicted, proof_of_flow
from harness.survey.laws import Cell, drawn

# Relative distance at which a proof and the trainer differ.
APART = 1e-6
_TWO = partial(Cell, width=2, n=2, d=2)
LAWS: dict[str, Cell] = {
    "2 points, 2 neurons, labels of the start": _TWO(labels="start"),
    "the same, balanced": _TWO(labels="start", outgoing=1.0),
    "the same, outgoing weights twice as large": _TWO(labels="start", outgoing=2.0),
    "the same, labels of a linear teacher": _TWO(labels="linear teacher"),
    "the same, random labels": _TWO(labels="random"),
    "the same, small integers, labels of the start": _TWO(data="integer", start="integer", labels="start"),
    "the same, small integers, logistic": _TWO(data="integer", start="integer", labels="start", loss="logistic"),
    "3 points, 3 neurons, labels of the start": Cell(width=3, n=3, d=2, labels="start"),
    "3 points in 3 dimensions, 4 neurons": Cell(width=4, n=3, d=3, labels="start"),
    "2 near-orthogonal points, 4 neurons": Cell(width=4, n=2, d=2, data="near-orthogonal", labels="start"),
}


@dataclass
class Row:
    drawn: int = 0
    followed: int = 0
    proven: int = 0
    agreeing: int = 0
    more: int = 0
    times: list[float] = field(default_factory=list)
    clashes: list[str] = field(default_factory=list)


def clash(limit: Limit) -> tuple[bool, str]:
    """Whether a proof that no trainer had a part in exists, and how the trainer's limit differs from it, "" if not."""
    guess = predicted(limit.instance)
    if guess is None or proof_of_flow(limit.instance, *guess) is None:
        return False, ""
    if limit.status == "never_separates":
        return True, "the trainer says that the flow never separates the data"
    if limit.theta is None:
        return True, ""
    one, two = (np.concatenate([np.asarray(u) for u in theta]) for theta in (guess[0], limit.theta))
    away = float(np.linalg.norm(one - two) / np.linalg.norm(one))
    return True, "" if away <= APART else f"the limits are {away:.1e} apart"


def add(row: Row, limits: Sequence[Limit]) -> None:
    for limit in limits:
        row.followed += limit.point is not None
        exists, why = clash(limit)
        if why:
            row.clashes.append(f"{why}: {limit.instance.to_json()}")
        if limit.point is None:
            row.more += exists
            row.proven += exists
            continue
        start = time.process_time()
        proven = proof_of_flow(limit.instance, limit.point.theta, limit.point.multipliers) is not None
        if proven:
            row.times.append(time.process_time() - start)
        row.proven += proven or exists
        row.agreeing += proven


def instances(cell: Cell, seed: int, start: int, count: int) -> list[Instance]:
    return [drawn(cell, seed, index)[0] for index in range(start, start + count)]


def table(seed: int, count: int) -> Iterator[str]:
    yield "| draws | drawn | converged | proven | of the converged | more | ms, median | ms, worst | clashes |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for name, cell in LAWS.items():
        row = Row(drawn=count)
        add(row, drive(instances(cell, seed, 0, count)))
        times = [1e3 * seconds for seconds in row.times] or [0.0]
        yield (
            f"| {name} | {count} | {row.followed} | {row.proven} ({row.proven / count:.0%}) | {row.agreeing} "
            f"({row.agreeing / max(row.followed, 1):.0%}) | {row.more} | {statistics.median(times):.1f} "
            f"| {max(times):.1f} | {len(row.clashes)} |"
        )
        yield from row.clashes


def clashes(seed: int, wanted: int) -> Iterator[str]:
    """Until so many instances with a proof were followed, in turn of every law."""
    found, place, undecided = 0, 0, 0
    while found < wanted:
        for cell in LAWS.values():
            proven = [
                one
                for one in instances(cell, seed, place, 100)
                if (guess := predicted(one)) is not None and proof_of_flow(one, *guess) is not None
            ]
            found += len(proven)
            for limit in drive(proven):
                undecided += limit.point is None
                why = clash(limit)[1]
                if why:
                    yield f"{why}: {limit.instance.to_json()}"
        place += 100
    yield f"{found} with a proof followed, {undecided} of them undecided by the trainer"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=1000, help="draws of every law")
    parser.add_argument("--clashes", type=int, metavar="N")
    options = parser.parse_args()
    lines = clashes(options.seed, options.clashes) if options.clashes else table(options.seed, options.count)
    for line in lines:
        print(line, flush=True)


if __name__ == "__main__":
    main()
