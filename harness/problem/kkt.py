"""The KKT residual of a direction, with multipliers and Clarke coefficients that attain it.

A point theta with min_i q_i = 1 is a KKT point of the margin problem (minimise 1/2 ||theta||^2 subject to
q_i >= 1) if theta = sum_i lambda_i y_i g_i with lambda_i >= 0, lambda_i (q_i - 1) = 0 and g_i in the Clarke
subdifferential of Phi(.; x_i).  The residual is the least over lambda and g of

    ||theta - sum_i lambda_i y_i g_i|| / ||theta||  +  sum_i lambda_i (q_i - 1) / ||theta||^2.

What is returned is attained by the lambda and g returned with it, so it is an upper bound of that least value.
Lambda is supported on the samples of smallest margin; every such set is tried until one is exact.

The subdifferential is the hull of the gradients over the adjacent gate patterns that can be realised: sample i has
the generators lambda_i times its gradient under each pattern, and nonnegative least squares picks.  At depth 2
without shared weights the patterns are all on/off choices of the sample's kinks and the gradient is affine in them, so
that coefficients do instead; elsewhere clarke.py lists the patterns.
Source: Lyu & Li, arXiv:1906.05890, for the definition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import lsq_linear, nnls

from harness.problem.clarke import hull
from harness.problem.evaluation import evaluate
from harness.problem.networks import Network
from harness.tools.threads import limit_blas

_EXACT = 1e-11
_MOST_REPEATED = 40  # far more than it takes


@dataclass(frozen=True)
class Kink:
    """A hidden pre-activation that is exactly zero at the point.

    sample counts from 0, and with several outputs it is the row of the margin; layer and neuron count from 1.
    coefficient is one choice of the Clarke coefficient, between the two slopes, with which the KKT conditions hold.
    """

    sample: int
    layer: int
    neuron: int
    coefficient: float

    def as_json(self) -> dict[str, int | float]:
        """As records have it, by the row of the margin."""
        return {
            "sample": int(self.sample),
            "layer": int(self.layer),
            "neuron": int(self.neuron),
            "coefficient": float(self.coefficient),
        }


@dataclass(frozen=True)
class Kkt:
    """residual: see the top of this file; infinite where some q_i <= 0.

    multipliers: lambda_i, shape (n,), for theta scaled to min q = 1.
    kinks: every hidden pre-activation with sign 0 (relu), with its Clarke coefficient.
    """

    residual: float
    multipliers: np.ndarray
    kinks: tuple[Kink, ...]


def kkt(
    network: Network,
    x: np.ndarray,
    seeds: np.ndarray,
    theta: Sequence[np.ndarray],
    signs: Sequence[np.ndarray] | None = None,
) -> Kkt:
    """The KKT residual of theta's direction.

    x: (n, d).  seeds: (n, K), as of Problem.  theta: one vector a layer, the trained ones of any positive scale.
    signs: a hidden layer each, (n, width): -1, 0, 1, the sign of each pre-activation; None takes the signs of
    the floats as they are.  Linear networks ignore it.
    Raises ValueError where the gate patterns next to theta are too many or not known (clarke.py): never at depth 2
    without shared weights.
    """
    kinked = network.kinked
    at = evaluate(network, theta, x, [np.asarray(s) > 0 for s in signs] if kinked and signs is not None else None)
    gates = [np.sign(a) for a in at.preactivations[:-1]] if signs is None else [np.asarray(s) for s in signs]
    q = at.margins(seeds)
    gradients, heights = at.backward(seeds)
    lowest = q.min()
    if not lowest > 0.0:
        return Kkt(np.inf, np.zeros(len(q)), ())
    scale = lowest ** (-1.0 / network.degree)
    scaled = network.scaled(theta, scale)
    flat = network.flat(scaled)
    gradients = gradients * scale ** (network.degree - 1)
    norm = float(np.sqrt(flat @ flat))
    excess = q / lowest - 1.0
    if kinked and (network.depth > 2 or network.shared) and any((gate == 0).any() for gate in gates):
        return _over_hulls(network, x, seeds, scaled, gates, excess)
    kinks = _kinks(network, x, gates[0], heights[0] * scale ** sum(network.trained[1:])) if kinked else []

    moving: list[list[np.ndarray]] = [[] for _ in q]
    for _, sample, _, column in kinks:
        if column is not None:
            moving[sample].append(column)
    best: tuple[float, np.ndarray, list[np.ndarray]] | None = None
    order = np.argsort(excess, kind="stable")
    for count in _prefixes(excess[order]):
        chosen = order[:count]
        weights, portions, gap = fit(flat, gradients[chosen], [moving[i] for i in chosen])
        multipliers = np.zeros(len(q))
        multipliers[chosen] = weights
        residual = gap / norm + float(multipliers @ excess) / norm**2
        if best is None or residual < best[0]:
            parts: list[np.ndarray] = [np.zeros(len(m)) for m in moving]
            for i, portion in zip(chosen, portions, strict=True):
                parts[i] = portion
            best = residual, multipliers, parts
        if best[0] < _EXACT:
            break
    assert best is not None
    residual, multipliers, parts = best
    iterators = [iter(part) for part in parts]
    found = tuple(
        Kink(sample, layer, neuron, between(network, 0.0 if column is None else float(next(iterators[sample]))))
        for layer, sample, neuron, column in kinks
    )
    return Kkt(float(residual), multipliers, found)


def _over_hulls(
    network: Network,
    x: np.ndarray,
    seeds: np.ndarray,
    theta: Sequence[np.ndarray],
    gates: Sequence[np.ndarray],
    excess: np.ndarray,
) -> Kkt:
    """The same where coefficients depend on each other; theta is scaled to min q = 1."""
    hulls = [hull(network, x[i], seeds[i], theta, [gate[i] for gate in gates]) for i in range(len(x))]
    flat = network.flat(theta)
    norm = float(np.sqrt(flat @ flat))
    owner = np.repeat(np.arange(len(x)), [len(h.gates) for h in hulls])
    gradients = np.concatenate([h.gradients for h in hulls])
    best, chosen = np.inf, np.zeros(len(owner))
    order = np.argsort(excess, kind="stable")
    for count in _prefixes(excess[order]):
        allowed = np.isin(owner, order[:count])
        weights = np.zeros(len(owner))
        weights[allowed], gap = _nnls(gradients[allowed].T, flat)
        residual = gap / norm + float(weights @ excess[owner]) / norm**2
        if residual < best:
            best, chosen = residual, weights
        if best < _EXACT:
            break
    multipliers = np.bincount(owner, chosen, len(x))
    kinks: list[Kink] = []
    for i, found in enumerate(hulls):
        share = chosen[owner == i] @ found.gates
        for (layer, neuron), on in zip(found.kinks, share.tolist(), strict=True):
            coefficient = on / multipliers[i] if multipliers[i] > 0.0 else 0.0
            kinks.append(Kink(i, layer + 1, neuron + 1, between(network, float(min(coefficient, 1.0)))))
    kinks.sort(key=lambda kink: (kink.layer, kink.sample, kink.neuron))
    return Kkt(float(best), multipliers, tuple(kinks))


def between(network: Network, share: float) -> float:
    """The Clarke coefficient of a share in [0, 1] of the positive side."""
    below = float(network.slope)
    return below + (1.0 - below) * share


def _prefixes(excess: np.ndarray) -> list[int]:
    """How many of the sorted samples to allow: first all that tie with the smallest margin, then one more each."""
    tied = int(np.searchsorted(excess, 1e-9, side="right"))
    return list(range(tied, len(excess) + 1)) + list(range(1, tied))


def fit(
    target: np.ndarray, gradients: np.ndarray, moving: list[list[np.ndarray]]
) -> tuple[np.ndarray, list[np.ndarray], float]:
    """Least squares of target over lambda_i (gradient_i + sum_r c_ir moving_ir), lambda >= 0, c in [0, 1].

    gradients: (m, P).  Returns lambda (m,), the coefficients c of each sample, and the distance left.

    Convex in lambda_i and mu_ir = lambda_i c_ir: nonnegative least squares with a slack for each mu_ir <= lambda_i, and
    weighted equations for these.  They hold at once where no distance is left; else their multipliers are found by a
    few repetitions (the augmented Lagrangian: M. J. D. Powell, in R. Fletcher, Optimization, 1969).
    """
    if not any(moving):
        weights, gap = _nnls(gradients.T, target)
        return weights, [np.zeros(0)] * len(moving), gap
    counts = [len(own) for own in moving]
    owner = np.repeat(np.arange(len(moving)), counts)
    columns = np.array([column for own in moving for column in own])
    one = np.eye(len(owner))
    links = np.hstack([np.eye(len(moving))[owner], -one, -one])
    weight = 10.0 * np.sqrt((columns * columns).sum(axis=1).max())
    fitted = np.hstack([gradients.T, columns.T, np.zeros((len(target), len(owner)))])
    matrix = np.vstack([fitted, weight * links])
    portions, shift = np.zeros(len(owner)), np.zeros(len(owner))
    for _ in range(_MOST_REPEATED):
        found, _ = _nnls(matrix, np.append(target, weight * shift))
        multipliers, shares = found[: len(moving)], found[len(moving) : len(moving) + len(owner)]
        held = multipliers[owner]
        portions = np.where(held > 0.0, np.minimum(shares / np.where(held > 0.0, held, 1.0), 1.0), 0.0)
        broken = links @ found
        if np.abs(broken).max() <= 1e-14 * multipliers.max():
            break
        shift -= broken
    combined = gradients.copy()
    np.add.at(combined, owner, portions[:, None] * columns)
    weights, gap = _nnls(combined.T, target)
    return weights, np.split(portions, np.cumsum(counts)[:-1]), gap


def _nnls(matrix: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, float]:
    """Nonnegative least squares: the weights and the distance left."""
    try:
        weights, _ = nnls(matrix, target)
    except RuntimeError:
        # The active set cycled, which rounding can cause where columns are nearly dependent.
        weights = np.maximum(lsq_linear(matrix, target, (0.0, np.inf)).x, 0.0)
    return weights, float(np.linalg.norm(matrix @ weights - target))


def _kinks(
    network: Network, x: np.ndarray, gate: np.ndarray, slopes: np.ndarray
) -> list[tuple[int, int, int, np.ndarray | None]]:
    """Every zero pre-activation at depth 2 without shared weights.

    Layer and neuron from 1, sample, and what its positive side adds to dq_i/dtheta beyond the negative one; None where
    that is zero (a dead neuron, a neuron without incoming weights that are trained).
    gate, slopes = dq/d(activation): (n, width).
    """
    found: list[tuple[int, int, int, np.ndarray | None]] = []
    size, jump = network.size, 1.0 - float(network.slope)
    table = network.tables[0]
    for i, j in np.argwhere(gate == 0).tolist():
        row = table[j]
        present = row >= 0
        column = None
        if slopes[i, j] and network.trained[0] and present.any() and x[i][present].any():
            column = np.zeros(size)
            column[row[present]] = jump * slopes[i, j] * x[i][present]
        found.append((1, i, j + 1, column))
    return found


limit_blas()
