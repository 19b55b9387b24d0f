"""What becomes of small neurons of a deeper network, or of some that share weights.

With h_i what the layer below gives a neuron, and b_i how q_i answers to the pre-activations that it feeds, both of the
limit, it moves by w' = A^T v, v' = A w with A = sum_i c_i lambda_i b_i h_i^T, c_i its gates; of neurons that share
weights the sum goes over all of them.  They grow at most at the largest singular value of A over all gates.  What other
small neurons add to h_i and b_i makes a path of several small weights: it is bounded by their present sizes, and wears
off.  Where the bound is not below 1 the neurons are followed, in steps in which their gates stand, until they grow at
one rate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Literal

import numpy as np
from scipy.linalg import expm

from harness.flow.compiled.compiling import compiled
from harness.flow.compiled.kernel import dot, entries_of
from harness.flow.kinks.gates import Gates
from harness.flow.settling.evened import Evened
from harness.flow.settling.polytope import gates_of
from harness.flow.settling.standing import EVEN, dies_standing
from harness.problem.points import Point

Fate = Literal["dies", "wakes", "unknown"]
MOST_PAIRS = 12  # of a point and a unit, whose gate choices are listed
_STEP = 0.02  # of the time in which it can grow by a factor e
_STEPS = 6000
_STEADY = 1500  # steps without a change of gates, after which the rate is read
_LAST, _EVENLY = 100, 1e-9  # over the last steps the rate varies by no more: far less than EVEN
_TINY = 1e-300  # keeps a divisor from zero


def of_rates(rates: list[float]) -> Fate:
    """What all of these rates say; NaN stands for an unknown one."""
    if all(rate < 1.0 - EVEN for rate in rates):
        return "dies"
    return "wakes" if all(rate > 1.0 + EVEN for rate in rates) else "unknown"


def members(indices: Sequence[int] | np.ndarray, size: int) -> np.ndarray:
    """Which of so many numbers are among the indices, (size,) bool."""
    out = np.zeros(size, dtype=bool)
    out[indices] = True
    return out


class Beside:
    """What the layers give and how the margins answer beside a limit.

    theta (N,): the flow; dying: its small units; multipliers (n,): the greatest that the samples may have;
    known: whether they have them.

    held: whether one has been said to die that a start next to the flow's would not keep where it is.
    """

    def __init__(
        self,
        gates: Gates,
        theta: np.ndarray,
        dying: list[int],
        settled: Point,
        multipliers: np.ndarray,
        known: bool,
    ) -> None:
        limit = gates.instance.network.flat(settled.theta)
        self.gates, self.theta, self.dying, self.multipliers, self.known = gates, theta, dying, multipliers, known
        self.held = False
        self.heard = [int(i) for i in np.flatnonzero(multipliers > 0.0)]
        self.h, self.b = _seen(gates, limit, gates_of(gates, settled), signed=True)
        # everything small at its present size, with its gates on
        scale = np.linalg.norm(limit) / np.linalg.norm(np.where(limit != 0.0, theta, 0.0))
        present = np.abs(np.where(limit != 0.0, limit, scale * theta))
        most_h, most_b = _seen(gates, present, np.full_like(gates.gates, max(abs(gates.below), 1.0)), signed=False)
        others = members(dying, self.h.shape[1])
        self.small_h, self.small_b = np.where(others, most_h, 0.0), np.where(others, most_b, 0.0)

    def fate(self, group: list[int]) -> Fate:
        """That of hidden units that are zero in the limit, all that share weights with each other."""
        kinked = self.gates.kinked
        parameters = self._parameters(group)
        if parameters is None:
            return "unknown"
        below, above = parameters
        pairs = [(i, u) for u in group for i in self.heard]
        if len({(self.gates.rows[i][0], u) for i, u in pairs}) > MOST_PAIRS:
            return "unknown"
        own_h, own_b = self._gathered(self.h, self.b, pairs, below, above)
        small_h, small_b = self._gathered(self.small_h, self.small_b, pairs, below, above)
        weights = self.multipliers[[i for i, _ in pairs]]
        slack = _slack(weights, own_h, own_b, small_h, small_b)
        if float(weights @ (np.linalg.norm(own_h, axis=1) * np.linalg.norm(own_b, axis=1))) + slack < 1.0 - EVEN:
            return "dies"
        own_h, matrices = self._by_gate(pairs, own_h, weights[:, None, None] * own_b[:, :, None] * own_h[:, None, :])
        sides = (self.gates.below, 1.0) if kinked else (1.0,)
        choices = np.array(list(product(sides, repeat=len(own_h))))
        values = np.linalg.svd(np.tensordot(choices.reshape(-1, len(own_h)), matrices, 1), compute_uv=False)
        if values.max(initial=0.0) + slack < 1.0 - EVEN:
            return "dies"
        if not kinked:
            # the second-order test has told of the living, and the small ones only wear off
            return "dies" if slack < EVEN else "unknown"
        if slack >= EVEN or not self.known:
            return "unknown"
        return of_rates([followed_rate(own_h, matrices, self.theta[below], self.theta[above], self.gates.below)])

    def dies_standing(self, unit: int, corners: np.ndarray, room: float, moved: Evened | None = None) -> bool:
        """Whether a unit dies with the gates that it has, the multipliers being anywhere between corners (c, n).

        moved: what they become, where that is less than what the corners say.
        """
        parameters = self._parameters([unit])
        if parameters is None or not len(corners):
            return False
        below, above = parameters
        pairs = [(i, unit) for i in range(len(self.h))]
        h, b = self._gathered(self.h, self.b, pairs, below, above)
        w, v, state = self.theta[below], self.theta[above], self.gates.state(unit)
        if not (w.any() or (b @ v).any()):
            return True  # no margin answers to it, and it stands still
        small = self._gathered(self.small_h, self.small_b, pairs, below, above)
        slack = _slack(corners.max(axis=0), h, b, *small)
        samples = np.array([sample for sample, _ in self.gates.rows])
        first = np.flatnonzero(np.append(True, samples[1:] != samples[:-1]))
        walls = np.add.reduceat(corners[:, :, None] * b, first, axis=1)
        betas = np.add.reduceat(moved.corners[:, :, None] * b, first, axis=1) if moved else walls
        pushed, room = ((moved.kick, moved.aside), room + moved.turned) if moved else ((0.0, 0.0), room)
        known = h[first], betas, state[first], w, v, self.gates.below, room, slack, pushed, walls
        if dies_standing(*known):
            return True
        held = float(self.gates.conserved[unit]) == 0.0 and dies_standing(*known, balanced=True)
        self.held |= held
        return held

    def _parameters(self, group: list[int]) -> tuple[np.ndarray, np.ndarray] | None:
        """The parameters into and out of the units; None where others that are not small share them."""
        net = self.gates.net
        own, small = members(group, self.h.shape[1]), members(self.dying, self.h.shape[1])
        trained = net.par >= 0
        below, above = (members(net.par[own[ends] & trained], len(self.theta)) for ends in (net.row, net.col))
        if np.any((below | above)[net.par[trained & ~small[net.row] & ~small[net.col]]]):
            return None
        return np.flatnonzero(below), np.flatnonzero(above)

    def _by_gate(
        self, pairs: list[tuple[int, int]], h: np.ndarray, matrices: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Inputs and matrices with the margins of one point added up: its gate is one."""
        gate = {(self.gates.rows[i][0], u): r for r, (i, u) in reversed(list(enumerate(pairs)))}
        first = list(gate.values())[::-1]
        total = np.zeros((len(first), *matrices.shape[1:]))
        np.add.at(total, [first.index(gate[self.gates.rows[i][0], u]) for i, u in pairs], matrices)
        return h[first], total

    def _gathered(
        self, h: np.ndarray, b: np.ndarray, pairs: list[tuple[int, int]], below: np.ndarray, above: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Of every pair (sample, unit) what its input is in the weights below, and how q answers to those above."""
        net = self.gates.net
        gathered_h, gathered_b = np.zeros((len(pairs), len(below))), np.zeros((len(pairs), len(above)))
        for r, (i, u) in enumerate(pairs):
            for e in np.flatnonzero((net.row == u) & (net.par >= 0)):
                gathered_h[r, np.searchsorted(below, net.par[e])] += h[i, net.col[e]]
            for e in np.flatnonzero((net.col == u) & (net.par >= 0)):
                gathered_b[r, np.searchsorted(above, net.par[e])] += b[i, net.row[e]]
        return gathered_h, gathered_b


def _slack(weights: np.ndarray, h: np.ndarray, b: np.ndarray, small_h: np.ndarray, small_b: np.ndarray) -> float:
    """A bound on what the other small units add to A."""
    sizes = [np.sqrt((part * part).sum(axis=1)) for part in (h, b, small_h, small_b)]
    return float(weights @ (sizes[2] * (sizes[1] + sizes[3]) + sizes[3] * sizes[0]))


def _seen(gates: Gates, theta: np.ndarray, opened: np.ndarray, *, signed: bool) -> tuple[np.ndarray, np.ndarray]:
    """What every unit gives, and how q_i answers to its pre-activation, both (n, units), under the gates opened.

    Not signed: bounds of both, from points and labels without their signs.
    """
    net, x, seeds = gates.net, gates.cell.x, gates.cell.seeds
    weights = entries_of(net, theta) if signed else np.abs(entries_of(net, theta))
    h, b = np.zeros(opened.shape), np.zeros(opened.shape)
    h[:, : x.shape[1]] = x if signed else np.abs(x)
    layers = len(net.ptr) - 1
    for layer in range(layers):
        for e in range(net.ptr[layer], net.ptr[layer + 1]):
            h[:, net.row[e]] += weights[e] * h[:, net.col[e]]
        units = slice(int(net.uptr[layer + 1]), int(net.uptr[layer + 2]))
        h[:, units] *= opened[:, units]
    b[:, net.uptr[-2] :] = seeds if signed else np.abs(seeds)
    for layer in range(layers - 1, -1, -1):
        for e in range(net.ptr[layer], net.ptr[layer + 1]):
            b[:, net.col[e]] += weights[e] * b[:, net.row[e]]
        units = slice(int(net.uptr[layer]), int(net.uptr[layer + 1]))
        b[:, units] *= opened[:, units]
    return h, b


def followed_rate(h: np.ndarray, matrices: np.ndarray, w: np.ndarray, v: np.ndarray, below: float) -> float:
    """The rate at which a neuron (w, v) grows in the end, NaN if it does not settle; h (n, d), matrices (n, r, d)."""
    step = _STEP / max(np.linalg.svd(matrices, compute_uv=False).sum(), _TINY)
    size = max(np.abs(w).max(initial=0.0), np.abs(v).max(initial=0.0))
    if size == 0.0:
        return 0.0
    state, since, now, sizes = np.append(w / size, v / size), 0, 0, np.empty(_STEPS)
    on = h @ state[: len(w)] > 0.0
    while now < _STEPS:
        since, now = now, grown_to(h, _turn(matrices, on, below, step), on, state, sizes, now)
    grown = np.log(sizes[-_LAST:]) / step
    steady = _STEPS - since > _STEADY and np.ptp(grown) <= _EVENLY
    return float(grown[-1]) if steady else float("nan")


@compiled
def grown_to(h, turn, on, state, sizes, now):
    """The step, of those that sizes (steps,) has room for, at which other gates come, or their number.

    on (n,) bool, state (d + r,), sizes: made anew from step `now` on; turn (d + r, d + r): what a step makes of states.
    """
    moved = np.empty(len(state))
    while now < len(sizes):
        turned = False
        for i in range(len(on)):
            lit = dot(h[i], state[: h.shape[1]]) > 0.0
            turned = turned or lit != on[i]
            on[i] = lit
        if turned:
            return now
        for k in range(len(state)):
            moved[k] = dot(turn[k], state)
        size = math.sqrt(dot(moved, moved))
        sizes[now] = size
        stands = True
        for k in range(len(state)):
            value = moved[k] / size
            stands = stands and value == state[k]
            state[k] = value
        now += 1
        if stands:  # to the last bit
            sizes[now:] = size
            return len(sizes)
    return now


def _turn(matrices: np.ndarray, on: np.ndarray, below: float, step: float) -> np.ndarray:
    """What a step makes of (w, v), with these gates."""
    a = matrices[on].sum(axis=0) + below * matrices[~on].sum(axis=0)
    rows, columns = a.shape
    return expm(step * np.block([[np.zeros((columns, columns)), a.T], [a, np.zeros((rows, rows))]]))
