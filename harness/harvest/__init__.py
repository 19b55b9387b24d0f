"""The harvest: counterexamples to refuted claims, hunted from scratch, shrunk, certified and stored."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from harness.harvest.run import Harvested, huntable, run_harvest

if TYPE_CHECKING:
    from harness.harvest.finding import Finding
    from harness.harvest.folders import Rejected, Stored, rebuild, store, trusted
    from harness.harvest.renewal import renew
    from harness.harvest.search import hunt
    from harness.harvest.trust import replay

__all__ = [
    "Finding",
    "Harvested",
    "Rejected",
    "Stored",
    "hunt",
    "huntable",
    "rebuild",
    "renew",
    "replay",
    "run_harvest",
    "store",
    "trusted",
]

# Loaded when first used: a command line with a mistake in it need not wait for the trainer's compiler.
_HOME = {
    "Finding": "finding",
    "hunt": "search",
    "Rejected": "folders",
    "Stored": "folders",
    "rebuild": "folders",
    "renew": "renewal",
    "replay": "trust",
    "store": "folders",
    "trusted": "folders",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'harness.harvest' has no attribute {name!r}")
    return getattr(import_module(f"harness.harvest.{_HOME[name]}"), name)
