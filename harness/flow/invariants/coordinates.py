"""A subspace as the integrator has it: coordinates of the parameters, and a basis in floats and in integers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

import numpy as np
from scipy.linalg import qr

from harness.flow.invariants.lifting import Candidate
from harness.flow.invariants.proving import Vector, integers

_LARGEST_ENTRY = 1e4  # a basis with larger entries is badly conditioned as coordinates
_CROSSES = 1e-9  # of unit normals: a part of the subspace that by rounding alone is not zero is below it


@dataclass(frozen=True)
class Subspace:
    """The invariant subspace under the gates of the moment.

    pivots (r,), constant (N,) bool: parameters that the gates hold still, which a basis leaves out.
    exact: whether it is V itself (else a superset).
    blocks (n,): a number a sample; samples of one block have equal margins for as long as the gates stay.
    shown: its rows and basis; None where it is everything that is not constant.
    """

    pivots: np.ndarray
    constant: np.ndarray
    exact: bool
    blocks: np.ndarray
    shown: tuple[list[Vector], np.ndarray] | None = None

    @property
    def whole(self) -> bool:
        """Whether it is everything that the gates let move."""
        return len(self.pivots) + int(self.constant.sum()) == len(self.constant)

    @property
    def rows(self) -> list[Vector]:
        """A basis in integers of what the flow has been proven to stay in, reduced at some pivots."""
        return (self.shown or _axes(self.constant.tobytes()))[0]

    @property
    def basis(self) -> np.ndarray:
        """(N, r) float64 with the identity in the rows `pivots`."""
        return (self.shown or _axes(self.constant.tobytes()))[1]

    def at(self, parameters: np.ndarray) -> np.ndarray:
        """The rows of the basis of some parameters (k,), without columns of zeros where it is unit vectors."""
        return np.diag(~self.constant[parameters] * 1.0) if self.shown is None else self.basis[parameters]

    def led_by(self, order: np.ndarray) -> Subspace:
        """The same, with the first parameters of an order (N,) that can be its coordinates as those."""
        rows, pivots = _reduced_at(self.rows, order.tolist())
        return replace(self, pivots=np.array(pivots), shown=(self.rows, _floats(rows, pivots, len(order))))

    def tangent(self, normals: np.ndarray) -> np.ndarray:
        """An orthonormal basis (N, r) of the directions in it along which no kink of these normals (s, N) is left."""
        # one nonzero number a column, each in a row of its own: unit vectors already
        whole = self.shown is None or np.count_nonzero(self.basis) == self.basis.shape[1]
        orthonormal = self.basis if whole else np.linalg.qr(self.basis)[0]
        if len(normals):
            _, values, right = np.linalg.svd(normals @ orthonormal)
            orthonormal = orthonormal @ right[int(np.sum(values > _CROSSES)) :].T
        return np.ascontiguousarray(orthonormal)


def everything(constant: np.ndarray, blocks: np.ndarray) -> Subspace:
    """All that the gates let move."""
    return Subspace(np.flatnonzero(~constant), constant, True, blocks)


@lru_cache(maxsize=256)
def _axes(constant: bytes) -> tuple[list[Vector], np.ndarray]:
    """Rows and basis (N, r) of what is not constant.  Not to be written to."""
    unit = np.eye(len(constant))[:, np.frombuffer(constant, dtype=np.bool_) == 0]
    return unit.T.astype(int).tolist(), np.ascontiguousarray(unit)


def as_coordinates(rows: list[Vector], first: Candidate, constant: np.ndarray) -> Subspace:
    """The subspace of these rows, with other pivots where its reduced basis is badly conditioned."""
    basis = _floats(rows, first.pivots.tolist(), len(constant))
    found = Subspace(first.pivots, constant, True, first.blocks, (rows, basis))
    if len(rows) and np.abs(basis).max() > _LARGEST_ENTRY:
        # the largest volume makes all entries small
        return found.led_by(qr(basis.T, mode="economic", pivoting=True)[-1])
    return found


def _floats(rows: list[Vector], pivots: list[int], size: int) -> np.ndarray:
    """The reduced basis (N, r) as floats, exact where its numbers are."""
    out = np.zeros((size, len(rows)))
    for r, (row, k) in enumerate(zip(rows, pivots, strict=True)):
        out[:, r] = [a / row[k] if a else 0.0 for a in row]
    return out


def _reduced_at(rows: list[Vector], order: list[int]) -> tuple[list[Vector], list[int]]:
    """Rows of the same span that are reduced at the first columns of an order that can be pivots; these, ascending."""
    rows = [list(row) for row in rows]
    pivots: list[int] = []
    for k in order:
        t = len(pivots)
        if t == len(rows):
            break
        chosen = max(range(t, len(rows)), key=lambda r: abs(rows[r][k]))
        if not rows[chosen][k]:
            continue
        rows[t], rows[chosen] = rows[chosen], rows[t]
        lead = rows[t][k]
        for r, row in enumerate(rows):
            if r != t and row[k]:
                factor = row[k]
                rows[r] = integers([Fraction(lead * a - factor * b) for a, b in zip(row, rows[t], strict=True)])
        pivots.append(k)
    ascending = sorted(zip(pivots, rows, strict=True), key=lambda pair: pair[0])
    return [row for _, row in ascending], [k for k, _ in ascending]
