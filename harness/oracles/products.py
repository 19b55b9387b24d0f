"""Global verdicts on linear networks by the bound on a product of norms (certificates/products.py).

Depth 1 and fully connected networks of any depth: the best multipliers are those of the hard-margin SVM, the value
is (m/2) |w*|^(2/m), and a limit that costs more is not optimal: w* in one path is cheaper.  Depth 2, shared weights:
the limit's own multipliers, which prove it where its u^1, u^2 are top singular vectors of sum_i alpha_i q_i.
Elsewhere the bound holds and is not tight as a rule.
"""

from __future__ import annotations

import numpy as np

from harness.certificates.products import reaching
from harness.oracles.exact import feasible_points, header, text
from harness.oracles.least_distance import least_norm
from harness.oracles.proofs import SAFE_GAP, attested
from harness.oracles.verdict import Verdict
from harness.problem.points import Point

LEAST_GAIN = 1e-7


def decide_product(point: Point, certify: bool) -> Verdict | None:
    """The global verdict of a linear network, None where this bound leaves it open."""
    network = point.problem.network
    weights = _svm(point)
    if network.depth == 2 and not network.fully_connected:
        weights = point.multipliers
    if weights is None or not np.max(weights, initial=0.0) > 0.0:
        return None
    alpha = np.maximum(weights / np.max(weights), 0.0)
    length = _length(point, alpha)
    m = network.depth
    if length > 0.0:
        bound = 0.5 * m * (float(alpha.sum()) / length) ** (2.0 / m)
        if bound >= point.value * (1.0 - SAFE_GAP):
            certificate = {**header(point.theta, "product bound", "global"), "alpha": [text(a) for a in alpha.tolist()]}
            if m == 2:
                # A little more than the float's singular value, so that the matrix is definite in spite of rounding.
                certificate["square"] = text(length**2 * (1.0 + 1e-11))
            reason = "multipliers prove a lower bound that equals the value"
            return attested(point.problem, Verdict("optimal", point.value, bound, reason, certificate), certify)
    if network.fully_connected or m == 1:
        return _one_path(point, certify)
    return None


def cheaper(point: Point, theta: list[np.ndarray], certify: bool) -> Verdict | None:
    """The global verdict that this point proves; None where it is not clearly cheaper than the limit."""
    for cheaper_one, worth in feasible_points(point.problem, theta, point.value * (1.0 - LEAST_GAIN)):
        certificate = {
            **header(point.theta, "cheaper", "global"),
            "better": [[text(v) for v in u] for u in cheaper_one],
        }
        verdict = Verdict("not_optimal", point.value, worth, f"a point at cost {worth:.6g} is better", certificate)
        return attested(point.problem, verdict, certify)
    return None


def _svm(point: Point) -> np.ndarray | None:
    """The multipliers of the hard-margin SVM on the coordinates that reach the output."""
    found = least_norm(_features(point), np.ones(point.problem.n))
    return None if found is None or found.z is None else found.y


def _features(point: Point) -> np.ndarray:
    """y_i x_i on what the output can see, (n, .); at depth 1 summed over shared entries."""
    problem, network = point.problem, point.problem.network
    signed = problem.y_float[:, None] * problem.x_float
    if network.depth == 1:
        table = network.tables[0][0]
        return signed @ (table[:, None] == np.arange(network.sizes[0])).astype(float)
    return signed[:, reaching(network)]


def _length(point: Point, alpha: np.ndarray) -> float:
    """D."""
    network = point.problem.network
    if network.depth == 2:
        pull = (alpha * point.problem.y_float) @ point.problem.x_float
        matrix = np.zeros((network.sizes[1], network.sizes[0]))
        for row, outgoing in zip(network.patterns[0], network.patterns[1][0], strict=True):
            for c, k in enumerate(row):
                if k >= 0 and outgoing >= 0:
                    matrix[outgoing, k] += pull[c]
        return float(np.linalg.norm(matrix, 2))
    repeats = 1.0
    for pattern in network.patterns if network.depth > 1 else ():
        used = [k for row in pattern for k in row if k >= 0]
        repeats *= max(map(used.count, set(used)), default=0)
    return float(np.linalg.norm(alpha @ _features(point))) * repeats**0.5


def _one_path(point: Point, certify: bool) -> Verdict | None:
    """The SVM's direction through one neuron a layer."""
    network = point.problem.network
    found = least_norm(_features(point), np.ones(point.problem.n))
    if found is None or found.z is None:
        return None
    norm = float(np.linalg.norm(found.z))
    root = norm ** (1.0 / network.depth)
    theta = [np.zeros(size) for size in network.sizes]
    # Neuron 1 of every layer: parameter of row 0, column 0; in the first layer the whole row.
    for layer, pattern in enumerate(network.patterns):
        if layer == 0:
            row = [k for k in pattern[0] if k >= 0] if network.depth > 1 else list(range(network.sizes[0]))
            theta[0][row] = found.z * (root / norm)
        else:
            theta[layer][pattern[0][0]] = root
    return cheaper(point, theta, certify)
