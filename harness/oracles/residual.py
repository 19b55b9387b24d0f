"""The KKT residual of a point, computed anew and not taken from it."""

from __future__ import annotations

import numpy as np

from harness.problem.kkt import kkt
from harness.problem.points import Point

# A pre-activation below this, relative to the norms of its weights and inputs, is rounding, and its sign is what the
# point says it is.
ROUNDING = 1e-9


def residual_of(point: Point) -> float | None:
    """That of the best multipliers, so a large one disproves a KKT point, and a small one, attained, proves it.

    None at a kink where the subdifferential has no independent coefficients.
    """
    problem = point.problem
    try:
        return kkt(problem.network, problem.x_float, problem.y_float, point.theta, checked_signs(point)).residual
    except ValueError:
        return None


def checked_signs(point: Point) -> list[np.ndarray]:
    """The point's signs where its pre-activations are rounding, else the signs that these have.

    One int8 array (n, width) a hidden layer.
    """
    # Layer by layer, not by evaluate(): the sign that is settled here is the gate for the next layer.
    network, h = point.problem.network, point.problem.x_float
    checked: list[np.ndarray] = []
    for matrix, stated in zip(network.matrices(point.theta), point.signs, strict=False):
        a = h @ matrix.T
        size = np.linalg.norm(h, axis=1)[:, None] * np.linalg.norm(matrix, axis=1)[None, :]
        checked.append(np.where(np.abs(a) <= ROUNDING * size, stated, np.sign(a)).astype(np.int8))
        h = np.where(checked[-1] > 0, a, 0.0) if network.activation == "relu" else a
    return checked
