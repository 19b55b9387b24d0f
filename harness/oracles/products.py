"""Global verdicts on linear networks by the bound on a product of norms (certificates/products.py).

Depth 1 and fully connected networks of one output and any depth: the best multipliers are those of the hard-margin SVM
(of several outputs, at depth 1: the multi-class one), the value is (m/2) |w*|^(2/m), and a limit that costs more is not
optimal: w* in one path is cheaper.  Two trained layers: the limit's own multipliers, which prove it where its u^1, u^2
are top singular vectors of sum_i alpha_i q_i; fully connected, where they are top ones of sum_i alpha_i s_i x_i', which
bounds the nuclear norm of the predictor.  Elsewhere the bound holds and is not tight as a rule.
"""

from __future__ import annotations

import numpy as np

from harness.certificates.products import has_square, takes_bound
from harness.oracles.exact import feasible_points, header, stated
from harness.oracles.least_distance import least_norm
from harness.oracles.proofs import SAFE_GAP, attested
from harness.oracles.verdict import Verdict
from harness.problem.networks import Network
from harness.problem.numbers import as_json
from harness.problem.points import Point

LEAST_GAIN = 1e-7


def decide_product(point: Point, certify: bool) -> Verdict | None:
    """The global verdict of a linear network, None where this bound leaves it open."""
    network = point.problem.network
    if not takes_bound(network):
        return None
    one_path = _one_path_will_do(network)
    deep = network.outputs == 1 and network.degree > 2
    weights = _svm(point) if one_path or deep else point.multipliers
    if weights is None or not np.max(weights, initial=0.0) > 0.0:
        return None
    alpha = np.maximum(weights / np.max(weights), 0.0)
    singular, repeats = _length(point, alpha), _repeats(network)
    length, m = singular * repeats**0.5, network.degree
    if length > 0.0:
        bound = 0.5 * m * (float(alpha.sum()) / length) ** (2.0 / m)
        if bound >= point.value * (1.0 - SAFE_GAP):
            head = header(stated(network, point.theta), "product bound", "global")
            certificate = {**head, "alpha": [as_json(a) for a in alpha.tolist()]}
            if has_square(network):
                # A little more than the float's singular value, so that the matrix is definite in spite of rounding.
                certificate["square"] = as_json(singular**2 * (1.0 + 1e-11))
            reason = "multipliers prove a lower bound that equals the value"
            return attested(point.problem, Verdict("optimal", point.value, bound, reason, certificate), certify)
    return _one_path(point, certify) if one_path else None


def _one_path_will_do(network: Network) -> bool:
    """Whether the best predictor in one path is the best point."""
    return network.depth == 1 or (network.fully_connected and network.outputs == 1 and network.degree == network.depth)


def cheaper(point: Point, theta: list[np.ndarray], certify: bool) -> Verdict | None:
    """The global verdict that this point proves; None where it is not clearly cheaper than the limit."""
    for cheaper_one, value in feasible_points(point.problem, theta, point.value * (1.0 - LEAST_GAIN)):
        certificate = {
            **header(stated(point.problem.network, point.theta), "cheaper", "global"),
            "better": [[as_json(v) for v in u] for u in cheaper_one],
        }
        verdict = Verdict("not_optimal", point.value, value, f"a point at cost {value:.6g} is better", certificate)
        return attested(point.problem, verdict, certify)
    return None


def _svm(point: Point) -> np.ndarray | None:
    """The multipliers of the hard-margin SVM on the coordinates that reach the output."""
    found = least_norm(_features(point), np.ones(len(point.problem.rows)))
    return None if found is None or found.z is None else found.y


def _features(point: Point) -> np.ndarray:
    """s_i x_i' on what the outputs can see, (R, .); at depth 1 summed over shared entries, else for one output."""
    problem, network = point.problem, point.problem.network
    if network.depth == 1:
        signed = problem.seeds[:, :, None] * problem.inputs[:, None, :]
        return signed.reshape(len(signed), -1) @ _one_hot(network, 0).reshape(-1, network.sizes[0])
    return (problem.seeds * problem.inputs)[:, network.seen]


def _one_hot(network: Network, layer: int) -> np.ndarray:
    """(rows, columns, size): which parameter every entry is."""
    return (network.tables[layer][:, :, None] == np.arange(network.sizes[layer])).astype(float)


def _length(point: Point, alpha: np.ndarray) -> float:
    """D without the c_l."""
    problem, network = point.problem, point.problem.network
    if network.depth == 1 or (network.degree > 2 and network.outputs == 1):
        return float(np.linalg.norm(alpha @ _features(point)))
    pull = np.array([(alpha * seed) @ problem.inputs for seed in problem.seeds.T])
    if network.degree > 2:
        return float(np.linalg.norm(pull[:, network.seen], 2))
    low, high = (layer for layer, own in enumerate(network.trained) if own)
    matrices = network.matrices(point.theta)
    left, between, right = (
        _product(matrices[part], network.widths[at])
        for part, at in ((slice(high + 1, None), high + 1), (slice(low + 1, high), low + 1), (slice(low), 0))
    )
    outer = left.T @ pull @ right.T
    form = np.einsum(
        "pt,qs,pqb,sta->ba", outer, between, _one_hot(network, high), _one_hot(network, low), optimize=True
    )
    return float(np.linalg.norm(form, 2))


def _product(matrices: list[np.ndarray], width: int) -> np.ndarray:
    product = np.eye(width)
    for matrix in matrices:
        product = matrix @ product
    return product


def _repeats(network: Network) -> int:
    """The product of the c_l, of three layers and more."""
    repeats = 1
    for pattern in network.patterns if network.degree > 2 else ():
        used = [k for row in pattern for k in row if k >= 0]
        repeats *= max(map(used.count, set(used)), default=0)
    return repeats


def _one_path(point: Point, certify: bool) -> Verdict | None:
    """The SVM's direction through one neuron a layer."""
    network = point.problem.network
    found = least_norm(_features(point), np.ones(len(point.problem.rows)))
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
