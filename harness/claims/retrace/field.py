"""The flow's right-hand side once more, in numpy and for many theta at once, sharing no code with the trainer.

    d theta / d sigma = rho^(2-m) sum_i p_i grad q_i,      rho = ||theta||,  p_i ~ -loss'(q_i),

with gates 1[pre > 0] that are rounded off within WIDTH of a kink: across such a layer the field takes every value
between its two sides, so that the solution crosses the kink or slides along it as the inclusion does (Filippov,
Differential Equations with Discontinuous Righthand Sides, section 7).

A hidden neuron's size is the norm of all weights into it and out of it.  What is said of a weight is relative to its
own neuron, the smaller one where it joins two: a small neuron moves, by itself, as fast as a large one.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

if TYPE_CHECKING:
    from harness.problem.instances import Instance

Array = np.ndarray
WIDTH = 1e-6  # of a rounded kink, relative to |W| |h| or a hundredth of what its neuron can make of a point
LANDED = 1e-10  # a pre-activation this small, of what its neuron can make of a point, is on its kink
LEAST = 1e-30  # of ||theta||: a smaller neuron counts as so large


class Field:
    """The right-hand side above, and what it is made of, at theta (B, N)."""

    def __init__(self, instance: Instance) -> None:
        network = instance.network
        self.depth = network.depth
        self.relu = network.activation == "relu" and network.depth > 1
        self.logistic = instance.loss == "logistic"
        self.x, self.y = instance.x_float, instance.y_float
        self.reach = np.linalg.norm(self.x, axis=1)[:, None]
        ends = np.cumsum((0, *network.sizes))
        self.parts = [slice(a, b) for a, b in pairwise(ends)]
        self.size = int(ends[-1])
        self.shapes = [(len(p), len(p[0])) for p in network.patterns]
        # which parameter an entry of the matrix is, one row an entry: 0 / 1
        self.entries = [
            np.equal.outer(np.ravel(p), np.arange(size)).astype(float)
            for p, size in zip(network.patterns, network.sizes, strict=True)
        ]
        self.touches = [self._touches(layer) for layer in range(self.depth - 1)]

    def _touches(self, layer: int) -> Array:
        """Which parameters lead into and out of each unit of a hidden layer, (units, N) of 0 / 1."""
        out = np.zeros((self.shapes[layer][0], self.size))
        for side, axis in ((layer, 1), (layer + 1, 0)):
            used = self.entries[side].reshape(*self.shapes[side], -1)
            out[:, self.parts[side]] = used.max(axis=axis)
        return out

    def matrices(self, theta: Array) -> list[Array]:
        """The layers' matrices, each (B, rows, columns)."""
        return [
            (theta[:, part] @ entries.T).reshape(len(theta), *shape)
            for part, entries, shape in zip(self.parts, self.entries, self.shapes, strict=True)
        ]

    def margins(self, theta: Array) -> Array:
        """q (B, n)."""
        h = self.x[None]
        for layer, w in enumerate(self.matrices(theta)):
            h = h @ w.transpose(0, 2, 1)
            if self.relu and layer < self.depth - 1:
                h = np.maximum(h, 0.0)
        return self.y * h[:, :, 0]

    def preactivations(self, theta: Array) -> list[tuple[Array, Array]]:
        """Of every hidden layer the pre-activations W h and the bound |W| |h| on them, both (B, n, units)."""
        h, found = self.x[None], []
        for w in self.matrices(theta)[:-1]:
            pre = h @ w.transpose(0, 2, 1)
            found.append((pre, np.abs(h) @ np.abs(w).transpose(0, 2, 1)))
            h = np.maximum(pre, 0.0) if self.relu else pre
        return found

    def neurons(self, theta: Array) -> list[Array]:
        """The sizes of the neurons, (B, units) a hidden layer."""
        return [np.sqrt((theta * theta) @ touches.T) for touches in self.touches]

    def sizes(self, theta: Array) -> Array:
        """Of every parameter the size of its neuron, (B, N), and at least LEAST of the norm."""
        norm = np.linalg.norm(theta, axis=1)[:, None]
        least = np.repeat(norm, self.size, axis=1)
        for touches, sizes in zip(self.touches, self.neurons(theta), strict=True):
            least = np.minimum(least, np.where(touches > 0.0, sizes[:, :, None], np.inf).min(axis=1))
        return np.maximum(least, LEAST * norm)

    def widths(self, ends: Array, landed: float) -> list[Array]:
        """How wide every kink is rounded, (n, units) a hidden layer, on a step between the rows ends (2, N).

        A pre-activation that is clearly on one side at both ends, further than `landed` from the kink, keeps its gate.
        """
        if not self.relu:
            return []
        norm = np.linalg.norm(ends, axis=1).max()
        found = []
        for layer, ((pre, bound), sizes) in enumerate(zip(self.preactivations(ends), self.neurons(ends), strict=True)):
            own = sizes.max(axis=0) * norm**layer * self.reach
            width = np.maximum(WIDTH * np.maximum(bound.max(axis=0), 1e-2 * own), 1e-300)
            near = np.abs(pre).min(axis=0)
            clear = (pre[0] * pre[1] > 0.0) & (near > landed * own)
            found.append(np.where(clear, np.minimum(width, 0.02 * near), width))
        return found

    def __call__(self, theta: Array, widths: list[Array]) -> Array:
        """d theta / d sigma (B, N)."""
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
