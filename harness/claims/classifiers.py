"""How far an optimiser lowers the exponential loss of a linear classifier: floors that hold after every step.

Let L = sum_i exp(-z_i . w), p_i = exp(-z_i . w) / L, g = sum_i p_i z_i, which is -grad log L, N a norm, and B the
largest N*(z_i).  For a step of w by D (Hoeffding's lemma: z_i . D lies within B N(D) of zero)

    log(1/L(w + D)) >= log(1/L(w)) + g . D - (B^2/2) N(D)^2,      N*(g) >= gamma_N.

So what a method guarantees of g . D is a floor, log(1/L(w_T)) >= log(1/L(w_t)) + gamma_N length - lost, and with
N(w_T) <= N(w_t) + length the margin min_i z_i . w_T / N(w_T) has one, too.  It is compared in rationals
(harness.certificates.progress), gamma_N being between two.

Rounding.  With u = 2^-53 and Q the largest sum_k abs(z_ik w_k), a margin is off by at most (N + 1) u Q in floats, so
the p_i by a share of 2 (N + 1) u Q + (n + 6) u (1 + Q), less than rho = 4 (N + n + 8) u (1 + Q).  So a step D misses
g . D by less than 8 rho B N(D), and w + D is rounded by 2 u (abs(w_k) + N(D)) a coordinate.  Four times that is
`slack`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from harness.certificates.margins import norm_down, norm_up
from harness.certificates.progress import gained
from harness.problem.numbers import Vector, squared_norm
from harness.problem.predicates import signed

if TYPE_CHECKING:
    from harness.optimisers import Training
    from harness.optimisers.margins import MaxMargin
    from harness.optimisers.norms import Norm

UNIT = 2.0**-53


@dataclass(frozen=True)
class Course:
    """A training of a linear classifier with all its steps, seen in a norm."""

    training: Training
    norm: Norm

    @cached_property
    def rows(self) -> list[Vector]:
        """The z_i, exactly."""
        return [tuple(row) for row in signed(self.training.instance.problem)]

    @cached_property
    def z(self) -> np.ndarray:
        """The z_i in floats, (n, N)."""
        return np.array(self.rows, dtype=float)

    @cached_property
    def gamma(self) -> MaxMargin:
        """Bounds of gamma_N."""
        from harness.optimisers.margins import max_margin

        return max_margin(self.training.instance.problem, self.norm)

    @cached_property
    def reach(self) -> Fraction:
        """B^2, rounded up where it is no rational."""
        if self.norm.p == 2:
            return max(map(squared_norm, self.rows))
        return max(norm_up(row, self.norm.dual.p) for row in self.rows) ** 2

    @cached_property
    def steps(self) -> np.ndarray:
        """N(w_(t+1) - w_t), (T,)."""
        return self.norm(np.diff(self.training.theta, axis=0))

    @cached_property
    def shares(self) -> np.ndarray:
        """The share by which the p_i may be off after every step, (T + 1,)."""
        n, size = self.z.shape
        sums = (np.abs(self.training.theta) @ np.abs(self.z).T).max(axis=1)
        return 4.0 * (size + n + 8) * UNIT * (1.0 + sums)

    @property
    def rho(self) -> np.ndarray:
        """The same before every step, (T,)."""
        return self.shares[:-1]

    @cached_property
    def astray(self) -> np.ndarray:
        """By how much, in the norm, every step may be another than the method's because of rounding, (T,)."""
        size = self.z.shape[1]
        largest = np.abs(self.training.theta[:-1]).max(axis=1)
        return 8.0 * self.rho * self.steps + 4.0 * UNIT * size * (largest + self.steps)

    @cached_property
    def slack(self) -> np.ndarray:
        """By how much log(1/L) may be lower because of rounding after so many steps, (T + 1,)."""
        b = float(self.reach) ** 0.5
        return 4.0 * sums(b * (1.0 + b * self.steps) * self.astray)

    def exact(self, step: int) -> Vector:
        """w after so many steps, exactly."""
        return tuple(Fraction(float(a)) for a in self.training.theta[step])

    def above(self, length: np.ndarray, lost: np.ndarray, at: Sequence[int], first: int = 0) -> list[bool | None]:
        """Whether log(1/L(w_T)) >= log(1/L(w_first)) + gamma_N length - lost up to rounding, for every T of `at`.

        length, lost: their sums after every step, from the start on, (T + 1,); what they are since `first` counts.
        """
        answers: list[bool | None] = []
        start = self.exact(first)
        for step in at:
            run, fell = Fraction(float(length[step] - length[first])), Fraction(float(lost[step] - lost[first]))
            # the sums are of floats
            rounded = 2.0 * len(length) * UNIT * (float(self.gamma.above) * length[step] + lost[step])
            fell += Fraction(float(self.slack[step] - self.slack[first] + rounded))
            w = self.exact(step)
            if gained(self.rows, start, w, self.gamma.above * run - fell):
                answers.append(True)
            else:
                answers.append(False if gained(self.rows, start, w, self.gamma.below * run - fell) is False else None)
        return answers

    def within(self, length: np.ndarray, at: Sequence[int]) -> list[bool | None]:
        """Whether N(w_T) <= N(w_0) + length up to rounding, for every T of `at`; length as for `above`."""
        p, start = self.norm.p, self.exact(0)
        astray = sums(self.astray) + 2.0 * len(length) * UNIT * length
        answers: list[bool | None] = []
        for step in at:
            w, more = self.exact(step), Fraction(float(length[step] + astray[step]))
            if norm_up(w, p) <= norm_down(start, p) + more:
                answers.append(True)
            else:
                answers.append(False if norm_down(w, p) > norm_up(start, p) + more else None)
        return answers

    def promised(self, length: np.ndarray, lost: np.ndarray, first: int = 0) -> float:
        """What the floor of `above` says of the margin min_i z_i . w_T / N(w_T) at the end, as a share of gamma_N."""
        gamma, run = float(self.gamma.below), length[-1] - length[first]
        floor = gamma * run - (lost[-1] - lost[first]) - self.slack[-1] - self.training.log_loss[first]
        return float(floor / (gamma * self.norm(self.training.theta[-1])))


def sums(parts: np.ndarray) -> np.ndarray:
    """0, and the sums of the first 1, 2, ... parts."""
    return np.concatenate([[0.0], np.cumsum(parts)])
