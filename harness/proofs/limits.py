"""`predicted`: where a flow ends by what can be proven of it alone, in floats; no trainer is asked.

With gates that are kept for ever the limit solves a convex problem (harness.certificates.flow_ends), of which a solver
in floats finds the solution.  A ray is its own limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from math import prod

import numpy as np
from scipy.optimize import minimize, nnls

from harness.certificates.flow_gates import Unit
from harness.certificates.flow_ray import require_ray
from harness.certificates.numbers import Rejected
from harness.problem.instances import Instance
from harness.proofs.gates import regions

Guess = tuple[list[list[float]], list[float]]


def predicted(given: Instance) -> Guess | None:
    """theta, scaled to least margin 1, and its multipliers; None where nothing can be shown to be kept for ever."""
    with suppress(Rejected):
        ray = require_ray(given)
        scale = float(min(ray.q)) ** (-1.0 / given.network.degree)
        layers = zip(ray.mu, given.network.trained, strict=True)
        return [[float(a) * (scale if own else 1.0) for a in u] for u, own in layers], [1.0] * len(ray.q)
    for region, _, _ in regions(given):
        solution = _solved(region.live, given.n)
        if solution is not None:
            u, multipliers = solution
            theta = _theta(given, region.live, u)
            # The weights above are a factor of the margins.
            above = prod(a for own in theta[2:] for a in own)
            return theta, [a / above for a in multipliers]
    return None


def _solved(live: Sequence[Unit], n: int) -> tuple[list[np.ndarray], list[float]] | None:
    """u_j of the convex problem, one vector a live neuron, and its multipliers."""
    patches = [np.array([[float(a) for a in p] for p in unit.neuron.patches]) for unit in live]
    sizes = [own.shape[1] for own in patches]
    starts = np.cumsum([0, *sizes])
    table = np.zeros((n, starts[-1]))
    for k, (unit, own) in enumerate(zip(live, patches, strict=True)):
        table[unit.on, starts[k] : starts[k + 1]] = own[unit.on]

    def lengths(u: np.ndarray) -> np.ndarray:
        return np.array([np.linalg.norm(u[a:b]) for a, b in pairwise(starts)])

    def slope(u: np.ndarray) -> np.ndarray:
        return u / np.repeat(lengths(u), sizes)

    # The start of every neuron is positive on its samples.
    first = np.concatenate([[float(a) for a in unit.w] for unit in live])
    least = (table @ first).min()
    if least <= 0.0:
        first, least = table.sum(axis=0), (table @ table.sum(axis=0)).min()
    if least <= 0.0:
        return None
    found = minimize(
        lambda u: lengths(u).sum(),
        first / least,
        jac=slope,
        constraints={"type": "ineq", "fun": lambda u: table @ u - 1.0, "jac": lambda u: table},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 200},
    )
    if not np.isfinite(found.x).all() or lengths(found.x).min() <= 0.0:
        return None
    # Only margins that bind have a multiplier.
    q = table @ found.x
    binding = q < 1.0 + 1e-5
    if not binding.any():
        return None
    multipliers = np.zeros(n)
    multipliers[binding] = nnls(table[binding].T, slope(found.x))[0]
    return np.split(found.x / q.min(), starts[1:-1]), multipliers.tolist()


def _theta(given: Instance, live: Sequence[Unit], u: Sequence[np.ndarray]) -> list[list[float]]:
    m = given.network.depth
    value = float(sum(np.linalg.norm(vector) for vector in u))
    theta = [[0.0] * size for size in given.network.sizes[:2]] + [[value ** (1.0 / m)] for _ in range(m - 2)]
    for unit, vector in zip(live, u, strict=True):
        length = float(np.linalg.norm(vector))
        root = (length * value ** ((2.0 - m) / m)) ** 0.5
        theta[1][unit.neuron.outgoing] = unit.s * root
        for k, a in zip(unit.neuron.incoming, vector, strict=True):
            theta[0][k] = root * float(a) / length
    return theta
