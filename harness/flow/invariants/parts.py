"""Some hidden units of a network of two layers as a network of their own, with the parameters that they have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.flow.compiled.kernel import Wiring
from harness.flow.invariants.modular import Residues, flat_normals


@dataclass(frozen=True)
class Part:
    """net: that network; parameters: which of the whole one its own are; units: the same of all of its units."""

    net: Wiring
    parameters: np.ndarray
    units: np.ndarray

    def cell(self, whole: Residues) -> Residues:
        """Its residues, of those of the whole network."""
        return whole._replace(net=self.net, value=np.zeros(len(self.net.par), dtype=np.int64))

    def normals(self, whole: Residues, pairs: np.ndarray) -> np.ndarray:
        """The normals (s, own parameters) of flat kinks, pairs (s, 2) of a sample and one of its hidden units."""
        places = pairs + np.array([0, self.net.uptr[1]])
        return flat_normals(self.net, whole.x, places, len(self.parameters), whole.prime)


def part_of(net: Wiring, units: Sequence[int]) -> Part:
    """That of these hidden units of a network of two layers without shared weights."""
    inputs, outputs = int(net.uptr[1]), int(net.uptr[3] - net.uptr[2])
    kept = np.array([*range(inputs), *units, *range(int(net.uptr[2]), int(net.uptr[3]))])
    place = np.full(int(net.uptr[3]), -1)
    place[kept] = np.arange(len(kept))
    entries = np.flatnonzero((place[net.row] >= 0) & (place[net.col] >= 0))
    parameters, numbers = np.unique(net.par[entries], return_inverse=True)
    row, first = place[net.row[entries]], int((entries < net.ptr[1]).sum())
    uptr = np.cumsum([0, inputs, len(units), outputs])
    into = np.searchsorted(row, np.arange(len(kept) + 1))
    return Part(
        net._replace(
            row=row, col=place[net.col[entries]], par=numbers.reshape(-1), value=np.zeros(len(entries)),
            ptr=np.array([0, first, len(entries)]), into=into, uptr=uptr, power=net.power[kept], gain=net.gain[kept],
        ),
        parameters,
        kept,
    )  # fmt: skip
