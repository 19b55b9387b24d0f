"""The norms that optimisers descend in, and their duals: those of l_p, with p from 1 to infinity."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from harness.problem.fields import FieldError


@dataclass(frozen=True)
class Norm:
    """N(u) = (sum_k abs(u_k)^p)^(1/p).  p: a rational from 1 on; None for the largest abs(u_k).  Raises FieldError."""

    p: Fraction | None

    def __post_init__(self) -> None:
        if self.p is not None and self.p < 1:
            raise FieldError("p", "expected a number from 1 on")

    def __str__(self) -> str:
        return f"l_{'inf' if self.p is None else self.p}"

    def __call__(self, u: np.ndarray) -> np.ndarray:
        """N of the last axis of u (..., N)."""
        return np.linalg.norm(u, ord=np.inf if self.p is None else float(self.p), axis=-1)

    @property
    def dual(self) -> Norm:
        """N*(g) = the largest g . u over N(u) <= 1: that of q with 1/p + 1/q = 1."""
        if self.p is None:
            return L1
        return LINF if self.p == 1 else Norm(self.p / (self.p - 1))

    def steepest(self, g: np.ndarray) -> np.ndarray:
        """A u with N(u) <= 1 and g . u = N*(g): (N,) from g (N,); zero where g is."""
        if not g.any():
            return np.zeros_like(g)
        if self.p is None:
            return np.sign(g)
        if self.p == 1:
            k = int(np.abs(g).argmax())
            return np.where(np.arange(len(g)) == k, np.sign(g), 0.0)
        power = np.sign(g) * (np.abs(g) / np.abs(g).max()) ** (1.0 / float(self.p - 1))
        return power / self(power)


L1, L2, LINF = Norm(Fraction(1)), Norm(Fraction(2)), Norm(None)
