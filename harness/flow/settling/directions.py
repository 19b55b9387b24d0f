"""The directions that a polish may take: a basis; in a wide network of two layers coordinates and slides; compiled."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from harness.flow.compiled.by_unit import Across, across, keep_along
from harness.flow.compiled.compiling import compiled
from harness.flow.settling.removals import where_zero


class Directions(NamedTuple):
    """The span of basis (N, r), orthonormal; where `wide`, the coordinates `free` (N,) bool along the kinks, and no
    basis.

    Coordinates z in it are those of the basis, (r,), or of theta itself, (N,).
    """

    wide: bool
    basis: np.ndarray
    free: np.ndarray
    tangent: Across


def spanned_by(basis: np.ndarray) -> Directions:
    """Those of an orthonormal basis (N, r)."""
    none = np.zeros(0, dtype=np.int64)
    return Directions(False, basis, np.zeros(0, dtype=np.bool_), Across(np.zeros((0, len(basis))), none, none))


def wide_along(net, free: np.ndarray, normals: np.ndarray, owner: np.ndarray) -> Directions:
    """The coordinates `free` (N,) bool along flat kinks with these normals (s, N), each of a unit."""
    return Directions(True, np.zeros((len(free), 0)), free, across(net, np.where(free, normals, 0.0), owner))


@compiled
def coordinates(directions, theta):
    """Those of theta (N,), which lies within the directions if they are wide."""
    return theta.copy() if directions.wide else np.ascontiguousarray(directions.basis.T) @ theta


@compiled
def at_coordinates(directions, z):
    """theta (N,) at these coordinates."""
    return z.copy() if directions.wide else directions.basis @ z


@compiled
def keep_within(net, directions, theta):
    """Project theta (N,) in place."""
    if directions.wide:
        for a in range(theta.shape[0]):
            theta[a] *= directions.free[a]
        keep_along(net, directions.tangent, theta)
    else:
        theta[:] = at_coordinates(directions, coordinates(directions, theta))


@compiled
def rows_within(net, directions, rows):
    """The coordinates of rows (k, N), where they are wide projected."""
    if not directions.wide:
        return rows @ directions.basis
    out = rows.copy()
    for i in range(rows.shape[0]):
        keep_within(net, directions, out[i])
    return out


@compiled
def narrower(net, directions, small):
    """The directions in which the parameters `small` (N,) bool, some of them, are zero."""
    if not directions.wide:
        return Directions(False, where_zero(directions.basis, small), directions.free, directions.tangent)
    free, normals = directions.free & ~small, directions.tangent.normals.copy()
    normals[:, small] = 0.0
    return Directions(True, directions.basis, free, across(net, normals, directions.tangent.owner))
