"""Independent integrations of the flow, sharing no code with harness.flow.

Plain gradient flow in theta, with forward and backward passes written here: an explicit method of order 8 for
linear networks and small Euler steps with the sign gate for relu.  Both run in the clock sigma in which the speed is
rho^(2-m) times a convex combination of the margins' gradients; the path is the gradient flow's.
"""

from __future__ import annotations

import numpy as np
from scipy.integrate import solve_ivp

from harness.problem.instances import Instance


def matrices(instance: Instance, theta: np.ndarray) -> list[np.ndarray]:
    parts = np.split(theta, np.cumsum(instance.network.sizes)[:-1])
    return [np.append(u, 0.0)[np.array(p)] for p, u in zip(instance.network.patterns, parts, strict=True)]


def margins_and_gradients(instance: Instance, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """q (n,) and dq/dtheta (n, N) with the gate 1[pre > 0] for relu."""
    relu = instance.network.activation == "relu"
    weights = matrices(instance, theta)
    q, gradients = [], []
    for x, y in zip(instance.x_float, instance.y_float, strict=True):
        inputs, gates = [x], []
        for weight in weights:
            pre = weight @ inputs[-1]
            gates.append((pre > 0) if relu else np.ones_like(pre))
            inputs.append(pre * gates[-1])
        q.append(y * (weights[-1] @ inputs[-2])[0])
        back, parts = np.array([y]), []
        for layer in range(len(weights) - 1, -1, -1):
            if layer < len(weights) - 1:
                back = back * gates[layer]
            full = np.outer(back, inputs[layer])
            pattern = np.array(instance.network.patterns[layer])
            part = np.zeros(instance.network.sizes[layer])
            np.add.at(part, pattern[pattern >= 0], full[pattern >= 0])
            parts.append(part)
            back = weights[layer].T @ back
        gradients.append(np.concatenate(parts[::-1]))
    return np.array(q), np.array(gradients)


def velocity(instance: Instance, theta: np.ndarray) -> np.ndarray:
    q, gradients = margins_and_gradients(instance, theta)
    if instance.loss == "exponential":
        p = np.exp(q.min() - q)
    else:
        p = np.exp(np.logaddexp(0.0, q.min()) - np.logaddexp(0.0, q))
    p /= p.sum()
    return np.linalg.norm(theta) ** (2 - instance.network.depth) * (p @ gradients)


def smooth_path(instance: Instance, clock: np.ndarray) -> np.ndarray:
    """theta at the clock values, (T, N), by an explicit Runge-Kutta method of order 8, rtol 1e-12."""
    theta0 = np.concatenate(instance.theta0_float)
    solution = solve_ivp(
        lambda _, theta: velocity(instance, theta),
        (0.0, clock[-1]), theta0, method="DOP853", t_eval=clock, rtol=1e-12, atol=1e-14,
    )  # fmt: skip
    return solution.y.T


def euler_path(instance: Instance, clock: np.ndarray, step: float) -> np.ndarray:
    """theta at the clock values by Euler steps of at most the given size with the sign gate.

    At a kink on which the flow slides, the steps chatter about it with an amplitude of the step's size.
    """
    theta = np.concatenate(instance.theta0_float)
    out, now = [], 0.0
    for t in clock:
        count = max(1, int(np.ceil((t - now) / step)))
        for _ in range(count):
            theta = theta + (t - now) / count * velocity(instance, theta)
        now = t
        out.append(theta)
    return np.array(out)
