"""Where a training ends, as a Limit: the direction that theta tends to, where its rows say that it does.

The clock is c = log(1 / L), which goes with the least margin: what is left of a direction's way shrinks like a power of
1 / c, the first or, where a neuron is left behind, the first over the degree.  By counts of steps a slow method would
seem to rest long before it does.  So the moves of the direction from row to row, while c doubles, have to shrink by a
factor; the rest of them is then a geometric series.  Two ends are believed:

    a KKT point of (P) that is near the direction, that the direction has come nearer to by that factor in every
    doubling, and that nothing within its gates leaves (the second-order test of flow/settling);
    a direction at rest that is clearly no KKT point: its residual is many times what it may still move.  Other
    geometries than l2 have such limits.

A direction that is still on its way is undecided, and the reason says how far it moved.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from harness.flow.nearest import steady_kkt
from harness.optimisers.train import Training
from harness.problem.evaluation import evaluate
from harness.problem.kkt import kkt
from harness.problem.limits import Limit
from harness.problem.points import Point

DOUBLINGS = 3  # of c, that are looked at
HALF = 0.5  # of the power by which moves are expected to shrink: so much they have to
NEAR = 0.05  # from the direction to a KKT point, at most, that is believed to be its limit
CLEARLY = 30.0  # times what is left to move: a KKT residual that the limit has too
STILL = 1e-9  # a move that may be rounding


@dataclass(frozen=True)
class Moves:
    """rows: those with c, c / 2, c / 4, ..., the last first.  sizes: of the moves between them, the last first.

    rate: of a move, at most, that the next may be.
    """

    rows: list[int]
    sizes: list[float]
    rate: float

    def shrink(self, sizes: list[float]) -> bool:
        """Whether every one is smaller by the factor than the one before; the last first."""
        return all(later <= max(self.rate * before, STILL) for later, before in pairwise(sizes))

    @property
    def left(self) -> float | None:
        """How far it may move yet; None where the moves do not shrink by a factor."""
        return max(self.sizes[0], STILL) * self.rate / (1.0 - self.rate) if self.shrink(self.sizes) else None

    def __str__(self) -> str:
        last, before = self.sizes[:2]
        return f"it moved by {last:.2g} while log(1 / L) doubled, and by {before:.2g} in the doubling before"


def settle(training: Training) -> Limit:
    """The end of a training: "converged" with its point, else "undecided" with a reason; never raises for what it did.

    evidence: the distances to the point at the rows that were compared.  path: that of the training.
    """
    point, reason = _end(training)
    rows = [] if point is None else sorted(_moves(training).rows)
    gaps = [] if point is None else _gaps(training, rows, point)
    return Limit(
        training.instance,
        "undecided" if point is None else "converged",
        reason,
        point,
        log_norm=float(training.log_norm[-1]),
        evidence=tuple((float(training.log_norm[k]), gap) for k, gap in zip(rows, gaps, strict=True)),
        path=training.path,
    )


def _end(training: Training) -> tuple[Point | None, str]:
    steps = f"after {int(training.step[-1])} steps"
    if training.step[-1] < training.steps:
        return (
            None,
            f"theta left the floats: the steps are too large, or relative to theta they do not shrink ({steps}).",
        )
    if not training.margin[-1] > 0.0:
        return None, f"Not separated {steps}."
    moves = _moves(training)
    if len(moves.sizes) < DOUBLINGS:
        return (
            None,
            f"Separated, but {steps} log(1 / L) = {-training.log_loss[-1]:.3g} has not doubled {DOUBLINGS} times.",
        )
    try:
        point = Point.at(training.instance.problem, [u.tolist() for u in training.layers])
    except ValueError as why:
        return None, f"Separated, but of the end {steps} not enough is known: {why}."
    near = steady_kkt(point)
    if near is not None:
        gaps = _gaps(training, moves.rows, near)
        if gaps[0] <= NEAR and moves.shrink(gaps):
            return near, f"The direction tends to a KKT point: {gaps[0]:.2g} from it {steps}, and {moves}."
    if moves.left is None:
        return None, f"Separated, but the direction is still on its way {steps}: {moves}."
    residual = _residual_near(point, moves.left)
    if residual >= CLEARLY * moves.left:
        return (
            point,
            f"The direction comes to rest at no KKT point: the residual {steps} is {residual:.2g}, and {moves}.",
        )
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
    """Between the last row and those with a half, a quarter, ... of its log(1 / L), as far as they separate data."""
    clock = -training.log_loss
    rows = [len(clock) - 1]
    for k in range(1, DOUBLINGS + 1):
        before = np.flatnonzero((clock <= clock[-1] * 0.5**k) & (clock > 0.0) & (training.margin > 0.0))
        if not len(before):
            break
        rows.append(int(before[-1]))
    ends = training.direction[rows]
    rate = 2.0 ** (-HALF / training.instance.network.degree)
    return Moves(rows, np.linalg.norm(np.diff(ends, axis=0), axis=1).tolist(), rate)


def _gaps(training: Training, rows: list[int], point: Point) -> list[float]:
    """How far the directions of these rows are from that of the point."""
    theta = training.instance.network.flat(point.theta)
    return np.linalg.norm(training.direction[rows] - theta / np.linalg.norm(theta), axis=1).tolist()
