"""What decides a claim about the whole flow on its recorded path: three-valued, as in conclusions.py.

Norms and directions are of the parameters that are trained, and m is the number of their layers.  With several margins
a point has that of their soft minimum, t_i = -log sum_k exp(-q_ik): in either loss L is the sum of loss(t_i).

A recorded path is the trainer's, up to its own error: a quantity that is off by less than HOLDS, relative to its
natural scale, holds, one that is off by more than VIOLATED does not, and between the two it is open.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from harness.problem.evaluation import evaluate

if TYPE_CHECKING:
    from harness.claims.retrace import Onward
    from harness.oracles import Verdicts
    from harness.problem.instances import Instance
    from harness.problem.limits import Limit

HOLDS, VIOLATED = 1e-4, 1e-3
# Of the flow retraced step by step, all steps together: direction and log-norm.
FOLLOWS, STRAYS = 1e-3, 1e-2
# The direction has come to its limit.
NEAR = 1e-3
# Of a distance: what comes closer by no more than this in a few units of the log-norm stands still.
STANDS = 1e-4
# Of the log-norm: a neuron that grows at this rate against the others has woken.
WAKES = 1e-2
# log L: the data's margins are above 27, or hardly separated.
VANISHED, STAYS = np.log(1e-12), np.log(1e-3)


def balanced(limit: Limit, verdicts: Verdicts) -> bool | None:
    """Whether |u^l|^2 - |u^k|^2 is conserved from theta0 on, k the next trained layer after l, relative to |theta|^2.

    With no shared weights also, for every hidden neuron between two of them, what comes in less what goes out.
    """
    log_norm, direction = _path(limit)
    network = limit.instance.network
    # the start itself in front: the record may begin elsewhere
    start = network.flat(limit.instance.theta0_float)
    norm = np.linalg.norm(start) or 1.0
    log_norm, direction = np.append(np.log(norm), log_norm), np.vstack([start / norm, direction])
    squares = direction * direction
    layers = network.of_trained(network.split(squares))
    differences = [below.sum(axis=1) - above.sum(axis=1) for below, above in pairwise(layers)]
    if not network.shared:
        for layer, width in enumerate(network.widths[1:-1]):
            if network.trained[layer] and network.trained[layer + 1]:
                for neuron in range(width):
                    incoming, outgoing = network.into(layer, neuron), network.out_of(layer, neuron)
                    differences.append(squares[:, incoming].sum(axis=1) - squares[:, outgoing].sum(axis=1))
    shrink = np.exp(2.0 * (log_norm[0] - log_norm))
    return _judge(max((float(np.abs(d - d[0] * shrink).max()) for d in differences), default=0.0))


def loss_vanishes(limit: Limit, verdicts: Verdicts) -> bool | None:
    """Whether the loss falls along the whole path, to nothing, and the norm grows from the separation on."""
    log_norm, _ = _path(limit)
    q = _unit_margins(limit) * np.exp(np.minimum(limit.instance.network.degree * log_norm, 600.0))[:, None]
    separated = np.isfinite(_smoothed_margins(limit))
    if not separated.any():
        return False
    log_loss = _log_loss(limit.instance, q)
    rise = np.maximum(np.diff(log_loss), 0.0) / np.maximum(np.abs(log_loss[1:]), 1.0)
    shrinkage = np.maximum(-np.diff(log_norm[int(np.argmax(separated)) :]), 0.0)
    off = max(rise.max(initial=0.0), shrinkage.max(initial=0.0))
    if log_loss[-1] > STAYS:
        return False
    return _judge(float(off)) if log_loss[-1] < VANISHED or off > VIOLATED else None


def margin_grows(limit: Limit, verdicts: Verdicts) -> bool | None:
    """Whether the smoothed normalised margin never falls once the data are separated, relative to its last value."""
    smoothed = _smoothed_margins(limit)
    return _never_falls(smoothed[np.isfinite(smoothed)])


def _never_falls(smoothed: np.ndarray) -> bool | None:
    """Relative to the largest."""
    if not len(smoothed):
        return None
    return _judge(float((np.maximum.accumulate(smoothed) - smoothed).max() / smoothed.max()))


def multi_margin_grows(limit: Limit, verdicts: Verdicts) -> bool | None:
    """Whether loss^{-1}(L) / prod_l norm(u^l) never falls once the data are separated, relative to its last value."""
    _, direction = _path(limit)
    network = limit.instance.network
    layers = network.of_trained(network.split(direction))
    smoothed = _smoothed_margins(limit) / np.prod([np.linalg.norm(u, axis=1) for u in layers], axis=0)
    return _never_falls(smoothed[np.isfinite(smoothed)])


def margin_rate(limit: Limit, verdicts: Verdicts) -> bool | None:
    """Whether d log margin~ >= m ||d direction||^2 / d log norm over every step past the separation.

    By the Cauchy-Schwarz inequality the rate itself, where the path is smooth, sums up to this over a step.
    """
    log_norm, direction = _path(limit)
    smoothed = _smoothed_margins(limit)
    moved = np.append(np.diff(log_norm) > 0.0, False)
    past = np.flatnonzero(np.isfinite(smoothed) & moved)
    if not len(past):
        return None
    growth = np.log(smoothed[past + 1] / smoothed[past])
    squares = np.sum((direction[past + 1] - direction[past]) ** 2, axis=1)
    least = limit.instance.network.degree * squares / (log_norm[past + 1] - log_norm[past])
    return _judge(float(np.max(least - growth)))


def follows_flow(limit: Limit, verdicts: Verdicts) -> bool | None:
    """Whether the record is of the flow from theta0, by an independent integrator, and the flow goes on to the limit.

    Every weight counts relative to its own neuron.  Flows that are still coming closer to the limit are open.
    """
    from harness.claims.retrace import retrace

    found = retrace(limit)
    if not found.begins or found.branches:
        return False
    departs = None if found.branches is None else True
    answers = (departs, _strays(found.detour), _strays(found.leaves), _arrives(found.onward), _told(limit))
    return False if False in answers else None if None in answers else True


def _strays(off: float | None) -> bool | None:
    return None if off is None or FOLLOWS < off <= STRAYS else off <= FOLLOWS


def _arrives(onward: Onward | None) -> bool | None:
    """Whether the flow beyond the record comes to the limit, and the neurons that are zero there die."""
    if onward is None:
        return None
    first, last = onward.distance[0], onward.distance[-1]
    if last >= NEAR:
        # whether a neuron has woken is known near the limit alone
        return False if last > max(STRAYS, (1.0 - STANDS) * first) else None
    if np.any(onward.sure & (onward.rates > WAKES)):
        return False
    return True if np.all(onward.rates[-1:] < -WAKES) else None


def _told(limit: Limit) -> bool | None:
    """Whether the record has the last distance that the evidence tells; None if it ends before."""
    if not limit.evidence:
        return True
    assert limit.theta is not None
    log_norm, direction = _path(limit)
    told, distance = limit.evidence[-1]
    there = np.flatnonzero(np.abs(log_norm - told) <= 1e-9 * max(1.0, abs(told)))
    end = limit.instance.network.flat(limit.theta)
    gaps = np.linalg.norm(direction[there] - end / np.linalg.norm(end), axis=1)
    return bool(np.abs(gaps - distance).min() <= VIOLATED * NEAR) if len(there) else None


def above_the_floor(limit: Limit, verdicts: Verdicts) -> bool | None:
    """Whether no smoothed normalised margin on the way is larger than the limit's own normalised margin."""
    assert limit.value is not None
    smoothed = _smoothed_margins(limit)
    smoothed = smoothed[np.isfinite(smoothed)]
    if not len(smoothed):
        return None
    top = (2.0 * limit.value) ** (-0.5 * limit.instance.network.degree)
    return _judge(float(smoothed.max() / top - 1.0))


