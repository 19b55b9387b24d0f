"""A point that is no KKT point is no local optimum: a direction along which the margins hold and the norm falls.

Let p be the nearest point to theta of the cone of the gradients of the least margins, and of all gradients next to
theta where they have kinks: p = sum_i lambda_i g_i.  Then d = p - theta has g_i . d >= 0 for all of these, and
theta . d = -|d|^2 < 0 (Moreau): the margins hold and the norm falls, to first order.  The same with more margins held
than the least gives ways that go further; how far is tried.  For large networks the search of ascent.py finds points
that are better by more, and the straight way there is a candidate too.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from harness.oracles.exact import header, stated
from harness.oracles.proofs import attested
from harness.oracles.verdict import Verdict
from harness.problem.evaluation import evaluate
from harness.problem.kkt import kkt
from harness.problem.places import layer_name
from harness.problem.points import Point

# The KKT residual above which a point that was brought is none: limits of flows have one of at most 1e-9.
NOT_KKT = 1e-8
MECHANISM = "not a KKT point"
_STEPS = [2.0**-k for k in range(-3, 40)]
_BITS = (12, 26, 52)  # of the longest number of d, the shortest first
# Margins that exceed the least by at most these shares are held on a way: those that tie with it, and more.
_WITHIN = (1e-9, 1e-2, 0.1, 0.5)
_KEPT = 0.9  # share of the gain that shorter numbers are to keep


def decide_descent(point: Point, certify: bool, layer: int | None = None, guess: np.ndarray | None = None) -> Verdict:
    """The local verdict on a point that is no KKT point; on the problem over a layer, from 0, if one is given.

    guess: a better point, flat (N,), whose straight way is tried too.
    """
    problem = _Problem(point, layer)
    steps = [_step(problem, way) for way in _ways(problem, guess)]
    for gain, step in sorted(steps, key=lambda found: -found[0]):
        if gain > 0.0 and step.any():
            verdict = _proven(problem, step, gain, certify)
            if verdict.status == "not_optimal":
                return verdict
    reason = f"KKT residual {point.residual:.1e}, and no way was found along which the margins clearly hold"
    return Verdict("undecided", problem.value, None, reason)


class _Problem:
    """The problem over all trained layers or over one.

    flat: theta, (N,).  own: (N,), the parameters that move.  degree: of the margins in them.
    """

    def __init__(self, point: Point, layer: int | None) -> None:
        self.point, self.layer = point, layer
        network = point.problem.network
        self.flat = network.flat(point.theta)
        self.own = np.full(len(self.flat), layer is None)
        self.degree = network.degree if layer is None else 1
        if layer is not None:
            self.own[network.offsets[layer] : network.offsets[layer + 1]] = True
        self.value = 0.5 * float(self.flat[self.own] @ self.flat[self.own])

    def gain(self, d: np.ndarray) -> float:
        """The share of the value that is saved at theta + d, scaled to min q = 1; -inf where it does not separate."""
        problem = self.point.problem
        moved = self.flat + d
        least = float(
            evaluate(problem.network, problem.network.split(moved), problem.inputs).margins(problem.seeds).min()
        )
        if not least > 0.0:
            return -np.inf
        value = 0.5 * float(moved[self.own] @ moved[self.own]) * least ** (-2.0 / self.degree)
        return 1.0 - value / self.value


def _ways(problem: _Problem, guess: np.ndarray | None) -> Iterator[np.ndarray]:
    """Directions, (N,) each."""
    point, flat = problem.point, problem.flat
    network, inputs, seeds = point.problem.network, point.problem.inputs, point.problem.seeds
    if problem.layer is not None:
        # the same point, of the network in which the other layers are fixed
        others = {k: u for k, u in enumerate(stated(network, point.theta), start=1) if k != problem.layer + 1}
        network = network.fixing(others)
    for within in _WITHIN:
        way = np.zeros(len(flat))
        way[problem.own] = kkt(network, inputs, seeds, point.theta, point.signs, within).pull - flat[problem.own]
        yield way
    if guess is not None:
        yield guess - flat


def _step(problem: _Problem, way: np.ndarray) -> tuple[float, np.ndarray]:
    """How much of the value is saved at the best of some steps along a way, and that step."""
    best = 0.0, way
    for step in _STEPS:
        gain = problem.gain(step * way)
        if gain > best[0]:
            best = gain, step * way
        elif best[0] > 0.0 and gain < 0.5 * best[0]:
            break
    return best


def _proven(problem: _Problem, d: np.ndarray, gain: float, certify: bool) -> Verdict:
    """The verdict that a step proves, in numbers that are as short as may be."""
    point, network = problem.point, problem.point.problem.network
    name = "full" if problem.layer is None else layer_name(problem.layer)
    verdict = Verdict("undecided", problem.value, None, "no way could be made exact")
    exponent = int(np.frexp(np.abs(d).max())[1])
    for bits in _BITS:
        # a power of two: nothing is rounded but the last place
        unit = 2.0 ** (exponent - bits)
        short = np.round(d / unit) * unit
        if bits < _BITS[-1] and not problem.gain(short) > _KEPT * gain:
            continue
        moved = zip(network.split(short), network.trained, strict=True)
        certificate = {
            **header(stated(network, point.theta), "descent", "local", name),
            "d": [u.tolist() if own else [0] * len(u) for u, own in moved],
        }
        whose = f"no KKT point (residual {point.residual:.1e}): " if problem.layer is None else ""
        reason = f"{whose}along a direction the margins hold and the norm falls"
        verdict = Verdict("not_optimal", problem.value, problem.value * (1.0 - gain), reason, certificate)
        verdict = attested(point.problem, verdict, certify)
        if verdict.status == "not_optimal":
            break
    return verdict
