"""A recorded flow followed once more, step by step, by LSODA along the field of field.py.

The first step begins at the instance's own start, every other at its row.  What counts is the distance of the next row
from that solution as a curve of directions and log-norms, not the time at which it comes by; every weight relative to
the norm, or to OWN times its own neuron where that is less.  A neuron that dies by many orders of magnitude may do so
at a rate that is a little off: SLOW is forgiven it for each factor of e.

Where part of the log-norm is booked, the softmax is held at the inverse temperature of the norm without it; that is
the flow up to 1 / (margin at which it is held), which has to be at least LEAST_HELD.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.claims.retrace.field import LANDED, LEAST, Array, Field
from harness.claims.retrace.lsoda import follow

LEAST_HELD = 2e3
OWN = 10.0  # neurons: a trainer that keeps its errors small beside the norm follows a small one less closely
SLOW = 4e-4  # 0.4 % of the neuron's size, on the scale above
GOOD = 2e-5  # a step as close as this needs no second look
FAR = 1e-2  # steps as far off as this together are, whatever one says of which floats have lost a weight
# A start on a kink: starts beside it, by some widths of a rounded kink, are followed until the record has gone ON in
# direction or log-norm.  Where they are PARTED then, and with all widths each CLOSER part by STILL as much or more,
# more than one solution departs: one solution also parts its neighbours by what it stretches, but in proportion.  A
# kink this narrow may be integrated badly once.
BESIDE, ON, PARTED, CLOSER, STILL = 3e-6, 0.02, 1e-3, (1e-4, 1e-5, 1e-6), 0.5
ROUNDED = 0.02  # of a kink's width, lest starts beside it on the off side be carried over by the tail of its rounding
WEIGHS = 16.0  # of the margin: a sample that is so much farther off weighs 1e-7 of the nearest


@dataclass(frozen=True)
class Rows:
    """log_norm, sigma, booked (T,), direction (T, N): a recorded path, as in Limit."""

    log_norm: Array
    sigma: Array
    direction: Array
    booked: Array

    @property
    def theta(self) -> Array:
        """(T, N), at the inverse temperature of the softmax."""
        return np.exp(self.log_norm - self.booked)[:, None] * self.direction

    @property
    def lost(self) -> Array:
        """Of every row whether a weight is so small that floats have lost it, and was not always, (T,)."""
        sizes = np.abs(self.direction)
        return np.any((sizes < LEAST) & (np.maximum.accumulate(sizes) >= LEAST), axis=1)

    @property
    def ordered(self) -> bool:
        """Whether neither sigma nor what is booked goes back, and all is finite."""
        columns = (self.log_norm, self.sigma, self.booked)
        forward = all((np.diff(a) >= 0.0).all() for a in columns[1:])
        return forward and all(np.isfinite(a).all() for a in (*columns, self.direction))


def detour(field: Field, rows: Rows, start: Array) -> float | None:
    """The sum, over all recorded steps, of how far the next row is from the flow through the row before.

    start (N,): theta0, in the place of the first row.  Infinite where the softmax is held too early.  None where a step
    took too many evaluations to follow, or begins where a weight has become so small that floats have lost it: on a
    kink its sign decides whether the flow stays.
    """
    theta = rows.theta
    theta[0] = start
    if np.any((rows.booked > 0.0) & (field.margins(theta).min(axis=1) < LEAST_HELD)):
        return np.inf
    lost, moves = rows.lost, np.linalg.norm(np.diff(rows.direction, axis=0), axis=1)
    total, unknown = 0.0, False
    for k in range(len(theta) - 1):
        length, held = float(rows.sigma[k + 1] - rows.sigma[k]), bool(rows.booked[k + 1] > rows.booked[k])
        step = _Step(field, theta[k : k + 2], length, held)
        target = np.append(rows.direction[k + 1], rows.log_norm[k + 1] - rows.log_norm[k])
        widths = field.widths(step.ends, LANDED)
        off = step.distance(target, widths)
        if off is None or off > GOOD:
            # what comes so close to a kink may still be on its side of it
            strict = field.widths(step.ends, 0.0)
            if any((a != b).any() for a, b in zip(widths, strict, strict=True)):
                off = min((d for d in (off, step.distance(target, strict)) if d is not None), default=None)
        if off is None:
            return None
        if lost[k] and off > GOOD:
            # that the flow leaves where the record stands says nothing then; that the record moves does
            unknown, off = True, min(off, float(moves[k]))
        total += off
    return None if unknown and total < FAR else total


def branches(field: Field, rows: Rows, start: Array) -> bool | None:
    """Whether more than one solution departs from a start on a kink: the flows from beside it part at once.

    An inclusion whose solution is unique has it depend on the start continuously.  None where they part, but a sample
    weighs next to nothing: alone it may lead back to the kink, which takes longer from the nearest start beside it.
    """
    layers = field.preactivations(start[None]) if field.kinked else []
    if not any((np.abs(pre) <= 1e-13 * bound).any() for pre, bound in layers):
        return False
    gone = np.hypot(np.linalg.norm(rows.direction - rows.direction[0], axis=1), rows.log_norm - rows.log_norm[0]) > ON
    end = int(np.argmax(gone)) if gone.any() else len(gone) - 1
    step = _Step(field, np.array([start, rows.theta[end]]), float(rows.sigma[end] - rows.sigma[0]), False)

    def parted(part: float) -> float:
        return step.parted(BESIDE * part, [ROUNDED * part * w for w in field.widths(step.ends, LANDED)])

    far = max(PARTED, STILL * parted(1.0))
    if not all(parted(part) > far for part in CLOSER):
        return False
    margins = field.margins(start[None])
    return True if np.ptp(margins) < WEIGHS else None


class _Step:
    """One step of the record: ends (2, N), its length in sigma, and whether the softmax is held on it."""

    def __init__(self, field: Field, ends: Array, length: float, held: bool) -> None:
        self.field, self.ends, self.length, self.held = field, ends, length, held

    def states(self, start: Array, widths: list[Array]) -> Array | None:
        """(theta, booked) along the solution from a start, (T, N + 1)."""
        if not self.length:
            return np.append(start, 0.0)[None]
        sizes = np.append(self.field.sizes(self.ends).max(axis=0), 1.0)
        return follow(lambda states: self._rates(states, widths), np.append(start, 0.0), self.length, sizes)

    def parted(self, beside: float, widths: list[Array]) -> float:
        """How far the solutions from beside the first end, by so much of each neuron, are apart in the end."""
        sizes = self.field.sizes(self.ends).max(axis=0)
        moves = beside * sizes * np.random.default_rng(0).standard_normal((3, self.field.size))
        found = [self.states(self.ends[0] + move, widths) for move in (*moves, *-moves)]
        ends = np.array([states[-1, : self.field.size] for states in found if states is not None])
        return max((float(np.linalg.norm((ends - one) / sizes, axis=1).max()) for one in ends), default=0.0)

    def distance(self, target: Array, widths: list[Array]) -> float | None:
        """How far the target, (direction, growth of the log-norm), is from the solution through the first end."""
        size = self.field.size
        states = self.states(self.ends[0], widths)
        if states is None:
            return None
        # and on for a hundredth of the step, since the solution may come by a little later
        states = np.vstack([states, states[-1] + 0.01 * self.length * self._rates(states[-1:], widths)[0]])
        norms = np.linalg.norm(states[:, :size], axis=1)
        growth = states[:, size] + np.log(norms / norms[0])
        points = np.column_stack([states[:, :size] / norms[:, None], growth])
        sizes = self.field.sizes(self.ends / np.linalg.norm(self.ends, axis=1)[:, None])
        own = np.append(np.minimum(OWN * sizes.max(axis=0), 1.0), 1.0)
        forgiven = np.append(SLOW * np.abs(np.log(sizes[1] / sizes[0])), 0.0)
        off = np.maximum(np.abs(_to_polyline(points / own, target / own)) - forgiven, 0.0)
        return float(max(np.linalg.norm(off), np.linalg.norm(_to_polyline(points, target))))

    def _rates(self, states: Array, widths: list[Array]) -> Array:
        """Of (theta, booked), (B, N + 1): where the softmax is held, all growth of the norm is booked."""
        theta = states[:, : self.field.size]
        rate = self.field(theta, widths)
        grows = np.zeros(len(theta))
        if self.held:
            grows = (rate * theta).sum(axis=1) / (theta * theta).sum(axis=1)
        return np.column_stack([rate - grows[:, None] * theta, grows])


def _to_polyline(points: Array, target: Array) -> Array:
    """From the target (D,) to the nearest point of the polyline through points (T, D), (D,)."""
    start, along = points[:-1], np.diff(points, axis=0)
    squares = np.maximum((along * along).sum(axis=1), 1e-300)
    share = np.clip(((target - start) * along).sum(axis=1) / squares, 0.0, 1.0)
    away = start + share[:, None] * along - target
    return away[np.argmin((away * away).sum(axis=1))]
