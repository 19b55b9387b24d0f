"""The harvest: counterexamples to refuted claims, hunted from scratch, shrunk, certified and stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.harvest.run import Harvested, huntable, run_harvest
from harness.problem.later import at_first_use

if TYPE_CHECKING:
    from harness.harvest.finding import Finding
    from harness.harvest.pages import rebuild
    from harness.harvest.renewal import renew
    from harness.harvest.search import hunt

__all__ = [
    "Finding",
    "Harvested",
    "hunt",
    "huntable",
    "rebuild",
    "renew",
    "run_harvest",
]

# Loaded when first used: a command line with a mistake in it need not wait for the trainer's compiler.
__getattr__ = at_first_use(
    __name__,
    {
        "Finding": "harness.harvest.finding",
        "hunt": "harness.harvest.search",
        "rebuild": "harness.harvest.pages",
        "renew": "harness.harvest.renewal",
    },
)
