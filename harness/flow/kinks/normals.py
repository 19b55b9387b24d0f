"""The normals of the flat kinks, those of the first hidden layer: exact, in floats, and which of them are lines.

The pre-activation of a unit of the first layer on a sample is a linear functional of theta.  Units hang together in
blocks, which share weights; units of different blocks have no part of their normals in common.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cached_property

import numpy as np

from harness.flow.compiled.kernel import Wiring
from harness.flow.invariants.proving import integers
from harness.flow.kinks.departure import Line, SampleUnit
from harness.problem.instances import Instance
from harness.problem.numbers import nearest

# Relative to the longest of the normals, or of their entries: a few thousand times what rounding leaves of products of
# some weights, so that normals that are parallel, or within the subspace zero, are seen to be.
PARALLEL = 1e-9


class Normals:
    """Those of an instance.  first: the units of the first hidden layer; x (n, d): the points, a row a margin."""

    def __init__(self, instance: Instance, net: Wiring, first: range, x: np.ndarray) -> None:
        self.instance, self.net, self.first, self.x = instance, net, first, x
        self.size = instance.network.size
        self._exact: dict[SampleUnit, dict[int, Fraction]] = {}
        self._named: dict[tuple[tuple[int, int], ...], int] = {}  # the lines that normals span
        self._lines: dict[SampleUnit, tuple[int, Fraction] | None] = {}
        self._units: dict[tuple[SampleUnit, float], tuple[np.ndarray, np.ndarray, float]] = {}
        self._ranked: dict[tuple[SampleUnit, ...], list[SampleUnit]] = {}

    @cached_property
    def blocks(self) -> list[int]:
        """Of every unit the smallest that it hangs together with, counted from the first."""
        return _blocks(self.instance.network.patterns[0])

    def block(self, unit: int) -> int:
        """That of a unit of the first layer."""
        return self.blocks[unit - self.first.start]

    def normal(self, sample: int, unit: int) -> tuple[Fraction, ...]:
        """The exact gradient (N,) of the pre-activation of a unit of the first hidden layer."""
        out = [Fraction(0)] * self.size
        for k, value in self.normal_entries((sample, unit)).items():
            out[k] = value
        return tuple(out)

    def normal_entries(self, pair: SampleUnit) -> dict[int, Fraction]:
        """Those of it that are not zero, in order: there may be as many kinks as parameters."""
        if pair not in self._exact:
            sample, unit = pair
            out: dict[int, Fraction] = {}
            row = self.instance.network.patterns[0][unit - self.first.start]
            for value, k in zip(self.instance.x[self.instance.problem.rows[sample][0]], row, strict=True):
                if k >= 0 and value:
                    out[k] = out[k] + value if k in out else value
            self._exact[pair] = {k: out[k] for k in sorted(out) if out[k]}
        return self._exact[pair]

    def float_normals(
        self, unit: int, samples: Sequence[int] | slice = slice(None), *, absolute: bool = False
    ) -> np.ndarray:
        """Those of samples in floats, (n, N); absolute: the sums of their terms without signs."""
        x, into = self.x[samples], slice(*self.net.into[unit : unit + 2])
        out = np.zeros((len(x), self.size))
        np.add.at(out.T, self.net.par[into], (np.abs(x) if absolute else x)[:, self.net.col[into]].T)
        return out

    def float_normal(self, sample: int, unit: int) -> np.ndarray:
        """That of one, (N,)."""
        return self.float_normals(unit, [sample])[0]

    def line(self, pair: SampleUnit) -> tuple[int, Fraction] | None:
        """As of `gather`, of a pair of the first hidden layer."""
        if pair not in self._lines:
            entries = list(self.normal_entries(pair).items())
            self._lines[pair] = (
                (self._named.setdefault(_span(entries), len(self._named)), entries[0][1]) if entries else None
            )
        return self._lines[pair]

    def direction(self, line: Line) -> np.ndarray:
        """The normal (N,) of a flat line, to which the scales of its members refer."""
        sample, unit, scale = line.members[0]
        return self.float_normal(sample, unit) / nearest(scale)

    def unit_normal(self, line: Line) -> tuple[np.ndarray, np.ndarray, float]:
        """Where the normal of a flat line has entries, these entries at length 1, and its length."""
        sample, unit, scale = line.members[0]
        key = (sample, unit), nearest(scale)
        if key not in self._units:
            normal = self.direction(line)
            there, length = np.flatnonzero(normal), float(np.linalg.norm(normal))
            self._units[key] = there, normal[there] / length, length
        return self._units[key]

    def independent(self, lines: list[Line]) -> list[SampleUnit]:
        """One pair each of lines of one block whose normals do not depend on those of earlier ones."""
        pairs = tuple(line.members[0][:2] for line in lines)
        if pairs not in self._ranked:
            rows, chosen = np.zeros((0, self.size)), list[SampleUnit]()
            for line, pair in zip(lines, pairs, strict=True):
                wider = np.vstack([rows, self.direction(line)])
                if len(wider) == 1 or np.linalg.matrix_rank(wider, tol=PARALLEL * np.abs(wider).max()) == len(wider):
                    rows = wider
                    chosen.append(pair)
            self._ranked[pairs] = chosen
        return self._ranked[pairs]


def _span(entries: list[tuple[int, Fraction]]) -> tuple[tuple[int, int], ...]:
    """The same for all vectors of a line: integers without a common factor, of which the first is positive.

    In fractions a common factor would be looked for number by number.
    """
    whole = integers([v for _, v in entries])
    sign = 1 if whole[0] > 0 else -1
    return tuple((k, sign * v) for (k, _), v in zip(entries, whole, strict=True))


def multiple(normal: np.ndarray, other: np.ndarray, room: float = PARALLEL) -> Fraction | None:
    """What a normal (N,) is another multiplied by; None where they are not parallel, up to so much of its length."""
    square, length = float(other @ other), float(np.linalg.norm(normal))
    scale = float(normal @ other) / square if square else 0.0
    return Fraction(scale) if scale and np.abs(normal - scale * other).max() <= room * length else None


def _blocks(pattern) -> list[int]:
    """For every row of the first pattern the smallest row that it is connected to by shared parameters."""
    block = list(range(len(pattern)))
    for r, row in enumerate(pattern):
        used = {k for k in row if k >= 0}
        for s in range(r):
            if used & set(pattern[s]):
                low, high = sorted((block[r], block[s]))
                block = [low if b == high else b for b in block]
    return block
