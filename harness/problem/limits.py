"""What the trainer returns: the limit of a gradient flow as plain data.

A Limit does not raise because the flow did not converge: it carries a status and a sentence.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from harness.problem.instances import Instance

Status = Literal["converged", "never_separates", "undecided"]


@dataclass(frozen=True)
class Kink:
    """A hidden pre-activation that is exactly zero in the limit.

    sample counts from 0, layer and neuron from 1; coefficient is one choice of the Clarke
    coefficient in [0, 1] with which the KKT conditions hold.
    """

    sample: int
    layer: int
    neuron: int
    coefficient: float


@dataclass(frozen=True)
class Limit:
    """The limit direction of the flow, scaled to min_i q_i = 1.

    theta: one float64 vector a layer; parameters that are zero in the limit are exactly 0.0.
    value: 1/2 ||theta||^2.  margins: q_i, shape (n,).  multipliers: lambda_i, one choice.
    residual: the KKT residual of docs/statements.md, section 4.
    signs: per hidden layer an int8 array (n, width): the sign of each pre-activation, 0 where it is zero.
    doubt: a sentence when zeros could not be told from tiny numbers; verdicts are then undecided.
    log_norm: log ||theta(t)|| that the flow reached.  events: what happened at kinks, in order.
    evidence: rows (log-norm, distance of the flow's direction to the limit), the case for convergence.
    held: whether an exact invariance (zeros, ties, balance, a rational rotation of them) keeps the flow in a subspace
    from its start on; another start, however near, may then have another limit.
    Everything from theta to evidence is None or empty unless status is "converged".
    """

    instance: Instance
    status: Status
    reason: str
    theta: tuple[np.ndarray, ...] | None = None
    value: float | None = None
    margins: np.ndarray | None = None
    multipliers: np.ndarray | None = None
    residual: float | None = None
    kinks: tuple[Kink, ...] = ()
    signs: tuple[np.ndarray, ...] | None = None
    doubt: str | None = None
    log_norm: float | None = None
    events: tuple[dict[str, Any], ...] = ()
    evidence: tuple[tuple[float, float], ...] = ()
    held: bool = False
    path: dict[str, np.ndarray] | None = field(default=None, compare=False)

    @property
    def zeros(self) -> list[list[int]]:
        """For each layer the indices of the parameters that are exactly zero in the limit."""
        assert self.theta is not None
        return [[k for k, value in enumerate(u) if value == 0.0] for u in self.theta]
