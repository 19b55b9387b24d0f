"""The simplest better point: short fractions in place of the rounded floats that an oracle proves a limit wrong with.

For one largest denominator after another every number is taken to the nearest fraction below it or above it, in all
combinations.  The first of them that is feasible, and keeps half of what the given point gains on the limit, is the
simplest; of several with that denominator the cheapest.  All in exact arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import product

from harness.problem.numbers import as_json
from harness.problem.problems import Problem
from harness.records.record import Exact, exact, value
from harness.records.simplicity import Certificate, better_of, layers_of, one_layer

DENOMINATORS = (*range(1, 13), 16, 24, 32, 48, 64)
# Numbers of a point that are not zero, beyond which there are too many combinations.
MOST = 10
# Of the gain on the limit, what a simpler point has to keep.
KEPT = Fraction(1, 2)


def simplest(problem: Problem, certificate: Certificate, accepted: Callable[[Certificate], bool]) -> Certificate:
    """The certificate with the simplest better point that is accepted; as it is where none is found, or has no point.

    accepted: whether the exact checker accepts a certificate.
    """
    if "better" not in certificate:
        return certificate
    limit, layers = exact(certificate["theta"]), layers_of(certificate)
    free = better_of(certificate)
    # The limit's least margin is 1, but for rounding.
    reached = value(tuple(limit[layer] for layer in layers))
    cap = reached - KEPT * (reached - value(free))
    for rows in _candidates(free, cap):
        theta = list(limit)
        for layer, row in zip(layers, rows, strict=True):
            theta[layer] = row
        if min(problem.margins(theta)) < 1:
            continue
        written = [[as_json(a) for a in row] for row in theta]
        simpler = {**certificate, "better": written[layers[0]] if one_layer(certificate) else written}
        if accepted(simpler):
            return simpler
    return certificate


def _candidates(free: Exact, cap: Fraction) -> Iterator[Exact]:
    """Points next to this one of at most this value, in their order."""
    numbers = [a for row in free for a in row]
    if sum(map(bool, numbers)) > MOST:
        return
    for denominator in DENOMINATORS:
        choices = product(*(_neighbours(a, denominator) for a in numbers))
        for own, choice in sorted((value((choice,)), choice) for choice in choices):
            if own > cap:
                break
            rest = iter(choice)
            yield tuple(tuple(next(rest) for _ in row) for row in free)


def _neighbours(a: Fraction, most: int) -> list[Fraction]:
    """The nearest fractions on either side with a denominator up to most."""
    below = max(Fraction(math.floor(a * q), q) for q in range(1, most + 1))
    above = min(Fraction(math.ceil(a * q), q) for q in range(1, most + 1))
    return [below] if below == above else [below, above]
