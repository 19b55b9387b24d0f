"""A neuron of two layers that stays at w = 0, whatever its gates are there.

It gives nothing, its weight out v stands still, and the rest of the flow goes on as without it.  Its weights w move
with F(w) = grad G(w), G(w) = v sum_i p_i y_i sigma(w . x_i), which is homogeneous: w . F(w) = G(w).  So
d|w|^2/dt = 2 G(w) along every solution.  While G is positive nowhere none leaves.  Where it is positive in some
direction one leaves along the greatest; another stays, if zero is a mean of what F is beside w = 0.

None of a relu network is pinned in the end: a point that pushes it away has a living neuron whose v has the same sign,
and at a KKT point G is |w|^2 at the w of that one.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from harness.flow import undecided
from harness.flow.compiled.field import look
from harness.flow.kinks.departure import Line, leads_away
from harness.flow.kinks.gates import Gates
from harness.flow.kinks.normals import PARALLEL
from harness.flow.undecided import Undecided

SURELY = 1e-4  # of the terms of G, on unit vectors: ten times the error of a step, and so of the samples' weights
ROUGH = 1e-10  # of them: what is smaller may be zero but for rounding


class Pull(NamedTuple):
    """greatest: G on unit vectors, relative to its terms, at its greatest, but for where it has none.

    mean: whether zero is a mean of F.
    """

    greatest: float
    mean: bool


class Pulls:
    """What has been seen of the pulls on pinned neurons, step by step."""

    def __init__(self) -> None:
        # by how much each was pulled at the last look, and at most since that rose so fast that another look might have
        # found it to be pulled; -inf if it has not
        self._seen: dict[int, tuple[float, float]] = {}

    def look(self, gates: Gates, theta: np.ndarray) -> None:
        """Raises Undecided where a pinned neuron may leave, or may have left since the last look."""
        for unit in gates.pinned_units:
            greatest, mean = pull(gates, theta, unit)
            last, most = self._seen.get(unit, (greatest, -math.inf))
            if greatest > SURELY:
                raise Undecided(undecided.PINNED if mean else undecided.HELD)
            if greatest < most - SURELY:
                raise Undecided(undecided.HELD)
            nearly = most > -math.inf or 2.0 * greatest > last
            self._seen[unit] = greatest, max(greatest, most) if nearly else most


def can_be_pinned(gates: Gates, lines: list[Line]) -> bool:
    """Whether lines are all that a neuron with two weights hears: with them w = 0."""
    (unit, *others) = {u for line in lines for _, u, _ in line.members}
    if others or not gates.by_unit or len(gates.normals.independent(lines)) != 2:
        return False
    heard = {i for i in range(len(gates.gates)) if gates.normals.normal_entries((i, unit))}
    return heard == {i for line in lines for i, _, _ in line.members} and len(_parameters(gates, unit)) == 2


def pull(gates: Gates, theta: np.ndarray, unit: int) -> Pull:
    """That on a neuron that is at w = 0 at theta (N,)."""
    now = look(gates.cell, theta)
    drive = now.p * now.delta[:, unit]
    x = gates.normals.float_normals(unit)[:, _parameters(gates, unit)]
    terms = float(np.abs(drive) @ np.linalg.norm(x, axis=1))
    if not terms:
        return Pull(0.0, True)
    # between the kinks F is constant, and G greatest along it or on one of them
    angles = np.unique(np.arctan2(x[:, 0], -x[:, 1])[x.any(axis=1)] % np.pi)
    # those of one line differ by rounding
    angles = angles[np.diff(angles, append=angles[0] + np.pi) > PARALLEL]
    kinks = np.append(angles, angles + np.pi)
    between = 0.5 * (kinks + np.append(kinks[1:], kinks[0] + 2.0 * np.pi))
    speeds = _speeds(x, drive, gates.below, _unit_vectors(between))
    lengths = np.linalg.norm(speeds, axis=1)
    along = speeds[lengths > 0.0] / lengths[lengths > 0.0, None]
    ways = np.vstack([_unit_vectors(kinks), along])
    if not gates.below:
        ways = ways[(ways @ x.T > PARALLEL * np.linalg.norm(x, axis=1)).any(axis=1)]
    greatest = float((_speeds(x, drive, gates.below, ways) * ways).sum(axis=1).max()) / terms
    return Pull(greatest, not leads_away(speeds, ROUGH * terms))


def _parameters(gates: Gates, unit: int) -> list[int]:
    """The weights of a neuron that some sample moves."""
    return sorted({k for i in range(len(gates.gates)) for k in gates.normals.normal_entries((i, unit))})


def _unit_vectors(angles: np.ndarray) -> np.ndarray:
    return np.column_stack([np.cos(angles), np.sin(angles)])


def _speeds(x: np.ndarray, drive: np.ndarray, below: float, ways: np.ndarray) -> np.ndarray:
    """F (k, 2) at ways (k, 2), with points (n, 2) and drive (n,)."""
    return (np.where(ways @ x.T > 0.0, 1.0, below) * drive) @ x
