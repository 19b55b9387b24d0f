"""What decides the claims about steepest flows of networks, theta' in argmin of <u, grad L> over N(u) <= N*(grad L).

The flow is followed by small steps, and again by twice and four times as many over the same length.  What it does is
what these agree on: where they end elsewhere it is open.  Let M = loss^{-1}(L) / N^m, m the degree, from t0 on, when
the data are separated.

Steps that are too large for the flow jump from one margin to the other, and on average go in a direction that is not
that of steepest descent for any weights of the margins.  So do steps at a kink that a neuron cannot leave, where the
flow mixes the gradients of both sides but not their directions.  Neither denies a claim: nothing is violated where the
weights of the margins jump, or where some gate is switched again and again.
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
# Of the largest M: a fall below the first is the steps' own, and one above the second is not that of small steps.
FLAT, FALL = 1e-3, 1e-2
# Of the residual, and of the direction: this near to the limit, or so far from it.
NEAR, FAR = 2e-2, 5e-2
# What falls at all falls by this share where steps are halved, or lengths doubled.
FALLS = 0.8
# Of the weights of the margins, whose sum is 1, in one step; and switches of one gate that are more than passing.
JUMP, SWITCHES = 0.5, 8


def steepest(descent: Descent) -> bool:
    """Steepest descent in l_2, l_infinity or l_1, with steps that cover any length."""
    return descent.setup.name in ("l2", "linf", "l1") and descent.setup.decay < 1.0


def signs_of_zero(descent: Descent) -> bool:
    """The same in l_infinity, where the sign of 0 is 0, or l_1."""
    return descent.setup.name != "l2" and steepest(descent)


def margin_never_falls(trainings: Sequence[Training]) -> bool | None:
    """Whether M never decreases."""
    falls: list[float] = []
    for training in trainings:
        m = margins(training)
        m = m[np.isfinite(m)]
        if len(m) < 2:
            return None
        falls.append(float((np.maximum.accumulate(m) - m).max() / m.max()))
    lasting = all(after > FALLS * before for before, after in pairwise(falls))
    return _agreed([fall <= FLAT or (None if fall <= FALL or not lasting else False) for fall in falls[-1:]], trainings)


def ends_at_kkt(trainings: Sequence[Training]) -> bool | None:
    """Whether the direction comes to a KKT point of the margin problem in N.

    Its residual (harness.optimisers.kkt) falls from one doubling of the steps to the next, to nothing or nearly.  While
    it is r, log M rises by m r / (1 - r) at least for every unit of log N: a residual that stays while M does not rise
    by half of that is a limit which is no KKT point.
    """
    from harness.optimisers.kkt import residual

    answers: list[bool | None] = []
    for training in trainings:
        norm, problem, m = norm_of(training), training.instance.problem, margins(training)
        end = len(training.theta) - 1
        if not np.isfinite(m[end // 4]):
            return None
        try:
            found = [residual(problem, training.theta[end // k], norm, FAR / 5.0) for k in (4, 2, 1)]
        except ValueError:
            return None
        (_, _), (low, half), (least, last) = found
        sizes = norm(training.theta)
        due = problem.network.degree * min(low, least) * np.log(sizes[end] / sizes[end // 2])
        if last <= NEAR and last <= max(FALLS * half, FLAT):
            answers.append(True)
        else:
            stays = min(low, least) > FAR and np.log(m[end] / m[end // 2]) < 0.5 * due
            answers.append(False if stays else None)
    return _agreed(answers[-2:], trainings)


def direction_converges(trainings: Sequence[Training]) -> bool | None:
    """Whether theta / N(theta) moves less in every doubling of the steps than in the last one, and little in the end.

    It does not converge, as far as is seen, where it moves far in each of three doublings, and no less in the later.
    """
    answers: list[bool | None] = []
    for training in trainings:
        norm = norm_of(training)
        sizes, end = norm(training.theta), len(training.theta) - 1
        if not np.isfinite(margins(training)[end // 8]):
            return None
        places = [training.theta[end // k] / sizes[end // k] for k in (8, 4, 2, 1)]
        moved = [float(np.abs(after - before).max()) for before, after in pairwise(places)]
        falls = [after <= FALLS * before for before, after in pairwise(moved)]
        if moved[-1] <= FLAT or (moved[-1] <= NEAR and all(falls)):
            answers.append(True)
        else:
            # what is left of the start is of the order of its share of the norm
            left = 4.0 * sizes[int(np.argmax(np.isfinite(margins(training))))] / sizes[end // 8]
            answers.append(False if min(moved) > 2.0 * FAR + left and not any(falls) else None)
    return _agreed(answers[-2:], trainings)


def margins(training: Training) -> np.ndarray:
    """M after every step, NaN before the data are separated, (T + 1,)."""
    smoothed = -training.log_loss
    if training.instance.loss == "logistic":
        # log(1 / (e^L - 1)), of which the second term is below rounding for small L
        loss = np.exp(np.minimum(training.log_loss, 5.0))
        smoothed = np.where(training.log_loss < -30.0, smoothed, -np.log(np.expm1(np.maximum(loss, 1e-300))))
    separated = smoothed > 0.0
    first = int(np.argmax(separated)) if separated.any() else len(smoothed)
    with np.errstate(divide="ignore", invalid="ignore"):
        m = smoothed / norm_of(training)(training.theta) ** training.instance.network.degree
    return np.where(np.arange(len(m)) >= first, m, np.nan)


def strays(training: Training) -> bool:
    """Whether the weights of the margins jump in some step, or some gate is switched again and again."""
    network, problem = training.instance.network, training.instance.problem
    theta = training.theta[np.isfinite(margins(training))]
    if len(theta) < 2:
        return False
    at = evaluate(network, network.split(theta), problem.inputs)
    q = at.margins(problem.seeds)
    p = np.exp(q.min(axis=1, keepdims=True) - q)
    p = p / p.sum(axis=1, keepdims=True)
    jumps = np.abs(np.diff(p, axis=0)).sum(axis=1).max() > JUMP
    return bool(jumps) or any(int((gate[1:] != gate[:-1]).sum(axis=0).max()) >= SWITCHES for gate in at.gates)


def norm_of(training: Training) -> Norm:
    """The norm that a steepest descent is steepest in."""
    from harness.optimisers.norms import L1, L2, LINF

    return {"l2": L2, "linf": LINF, "l1": L1}[descent_of(training).setup.name]


def _agreed(answers: Sequence[bool | None], trainings: Sequence[Training]) -> bool | None:
    """What the last trainings say; None where they differ, end in different directions, or do not follow the flow."""
    if len(set(answers)) > 1 or answers[0] is None:
        return None
    before, after = (one.theta[-1] / norm_of(one)(one.theta[-1]) for one in trainings[-2:])
    if np.abs(after - before).max() > NEAR:
        return None
    return None if not answers[0] and strays(trainings[-1]) else answers[0]
