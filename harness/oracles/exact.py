"""From floats to short rationals: numbers, the head of a certificate, exactly feasible points."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from harness.certificates.integers import margins
from harness.problem.networks import Network
from harness.problem.numbers import Rows, as_json
from harness.problem.problems import Problem


def rounded(value: float, bits: int) -> Fraction:
    """The nearest number of so many binary places."""
    return Fraction(round(value * 2**bits), 2**bits)


def stated(network: Network, theta: Sequence[np.ndarray]) -> list[Sequence[Any]]:
    """theta with the exact numbers of the layers that are fixed."""
    return [list(u) if fixed is None else fixed for u, fixed in zip(theta, network.fixed, strict=True)]


def exact_theta(network: Network, theta: Sequence[np.ndarray]) -> Rows:
    """theta in exact numbers: the floats at their binary values, the fixed layers as the network has them."""
    return tuple(tuple(Fraction(v) for v in u) for u in stated(network, theta))


def between(network: Network, coefficient: float) -> Fraction:
    """A Clarke coefficient, exactly the slope where it is that in floats, and not past the slopes by rounding."""
    if coefficient == float(network.slope):
        return network.slope
    low, high = sorted((network.slope, Fraction(1)))
    return min(max(Fraction(coefficient), low), high)


def header(theta: Sequence[Sequence[Any] | np.ndarray], kind: str, scope: str, problem: str = "full") -> dict[str, Any]:
    """The fields that every certificate has."""
    return {"kind": kind, "problem": problem, "scope": scope, "theta": [[as_json(a) for a in u] for u in theta]}


def feasible_points(
    problem: Problem, theta: Sequence[np.ndarray], low: float
) -> Iterator[tuple[list[list[Fraction]], float]]:
    """Exactly feasible points near theta, the shortest numbers first, with their values, all below `low`.

    theta: one vector a layer, min q > 0.  Points that give away more than a tenth of the gain for short numbers
    are left out.
    """
    network = problem.network
    lowest = float(min(margins(problem, exact_theta(network, theta))))
    if not lowest > 0.0:
        return
    scaled = network.scaled([np.asarray(u) for u in theta], lowest ** (-1.0 / network.degree))
    value = network.value(scaled)
    for bits in (2, 4, 8, 14, 20, 30, 45):
        slack = 2.0 ** (1 - bits)
        for stretch in (1.0, 1.0 + slack, 1.0 + 8.0 * slack):
            point = [
                [rounded(float(v) * stretch, bits) for v in u] if fixed is None else list(fixed)
                for u, fixed in zip(scaled, network.fixed, strict=True)
            ]
            own = 0.5 * float(sum(v * v for u in network.of_trained(point) for v in u))
            if own >= low or (bits < 45 and own > value + 0.1 * (low - value)):
                continue
            if min(margins(problem, tuple(map(tuple, point)))) >= 1:
                yield point, own
                break
