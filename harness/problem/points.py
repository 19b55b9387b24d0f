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
    """theta scaled to a least margin of 1: one float64 vector a layer; parameters that are zero are exactly 0.0.

    The fixed layers stand in it as they are.
    value: 1/2 ||theta||^2 over the trained ones.  margins, multipliers: q and lambda of every row of the problem, (R,),
    lambda being one choice.
    residual: the KKT residual of docs/statements.md, section 4.
    signs: per hidden layer an int8 array (R, width): the sign of each pre-activation, 0 where it is zero.
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
        """For each layer the indices of the parameters that are exactly zero; none of a fixed one."""
        return [
            [k for k, value in enumerate(u) if value == 0.0] if own else []
            for u, own in zip(self.theta, self.problem.network.trained, strict=True)
        ]

    @classmethod
    def at(cls, problem: Problem, theta: Sequence[Sequence[float]], doubt: str = "") -> Point:
        """The direction of theta (one row a layer, in floats), scaled to a least margin of 1.

        Pre-activations below 1e-9 of the norms that bound them count as zero.  Raises FieldError for a wrong shape or
        number, ValueError where theta does not separate the data in floats, or where the subdifferential has no
        independent coefficients.
        """
        network = problem.network
        vectors = [np.array([float(a) for a in u]) for u in problem.rows_of_theta(theta, "theta")]
        signs = tuple(signs_of(network, vectors, problem.inputs))
        gates = [sign > 0 for sign in signs]
        margins = evaluate(network, vectors, problem.inputs, gates).margins(problem.seeds)
        least = float(margins.min())
        if not 0.0 < least < np.inf or not all(np.isfinite(u * u).all() for u in vectors):
            raise ValueError("theta does not separate the data, or is beyond the floats")
        found = kkt(network, problem.inputs, problem.seeds, vectors, signs)
        scaled = tuple(network.scaled(vectors, least ** (-1.0 / network.degree)))
        value, q = network.value(scaled), margins / least
        return cls(problem, scaled, value, q, found.multipliers, found.residual, found.kinks, signs, doubt)
