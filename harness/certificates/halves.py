"""Kinds "classes" and "mirrored": lower bounds of data whose halves do not help each other.

Fully connected networks of depth 2 with one output, both layers trained; neurons may be as many as one likes.  A point
costs at least sum_j |v_j| |w_j|.  alpha >= 0, z_i = y_i x_i.

"classes", relu.  On a point of the class +1 neurons with v_j < 0 only take away, so that

    sum_(y_i = 1) alpha_i <= sum_(v_j > 0) v_j sum_(y_i = 1) alpha_i relu(w_j . x_i) <= D sum_(v_j > 0) |v_j| |w_j|,

D = max over unit u of sum alpha_i relu(u . x_i) over the class: the largest norm of a partial sum of the alpha_i x_i.
Where x_i . x_k >= 0 for all points of the class with alpha > 0 that is the norm of the whole sum.  For -1 likewise, and
the two bounds add up.

"mirrored", slopes gamma > -1.  sigma(a) - sigma(-a) = (1 + gamma) a, so that on a point and its mirror image with
turned label the two margins add up to (1 + gamma) y x . beta with beta = sum_j v_j w_j.  Both are at least 1, so that
(1 + gamma)/2 beta separates with margin 1, and its norm is at least sum(alpha) / norm(sum alpha_i z_i); and
norm(beta) <= sum_j |v_j| |w_j|.

    {"kind": "classes" or "mirrored", "problem": "full", "scope": S, "theta": ..., "alpha": [n numbers]}

Accepted where the bound is at least (1 - 1e-9) of theta's value.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from harness.certificates.answer import Checked, proven
from harness.certificates.numbers import Rejected, choice, fields, least_positive, sqrt_down, vector
from harness.certificates.parameters import objective, read_theta
from harness.problem.numbers import Vector, dot, squared_norm
from harness.problem.predicates import mirrored
from harness.problem.problems import Problem


def check_classes(given: Problem, certificate: object) -> Checked:
    """Raises FieldError on a wrong shape; Rejected where it proves nothing."""
    if given.network.slope:
        raise Rejected("the classes are apart for relu alone")
    return _check(given, certificate, _classes)


def check_mirrored(given: Problem, certificate: object) -> Checked:
    """Raises FieldError on a wrong shape; Rejected where it proves nothing."""
    if not mirrored(given):
        raise Rejected("the data are not their own mirror image with turned labels")
    if given.network.slope <= -1:
        raise Rejected("the slope at negative inputs is not more than -1")
    return _check(given, certificate, _mirrored)


def _check(given: Problem, certificate: object, bounded: Callable[[Problem, Vector], Fraction]) -> Checked:
    network = given.network
    if network.depth != 2 or network.outputs > 1 or not network.fully_connected or network.degree < 2:
        raise Rejected("the bound is for fully connected networks of depth 2 with one output, trained everywhere")
    found = fields(certificate, "certificate", ("kind", "problem", "scope", "theta", "alpha"))
    choice(found["problem"], "certificate.problem", ("full",))
    scope = choice(found["scope"], "certificate.scope", ("local", "global"))
    theta = read_theta(found["theta"], "certificate.theta", network)
    alpha = vector(found["alpha"], "certificate.alpha", given.n)
    if any(a < 0 for a in alpha):
        raise Rejected("alpha is negative")
    lowest = least_positive(given.margins(theta))
    value = objective(network, theta) / lowest
    bound = bounded(given, alpha)
    return proven(bound, value, "at all" if scope == "global" else "nearby")


def _classes(given: Problem, alpha: Vector) -> Fraction:
    return sum((_class(given, alpha, label) for label in sorted(set(given.y))), Fraction(0))


def _class(given: Problem, alpha: Vector, label: int) -> Fraction:
    used = [i for i, own in enumerate(given.y) if own == label and alpha[i]]
    if any(dot(given.x[i], given.x[k]) < 0 for i in used for k in used):
        raise Rejected("two points of a class, both with multipliers, have a negative product")
    return _ratio(given, {i: alpha[i] for i in used})


def _mirrored(given: Problem, alpha: Vector) -> Fraction:
    return 2 * _ratio(given, dict(enumerate(alpha))) / (1 + given.network.slope)


def _ratio(given: Problem, alpha: dict[int, Fraction]) -> Fraction:
    """sum(alpha) / norm(sum alpha_i y_i x_i), rounded down."""
    total = sum(alpha.values(), Fraction(0))
    pull = [sum((a * given.y[i] * given.x[i][c] for i, a in alpha.items()), Fraction(0)) for c in range(given.d)]
    square = squared_norm(pull)
    if not total:
        return Fraction(0)
    if not square:
        raise Rejected("the multipliers bound nothing")
    return Fraction(sqrt_down(total**2 / square))
