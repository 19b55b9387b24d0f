"""The flow's right-hand side once more, in numpy and for many theta at once, sharing no code with the trainer.

    d theta / d sigma = rho^(2-D) sum_r p_r grad q_r,      rho = ||theta||,

where theta are the parameters that are trained, D the number of their layers, and r the margins.  p_r is, up to a
factor, exp(-q_r) for the exponential loss and exp(-q_r) / (1 + sum over the same point's margins of exp(-q)) for the
logistic one.  The slope of the activation goes from one of its values to the other within WIDTH of a kink: across such
a layer the field takes every value between its two sides, so that the solution crosses the kink or slides along it as
the inclusion does (Filippov, Differential Equations with Discontinuous Righthand Sides, section 7).

A hidden neuron's size is the norm of all weights into it and out of it.  What is said of a weight is relative to its
own neuron, the smaller one where it joins two: a small neuron moves, by itself, as fast as a large one.  That is not so
where the weights on one of its sides are fixed: it moves as all others do, and counts as large as they together.
"""

from __future__ import annotations

from math import prod
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
        self.depth, self.degree = network.depth, network.degree
        self.kinked, self.slope = network.kinked, float(network.slope)
        self.logistic = instance.loss == "logistic"
        self.x = instance.x_float
        # what the outputs are multiplied by in every margin of a point: (n, margins of a point, outputs)
        self.seeds = instance.problem.seeds.reshape(len(self.x), -1, network.outputs)
        self.reach = np.linalg.norm(self.x, axis=1)[:, None]
        self.trained = network.trained
        ends = np.cumsum([0] + [size if own else 0 for size, own in zip(network.sizes, self.trained, strict=True)])
        self.parts = [slice(int(end), int(end) + size) for end, size in zip(ends, network.sizes, strict=False)]
        self.size = int(ends[-1])
        self.shapes = [(len(p), len(p[0])) for p in network.patterns]
        # which parameter an entry of the matrix is, one row an entry: 0 / 1
        self.entries = [
            np.equal.outer(np.ravel(p), np.arange(size)).astype(float)
            for p, size in zip(network.patterns, network.sizes, strict=True)
        ]
        self.constants = [
            None if own else (np.array([float(a) for a in u]) @ entries.T).reshape(shape)
            for u, own, entries, shape in zip(instance.theta0, self.trained, self.entries, self.shapes, strict=True)
        ]
        self.touches = [self._touches(layer) for layer in range(self.depth - 1)]

    def _touches(self, layer: int) -> Array:
        """Which parameters lead into and out of each unit of a hidden layer, (units, N) of 0 / 1."""
        out = np.zeros((self.shapes[layer][0], self.size))
        for side, axis in ((layer, 1), (layer + 1, 0)):
            if not self.trained[side]:
                continue
            used = self.entries[side].reshape(*self.shapes[side], -1)
            out[:, self.parts[side]] = used.max(axis=axis)
        return out

    def matrices(self, theta: Array) -> list[Array]:
        """The layers' matrices, each (B, rows, columns)."""
        return [
            (theta[:, part] @ entries.T).reshape(len(theta), *shape)
            if constant is None
            else np.broadcast_to(constant, (len(theta), *shape))
            for part, entries, shape, constant in zip(
                self.parts, self.entries, self.shapes, self.constants, strict=True
            )
        ]

    def activated(self, pre: Array) -> Array:
        """What a hidden layer makes of its pre-activations."""
        if not self.kinked:
            return pre
        return np.where(pre > 0.0, pre, self.slope * pre) if self.slope else np.maximum(pre, 0.0)

    def margins(self, theta: Array) -> Array:
        """q (B, R)."""
        h = self.x[None]
        for layer, w in enumerate(self.matrices(theta)):
            h = h @ w.transpose(0, 2, 1)
            if layer < self.depth - 1:
                h = self.activated(h)
        return self._margins(h).reshape(len(theta), -1)

    def _margins(self, outputs: Array) -> Array:
        """q of outputs (B, n, K), (B, n, margins of a point)."""
        if self.seeds.shape[1:] == (1, 1):
            return self.seeds[:, 0] * outputs
        return (self.seeds * outputs[:, :, None, :]).sum(axis=-1)

    def preactivations(self, theta: Array) -> list[tuple[Array, Array]]:
        """Of every hidden layer the pre-activations W h and the bound |W| |h| on them, both (B, n, units)."""
        h, found = self.x[None], []
        for w in self.matrices(theta)[:-1]:
            pre = h @ w.transpose(0, 2, 1)
            found.append((pre, np.abs(h) @ np.abs(w).transpose(0, 2, 1)))
            h = self.activated(pre)
        return found

    def neurons(self, theta: Array) -> list[Array]:
        """The sizes of the neurons, (B, units) a hidden layer."""
        norm = np.linalg.norm(theta, axis=1)[:, None]
        return [
            np.sqrt((theta * theta) @ touches.T)
            if self.trained[layer] and self.trained[layer + 1]
            else np.repeat(norm, len(touches), axis=1)
            for layer, touches in enumerate(self.touches)
        ]

    def spans(self, theta: Array) -> list[Array]:
        """What each hidden unit can make of inputs of norm 1, (B, units) a hidden layer, but for layers that grow.

        That is the size of its neuron, or the norm of its weights where these are fixed, times the norms of the fixed
        layers below.
        """
        fixed = [1.0 if constant is None else float(np.linalg.norm(constant)) for constant in self.constants]
        found = []
        for layer, sizes in enumerate(self.neurons(theta)):
            constant = self.constants[layer]
            own = sizes if constant is None else np.tile(np.linalg.norm(constant, axis=1), (len(theta), 1))
            found.append(own * prod(fixed[:layer]))
        return found

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
        if not self.kinked:
            return []
        norm = np.linalg.norm(ends, axis=1).max()
        found = []
        for layer, ((pre, bound), spans) in enumerate(zip(self.preactivations(ends), self.spans(ends), strict=True)):
            own = spans.max(axis=0) * norm ** sum(self.trained[:layer]) * self.reach
            width = np.maximum(WIDTH * np.maximum(bound.max(axis=0), 1e-2 * own), 1e-300)
            near = np.abs(pre).min(axis=0)
            clear = (pre[0] * pre[1] > 0.0) & (near > landed * own)
            found.append(np.where(clear, np.minimum(width, 0.02 * near), width))
        return found

    def __call__(self, theta: Array, widths: list[Array]) -> Array:
        """d theta / d sigma (B, N)."""
        weights = self.matrices(theta)
        inputs, gates = [self.x[None]], []
        for layer, w in enumerate(weights):
            pre = inputs[-1] @ w.transpose(0, 2, 1)
            if self.kinked and layer < self.depth - 1:
                gate = expit(pre / widths[layer])
                gates.append(self.slope + (1.0 - self.slope) * gate if self.slope else gate)
            inputs.append(self.activated(pre) if layer < self.depth - 1 else pre)
        p = self._weights(self._margins(inputs.pop()))
        if self.degree != 2:
            p = p * np.sqrt((theta * theta).sum(axis=1))[:, None, None] ** (2 - self.degree)
        back = p * self.seeds[:, 0] if self.seeds.shape[1] == 1 else (p[..., None] * self.seeds).sum(axis=2)
        out = np.empty_like(theta)
        for layer in range(self.depth - 1, -1, -1):
            if self.trained[layer]:
                gradient = back.transpose(0, 2, 1) @ inputs[layer]
                out[:, self.parts[layer]] = gradient.reshape(len(theta), -1) @ self.entries[layer]
            if layer:
                back = back @ weights[layer]
                if self.kinked:
                    back = back * gates[layer - 1]
        return out

    def _weights(self, q: Array) -> Array:
        """p of margins (B, n, margins of a point), of sum 1 and the same shape."""
        log_p = -q
        if self.logistic:
            # the loss of a point is that of one margin, the soft minimum of its own
            least = q.min(axis=2, keepdims=True)
            # scipy's logsumexp takes half the time of a step
            least = least - np.log(np.exp(least - q).sum(axis=2, keepdims=True))
            log_p = -np.logaddexp(0.0, least) + (least - q)
        p = np.exp(log_p - log_p.max(axis=(1, 2), keepdims=True))
        return p / p.sum(axis=(1, 2), keepdims=True)
