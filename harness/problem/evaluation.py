"""A network at theta on all points at once, forward and backward, in numpy.

The one evaluation by matrices.  The compiled code (flow), the retracer (claims/retrace) and the checker, which reads
networks.py, keep their own, so that they can disagree with it.

Arrays are of float64, or of objects, such as Fractions, and then everything is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from harness.problem.networks import Network

ROUNDING = 1e-9  # of the norms of its weights and inputs: a pre-activation below this says nothing of its sign


@dataclass(frozen=True)
class Evaluation:
    """What a forward pass leaves.  Several theta at once have further axes in front of all shapes here.

    matrices: W^1 .. W^m.  inputs: h^0 .. h^(m-1), (n, width) each.  preactivations: W^l h^(l-1) for l = 1 .. m,
    (n, width) each.  gates: a hidden layer each, (n, width), whether a neuron is on; empty for linear networks.
    """

    network: Network
    matrices: list[np.ndarray]
    inputs: list[np.ndarray]
    preactivations: list[np.ndarray]
    gates: list[np.ndarray]

    @property
    def outputs(self) -> np.ndarray:
        """Phi(theta; x_i), (n,)."""
        return self.preactivations[-1][..., 0]

    def backward(self, y: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
        """The gradients of y_i Phi(theta; x_i) in theta, (n, P), and in h^1 .. h^(m-1), (n, width) each.

        The gates are held.
        """
        back = np.asarray(y)[..., None]
        gathers = _gathers(self.network, self.outputs.dtype)
        blocks: list[np.ndarray] = []
        heights: list[np.ndarray] = []
        for layer in range(self.network.depth - 1, -1, -1):
            outer = back[..., :, None] * self.inputs[layer][..., None, :]
            blocks.append(outer.reshape(*outer.shape[:-2], -1) @ gathers[layer])
            if layer:
                back = back @ self.matrices[layer]
                heights.append(back)
                if self.gates:
                    back = back * self.gates[layer - 1]
        return np.concatenate(blocks[::-1], axis=-1), heights[::-1]


def evaluate(
    network: Network,
    theta: Sequence[Sequence[Any] | np.ndarray],
    x: Sequence[Sequence[Any]] | np.ndarray,
    gates: Sequence[np.ndarray] | None = None,
) -> Evaluation:
    """theta: a vector (..., size) a layer.  x: (n, d).

    gates: of a relu network, a hidden layer each, (n, width), true for on; None takes what is above zero.
    """
    matrices = network.matrices(theta)
    inputs, preactivations, used = [np.asarray(x)], [], []
    for layer, matrix in enumerate(matrices):
        a = inputs[-1] @ matrix.swapaxes(-1, -2)
        preactivations.append(a)
        if layer == network.depth - 1:
            break
        if network.activation == "linear":
            inputs.append(a)
            continue
        used.append(a > 0 if gates is None else gates[layer])
        # maximum passes on what is not a number, which no gate is open for
        inputs.append(np.maximum(a, 0) if gates is None else np.where(used[-1], a, 0))
    return Evaluation(network, matrices, inputs, preactivations, used)


def signs_of(
    network: Network, theta: Sequence[np.ndarray], x: np.ndarray, stated: Sequence[np.ndarray] | None = None
) -> list[np.ndarray]:
    """The signs of the hidden pre-activations in floats, an int8 array (n, width) a hidden layer.

    What is rounding has the sign that is stated, 0 where nothing is.  Layer by layer, not by `evaluate`: the sign that
    is settled in one is the gate for the next.
    """
    h, signs = x, []
    for layer, matrix in enumerate(network.matrices(theta)[:-1]):
        a = h @ matrix.T
        size = np.linalg.norm(h, axis=1)[:, None] * np.linalg.norm(matrix, axis=1)[None, :]
        rounding = np.abs(a) <= ROUNDING * size
        signs.append(np.where(rounding, 0 if stated is None else stated[layer], np.sign(a)).astype(np.int8))
        h = np.where(signs[-1] > 0, a, 0.0) if network.activation == "relu" else a
    return signs


@lru_cache(maxsize=256)
def _gathers(network: Network, dtype: np.dtype[Any]) -> list[np.ndarray]:
    """For every layer the 0/1 matrix (rows * columns, parameters) that sums the entries that share a parameter."""
    return [
        (table.reshape(-1, 1) == np.arange(size)).astype(dtype)
        for table, size in zip(network.tables, network.sizes, strict=True)
    ]
