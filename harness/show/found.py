"""What `marginalia harvest` prints of what it found: a line for each counterexample, and one for all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.records.record import Record
from harness.show.answers import problem_line
from harness.show.lines import count, short


def found_line(record: Record) -> str:
    """Its sizes, its values, and whether its flow is proven."""
    cost = short(float(record.objective(record.limit)))
    better = "" if record.stated else f", a better point {short(float(record.objective(record.better)))}"
    robust = {None: "", True: "robust, ", False: "fragile, "}[record.robust]
    flow = "proven" if record.proven else "computed"
    return f"{robust}{problem_line(record.instance.problem)}; {record.minimised} {cost}{better}; flow {flow}"


def harvest_line(found: Sequence[bool], new: Sequence[Path]) -> str:
    """How many hunts came back with something, and how much of it is new."""
    return f"{sum(found)} of {count(len(found), 'hunt')} found a counterexample; new: {len(set(new)) or 'none'}"
