"""The survey: how often, and where, is the limit no optimum? Many instances of stated random laws, counted.

    plan = Plan(grid(width=(2, 4), n=(2, 4), scale=(0.1, 1.0)), instances=10_000, claims=("fc-relu-local",))
    counts = run(plan, Path("out"))
    counts.by("width")[(4,)].violated_rate("fc-relu-local")

laws (what is drawn) -> plan -> work (one batch: drive, decide, one row an instance) -> run, on an engine -> shards ->
counts.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from harness.survey.laws import Cell, drawn, grid

if TYPE_CHECKING:
    from harness.survey.counts import Counts, Rate, Tally, count, merged
    from harness.survey.plan import Plan
    from harness.survey.runner import run

__all__ = ["Cell", "Counts", "Plan", "Rate", "Tally", "count", "drawn", "grid", "merged", "run"]

# Loaded when first used: pyarrow, the trainer and the oracles take a second.
_HOME = {
    "Counts": "counts",
    "Rate": "counts",
    "Tally": "counts",
    "count": "counts",
    "merged": "counts",
    "Plan": "plan",
    "run": "runner",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'harness.survey' has no attribute {name!r}")
    return getattr(import_module(f"harness.survey.{_HOME[name]}"), name)
