"""The trainer: follows the gradient flow of each instance to its limit direction."""

from harness.flow.drive import drive
from harness.flow.follow import Settings, follow

__all__ = ["Settings", "drive", "follow"]
