"""The directions that a polish may take: a basis; in a wide network of two layers coordinates and slides; compiled."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from harness.flow.compiled.by_unit import Across, across, keep_along
from harness.flow.compiled.compiling import bare, compiled
from harness.flow.settling.removals import where_zero


class Directions(NamedTuple):
    """The span of basis (N, r), orthonormal; where `wide`, the coordinates `free` (N,) bool along the kinks, and no
    basis.

    Coordinates z in it are those of the basis, (r,), or of theta itself, (N,).
    picks, signs (r,): where the columns of a basis have their only entries, and these, 1 or -1: then nothing is summed
    in products with it.  Empty where it has others, as seldom.
    """

    wide: bool
    basis: np.ndarray
    picks: np.ndarray
    signs: np.ndarray
    free: np.ndarray
    tangent: Across


def spanned_by(basis: np.ndarray) -> Directions:
    """Those of an orthonormal basis (N, r)."""
    none = np.zeros(0, dtype=np.int64)
    tangent = Across(np.zeros((0, len(basis))), none, none)
    picks, signs = units_of(basis)
    return Directions(False, basis, picks, signs, np.zeros(0, dtype=np.bool_), tangent)


def wide_along(net, free: np.ndarray, normals: np.ndarray, owner: np.ndarray) -> Directions:
    """The coordinates `free` (N,) bool along flat kinks with these normals (s, N), each of a unit."""
    basis = np.zeros((len(free), 0))
    picks, signs = units_of(basis)
    return Directions(True, basis, picks, signs, free, across(net, np.where(free, normals, 0.0), owner))


@compiled
def units_of(basis):
    """Where the columns of a basis (N, r) have their only entry, and its sign; empty where one is no unit vector."""
    size, r = basis.shape
    picks, signs = np.zeros(r, dtype=np.int64), np.zeros(r)
    for k in range(r):
        for a in range(size):
            if basis[a, k] != 0.0:
                if signs[k] != 0.0 or abs(basis[a, k]) != 1.0:
                    return picks[:0].copy(), signs[:0].copy()
                picks[k], signs[k] = a, basis[a, k]
        if signs[k] == 0.0:
            return picks[:0].copy(), signs[:0].copy()
    return picks, signs


@bare
def by_units(directions):
    """Whether the basis consists of unit vectors."""
    return directions.picks.shape[0] > 0


@compiled
def coordinates(directions, theta):
    """Those of theta (N,), which lies within the directions if they are wide."""
    if directions.wide:
        return theta.copy()
    return picked(directions, theta) if by_units(directions) else np.ascontiguousarray(directions.basis.T) @ theta


@compiled
def picked(directions, theta):
    """basis^T theta of unit vectors."""
    z = np.empty(directions.picks.shape[0])
    for k in range(z.shape[0]):
        z[k] = directions.signs[k] * theta[directions.picks[k]]
    return z


@compiled
def at_coordinates(directions, z):
    """theta (N,) at these coordinates."""
    if directions.wide:
        return z.copy()
    if not by_units(directions):
        return directions.basis @ z
    theta = np.zeros(directions.basis.shape[0])
    for k in range(z.shape[0]):
        theta[directions.picks[k]] = directions.signs[k] * z[k]
    return theta


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
    if by_units(directions):
        within = np.empty((rows.shape[0], directions.picks.shape[0]))
        for i in range(within.shape[0]):
            for k in range(within.shape[1]):
                within[i, k] = directions.signs[k] * rows[i, directions.picks[k]]
        return within
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
        basis = where_zero(directions.basis, small)
        picks, signs = units_of(basis)
        return Directions(False, basis, picks, signs, directions.free, directions.tangent)
    free, normals = directions.free & ~small, directions.tangent.normals.copy()
    normals[:, small] = 0.0
    picks, signs = directions.picks, directions.signs
    return Directions(True, directions.basis, picks, signs, free, across(net, normals, directions.tangent.owner))
