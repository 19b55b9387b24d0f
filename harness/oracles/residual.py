"""The KKT residual of a point, computed anew and not taken from it."""

from __future__ import annotations

from harness.problem.evaluation import signs_of
from harness.problem.kkt import kkt
from harness.problem.points import Point


def residual_of(point: Point) -> float | None:
    """That of the best multipliers, so a large one disproves a KKT point, and a small one, attained, proves it.

    None at a kink where the subdifferential has no independent coefficients.
    """
    problem = point.problem
    signs = signs_of(problem.network, point.theta, problem.inputs, point.signs)
    try:
        return kkt(problem.network, problem.inputs, problem.seeds, point.theta, signs).residual
    except ValueError:
        return None
