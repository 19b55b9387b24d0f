"""The global optimum of a diagonal network: the cheapest vertex (certificates/vertices.py)."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from harness.certificates.vertices import MOST_VERTICES, chains, count, features, neurons
from harness.oracles.exact import header
from harness.oracles.products import cheaper
from harness.oracles.proofs import SAFE_GAP, attested
from harness.oracles.verdict import Verdict
from harness.problem.points import Point


def decide_vertices(point: Point, certify: bool) -> Verdict | None:
    """The global verdict of a diagonal network; None for other networks, and where the vertices are too many."""
    network = point.problem.network
    if not chains(network) or count(network, point.problem.n) > MOST_VERTICES:
        return None
    best, value = None, np.inf
    for signs, table in features(point.problem):
        beta, least = cheapest_vertex(np.array(table, dtype=float), network.depth)
        if least < value:
            best, value = (signs, beta), least
    if best is None:
        return None
    if value >= point.value * (1.0 - SAFE_GAP):
        reason = "no vertex is cheaper"
        verdict = Verdict("optimal", point.value, float(value), reason, header(point.theta, "vertices", "global"))
        return attested(point.problem, verdict, certify)
    return cheaper(point, _weights(point, *best), certify)


def cheapest_vertex(table: np.ndarray, m: int) -> tuple[np.ndarray, float]:
    """The cheapest feasible vertex (d,) of {z beta >= 1}, and (m/2) sum |beta|^(2/m); infinite if there is none."""
    n, d = table.shape
    best, value = np.zeros(d), np.inf
    for k in range(1, min(n, d) + 1):
        tight = np.array(list(combinations(range(n), k)))
        for free in combinations(range(d), k):
            systems = table[tight][:, :, list(free)]
            regular = np.abs(np.linalg.det(systems)) > 1e-12 * np.prod(np.linalg.norm(systems, axis=2) + 1e-300, axis=1)
            if not regular.any():
                continue
            found = np.linalg.solve(systems[regular], np.ones((int(regular.sum()), k, 1)))[:, :, 0]
            feasible = (found @ table[:, list(free)].T >= 1.0 - 1e-9).all(axis=1)
            values = np.where(feasible, 0.5 * m * (np.abs(found) ** (2.0 / m)).sum(axis=1), np.inf)
            at = int(np.argmin(values))
            if values[at] < value:
                best, value = np.zeros(d), float(values[at])
                best[list(free)] = found[at]
    return best, value


def _weights(point: Point, signs: tuple[tuple[int, ...], ...], beta: np.ndarray) -> list[np.ndarray]:
    """A balanced theta with these products, the hidden weights of these signs."""
    network = point.problem.network
    root = np.abs(beta) ** (1.0 / network.depth)
    theta = [np.zeros(size) for size in network.sizes]
    for layer, pattern in enumerate(network.patterns):
        last = layer + 1 == network.depth
        for t, j in enumerate(neurons(network)):
            sign = np.sign(beta[t]) if last else signs[t][layer]
            theta[layer][pattern[0][j] if last else max(pattern[j])] = sign * root[t]
    return theta
