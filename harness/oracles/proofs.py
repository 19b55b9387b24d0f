"""Certificates: from floats to exact rationals, and the exact checker's word on them.

Floats are dyadic rationals and are written as such, so nothing is lost on the way.  A multiplier that rounding
made negative is cut to 0 and a coefficient to [0, 1]: any such numbers prove something, only the bound moves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any, Protocol

import numpy as np

from harness.oracles.depth2 import Point
from harness.oracles.problems import Problem
from harness.oracles.regions import Region, Slope
from harness.oracles.verdict import Verdict
from harness.problem.instances import Instance

Theta = list[list[Fraction]]

# The gap the checker allows for "optimal", with room for rounding.
GAP = 1e-9
SAFE_GAP = 0.9 * GAP


class Checked(Protocol):
    """What harness.certificates.check returns."""

    accepted: bool
    reason: str


def text(number: float | Fraction) -> int | str:
    """A number as the certificates have it: an integer or "p/q"."""
    exact = Fraction(float(number)) if not isinstance(number, Fraction) else number
    return int(exact) if exact.denominator == 1 else f"{exact.numerator}/{exact.denominator}"


def header(point: Point, kind: str, problem: str, scope: str) -> dict[str, Any]:
    """The fields that every certificate has."""
    return {
        "kind": kind,
        "problem": problem,
        "scope": scope,
        "theta": [[text(a) for a in u] for u in point.theta],
        "structure": {
            "outgoing": point.sign.tolist(),
            "gates": point.gates.tolist() if point.relu else None,
        },
    }


def bound_certificate(
    problem: Problem, scope: str, alpha: np.ndarray, slopes: Iterable[tuple[Region, Slope]]
) -> dict[str, Any]:
    """One alpha for the whole region, with every case spelled out."""
    point = problem.point
    neurons: list[list[dict[str, Any]]] = [[] for _ in range(point.k)]
    for region, found in slopes if point.relu else ():
        cases = [
            {
                "on": [i for i, taken in zip(found.convex, subset, strict=True) if taken],
                "c": {str(i): text(value) for i, value in zip(found.concave, c, strict=True) if value},
            }
            for subset, c in zip(found.subsets.tolist(), found.c.tolist(), strict=True)
        ]
        for j in region.owners:
            neurons[j].append({"sign": region.sign, "cases": cases})
    return {
        **header(point, "bound", problem.name, scope),
        "alpha": [text(a) for a in alpha],
        "neurons": neurons if point.relu else None,
    }


def face(problem: Problem) -> tuple[dict[str, Any], float]:
    """The KKT multipliers as a lower bound on every point with the limit's structure, and that bound in floats."""
    point = problem.point
    factor = point.sign if problem.name == "full" else point.v
    signed = (point.alpha * point.y)[:, None] * factor
    nu = np.where((point.gates == 0) & (point.sign != 0), point.slopes * signed, 0.0)
    on = np.where(point.gates > 0, signed, 0.0)
    squares = [
        float(pull @ pull)
        for j in point.live
        if point.sign[j]
        for pull in [(on[:, j] + nu[:, j]) @ point.neurons[j].patch]
    ]
    total = float(point.alpha.sum())
    if not squares or not max(squares) > 0.0:
        low = 0.0
    elif problem.name == "full":
        low = total / max(squares) ** 0.5
    else:
        low = 0.5 * total**2 / sum(squares)
    rows = [[text(a) for a in row] for row in nu.tolist()] if point.kinks else None
    proof = {"alpha": [text(a) for a in point.alpha], "nu": rows}
    return proof, low


def better_certificate(problem: Problem, scope: str, better: Theta, proof: dict[str, Any]) -> dict[str, Any]:
    """A cheaper feasible point; `proof` is the bound of `face`."""
    return {
        **header(problem.point, "better", problem.name, scope),
        "better": [[text(a) for a in u] for u in better],
        "face": proof,
    }


def better_points(
    problem: Problem, u: Sequence[np.ndarray], sign: np.ndarray, low: float
) -> Iterator[tuple[Theta, Fraction]]:
    """Exactly feasible points near u, the shortest numbers first, and their costs, all below `low`.

    u: a vector a neuron.  Points that give away more than a tenth of the gain for short numbers are left out.
    """
    point = problem.point
    lowest = float(point.margins([problem.weight(j) * part for j, part in enumerate(u)], sign).min())
    if not lowest > 0.0:
        return
    u = [part / lowest for part in u]
    cost = _cost(problem, u)
    for bits in (2, 4, 8, 14, 20, 30, None):
        slack = 1e-13 if bits is None else 2.0 ** (1 - bits)
        for stretch in (0.0, slack, 8.0 * slack):
            theta = _theta(problem, u, sign, 1.0 + stretch, bits)
            exact = _exact_cost(problem, theta)
            if bits is not None and float(exact) > cost + 0.1 * (low - cost):
                break
            if exact < low * (1.0 - 1e-14) and min(point.instance.margins(theta)) >= 1:
                yield theta, exact
                break


def _cost(problem: Problem, u: Sequence[np.ndarray]) -> float:
    if problem.name == "full":
        return sum(float(np.linalg.norm(part)) for part in u)
    return 0.5 * sum(float(part @ part) for part in u)


def _exact_cost(problem: Problem, theta: Theta) -> Fraction:
    layers = theta if problem.name == "full" else theta[:1]
    return sum((a * a for u in layers for a in u), start=Fraction(0)) / 2


def _theta(problem: Problem, u: Sequence[np.ndarray], sign: np.ndarray, stretch: float, bits: int | None) -> Theta:
    """Parameters with these u, scaled up a little and rounded to so many binary places."""

    def exact(value: float) -> Fraction:
        if bits is None:
            return Fraction(value)
        return Fraction(round(value * 2**bits), 2**bits)

    point = problem.point
    full = problem.name == "full"
    first, second = ([Fraction(0)] * len(layer) for layer in point.theta)
    if not full:
        second = [Fraction(float(a)) for a in point.theta[1]]
    for j in point.live:
        neuron = point.neurons[j]
        norm = float(np.linalg.norm(u[j]))
        if norm <= 0.0:
            continue
        root = (norm / stretch) ** 0.5 if full else 1.0 / stretch
        for parameter, value in zip(neuron.incoming.tolist(), u[j].tolist(), strict=True):
            first[parameter] = exact(value / root)
        if full:
            second[neuron.outgoing] = int(sign[j]) * exact((norm * stretch) ** 0.5)
    return [first, second]


def attested(instance: Instance, verdict: Verdict, certify: bool) -> Verdict:
    """The verdict with the exact checker's word on its certificate; undecided where the checker refuses it."""
    if not certify or verdict.certificate is None:
        return verdict
    # Imported late: deciding in floats needs no checker.
    from harness.certificates.checker import check

    result = check(instance, verdict.certificate)
    if not result.accepted:
        return Verdict("undecided", verdict.value, None, f"the exact checker refused the proof: {result.reason}")
    bound = verdict.bound if result.bound is None else float(result.bound)
    return Verdict(verdict.status, verdict.value, bound, verdict.reason, verdict.certificate, True)
