"""KKT points of the margin problem in a norm: minimise 1/2 N(theta)^2 with all q_i >= 1.

theta with least margin 1 is one if some G = sum_i lambda_i g_i, lambda >= 0 and g_i in the Clarke hull of q_i, has
<G, theta> = N(theta)^2, N*(G) = N(theta) and lambda_i (q_i - 1) = 0.  With m the degree, <G, theta> = m sum lambda_i
q_i is at most N*(G) N(theta), so for N*(G) = 1 always m sum lambda_i <= N(theta), with equality at a KKT point alone.
The most that sum lambda_i can be is 1 / gamma_N of the gradients, each vertex of a hull being one of them.  So

    residual = 1 - m / (N(theta) gamma_N(gradients)),      between 0 and 1,

and it is 0 where theta itself is a direction of largest margin for the linear classifier that the network is next to
theta.  Along the steepest flow of N, log(log(1/L) / N^m) rises by at least m residual / (1 - residual) d log N once the
data are separated: the slope of log(1/L) is N*(sum_i p_i g_i) >= gamma_N, and min q_i >= log(1/L).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from harness.optimisers.margins import solved
from harness.optimisers.norms import Norm
from harness.problem.clarke import hull
from harness.problem.evaluation import evaluate
from harness.problem.networks import Network
from harness.problem.problems import Problem


def residual(problem: Problem, theta: np.ndarray, norm: Norm, near: float = 0.0) -> tuple[float, float]:
    """Bounds from below and above of the residual of a direction theta (N,), in floats; 1 where it does not separate.

    near: a pre-activation within this of zero, relative to what bounds it, is a kink.  Raises ValueError where the
    gates next to theta are too many or not known (clarke.py).
    """
    network = problem.network
    layers = network.split(theta)
    at = evaluate(network, layers, problem.inputs)
    least = float(at.margins(problem.seeds).min())
    if least <= 0.0:
        return 1.0, 1.0
    gradients = at.backward(problem.seeds)[0]
    kinks = _kinks(network, layers, problem.inputs, near) if network.kinked else []
    several = [i for i in range(len(gradients)) if any((sign[i] == 0).any() for sign in kinks)]
    hulls = [
        hull(network, problem.inputs[i], problem.seeds[i], layers, [s[i] for s in kinks]).gradients for i in several
    ]
    rows = np.vstack([gradients, *hulls]) / least
    u, weights = solved(rows, norm)
    weights = np.maximum(weights, 0.0)
    below, above = (rows @ u).min() / norm(u), norm.dual(weights @ rows) / weights.sum()
    own = network.degree / float(norm(theta))
    return max(0.0, float(1.0 - own / below)), max(0.0, float(1.0 - own / above))


def _kinks(network: Network, layers: Sequence[np.ndarray], x: np.ndarray, near: float) -> list[np.ndarray]:
    """The signs of the hidden pre-activations, 0 within `near` of a kink."""

    def signs() -> Iterator[np.ndarray]:
        at = evaluate(network, layers, x)
        for a, h, matrix in zip(at.preactivations[:-1], at.inputs, at.matrices, strict=False):
            size = np.linalg.norm(h, axis=1)[:, None] * np.linalg.norm(matrix, axis=1)[None, :]
            yield np.where(np.abs(a) <= near * size, 0, np.sign(a)).astype(np.int8)

    return list(signs())
