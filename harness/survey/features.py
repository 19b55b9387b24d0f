"""Further numbers of a limit that a survey may keep and count, by name.

A feature is a function of the limit and its verdicts; it returns small whole numbers, or None where the question has no
sense, under the keys that KEYS lists.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from harness.problem.evaluation import evaluate
from harness.problem.limits import Limit

Feature = Callable[[Limit, Any], dict[str, int | None]]


def neurons(limit: Limit, verdicts: Any) -> dict[str, int | None]:
    """Of the first hidden layer: asleep, neurons off on every point at the start; dead, neurons that are zero in the
    limit, of limits that are local optima and that are not."""
    assert limit.theta is not None
    instance = limit.instance
    inputs = evaluate(instance.network, instance.theta0_float, instance.x_float).preactivations[0]
    dead = int((~instance.network.matrices(limit.theta)[0].any(axis=1)).sum())
    status = verdicts.local.status
    return {
        "asleep": int((inputs <= 0.0).all(axis=0).sum()),
        "dead, local": dead if status == "optimal" else None,
        "dead, not local": dead if status == "not_optimal" else None,
    }


def vertex(limit: Limit, verdicts: Any) -> dict[str, int | None]:
    """Of a diagonal linear network: which coordinates the limit has.

    beta_k is the product of coordinate k's weights, g_k = sum_i y_i x_ik. support: how many beta_k are not zero;
    largest: whether the one with the largest |beta_k| at the start is among them; fastest: whether that with the
    largest |beta_k|^(1/m) |g_k| is, of those with beta_k g_k > 0 at the start, the first to grow from a small and
    balanced one; alone: whether it is the only one.
    """
    assert limit.theta is not None
    beta = np.prod(limit.theta, axis=0)
    start = np.prod(limit.instance.theta0_float, axis=0)
    pull = limit.instance.y_float @ limit.instance.x_float
    score = np.where(start * pull > 0.0, np.abs(start) ** (1.0 / limit.instance.network.depth) * np.abs(pull), 0.0)
    support = beta != 0.0
    fastest = bool(support[np.argmax(score)]) if score.any() else None
    return {
        "support": int(support.sum()),
        "largest": int(support[np.argmax(np.abs(start))]),
        "fastest": None if fastest is None else int(fastest),
        "alone": None if fastest is None else int(fastest and support.sum() == 1),
    }


FEATURES: dict[str, Feature] = {"neurons": neurons, "vertex": vertex}
KEYS: dict[str, tuple[str, ...]] = {
    "neurons": ("asleep", "dead, local", "dead, not local"),
    "vertex": ("support", "largest", "fastest", "alone"),
}
