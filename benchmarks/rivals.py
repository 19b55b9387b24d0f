"""Other ways to the limit, each as good as we could make it: what the trainer is compared with.

All of them run on the compiled kernel of the trainer, so that methods are compared and not languages.  What they
reach is measured by the KKT residual of the direction, with the gates that its own signs give, the same for all.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy.integrate import BDF

from harness.flow.compiled.compiling import compiled
from harness.flow.compiled.field import Cell, bends_of, cell_of, jacobian, no_slides, rate, workspace
from harness.flow.compiled.field import field as flow_field
from harness.flow.compiled.kernel import take_gates, wiring
from harness.flow.run import Run, Settings
from harness.flow.settling.directions import spanned_by
from harness.flow.settling.polish import SOLVED, polish
from harness.flow.settling.settle import settle
from harness.flow.undecided import Undecided
from harness.problem.instances import Instance
from harness.problem.kkt import kkt

LEVELS = (1e-3, 1e-6, 1e-9)
DESCENT_STEPS = 1_000_000
BDF_STEPS = 5_000
LARGEST = 1e60  # of a parameter: further on products overflow
GROWTH, SHRINK = 1.05, 0.5  # of the step size of gradient descent, where the loss falls and where it does not


@dataclass
class Reached:
    """seconds: CPU time until each of LEVELS was reached, inf where it was not; spent: until the end; theta: (N,)."""

    seconds: list[float] = field(default_factory=lambda: [math.inf] * len(LEVELS))
    spent: float = 0.0
    theta: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def note(self, instance: Instance, theta: np.ndarray) -> bool:
        """Take in where a method stands after `spent` seconds; whether it has reached the last level."""
        self.theta = theta
        level = residual(instance, theta)
        self.seconds = [min(s, self.spent) if level <= at else s for s, at in zip(self.seconds, LEVELS, strict=True)]
        return math.isfinite(self.seconds[-1])


Method = Callable[[Instance], Reached]


def residual(instance: Instance, theta: np.ndarray) -> float:
    """The KKT residual of the direction of theta (N,), infinite where it does not separate."""
    parts = instance.network.split(theta / np.linalg.norm(theta))
    try:
        return kkt(instance.network, instance.problem.inputs, instance.problem.seeds, parts).residual
    except ValueError:  # too many kinks to list
        return math.inf


@compiled
def open_gates(net, theta, x, gates, relu):
    """gates (n, units) by the signs of the pre-activations at theta."""
    d = x.shape[1]
    layers = net.ptr.shape[0] - 1
    h = np.empty(gates.shape[1])
    for i in range(x.shape[0]):
        h[:] = 0.0
        h[:d] = x[i]
        for layer in range(layers - 1):
            for e in range(net.ptr[layer], net.ptr[layer + 1]):
                h[net.row[e]] += theta[net.par[e]] * h[net.col[e]]
            for u in range(net.uptr[layer + 1], net.uptr[layer + 2]):
                gates[i, u] = 0.0 if relu and h[u] <= 0.0 else 1.0
                h[u] *= gates[i, u]


@compiled
def log_loss(q, logistic):
    """log L, exact far below the smallest positive float."""
    low = q.min()
    total = 0.0
    for i in range(q.shape[0]):
        if logistic and low < 30.0:
            total += np.log1p(np.exp(-abs(q[i]))) + max(-q[i], 0.0)
        else:
            total += np.exp(low - q[i])
    return np.log(total) if logistic and low < 30.0 else np.log(total) - low


@compiled
def descend(cell, theta, work, state, steps, relu, grow):
    """Gradient descent with the loss-based rate: theta -= a grad L / L, in place; `a` follows the loss.

    state: [a, log L].  grow: the factor on theta after these steps, 1 for plain gradient descent.
    """
    net, x, gates, logistic = cell.net, cell.x, cell.gates, cell.logistic
    q, f = work.q, work.f
    m = net.ptr.shape[0] - 1
    rho = 0.0
    for _ in range(steps):
        open_gates(net, theta, x, gates, relu)
        take_gates(gates, work.at)
        rho = rate(cell, theta, work)
        before = log_loss(q, logistic)
        if rho > LARGEST:
            return
        step = state[0] * rho ** (m - 2)
        trial = theta + step * f
        open_gates(net, trial, x, gates, relu)
        take_gates(gates, work.at)
        rate(cell, trial, work)
        if log_loss(q, logistic) <= before:
            theta[:] = trial
            state[0] *= GROWTH
        else:
            state[0] *= SHRINK
    if rho < LARGEST:
        theta *= grow


def descent(instance: Instance) -> Reached:
    """Gradient descent with the loss-based rate of Lyu & Li (arXiv:1906.05890), at most DESCENT_STEPS steps."""
    return _descend(instance, lambda steps: 1.0)


def rescaling(instance: Instance) -> Reached:
    """The same with theta doubled every so often, which is no gradient flow: the way of progressive rescaling.

    (Wang, Min & Wu, arXiv:2311.14387, for linear predictors.)
    """
    return _descend(instance, lambda steps: 2.0 if steps >= 1000 else 1.0)


def _descend(instance: Instance, grow: Callable[[int], float]) -> Reached:
    cell, theta = kernel_cell(instance)
    work, state, reached = workspace(cell), np.array([1e-2, 0.0]), Reached()
    done, chunk = 0, 100
    while done < DESCENT_STEPS:
        start = time.process_time()
        descend(cell, theta, work, state, chunk, instance.network.activation == "relu", grow(done))
        reached.spent += time.process_time() - start
        done += chunk
        chunk = max(100, done // 8)
        if reached.note(instance, theta.copy()) or not np.linalg.norm(theta) < LARGEST:
            break
    return reached


def bdf(instance: Instance) -> Reached:
    """scipy's BDF with our field and our Jacobian, relu with the gate of the sign, at most BDF_STEPS steps."""
    return _bdf(instance, polished=False)


