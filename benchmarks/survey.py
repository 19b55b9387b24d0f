"""`python -m benchmarks.survey`: instances a second a core, two processes beside one, and memory over a long survey.

A survey's first batches, in which processes start and load the compiled trainer, are left out of the ratio.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from harness.survey import Cell, Plan, grid, run
from harness.survey import work as working

FAMILIES: dict[str, list[Cell]] = {
    "fully connected linear, width 4, n = 4, d = 3": grid(activation="linear", width=4, n=4, d=3, scale=(0.1, 1.0)),
    "diagonal linear, n = 4, d = 3": grid(family="diagonal", activation="linear", n=4, d=3, scale=(0.1, 1.0)),
    "fully connected relu, width 2, n = 3, d = 2": grid(width=2, n=3, d=2, scale=(0.1, 1.0)),
    "fully connected relu, width 3, n = 3, d = 2": grid(width=3, n=3, d=2, scale=(0.1, 1.0)),
    "fully connected relu, width 4, n = 4, d = 2": grid(width=4, n=4, d=2, scale=(0.1, 1.0)),
    "diagonal linear, depth 3, n = 3, d = 3": grid(family="diagonal", activation="linear", depth=3, n=3, d=3),
}
_WARM, _TIMED = 8, 40
# The cheapest flows that there are: memory is what is measured.
_MANY = grid(activation=("linear", "relu"), width=1, n=1, d=(1, 2))


def rates(seed: int, count: int) -> None:
    """Instances a second of CPU time, in this process: drawing, following, deciding, certifying suspects."""
    print("| depth 2 | instances | converged | decided | exact | a second |\n| --- | --- | --- | --- | --- | --- |")
    for name, cells in FAMILIES.items():
        plan = Plan(tuple(cells), count, seed=seed, batch=count)
        working.rows(Plan(tuple(cells), 10, seed=seed + 1, batch=10), 0)
        began = time.process_time()
        rows = working.rows(plan, 0)
        spent = time.process_time() - began
        converged = [row for row in rows if row["outcome"] == "converged"]
        decided = sum(row["local"] != "undecided" for row in converged)
        exact = sum(row["agreement"] is not None for row in rows)
        print(f"| {name} | {count} | {len(converged)} | {decided} | {exact} | {count / spent:.0f} |", flush=True)


def ratio(seed: int) -> None:
    """Two processes beside one, by the wall clock: noisy on a machine that does other things."""
    plan = Plan(tuple(grid(width=(2, 3), n=3, scale=(0.1, 1.0))), 200 * (_WARM + _TIMED), seed=seed, batch=200)
    found = [_rate(plan, workers) for workers in (1, 2)]
    print(f"\n{found[0]:.0f} a second by one process, {found[1]:.0f} by two: {found[1] / found[0]:.2f} times")


def _rate(plan: Plan, workers: int) -> float:
    times: list[float] = []
    with tempfile.TemporaryDirectory() as out:
        run(plan, Path(out), workers=workers, progress=lambda _: times.append(time.perf_counter()))
    return (len(times) - 1 - _WARM) * plan.batch / (times[-1] - times[_WARM])


def memory(count: int, seed: int, out: Path) -> None:
    """Resident memory of the survey and of its worker, at every tenth of the instances."""
    print("\n| instances | survey, MiB | worker, MiB |\n| --- | --- | --- |")
    done = 0

    def watch(line: str) -> None:
        nonlocal done
        instances = int(line.split()[0])
        if instances * 10 // count > done or instances == plan.batch:
            done = instances * 10 // count
            me = psutil.Process()
            workers = [p.memory_info().rss for p in me.children(recursive=True)]
            print(f"| {instances} | {me.memory_info().rss / 2**20:.0f} | {max(workers) / 2**20:.0f} |", flush=True)

    plan = Plan(tuple(_MANY), count, seed=seed, batch=1000)
    run(plan, out, workers=1, progress=watch)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.survey", allow_abbrev=False, description="Measure the survey.")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--count", type=int, default=1000, help="instances of each family")
    parser.add_argument("--memory", type=int, default=0, metavar="N", help="watch the memory over so many instances")
    given = parser.parse_args(arguments)
    if given.memory:
        out = Path(tempfile.mkdtemp())
        try:
            memory(given.memory, given.seed, out)
        finally:
            shutil.rmtree(out)
        return
    rates(given.seed, given.count)
    ratio(given.seed)


if __name__ == "__main__":
    main()
