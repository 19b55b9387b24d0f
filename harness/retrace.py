"""A recorded flow once more, step by step, by an integrator that shares no code with the trainer.

From every recorded row the flow is followed to the next one by LSODA (scipy), along

    d theta / d sigma = rho^(2-m) sum_i p_i grad q_i,      rho = ||theta||,  p_i ~ -loss'(q_i),

in numpy, with gates 1[pre > 0] that are rounded off within WIDTH of a kink: across such a layer the field takes every
value between its two sides, so that the solution crosses the kink or slides along it as the inclusion does (Filippov,
Differential Equations with Discontinuous Righthand Sides, section 7).  What counts is the distance of the next row
from that solution as a curve of directions and log-norms, not the time at which it comes by.

Where part of the log-norm is booked, the softmax is held at the inverse temperature of the norm without it; that is
the flow up to 1 / (margin at which it is held), which has to be at least LEAST_HELD.
"""

from __future__ import annotations

import warnings
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy.integrate import solve_ivp
from scipy.special import expit

if TYPE_CHECKING:
    from harness.instances import Instance
    from harness.limits import Limit

Array = np.ndarray
WIDTH = 1e-6  # of a rounded kink, relative to |W| |h| or a thousandth of ||theta||^l ||x||
LANDED = 1e-10  # a pre-activation this small, relative to ||theta||^l ||x||, is on its kink
LEAST_HELD = 2e3
RTOL = 1e-7
MOST_EVALUATIONS = 4000  # of the field, in one step
GOOD = 2e-5  # a step as close as this needs no second look


class _TooFar(Exception):
    pass


