"""The trainer: follows the gradient flow of each instance to its limit direction."""

from harness.flow.drive import drive
from harness.flow.follow import follow
from harness.flow.run import Settings
from harness.tools.threads import limit_blas

__all__ = ["Settings", "drive", "follow"]

limit_blas()
