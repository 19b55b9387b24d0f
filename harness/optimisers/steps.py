"""Step sizes: a constant, or a power of the time."""

from __future__ import annotations

import math
from dataclasses import dataclass

from harness.problem.fields import FieldError


@dataclass(frozen=True)
class Steps:
    """eta_t = size (t + 2)^-decay for t = 0, 1, ...; a constant where decay is 0.  Raises FieldError."""

    size: float = 0.1
    decay: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.size) and self.size > 0.0):
            raise FieldError("step-size", "expected a number above 0")
        if not (math.isfinite(self.decay) and self.decay >= 0.0):
            raise FieldError("decay", "expected a number that is not negative")

    def __call__(self, t: int) -> float:
        return self.size if self.decay == 0.0 else self.size * (t + 2.0) ** -self.decay

    @classmethod
    def of(cls, given: Steps | float) -> Steps:
        """A number is a constant step."""
        return given if isinstance(given, Steps) else cls(float(given))
