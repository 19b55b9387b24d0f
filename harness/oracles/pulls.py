"""Bounds of depth 2 with several outputs, one neuron after the other (certificates/pulls.py).

In a cell of a neuron's gates |G w| <= |w| has to be shown: Q = 1 - G'G is not negative on the cone of the cell.  Beside
a live neuron w that is so where Q is not negative along its kinks: w'Qw = 0, and Qw = sum nu_i s_i x_i points into the
cell, so that with P onto the normals of its kinks, and D dual to them, the walls c_i = (2 (1 - P) + P) (Q - P) D_i take
away all of Q but its part along the kinks, and c_i . w = 2 nu_i.  Elsewhere products of two inputs are looked for by
semidefinite programming.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from harness.certificates.pulls import Neuron, cells_of, covers, neuron_of, sides_of
from harness.oracles.cone import solve_products
from harness.oracles.exact import exact_theta, header
from harness.oracles.proofs import GAP, attested
from harness.oracles.verdict import Verdict
from harness.problem.numbers import as_json
from harness.problem.points import Point

# Least eigenvalues that are zero but for rounding; the checker grants as much again.
ZERO = GAP / 8
# Walls of less than this share of Qw are none: they may be rounding.
CLEAR = 1e-7
# Cells that are gone through, of all neurons together.
MAX_CELLS = 256

Proof = dict[str, Any]


def decide_pulls(point: Point, scope: str, certify: bool) -> Verdict | None:
    """ "optimal" by the limit's own multipliers, else None.  scope: "local" or "global"."""
    problem = point.problem
    if not covers(problem):
        return None
    theta = exact_theta(problem.network, point.theta)
    alpha = np.asarray(point.multipliers, float)
    alpha = np.where(alpha > 1e-12 * alpha.max(initial=0.0), alpha, 0.0)
    exact = [Fraction(a) for a in alpha.tolist()]
    signs = tuple(tuple(map(tuple, block.tolist())) for block in point.signs)
    below = float(problem.network.slope)
    proofs: list[list[Proof]] = []
    for j in range(problem.network.widths[1]):
        neuron = neuron_of(problem, theta, exact, j)
        sides = sides_of(problem, signs if scope == "local" else None, j)
        free = sum(not sides[i] for i in neuron.pulls)
        if sum(map(len, proofs)) + 2**free > MAX_CELLS:
            return None
        found = [_cell(neuron, cell, below, scope == "local") for cell in cells_of(neuron, sides)]
        own = [proof for proof in found if proof is not None]
        if len(own) < len(found):
            return None
        proofs.append(own)
    bound = float(alpha.sum())
    certificate = {
        **header(theta, "pulls", scope),
        "signs": [s.tolist() for s in point.signs],
        "alpha": [as_json(a) for a in alpha.tolist()],
        "neurons": proofs,
    }
    reason = "no neuron is pulled by more than its own length"
    verdict = Verdict("optimal", point.value, bound, reason, certificate)
    attested_verdict = attested(problem, verdict, certify)
    return attested_verdict if attested_verdict.status == "optimal" else None


def _cell(neuron: Neuron, cell: Mapping[int, int], below: float, local: bool) -> Proof | None:
    """The proof of one cell; None where none is found."""
    samples = list(neuron.pulls)
    x = np.array([[float(a) for a in neuron.patches[i]] for i in samples]).reshape(len(samples), len(neuron.w))
    b = np.array([[float(a) for a in neuron.pulls[i]] for i in samples])
    on = np.array([bool(cell[i]) for i in samples], dtype=bool)
    pull = (b * np.where(on, 1.0, below)[:, None]).T @ x if samples else np.zeros((0, len(neuron.w)))
    q = np.eye(len(neuron.w)) - pull.T @ pull
    if np.linalg.eigvalsh(q)[0] >= -ZERO:
        return {"products": [], "walls": []}
    sided = np.where(on, 1.0, -1.0)[:, None] * x
    w = np.array([float(a) for a in neuron.w])
    walls = _walls(q, sided, w) if local and w.any() else None
    if walls is not None:
        return {"products": [], "walls": [[samples[i], [as_json(a) for a in c.tolist()]] for i, c in walls]}
    pairs = list(itertools.combinations_with_replacement(range(len(samples)), 2))
    kappa = solve_products(q, [0.5 * (np.outer(sided[i], sided[k]) + np.outer(sided[k], sided[i])) for i, k in pairs])
    if kappa is None:
        return None
    products = [[samples[i], samples[k], as_json(a)] for (i, k), a in zip(pairs, kappa.tolist(), strict=True) if a]
    return {"products": products, "walls": []}


def _walls(q: np.ndarray, sided: np.ndarray, w: np.ndarray) -> list[tuple[int, np.ndarray]] | None:
    """Walls (i, c) that make Q positive semidefinite; None where these do not."""
    pulled = q @ w
    length = np.linalg.norm(w) * np.linalg.norm(sided, axis=1)
    kinks = np.flatnonzero(np.abs(sided @ w) <= GAP * length)
    if not len(kinks):
        return None
    nu = np.linalg.lstsq(sided[kinks].T, pulled, rcond=None)[0]
    kinks = kinks[nu * np.linalg.norm(sided[kinks], axis=1) > CLEAR * np.linalg.norm(w)]
    if not len(kinks) or np.linalg.matrix_rank(sided[kinks], tol=CLEAR * length.max()) < len(kinks):
        return None
    dual = np.linalg.pinv(sided[kinks]).T
    onto = dual.T @ sided[kinks]
    across = np.eye(len(w)) - onto
    if np.linalg.eigvalsh(across @ q @ across)[0] < -ZERO:
        return None
    rest = (2.0 * across + onto) @ (q - onto)
    return [(int(i), rest @ d) for i, d in zip(kinks, dual, strict=True)]
