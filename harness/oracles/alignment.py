"""How far a point of a linear network is from aligned layers that multiply to the hard-margin SVM's direction."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from harness.oracles.least_distance import least_norm
from harness.problem.points import Point


def misalignment(point: Point) -> float | None:
    """The largest of the angles between the directions and of the matrices' other singular values (to the first).

    Zero where every W^l has rank one, its direction is the next one's, and their product is the hard-margin SVM's; None
    where that is not found, with several outputs or fixed layers; infinite where a layer is zero.
    """
    problem = point.problem
    if problem.network.outputs > 1 or problem.network.degree < problem.network.depth:
        return None
    svm = least_norm(problem.y_float[:, None] * problem.x_float, np.ones(problem.n))
    if svm is None or svm.z is None:
        return None
    matrices = problem.network.matrices(point.theta)
    if any(not w.any() for w in matrices):
        return np.inf
    factors = [np.linalg.svd(w) for w in matrices]
    off = [float(values[1:].max(initial=0.0) / values[0]) for _, values, _ in factors]
    # the direction that leaves a layer against the one that the next layer reads
    off += [_sine(left[:, 0], right[0]) for (left, _, _), (_, _, right) in pairwise(factors)]
    predictor = matrices[0]
    for w in matrices[1:]:
        predictor = w @ predictor
    off.append(_sine(predictor[0], svm.z) if predictor[0] @ svm.z > 0.0 else 1.0)
    return max(off)


def _sine(a: np.ndarray, b: np.ndarray) -> float:
    """Of the angle between the lines of two vectors."""
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    return float(np.linalg.norm(a - (a @ b) * b))
