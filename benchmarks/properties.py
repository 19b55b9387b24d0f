"""How many examples a second the properties check on one core: draw, drive, decide, certify.

    python -m benchmarks.properties [--examples N]

For every claim but follows-flow, which integrates every flow twice, and every family of depth 2 that it speaks of: the
loop of harness.testing.check on derandomised draws of Hypothesis.  In seconds of this process's CPU, so that other
processes do not count; the share of drawing and of following is measured in the same run.  The goal is 100 a second.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import harness
from harness.claims.table import CLAIMS
from harness.testing.check import Check
from strategies import families, instances

GOAL = 100.0


def depth_2(claim: str) -> dict[str, st.SearchStrategy[Any]]:
    return {name: family for name, family in families(CLAIMS[claim]).items() if name.endswith("depth 2")}


def measured(claims: list[str], count: int) -> Iterator[tuple[str, dict[str, float]]]:
    """For every claim: examples, and CPU seconds in all, in drawing and in following."""
    for claim in claims:
        spent = {"examples": 0.0, "all": 0.0, "draw": 0.0, "drive": 0.0}
        for family in depth_2(claim).values():
            _run(claim, family, count, spent)
        yield claim, spent


def _run(claim: str, family: st.SearchStrategy[Any], count: int, spent: dict[str, float]) -> None:
    drawn, check = instances(networks=family), Check(CLAIMS[claim])

    @settings(
        max_examples=count, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large),
    )  # fmt: skip
    @given(data=st.data())
    def loop(data: Any) -> None:
        start = time.process_time()
        instance = data.draw(drawn)
        spent["draw"] += time.process_time() - start
        spent["examples"] += 1
        try:
            check(instance)
        except CLAIMS[claim].exception:
            # a refuted claim: found and certified, and on to the next
            pass

    with _timed("drive", spent):
        start = time.process_time()
        loop()
        spent["all"] += time.process_time() - start


@contextmanager
def _timed(name: str, spent: dict[str, float]) -> Generator[None]:
    """Count the time in harness.drive."""
    kept: Callable[..., Any] = getattr(harness, name)

    def timed(*arguments: Any, **options: Any) -> Any:
        start = time.process_time()
        try:
            return kept(*arguments, **options)
        finally:
            spent[name] += time.process_time() - start

    setattr(harness, name, timed)
    try:
        yield
    finally:
        setattr(harness, name, kept)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0], allow_abbrev=False)
    parser.add_argument("--examples", type=int, default=300, help="a family, default 300")
    count = parser.parse_args().examples
    claims = [claim for claim in CLAIMS if depth_2(claim) and claim != "follows-flow"]
    list(measured(claims[:1], 20))  # compiles
    print("| claim | examples | a second | ms: drawing | following | deciding |")
    print("| --- | --- | --- | --- | --- | --- |")
    total, seconds = 0.0, 0.0
    for claim, spent in measured(claims, count):
        n, rest = spent["examples"], spent["all"] - spent["draw"] - spent["drive"]
        parts = " | ".join(f"{1e3 * value / n:.1f}" for value in (spent["draw"], spent["drive"], rest))
        print(f"| {claim} | {n:.0f} | {n / spent['all']:.0f} | {parts} |", flush=True)
        total, seconds = total + n, seconds + spent["all"]
    print(f"| all | {total:.0f} | {total / seconds:.0f} (goal {GOAL:.0f}) | | | |")


if __name__ == "__main__":
    main()
