"""What the trainer returns: the limit of a gradient flow as plain data.

A Limit does not raise because the flow did not converge: it carries a status and a sentence.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from harness.problem.instances import Instance
from harness.problem.later import later
from harness.problem.points import Point

Status = Literal["converged", "never_separates", "undecided"]


@dataclass(frozen=True)
class Limit:
    """Where the direction of a flow goes.

    point: the limit; None unless status is "converged".
    status: "converged" in direction; "never_separates", proven: never are all margins positive; "undecided", for the
    reason that is given, also where the flow is not unique.
    log_norm: log ||theta(t)|| that the flow reached, None if it never started.  evidence: rows (log-norm, distance of
    the flow's direction to the limit), the case for convergence.
    events: what happened at kinks, in order: "log_norm", "sample" from 0, "layer" and "neuron" from 1, and "gate":
    "on", "off" or "sliding".
    held: whether an exact invariance (zeros, ties, balance, a rational rotation of them) keeps the flow in a subspace
    from its start on that is smaller than that of other starts with its gates, or a small neuron on its ray, or a
    neuron of a relu network sleeps on a kink of the start; another start, however near, may then have another limit.
    path: what was recorded of T steps, None unless it was asked for: "log_norm" (T,), "sigma" (T,), the time of the
    flow, "direction" (T, N), theta / ||theta||, and "booked" (T,): the softmax is the one at log_norm - booked.
    """

    instance: Instance
    status: Status
    reason: str
    point: Point | None = None
    log_norm: float | None = None
    events: tuple[dict[str, Any], ...] = ()
    evidence: tuple[tuple[float, float], ...] = ()
    held: bool = False
    path: dict[str, np.ndarray] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if (self.point is None) == (self.status == "converged"):
            raise ValueError("a limit has a point if and only if the flow converged")

    def plot(self) -> Any:
        """A matplotlib figure: that of the point, and the recorded path."""
        return later("harness.report.plots", "plot_limit", self)

    def __str__(self) -> str:
        return later("harness.show.people", "limit_text", self)

    def _repr_html_(self) -> str:
        return later("harness.show.notebook", "limit_html", self)

    @property
    def theta(self) -> tuple[np.ndarray, ...] | None:
        """That of the point."""
        return self.point.theta if self.point else None

    @property
    def value(self) -> float | None:
        """That of the point."""
        return self.point.value if self.point else None
