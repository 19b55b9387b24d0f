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

Only scalar products count.  With many parameters the vectors are therefore replaced by the columns of the triangle of a
QR factorisation, found some parameters at a time, so that the gradients need not be kept; and with many samples not
every set of smallest margins is tried.
Source: Lyu & Li, arXiv:1906.05890, for the definition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import lsq_linear, nnls

from harness.problem.clarke import hull, single, with_patterns
from harness.problem.evaluation import Evaluation, evaluate
from harness.problem.networks import Network
from harness.problem.places import Kink, Place
from harness.tools.threads import limit_blas

_EXACT = 1e-11
_MOST_REPEATED = 40  # far more than it takes
_MANY = 2000  # parameters, from which on vectors are replaced by those of a triangle
_EVERY = 64  # samples, up to which every number of least margins is tried; beyond, growing ones
_MOST_ROWS = 512  # of least margin, that multipliers are tried for: their least squares take a second
_PART, _MOST_NUMBERS = 2**22, 2**28  # of gradients at a time, and in all where kinks need them all


@dataclass(frozen=True)
class Kkt:
    """residual: see the top of this file; infinite where some q_i <= 0.

    multipliers: lambda_i, shape (n,), for theta scaled to min q = 1.
    kinks: every hidden pre-activation with sign 0 (relu), with its Clarke coefficient.
    pull: sum_i lambda_i y_i g_i, (N,), for theta scaled so.
    """

    residual: float
    multipliers: np.ndarray
    kinks: tuple[Kink, ...]
    pull: np.ndarray


def kkt(
    network: Network,
    x: np.ndarray,
    seeds: np.ndarray,
    theta: Sequence[np.ndarray],
    signs: Sequence[np.ndarray] | None = None,
    within: float = np.inf,
) -> Kkt:
    """The KKT residual of theta's direction.

    x: (n, d).  seeds: (n, K), as of Problem.  theta: one vector a layer, the trained ones of any positive scale.
    signs: a hidden layer each, (n, width): -1, 0, 1, the sign of each pre-activation; None takes the signs of
    the floats as they are.  Linear networks ignore it.
    within: only margins that exceed the least by at most this share of it are given multipliers.
    Raises ValueError where the gate patterns next to theta are too many or not known (clarke.py): never at depth 2
    without shared weights.
    """
    kinked = network.kinked
    at = evaluate(network, theta, x, [np.asarray(s) > 0 for s in signs] if kinked and signs is not None else None)
    gates = [np.sign(a) for a in at.preactivations[:-1]] if signs is None else [np.asarray(s) for s in signs]
    q = at.margins(seeds)
    lowest = q.min()
    if not lowest > 0.0:
        return Kkt(np.inf, np.zeros(len(q)), (), np.zeros(network.size))
    scale = lowest ** (-1.0 / network.degree)
    scaled = network.scaled(theta, scale)
    flat = network.flat(scaled)
    norm = float(np.sqrt(flat @ flat))
    excess = q / lowest - 1.0
    order = _least(excess, within)
    apart = network.depth == 2 and not network.shared
    if kinked and not apart:
        several = with_patterns(network, at.inputs, at.matrices, gates)
        if several.any():
            return _over_hulls(network, x, seeds, scaled, gates, excess, several, within)
    kinks = _kinks(network, x, gates, at.heights(seeds)[0] * scale ** sum(network.trained[1:])) if kinked else []
    held = any(column is not None for _, column in kinks)
    target, gradients = _vectors(at, seeds, order, flat, scale ** (network.degree - 1), whole=held)

    moving: list[list[np.ndarray]] = [[] for _ in q]
    for place, column in kinks:
        if column is not None:
            moving[place.sample].append(column)
    residual, multipliers, parts = _best_fit(target, gradients, moving, excess, order, norm)
    iterators = [iter(part) for part in parts]
    found = tuple(
        Kink(place, between(network, 0.0 if column is None else float(next(iterators[place.sample]))))
        for place, column in kinks
    )
    pull = network.flat(at.gradient_of_sum(multipliers[:, None] * seeds)) * scale ** (network.degree - 1)
    for own, part, weight in zip(moving, parts, multipliers, strict=True):
        for column, share in zip(own, part, strict=True):
            pull += weight * share * column
    return Kkt(float(residual), multipliers, found, pull)


def _best_fit(
    target: np.ndarray,
    gradients: np.ndarray,
    moving: list[list[np.ndarray]],
    excess: np.ndarray,
    order: np.ndarray,
    norm: float,
) -> tuple[float, np.ndarray, list[np.ndarray]]:
    """The least residual over how many of the samples, in this order, have multipliers; these, and the coefficients."""
    best = np.inf, np.zeros(len(excess)), [np.zeros(len(m)) for m in moving]
    for count in _prefixes(excess[order]):
        chosen = order[:count]
        weights, portions, gap = fit(target, gradients[:count], [moving[i] for i in chosen])
        multipliers = np.zeros(len(excess))
        multipliers[chosen] = weights
        residual = gap / norm + float(multipliers @ excess) / norm**2
        if residual < best[0]:
            parts = [np.zeros(len(m)) for m in moving]
            for i, portion in zip(chosen, portions, strict=True):
                parts[i] = portion
            best = residual, multipliers, parts
        if best[0] < _EXACT:
            break
    return best


