"""Trainers that do something else than to follow the flow, in the place of harness.drive, and an oracle that lies."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import numpy as np

import harness
from harness.flow.gates import Gates
from harness.instances import Instance
from harness.limits import Limit
from harness.margin import Verdict, Verdicts
from harness.margin.verdict import LayerVerdicts
from harness.networks import preactivations
from tests.reference import margins_and_gradients

Trainer = Callable[..., list[Limit]]
DRIVE: Trainer = harness.drive
Step = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@contextmanager
def in_place_of(name: str, other: Any) -> Generator[None]:
    """Replace harness.drive or harness.decide for a while."""
    kept = getattr(harness, name)
    setattr(harness, name, other)
    try:
        yield
    finally:
        setattr(harness, name, kept)


def one_by_one(follow: Callable[[Instance], Limit]) -> Trainer:
    return lambda instances, **_: [follow(instance) for instance in instances]


# --- other methods ---


def descends(step: Callable[[Instance], Step], steps: int) -> Trainer:
    """step(instance) gives the next theta from (theta, q, gradients, weights -loss'(q))."""

    def follow(instance: Instance) -> Limit:
        theta, rows, move = np.concatenate(instance.theta0_float), [], step(instance)
        for _ in range(steps):
            q, gradients = margins_and_gradients(instance, theta)
            weights = np.exp(-q) if instance.loss == "exponential" else np.exp(-np.logaddexp(0.0, q))
            rows.append(theta)
            theta = move(theta, q, gradients, weights)
        return arrived(instance, theta, np.array(rows))

    return one_by_one(follow)


def _gradient_descent(instance: Instance) -> Step:
    return lambda theta, q, gradients, weights: theta + 0.02 * np.minimum(weights, 1.0) @ gradients


def _adam(instance: Instance) -> Step:
    mean = np.zeros(sum(instance.network.sizes))
    square = mean.copy()

    def step(theta: np.ndarray, q: np.ndarray, gradients: np.ndarray, weights: np.ndarray) -> np.ndarray:
        g = (weights / max(weights.max(), 1e-300)) @ gradients
        mean[:] = 0.9 * mean + 0.1 * g
        square[:] = 0.999 * square + 0.001 * g * g
        return theta + 0.05 * mean / (np.sqrt(square) + 1e-12)

    return step


def _squared_loss(instance: Instance) -> Step:
    return lambda theta, q, gradients, weights: theta + 0.02 * np.clip(1.0 - q, -1.0, 1.0) @ gradients


gradient_descent_stopped_early = descends(_gradient_descent, 120)
adam = descends(_adam, 300)
flow_of_the_squared_loss = descends(_squared_loss, 250)


def arrived(instance: Instance, theta: np.ndarray, rows: np.ndarray) -> Limit:
    """A limit in the direction of theta, said to have been reached along the rows (T, N)."""
    q, _ = margins_and_gradients(instance, theta)
    if not q.min() > 1e-3 or not np.isfinite(theta).all():
        return Limit(instance, "undecided", "Not separated.")
    flat = theta * q.min() ** (-1.0 / instance.network.depth)
    scaled = tuple(np.split(flat, np.cumsum(instance.network.sizes)[:-1]))
    layers = [preactivations(instance.network, [u.tolist() for u in scaled], x.tolist()) for x in instance.x_float]
    signs = tuple(
        np.sign([layer[depth] for layer in layers]).astype(np.int8) for depth in range(instance.network.depth - 1)
    )
    norms = np.linalg.norm(rows, axis=1)
    path = {
        "log_norm": np.log(norms),
        "sigma": np.arange(len(rows), dtype=float),
        "direction": rows / norms[:, None],
        "booked": np.zeros(len(rows)),
    }
    one = np.ones(instance.n)
    return Limit(
        instance, "converged", "", scaled, 0.5 * float(flat @ flat), q / q.min(), one, 0.0, signs=signs, path=path
    )


# --- the flow, of another problem or to another point ---


@one_by_one
def one_label_flipped(instance: Instance) -> Limit:
    flipped = dataclasses.replace(instance, y=(-instance.y[0], *instance.y[1:]))
    (limit,) = DRIVE([flipped], record=True)
    return dataclasses.replace(limit, instance=instance)


@one_by_one
def newton_jumps_elsewhere(instance: Instance) -> Limit:
    """To the KKT point that the flow would have without the path of a diagonal network that is largest in its limit."""
    (limit,) = DRIVE([instance], record=True)
    if limit.status != "converged" or instance.network.depth != 2 or len(instance.theta0[0]) < 2:
        return dataclasses.replace(limit, status="undecided")
    assert limit.theta is not None
    largest = int(np.argmax(np.abs(limit.theta[1])))
    without = tuple(tuple(0 if k == largest else a for k, a in enumerate(u)) for u in instance.theta0)
    (other,) = DRIVE([dataclasses.replace(instance, theta0=without)], record=True)
    return dataclasses.replace(other, instance=instance, path=limit.path)


@contextmanager
def relu_of_zero_has_slope_zero() -> Generator[None]:
    """Starts on a kink are left to its off side, and never asked whether they stay there."""
    start, resting = Gates.start, Gates.resting
    Gates.start = lambda self: start(self)[:0]
    Gates.resting = lambda self, *_: False  # type: ignore[method-assign]
    try:
        yield
    finally:
        Gates.start, Gates.resting = start, resting


# --- an oracle ---


def always_optimal(limit: Limit, *, certify: bool = True) -> Any:
    """Says that everything is optimal, and certified."""
    optimal = Verdict("optimal", limit.value or 0.0, limit.value, "Because.", {"kind": "bound"}, True)

    class Lie(Verdicts):
        local = optimal  # type: ignore[assignment]
        global_ = optimal  # type: ignore[assignment]
        layers = tuple(LayerVerdicts(optimal, optimal) for _ in limit.instance.network.patterns)  # type: ignore[assignment]
        mechanism = None  # type: ignore[assignment]

    return Lie(limit, certify=False)
