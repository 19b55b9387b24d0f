"""Classes that no sample has which counts: in the end the weights of the samples do not tell them apart.

Take a set of active points and all neurons that pass something on of them, so that these neurons hear no other active
point; let C be the classes that none of the points has.  With u_n the weights out of neuron n into the outputs C, less
their mean, and f_C(x_i) what they add up to at a point,

    d/ds 1/2 sum_n |u_n|^2 = -sum_i p_i . f_C(x_i) <= 0,

p_i the weights of the margins of x_i over C: the larger output k, the larger p_ik.  So all u_n together never grow,
while all that is said of the limit is that the weights tend to its multipliers, which are not unique.  Let z be a
small neuron with its own u left out.  It is moved by the multipliers that are evened out over C, and pushed beside that
by (1 - 1/|C|)^(1/2) |u| sum_i |c_i h_i| sum_k lambda_ik at most, |u| that of all neurons.  It grows, if less than what
lives; |u| does not.

That holds while these neurons are all that pass something on of the points: a small one that may change its gates is
taken to pass on every point, as each one on those on which it once did.

A softmax that is held makes the weights even at once, and the pushes are not seen.  So |u| is taken from the time
before, and a neuron may have been turned since by what they amount to beside the sizes that it had.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.flow.compiled.field import look
from harness.flow.compiled.kernel import entries_of
from harness.flow.kinks.gates import Gates
from harness.flow.settling.polytope import LEVEL

FAINTEST = 1e-6  # of all weights: samples that no longer drive anything
LEAST, LARGEST = 1e-300, 500.0  # keep a divisor from zero, and what is exponentiated from overflow
NONE = 1e-9  # of the norm of a limit: differences of its weights that are rounding


@dataclass(frozen=True)
class Before:
    """A flow of two layers before its softmax was held, and what has become of its neurons since.

    theta (N,): then.  passes (units, n), counted (n,): whether since then a neuron has passed something on of a sample,
    and whether that has had a weight.  exposure (units,): the integral over the log-norm of sum_i lambda_i / the size
    of each, at most.  log_norm, sizes (units,): those seen last.
    """

    theta: np.ndarray
    passes: np.ndarray
    counted: np.ndarray
    exposure: np.ndarray
    log_norm: float
    sizes: np.ndarray

    @classmethod
    def of(cls, gates: Gates, theta: np.ndarray) -> Before:
        counted = look(gates.cell, theta).p > FAINTEST
        return cls(theta, _passes(gates), counted, np.zeros(len(gates.hidden)), *_sizes(gates, theta, 0.0))

    def since(self, gates: Gates, theta: np.ndarray, booked: float) -> Before:
        """The same a little later, at theta (N,) less the log-norm that is booked."""
        log_norm, sizes = _sizes(gates, theta, booked)
        now = look(gates.cell, theta)
        # at norm 1 sum_i lambda_i q_i = 1, and the least margin hardly falls any more
        most = now.rho**2 / float(now.q.min())
        more = max(log_norm - self.log_norm, 0.0) * most / np.maximum(np.minimum(self.sizes, sizes), LEAST)
        passes, counted = self.passes | _passes(gates), self.counted | (now.p > FAINTEST)
        return Before(self.theta, passes, counted, self.exposure + more, log_norm, sizes)


@dataclass(frozen=True)
class Evened:
    """The corners (c, n) of the multipliers evened out, and, relative to a unit, what else may push it, and |u|.

    turned: by how much it may have been turned already.
    """

    corners: np.ndarray
    kick: float
    aside: float
    turned: float


def evened(
    gates: Gates,
    before: Before,
    limit: np.ndarray,
    corners: np.ndarray,
    unit: int,
    free: Sequence[int] = (),
) -> Evened | None:
    """What moves a small unit; None where that is not more than the corners say.

    before: up to now.  limit (N,): that of the flow; corners (c, n): all those of its multipliers.  free: small units
    whose gates may change.
    """
    at = unit - gates.hidden.start
    samples = np.array([sample for sample, _ in gates.rows])
    heard = (corners > LEVEL * corners.max()).any(axis=0) | before.counted
    passes = before.passes.copy()
    passes[np.array(free, dtype=np.int64) - gates.hidden.start] = True
    rows, units = _together(passes, heard, at)
    seeds = gates.cell.seeds
    others = np.asarray(~(seeds[rows] > 0.0).any(axis=0))
    if others.sum() < 2:
        return None
    uneven, ends = (float(np.linalg.norm(_uneven(gates, z, others)[units])) for z in (before.theta, limit))
    if ends > NONE * np.linalg.norm(limit):
        return None
    over = rows & (seeds @ others < 0.0)
    even, share = corners.copy(), np.zeros(len(rows))
    for sample in set(samples[over].tolist()):
        own = over & (samples == sample)
        even[:, own] = corners[:, own].mean(axis=1, keepdims=True)
        share[np.flatnonzero(own)[0]] = corners[:, own].sum(axis=1).max()
    slopes = np.where(gates.state(unit) == 2, max(abs(gates.below), 1.0), np.abs(gates.gates[:, unit]))
    lengths = np.linalg.norm(gates.cell.x, axis=1)
    # of multipliers less their mean over C, and u: none is longer than this part of their sum
    moved = uneven * math.sqrt(1.0 - 1.0 / int(others.sum()))
    push, most = float(slopes * lengths @ share) * moved, max(abs(gates.below), 1.0) * float(lengths.max()) * moved
    size, exposure = float(before.sizes[at]), float(before.exposure[at])
    return Evened(even, push / size, uneven / size, most * exposure) if size > 0.0 else None


def _passes(gates: Gates) -> np.ndarray:
    """Whether a hidden unit passes something on of a sample, (units, n)."""
    states = np.array([gates.state(unit) for unit in gates.hidden])
    return (states != 0) | bool(gates.below)


def _sizes(gates: Gates, theta: np.ndarray, booked: float) -> tuple[float, np.ndarray]:
    """The log-norm, and the norms of the weights into and out of every hidden unit, in full, (units,)."""
    net = gates.net
    squares = np.zeros(int(net.uptr[-1]))
    for ends in (net.row, net.col):
        np.add.at(squares, ends, entries_of(net, theta) ** 2)
    hidden = slice(gates.hidden.start, gates.hidden.stop)
    return booked + math.log(np.linalg.norm(theta)), np.sqrt(squares[hidden]) * math.exp(min(booked, LARGEST))


def _together(passes: np.ndarray, heard: np.ndarray, at: int) -> tuple[np.ndarray, np.ndarray]:
    """The samples (n,) heard by the unit or by what hears one of them, and so on; and these units, (units,).

    passes (units, n): whether a unit passes something on of a sample.
    """
    rows = np.asarray(heard & passes[at])
    while True:
        units = np.asarray(passes[:, rows].any(axis=1))
        wider = np.asarray(heard & passes[units].any(axis=0))
        if np.array_equal(wider, rows):
            return rows, units
        rows = wider


def _uneven(gates: Gates, theta: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The weights out of every hidden unit into these outputs, less their mean, (units, classes)."""
    net = gates.net
    weights = entries_of(net, theta)
    out = np.zeros((len(gates.hidden), len(classes)))
    leaving = slice(int(net.ptr[1]), None)
    out[net.col[leaving] - gates.hidden.start, net.row[leaving] - gates.hidden.stop] = weights[leaving]
    out = out[:, classes]
    return out - out.mean(axis=1, keepdims=True)
