"""A network at theta on all points at once, forward and backward, in numpy.

The one evaluation by matrices.  The compiled code (flow), the retracer (claims/retrace) and the checker, which reads
networks.py, keep their own, so that they can disagree with it.

Arrays are of float64, or of objects, such as Fractions, and then everything is exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.problem.networks import Network

ROUNDING = 1e-9  # of the norms of its weights and inputs: a pre-activation below this says nothing of its sign


@dataclass(frozen=True)
class Evaluation:
    """What a forward pass leaves.  Several theta at once have further axes in front of all shapes here.

    matrices: W^1 .. W^m.  inputs: h^0 .. h^(m-1), (n, width) each.  preactivations: W^l h^(l-1) for l = 1 .. m,
    (n, width) each.  gates: a hidden layer each, (n, width), whether a neuron is on its positive side; empty for linear
    networks.
    """

    network: Network
    matrices: list[np.ndarray]
    inputs: list[np.ndarray]
    preactivations: list[np.ndarray]
    gates: list[np.ndarray]

    @property
    def outputs(self) -> np.ndarray:
        """Phi(theta; x_i), (n, K)."""
        return self.preactivations[-1]

    def margins(self, seeds: np.ndarray) -> np.ndarray:
        """sum_k seeds_ik Phi_k(theta; x_i), (n,).  seeds: (n, K)."""
        return (seeds * self.outputs).sum(axis=-1)

    def backward(self, seeds: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
        """The gradients of these margins in the trained theta, (n, N), and in h^1 .. h^(m-1), (n, width) each.

        The gates are held.
        """
        slopes_, heights = self._descend(seeds)
        blocks = [
            _gathered(self.network, layer, back[..., :, None] * self.inputs[layer][..., None, :])
            for layer, back in enumerate(slopes_)
            if self.network.trained[layer]
        ]
        return np.concatenate(blocks, axis=-1), heights

    def heights(self, seeds: np.ndarray) -> list[np.ndarray]:
        """Their gradients in h^1 .. h^(m-1) alone, (n, width) each."""
        return self._descend(seeds)[1]

    def gradient_of_sum(self, seeds: np.ndarray) -> list[np.ndarray]:
        """The gradient of the sum of these margins, a vector (size,) a layer, nothing of size n x N on the way.

        That of a fixed layer is zero.
        """
        slopes_, _ = self._descend(seeds)
        return [
            _gathered(self.network, layer, back.T @ self.inputs[layer]) if own else np.zeros(size)
            for layer, (back, own, size) in enumerate(
                zip(slopes_, self.network.trained, self.network.sizes, strict=True)
            )
        ]

    def gradients_in_parts(self, seeds: np.ndarray, most: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The gradients of `backward`, some parameters at a time: their places in the flat theta, and (n, places).

        A part has at most about `most` numbers where no parameter of the layer is shared.
        """
        slopes_, _ = self._descend(seeds)
        network = self.network
        for layer, back in enumerate(slopes_):
            if not network.trained[layer]:
                continue
            table, inputs = network.tables[layer], self.inputs[layer]
            if network.repeated[layer]:
                found = np.zeros((network.sizes[layer], len(back)))
                for row, own in zip(table, back.T, strict=True):
                    seen = np.flatnonzero(row >= 0)
                    np.add.at(found, row[seen], own * inputs.T[seen])
                yield network.offsets[layer] + np.arange(network.sizes[layer]), found.T
                continue
            rows = max(1, most // max(1, len(back) * table.shape[1]))
            for first in range(0, len(table), rows):
                part = table[first : first + rows]
                outer = back[:, first : first + rows, None] * inputs[:, None, :]
                yield network.offsets[layer] + part[part >= 0], outer[:, part >= 0]

    def _descend(self, seeds: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """The gradients in the pre-activations of every layer, and in h^1 .. h^(m-1), (n, width) each."""
        back = np.asarray(seeds)
        backs, heights = [back], []
        for layer in range(self.network.depth - 1, 0, -1):
            back = back @ self.matrices[layer]
            heights.append(back)
            if self.gates:
                back = back * slopes(self.network, self.gates[layer - 1], back.dtype)
            backs.append(back)
        return backs[::-1], heights[::-1]


def evaluate(
    network: Network,
    theta: Sequence[Sequence[Any] | np.ndarray],
    x: Sequence[Sequence[Any]] | np.ndarray,
    gates: Sequence[np.ndarray] | None = None,
) -> Evaluation:
    """theta: a vector (..., size) a layer.  x: (n, d).

    gates: where there are kinks, a hidden layer each, (n, width), true for the positive side; None takes what is above
    zero.
    """
    matrices = network.matrices(theta)
    inputs, preactivations, used = [np.asarray(x)], [], []
    for layer, matrix in enumerate(matrices):
        a = inputs[-1] @ matrix.swapaxes(-1, -2)
        preactivations.append(a)
        if layer == network.depth - 1:
            break
        if not network.kinked:
            inputs.append(a)
            continue
        used.append(a > 0 if gates is None else np.asarray(gates[layer], dtype=bool))
        inputs.append(activated(network, a, used[-1]))
    return Evaluation(network, matrices, inputs, preactivations, used)


def slopes(network: Network, gates: np.ndarray, dtype: Any) -> np.ndarray:
    """The slope of the activation for every gate, in the number type of the arrays that it goes with."""
    below: Any = network.slope if np.dtype(dtype).hasobject else float(network.slope)
    return np.where(gates, 1, below).astype(dtype)


def activated(network: Network, a: np.ndarray, gates: np.ndarray) -> np.ndarray:
    """The activation of pre-activations with these gates."""
    if not network.slope:
        # not times zero: what is not a number or infinite is passed on by an open gate alone
        return np.where(gates | (a != a), a, 0)
    below: Any = network.slope if a.dtype.hasobject else float(network.slope)
    return np.where(gates, a, a * below)


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
        h = np.where(signs[-1] == 0, 0.0, activated(network, a, signs[-1] > 0)) if network.kinked else a
    return signs


def _gathered(network: Network, layer: int, entries: np.ndarray) -> np.ndarray:
    """What belongs to the entries of a matrix, (..., rows, columns), summed over those that share a parameter."""
    order, starts = network.places[layer]
    listed = entries.reshape(*entries.shape[:-2], -1)[..., order]
    return np.add.reduceat(listed, starts, axis=-1) if network.repeated[layer] else listed
