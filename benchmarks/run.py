"""`python -m benchmarks.run`: how much the trainer decides and how fast, beside other methods, in one table.

Times are CPU seconds of one core (start-up: wall clock), each ratio from one run.  Nothing here is a test.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from benchmarks import rivals
from benchmarks.families import DEEP, Kind, draw, suite
from harness import drive
from harness.problem.instances import Instance
from harness.problem.limits import Limit
from harness.problem.networks import forward

KINDS: tuple[Kind, ...] = ("generic", "integer")
RIVALS: dict[str, rivals.Method] = {
    "gradient descent, loss-based rate": rivals.descent,
    "the same, progressively rescaled (not the flow)": rivals.rescaling,
    "scipy BDF": rivals.bdf,
    "scipy BDF and our polish": rivals.bdf_polished,
    "the same, field in numpy, Jacobian by differences": rivals.bdf_plain,
}
FIRST_RESULT = (
    "from harness import Instance, drive; from harness.problem.networks import fully_connected;"
    "a = Instance.of(fully_connected('relu', (1, 1)), 'exponential', ((1,),), (1,), ((1,), (1,)));"
    "assert drive([a])[0].status == 'converged'"
)


@dataclass(frozen=True)
class Timed:
    """One flow: its limit, and the CPU seconds that it took."""

    limit: Limit
    seconds: float

    @property
    def outcome(self) -> str:
        """What became of it, for counting."""
        limit = self.limit
        if limit.point is not None:
            return "decided" if not limit.point.doubt else f"undecided: {limit.point.doubt}"
        if limit.status == "never_separates" or "not separated" in limit.reason.lower():
            return "does not separate"
        return "not unique" if "not unique" in limit.reason else f"undecided: {limit.reason}"


def timed(instances: Sequence[Instance]) -> list[Timed]:
    """Every flow by itself, after one that is not counted."""
    drive(instances[:1])
    out: list[Timed] = []
    for instance in instances:
        start = time.process_time()
        (limit,) = drive([instance])
        out.append(Timed(limit, time.process_time() - start))
    return out


def shares(title: str, flows: Sequence[Timed]) -> str:
    """One row: how many, what became of them, and of those that separate and are unique the share decided."""
    outcomes = Counter(flow.outcome for flow in flows)
    outside = outcomes["does not separate"] + outcomes["not unique"]
    decided, rest = outcomes["decided"], len(flows) - outside
    ms = 1e3 * np.array([flow.seconds for flow in flows if flow.limit.status == "converged"] or [np.nan])
    return (
        f"| {title} | {len(flows)} | {outcomes['does not separate']} | {outcomes['not unique']} "
        f"| {decided} of {rest} ({100 * decided / max(rest, 1):.2f} %) "
        f"| {ms.mean():.2f} | {np.percentile(ms, 50):.2f} | {np.percentile(ms, 99):.1f} | {1e3 / ms.mean():.0f} |"
    )


def reasons(flows: Sequence[Timed]) -> list[str]:
    counts = Counter(flow.outcome for flow in flows if flow.outcome.startswith("undecided"))
    return [f"- {count} {outcome}" for outcome, count in sorted(counts.items())]


def row(title: str, reached: Sequence[rivals.Reached], same: int, ours: float) -> str:
    """One row of the table of methods.  same: how many ended at our predictor; ours: our mean seconds."""
    cells = []
    for at in range(len(rivals.LEVELS)):
        times = [r.seconds[at] for r in reached if np.isfinite(r.seconds[at])]
        cells.append(f"{len(times)}" + (f" ({1e3 * float(np.median(times)):.1f})" if times else ""))
    mean = float(np.mean([r.spent for r in reached]))
    return f"| {title} | {' | '.join(cells)} | {same} | {1e3 * mean:.1f} | {mean / ours:.0f} |"


def same_predictor(instance: Instance, one: np.ndarray, two: np.ndarray) -> bool:
    """Whether the normalised networks agree to 1e-6 on the points and on as many fixed others."""
    rng = np.random.default_rng(0)
    points = np.vstack([instance.x_float, rng.standard_normal(instance.x_float.shape)])

    def values(theta: np.ndarray) -> np.ndarray:
        layers = [u.tolist() for u in instance.network.split(theta / np.linalg.norm(theta))]
        return np.array([float(forward(instance.network, layers, x)) for x in points.tolist()])

    a, b = values(one), values(two)
    return bool(np.abs(a - b).max() <= 1e-6 * np.abs(a).max())


def methods(flows: Sequence[Timed]) -> list[str]:
    """The table of methods on the instances of these converged flows."""
    ours = float(np.mean([flow.seconds for flow in flows]))
    own = [rivals.Reached([flow.seconds] * len(rivals.LEVELS), flow.seconds) for flow in flows]
    lines = [
        f"| on {len(flows)} instances | to 1e-3 (median ms) | to 1e-6 | to 1e-9 | same limit | mean ms | ratio |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        row("this trainer", own, len(flows), ours),
    ]
    for title, method in RIVALS.items():
        method(flows[0].limit.instance)
        reached = [method(flow.limit.instance) for flow in flows]
        same = sum(_same(flow.limit, r) for flow, r in zip(flows, reached, strict=True))
        lines.append(row(title, reached, same, ours))
    return lines


def _same(limit: Limit, reached: rivals.Reached) -> bool:
    assert limit.theta is not None
    finite = len(reached.theta) > 0 and bool(np.isfinite(reached.theta).all())
    return finite and same_predictor(limit.instance, np.concatenate(limit.theta), reached.theta)


def startup() -> tuple[float, float]:
    """Wall-clock seconds of a process from nothing to a first limit: everything to compile, and nothing."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
        return _wall(environment), _wall(environment)


