"""The rows of the KKT system, samples and curved kinks that slide, and the Hessian of the Lagrangian, compiled."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from harness.flow.compiled.compiling import compiled
from harness.flow.compiled.field import same_gates, weighted_point
from harness.flow.compiled.kernel import evaluate, hessian_times, unit_gradient


class Rows(NamedTuple):
    """As of `evaluate`, with a row in q and grad for every curved kink below those of the samples."""

    q: np.ndarray
    grad: np.ndarray
    pre: np.ndarray
    delta: np.ndarray


@compiled
def evaluate_rows(cell, theta, curved, work):
    """q and grad with a row for every curved kink below the samples': its pre-activation and normal."""
    net, x, seeds, gates, logistic, jump, group = cell
    q, grad, pre, delta = work
    n = x.shape[0]
    evaluate(net, theta, x, seeds, gates, q[:n], grad[:n], pre, delta)
    for t in range(curved.shape[0]):
        i, u = curved[t]
        unit_gradient(net, theta, x[i], gates[i], u, grad[n + t])
        q[n + t] = pre[i, u]


@compiled
def lagrangian_hessian(cell, theta, curved, lam, basis):
    """basis^T (sum lambda_i Hessian(q_i) + sum mu_t Hessian(pre_t)) basis; lam (n + t,) holds lambda, mu."""
    net, x, seeds, gates, logistic, jump, group = cell
    n = x.shape[0]
    outputs = seeds.shape[1]
    points = x
    weighted = np.zeros(gates.shape)
    if curved.shape[0] == 0 and outputs == 1 and same_gates(gates):
        points = weighted_point(x, seeds, lam)
        weighted[0, -1] = 1.0
    else:
        for i in range(n):
            for k in range(outputs):
                weighted[i, gates.shape[1] - outputs + k] = seeds[i, k] * lam[i]
        for t in range(curved.shape[0]):
            i, u = curved[t]
            weighted[i, u] += lam[n + t]
    out = np.empty(basis.shape)
    hessian_times(net, theta, points, gates, weighted, basis, out)
    return basis.T @ out
