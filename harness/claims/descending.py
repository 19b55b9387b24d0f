"""What decides the claims about optimisers of a linear classifier, exponential loss; docs/statements.md, section 8.

Each is a floor of log(1/L) and a ceiling of N(w) that hold after every step, decided after 1, 2, 4, ... steps
(classifiers.py).  Where the claim is of a limit, the floor implies it as the steps go on; it holds of a training only
once the floor has promised TELLING of the largest margin, and is open before: convergence is slow.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from harness.certificates.margins import norm_down, norm_up
from harness.certificates.numbers import Rejected, root_down, root_up
from harness.certificates.progress import loss
from harness.claims.classifiers import UNIT, Course, sums
from harness.claims.conclusions import every
from harness.claims.trained import descent_of
from harness.optimisers.descents import Descent
from harness.problem.numbers import Vector, dot
from harness.problem.predicates import separable, signed

if TYPE_CHECKING:
    from harness.optimisers import Training

TELLING = 0.5
# a bound above this says nothing
BEYOND = 1e100
# roots of a higher degree are not taken, so that the other p are open
MOST_ROOT = 64
# x <= ROOM (1 - e^-x) for x <= 1
ROOM = 1.0 / (1.0 - np.exp(-1.0))


# --- which descents the claims are about ---


def steepest(descent: Descent) -> bool:
    """Normalised steepest descent in l_2, l_infinity or l_1."""
    return descent.loss == "exponential" and descent.setup.name in ("l2", "linf", "l1")


def mirror(descent: Descent) -> bool:
    """Mirror descent on log L, with steps of one size, of separable data."""
    own = descent.setup
    return descent.loss == "exponential" and own.name == "mirror" and not own.decay and separable(descent.problem)


def small_gradient_steps(descent: Descent) -> bool:
    """Gradient descent with one step size, at most 1 / (B^2 L(w_0)), B the largest norm of a point; separable data."""
    own = descent.setup
    if descent.loss != "exponential" or own.name != "gd" or own.decay or not separable(descent.problem):
        return False
    most = max(dot(x, x) for x in descent.x)
    try:
        return Fraction(own.method.steps.size) * most * loss(_rows(descent), descent.theta0[0])[1] <= 1
    except Rejected:
        # no step is so small
        return False


def adam_without_eps(descent: Descent) -> bool:
    """Adam with eps = 0, beta1 <= beta2 and step sizes that fall like a power below 1; separable data."""
    from harness.optimisers import Adam

    own = descent.setup.method
    if descent.loss != "exponential" or not isinstance(own, Adam) or not 0.0 < own.steps.decay < 1.0:
        return False
    return not own.eps and own.beta1 <= own.beta2 and separable(descent.problem)


def adam_with_eps(descent: Descent) -> bool:
    """Adam with eps > 0 and one step size; separable data."""
    from harness.optimisers import Adam

    own = descent.setup.method
    if descent.loss != "exponential" or not isinstance(own, Adam) or own.steps.decay:
        return False
    return own.eps > 0.0 and separable(descent.problem)


def _rows(descent: Descent) -> list[Vector]:
    return [tuple(row) for row in signed(descent.problem)]


# --- what they say ---


def steepest_floor(trainings: Sequence[Training]) -> bool | None:
    """log(1/L_T) >= log(1/L_0) + gamma_N sum eta - (B^2/2) sum eta^2 and N(w_T) <= N(w_0) + sum eta, for every T."""
    from harness.optimisers.norms import L1, L2, LINF

    (training,) = trainings
    course = Course(training, {"l2": L2, "linf": LINF, "l1": L1}[descent_of(training).setup.name])
    every_step = range(1, len(training.step))
    lost = float(course.reach) / 2.0 * training.squares
    return every((*course.above(training.travelled, lost, every_step), *course.within(training.travelled, every_step)))


def gradient_floor(trainings: Sequence[Training]) -> bool | None:
    """log(1/L_T) >= log(1/L_0) + gamma norm(w_T - w_0) - ROOM eta B^2 L_0 and 1/L_T >= 1/L_0 + T eta gamma^2 / 2.

    With s_t = eta L_t norm(g_t) a step gains at least s_t norm(g_t) - (B^2/2) s_t^2, which is x_t >= s_t norm(g_t) / 2
    and at most 1.  So (B^2/2) sum s_t^2 <= B^2 eta sum L_t x_t <= ROOM B^2 eta sum (L_t - L_(t+1)).
    """
    from harness.optimisers.norms import L2

    (training,) = trainings
    course = Course(training, L2)
    eta, theta = descent_of(training).setup.method.steps.size, training.theta
    length = L2(theta - theta[0])
    begun = loss(course.rows, course.exact(0))
    lost = np.where(np.arange(len(theta)) > 0, ROOM * eta * float(course.reach) * float(begun[1]), 0.0)
    at = _doublings(len(theta))
    above = every(course.above(length, lost, at))
    if above is not True:
        return above
    gain = Fraction(eta) / 2
    fast: list[bool | None] = []
    for step in at:
        now, off = loss(course.rows, course.exact(step)), 1 + Fraction(2.0 * float(course.slack[step]))
        if off / now[1] >= 1 / begun[0] + step * gain * course.gamma.above**2:
            fast.append(True)
        else:
            fast.append(False if off / now[0] < 1 / begun[1] + step * gain * course.gamma.below**2 else None)
    return _telling(every(fast), course.promised(length, lost))


def adam_floor(trainings: Sequence[Training]) -> bool | None:
    """The floor of sign descent, less what memory costs: with R_k the largest abs(z_ik), for t >= first,

    g . D >= norm_1(g) - sum_k R_k max(d1 + d2, (1 + C) d1),   abs(D_k) <= C.

    D = m / sqrt(v), m the mean of the last gradients with weights a_j, v that of their squares with weights b_j; C^2 =
    sum a_j^2 / b_j by Cauchy-Schwarz.  No margin moves by more than B C eta in a step, so that j steps ago the
    gradient's coordinate was g_k up to R_k (e^y_j - 1), y_j = B sum C eta since; d1 is the mean of e^y_j - 1 under a,
    d2 the root of the mean of its square under b.  Then m is g_k up to R_k d1, and sqrt(v) is abs(g_k) up to R_k d2.
    """
    from harness.optimisers import Adam
    from harness.optimisers.norms import LINF

    (training,) = trainings
    course, own = Course(training, LINF), descent_of(training).setup.method
    assert isinstance(own, Adam)
    beta1, beta2, count = own.beta1, own.beta2, len(training.theta) - 1
    eta, b = np.diff(training.travelled), float(course.reach) ** 0.5
    weight1, weight2 = _memory(beta1, np.zeros(count)), _memory(beta2, np.zeros(count))
    ratio = _memory(beta1**2 / beta2 if beta2 else 0.0, np.zeros(count))
    # the sums of the weights are weight (1 - beta)
    most = np.sqrt(ratio * weight2) / weight1
    moved = b * most * eta
    d1 = _memory(beta1, moved) / weight1 - 1.0
    twice = _memory(beta2, 2.0 * moved)
    square = (twice - 2.0 * _memory(beta2, moved) + weight2 + 16.0 * UNIT * twice) / weight2
    d2 = np.sqrt(np.maximum(square, 0.0))
    rounded = 10.0 * len(course.z[0]) * b * course.rho * (1.0 + most) * (1.0 + d1) * (1.0 + d2) / (1.0 - beta2)
    short = np.abs(course.z).max(axis=0).sum() * np.maximum(d1 + d2, (1.0 + most) * d1) + rounded
    # at worst g . D = -B C
    short = np.minimum(short, (1.0 + most) * b)
    lost = sums(eta * short + b * b / 2.0 * (most * eta) ** 2)
    first = _best(course, training.travelled, lost)
    at = [step for step in _doublings(len(training.theta)) if step > first]
    above, within = course.above(training.travelled, lost, at, first), course.within(sums(most * eta), at)
    return _telling(every((*above, *within)), course.promised(training.travelled, lost, first))


def adam_eps_floor(trainings: Sequence[Training]) -> bool | None:
    """With s_t = norm(D_t), log(1/L_T) >= log(1/L_first) + sum s_t (gamma - 2 e_t) - (B^2/2) sum s_t^2 in l_2.

    D is along h = P m / L, P = eps / (sqrt(v) + eps) a coordinate, and g . h / norm(h) >= norm(g) - 2 norm(g - h).  As
    for Adam without eps, with y_j = B sum s since: norm(m / L - g) <= B d1, norm(m) <= B L (1 + d1), and sqrt(v_k) <= R
    L r, R the largest abs(z_ik), r^2 the mean of e^(2 y_j) under b.  So e = B d1 + B (1 + d1) R L r / (R L r + eps).
    It is of the order of L, so that sum s_t e_t stays bounded.
    """
    from harness.optimisers import Adam
    from harness.optimisers.norms import L2

    (training,) = trainings
    course, own = Course(training, L2), descent_of(training).setup.method
    assert isinstance(own, Adam)
    steps, b, count = course.steps, float(course.reach) ** 0.5, len(training.theta) - 1
    d1 = _memory(own.beta1, b * steps) / _memory(own.beta1, np.zeros(count)) - 1.0
    r = np.sqrt(_memory(own.beta2, 2.0 * b * steps) / _memory(own.beta2, np.zeros(count)))
    root = np.abs(course.z).max() * np.exp(training.log_loss[:-1]) * r
    away = b * d1 + b * (1.0 + d1) * root / (root + own.eps)
    away = away + 10.0 * len(course.z[0]) * b * course.rho * (1.0 + d1) / (1.0 - own.beta2)
    # at worst g . D = -B norm(D)
    away = np.minimum(away, b)
    length, lost = sums(steps), sums(2.0 * steps * away + b * b / 2.0 * steps**2)
    first = _best(course, length, lost)
    at = [step for step in _doublings(len(training.theta)) if step > first]
    return _telling(every(course.above(length, lost, at, first)), course.promised(length, lost, first))


def mirror_floor(trainings: Sequence[Training]) -> bool | None:
    """norm_q(z(tau)) >= u . z(tau) = u . z(0) + sum_t eta p . (z_i . u) >= gamma_p tau + u . z(0) after every step, and

    a floor of the margin M = log(1/L) / N, N = norm_p(w), from any t on after which L < 1.  For the flow: d norm_q(z) /
    d tau = g . w / N <= M + log n / N, and M never falls, d log(1/L) / d tau >= (g . w / N) dN / d tau, by
    Cauchy-Schwarz in the potential's Hessian.  Of steps of any size, ' being after the step: norm_q is convex, so that

        norm_q(z') - norm_q(z) <= eta g . w' / N' = eta (M' + (g . w' - log(1/L')) / N'),

    and along a step g . w / N, the slope of norm_q, rises, so that M' >= M less what the step has missed in log(1/L),
    (g . (w' - w) - log(1/L') + log(1/L)) / N'.
    """
    from harness.optimisers import Mirror
    from harness.optimisers.norms import Norm

    (training,) = trainings
    own = descent_of(training).setup.method
    assert isinstance(own, Mirror)
    p = Fraction(own.p)
    if max(p.numerator, p.denominator) > MOST_ROOT:
        return None
    course = Course(training, Norm(p))
    finite = _mirrored(course)
    if finite is not True:
        return finite
    margin, promised, rounded = _mirror_margin(course)
    if margin < promised - rounded:
        return False
    return _telling(True, promised - rounded)


def _mirrored(course: Course) -> bool | None:
    """The first half of mirror_floor."""
    training, p = course.training, course.norm.p
    assert p is not None
    u, unit = course.gamma.u, norm_up(course.gamma.u, p)
    least = min(dot(row, u) for row in course.rows) / unit
    power, q = p - 1, course.norm.dual.p

    def dual(w: Sequence[Fraction], *, up: bool) -> list[Fraction]:
        root = root_up if up else root_down
        return [(1 if a > 0 else -1) * root(abs(a) ** power.numerator, power.denominator) for a in w]

    astray = _mirror_astray(course)
    begun = dual(course.exact(0), up=True)
    start = dot(u, begun) / unit
    answers: list[bool | None] = []
    for step in _doublings(len(training.theta)):
        needed = least * Fraction(float(training.travelled[step])) + start - Fraction(float(astray[step]))
        w = course.exact(step)
        if norm_down(dual(w, up=False), q) >= needed:
            answers.append(True)
        else:
            answers.append(False if norm_up(dual(w, up=True), q) < needed else None)
    return every(answers)


def _mirror_astray(course: Course) -> np.ndarray:
    """By how much z may be off, in the dual norm, as every step may be, and by rounding between w and z, (T + 1,)."""
    b, eta, power = float(course.reach) ** 0.5, np.diff(course.training.travelled), float(course.norm.p or 0) - 1.0
    sizes = np.abs(course.training.theta).max(axis=1) ** power * course.z.shape[1]
    astray = 4.0 * sums(8.0 * course.rho * b * eta + 4.0 * UNIT * (sizes[:-1] + b * eta))
    return astray + 16.0 * (1.0 + power) * UNIT * (sizes + sizes[0])


def _mirror_margin(course: Course) -> tuple[float, float, float]:
    """M at the end, its floor, and how far they may be off by rounding, in shares of gamma_p; zeros without a floor."""
    training, gamma, w = course.training, float(course.gamma.below), course.training.theta
    levels = -training.log_loss
    below = np.flatnonzero(levels <= 0.0)
    first = int(below[-1]) + 1 if len(below) else 0
    if first >= len(levels) - 1:
        return 0.0, 0.0, 0.0
    power = float(course.norm.p or 0) - 1.0
    w, levels, eta = w[first:], levels[first:], np.diff(training.travelled)[first:]
    q = w @ course.z.T
    p = np.exp(q.min(axis=1, keepdims=True) - q)
    g = (p / p.sum(axis=1, keepdims=True)) @ course.z
    sizes, norms = course.norm.dual(np.abs(w) ** power), course.norm(w)
    ahead = ((g[:-1] * w[1:]).sum(axis=1) - levels[1:]) / norms[1:]
    missed = ((g[:-1] * np.diff(w, axis=0)).sum(axis=1) - np.diff(levels)) / norms[1:]
    # what is missed after every step, which all margins before have lost
    later = np.cumsum(missed[::-1])[::-1] - missed
    # from every step of the first half on to the end
    tau = np.cumsum(eta[::-1])[::-1]
    floors = (sizes[-1] - sizes[:-1] - np.cumsum((eta * (ahead + later))[::-1])[::-1]) / tau
    promised = floors[2.0 * tau >= tau[0]].max()
    b, share = float(course.reach) ** 0.5, course.shares[first:]
    wrong = np.maximum(share[1:], share[:-1]) * (2.0 + b * course.steps[first:]) / norms[1:]
    rounded = 2.0 * _mirror_astray(course)[-1] / tau[0] + 16.0 * (b * share.max() + wrong.sum())
    return float(levels[-1] / norms[-1]) / gamma, float(promised) / gamma, float(rounded) / gamma


def _doublings(count: int) -> list[int]:
    """1, 2, 4, ..., and the last step of a training with so many rows."""
    return sorted({*(2**k for k in range((count - 1).bit_length()) if 2**k < count), count - 1})


def _memory(beta: float, growth: np.ndarray) -> np.ndarray:
    """sum_j beta^j exp(growth_(t-1) + ... + growth_(t-j)) over j = 0 .. t, for every t."""
    factors = beta * np.exp(np.minimum(growth[:-1], 200.0))
    totals = accumulate(factors, lambda total, factor: min(1.0 + factor * total, BEYOND), initial=1.0)
    return np.fromiter(totals, float)


def _best(course: Course, length: np.ndarray, lost: np.ndarray) -> int:
    """The step from which on the floor is highest at the end, of those in the first quarter of the length."""
    below = -course.training.log_loss - float(course.gamma.below) * length + lost
    return int(np.argmax(below[:-1][length[:-1] <= 0.25 * length[-1]]))


def _telling(answer: bool | None, promised: float) -> bool | None:
    """True only where the floor has promised enough of the margin."""
    return answer if not answer or promised >= TELLING else None
