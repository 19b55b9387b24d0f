"""`python -m benchmarks.steps`: steps of many instances at once, by method, at depth 1 and 2.

Of the CPU and of the wall, on as many threads as torch is given (OMP_NUM_THREADS).  What is timed is `train`, with
building the batch and reading the rows.
"""

from __future__ import annotations

import argparse
import time

import torch

from harness.optimisers import NAMES, Setup, train
from harness.problem.instances import Instance
from harness.survey import Cell
from harness.survey.laws import draw, stream

CELLS = {
    "depth 1, n = 4, d = 2": Cell(depth=1, n=4, d=2),
    "depth 2, relu, width 3, n = 3, d = 2": Cell(width=3, n=3, d=2),
}


def instances(cell: Cell, seed: int, count: int) -> list[Instance]:
    return [draw(cell, stream(seed, index)) for index in range(count)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instances", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--method", action="append", choices=NAMES, help="default all; may be repeated")
    parser.add_argument("--depth", type=int, choices=(1, 2), help="default both")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    print(f"{options.instances} instances, {options.steps} steps, {torch.get_num_threads()} threads, {options.device}")
    print("| instances | method | ns a step of one | CPU s | wall s |\n| --- | --- | --- | --- | --- |")
    for name, cell in CELLS.items():
        if options.depth not in (None, cell.depth):
            continue
        drawn = instances(cell, options.seed, options.instances)
        for method in options.method or NAMES:
            setup = Setup(method, steps=options.steps)
            began, spent = time.perf_counter(), time.process_time()
            train(drawn, setup.method, steps=setup.steps, device=options.device)
            wall, cpu = time.perf_counter() - began, time.process_time() - spent
            each = 1e9 * cpu / options.instances / options.steps
            print(f"| {name} | {setup.label} | {each:.0f} | {cpu:.1f} | {wall:.1f} |", flush=True)


if __name__ == "__main__":
    main()
