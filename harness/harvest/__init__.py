"""The harvest: counterexamples to refuted claims, hunted from scratch, shrunk, certified and stored."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from harness.harvest.run import Harvested, huntable, run_harvest

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
_HOME = {
    "Finding": "finding",
    "hunt": "search",
    "rebuild": "pages",
    "renew": "renewal",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'harness.harvest' has no attribute {name!r}")
    return getattr(import_module(f"harness.harvest.{_HOME[name]}"), name)