def outgoing_dominate(instance: Instance) -> bool:
    """Whether every |v_j(0)| >= |w_j(0)| at depth 2, exactly."""
    hidden, (output,) = instance.network.patterns
    first, last = instance.theta0
    return all(
        k < 0 or last[k] ** 2 >= sum(first[c] ** 2 for c in row if c >= 0)
        for row, k in zip(hidden, output, strict=True)
    )


def signs_kept(limit: Limit, verdicts: Verdicts) -> bool | None:
    """Whether no v_j has the other sign than at the start, on the path or in the limit."""
    assert limit.theta is not None
    _, direction = _path(limit)
    v = np.vstack([limit.instance.network.split(direction)[-1], limit.theta[-1][None, :]])
    start = np.sign(limit.instance.theta0_float[-1])
    return _judge(float(np.maximum(-start * v, 0.0)[:, start != 0.0].max(initial=0.0)))


def _judge(off: float) -> bool | None:
    return None if not np.isfinite(off) or HOLDS < off <= VIOLATED else off <= HOLDS


def _path(limit: Limit) -> tuple[np.ndarray, np.ndarray]:
    """log-norm (T,) and direction (T, N), without rows at zero."""
    assert limit.path is not None, "the claim needs the flow's recorded path"
    kept = np.isfinite(limit.path["log_norm"])
    return limit.path["log_norm"][kept], limit.path["direction"][kept]


def _unit_margins(limit: Limit) -> np.ndarray:
    """q_r of the directions along the path, (T, R)."""
    instance, (_, direction) = limit.instance, _path(limit)
    at = evaluate(instance.network, instance.network.split(direction), instance.problem.inputs)
    return at.margins(instance.problem.seeds)


def _log_loss(instance: Instance, q: np.ndarray) -> np.ndarray:
    """log L at margins q (T, R), without overflow or underflow: log(1 + exp(-t)) is exp(-t) at large t."""
    t = -np.logaddexp.reduce(-q.reshape(len(q), instance.n, -1), axis=2) if instance.network.outputs > 2 else q
    terms = -t
    if instance.loss == "logistic":
        small = t < 30.0
        terms = np.where(small, np.log(np.logaddexp(0.0, -np.where(small, t, 0.0))), -t)
    top = terms.max(axis=1)
    return top + np.log(np.exp(terms - top[:, None]).sum(axis=1))


def _smoothed_margins(limit: Limit) -> np.ndarray:
    """loss^{-1}(L) / norm^m along the path, (T,); NaN where the loss is not below that of the zero network."""
    log_norm, _ = _path(limit)
    unit, growth = _unit_margins(limit), limit.instance.network.degree * log_norm
    scale = np.exp(np.minimum(growth, 230.0))
    log_loss = _log_loss(limit.instance, unit * scale[:, None])
    if limit.instance.loss == "exponential":
        inverse = -log_loss
    else:
        inverse = np.where(log_loss < -30.0, -log_loss, -np.log(np.expm1(np.exp(np.clip(log_loss, -30.0, 5.0)))))
    # beyond every float the loss is the least margin's
    smoothed = np.where(growth > 230.0, unit.min(axis=1), inverse / scale)
    return np.where(inverse > 0.0, smoothed, np.nan)
