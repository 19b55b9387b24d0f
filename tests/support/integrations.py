"""Independent integrations of the flow, sharing no code with harness.flow.

Plain gradient flow in theta, with forward and backward passes written here: an explicit method of order 8 for
linear networks and small Euler steps with the sign gate where there are kinks.  Both run in the clock sigma in which
the speed is rho^(2-m) times a convex combination of the margins' gradients, m the number of trained layers; the path is
the gradient flow's.
"""

from __future__ import annotations

import numpy as np
from scipy.integrate import solve_ivp

from harness.problem.instances import Instance


def matrices(instance: Instance, theta: np.ndarray) -> list[np.ndarray]:
    network, out, start = instance.network, [], 0
    for pattern, size, given, own in zip(
        network.patterns, network.sizes, instance.theta0_float, network.trained, strict=True
    ):
        out.append(np.append(theta[start : start + size] if own else given, 0.0)[np.array(pattern)])
        start += size if own else 0
    return out


def differences(instance: Instance, sample: int) -> list[np.ndarray]:
    """What the outputs are multiplied by in the margins of a point: its label, or its class less each other one."""
    own, outputs = instance.y[sample], instance.network.outputs
    if outputs == 1:
        return [np.array([float(own)])]
    return [np.eye(outputs)[own] - np.eye(outputs)[k] for k in range(outputs) if k != own]


def margins_and_gradients(instance: Instance, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """q (R,) and dq/dtheta (R, N), with the gate 1[pre > 0] where there are kinks."""
    network, slope = instance.network, float(instance.network.slope)
    weights = matrices(instance, theta)
    q, gradients = [], []
    for sample, x in enumerate(instance.x_float):
        inputs, gates = [x], []
        for weight in weights:
            pre = weight @ inputs[-1]
            gates.append(np.where(pre > 0, 1.0, slope))
            inputs.append(pre * gates[-1])
        for seed in differences(instance, sample):
            q.append(seed @ (weights[-1] @ inputs[-2]))
            back, parts = seed, []
            for layer in range(len(weights) - 1, -1, -1):
                if layer < len(weights) - 1:
                    back = back * gates[layer]
                if network.trained[layer]:
                    full = np.outer(back, inputs[layer])
                    pattern = np.array(network.patterns[layer])
                    part = np.zeros(network.sizes[layer])
                    np.add.at(part, pattern[pattern >= 0], full[pattern >= 0])
                    parts.append(part)
                back = weights[layer].T @ back
            gradients.append(np.concatenate(parts[::-1]))
    return np.array(q), np.array(gradients)


def velocity(instance: Instance, theta: np.ndarray) -> np.ndarray:
    q, gradients = margins_and_gradients(instance, theta)
    group = max(instance.network.outputs - 1, 1)
    if instance.loss == "exponential":
        p = np.exp(q.min() - q)
    elif group == 1:
        p = np.exp(np.logaddexp(0.0, q.min()) - np.logaddexp(0.0, q))
    else:
        losses = np.logaddexp(0.0, np.logaddexp.reduce(-q.reshape(-1, group), axis=1))
        logs = -q - np.repeat(losses, group)
        p = np.exp(logs - logs.max())
    p /= p.sum()
    return np.linalg.norm(theta) ** (2 - instance.network.degree) * (p @ gradients)


def smooth_path(instance: Instance, clock: np.ndarray) -> np.ndarray:
    """theta at the clock values, (T, N), by an explicit Runge-Kutta method of order 8, rtol 1e-12."""
    theta0 = instance.network.flat(instance.theta0_float)
    solution = solve_ivp(
        lambda _, theta: velocity(instance, theta),
        (0.0, clock[-1]), theta0, method="DOP853", t_eval=clock, rtol=1e-12, atol=1e-14,
    )  # fmt: skip
    return solution.y.T


def euler_path(instance: Instance, clock: np.ndarray, step: float) -> np.ndarray:
    """theta at the clock values by Euler steps of at most the given size with the sign gate.

    At a kink on which the flow slides, the steps chatter about it with an amplitude of the step's size.
    """
    theta = instance.network.flat(instance.theta0_float)
    out, now = [], 0.0
    for t in clock:
        count = max(1, int(np.ceil((t - now) / step)))
        for _ in range(count):
            theta = theta + (t - now) / count * velocity(instance, theta)
        now = t
        out.append(theta)
    return np.array(out)
