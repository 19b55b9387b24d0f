"""Regions of one neuron's weight space and the largest slope of the dual function over them.

For multipliers alpha >= 0 and a neuron of sign s let psi(u) = sum_i alpha_i y_i s sigma(u . x_i).  On a region every
sample's gate is on (sigma is the identity), off (sigma(a) = g a) or free.  With z_i = alpha_i y_i s x_i, a free sample
with (1 - g) alpha_i y_i s > 0 is convex, the larger of u . z_i and g u . z_i; with (1 - g) alpha_i y_i s < 0 it is
concave, the smaller of the two, and at most u . z_i times any number between g and 1, g + (1 - g) c.  So if

    || sum_on z_i + g sum_off z_i + sum_{i in A} z_i + g sum_{convex, not in A} z_i
       + sum_concave (g + (1 - g) c_i) z_i || <= D

holds with some c in [0, 1] for every subset A of the convex samples, then psi(u) <= D ||u|| on the region; by minimax
the least such D is the best one.  Weak duality turns D into a lower bound on the margin problem (programmes.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.optimize import lsq_linear

# Convex samples of one region beyond which the subsets are not listed: 2^12 cases is a certificate of megabytes.
MAX_CONVEX = 12
# Steps to a steep direction; each goes on to the steepest of its cell.
CLIMB = 30


@dataclass(frozen=True)
class Region:
    """sign: s.  on, free: samples.  owners: the neurons that have this region.  patch: (n, d_j).  below: g."""

    sign: int
    on: tuple[int, ...]
    free: tuple[int, ...]
    owners: tuple[int, ...]
    patch: np.ndarray
    below: float

    def bend(self, y: np.ndarray) -> np.ndarray:
        """For every sample the sign of (1 - g) y_i s: positive where sigma makes it convex, negative where concave."""
        return (1.0 - self.below) * self.sign * y

    @property
    def start(self) -> np.ndarray:
        """(n,): the activity of every sample with all that is free on the off side."""
        activity = np.full(len(self.patch), self.below)
        activity[list(self.on)] = 1.0
        return activity


@dataclass(frozen=True)
class Slope:
    """The largest slope of psi over a region: one case for every subset A of the convex samples.

    convex, concave: samples.  subsets: (S, convex) of bool.  c: (S, concave).  vectors: (S, d).  norms: (S,).
    """

    convex: list[int]
    concave: list[int]
    subsets: np.ndarray
    c: np.ndarray
    vectors: np.ndarray
    norms: np.ndarray

    @property
    def largest(self) -> float:
        """D, an upper bound on the slope of psi."""
        return float(self.norms.max())

    @property
    def direction(self) -> np.ndarray:
        """The vector of the worst case: psi is steepest along it."""
        return self.vectors[int(self.norms.argmax())]


def split_free(region: Region, alpha: np.ndarray, y: np.ndarray) -> tuple[list[int], list[int]]:
    """The free samples with a multiplier and a patch that is not zero, as (convex, concave)."""
    free = [i for i in region.free if alpha[i] > 0.0 and region.patch[i].any()]
    bend = region.bend(y)
    convex = [i for i in free if bend[i] > 0]
    return convex, [i for i in free if bend[i] < 0]


def slope(region: Region, alpha: np.ndarray, y: np.ndarray) -> Slope | None:
    """The largest slope of psi on the region; None where there are too many convex samples to list."""
    convex, concave = split_free(region, alpha, y)
    if len(convex) > MAX_CONVEX:
        return None
    z = (alpha * y * region.sign)[:, None] * region.patch
    # Off samples are left out where they are silent: a sum over fewer terms rounds less.
    start = z[list(region.on)].sum(axis=0) if not region.below else region.start @ z
    subsets = _subsets(len(convex))
    steps = (1.0 - region.below) * z
    vectors = start + subsets @ steps[convex]
    c = np.zeros((len(subsets), len(concave)))
    if concave:
        _shorten(vectors, steps[concave], c)
    return Slope(convex, concave, subsets, c, vectors, np.sqrt((vectors * vectors).sum(axis=1)))


def climb(region: Region, alpha: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    """psi in the steepest direction found, and this direction, (d,) of length 1; both 0 where psi is nowhere positive.

    From u to the gradient of psi at u, which ascends where psi is convex; from the pull of all that is not free, and
    with it that of every convex sample, and of all of them.
    """
    convex, _ = split_free(region, alpha, y)
    z = (alpha * y * region.sign)[:, None] * region.patch
    free = np.zeros(len(z), dtype=bool)
    free[list(region.free)] = True
    best, steepest = 0.0, np.zeros(z.shape[1])
    u = region.start @ z + np.vstack([np.zeros_like(z[:1]), z[convex], z[convex].sum(axis=0, keepdims=True)])
    for _ in range(CLIMB):
        sizes = np.linalg.norm(u, axis=1, keepdims=True)
        u = u[sizes[:, 0] > 0.0] / sizes[sizes > 0.0][:, None]
        if not len(u):
            break
        activity = np.where(free & (u @ region.patch.T > 0.0), 1.0, region.start)
        u, before = activity @ z, u
        psi = (u * before).sum(axis=1)
        if psi.max() > best:
            best, steepest = float(psi.max()), before[int(psi.argmax())]
    return best, steepest


@lru_cache(maxsize=16)
def _subsets(count: int) -> np.ndarray:
    return np.bitwise_and(np.arange(2**count)[:, None] >> np.arange(count), 1).astype(bool)


def _shorten(vectors: np.ndarray, z: np.ndarray, c: np.ndarray) -> None:
    """Minimise ||vectors + c z|| over c in [0, 1], row by row and in place: coordinate descent on all rows at once.

    Rows that have not settled are finished by an active-set method, longest first, until one that
    cannot be shortened below the longest settled one is found.
    """
    squares = (z * z).sum(axis=1)
    moving = [m for m in range(len(z)) if squares[m] > 0.0]
    change = np.zeros(len(vectors))
    for _ in range(1 if len(moving) == 1 else 25):
        change[:] = 0.0
        for m in moving:
            new = np.clip(c[:, m] - vectors @ z[m] / squares[m], 0.0, 1.0)
            step = new - c[:, m]
            c[:, m] = new
            vectors += step[:, None] * z[m]
            np.maximum(change, np.abs(step), out=change)
        if len(moving) == 1 or change.max() < 1e-14:
            return
    norms = np.sqrt((vectors * vectors).sum(axis=1))
    settled = change < 1e-14
    for row in np.argsort(-norms):
        if settled[row]:
            return
        start = vectors[row] - c[row] @ z
        c[row] = np.clip(lsq_linear(z.T, -start, (0.0, 1.0), method="bvls", tol=1e-15).x, 0.0, 1.0)
        vectors[row] = start + c[row] @ z
        if np.linalg.norm(vectors[row]) >= norms[row] * (1.0 - 1e-12):
            return