def _wall(environment: dict[str, str]) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", FIRST_RESULT], env=environment, check=True)
    return time.perf_counter() - start


def batched(seed: int, count: int, device: str) -> str:
    """Flows a second of the batched trainer, converged or not; one thread on a CPU."""
    import torch

    torch.set_num_threads(1)
    instances = suite(seed, count, "generic")
    drive(instances[:8], device=device)
    start = time.perf_counter()
    limits = drive(instances, device=device)
    seconds = time.perf_counter() - start
    converged = sum(limit.status == "converged" for limit in limits)
    return f"{count} flows on {device}: {seconds:.1f} s, {count / seconds:.0f} a second, {converged} converged"


def report(seed: int, count: int, compared: int, batches: Sequence[tuple[int, str]], say: Callable[[str], None]) -> str:
    """All tables, as Markdown."""
    lines = [
        f"Seed {seed}, {date.today().isoformat()}, {machine()}, "
        f"Python {platform.python_version()}, numba {version('numba')}, torch {version('torch')}.",
        "",
        "| draws | flows | do not separate | not unique | decided at 1e-9 | mean ms | median | 99th pc | a second |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    compare: list[Timed] = []
    undecided: list[Timed] = []
    for kind in KINDS:
        say(f"{count} {kind} flows")
        flows = timed(suite(seed, count, kind))
        lines.append(shares(kind, flows))
        undecided += flows
        compare += list(islice((f for f in flows if f.outcome == "decided"), compared))
    for name in DEEP:
        for kind in KINDS:
            say(f"{name}, {kind}")
            rng = np.random.default_rng([seed, len(name), kind == "integer"])
            flows = timed([draw(rng, name, kind) for _ in range(max(count // 16, 1))])
            lines.append(shares(f"{name}, {kind}", flows))
            undecided += flows
    lines += ["", "Undecided:", "", *reasons(undecided), ""]
    say("other methods")
    lines += methods(compare)
    say("start-up")
    cold, warm = startup()
    lines += ["", f"A process to its first limit: {cold:.0f} s when everything is compiled, {warm:.1f} s afterwards."]
    for size, device in batches:
        say(f"{size} flows batched on {device}")
        lines += ["", batched(seed, size, device)]
    return "\n".join(lines) + "\n"


def machine() -> str:
    """The CPU's model and the number of cores."""
    try:
        info = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":")[1].strip() for line in info if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.machine()
    return f"{model}, {os.cpu_count()} cores"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.run", description="Measure the trainer beside other methods."
    )
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--count", type=int, default=1600, help="flows of each kind")
    parser.add_argument("--compared", type=int, default=16, help="flows of each kind that the other methods follow")
    parser.add_argument("--batch", type=int, nargs="*", default=[1024], help="sizes for the batched trainer")
    parser.add_argument("--device", default="cpu:0", help="of the batched trainer")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the tables there too; default: print them only")
    given = parser.parse_args(arguments)
    start = time.perf_counter()

    def say(line: str) -> None:
        print(f"[{time.perf_counter() - start:4.0f} s] {line}", file=sys.stderr)

    batches = list(zip(given.batch, cycle([given.device])))
    table = report(given.seed, given.count, given.compared, batches, say)
    if given.out is not None:
        given.out.write_text(table, encoding="utf-8")
    print(table, end="")


if __name__ == "__main__":
    main()