class Field:
    """The right-hand side above for many theta at once."""

    def __init__(self, instance: Instance) -> None:
        network = instance.network
        self.depth, self.relu = network.depth, network.activation == "relu"
        self.logistic = instance.loss == "logistic"
        self.x, self.y = instance.x_float, instance.y_float
        ends = np.cumsum((0, *network.sizes))
        self.parts = [slice(a, b) for a, b in pairwise(ends)]
        self.size = int(ends[-1])
        self.shapes = [(len(p), len(p[0])) for p in network.patterns]
        # which parameter an entry of the matrix is, one row an entry: 0 / 1
        self.entries = [
            np.equal.outer(np.ravel(p), np.arange(size)).astype(float)
            for p, size in zip(network.patterns, network.sizes, strict=True)
        ]

    def matrices(self, theta: Array) -> list[Array]:
        """The layers' matrices, each (B, rows, columns), of theta (B, N)."""
        return [
            (theta[:, part] @ entries.T).reshape(len(theta), *shape)
            for part, entries, shape in zip(self.parts, self.entries, self.shapes, strict=True)
        ]

    def margins(self, theta: Array) -> Array:
        """q (B, n) of theta (B, N)."""
        h = self.x[None]
        for layer, w in enumerate(self.matrices(theta)):
            h = h @ w.transpose(0, 2, 1)
            if self.relu and layer < self.depth - 1:
                h = np.maximum(h, 0.0)
        return self.y * h[:, :, 0]

    def widths(self, ends: Array, landed: float) -> list[Array]:
        """How wide every kink is rounded, (n, units) a hidden layer, on a step between the rows ends (2, N).

        A pre-activation that is clearly on one side at both ends, further than `landed` from the kink, keeps its gate.
        """
        reach = np.linalg.norm(self.x, axis=1)[:, None]
        norm = np.linalg.norm(ends, axis=1).max()
        h, found = self.x[None], []
        for layer, w in enumerate(self.matrices(ends)[:-1]):
            pre = h @ w.transpose(0, 2, 1)
            unit = norm ** (layer + 1) * reach
            width = WIDTH * np.maximum((np.abs(h) @ np.abs(w).transpose(0, 2, 1)).max(axis=0), 1e-3 * unit)
            near = np.abs(pre).min(axis=0)
            clear = (pre[0] * pre[1] > 0.0) & (near > landed * unit)
            found.append(np.where(clear, np.minimum(width, 0.02 * near), width))
            h = np.maximum(pre, 0.0)
        return found

    def __call__(self, theta: Array, widths: list[Array]) -> Array:
        """d theta / d sigma (B, N) at theta (B, N)."""
        weights = self.matrices(theta)
        inputs, gates = [np.broadcast_to(self.x, (len(theta), *self.x.shape))], []
        for layer, w in enumerate(weights):
            pre = inputs[-1] @ w.transpose(0, 2, 1)
            if self.relu and layer < self.depth - 1:
                gates.append(expit(pre / widths[layer]))
                pre = np.maximum(pre, 0.0)
            inputs.append(pre)
        q = self.y * inputs.pop()[:, :, 0]
        log_p = -np.logaddexp(0.0, q) if self.logistic else -q
        p = np.exp(log_p - log_p.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        scale = np.linalg.norm(theta, axis=1)[:, None] ** (2 - self.depth)
        back = (scale * p * self.y)[:, :, None]
        out = np.empty_like(theta)
        for layer in range(self.depth - 1, -1, -1):
            gradient = back.transpose(0, 2, 1) @ inputs[layer]
            out[:, self.parts[layer]] = gradient.reshape(len(theta), -1) @ self.entries[layer]
            if layer:
                back = back @ weights[layer]
                if self.relu:
                    back = back * gates[layer - 1]
        return out


def detour(limit: Limit) -> float | None:
    """The sum, over all recorded steps, of how far the next row is from the flow through the row before.

    In the norm of (direction, log-norm); infinite where the softmax is held too early.  None where a step took too
    many evaluations to follow.  limit: with its path.
    """
    path = limit.path
    assert path is not None, "only a recorded flow can be followed once more"
    kept = np.isfinite(path["log_norm"])
    log_norm, sigma, direction, booked = (path[key][kept] for key in ("log_norm", "sigma", "direction", "booked"))
    field = Field(limit.instance)
    theta = np.exp(log_norm - booked)[:, None] * direction
    if np.any((booked > 0.0) & (field.margins(theta).min(axis=1) < LEAST_HELD)):
        return np.inf
    total = 0.0
    for k in np.flatnonzero(np.diff(sigma) > 0.0):
        step = _Step(field, theta[k : k + 2], float(sigma[k + 1] - sigma[k]), bool(booked[k + 1] > booked[k]))
        target = np.append(direction[k + 1], log_norm[k + 1] - log_norm[k])
        widths = field.widths(step.ends, LANDED) if field.relu else []
        off = step.distance(target, widths)
        if off is None or off > GOOD:
            # what comes so close to a kink may still be on its side of it
            strict = field.widths(step.ends, 0.0) if field.relu else []
            if any((a != b).any() for a, b in zip(widths, strict, strict=True)):
                off = min((d for d in (off, step.distance(target, strict)) if d is not None), default=None)
        if off is None:
            return None
        total += off
    return total


class _Step:
    """One step of the record: ends (2, N), its length in sigma, and whether the softmax is held on it."""

    def __init__(self, field: Field, ends: Array, length: float, held: bool) -> None:
        self.field, self.ends, self.length, self.held = field, ends, length, held

    def distance(self, target: Array, widths: list[Array]) -> float | None:
        """How far the target, (direction, growth of the log-norm), is from the solution through the first end."""
        size, start = self.field.size, self.ends[0]
        self.evaluations = 0
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # LSODA's, about steps that the status reports too
                solution = solve_ivp(
                    lambda _, state: self._rates(state[None], widths)[0],
                    (0.0, self.length), np.append(start, 0.0), method="LSODA", rtol=RTOL,
                    atol=1e-2 * RTOL * np.linalg.norm(start), jac=lambda _, state: self._jacobian(state, widths),
                )  # fmt: skip
        except _TooFar:
            return None
        if solution.status != 0:
            return None
        states = solution.y.T
        # and on for a hundredth of the step, since the solution may come by a little later
        states = np.vstack([states, states[-1] + 0.01 * self.length * self._rates(states[-1:], widths)[0]])
        norms = np.linalg.norm(states[:, :size], axis=1)
        growth = states[:, size] + np.log(norms / norms[0])
        return _distance_to_polyline(np.column_stack([states[:, :size] / norms[:, None], growth]), target)

    def _rates(self, states: Array, widths: list[Array]) -> Array:
        """Of (theta, booked), (B, N + 1): where the softmax is held, all growth of the norm is booked."""
        self.evaluations += 1
        if self.evaluations > MOST_EVALUATIONS:
            raise _TooFar
        theta = states[:, : self.field.size]
        rate = self.field(theta, widths)
        grows = np.zeros(len(theta))
        if self.held:
            grows = (rate * theta).sum(axis=1) / (theta * theta).sum(axis=1)
        return np.column_stack([rate - grows[:, None] * theta, grows])

    def _jacobian(self, state: Array, widths: list[Array]) -> Array:
        """By central differences, all in one call; the last column, of what is booked, is zero."""
        size = self.field.size
        h = 3e-9 * np.linalg.norm(state[:size])
        steps = h * np.eye(size, size + 1)
        rates = self._rates(np.vstack([state + steps, state - steps]), widths)
        return np.column_stack([(rates[:size] - rates[size:]).T / (2.0 * h), np.zeros(size + 1)])


def _distance_to_polyline(points: Array, target: Array) -> float:
    start, along = points[:-1], np.diff(points, axis=0)
    squares = np.maximum((along * along).sum(axis=1), 1e-300)
    share = np.clip(((target - start) * along).sum(axis=1) / squares, 0.0, 1.0)
    return float(np.linalg.norm(start + share[:, None] * along - target, axis=1).min())
