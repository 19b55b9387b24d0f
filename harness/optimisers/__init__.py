"""What people train with: discrete methods on many instances at once, and where their directions end."""

from typing import TYPE_CHECKING

from harness.problem.later import at_first_use

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

# Torch takes a second.
__getattr__ = at_first_use(
    __name__,
    {
        "NAMES": "harness.optimisers.names",
        "Adam": "harness.optimisers.methods",
        "GradientDescent": "harness.optimisers.methods",
        "Method": "harness.optimisers.methods",
        "Mirror": "harness.optimisers.methods",
        "Momentum": "harness.optimisers.methods",
        "Own": "harness.optimisers.own",
        "Setup": "harness.optimisers.setups",
        "Steepest": "harness.optimisers.methods",
        "Steps": "harness.optimisers.steps",
        "Training": "harness.optimisers.training",
        "named": "harness.optimisers.names",
        "settle": "harness.optimisers.ending",
        "train": "harness.optimisers.training",
    },
)
