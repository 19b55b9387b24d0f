"""How far a limit is from what a claim states of it, in floats; None where that is not known (stated.py).

Everything is relative to its own scale.  w_j and v_j are the weights into and out of hidden neuron j, P_j = w_j / v_j.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.certificates.statements import attack, stated_step
from harness.claims.stated import Measured
from harness.problem.evaluation import evaluate
from harness.problem.numbers import as_json
from harness.problem.predicates import orthant

if TYPE_CHECKING:
    from harness.problem.limits import Limit
    from harness.problem.points import Point

# A multiplier above the first share of the largest is one, and one below the second is rounding.
SMALL, ROUNDING = 1e-9, 1e-13
# What a margin has above the least one to be another.
SLACK = 1e-7
# A number that a certificate gives for a square or a norm is this much on the safe side.
ROOM = 1e-11


def slack_margin(limit: Limit) -> Measured:
    """Of all margins being 1."""
    q = _point(limit).margins
    return Measured(float(q.max() - 1.0), {"sample": int(q.argmax())})


def unequal_neurons(limit: Limit) -> Measured:
    """Of all live neurons with v_j of one sign having one P_j; where v is fixed, all neurons one w_j."""
    return _most_unequal(limit, _of_one_sign(limit))


def unequal_patterns(limit: Limit) -> Measured | None:
    """Of P_j being the same for live neurons of equal signs, gates and no kinks on the points with multipliers."""
    pairs = equal_patterns(limit)
    return None if pairs is None else _most_unequal(limit, pairs)


def equal_patterns(limit: Limit) -> list[tuple[int, int]] | None:
    """Those pairs; None where it is not known which points have multipliers."""
    point, used = _point(limit), supported(limit)
    if used is None:
        return None
    signs = np.asarray(point.signs[0])[used]
    return [(j, k) for j, k in _of_one_sign(limit) if (signs[:, j] == signs[:, k]).all() and signs[:, j].all()]


def supported(limit: Limit) -> list[int] | None:
    """The points with lambda_i > 0; None where some are next to nothing."""
    point = _point(limit)
    largest = float(point.multipliers.max())
    if not largest > 0.0:
        return None
    share = point.multipliers / largest
    # complementary slackness leaves none to a margin that is not the least
    unclear = (share > ROUNDING) & (share <= SMALL) & (point.margins <= 1.0 + SLACK)
    return None if unclear.any() else np.flatnonzero(share > SMALL).tolist()


def _of_one_sign(limit: Limit) -> list[tuple[int, int]]:
    """Pairs of live neurons whose v_j have one sign."""
    _, v = _neurons(limit)
    live = [j for j, a in enumerate(v) if a]
    return [(j, k) for j, k in combinations(live, 2) if v[j] * v[k] > 0.0]


def _most_unequal(limit: Limit, pairs: list[tuple[int, int]]) -> Measured:
    w, v = _neurons(limit)
    if _point(limit).problem.network.trained[1]:
        w = w / np.where(v, v, 1.0)[:, None]
    found = [(float(np.linalg.norm(w[j] - w[k]) / max(np.linalg.norm(w[j]), 1e-300)), (j, k)) for j, k in pairs]
    off, pair = max(found, default=(0.0, (0, 0)))
    return Measured(off, {"neurons": list(pair)})


def other_gates(limit: Limit) -> Measured | None:
    """Of y_i v_j (w_j . x_i) > 0 everywhere; None at kinks."""
    problem = _point(limit).problem
    w, v = _neurons(limit)
    size = np.linalg.norm(problem.x_float, axis=1)[:, None] * np.maximum(np.linalg.norm(w, axis=1), 1e-300)
    sides = problem.y_float[:, None] * np.sign(v) * (problem.x_float @ w.T) / size
    i, j = np.unravel_index(int(sides.argmin()), sides.shape)
    least = float(sides[i, j])
    if abs(least) <= 1e-7:
        return None
    return Measured(-least, {"sample": int(i), "neuron": int(j)})


# --- values ---


@dataclass(frozen=True)
class _Said:
    """What a formula says of the value, with multipliers, the points that attain it, and the rest of a witness."""

    value: float
    alpha: np.ndarray
    points: list[np.ndarray]
    more: dict[str, Any]


def below_mirrored(limit: Limit) -> Measured | None:
    """Of the value being at least 2 norm(w^) / (1 + gamma)."""
    return _below(limit, "mirrored", _svms(limit, "mirrored"))


def above_mirrored(limit: Limit) -> Measured | None:
    """Of its being at most that."""
    return _above(limit, "mirrored", _svms(limit, "mirrored"))


def below_classes(limit: Limit) -> Measured | None:
    """Of the value being at least (m/2) (norm(w+)^(2/m) + norm(w-)^(2/m))."""
    return _below(limit, "classes", _svms(limit, "classes"))


def above_classes(limit: Limit) -> Measured | None:
    """Of its being at most that."""
    return _above(limit, "classes", _svms(limit, "classes"))


def _below(limit: Limit, formula: str, found: _Said | None) -> Measured | None:
    if found is None:
        return None
    witness = {"formula": formula, "alpha": _texts(found.alpha), **found.more}
    return Measured(1.0 - _point(limit).value / found.value, witness)


def _above(limit: Limit, formula: str, found: _Said | None) -> Measured | None:
    if found is None:
        return None
    witness = {"formula": formula, "points": [_texts(w * (1.0 + ROOM)) for w in found.points], **found.more}
    return Measured(_point(limit).value / found.value - 1.0, witness)


def _svms(limit: Limit, formula: str) -> _Said | None:
    """Its points are the SVM vectors of its parts."""
    problem = _point(limit).problem
    z, y, m = problem.y_float[:, None] * problem.x_float, problem.y_float, problem.network.degree
    parts = [np.arange(problem.n)] if formula == "mirrored" else [np.flatnonzero(y == s) for s in (1, -1) if s in y]
    alpha, norms, vectors = np.zeros(problem.n), [], []
    for part in parts:
        found = _svm(z[part])
        if found is None:
            return None
        vector, weights = found
        alpha[part] = weights / weights.max()
        norms.append(float(np.linalg.norm(vector)))
        vectors.append(vector / (z[part] @ vector).min())
    if formula == "mirrored":
        return _Said(2.0 * norms[0] / (1.0 + float(problem.network.slope)), alpha, vectors, {})
    return _Said(0.5 * m * sum(a ** (2.0 / m) for a in norms), alpha, vectors, {})


def below_orthant(limit: Limit) -> Measured | None:
    """Of the value being at least the least norm_1(beta) with z_i . beta >= 1 in the orthant of the start."""
    return _below(limit, "orthant", _orthant(limit))


def above_orthant(limit: Limit) -> Measured | None:
    """Of its being at most that."""
    return _above(limit, "orthant", _orthant(limit))


def _orthant(limit: Limit) -> _Said | None:
    from scipy.optimize import linprog

    problem, signs = _point(limit).problem, list(orthant(limit.instance))
    z = problem.y_float[:, None] * problem.x_float * np.array(signs)
    solved = linprog(np.ones(problem.d), A_ub=-z, b_ub=-np.ones(problem.n))
    if not solved.success:
        return None
    alpha = np.maximum(-solved.ineqlin.marginals, 0.0)
    beta = np.maximum(solved.x, 0.0)
    lowest = float((z @ beta).min())
    if not lowest > 0.5:
        return None
    return _Said(float(solved.fun), alpha, [beta * np.array(signs) / min(lowest, 1.0)], {"signs": signs})


def left_orthant(limit: Limit) -> Measured:
    """Of u_k v_k having the sign of the start for all k, or none."""
    point, signs = _point(limit), orthant(limit.instance)
    beta = np.array(signs) * point.theta[0] * point.theta[1]
    k = int(beta.argmin())
    return Measured(float(-beta[k] / point.value), {"coordinate": k, "sign": signs[k]})


def below_classifier(limit: Limit) -> Measured:
    """Of the value being at least the nuclear norm of Y - (1/K) 1 1^T, of points that are the standard basis.

    With A = U V' of the singular value decomposition the norm is the scalar product of the two; the columns of A add up
    to zero and its entries off the class are at most zero, so that it is a sum of alpha_r s_r x_r' with alpha >= 0.
    """
    problem = _point(limit).problem
    matrix = np.eye(problem.network.outputs)[:, list(problem.y)] - 1.0 / problem.network.outputs
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    positive = values > 1e-9 * values[0]
    pull = left[:, positive] @ right[positive]
    alpha = np.array([max(-pull[seed.index(-1), i], 0.0) for i, seed in problem.rows])
    said = float(values[positive].sum())
    square = as_json(1.0 + 1e-9)
    return Measured(
        1.0 - _point(limit).value / said, {"formula": "classifier", "alpha": _texts(alpha), "square": square}
    )


# --- predictors ---


def no_attack(limit: Limit) -> Measured | None:
    """Of t -> y_i Phi(x_i - t y_i s) never increasing, and being at most -1 at the step that is stated."""
    problem = _point(limit).problem
    worst = [found for i in range(problem.n) for found in _attacks(limit, i)]
    return max(worst, key=lambda found: found.off)


def _attacks(limit: Limit, sample: int) -> Iterator[Measured]:
    problem, label = _point(limit).problem, _point(limit).problem.y[sample]
    w, _ = _neurons(limit)
    x, total = problem.x_float[sample], problem.y_float @ problem.x_float
    along = w @ total
    steps = sorted({float(s) for s in label * (w @ x)[along != 0.0] / along[along != 0.0]})
    steps = [steps[0] - 1.0, *steps, steps[-1] + 1.0] if steps else [0.0, 1.0]
    outputs = label * _outputs(limit, np.array([x - t * label * total for t in steps]))
    rises = np.diff(outputs)
    at = int(rises.argmax())
    yield Measured(float(rises[at]), {"sample": sample, "steps": [as_json(steps[at]), as_json(steps[at + 1])]})
    stated = [float(a) for a in attack(problem, sample, stated_step(problem, sample))]
    yield Measured(float(label * _outputs(limit, np.array([stated]))[0] + 1.0), {"sample": sample, "steps": None})


def _outputs(limit: Limit, x: np.ndarray) -> np.ndarray:
    point = _point(limit)
    return evaluate(point.problem.network, point.theta, x).outputs[:, 0]


def breaks(limit: Limit) -> Measured | None:
    """Of neurons that face one way and switch in one gap switching at one place."""
    pairs = in_one_gap(limit)
    if pairs is None:
        return None
    w, _ = _neurons(limit)
    places = -w[:, 1] / np.where(w[:, 0], w[:, 0], 1.0)
    found = [(abs(places[j] - places[k]) / max(1.0, abs(places[j])), (j, k)) for j, k in pairs]
    off, pair = max(found, default=(0.0, (0, 0)))
    return Measured(float(off), {"neurons": list(pair)})


def in_one_gap(limit: Limit) -> list[tuple[int, int]] | None:
    """Pairs of live neurons that face one way, with equal gates on the points with multipliers and no kinks there.

    None where it is not known which points those are.
    """
    point, used = _point(limit), supported(limit)
    if used is None:
        return None
    w, v = _neurons(limit)
    signs = np.asarray(point.signs[0])[used]
    facing = [j for j in range(len(v)) if v[j] and w[j, 0] and signs[:, j].all()]
    return [(j, k) for j, k in combinations(facing, 2) if w[j, 0] * w[k, 0] > 0 and (signs[:, j] == signs[:, k]).all()]


def no_linear_margin(limit: Limit) -> Measured | None:
    """Of y_i z . x_i >= 1 and norm(z) <= norm(w^) m / ((1 + gamma) sqrt(m1 m2)), z = m1 w_+ - m2 w_-."""
    problem = _point(limit).problem
    w, v = _neurons(limit)
    plus, minus = np.flatnonzero(v > 0.0), np.flatnonzero(v < 0.0)
    z = len(plus) * w[plus[0]] - len(minus) * w[minus[0]]
    margins = problem.y_float * (problem.x_float @ z)
    found = _svm(problem.y_float[:, None] * problem.x_float)
    if found is None:
        return None
    svm = found[0] / (problem.y_float * (problem.x_float @ found[0])).min()
    width = len(v)
    most = float(np.linalg.norm(svm)) * width / ((1.0 + float(problem.network.slope)) * (len(plus) * len(minus)) ** 0.5)
    short = Measured(float(1.0 - margins.min()), {"sample": int(margins.argmin())})
    long = Measured(float(np.linalg.norm(z)) / most - 1.0, {"point": _texts(svm * (1.0 + ROOM))})
    return max(short, long, key=lambda measured: measured.off)


# --- small parts ---


def _point(limit: Limit) -> Point:
    assert limit.point is not None
    return limit.point


def _neurons(limit: Limit) -> tuple[np.ndarray, np.ndarray]:
    """w (k, d) and v (k,), of depth 2 with one output."""
    point = _point(limit)
    first, second = point.problem.network.matrices(point.theta)
    return first, second[0]


def _svm(z: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """The vector of least norm with margins of at least 1 on the rows, and its multipliers up to scale."""
    from harness.oracles.least_distance import least_norm

    found = least_norm(z, np.ones(len(z)))
    return None if found is None or found.z is None else (found.z, found.y)


def _texts(numbers: np.ndarray) -> list[int | str]:
    return [as_json(a) for a in numbers.tolist()]
