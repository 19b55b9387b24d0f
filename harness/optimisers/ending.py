"""Where a training ends, as a Limit: the direction that theta tends to, where its rows say that it does.

The clock is c = log(1 / L), the size of the least margin, since directions that converge do so like a power of 1 / c:
by counts of steps a slow method would seem to rest long before it does.  Between two rows with twice the c the
direction moves; where every such move is smaller than the one before by a factor, the rest of them is a geometric
series.  Two ends are believed:

    a KKT point of (P) that is next to the direction, which has come closer to it by a factor in every doubling, and
    which no direction within its gates leaves (the second-order test of flow/settling);
    a direction at rest that is clearly no KKT point: its KKT residual is many times what it may still move.  Other
    geometries than l2 have such limits.

A direction that is still on its way is undecided, and the reason says how far it moved.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.flow.nearest import steady_kkt
from harness.optimisers.train import Training
from harness.problem.evaluation import evaluate
from harness.problem.kkt import kkt
from harness.problem.limits import Limit
from harness.problem.points import Point

DOUBLINGS = 3  # of c, that are looked at
RATE = 0.75  # of a move, at most, that the next may be; 1 / c halves
NEAR = 0.05  # from the direction to a KKT point, at most, that is believed to be its limit
CLEARLY = 30.0  # times what is left to move: a KKT residual that the limit has too
STILL = 1e-9  # a move that may be rounding


@dataclass(frozen=True)
class Moves:
    """rows: those with c, c / 2, c / 4, ..., the last first.  sizes: of the moves between them, the last first."""

    rows: list[int]
    sizes: list[float]

    @property
    def left(self) -> float | None:
        """How far it may move yet; None where the moves do not shrink by a factor."""
        if self.sizes[0] <= STILL:
            return STILL
        rates = [later / max(before, STILL) for later, before in zip(self.sizes, self.sizes[1:], strict=False)]
        return self.sizes[0] * RATE / (1.0 - RATE) if max(rates) <= RATE else None

    def __str__(self) -> str:
        last, before = self.sizes[:2]
        return f"it moved by {last:.2g} while log(1 / L) doubled, and by {before:.2g} in the doubling before"


def settle(training: Training) -> Limit:
    """The end of a training: "converged" with its point, else "undecided" with a reason; never raises for what it did.

    evidence: the distances to the point at the rows that were compared.  path: that of the training.
    """
    point, reason = _end(training)
    rows: list[int] = [] if point is None else sorted(_moves(training).rows)
    return Limit(
        training.instance,
        "undecided" if point is None else "converged",
        reason,
        point,
        log_norm=float(training.log_norm[-1]),
        evidence=tuple((float(training.log_norm[k]), float(_gaps(training, [k], point)[0])) for k in rows if point),
        path=training.path,
    )


def _end(training: Training) -> tuple[Point | None, str]:
    steps = f"after {int(training.step[-1])} steps"
    if training.step[-1] < training.steps:
        return None, f"theta left the floats: the steps are too large, or relative to theta they do not shrink ({steps})."
    if not training.margin[-1] > 0.0:
        return None, f"Not separated {steps}."
    moves = _moves(training)
    if len(moves.sizes) < DOUBLINGS:
        return None, f"Separated, but {steps} log(1 / L) = {-training.log_loss[-1]:.3g} has not doubled {DOUBLINGS} times."
    try:
        point = Point.at(training.instance.problem, [u.tolist() for u in training.layers])
    except ValueError as why:
        return None, f"Separated, but of the end {steps} not enough is known: {why}."
    near = steady_kkt(point)
    if near is not None:
        gaps = _gaps(training, moves.rows, near)
        closer = all(later <= max(RATE * before, STILL) for later, before in zip(gaps, gaps[1:], strict=False))
        if closer and gaps[0] <= NEAR:
            return near, f"The direction tends to a KKT point: {gaps[0]:.2g} from it {steps}, and {moves}."
    if moves.left is None:
        return None, f"Separated, but the direction is still on its way {steps}: {moves}."
    residual = _residual_near(point, moves.left)
    if residual >= CLEARLY * moves.left:
        return point, f"The direction comes to rest at no KKT point: the residual {steps} is {residual:.2g}, and {moves}."
    return None, f"Separated, but {steps} the direction is neither near a KKT point nor clearly none: {moves}."


def _residual_near(point: Point, left: float) -> float:
    """The KKT residual, with every input of a neuron that is a kink within so far a move taken for one.

    Off a kink the residual says nothing of that on it, where there are more gradients.
    """
    network, problem = point.problem.network, point.problem
    if not network.kinked:
        return point.residual
    at = evaluate(network, point.theta, problem.inputs, [sign > 0 for sign in point.signs])
    lengths = np.linalg.norm(problem.inputs, axis=1)[:, None]
    size, bound, signs = float(np.sqrt(2.0 * point.value)), lengths, list[np.ndarray]()
    for layer, a in enumerate(at.preactivations[:-1]):
        # a bound of the input's derivative by a move relative to theta
        bound = bound * (size if network.trained[layer] else np.linalg.norm(at.matrices[layer], 2))
        signs.append(np.where(np.abs(a) <= (layer + 1) * left * bound, 0, np.sign(a)).astype(np.int8))
    return kkt(network, problem.inputs, problem.seeds, point.theta, signs).residual


def _moves(training: Training) -> Moves:
    """Between the last row and those with a half, a quarter, ... of its log(1 / L), as far as the data are separated."""
    clock = -training.log_loss
    rows = [len(clock) - 1]
    for k in range(1, DOUBLINGS + 1):
        before = np.flatnonzero((clock <= clock[-1] * 0.5**k) & (clock > 0.0) & (training.margin > 0.0))
        if not len(before):
            break
        rows.append(int(before[-1]))
    ends = training.direction[rows]
    return Moves(rows, np.linalg.norm(np.diff(ends, axis=0), axis=1).tolist())


def _gaps(training: Training, rows: list[int], point: Point | None) -> np.ndarray:
    """How far the directions of these rows are from that of the point."""
    assert point is not None
    theta = training.instance.network.flat(point.theta)
    return np.linalg.norm(training.direction[rows] - theta / np.linalg.norm(theta), axis=1)
