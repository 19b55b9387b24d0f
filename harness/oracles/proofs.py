"""Certificates: from floats to exact rationals, and the exact checker's word on them.

Floats are dyadic rationals and are written as such, so nothing is lost on the way.  A multiplier that rounding
made negative is cut to 0 and a coefficient to [0, 1]: any such numbers prove something, only the bound moves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any, Protocol

import numpy as np

from harness.certificates.integers import margins
from harness.oracles.apart import Apart
from harness.oracles.exact import header, rounded, stated
from harness.oracles.programmes import Programme
from harness.oracles.regions import Region, Slope
from harness.oracles.verdict import Verdict
from harness.problem.numbers import as_json, squared_norm
from harness.problem.problems import Problem

Theta = list[list[Fraction]]

# The gap the checker allows for "optimal", with room for rounding.
GAP = 1e-9
SAFE_GAP = 0.9 * GAP


class Checked(Protocol):
    """What harness.certificates.check returns."""

    accepted: bool
    reason: str


def structured(apart: Apart, kind: str, problem: str, scope: str) -> dict[str, Any]:
    """The fields of every certificate about neurons of their own."""
    structure = {"outgoing": apart.sign.tolist(), "gates": apart.gates.tolist() if apart.kinked else None}
    return {**header(stated(apart.problem.network, apart.theta), kind, scope, problem), "structure": structure}


def bound_certificate(
    problem: Programme, scope: str, alpha: np.ndarray, slopes: Iterable[tuple[Region, Slope]]
) -> dict[str, Any]:
    """One alpha for the whole region, with every case spelled out."""
    apart = problem.apart
    neurons: list[list[dict[str, Any]]] = [[] for _ in range(apart.k)]
    for region, found in slopes if apart.kinked else ():
        cases = [
            {
                "on": [i for i, taken in zip(found.convex, subset, strict=True) if taken],
                "c": {str(i): as_json(value) for i, value in zip(found.concave, c, strict=True) if value},
            }
            for subset, c in zip(found.subsets.tolist(), found.c.tolist(), strict=True)
        ]
        for j in region.owners:
            neurons[j].append({"sign": region.sign, "cases": cases})
    return {
        **structured(apart, "bound", problem.name, scope),
        "alpha": [as_json(a) for a in alpha],
        "neurons": neurons if apart.kinked else None,
    }


def face(problem: Programme) -> tuple[dict[str, Any], float]:
    """The KKT multipliers as a lower bound on every point with the limit's structure, and that bound in floats."""
    apart = problem.apart
    factor = apart.sign if problem.name == "full" else apart.v
    signed = (apart.alpha * apart.y)[:, None] * factor
    nu = np.where((apart.gates == 0) & (apart.sign != 0), apart.slopes * signed, 0.0)
    given = np.where(apart.gates != 0, apart.slopes * signed, 0.0)
    squares = [
        float(pull @ pull)
        for j in apart.live
        if apart.sign[j]
        for pull in [(given[:, j] + nu[:, j]) @ apart.neurons[j].patch]
    ]
    total = float(apart.alpha.sum())
    if not squares or not max(squares) > 0.0:
        low = 0.0
    elif problem.name == "full":
        low = total / max(squares) ** 0.5
    else:
        low = 0.5 * total**2 / sum(squares)
    rows = [[as_json(a) for a in row] for row in nu.tolist()] if apart.kinks else None
    proof = {"alpha": [as_json(a) for a in apart.alpha], "nu": rows}
    return proof, low


def better_certificate(problem: Programme, scope: str, better: Theta, proof: dict[str, Any]) -> dict[str, Any]:
    """A cheaper feasible point; `proof` is the bound of `face`."""
    return {
        **structured(problem.apart, "better", problem.name, scope),
        "better": [[as_json(a) for a in u] for u in better],
        "face": proof,
    }


def better_points(
    problem: Programme, u: Sequence[np.ndarray], sign: np.ndarray, low: float
) -> Iterator[tuple[Theta, Fraction]]:
    """Exactly feasible points near u, the shortest numbers first, and their values, all below `low`.

    u: a vector a neuron.  Points that give away more than a tenth of the gain for short numbers are left out.
    """
    apart = problem.apart
    lowest = float(apart.margins([problem.weight(j) * part for j, part in enumerate(u)], sign).min())
    if not lowest > 0.0:
        return
    u = [part / lowest for part in u]
    value = _value(problem, u)
    for bits in (2, 4, 8, 14, 20, 30, None):
        slack = 1e-13 if bits is None else 2.0 ** (1 - bits)
        for stretch in (0.0, slack, 8.0 * slack):
            theta = _theta(problem, u, sign, 1.0 + stretch, bits)
            exact = _exact_value(problem, theta)
            if bits is not None and float(exact) > value + 0.1 * (low - value):
                break
            if exact < low * (1.0 - 1e-14) and min(margins(apart.problem, tuple(map(tuple, theta)))) >= 1:
                yield theta, exact
                break


def _value(problem: Programme, u: Sequence[np.ndarray]) -> float:
    if problem.name == "full":
        return sum(float(np.linalg.norm(part)) for part in u)
    return 0.5 * sum(float(part @ part) for part in u)


def _exact_value(problem: Programme, theta: Theta) -> Fraction:
    layers = theta if problem.name == "full" else theta[:1]
    return sum((squared_norm(u) for u in layers), start=Fraction(0)) / 2


def _theta(problem: Programme, u: Sequence[np.ndarray], sign: np.ndarray, stretch: float, bits: int | None) -> Theta:
    """Parameters with these u, scaled up a little and rounded to so many binary places."""

    def exact(value: float) -> Fraction:
        if bits is None:
            return Fraction(value)
        return rounded(value, bits)

    apart = problem.apart
    full = problem.name == "full"
    first, second = ([Fraction(0)] * len(layer) for layer in apart.theta)
    if not full:
        second = [Fraction(a) for a in stated(apart.problem.network, apart.theta)[1]]
    for j in apart.live:
        neuron = apart.neurons[j]
        norm = float(np.linalg.norm(u[j]))
        if norm <= 0.0:
            continue
        root = (norm / stretch) ** 0.5 if full else 1.0 / stretch
        for parameter, value in zip(neuron.incoming.tolist(), u[j].tolist(), strict=True):
            first[parameter] = exact(value / root)
        if full:
            second[neuron.outgoing] = int(sign[j]) * exact((norm * stretch) ** 0.5)
    return [first, second]


def attested(problem: Problem, verdict: Verdict, certify: bool) -> Verdict:
    """The verdict with the exact checker's word on its certificate; undecided where the checker refuses it."""
    if not certify or verdict.certificate is None:
        return verdict
    # Imported late: deciding in floats needs no checker.
    from harness.certificates.checker import check

    result = check(problem, verdict.certificate)
    if not result.accepted:
        return Verdict("undecided", verdict.value, None, f"the exact checker refused the proof: {result.reason}")
    bound = verdict.bound if result.bound is None else float(result.bound)
    return Verdict(verdict.status, verdict.value, bound, verdict.reason, verdict.certificate, True)
