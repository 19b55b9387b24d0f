"""Records of flows by small Runge-Kutta steps, for networks of every slope, with fixed layers, with several outputs.

The gradients are those of harness/problem, and nothing is shared with the trainer or with who retraces it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from harness.problem.evaluation import evaluate
from harness.problem.instances import Instance
from harness.problem.limits import Limit
from harness.problem.points import Point


def rate(instance: Instance, theta: np.ndarray) -> np.ndarray:
    """||theta||^(2-D) sum_r p_r grad q_r at theta (N,), the flow's direction of motion."""
    network, problem = instance.network, instance.problem
    at = evaluate(network, network.split(theta), problem.inputs)
    q = at.margins(problem.seeds)
    terms = np.exp(-(q - q.min()))
    if instance.loss == "logistic":
        samples = [sample for sample, _ in problem.rows]
        own = [sum(np.exp(-b) for b, s in zip(q, samples, strict=True) if s == sample) for sample in samples]
        terms = terms / (1.0 + np.array(own))
    gradients, _ = at.backward(problem.seeds)
    return np.linalg.norm(theta) ** (2 - network.degree) * (terms / terms.sum()) @ gradients


def step(rates: Callable[[np.ndarray], np.ndarray], theta: np.ndarray, size: float) -> tuple[np.ndarray, float]:
    """Where theta (N,) is after a Runge-Kutta step of this size of its norm, and how long that took."""
    first = rates(theta)
    h = size * float(np.linalg.norm(theta) / np.linalg.norm(first))
    second = rates(theta + 0.5 * h * first)
    third = rates(theta + 0.5 * h * second)
    fourth = rates(theta + h * third)
    return theta + h / 6.0 * (first + 2.0 * second + 2.0 * third + fourth), h


def with_a_jump(limit: Limit) -> Limit:
    """From the fifth row on, the record is turned by a twentieth, and each of its steps by less."""
    path = limit.path
    assert path is not None
    turned = path["direction"].copy()
    turned[5:, 0] += 0.05
    turned /= np.linalg.norm(turned, axis=1)[:, None]
    return replace(limit, path={**path, "direction": turned})


def stepped(instance: Instance, margin: float = 40.0, size: float = 0.005) -> Limit:
    """The flow until the least margin is this, in steps of this size of the norm, as if its end were the limit."""
    network = instance.network
    theta, sigma, rows, clock = network.flat(instance.theta0_float), 0.0, [], []
    while True:
        rows, clock = [*rows, theta], [*clock, sigma]
        if (
            evaluate(network, network.split(theta), instance.problem.inputs).margins(instance.problem.seeds).min()
            > margin
        ):
            break
        theta, h = step(lambda at: rate(instance, at), theta, size)
        sigma += h
    thetas = np.array(rows)
    norms = np.linalg.norm(thetas, axis=1)
    path = {
        "log_norm": np.log(norms),
        "sigma": np.array(clock),
        "direction": thetas / norms[:, None],
        "booked": np.zeros(len(norms)),
    }
    point = Point.at(instance.problem, [u.tolist() for u in network.split(theta)])
    return Limit(instance, "converged", "", point, log_norm=float(np.log(norms[-1])), path=path)
