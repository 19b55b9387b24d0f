"""Values that claims state, bounded from below by multipliers and from above by points, in rationals.

w^ is the hard-margin SVM vector: the least norm with z_i . w >= 1 for all i, z_i = y_i x_i.  Any alpha >= 0 shows
norm(w^) >= sum(alpha) / norm(sum_i alpha_i z_i), and any feasible w norm(w^) <= norm(w); so of a part of the data.

    mirrored    2 norm(w^) / (1 + gamma), gamma the slope of the activation
    classes     (m/2) (norm(w+)^(2/m) + norm(w-)^(2/m)), w+ and w- of either class alone, 0 for one that is not there
    orthant     the least norm_1(beta) with z_i . beta >= 1 and s_k beta_k >= 0, s the "signs" of the witness
    classifier  the nuclear norm of M = Y - (1/K) 1 1^T, Y one-hot, K x n; from below alone: with
                G = sum_r alpha_r s_r e_i' over the margins r of the points i, s_r = e_(y_i) - e_k, it is at least
                (G . M) / norm(G), and G . M = sum(alpha)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from harness.certificates.definite import positive_semidefinite
from harness.certificates.numbers import Rejected, array, choice, fields, number, root_down, root_up, sqrt_down, vector
from harness.certificates.taylor import sqrt_up
from harness.problem.numbers import Vector, dot, squared_norm
from harness.problem.predicates import signed
from harness.problem.problems import Problem

FORMULAS = ("mirrored", "classes", "orthant", "classifier")


@dataclass(frozen=True)
class Bounded:
    """The number that the formula stands for is at least `below`, or at most `above`."""

    below: Fraction | None = None
    above: Fraction | None = None


def bounded(given: Problem, witness: dict[str, Any]) -> Bounded:
    """witness: {"formula": one of FORMULAS, "alpha": one a margin, or "points": rows, and what else the formula needs}.

    Raises FieldError on a wrong shape, Rejected where it bounds nothing.
    """
    name = choice(fields(witness, "witness", ("formula",), None)["formula"], "witness.formula", FORMULAS)
    more = {"orthant": ("signs",), "classifier": ("square",)}.get(name, ())
    if name != "classifier" and given.network.outputs > 1:
        raise Rejected(f"{name} is a formula for one output")
    if "points" not in witness:
        found = fields(witness, "witness", ("formula", "alpha", *more))
        alpha = vector(found["alpha"], "witness.alpha", len(given.rows))
        if any(a < 0 for a in alpha):
            raise Rejected("alpha is negative")
        if name == "classifier":
            return Bounded(below=_classifier(given, alpha, number(found["square"], "witness.square")))
        if name == "orthant":
            return Bounded(below=_orthant_below(given, alpha, _signs(given, found)))
        parts = [_svm_below(rows, weights) for rows, weights in _parts(given, name, alpha)]
        return Bounded(below=_combined(given, name, parts, up=False))
    if name == "classifier":
        raise Rejected("no point bounds it")
    found = fields(witness, "witness", ("formula", "points", *more))
    points = [
        vector(row, f"witness.points[{k}]", given.d) for k, row in enumerate(array(found["points"], "witness.points"))
    ]
    if name == "orthant":
        return Bounded(above=_orthant_above(given, points, _signs(given, found)))
    data = [rows for rows, _ in _parts(given, name, (Fraction(0),) * given.n)]
    if len(points) != len(data):
        raise Rejected(f"{len(points)} points where {len(data)} are needed")
    norms = [_svm_above(rows, w) for rows, w in zip(data, points, strict=True)]
    return Bounded(above=_combined(given, name, norms, up=True))


def _parts(given: Problem, name: str, alpha: Vector) -> list[tuple[list[Vector], list[Fraction]]]:
    """The z_i of each SVM, with their weights; of a class that is not there, none."""
    rows = [tuple(row) for row in signed(given)]
    if name == "mirrored":
        return [(rows, list(alpha))]
    groups = [[i for i, label in enumerate(given.y) if label == own] for own in (1, -1)]
    return [([rows[i] for i in group], [alpha[i] for i in group]) for group in groups if group]


def _combined(given: Problem, name: str, norms: Sequence[Fraction], *, up: bool) -> Fraction:
    slope, m = given.network.slope, given.network.degree
    if name == "mirrored":
        if m != 2 or slope <= -1:
            raise Rejected("mirrored is a formula for two trained layers")
        return 2 * norms[0] / (1 + slope)
    root = root_up if up else root_down
    return Fraction(m, 2) * sum((root(a * a, m) for a in norms), Fraction(0))


def _svm_below(rows: Sequence[Vector], alpha: Sequence[Fraction]) -> Fraction:
    """sum(alpha) / norm(sum alpha_i z_i)."""
    pull = [sum((a * v for a, v in zip(alpha, column, strict=True)), Fraction(0)) for column in zip(*rows, strict=True)]
    total, square = sum(alpha, Fraction(0)), squared_norm(pull)
    if not square:
        raise Rejected("the bound is infinite or nothing")
    return Fraction(sqrt_down(total**2 / square))


def _svm_above(rows: Sequence[Vector], w: Vector) -> Fraction:
    _require_feasible(rows, w)
    return sqrt_up(squared_norm(w))


def _require_feasible(rows: Sequence[Vector], w: Vector) -> None:
    if any(dot(row, w) < 1 for row in rows):
        raise Rejected("the point is not feasible")


def _signs(given: Problem, found: dict[str, Any]) -> list[int]:
    return [
        choice(s, f"witness.signs[{k}]", (-1, 1)) for k, s in enumerate(array(found["signs"], "witness.signs", given.d))
    ]


def _orthant_below(given: Problem, alpha: Vector, signs: Sequence[int]) -> Fraction:
    """With s_k (sum alpha_i z_i)_k <= D for all k every feasible beta has sum(alpha) <= D norm_1(beta)."""
    columns = zip(*signed(given), strict=True)
    pulls = [s * dot(alpha, column) for s, column in zip(signs, columns, strict=True)]
    largest = max(pulls)
    if largest <= 0:
        raise Rejected("the bound is infinite or nothing")
    return sum(alpha, Fraction(0)) / largest


def _orthant_above(given: Problem, points: Sequence[Vector], signs: Sequence[int]) -> Fraction:
    if len(points) != 1 or any(s * b < 0 for s, b in zip(signs, points[0], strict=True)):
        raise Rejected("the point is not one in the orthant")
    _require_feasible([tuple(row) for row in signed(given)], points[0])
    return sum((abs(b) for b in points[0]), Fraction(0))


def _classifier(given: Problem, alpha: Vector, square: Fraction) -> Fraction:
    """sum(alpha) / D with D^2 = square at least the largest eigenvalue of G G'."""
    size = given.network.outputs
    pull = [
        [
            sum((a * seed[k] for a, (i, seed) in zip(alpha, given.rows, strict=True) if i == c), Fraction(0))
            for c in range(given.n)
        ]
        for k in range(size)
    ]
    if square <= 0 or not positive_semidefinite(
        [[(square if r == c else Fraction(0)) - dot(pull[r], pull[c]) for c in range(r + 1)] for r in range(size)]
    ):
        raise Rejected("D^2 - G G' is not positive semidefinite")
    return sum(alpha, Fraction(0)) / sqrt_up(square)
