"""Global verdicts on linear circulant networks of depth 2: a filter as wide as the input, moved around it.

The predictor is the circular convolution of u and v, so that its Fourier transform is the product of theirs, and the
value of (P) is the least norm_1(F beta) / sqrt(d) over z_i . beta >= 1, F the unitary transform: a programme over
second-order cones.  Its multipliers prove the bound on a product of norms (certificates/products.py); its solution,
with the square roots of the transform's moduli on either layer, is the better point.
"""

from __future__ import annotations

import numpy as np

from harness.oracles.cone import solve_spectrum
from harness.oracles.exact import header, stated
from harness.oracles.products import cheaper
from harness.oracles.proofs import SAFE_GAP, attested
from harness.oracles.verdict import Verdict
from harness.problem.numbers import as_json
from harness.problem.points import Point
from harness.problem.predicates import is_circulant


def decide_circulant(point: Point, certify: bool) -> Verdict | None:
    """The global verdict; None for other networks, and where the solver leaves it open."""
    problem, network = point.problem, point.problem.network
    if not is_circulant(network) or network.degree < 2 or network.kinked:
        return None
    z = problem.y_float[:, None] * problem.x_float
    solved = solve_spectrum(z)
    if solved is None:
        return None
    beta, alpha = solved
    spectrum = float(np.abs(np.fft.fft(alpha @ z)).max())
    bound = float(alpha.sum()) / spectrum if spectrum > 0.0 else 0.0
    if bound >= point.value * (1.0 - SAFE_GAP):
        certificate = {
            **header(stated(network, point.theta), "product bound", "global"),
            "alpha": [as_json(a) for a in alpha.tolist()],
            "square": as_json(spectrum**2 * (1.0 + 1e-11)),
        }
        reason = "multipliers prove a lower bound that equals the value"
        return attested(problem, Verdict("optimal", point.value, bound, reason, certificate), certify)
    transform = np.fft.fft(beta)
    roots = np.sqrt(np.abs(transform))
    first = np.fft.ifft(roots).real
    second = np.fft.ifft(np.where(roots > 0.0, transform / np.where(roots > 0.0, roots, 1.0), 0.0)).real
    return cheaper(point, [first, second], certify)
