"""`python -m benchmarks.agreement`: is a limit the same for both implementations, smaller errors, and starts beside it?

Of mixed draws, generic and small integers apart: the batched trainer beside the compiled one, rtol 1e-8 all the way
beside the default, and starts moved by 1e-9 relative beside the start itself, where no exact invariance holds the flow.
Whatever differs is printed with its place in the suite.  Nothing here is a test.

With --reference instead: limits of hard draws beside the independent reference (benchmarks/opinions.py).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from benchmarks import opinions
from benchmarks.families import Kind, suite
from benchmarks.hard_draws import LAWS
from benchmarks.run import KINDS, same_predictor
from harness import drive
from harness.flow import Settings, follow
from harness.problem.instances import Instance
from harness.problem.limits import Limit
from harness.tools.processes import cores

STRICT = Settings(rtol=1e-8, patience=1500, separation=30000, steps=100000)
MOVED = 1e-9


def moved(instance: Instance, rng: np.random.Generator) -> Instance:
    """The start with every number changed by 1e-9 of the largest, generically."""
    size = max(abs(float(a)) for row in instance.theta0 for a in row)
    theta0 = tuple(
        tuple(a + Fraction(MOVED * size * float(rng.standard_normal())) for a in row) for row in instance.theta0
    )
    return replace(instance, theta0=theta0)


def compared(what: str, pairs: Sequence[tuple[int, Limit, Limit]]) -> str:
    """One row: how many were compared, in how many the status differs, and the predictor where both converged."""
    statuses = [place for place, one, two in pairs if one.status != two.status]
    both = [(place, one, two) for place, one, two in pairs if one.status == two.status == "converged"]
    differ = [place for place, one, two in both if not _same(one, two)]
    margins = max((_apart(one, two) for _, one, two in both), default=0.0)
    for name, places in (("status", statuses), ("predictor", differ)):
        if places:
            print(f"{what}, {name}: {' '.join(map(str, places))}")
    return f"| {what} | {len(pairs)} | {len(statuses)} | {len(both)} | {len(differ)} | {margins:.0e} |"


def _same(one: Limit, two: Limit) -> bool:
    assert one.theta is not None
    assert two.theta is not None
    return same_predictor(one.instance, np.concatenate(one.theta), np.concatenate(two.theta))


def _apart(one: Limit, two: Limit) -> float:
    """The largest difference of the margins at min q = 1, relative to them."""
    assert one.point is not None
    assert two.point is not None
    return float((np.abs(one.point.margins - two.point.margins) / (1.0 + np.abs(one.point.margins))).max())


def rows(kind: Kind, seed: int, count: int) -> list[str]:
    instances = suite(seed, count, kind)
    limits = drive(instances)
    found = [compared(f"batched, {kind}", _pairs(limits, drive(instances, device="cpu:0")))]
    found.append(compared(f"rtol 1e-8, {kind}", _pairs(limits, [follow(instance, STRICT) for instance in instances])))
    rng = np.random.default_rng([seed, 9])
    free = [(k, limit) for k, limit in enumerate(limits) if limit.status == "converged" and not limit.held]
    again = drive([moved(limit.instance, rng) for _, limit in free])
    found.append(compared(f"moved by 1e-9, {kind}", [(k, one, two) for (k, one), two in zip(free, again, strict=True)]))
    return found


def _pairs(one: Sequence[Limit], two: Sequence[Limit]) -> list[tuple[int, Limit, Limit]]:
    return [(k, a, b) for k, (a, b) in enumerate(zip(one, two, strict=True))]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.agreement", description="Are limits what they are?")
    parser.add_argument("--seed", type=int, default=424242)
    parser.add_argument("--count", type=int, default=600, help="flows of each kind or law")
    parser.add_argument("--reference", action="store_true", help="beside the reference, on hard draws")
    parser.add_argument("--draws", nargs="+", choices=LAWS, default=LAWS, help="their laws")
    parser.add_argument("--processes", type=int, default=cores(), help="for the reference")
    given = parser.parse_args(arguments)
    if given.reference:
        print(f"\n{opinions.table(given.draws, given.seed, given.count, given.processes)}")
        return
    table = [row for kind in KINDS for row in rows(kind, given.seed, given.count)]
    print("\n| what | flows | status differs | converged | predictor differs | margins differ by |")
    print("| --- | --- | --- | --- | --- | --- |")
    print("\n".join(table))


if __name__ == "__main__":
    main()
