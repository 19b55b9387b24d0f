"""Global verdicts where the halves of the data do not help each other (certificates/halves.py).

Fully connected networks of depth 2 with one output, trained everywhere.  Data that are their own mirror image with
turned labels: no network costs less than 2 norm(w^) / (1 + gamma), w^ the hard-margin SVM vector, which w^ and -w^ in
two neurons of opposite v attain.  Relu, with products of at least zero within a class: none costs less than
norm(w+) + norm(w-), the SVM vectors of the classes alone, which one neuron each attains where the products between
classes are at most zero.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from harness.oracles.exact import header, stated
from harness.oracles.least_distance import least_norm
from harness.oracles.products import cheaper
from harness.oracles.proofs import SAFE_GAP, attested
from harness.oracles.verdict import Verdict
from harness.problem.numbers import as_json
from harness.problem.points import Point
from harness.problem.predicates import mirrored

# How far below zero a product within a class may be to be worth asking the checker.
TINY = 1e-9


def decide_halves(point: Point, certify: bool) -> Verdict | None:
    """The global verdict that the halves give; None where they leave it open."""
    network = point.problem.network
    if network.depth != 2 or network.outputs > 1 or not network.fully_connected or network.degree < 2:
        return None
    for kind, alpha, bound, attained in _bounds(point):
        if bound >= point.value * (1.0 - SAFE_GAP):
            certificate = {
                **header(stated(network, point.theta), kind, "global"),
                "alpha": [as_json(a) for a in alpha.tolist()],
            }
            reason = "the halves of the data alone cost as much"
            return attested(point.problem, Verdict("optimal", point.value, bound, reason, certificate), certify)
        if attained is not None and bound < point.value * (1.0 - 1e-7):
            verdict = cheaper(point, attained, certify)
            if verdict is not None:
                return verdict
    return None


def _bounds(point: Point) -> Iterator[tuple[str, np.ndarray, float, list[np.ndarray] | None]]:
    """Kind, alpha (n,), the bound, and parameters that attain it where there may be some."""
    problem = point.problem
    z, slope = problem.y_float[:, None] * problem.x_float, float(problem.network.slope)
    if slope > -1.0 and not problem.n % 2 and mirrored(problem):
        found = least_norm(z, np.ones(problem.n))
        if found is not None and found.z is not None:
            bound = 2.0 * float(np.linalg.norm(found.z)) / (1.0 + slope)
            half = found.z / (1.0 + slope)
            yield "mirrored", found.y / found.y.max(), bound, _two_neurons(point, half, -half)
    if slope:
        return
    alpha, vectors, total = np.zeros(problem.n), [np.zeros(problem.d)] * 2, 0.0
    for place, label in enumerate((1, -1)):
        own = np.flatnonzero(problem.y_float == label)
        if not len(own):
            continue
        found = least_norm(problem.x_float[own], np.ones(len(own)))
        if found is None or found.z is None:
            return
        alpha[own] = found.y / found.y.max()
        vectors[place] = found.z
        total += float(np.linalg.norm(found.z))
        used = problem.x_float[own[alpha[own] > 0.0]]
        if (used @ used.T).min() < -TINY:
            return
    yield "classes", alpha, total, _two_neurons(point, *vectors)


def _two_neurons(point: Point, first: np.ndarray, second: np.ndarray) -> list[np.ndarray] | None:
    """Balanced parameters with the products w_j |v_j| = first for v_1 > 0 and second for v_2 < 0."""
    width = point.problem.network.widths[1]
    w, v = np.zeros((width, len(first))), np.zeros(width)
    for j, (vector, sign) in enumerate(((first, 1.0), (second, -1.0))):
        length = float(np.linalg.norm(vector))
        if not length:
            continue
        if j >= width:
            return None
        root = length**0.5
        w[j], v[j] = vector / root, sign * root
    return [w.ravel(), v]
