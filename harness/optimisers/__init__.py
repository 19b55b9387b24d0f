"""What people train with: discrete methods on many instances at once, and where their directions end."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.optimisers.ending import settle
    from harness.optimisers.methods import Adam, GradientDescent, Method, Mirror, Momentum, Steepest
    from harness.optimisers.names import NAMES, named
    from harness.optimisers.own import Own
    from harness.optimisers.setups import Setup
    from harness.optimisers.steps import Steps
    from harness.optimisers.training import Training, train

__all__ = [
    "NAMES",
    "Adam",
    "GradientDescent",
    "Method",
    "Mirror",
    "Momentum",
    "Own",
    "Setup",
    "Steepest",
    "Steps",
    "Training",
    "named",
    "settle",
    "train",
]

# Loaded when first used: torch takes a second.
_HOME = {
    "NAMES": "names",
    "Adam": "methods",
    "GradientDescent": "methods",
    "Method": "methods",
    "Mirror": "methods",
    "Momentum": "methods",
    "Own": "own",
    "Setup": "setups",
    "Steepest": "methods",
    "Steps": "steps",
    "Training": "training",
    "named": "names",
    "settle": "ending",
    "train": "training",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'harness.optimisers' has no attribute {name!r}")
    return getattr(import_module(f"harness.optimisers.{_HOME[name]}"), name)
