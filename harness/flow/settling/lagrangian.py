"""The rows of the KKT system, samples and curved kinks that slide, and the Hessian of the Lagrangian, compiled."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from harness.flow.compiled.compiling import bare, compiled
from harness.flow.compiled.kernel import (
    Columns,
    backward,
    columns_of,
    forward,
    gradients,
    hessian,
    margins,
    seed_outputs,
    unit_gradient,
    weigh_outputs,
)
from harness.flow.settling.directions import by_units


class Rows(NamedTuple):
    """q (n + t,) and grad (n + t, N): samples, and below them every curved kink, its pre-activation and its normal.

    by_column (N, columns), second (N, N): room.
    """

    q: np.ndarray
    grad: np.ndarray
    by_column: np.ndarray
    second: np.ndarray
    at: Columns


@compiled
def rows_of(cell, size, count, wide):
    """Room for so many rows of the KKT system of a cell, with its gates as they are now; no Hessian where `wide`."""
    at = columns_of(cell.net, cell.x, cell.gates)
    square = 0 if wide else size
    by_column, second = np.empty((size, at.h.shape[1])), np.empty((square, square))
    return Rows(np.empty(count), np.empty((count, size)), by_column, second, at)


@bare
def evaluate_rows(cell, theta, curved, work):
    """Fill q and grad at theta (N,)."""
    q, grad, at = work.q, work.grad, work.at
    n = cell.x.shape[0]
    forward(cell.net, theta, at)
    margins(cell.seeds, at, q[:n])
    seed_outputs(cell.seeds, at)
    backward(cell.net, at)
    gradients(cell.net, at, work.by_column)
    for i in range(n):
        for a in range(theta.shape[0]):
            grad[i, a] = work.by_column[a, i]
    for t in range(curved.shape[0]):
        i, u = curved[t]
        unit_gradient(cell.net, theta, cell.x[i], cell.gates[i], u, grad[n + t])
        q[n + t] = at.pre[u, i]


@bare
def fill_hessian(cell, curved, lam, work):
    """Fill second with sum lambda_i Hessian(q_i) + sum mu_t Hessian(pre_t), where the rows have been evaluated last.

    lam (n + t,) holds lambda, mu.
    """
    at = work.at
    n = cell.x.shape[0]
    weigh_outputs(cell.seeds, lam[:n], 1.0, at)
    for t in range(curved.shape[0]):
        i, u = curved[t]
        at.seeds[u, i] += lam[n + t]
    backward(cell.net, at)
    hessian(cell.net, at, work.second)
    for t in range(curved.shape[0]):
        i, u = curved[t]
        at.seeds[u, i] = 0.0


@compiled
def multiply(a, b, out):
    """out = a @ b, in place."""
    np.dot(a, b, out)


@bare
def within(directions, grad, rest, rows, stationary):
    """With the basis (N, r) of the directions grad basis (c, r) and basis^T rest (r,), in place."""
    basis, picks, signs = directions.basis, directions.picks, directions.signs
    if not by_units(directions):
        multiply(grad, basis, rows)
        multiply(basis.T, rest, stationary)
        return
    for a in range(picks.shape[0]):
        p = picks[a]
        stationary[a] = signs[a] * rest[p]
        for i in range(grad.shape[0]):
            rows[i, a] = grad[i, p] * signs[a]


@bare
def curvature_within(directions, second, along, curvature):
    """basis^T second basis (r, r) with the basis (N, r) of the directions, in place.  along (N, r): room."""
    basis, picks, signs = directions.basis, directions.picks, directions.signs
    if not by_units(directions):
        multiply(second, basis, along)
        multiply(basis.T, along, curvature)
        return
    for a in range(picks.shape[0]):
        for b in range(picks.shape[0]):
            curvature[a, b] = signs[a] * (second[picks[a], picks[b]] * signs[b])
