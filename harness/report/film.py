"""The flow of a counterexample from its start to its limit, in frames that are about equally far apart.

The trainer records where its steps end: far apart where nothing turns, close together where much does.  The frames are
interpolated between them, at equal steps of |change of log-norm| + TURN |change of direction|.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

import harness
from harness.problem.evaluation import evaluate
from harness.problem.fields import FieldError
from harness.problem.places import Place
from harness.records.record import Record

FRAMES = 121
TURN = 3.0
# A pre-activation below this, relative to its terms, is zero.
EDGE = 1e-9


@dataclass(frozen=True)
class Film:
    """T frames.

    theta is what is trained.  log_norm: log |theta|, (T,).  direction: theta / |theta|, (T, N).  margins: those of the
    direction, (T, R).  gates: the signs of the pre-activations of hidden neurons, (T, hidden neurons, n), empty for
    linear networks.
    """

    log_norm: np.ndarray
    direction: np.ndarray
    margins: np.ndarray
    gates: np.ndarray


def film(record: Record) -> Film:
    """Follow the flow once more.  Raises FieldError if it does not converge, which it does for what is trusted."""
    instance = record.instance
    (limit,) = harness.drive([instance], record=True)
    if limit.status != "converged" or limit.path is None:
        raise FieldError(record.folder, f"the flow is {limit.status} now")
    kept = np.isfinite(limit.path["log_norm"])
    log_norm, direction = _frames(limit.path["log_norm"][kept], limit.path["direction"][kept])
    margins, gates = _forward(record, direction)
    return Film(log_norm, direction, margins, gates)


def _frames(log_norm: np.ndarray, direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    step = np.abs(np.diff(log_norm)) + TURN * np.linalg.norm(np.diff(direction, axis=0), axis=1)
    clock = np.concatenate([[0.0], np.cumsum(step)])
    times = np.linspace(0.0, clock[-1], FRAMES)
    between = np.array([np.interp(times, clock, column) for column in direction.T]).T
    return np.interp(times, clock, log_norm), between / np.linalg.norm(between, axis=1, keepdims=True)


def _forward(record: Record, direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    instance, network = record.instance, record.instance.network
    problem = instance.problem
    at = evaluate(network, network.split(direction), problem.x_float)
    signs = []
    for h, matrix, a in zip(at.inputs[:-1], at.matrices, at.preactivations, strict=False):
        # how large the sum would be without cancellation
        size = np.abs(h) @ np.abs(matrix).transpose(0, 2, 1)
        signs.append(np.where(np.abs(a) <= EDGE * size, 0, np.sign(a)).transpose(0, 2, 1))
    gates = np.concatenate(signs, axis=1) if network.kinked else np.zeros((len(direction), 0, instance.n))
    own = at.outputs[:, [sample for sample, _ in problem.rows]]
    return (problem.seeds * own).sum(axis=-1), gates


def arrows(record: Record, direction: np.ndarray) -> np.ndarray:
    """|v_j| w_j of theta / |theta| for networks that can be taken apart into neurons, (T, neurons, d)."""
    w, v = record.instance.network.matrices(record.instance.network.split(direction))
    return np.abs(v[:, 0])[:, :, None] * w


def inputs(record: Record, direction: np.ndarray, places: Sequence[Place]) -> np.ndarray:
    """The inputs of hidden neurons at these places, of theta / |theta|, (T, places)."""
    problem = record.instance.problem
    at = evaluate(problem.network, problem.network.split(direction), problem.x_float)
    return np.stack([at.preactivations[layer][:, sample, neuron] for sample, layer, neuron in places], axis=1)


def angles(record: Record, direction: np.ndarray) -> np.ndarray:
    """The direction of every w_j in degrees, without jumps, (T, neurons); nan for w_j = 0.  Two coordinates."""
    w, _ = record.instance.network.matrices(record.instance.network.split(direction))
    found = np.degrees(np.unwrap(np.arctan2(w[:, :, 1], w[:, :, 0]), axis=0))
    found[(w == 0.0).all(axis=2)] = math.nan
    return found
