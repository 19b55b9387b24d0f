"""The trainer's limits against the reference of tests/support/reference.py, on draws made to be hard.

A converged limit: the reference follows the flow until every neuron's own direction has settled, none that is small
grows against the rest, and the direction is near the limit's or settled elsewhere.  Where it disagrees, it follows once
more with smaller errors, a sharper softmax, and further.  never_separates: the reference must not separate.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from benchmarks.hard_draws import Law, draw
from harness import drive
from harness.problem.instances import Instance
from harness.problem.limits import Limit
from harness.problem.networks import Network
from harness.tools.processes import pool
from tests.support.reference import Record, follow

Verdict = Literal["agrees", "differs", "too slow", "reference undecided", "undecided", "not unique"]
COLUMNS = ("agrees", "differs", "too slow", "reference undecided")

# Relative difference of values, and distance of directions, at which limits are the same.
VALUE = 1e-3
NEAR = 0.03
# How much a neuron's own direction may move over SPAN units of log-norm, and grow against the norm, once settled.
SETTLED = 1e-3
SPAN = 15.0


@dataclass(frozen=True)
class Effort:
    """How hard the reference tries."""

    log_norm: float
    farthest: float
    hold: float
    rtol: float
    budget: int
    separation: int


FIRST = Effort(40.0, 160.0, 300.0, 1e-6, 600_000, 20_000)
SECOND = Effort(80.0, 400.0, 3000.0, 1e-8, 6_000_000, 400_000)


def opinion(limit: Limit) -> tuple[Verdict, str]:
    """What the reference says of a limit, and why."""
    if limit.status == "undecided":
        return ("not unique" if "not unique" in limit.reason else "undecided"), limit.reason
    verdict, why, away = _compared(limit, FIRST)
    if verdict in ("differs", "too slow"):
        again, why, still = _compared(limit, SECOND)
        if still < 0.6 * away:
            # of one value, and nearer where the softmax is sharper: as 1 / log t
            return "agrees", why
        # the two have to say the same
        verdict = "reference undecided" if (verdict, again) == ("differs", "agrees") else again
    return verdict, why


def _compared(limit: Limit, effort: Effort) -> tuple[Verdict, str, float]:
    """The verdict, why, and how far away the direction is, if the value is the same."""
    instance = limit.instance
    neurons = _neurons(instance.network)
    record = _followed(instance, effort, neurons)
    if record.status in ("unclear", "not unique"):
        slow = record.reason.startswith("log-norm")
        return ("too slow" if slow else "reference undecided"), f"{record.status}: {record.reason}", math.inf
    separates = record.status == "followed"
    if limit.status == "never_separates" or not separates:
        why = f"{limit.status}, reference {record.status}: {record.reason}"
        if separates == (limit.status == "converged"):
            return "agrees", why, math.inf
        # a flow that rests will never separate; from depth 3 on a saddle may be left as slowly as a weight is small
        slow = not separates and (record.reason.startswith("not after") or instance.network.depth > 2)
        return ("too slow" if slow else "differs"), why, math.inf
    assert limit.theta is not None
    assert limit.value is not None
    theta = instance.network.flat(limit.theta)
    distances = np.linalg.norm(record.direction - theta / np.linalg.norm(theta), axis=1)
    before = int(np.searchsorted(record.log_norm, record.log_norm[-1] - SPAN))
    first, last = float(distances[before]), float(distances[-1])
    why = f"value {limit.value:.7g}, reference {record.value:.7g} at log-norm {record.log_norm[-1]:.0f}, "
    why += f"directions {last:.1e} apart after {first:.1e}"
    if abs(record.value / limit.value - 1.0) > VALUE:
        settled = np.linalg.norm(record.direction[-1] - record.direction[before]) < SETTLED
        return ("differs" if settled and not on_the_way(record, neurons) else "too slow"), why, math.inf
    if on_the_way(record, neurons):
        return "too slow", why, math.inf
    nearer = last <= NEAR and last <= max(first, 3.0 / effort.hold)
    return ("agrees" if nearer else "too slow" if last < first else "differs"), why, last


def _followed(instance: Instance, effort: Effort, neurons: Sequence[np.ndarray]) -> Record:
    """The flow as far as needed: until nothing is on its way, or to the farthest."""
    target = effort.log_norm
    while True:
        record = follow(
            instance, target, hold=effort.hold, rtol=effort.rtol, budget=effort.budget, separation=effort.separation
        )  # fmt: skip
        if record.status != "followed" or target >= effort.farthest or not on_the_way(record, neurons):
            return record
        target = min(2.0 * target, effort.farthest)


def on_the_way(record: Record, neurons: Sequence[np.ndarray]) -> bool:
    """Whether some neuron's own direction still moves, or a small neuron grows against the norm."""
    before = int(np.searchsorted(record.log_norm, record.log_norm[-1] - SPAN))
    for parameters in neurons:
        then, now = record.direction[before, parameters], record.direction[-1, parameters]
        one, two = float(np.linalg.norm(then)), float(np.linalg.norm(now))
        if one and two:
            moved = float(np.linalg.norm(then / one - now / two))
            if (moved > SETTLED and min(one, two) < NEAR) or (two > one * (1.0 + SETTLED) and two < NEAR):
                return True
    return False


def _neurons(network: Network) -> list[np.ndarray]:
    """Of each hidden neuron the parameters into it and out of it."""
    return [
        np.unique([*network.into(layer, j), *network.out_of(layer, j)]).astype(np.int64)
        for layer, width in enumerate(network.widths[1:-1])
        for j in range(width)
    ]


def judged(law: Law, seed: int, indices: Sequence[int]) -> list[tuple[int, str, Verdict, str]]:
    """Index, status of the limit ("raised" where there is none), verdict and why."""
    found: list[tuple[int, str, Verdict, str]] = []
    for index in indices:
        instance = draw(law, seed, index)
        try:
            (limit,) = drive([instance])
        except ArithmeticError as error:  # nothing may escape the trainer; a long comparison goes on all the same
            found.append((index, "raised", "differs", repr(error)))
            continue
        found.append((index, limit.status, *opinion(limit)))
    return found


def row(law: Law, seed: int, count: int, processes: int) -> str:
    """One row of the table; what differs is printed with its law and index."""
    counts: Counter[str] = Counter()
    batches = [range(start, min(start + 20, count)) for start in range(0, count, 20)]
    with pool(processes) as executor:
        for batch in executor.map(partial(judged, law, seed), batches):
            for index, status, verdict, why in batch:
                counts[status] += 1
                counts[f"{status} {verdict}"] += 1
                if verdict == "differs":
                    print(f"draw({law!r}, {seed}, {index}) differs: {why}", flush=True)
    cells = [count, counts["converged"], *(counts[f"converged {column}"] for column in COLUMNS)]
    cells += [counts["never_separates"], *(counts[f"never_separates {column}"] for column in COLUMNS)]
    cells += [counts["undecided not unique"], counts["undecided undecided"]]
    return f"| {law} | {' | '.join(map(str, cells))} |"


def table(laws: Sequence[Law], seed: int, count: int, processes: int) -> str:
    """All laws, a row each."""
    names = ["law", "draws", "converged", *COLUMNS, "never separates", *COLUMNS, "not unique", "undecided"]
    rows = [row(law, seed, count, processes) for law in laws]
    return "\n".join([f"| {' | '.join(names)} |", f"|{' --- |' * len(names)}", *rows])
