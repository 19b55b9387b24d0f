"""The problem over one layer in floats: pre-activations and margins as linear forms in z = u^l once gates are given.

Layers, neurons and samples count from 0 here.  With several outputs a sample has several margins, its rows, and the
same gates in all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from harness.problem.evaluation import activated, evaluate
from harness.problem.places import Place
from harness.problem.points import Point


class LayerForms:
    """size: parameters of the layer.  z: the limit's own.  hidden: the number of hidden layers.

    rows: the margins of every sample.
    """

    def __init__(self, point: Point, layer: int) -> None:
        network = point.problem.network
        self.point = point
        self.layer = layer
        self.hidden = network.depth - 1
        self.kinked = network.kinked
        self.slope = float(network.slope)
        self.n = point.problem.n
        self.margins = len(point.problem.rows)
        self.rows: list[list[int]] = [[] for _ in range(self.n)]
        for row, (sample, _) in enumerate(point.problem.rows):
            self.rows[sample].append(row)
        self._first = [own[0] for own in self.rows]
        self.z = point.theta[layer]
        self.size = len(self.z)
        self.seeds = point.problem.seeds
        gates = [self.signs(k) > 0 for k in range(self.hidden)] if self.kinked else None
        at = evaluate(network, point.theta, point.problem.x_float, gates)
        self.matrices, h = at.matrices, at.inputs[layer]
        table = network.tables[layer]
        # own[i, r, k]: how pre-activation r of the layer on sample i depends on z_k
        self.own = np.einsum("ic,rck->irk", h, (table[:, :, None] == np.arange(self.size)).astype(float))

    def signs(self, layer: int) -> np.ndarray:
        """(n, width) of -1, 0, 1 in the limit."""
        return np.asarray(self.point.signs[layer])[self._first]

    def given(self) -> dict[Place, int]:
        """The gates that the limit's signs fix."""
        return {
            Place(i, k, j): int(sign > 0)
            for k in (range(self.layer, self.hidden) if self.kinked else ())
            for i, row in enumerate(self.signs(k).tolist())
            for j, sign in enumerate(row)
            if sign
        }

    def forms(
        self, sample: int, gates: Mapping[Place, int]
    ) -> tuple[list[np.ndarray | None], dict[Place, np.ndarray], list[Place]]:
        """What is linear for one sample.

        The forms of its margins, None for one that feels an open gate; the known forms of pre-activations; the open
        gates.
        """
        known: dict[Place, np.ndarray] = {}
        unclear: list[Place] = []
        a: list[np.ndarray | None] = list(self.own[sample])
        for k in range(self.layer, self.hidden):
            h: list[np.ndarray | None] = []
            for j, form in enumerate(a):
                place = Place(sample, k, j)
                if form is not None:
                    known[place] = form
                gate = gates.get(place) if self.kinked else 1
                if (gate == 0 and not self.slope) or (form is not None and not form.any()):
                    h.append(np.zeros(self.size))
                elif gate is None or form is None:
                    if gate is None and form is not None:
                        unclear.append(place)
                    h.append(None)
                else:
                    h.append(form if gate else self.slope * form)
            a = [self._mix(row, h) for row in self.matrices[k + 1]]
        return [self._mix(self.seeds[row], a) for row in self.rows[sample]], known, unclear

    def _mix(self, row: np.ndarray, h: Sequence[np.ndarray | None]) -> np.ndarray | None:
        total = np.zeros(self.size)
        for weight, form in zip(row.tolist(), h, strict=True):
            if weight:
                if form is None:
                    return None
                total = total + weight * form
        return total

    def heard(self, sample: int, gates: Mapping[Place, int]) -> list[np.ndarray]:
        """For layers layer..m-2, which neurons have a path to an output along gates that are not silent."""
        out = [np.ones(len(self.matrices[-1]), dtype=bool)]
        for k in range(self.hidden, self.layer, -1):
            above = out[0]
            if k < self.hidden and not self.slope:
                above = above & [gates.get(Place(sample, k, j)) != 0 for j in range(len(above))]
            out.insert(0, (self.matrices[k][above] != 0.0).any(axis=0))
        return out[:-1]

    def evaluate(self, z: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
        """q (R,) and the pre-activations of layers layer..m-2 at z, (n, width) each."""
        # Not by evaluate(): from this layer on, whose forms are there already.
        a = self.own @ z
        inputs: list[np.ndarray] = []
        for k in range(self.layer, self.hidden):
            inputs.append(a)
            a = (activated(self.point.problem.network, a, a > 0.0) if self.kinked else a) @ self.matrices[k + 1].T
        samples = [sample for sample, _ in self.point.problem.rows]
        return (self.seeds * a[samples]).sum(axis=1), inputs
