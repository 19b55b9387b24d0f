"""What claims assume of a limit beyond Verdicts.assumptions: True, False, or None where it is not known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness.claims.conclusions import answer
from harness.claims.measures import SLACK, equal_patterns, in_one_gap, supported
from harness.problem.evaluation import evaluate

if TYPE_CHECKING:
    from harness.oracles import Verdicts
    from harness.problem.limits import Limit
    from harness.problem.points import Point

# A Fourier coefficient below the first, of the norm, is zero; above the second it is not.
ABSENT, PRESENT = 1e-9, 1e-6
# Multipliers that can differ by less than the first, of their sum, are unique; by more than the second, they are not.
UNIQUE, VARIOUS = 1e-9, 1e-6

# A coefficient nearer than the first to a slope, of their distance, is at its end; one farther than the second is not.
END, INNER = 1e-9, 1e-6


def not_held(limit: Limit, verdicts: Verdicts) -> bool | None:
    """No exact invariance keeps the flow in a subspace that is smaller than that of other starts."""
    return not limit.held


def local_optimum(limit: Limit, verdicts: Verdicts) -> bool | None:
    """The limit is a local optimum of (P)."""
    return answer(verdicts.local, verdicts.certify)


def concave_kinks(limit: Limit, verdicts: Verdicts) -> bool | None:
    """Every kink (i, j) with lambda_i > 0 has y_i v_j < 0.  For the multipliers that the point has."""
    point, used = verdicts.point, supported(limit)
    if used is None:
        return None
    (outgoing,) = point.problem.network.matrices(point.theta)[1]
    y = point.problem.y
    places = [kink.place for kink in point.kinks if kink.place.sample in used]
    return all(y[place.sample] * outgoing[place.neuron] < 0.0 for place in places)


def inner_kinks(limit: Limit, verdicts: Verdicts) -> bool | None:
    """Every kink (i, j) with lambda_i > 0 has a coefficient strictly between the slopes; that which the point has."""
    point, used = verdicts.point, supported(limit)
    if used is None:
        return None
    low, high = sorted((float(point.problem.network.slope), 1.0))
    coefficients = [kink.coefficient for kink in point.kinks if kink.place.sample in used]
    inside = min((min(c - low, high - c) for c in coefficients), default=high - low)
    return True if inside > INNER * (high - low) else False if inside < END * (high - low) else None


def dead_neuron(limit: Limit, verdicts: Verdicts) -> bool | None:
    """Some w_j = 0 and v_j = 0."""
    point = verdicts.point
    first, second = point.problem.network.matrices(point.theta)
    return bool(((first == 0.0).all(axis=1) & (second[0] == 0.0)).any())


def no_dead_neuron(limit: Limit, verdicts: Verdicts) -> bool | None:
    """No neuron has w_j = 0 and v_j = 0."""
    return not dead_neuron(limit, verdicts)


def patterns_meet(limit: Limit, verdicts: Verdicts) -> bool | None:
    """Two live neurons of equal signs have equal gates, and no kinks, on the points with lambda_i > 0."""
    pairs = equal_patterns(limit)
    return None if pairs is None else bool(pairs)


def gaps_meet(limit: Limit, verdicts: Verdicts) -> bool | None:
    """Two live neurons face one way and switch in one gap."""
    pairs = in_one_gap(limit)
    return None if pairs is None else bool(pairs)


def full_spectrum(limit: Limit, verdicts: Verdicts) -> bool | None:
    """No discrete Fourier coefficient of the filter is zero."""
    u = verdicts.point.theta[0]
    least = float(np.abs(np.fft.fft(u)).min() / np.linalg.norm(u))
    return True if least > PRESENT else False if least < ABSENT else None


def unique_multipliers(limit: Limit, verdicts: Verdicts) -> bool | None:
    """The multipliers of the active points and of the kinks are unique, at depth 2 without shared weights.

    They are the solutions of a linear programme; one functional that is no wall's normal tells whether there are two.
    """
    from scipy.optimize import linprog

    point = verdicts.point
    columns, caps = _columns(point)
    theta = point.problem.network.flat(point.theta)
    size = columns.shape[1]
    if np.linalg.matrix_rank(columns, tol=1e-7 * np.linalg.norm(columns)) == size:
        return True
    weights = np.sqrt(2.0 + np.arange(size) ** 1.5)
    ends: list[float] = []
    for sign in (1.0, -1.0):
        solved = linprog(
            sign * weights,
            A_ub=caps if len(caps) else None,
            b_ub=np.zeros(len(caps)) if len(caps) else None,
            A_eq=columns.T @ columns,
            b_eq=columns.T @ theta,
        )
        if not solved.success:
            return None
        ends.append(sign * float(solved.fun))
    spread = abs(ends[1] - ends[0]) / max(abs(ends[0]), 1e-300)
    return True if spread < UNIQUE else False if spread > VARIOUS else None


def _columns(point: Point) -> tuple[np.ndarray, np.ndarray]:
    """(N, columns): gradients of the active margins with kinks off, then what each kink adds; rows mu - lambda <= 0."""
    problem, network = point.problem, point.problem.network
    gates = [np.asarray(sign) > 0 for sign in point.signs]
    gradients, heights = evaluate(network, point.theta, problem.inputs, gates).backward(problem.seeds)
    active = np.flatnonzero(point.margins <= 1.0 + SLACK).tolist()
    columns = [gradients[i] for i in active]
    rows: list[np.ndarray] = []
    kinks = [(i, j) for i, _, j in (kink.place for kink in point.kinks) if i in active and heights[0][i, j]]
    for number, (i, j) in enumerate(kinks):
        column = np.zeros(network.size)
        for c, k in enumerate(network.patterns[0][j]):
            if k >= 0:
                column[k] = (1.0 - float(network.slope)) * heights[0][i, j] * problem.x_float[i, c]
        columns.append(column)
        row = np.zeros(len(active) + len(kinks))
        row[len(active) + number], row[active.index(i)] = 1.0, -1.0
        rows.append(row)
    return np.array(columns).T, np.array(rows)
