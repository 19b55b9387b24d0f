"""Where a training ends, as a Limit: the direction that theta tends to, where its rows say that it does.

The clock is c = log(1 / L), which goes with the least margin: what is left of a direction's way shrinks like a power of
1 / c, the first or, where a neuron is left behind, the first over the degree.  By counts of steps a slow method would
seem to rest long before it does.  So the moves of the direction from row to row, while c doubles, have to shrink by a
factor; the rest of them is then a geometric series.  Two ends are believed:

    a KKT point of (P) that is near the direction and no farther than the series reaches, that the direction has come
    nearer to by that factor in every doubling, and that nothing within its gates leaves (the second-order test of
    flow/settling);
    a direction at rest that is clearly no KKT point: its residual is larger than it can be so near to one (`_most`).
    Other geometries than l2 have such limits.

Neither is believed of a training that stalls: one large step may leave gradients so small that theta stays where it is
for longer than anybody waits.  Under steady gradient descent L falls like 1 / t.  And a method that will change its
ways, as Adam does where gradients come below eps, is not said to rest.

A direction that is still on its way is undecided, and the reason says how far it moved.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from harness.flow.nearest import steady_kkt
from harness.optimisers.methods import Adam, Method
from harness.optimisers.own import Own
from harness.optimisers.training import Training
from harness.problem.evaluation import evaluate
from harness.problem.kkt import kkt
from harness.problem.limits import Limit
from harness.problem.points import Point

DOUBLINGS = 3  # of c, that are looked at
APART = 1.5  # rows with more than so much times the c are not joined by a line
HALF = 0.5  # of the power by which moves are expected to shrink: so much they have to
REACH = 1.25  # times what is left of the way, as the last two moves have it: no farther is its end
NEAR = 0.05  # from the direction to a KKT point, at most, that is believed to be its limit
STALLED = 0.5 * math.log(2.0)  # of log(1 / L): it has to grow by more while the steps double
STILL = 1e-9  # a move that may be rounding


@dataclass(frozen=True)
class Moves:
    """clock: c, c / 2, c / 4, ..., or less where rows are far apart.  ends (k, N), log_norms: theta there.

    sizes: of the moves between these directions, the last first.  rate: of a move, at most, that the next may be.
    """

    clock: list[float]
    ends: np.ndarray
    log_norms: list[float]
    sizes: list[float]
    rate: float

    def shrink(self, sizes: list[float]) -> bool:
        """Whether every one is smaller by the factor than the one before; the last first."""
        return all(later <= max(self.rate * before, STILL) for later, before in pairwise(sizes))

    @property
    def expected(self) -> float:
        """How far it moves yet if it goes on as in the last two moves."""
        last, before = (max(size, STILL) for size in self.sizes[:2])
        return last * last / (before - last) if last < before else STILL if last == STILL else np.inf

    @property
    def left(self) -> float | None:
        """How far it may move yet at most; None where the moves do not shrink by the factor."""
        return max(self.sizes[0], STILL) * self.rate / (1.0 - self.rate) if self.shrink(self.sizes) else None

    def __str__(self) -> str:
        (last, before), (now, half, quarter) = self.sizes[:2], self.clock[:3]
        return (
            f"it moved by {last:.2g} while log(1 / L) went from {half:.3g} to {now:.3g}, "
            f"and by {before:.2g} before that, from {quarter:.3g}"
        )


def settle(training: Training) -> Limit:
    """The end of a training: "converged" with its point, else "undecided" with a reason; never raises for what it did.

    evidence: the distances to the point of the directions that were compared.  path: that of the training.
    """
    point, reason = _end(training)
    moves = None if point is None else _moves(training)
    rows = zip(moves.log_norms, _gaps(moves, point), strict=True) if moves and point else ()
    return Limit(
        training.instance,
        "undecided" if point is None else "converged",
        reason,
        point,
        log_norm=float(training.log_norm[-1]),
        evidence=tuple(rows)[::-1],
        path=training.path,
    )


def _end(training: Training) -> tuple[Point | None, str]:
    steps = f"after {int(training.step[-1])} steps"
    if training.step[-1] < training.steps:
        return None, f"theta left the floats {steps}: these are too large, or do not shrink relative to theta."
    if not training.margin[-1] > 0.0:
        return None, f"Not separated {steps}."
    moves = _moves(training)
    if len(moves.sizes) < DOUBLINGS:
        clock = -training.log_loss[-1]
        return (
            None,
            f"Separated, but {steps} log(1 / L), {clock:.3g}, has not doubled {DOUBLINGS} times from row to row.",
        )
    grown = (
        training.log_loss[np.searchsorted(training.step, training.steps / 2, side="right") - 1] - training.log_loss[-1]
    )
    if grown < STALLED:
        return None, f"Separated, but it stalls: log(1 / L) grew by {grown:.2g} in the second half of the steps."
    try:
        point = Point.at(training.instance.problem, [u.tolist() for u in training.layers])
    except ValueError as why:
        return None, f"Separated, but of the end {steps} not enough is known: {why}."
    near = steady_kkt(point)
    if near is not None:
        gaps = _gaps(moves, near)
        if gaps[0] <= min(NEAR, REACH * moves.expected) and moves.shrink(gaps):
            return near, f"The direction tends to a KKT point: {gaps[0]:.2g} from it {steps}, and {moves}."
    if moves.left is None:
        return None, f"Separated, but the direction is still on its way {steps}: {moves}."
    far, most = _most(point, moves.left)
    residual = _residual_near(point, far)
    if most < residual < np.inf and moves.clock[-1] >= _last_change(training.method):
        return point, f"The direction rests at no KKT point: the residual {steps} is {residual:.2g}, and {moves}."
    return None, f"Separated, but {steps} the direction is neither near a KKT point nor clearly none: {moves}."


def _last_change(method: Method) -> float:
    """The log(1 / L) from which on a method no longer changes its ways; infinite where that is not known."""
    if isinstance(method, Adam):
        return -math.log(method.eps) if method.eps else -math.inf
    return math.inf if isinstance(method, Own) else -math.inf


def _most(point: Point, left: float) -> tuple[float, float]:
    """How far a KKT point may be, relative to ||theta||, if its direction is so far off; the largest residual then.

    With G and H bounds of the margins' gradients and Hessians, m the degree, both points scaled to least margin 1: the
    scale adds G ||theta|| / m of the distance D to it.  The KKT point's multipliers, of sum ||theta||^2 / m by Euler's
    identity, leave a residual of at most D + sum(lambda) (H + G / ||theta||) D here.
    """
    network, problem = point.problem.network, point.problem
    at = evaluate(network, point.theta, problem.inputs, [sign > 0 for sign in point.signs] if network.kinked else None)
    size, degree = float(np.sqrt(2.0 * point.value)), network.degree
    first = float(np.linalg.norm(at.backward(problem.seeds)[0], axis=1).max())
    # of a product of matrices of these norms; a parameter that occurs k times adds to them as the root of k
    second = (degree - 1) * size ** max(degree - 2, 0) * float(np.linalg.norm(problem.inputs, axis=1).max())
    second *= float(np.linalg.norm(problem.seeds, axis=1).max()) * max(1.0, abs(float(network.slope))) ** network.depth
    for table, fixed, matrix in zip(network.tables, network.fixed, at.matrices, strict=True):
        times = int(np.bincount(table[table >= 0]).max())
        second *= float(np.sqrt(times)) if fixed is None else float(np.linalg.norm(matrix, 2))
    far = left * (1.0 + first * size / degree)
    return far, far * (1.0 + size * size / degree * (second + first / size))


def _residual_near(point: Point, far: float) -> float:
    """The KKT residual, with every input of a neuron that is zero at a point so far away, relative, taken for zero.

    Off a kink the residual says nothing of that on it, where there are more gradients.  Infinite where the margins are
    then no margins, or the gradients are too many.
    """
    network, problem = point.problem.network, point.problem
    if not network.kinked:
        return point.residual
    at = evaluate(network, point.theta, problem.inputs, [sign > 0 for sign in point.signs])
    size, bound, signs = float(np.sqrt(2.0 * point.value)), np.linalg.norm(problem.inputs, axis=1)[:, None], []
    for layer, a in enumerate(at.preactivations[:-1]):
        # of the layer's inputs to the neuron, and how much of it moves
        bound = bound * (size if network.trained[layer] else float(np.linalg.norm(at.matrices[layer], 2)))
        signs.append(np.where(np.abs(a) <= (layer + 1) * far * bound, 0, np.sign(a)).astype(np.int8))
    try:
        return kkt(network, problem.inputs, problem.seeds, point.theta, signs).residual
    except ValueError:
        return np.inf


def _moves(training: Training) -> Moves:
    """Between the last direction and those at a half, a quarter, ... of its log(1 / L), once they separate the data."""
    clock, rate = -training.log_loss, 2.0 ** (-HALF / training.instance.network.degree)
    found = [(float(clock[-1]), training.direction[-1], float(training.log_norm[-1]))]
    for k in range(1, DOUBLINGS + 1):
        target = clock[-1] * 0.5**k
        before = np.flatnonzero((clock <= target) & (clock > 0.0) & (training.margin > 0.0))
        if not len(before):
            break
        at = _at(training, int(before[-1]), float(target))
        # rows so far apart that c more than doubled twice between them: nothing is seen of its way in between
        if at[0] >= found[-1][0]:
            break
        found.append(at)
    ends = np.array([direction for _, direction, _ in found])
    sizes = np.linalg.norm(np.diff(ends, axis=0), axis=1).tolist()
    return Moves([c for c, *_ in found], ends, [log_norm for *_, log_norm in found], sizes, rate)


def _at(training: Training, row: int, target: float) -> tuple[float, np.ndarray, float]:
    """c, the direction and the log-norm at this c, between a row and the next; those of the row where that is far."""
    low, high = -training.log_loss[row], -training.log_loss[row + 1]
    share = float(np.log(target / low) / np.log(high / low)) if low < high <= APART * low else 0.0
    directions, norms = training.direction[row : row + 2], training.log_norm[row : row + 2]
    weights = np.array([1.0 - share, share])
    return (target if share else float(low)), weights @ directions, float(weights @ norms)


def _gaps(moves: Moves, point: Point) -> list[float]:
    """How far these directions are from that of the point."""
    theta = point.problem.network.flat(point.theta)
    return np.linalg.norm(moves.ends - theta / np.linalg.norm(theta), axis=1).tolist()