def _vectors(
    at: Evaluation, seeds: np.ndarray, order: np.ndarray, flat: np.ndarray, factor: float, whole: bool
) -> tuple[np.ndarray, np.ndarray]:
    """theta (p,) and the gradients of these samples times a factor (., p), up to a rotation where there are many.

    whole: without it, since columns of kinks come with them.  Raises ValueError where they are too many.
    """
    largest = max(table.size for table in at.network.tables)
    if whole or (len(flat) <= _MANY and len(seeds) * largest <= _PART):
        _require_few(len(seeds) * len(flat))
        return flat, at.backward(seeds)[0][order] * factor
    triangle = np.zeros((0, len(order) + 1))
    for places, part in at.gradients_in_parts(seeds, _PART):
        taller = np.vstack([triangle, np.column_stack([part[order].T * factor, flat[places]])])
        triangle = np.asarray(np.linalg.qr(taller, mode="r"))
    return triangle[:, -1], triangle[:, :-1].T


def _require_few(numbers: int) -> None:
    if numbers > _MOST_NUMBERS:
        raise ValueError("kinks at the point, and too many parameters to look at every gradient next to it")


def _over_hulls(
    network: Network,
    x: np.ndarray,
    seeds: np.ndarray,
    theta: Sequence[np.ndarray],
    gates: Sequence[np.ndarray],
    excess: np.ndarray,
    several: np.ndarray,
    within: float,
) -> Kkt:
    """The same where coefficients depend on each other; theta is scaled to min q = 1.

    several: (n,), of the samples that have more than one gradient next to theta.
    """
    flat = network.flat(theta)
    _require_few(max(len(x), sum(network.widths[1:])) * len(flat))
    positive = [np.asarray(gate) > 0 for gate in gates]
    plain, _ = evaluate(network, theta, x, positive).backward(seeds)
    hulls = [
        hull(network, x[i], seeds[i], theta, [gate[i] for gate in gates]) if several[i] else single(gates, i, plain[i])
        for i in range(len(x))
    ]
    norm = float(np.sqrt(flat @ flat))
    owner = np.repeat(np.arange(len(x)), [len(h.gates) for h in hulls])
    gradients = np.concatenate([h.gradients for h in hulls])
    best, chosen = np.inf, np.zeros(len(owner))
    order = _least(excess, within)
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
            kinks.append(Kink(Place(i, layer, neuron), between(network, float(min(coefficient, 1.0)))))
    kinks.sort(key=lambda kink: (kink.place.layer, kink.place.sample, kink.place.neuron))
    return Kkt(float(best), multipliers, tuple(kinks), gradients.T @ chosen)


def between(network: Network, share: float) -> float:
    """The Clarke coefficient of a share in [0, 1] of the positive side."""
    below = float(network.slope)
    return below + (1.0 - below) * share


def _least(excess: np.ndarray, within: float) -> np.ndarray:
    """The samples that may have multipliers, those of least margin first."""
    order = np.argsort(excess, kind="stable")[:_MOST_ROWS]
    return order[excess[order] <= within]


def _prefixes(excess: np.ndarray) -> list[int]:
    """How many of the sorted samples to allow: first all that tie with the smallest margin, then one more each."""
    tied = int(np.searchsorted(excess, 1e-9, side="right"))
    if len(excess) > _EVERY:
        growing = {tied + round(1.25**k) for k in range(1, 64)}
        return [tied, *sorted(count for count in growing if tied < count < len(excess)), len(excess)]
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
    network: Network, x: np.ndarray, gates: Sequence[np.ndarray], slopes: np.ndarray
) -> list[tuple[Place, np.ndarray | None]]:
    """Every zero pre-activation, and what its positive side adds to dq_i/dtheta beyond the negative one.

    None where that is zero (an idle neuron, one without incoming weights that are trained), as for all beyond depth 2
    here.
    gates: a hidden layer each, (n, width).  slopes = dq/d(activation) of the first, (n, width).
    """
    found: list[tuple[Place, np.ndarray | None]] = []
    size, jump = network.size, 1.0 - float(network.slope)
    apart = network.depth == 2 and not network.shared
    for layer, gate in enumerate(gates):
        for i, j in np.argwhere(gate == 0).tolist():
            row = network.tables[layer][j]
            present = row >= 0
            column = None
            if apart and slopes[i, j] and network.trained[0] and present.any() and x[i][present].any():
                column = np.zeros(size)
                column[row[present]] = jump * slopes[i, j] * x[i][present]
            found.append((Place(i, layer, j), column))
    return found


limit_blas()
