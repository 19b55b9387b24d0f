"""`predicted`: where a flow ends by what can be proven of it alone, in floats; no trainer is asked.

With gates that are kept for ever the limit solves a convex problem (harness.certificates.flow_ends), of which a solver
in floats finds the solution; a ray is its own limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from scipy.optimize import minimize, nnls

from harness.certificates.flow_gates import Unit
from harness.problem.instances import Instance
from harness.proofs.gates import regions

Guess = tuple[list[list[float]], list[float]]


def predicted(given: Instance) -> Guess | None:
    """theta, scaled to least margin 1, and its multipliers; None where no gates can be shown to be kept for ever."""
    for region, _, _ in regions(given):
        solution = _solved(region.live, given.n)
        if solution is not None:
            u, multipliers = solution
            return _theta(given, region.live, u), multipliers
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
    multipliers = np.zeros(n)
    multipliers[binding] = nnls(table[binding].T, slope(found.x))[0]
    return np.split(found.x / q.min(), starts[1:-1]), multipliers.tolist()


def _theta(given: Instance, live: Sequence[Unit], u: Sequence[np.ndarray]) -> list[list[float]]:
    theta = [[0.0] * size for size in given.network.sizes]
    for unit, vector in zip(live, u, strict=True):
        root = float(np.linalg.norm(vector)) ** 0.5
        theta[1][unit.neuron.outgoing] = unit.s * root
        for k, a in zip(unit.neuron.incoming, vector, strict=True):
            theta[0][k] = float(a) / root
    return theta
