"""What decides the claims about steepest flows of networks, theta' in argmin of <u, grad L> over N(u) <= N*(grad L).

The flow is followed by small steps, and again by twice and four times as many over the same length.  What it does is
what these agree on: where they end elsewhere it is open.  Let l = loss^{-1}(L) and M = l / N^m, m the degree, from t0
on, when the data are separated.

A step D raises log l by less than its slope <grad log l, D>: steps that are too long for the flow jump from one margin
to the other, or over a kink.  What they have missed so far is known, and only what it does not explain denies a claim:
along the flow log M rises by <grad log l, D> - m d log N, which is never negative, since N*(grad l) N is at least
<grad l, theta> >= m l.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from harness.claims.trained import descent_of
from harness.optimisers.descents import Descent
from harness.problem.evaluation import evaluate

if TYPE_CHECKING:
    from harness.optimisers import Training
    from harness.optimisers.norms import Norm

HALVINGS = 2
# Of log L, below which the logistic loss is the exponential one to all digits.
FAINT = -40.0
# A fall of M by a share of its largest that is the steps' own; one of log M, beyond what they have missed, that is not.
FLAT, FALL = 1e-3, 1e-2
# Of the residual, and of the direction: this near to the limit, or so far from it.
NEAR, FAR = 2e-2, 5e-2
# What falls at all falls by this share where steps are halved, or lengths doubled.
FALLS = 0.8


def steepest(descent: Descent) -> bool:
    """Steepest descent in l_2, l_infinity or l_1, with steps that cover any length."""
    return descent.setup.name in ("l2", "linf", "l1") and descent.setup.decay < 1.0


def signs_of_zero(descent: Descent) -> bool:
    """The same in l_infinity, where the sign of 0 is 0, or l_1."""
    return descent.setup.name != "l2" and steepest(descent)


def margin_never_falls(trainings: Sequence[Training]) -> bool | None:
    """Whether M never decreases."""
    answers: list[bool | None] = []
    for training in trainings[-2:]:
        m = margins(training)
        first = int(np.argmax(np.isfinite(m)))
        if len(m) - first < 2 or not np.isfinite(m[first:]).all():
            return None
        if _fall(m[first:]) <= FLAT * m[first:].max():
            answers.append(True)
        else:
            answers.append(False if _fall((np.log(m) + missed(training))[first:]) > FALL else None)
    return _agreed(answers, trainings)


def ends_at_kkt(trainings: Sequence[Training]) -> bool | None:
    """Whether the direction comes to a KKT point of the margin problem in N.

    Its residual (harness.optimisers.kkt) falls from one doubling of the steps to the next, to nothing or nearly.  While
    it is r, log M rises by m r / (1 - r) at least for every unit of log N: a residual that stays while M does not rise
    by half of that is a limit which is no KKT point.
    """
    from harness.optimisers.kkt import residual

    answers: list[bool | None] = []
    for training in trainings[-2:]:
        norm, problem, log_m = norm_of(training), training.instance.problem, np.log(margins(training))
        end = len(training.theta) - 1
        if not np.isfinite(log_m[end // 2]):
            return None
        try:
            (low, half), (least, last) = (residual(problem, training.theta[end // k], norm, FAR / 5.0) for k in (2, 1))
        except ValueError:
            return None
        sizes = norm(training.theta)
        if last <= NEAR and last <= max(FALLS * half, FLAT):
            answers.append(True)
        else:
            risen = log_m + missed(training)
            due = problem.network.degree * min(low, least) * np.log(sizes[end] / sizes[end // 2])
            stays = min(low, least) > FAR and risen[end] - risen[end // 2] < 0.5 * due
            answers.append(False if stays else None)
    return _agreed(answers, trainings)


def direction_converges(trainings: Sequence[Training]) -> bool | None:
    """Whether theta / N(theta) moves less in every doubling of the steps than in the last one, and little in the end.

    It does not converge, as far as is seen, where it moves far in each of three doublings, and no less in the later.
    """
    answers: list[bool | None] = []
    for training in trainings[-2:]:
        sizes, end = norm_of(training)(training.theta), len(training.theta) - 1
        there = np.isfinite(margins(training))
        if not there[end // 8]:
            return None
        places = [training.theta[end // k] / sizes[end // k] for k in (8, 4, 2, 1)]
        moved = [float(np.abs(after - before).max()) for before, after in pairwise(places)]
        falls = [after <= FALLS * before for before, after in pairwise(moved)]
        if moved[-1] <= FLAT or (moved[-1] <= NEAR and all(falls)):
            answers.append(True)
        else:
            # what is left of the start is of the order of its share of the norm
            left = 4.0 * sizes[int(np.argmax(there))] / sizes[end // 8]
            away = missed(training)
            followed = away[end] - away[end // 8] < FAR
            answers.append(False if followed and min(moved) > 2.0 * FAR + left and not any(falls) else None)
    return _agreed(answers, trainings)


def margins(training: Training) -> np.ndarray:
    """M after every step, NaN before the data are separated, (T + 1,)."""
    levels = _levels(training)
    with np.errstate(divide="ignore", invalid="ignore"):
        return levels / norm_of(training)(training.theta) ** training.instance.network.degree


def missed(training: Training) -> np.ndarray:
    """By how much log l has risen less than its slopes, all steps together since the data are separated, (T + 1,)."""
    network, problem, levels = training.instance.network, training.instance.problem, _levels(training)
    at = evaluate(network, network.split(training.theta), problem.inputs)
    q, gradients = at.margins(problem.seeds), at.backward(problem.seeds)[0]
    p, log_size = _weights(q, training)
    # log -loss'(l)
    steep = training.log_loss
    if training.instance.loss == "logistic":
        steep = np.where(steep < FAINT, steep, np.log(-np.expm1(-np.exp(np.clip(steep, FAINT, 5.0)))))
    ascent = np.exp(log_size - steep)[:, None] * (p[..., None] * gradients).sum(axis=-2)
    slopes = (ascent[:-1] * np.diff(training.theta, axis=0)).sum(axis=1)
    off = np.maximum(slopes / levels[:-1] - np.diff(np.log(levels)), 0.0)
    return np.concatenate([[0.0], np.cumsum(np.where(np.isfinite(off), off, 0.0))])


def _levels(training: Training) -> np.ndarray:
    """l after every step, NaN before the data are separated, (T + 1,)."""
    levels = -training.log_loss
    if training.instance.loss == "logistic":
        # log(1 / (e^L - 1)), which is log(1/L) to all digits where L is small
        loss = np.exp(np.clip(training.log_loss, FAINT, 5.0))
        levels = np.where(training.log_loss < FAINT, levels, -np.log(np.expm1(loss)))
    first = int(np.argmax(levels > 0.0)) if (levels > 0.0).any() else len(levels)
    return np.where((np.arange(len(levels)) >= first) & (levels > 0.0), levels, np.nan)


def _weights(q: np.ndarray, training: Training) -> tuple[np.ndarray, np.ndarray]:
    """The p_i of sum 1 with -grad L = e^log_size sum_i p_i grad q_i, and log_size."""
    import torch

    from harness.optimisers.losses import weights

    found = weights(torch.from_numpy(q), training.instance.loss == "logistic", training.instance.problem.group)
    return found.p.numpy(), found.log_size.numpy()


def _fall(m: np.ndarray) -> float:
    """How far it ever is below what it has been."""
    return float((np.maximum.accumulate(m) - m).max())


def norm_of(training: Training) -> Norm:
    """The norm that a steepest descent is steepest in."""
    from harness.optimisers.norms import L1, L2, LINF

    return {"l2": L2, "linf": LINF, "l1": L1}[descent_of(training).setup.name]


def _agreed(answers: Sequence[bool | None], trainings: Sequence[Training]) -> bool | None:
    """What the last two trainings say; None where they differ, or end in different directions."""
    if len(set(answers)) > 1 or answers[0] is None:
        return None
    before, after = (one.theta[-1] / norm_of(one)(one.theta[-1]) for one in trainings[-2:])
    if np.abs(after - before).max() > NEAR:
        return None
    return answers[0]
