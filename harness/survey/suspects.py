"""From a survey to the hunt: its suspects, shrunk to a small counterexample of the same claim and mechanism.

A suspect's numbers are what a random law gave, so it is drawn in coarser versions beside itself, a list of them in one
example, simplest first: Hypothesis shrinks to the one that fails, and the hunt goes on from there as from any other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

from hypothesis import strategies as st

from harness.harvest.run import Harvested, harvest_one, rebuilt
from harness.harvest.spaces import SPACES, Quarry
from harness.problem.fields import FieldError
from harness.problem.instances import Instance
from harness.problem.numbers import Rows
from harness.problem.sizes import size
from harness.records.folders import make_writable
from harness.survey.laws import drawn
from harness.survey.shards import Folder

# How many of one mechanism are pursued: the smallest.
MOST = 200
# Multiples of 1/q, and whether the start keeps its scale; None leaves the instance as it is.
_COARSE = [(q, scaled) for q in (1, 2, 4, 8) for scaled in (False, True)]
_DETAILS: tuple[tuple[int, bool] | None, ...] = (*_COARSE, None)
_TOGETHER = 10


def suspects(out: Path, claim: str) -> dict[str, list[Instance]]:
    """The instances of a survey that violate a claim, by mechanism, the smallest first. Raises FieldError."""
    folder = Folder(out)
    plan = folder.plan()
    if claim not in plan.claims:
        raise FieldError("claim", f"{claim} was not judged in {out}")
    column, known = f"claim:{claim}", _mechanisms(claim)
    columns = ["index", column, *(["mechanism"] if "local" in plan.verdicts else [])]
    found: dict[str, list[Instance]] = {}
    for table in folder.tables(columns):
        for row in table.to_pylist():
            if row[column] == "violated":
                mechanism = row.get("mechanism")
                # a claim about layers, or about global optima, has a mechanism of its own
                mechanism = mechanism if mechanism in known else known[-1] if known else "violated"
                instance, _ = drawn(plan.cell(row["index"])[1], plan.seed, row["index"])
                found.setdefault(mechanism, []).append(instance)
    return {mechanism: sorted(instances, key=size)[:MOST] for mechanism, instances in found.items()}


def _mechanisms(claim: str) -> list[str]:
    quarries = SPACES[claim].quarries if claim in SPACES else ()
    return [quarry.mechanism for quarry in quarries if quarry.mechanism]


def versions(instances: Sequence[Instance]) -> st.SearchStrategy[list[Instance]]:
    """Lists of these instances, coarser or as they are. Shrinks to one, the first, its numbers whole."""
    one = st.builds(coarser, st.sampled_from(instances), st.sampled_from(_DETAILS))
    return st.lists(one, min_size=1, max_size=_TOGETHER)


def coarser(instance: Instance, detail: tuple[int, bool] | None) -> Instance:
    """The instance with every number a multiple of 1/q, those of the start after they are brought to the size of 2.

    detail: q, and whether the start then goes back to its scale. An instance that cannot be had so is left as it is.
    """
    if detail is None:
        return instance
    q, scaled = detail
    largest = max(abs(a) for row in instance.theta0 for a in row)
    # a power of two: to multiply by it keeps every float exact
    unit = Fraction(2) ** (math.frexp(float(largest))[1] - 2) if largest else Fraction(1)
    start = _rounded(tuple(tuple(a / unit for a in row) for row in instance.theta0), q)
    if scaled:
        start = tuple(tuple(a * unit for a in row) for row in start)
    try:
        return instance.changed(x=_rounded(instance.x, q), theta0=start)
    except FieldError:
        return instance


def _rounded(rows: Rows, q: int) -> Rows:
    return tuple(tuple(Fraction(round(a * q), q) for a in row) for row in rows)


def pursue(
    out: Path, claim: str, reports: Path, seed: int = 0, progress: Callable[[str], None] = lambda line: None
) -> list[Harvested]:
    """Hunt from the suspects of a survey, each mechanism on its own, and store what is found under reports.

    Returns one result for every mechanism; none if nothing violates the claim. Raises FieldError for a claim that was
    not judged or cannot be hunted, or a folder that cannot be written.
    """
    if claim not in SPACES:
        raise FieldError("claim", f"{claim} cannot be hunted")
    found = suspects(out, claim)
    make_writable(reports)
    results: list[Harvested] = []
    for mechanism, instances in found.items():
        progress(f"{claim}, {mechanism}: {len(instances)} suspects")
        opening = versions(instances)
        results.append(harvest_one(claim, Quarry(mechanism), reports, seed, progress, opening=opening))
    return results + rebuilt(reports, progress) if results else []
