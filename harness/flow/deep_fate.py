"""What becomes of a small neuron of a deeper network.

With h_i what the layer below gives a neuron, and b_i how q_i answers to the pre-activations that it feeds, both of the
limit, it moves by w' = A^T v, v' = A w with A = sum_i c_i lambda_i b_i h_i^T, c_i its gates.  It grows at most at the
largest singular value of A over all gates.  What other small neurons add to h_i and b_i makes a path of several small
weights: it is bounded by their present sizes, and wears off.  Where the bound is not below 1 the neuron is followed, in
steps in which its gates stand, until it grows at one rate.
"""

from __future__ import annotations

from itertools import product
from typing import Literal

import numpy as np
from scipy.linalg import expm

from harness.flow.gates import Gates
from harness.flow.settle import Settled

Fate = Literal["dies", "wakes", "unknown"]
EVEN = 1e-6  # a rate as near to 1 is not told from it
MOST_SAMPLES = 12  # whose gate choices are listed
_STEP = 0.02  # of the time in which it can grow by a factor e
_STEPS = 6000
_STEADY = 1500  # steps without a change of gates, after which the rate is read


def of_rates(rates: list[float]) -> Fate:
    """What all of these rates say; NaN stands for an unknown one."""
    if all(rate < 1.0 - EVEN for rate in rates):
        return "dies"
    return "wakes" if all(rate > 1.0 + EVEN for rate in rates) else "unknown"


def gate_choices(count: int) -> np.ndarray:
    """All choices of so many gates, (2^count, count)."""
    return np.array(list(product((0.0, 1.0), repeat=count))).reshape(-1, count)


def deep_fate(gates: Gates, theta: np.ndarray, unit: int, settled: Settled) -> Fate:
    """The fate of one hidden unit that is zero in the limit; theta (N,): the flow, which is near the limit."""
    net = gates.net
    limit = np.concatenate(settled.theta)
    incoming, outgoing = np.flatnonzero(net.row == unit), np.flatnonzero(net.col == unit)
    below, above = net.col[incoming], net.row[outgoing]
    h, b = _seen(gates, limit, _of_limit(gates, settled))
    scale = np.linalg.norm(limit) / np.linalg.norm(np.where(limit != 0.0, theta, 0.0))
    # everything small at its size, with its gates on
    most_h, most_b = _seen(gates, np.abs(np.where(limit != 0.0, limit, scale * theta)), np.ones_like(gates.gates))
    heard = np.flatnonzero(settled.multipliers > 0.0)
    own_h, own_b, weights = h[heard][:, below], b[heard][:, above], settled.multipliers[heard]
    if len(heard) > MOST_SAMPLES:
        return "unknown"
    living_below, living_above = np.abs(h).max(axis=0)[below] > 0.0, np.abs(b).max(axis=0)[above] > 0.0
    small_h = np.linalg.norm(np.where(living_below, 0.0, most_h[heard][:, below]), axis=1)
    small_b = np.linalg.norm(np.where(living_above, 0.0, most_b[heard][:, above]), axis=1)
    slack = weights @ (small_h * (np.linalg.norm(own_b, axis=1) + small_b) + small_b * np.linalg.norm(own_h, axis=1))
    matrices = weights[:, None, None] * own_b[:, :, None] * own_h[:, None, :]
    choices = gate_choices(len(heard)) if gates.relu else np.ones((1, len(heard)))
    values = np.linalg.svd(np.tensordot(choices, matrices, 1), compute_uv=False)
    if values.max(initial=0.0) + slack < 1.0 - EVEN:
        return "dies"
    if not gates.relu:
        # the second-order test has told of the living, and the small ones only wear off
        return "dies" if slack < EVEN else "unknown"
    if slack > EVEN:
        return "unknown"
    w, v = theta[net.par[incoming]], theta[net.par[outgoing]]
    return of_rates([_rate(own_h, matrices, w, v)])


def _of_limit(gates: Gates, settled: Settled) -> np.ndarray:
    """The gates (n, units) of the limit; on its kinks those of the flow."""
    out = gates.gates.copy()
    for layer, signs in enumerate(settled.signs, start=1):
        units = slice(int(gates.net.uptr[layer]), int(gates.net.uptr[layer + 1]))
        if gates.relu:
            out[:, units] = np.where(signs > 0, 1.0, np.where(signs < 0, 0.0, out[:, units]))
    return out


def _seen(gates: Gates, theta: np.ndarray, opened: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What every unit gives, and how |q_i| answers to its pre-activation, both (n, units), under the gates opened."""
    net, x = gates.net, gates.instance.x_float
    signs = np.ones(len(x)) if (theta >= 0.0).all() and (opened == 1.0).all() else gates.instance.y_float
    h, b = np.zeros(opened.shape), np.zeros(opened.shape)
    h[:, : x.shape[1]] = x if signs is gates.instance.y_float else np.abs(x)
    layers = len(net.ptr) - 1
    for layer in range(layers):
        for e in range(net.ptr[layer], net.ptr[layer + 1]):
            h[:, net.row[e]] += theta[net.par[e]] * h[:, net.col[e]]
        units = slice(int(net.uptr[layer + 1]), int(net.uptr[layer + 2]))
        h[:, units] *= opened[:, units]
    b[:, -1] = signs
    for layer in range(layers - 1, -1, -1):
        for e in range(net.ptr[layer], net.ptr[layer + 1]):
            b[:, net.col[e]] += theta[net.par[e]] * b[:, net.row[e]]
        units = slice(int(net.uptr[layer]), int(net.uptr[layer + 1]))
        b[:, units] *= opened[:, units]
    return h, b


def _rate(h: np.ndarray, matrices: np.ndarray, w: np.ndarray, v: np.ndarray) -> float:
    """The rate at which a neuron (w, v) grows in the end, NaN if it does not settle; h (n, d), matrices (n, r, d)."""
    step = _STEP / max(np.linalg.svd(matrices, compute_uv=False).sum(), 1e-300)
    size = np.sqrt(w @ w + v @ v)
    w, v, since, on = w / size, v / size, 0, h @ w > 0.0
    turn = _turn(matrices, on, step)
    grown: list[float] = []
    for now in range(_STEPS):
        if not np.array_equal(h @ w > 0.0, on):
            on, since = h @ w > 0.0, now
            turn = _turn(matrices, on, step)
        moved = turn @ np.append(w, v)
        size = np.sqrt(moved @ moved)
        w, v = moved[: len(w)] / size, moved[len(w) :] / size
        grown.append(float(np.log(size)) / step)
    steady = _STEPS - since > _STEADY and np.ptp(grown[-100:]) <= 1e-9
    return grown[-1] if steady else float("nan")


def _turn(matrices: np.ndarray, on: np.ndarray, step: float) -> np.ndarray:
    """What a step makes of (w, v), with these gates."""
    a = matrices[on].sum(axis=0)
    rows, columns = a.shape
    return expm(step * np.block([[np.zeros((columns, columns)), a.T], [a, np.zeros((rows, rows))]]))
