"""Trainers that do something else than to follow the flow, in the place of harness.drive, and an oracle that lies."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import numpy as np

import harness
from harness.claims.retrace import Field
from harness.flow import run
from harness.flow.invariants.coordinates import Subspace
from harness.flow.invariants.subspaces import Invariants
from harness.flow.kinks.gates import Gates
from harness.oracles import Verdict, Verdicts
from harness.oracles.verdict import LayerVerdicts
from harness.problem.instances import Instance
from harness.problem.limits import Limit
from harness.problem.networks import preactivations
from harness.problem.points import Point
from tests.support.integrations import margins_and_gradients, velocity

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
        theta, rows, move = instance.network.flat(instance.theta0_float), [], step(instance)
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
    mean = np.zeros(instance.network.size)
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
    flat = theta * q.min() ** (-1.0 / instance.network.degree)
    scaled = tuple(instance.network.split(flat))
    points = instance.problem.inputs
    layers = [preactivations(instance.network, [u.tolist() for u in scaled], x.tolist()) for x in points]
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
    one = np.ones(len(q))
    point = Point(instance.problem, scaled, 0.5 * float(flat @ flat), q / q.min(), one, 0.0, (), signs)
    return Limit(instance, "converged", "", point, path=path)


# --- the flow, of another problem or to another point ---


@one_by_one
def one_label_flipped(instance: Instance) -> Limit:
    flipped = instance.changed(y=(-instance.y[0], *instance.y[1:]))
    (limit,) = DRIVE([flipped], record=True)
    return dataclasses.replace(limit, instance=instance)


@one_by_one
def newton_jumps_elsewhere(instance: Instance) -> Limit:
    """To the KKT point that the flow would have without the path of a diagonal network that is largest in its limit."""
    (limit,) = DRIVE([instance], record=True)
    if limit.status != "converged" or instance.network.depth != 2 or len(instance.theta0[0]) < 2:
        return dataclasses.replace(limit, status="undecided", point=None)
    assert limit.theta is not None
    largest = int(np.argmax(np.abs(limit.theta[1])))
    without = tuple(tuple(0 if k == largest else a for k, a in enumerate(u)) for u in instance.theta0)
    (other,) = DRIVE([dataclasses.replace(instance, theta0=without)], record=True)
    return dataclasses.replace(other, instance=instance, path=limit.path)


@one_by_one
def moved_start(instance: Instance) -> Limit:
    """Every number of the start by a thousandth of itself or so."""
    return as_of(instance, DRIVE([_moved(instance, 1e-3)], record=True)[0])


@one_by_one
def perturbed_by_rounding(instance: Instance) -> Limit:
    """Exact ties and zeros of the start are lost to the ninth digit, and the record says that it begins at it."""
    (limit,) = DRIVE([_moved(instance, 1e-9)], record=True)
    return as_of(instance, limit, (instance.network.flat(instance.theta0_float)[None], np.zeros(1)))


@one_by_one
def euler_first(instance: Instance) -> Limit:
    """Five Euler steps of a tenth of the norm, on the record, and the true flow from there."""
    theta, sigma = instance.network.flat(instance.theta0_float), 0.0
    rows, clock = [], []
    for _ in range(5):
        rate = velocity(instance, theta)
        if not rate.any():
            break
        rows, clock = [*rows, theta], [*clock, sigma]
        step = 0.1 * float(np.linalg.norm(theta) / np.linalg.norm(rate))
        theta, sigma = theta + step * rate, sigma + step
    start = tuple(tuple(Fraction(float(a)) for a in u) for u in instance.network.split(theta))
    (limit,) = DRIVE([dataclasses.replace(instance, theta0=start)], record=True)
    return as_of(instance, limit, (np.array(rows), np.array(clock)), sigma)


@one_by_one
def late_believer(instance: Instance) -> Limit:
    """Believes, where the flow is nearest to it, the limit without the smallest neuron that the true one has."""
    (limit,) = DRIVE([instance], record=True)
    if limit.status != "converged" or instance.network.depth != 2 or len(instance.network.patterns[0]) < 2:
        return dataclasses.replace(limit, status="undecided", point=None)
    assert limit.theta is not None
    out = [
        np.inf if k < 0 or not limit.theta[1][k] else abs(limit.theta[1][k]) for k in instance.network.patterns[1][0]
    ]
    return without_neuron(limit, int(np.argmin(out)))


def without_neuron(limit: Limit, neuron: int, last: float | None = None) -> Limit:
    """The limit of the flow without a neuron, of depth 2, and the record of the flow with it.

    The record stops at a log-norm, or where it is nearest to that limit.
    """
    instance = limit.instance
    hidden, (output,) = instance.network.patterns
    gone = ({k for k in hidden[neuron] if k >= 0}, {output[neuron]})
    start = tuple(
        tuple(0 * a if k in g else a for k, a in enumerate(u)) for u, g in zip(instance.theta0, gone, strict=True)
    )
    (other,) = DRIVE([dataclasses.replace(instance, theta0=start)], record=True)
    assert limit.path is not None
    if other.theta is None:
        return dataclasses.replace(other, instance=instance)
    end = instance.network.flat(other.theta)
    distance = np.linalg.norm(limit.path["direction"] - end / np.linalg.norm(end), axis=1)
    stop = int(np.argmin(distance)) if last is None else int(np.sum(limit.path["log_norm"] <= last)) - 1
    path = {key: rows[: stop + 1] for key, rows in limit.path.items()}
    return dataclasses.replace(other, instance=instance, path=path, evidence=())


def as_of(
    instance: Instance, limit: Limit, before: tuple[np.ndarray, np.ndarray] | None = None, clock: float = 1e-12
) -> Limit:
    """A limit that is said to be another instance's; before: rows (T, N) and their sigma, put before the record."""
    path = limit.path
    if path is None or before is None or not len(before[1]) or not before[0].any(axis=1).all():
        return dataclasses.replace(limit, instance=instance)
    norms = np.linalg.norm(before[0], axis=1)
    columns = {
        "log_norm": np.log(norms),
        "sigma": before[1],
        "direction": before[0] / norms[:, None],
        "booked": np.zeros(len(norms)),
    }
    after = {**path, "sigma": path["sigma"] + clock}
    return dataclasses.replace(
        limit, instance=instance, path={key: np.concatenate([columns[key], after[key]]) for key in after}
    )


