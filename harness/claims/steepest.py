"""What decides the claims about steepest flows of networks, theta' in argmin of <u, grad L> over N(u) <= N*(grad L).

The flow is followed by steps of one size in N, and again by steps of half and a quarter of it: what it does is what
these agree on, and what changes with the step is open.  Let M = loss^{-1}(L) / N^m, m the degree, from t0 on, when the
data are separated.

Where a neuron is switched on and off again and again the steps follow a mixture of two gradients' directions, which is
a direction of steepest descent of neither: the flow that is meant is then not followed, and what it does is open.
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
# Switches of one gate that are more than passing.
SWITCHES = 8


def constant_steps(descent: Descent) -> bool:
    """Steepest descent in l_2, l_infinity or l_1 with steps of one size."""
    return descent.setup.name in ("l2", "linf", "l1") and not descent.setup.decay


def signs_of_zero(descent: Descent) -> bool:
    """The same in l_infinity, where the sign of 0 is 0, or l_1."""
    return descent.setup.name in ("linf", "l1") and not descent.setup.decay


def margin_never_falls(trainings: Sequence[Training]) -> bool | None:
    """Whether M never decreases."""
    falls: list[float] = []
    for training in trainings:
        m = margins(training)
        m = m[np.isfinite(m)]
        if len(m) < 2:
            return None
        falls.append(float((np.maximum.accumulate(m) - m).max() / m.max()))
    if falls[-1] <= FLAT:
        return True
    lasting = all(after > FALLS * before for before, after in pairwise(falls))
    return False if falls[-1] > FALL and lasting and not any(map(slides, trainings)) else None


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
    return _agreed(answers, trainings)


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
            answers.append(False if min(moved) > 2.0 * FAR and not any(falls) else None)
    return _agreed(answers, trainings)


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


def slides(training: Training) -> bool:
    """Whether some gate is switched again and again once the data are separated."""
    network = training.instance.network
    theta = training.theta[np.isfinite(margins(training))]
    if not network.kinked or len(theta) < 2:
        return False
    at = evaluate(network, network.split(theta), training.instance.problem.inputs)
    return any(int((gate[1:] != gate[:-1]).sum(axis=0).max()) >= SWITCHES for gate in at.gates)


def norm_of(training: Training) -> Norm:
    """The norm that a steepest descent is steepest in."""
    from harness.optimisers.norms import L1, L2, LINF

    return {"l2": L2, "linf": LINF, "l1": L1}[descent_of(training).setup.name]


def _agreed(answers: Sequence[bool | None], trainings: Sequence[Training]) -> bool | None:
    """What steps of all sizes say; None where they differ, or where the flow is not followed."""
    if len(set(answers)) > 1 or any(map(slides, trainings)):
        return None
    return answers[0]
