"""The survey: how often, and where, is the limit no optimum? Many instances of stated random laws, counted.

    plan = Plan(grid(width=(2, 4), n=(2, 4), scale=(0.1, 1.0)), instances=10_000, claims=("fc-relu-local",))
    counts = run(plan, Path("out"))
    counts.by("width")[(4,)].violated_rate("fc-relu-local")

laws (what is drawn) -> plan -> work (one batch: drive, decide, one row an instance) -> run, on an engine -> shards ->
counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.problem.later import at_first_use
from harness.survey.laws import Cell, drawn, grid

if TYPE_CHECKING:
    from harness.survey.counts import Counts, Rate, Tally, count, merged
    from harness.survey.plan import Plan
    from harness.survey.runner import run

__all__ = ["Cell", "Counts", "Plan", "Rate", "Tally", "count", "drawn", "grid", "merged", "run"]

# Loaded when first used: pyarrow, the trainer and the oracles take a second.
__getattr__ = at_first_use(
    __name__,
    {
        "Counts": "harness.survey.counts",
        "Rate": "harness.survey.counts",
        "Tally": "harness.survey.counts",
        "count": "harness.survey.counts",
        "merged": "harness.survey.counts",
        "Plan": "harness.survey.plan",
        "run": "harness.survey.runner",
    },
)
