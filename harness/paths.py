"""What decides a claim about the whole flow on its recorded path: three-valued, as in deciding.py.

A recorded path is the trainer's, up to its own error: a quantity that is off by less than HOLDS, relative to its
natural scale, holds, one that is off by more than VIOLATED does not, and between the two it is open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from harness.instances import Instance
    from harness.limits import Limit
    from harness.margin import Verdicts

HOLDS, VIOLATED = 1e-4, 1e-3


def balanced(limit: Limit, verdicts: Verdicts) -> bool | None:
    """Whether |u^l|^2 - |u^{l+1}|^2 is conserved, relative to |theta|^2."""
    log_norm, direction = _path(limit)
    norm = np.exp(log_norm - log_norm[0])
    squares = np.array([(u * u).sum(axis=1) for u in _layers(limit.instance, direction)])
    differences = squares[:-1] - squares[1:]
    off = np.abs(differences - differences[:, :1] / norm**2)
    return _judge(float(off.max(initial=0.0)))


def margin_grows(limit: Limit, verdicts: Verdicts) -> bool | None:
    """Whether the smoothed normalised margin never falls once the data are separated, relative to its last value."""
    smoothed = _smoothed_margins(limit)
    if not len(smoothed):
        return None
    return _judge(float((np.maximum.accumulate(smoothed) - smoothed).max() / smoothed.max()))


def above_the_floor(limit: Limit, verdicts: Verdicts) -> bool | None:
    """Whether no smoothed normalised margin on the way is larger than the limit's own normalised margin."""
    assert limit.value is not None
    smoothed = _smoothed_margins(limit)
    if not len(smoothed):
        return None
    top = (2.0 * limit.value) ** (-0.5 * limit.instance.network.depth)
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
    v = np.vstack([_layers(limit.instance, direction)[-1], limit.theta[-1][None, :]])
    start = np.sign(limit.instance.theta0_float[-1])
    return _judge(float(np.maximum(-start * v, 0.0)[:, start != 0.0].max(initial=0.0)))


def _judge(off: float) -> bool | None:
    return None if not np.isfinite(off) or HOLDS < off <= VIOLATED else off <= HOLDS


def _path(limit: Limit) -> tuple[np.ndarray, np.ndarray]:
    """log-norm (T,) and direction (T, N), without rows at zero."""
    assert limit.path is not None, "the claim needs the flow's recorded path"
    kept = np.isfinite(limit.path["log_norm"])
    return limit.path["log_norm"][kept], limit.path["direction"][kept]


def _layers(instance: Instance, direction: np.ndarray) -> list[np.ndarray]:
    return np.split(direction, np.cumsum(instance.network.sizes)[:-1], axis=1)


def _smoothed_margins(limit: Limit) -> np.ndarray:
    """loss^{-1}(L) / norm^m along the path, from where the loss is below that of the zero network on, (T',)."""
    instance, network = limit.instance, limit.instance.network
    log_norm, direction = _path(limit)
    h = np.broadcast_to(instance.x_float, (len(direction), *instance.x_float.shape))
    for layer, (pattern, u) in enumerate(zip(network.patterns, _layers(instance, direction), strict=True)):
        padded = np.concatenate([u, np.zeros((len(u), 1))], axis=1)
        h = h @ padded[:, np.array(pattern)].transpose(0, 2, 1)
        if layer + 1 < network.depth and network.activation == "relu":
            h = np.maximum(h, 0.0)
    unit = instance.y_float * h[:, :, 0]
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        scale = np.exp(network.depth * log_norm)
        # margins at large norms are all the same number to the exponential but for their differences
        q = unit * scale[:, None]
        low = q.min(axis=1)
        if instance.loss == "exponential":
            inverse = low - np.log(np.exp(low[:, None] - q).sum(axis=1))
        else:
            small = np.log(np.expm1(np.logaddexp(0.0, -q).sum(axis=1)))
            inverse = np.where(low > 30.0, low - np.log(np.exp(low[:, None] - q).sum(axis=1)), -small)
        smoothed = np.where(scale > 1e100, unit.min(axis=1), inverse / scale)
    return smoothed[np.isfinite(smoothed) & (inverse > 0.0)]
