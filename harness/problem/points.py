"""Point: parameters theta of a problem, and what is computed from them once.

Wherever it comes from: the limit of a flow, or numbers that somebody brings.  The oracles read nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.problem.evaluation import evaluate, signs_of
from harness.problem.kkt import Kink, kkt
from harness.problem.problems import Problem


@dataclass(frozen=True)
class Point:
    """theta scaled to min_i q_i = 1: one float64 vector a layer; parameters that are zero are exactly 0.0.

    value: 1/2 ||theta||^2.  margins: q_i, (n,).  multipliers: lambda_i, (n,), one choice.
    residual: the KKT residual of docs/statements.md, section 4.
    signs: per hidden layer an int8 array (n, width): the sign of each pre-activation, 0 where it is zero.
    doubt: a sentence where zeros could not be told from tiny numbers, else ""; verdicts are then undecided.
    """

    problem: Problem
    theta: tuple[np.ndarray, ...]
    value: float
    margins: np.ndarray
    multipliers: np.ndarray
    residual: float
    kinks: tuple[Kink, ...]
    signs: tuple[np.ndarray, ...]
    doubt: str = ""

    @property
    def zeros(self) -> list[list[int]]:
        """For each layer the indices of the parameters that are exactly zero."""
        return [[k for k, value in enumerate(u) if value == 0.0] for u in self.theta]

    @classmethod
    def at(cls, problem: Problem, theta: Sequence[Sequence[float]], doubt: str = "") -> Point:
        """The direction of theta (one row a layer, in floats), scaled to a least margin of 1.

        Pre-activations below 1e-9 of the norms that bound them count as zero.  Raises FieldError for a wrong shape or
        number, ValueError where theta does not separate the data in floats, or where the subdifferential has no
        independent coefficients.
        """
        network = problem.network
        vectors = [np.array([float(a) for a in u]) for u in problem.rows_of_theta(theta, "theta")]
        signs = tuple(signs_of(network, vectors, problem.x_float))
        gates = [sign > 0 for sign in signs]
        margins = problem.y_float * evaluate(network, vectors, problem.x_float, gates).outputs
        least = float(margins.min())
        if not 0.0 < least < np.inf or not all(np.isfinite(u * u).all() for u in vectors):
            raise ValueError("theta does not separate the data, or is beyond the floats")
        found = kkt(network, problem.x_float, problem.y_float, vectors, signs)
        scaled = tuple(u * least ** (-1.0 / network.depth) for u in vectors)
        value = 0.5 * sum(float(u @ u) for u in scaled)
        return cls(
            problem, scaled, value, margins / least, found.multipliers, found.residual, found.kinks, signs, doubt
        )
