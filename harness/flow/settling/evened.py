"""Classes that no sample has which counts: in the end the weights of the samples do not tell them apart.

Take a set of active points and all neurons that pass something on of them, so that these neurons hear no other active
point; let C be the classes that none of the points has.  With u_n the weights out of neuron n into the outputs C, less
their mean, and f_C(x_i) what they add up to at a point,

    d/ds 1/2 sum_n |u_n|^2 = -sum_i p_i . f_C(x_i) <= 0,

p_i the weights of the margins of x_i over C: the larger output k, the larger p_ik.  So all u_n together never grow,
while all that is said of the limit is that the weights tend to its multipliers, which are not unique.  Let z be a
small neuron with its own u left out.  It is moved by the multipliers that are evened out over C, and pushed beside that
by |u| sum_i |c_i h_i| sum_k lambda_ik at most, |u| that of all neurons.  It grows, if less than what lives; |u| does
not.

That holds as long as the softmax is not held.  Held, it makes the weights even at once, and the pushes are not seen;
so all is asked at a time before.  And it holds while these neurons are all that pass something on of the points: a
small one that may change its gates is taken to pass on every point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.flow.compiled.kernel import entries_of
from harness.flow.kinks.gates import Gates
from harness.flow.settling.polytope import LEVEL

NONE = 1e-9  # of the norm of a limit: differences of its weights that are rounding


@dataclass(frozen=True)
class Before:
    """A flow of two layers before its softmax was held: theta (N,) and the state of its neurons, (units, n)."""

    theta: np.ndarray
    states: np.ndarray

    @classmethod
    def of(cls, gates: Gates, theta: np.ndarray) -> Before:
        return cls(theta, np.array([gates.state(unit) for unit in gates.hidden]))


@dataclass(frozen=True)
class Evened:
    """The corners (c, n) of the multipliers evened out, and, relative to a unit, what else may push it, and |u|."""

    corners: np.ndarray
    kick: float
    aside: float


def evened(
    gates: Gates, before: Before, limit: np.ndarray, corners: np.ndarray, unit: int, free: Sequence[int] = ()
) -> Evened | None:
    """What moves a small unit; None where that is not more than the corners say.

    limit (N,): that of the flow; corners (c, n): all those of its multipliers.  free: small units whose gates may
    change.
    """
    at = unit - gates.hidden.start
    samples = np.array([sample for sample, _ in gates.rows])
    heard = (corners > LEVEL * corners.max()).any(axis=0)
    passes = (before.states != 0) | bool(gates.below)
    passes[np.array(free, dtype=np.int64) - gates.hidden.start] = True
    rows, units = _together(passes, heard, at)
    seeds = gates.cell.seeds
    others = np.asarray(~(seeds[rows] > 0.0).any(axis=0))
    if others.sum() < 2:
        return None
    uneven, ends = (_uneven(gates, theta, others)[units] for theta in (before.theta, limit))
    if np.abs(ends).max() > NONE * np.linalg.norm(limit):
        return None
    over = rows & (seeds @ others < 0.0)
    even, share = corners.copy(), np.zeros(len(rows))
    for sample in set(samples[over].tolist()):
        own = over & (samples == sample)
        even[:, own] = corners[:, own].mean(axis=1, keepdims=True)
        share[np.flatnonzero(own)[0]] = corners[:, own].sum(axis=1).max()
    slopes = np.where(before.states[at] == 2, max(abs(gates.below), 1.0), np.abs(gates.gates[:, unit]))
    push = float(slopes * np.linalg.norm(gates.cell.x, axis=1) @ share * np.linalg.norm(uneven))
    own = np.append(gates.net.par[gates.net.row == unit], gates.net.par[gates.net.col == unit])
    size = float(np.linalg.norm(before.theta[own]))
    return Evened(even, push / size, float(np.linalg.norm(uneven)) / size) if size > 0.0 else None


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
