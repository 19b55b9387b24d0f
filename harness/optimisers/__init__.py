"""What people train with: discrete methods on many instances at once, and where their directions end."""

from harness.optimisers.ending import settle
from harness.optimisers.methods import Adam, GradientDescent, Method, Mirror, Momentum, Steepest
from harness.optimisers.named import NAMES, Setup, named
from harness.optimisers.own import Own
from harness.optimisers.steps import Steps
from harness.optimisers.train import Training, train

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