def _moved(instance: Instance, share: float) -> Instance:
    rng = np.random.default_rng(1)
    size = max(abs(float(a)) for u in instance.theta0 for a in u)
    moved = tuple(
        tuple(a + Fraction(share * size * float(rng.standard_normal())) for a in u) if own else u
        for u, own in zip(instance.theta0, instance.network.trained, strict=True)
    )
    return dataclasses.replace(instance, theta0=moved)


@contextmanager
def a_subspace_too_small() -> Generator[None]:
    """The smallest weight of the start that moves, of more than two, is held still."""
    start = Invariants.start

    def smaller(self: Invariants, theta0: Any, gates: Any, slides: Any, curved: Any) -> Subspace:
        found = start(self, theta0, gates, slides, curved)
        if len(found.pivots) < 3 or np.count_nonzero(found.basis) > len(found.pivots):
            return found
        still = int(np.argmin([abs(theta0[k]) for k in found.pivots]))
        constant = found.constant.copy()
        constant[found.pivots[still]] = True
        shown = found.shown and (found.rows, np.delete(found.basis, still, axis=1))
        return dataclasses.replace(found, shown=shown, pivots=np.delete(found.pivots, still), constant=constant)

    Invariants.start = smaller
    try:
        yield
    finally:
        Invariants.start = start


@contextmanager
def relu_of_zero_has_slope_half() -> Generator[None]:
    """Starts on a kink go where the gradient with relu'(0) = 1/2 points."""
    start, resting = Gates.start, run.resting

    def halved(self: Gates) -> list[Any]:
        zero = start(self)
        field, theta = Field(self.instance), self.instance.network.flat(self.instance.theta0_float)[None]
        sharp = [np.full((self.instance.n, len(p)), 1e-12) for p in self.instance.network.patterns[:-1]]
        after = field.preactivations(theta + 1e-6 * field(theta, sharp))
        for sample, unit in zero:
            own = np.concatenate([pre[0] for pre, _ in after], axis=1)[sample, unit - self.first.start]
            self.put((sample, unit), 1 if own > 0.0 else -1)
        return []

    Gates.start = halved
    run.resting = lambda *_: ""
    try:
        yield
    finally:
        Gates.start, run.resting = start, resting


@contextmanager
def relu_of_zero_has_slope_zero() -> Generator[None]:
    """Starts on a kink are left to its off side, and never asked whether they stay there."""
    start, resting = Gates.start, run.resting
    Gates.start = lambda self: start(self)[:0]
    run.resting = lambda *_: ""
    try:
        yield
    finally:
        Gates.start, run.resting = start, resting


# --- an oracle ---


def always_optimal(limit: Limit, *, certify: bool = True) -> Any:
    """Says that everything is optimal, and certified."""
    optimal = Verdict("optimal", limit.value or 0.0, limit.value, "Because.", {"kind": "bound"}, True)

    class Lie(Verdicts):
        local = optimal  # type: ignore[assignment]
        global_ = optimal  # type: ignore[assignment]
        layers = tuple(LayerVerdicts(optimal, optimal) for _ in limit.instance.network.patterns)  # type: ignore[assignment]
        mechanism = None  # type: ignore[assignment]

    assert limit.point is not None
    return Lie(limit.point, certify=False)


# --- limits that are not the flow's, of any network ---


def altered(change: Callable[[Instance, list[np.ndarray]], list[np.ndarray]]) -> Trainer:
    """The flow's own limit, changed and scaled to a least margin of 1; undecided where that does not separate."""

    def follow(instance: Instance) -> Limit:
        (limit,) = DRIVE([instance], record=True)
        if limit.theta is None:
            return limit
        theta = change(instance, [np.array(u) for u in limit.theta])
        try:
            point = Point.at(instance.problem, [u.tolist() for u in theta])
        except ValueError:
            return dataclasses.replace(limit, status="undecided", point=None)
        return dataclasses.replace(limit, point=point)

    return one_by_one(follow)


def _off(instance: Instance, theta: list[np.ndarray]) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [
        u * (1.0 + 0.02 * rng.standard_normal(u.shape)) if own else u
        for u, own in zip(theta, instance.network.trained, strict=True)
    ]


def _lopsided(instance: Instance, theta: list[np.ndarray]) -> list[np.ndarray]:
    first, second = instance.network.matrices(theta)
    scale = np.where(second[0] > 0.0, 4.0, 1.0)
    return [(first * scale[:, None]).ravel(), theta[1]]


# Every weight by two hundredths of itself; the rows into neurons with v_j > 0, fully connected, four times as long.
two_percent_off, lopsided = altered(_off), altered(_lopsided)


@one_by_one
def backwards(instance: Instance) -> Limit:
    """The record from its end to its start."""
    (limit,) = DRIVE([instance], record=True)
    if limit.path is None:
        return limit
    return dataclasses.replace(limit, path={key: rows[::-1] for key, rows in limit.path.items()})


@one_by_one
def gives_up(instance: Instance) -> Limit:
    """Says of every flow that it never separates its data."""
    return Limit(instance, "never_separates", "It is too hard.")