def bdf_polished(instance: Instance) -> Reached:
    """The same, and every unit of log-norm our own polish; done when two in turn find the same point."""
    return _bdf(instance, polished=True)


def bdf_plain(instance: Instance) -> Reached:
    """bdf_polished as it is written without a compiled kernel: the field in numpy, the Jacobian by differences."""
    return _bdf(instance, polished=True, plain=True)


def _bdf(instance: Instance, polished: bool, plain: bool = False) -> Reached:
    cell, theta0 = kernel_cell(instance)
    net, x, gates = cell.net, cell.x, cell.gates
    relu = instance.network.activation == "relu"
    work, whole, reached = workspace(cell), np.eye(len(theta0)), Reached()
    bends = bends_of(len(theta0), len(cell.x), len(theta0))

    def velocity(_: float, theta: np.ndarray) -> np.ndarray:
        open_gates(net, theta, x, gates, relu)
        take_gates(gates, work.at)
        rate(cell, theta, work)
        return work.f.copy()

    def in_numpy(_: float, theta: np.ndarray) -> np.ndarray:
        return numpy_field(instance, theta)

    def derivative(_: float, theta: np.ndarray) -> np.ndarray:
        open_gates(net, theta, x, gates, relu)
        take_gates(gates, work.at)
        rho = flow_field(cell, theta, work)
        out = np.empty_like(whole)
        jacobian(cell, theta, no_slides(len(theta)), work, rho, whole, np.arange(len(theta)), bends, out)
        return out

    start = time.process_time()
    fields = (in_numpy, None) if plain else (velocity, derivative)
    solver = BDF(fields[0], 0.0, theta0, np.inf, rtol=1e-5, atol=1e-8, jac=fields[1])
    due, value = -math.inf, math.inf
    for step in range(BDF_STEPS):
        # where the flow stands still the steps of BDF grow without end
        if solver.status != "running" or not solver.t < LARGEST or solver.step() is not None:
            break
        if not np.abs(solver.y).max() < LARGEST:
            break
        theta = solver.y.copy()
        reached.spent += time.process_time() - start
        if polished:
            start = time.process_time()
            if float(np.log(np.linalg.norm(theta))) >= due:
                velocity(0.0, theta)
                if work.q.min() > Settings.polish_from:
                    due = float(np.log(np.linalg.norm(theta))) + 1.0
                    point = _polished(instance, theta)
                    reached.spent += time.process_time() - start
                    if point is not None:
                        size = float(point @ point)
                        if abs(size - value) <= 1e-9 * size and reached.note(instance, point):
                            return reached
                        value = size
        elif step % 5 == 0 and reached.note(instance, theta):
            break
        start = time.process_time()
    return reached


def numpy_field(instance: Instance, theta: np.ndarray) -> np.ndarray:
    """The field of harness.flow.compiled.field, all samples at once."""
    network, y = instance.network, instance.y_float
    # Not by evaluate(): its backward pass keeps every sample's gradient, and here only their sum is timed.
    matrices = network.matrices(network.split(theta))
    inputs, gates = [instance.x_float], []
    for matrix in matrices[:-1]:
        pre = inputs[-1] @ matrix.T
        gates.append((pre > 0.0) if network.activation == "relu" else np.ones_like(pre))
        inputs.append(pre * gates[-1])
    q = y * (inputs[-1] @ matrices[-1][0])
    log_weights = -np.logaddexp(0.0, q) if instance.loss == "logistic" else -q
    weights = np.exp(log_weights - log_weights.max())
    back = (weights / weights.sum() * y)[:, None]
    out: list[np.ndarray] = []
    for layer in range(network.depth - 1, -1, -1):
        full, pattern = back.T @ inputs[layer], network.tables[layer]
        part = np.zeros(network.sizes[layer])
        np.add.at(part, pattern[pattern >= 0], full[pattern >= 0])
        out.append(part)
        if layer:
            back = (back @ matrices[layer]) * gates[layer - 1]
    return float(np.linalg.norm(theta)) ** (2 - network.depth) * np.concatenate(out[::-1])


def _polished(instance: Instance, theta: np.ndarray) -> np.ndarray | None:
    """The KKT point that the polish finds from theta, None if none is to be believed."""
    try:
        run = Run(instance, Settings(), record=False)
        cell = run.gates.cell
        open_gates(cell.net, theta, cell.x, cell.gates, run.gates.kinked)
        point, q, multipliers = theta.copy(), np.empty(instance.n), np.empty(instance.n)
        code, _ = polish(cell, point, spanned_by(np.eye(len(theta))), np.zeros((0, 2), np.int64), q, multipliers)
        settled = settle(instance, point, multipliers, run.gates) if code == SOLVED else None
    except Undecided:
        return None
    return np.concatenate(settled.theta) if settled is not None and settled.residual <= LEVELS[-1] else None


def kernel_cell(instance: Instance) -> tuple[Cell, np.ndarray]:
    """The kernel's arguments with gates of their own, and theta at the start."""
    return cell_of(instance, wiring(instance.network)), np.concatenate(instance.theta0_float)
