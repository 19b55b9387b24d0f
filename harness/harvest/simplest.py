"""The simplest better point: short fractions in place of the rounded floats that an oracle proves a limit wrong with.

For one largest denominator after another every number is taken to the nearest fraction below it or above it, in all
combinations.  The first of them that is feasible, and keeps half of what the given point gains on the limit, is the
simplest; of several with that denominator the cheapest.  All in exact arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import product
from typing import Any

from harness.instances import Instance

DENOMINATORS = (*range(1, 13), 16, 24, 32, 48, 64)
# Numbers of a point that are not zero, beyond which there are too many combinations.
MOST = 10
# Of the gain on the limit, what a simpler point has to keep.
KEPT = Fraction(1, 2)

Theta = tuple[tuple[Fraction, ...], ...]
Certificate = Mapping[str, Any]


def simplest(instance: Instance, certificate: Certificate, accepted: Callable[[Certificate], bool]) -> Certificate:
    """The certificate with the simplest better point that is accepted; as it is where none is found, or has no point.

    accepted: whether the exact checker accepts a certificate.
    """
    if "better" not in certificate:
        return certificate
    limit, layers = _rows(certificate["theta"]), _layers(certificate)
    free = _free(certificate)
    # The limit's least margin is 1, but for rounding.
    worth = _cost([limit[layer] for layer in layers])
    cap = worth - KEPT * (worth - _cost(free))
    for rows in _candidates(free, cap):
        theta = list(limit)
        for layer, row in zip(layers, rows, strict=True):
            theta[layer] = row
        if min(instance.margins(theta)) < 1:
            continue
        written = [[_text(a) for a in row] for row in theta]
        simpler = {**certificate, "better": written[layers[0]] if _flat(certificate) else written}
        if accepted(simpler):
            return simpler
    return certificate


def simplicity(certificate: Certificate) -> tuple[int, Fraction]:
    """Less is simpler: the largest denominator of the better point, and its cost; of a curve the denominator alone."""
    if "better" not in certificate:
        return _largest(_rows([*certificate["d"], *(certificate["e"] or [])])), Fraction(0)
    free = _free(certificate)
    return _largest(free), _cost(free)


def _largest(rows: Theta) -> int:
    """Denominator."""
    return max(a.denominator for row in rows for a in row)


def _layers(certificate: Certificate) -> list[int]:
    """The layers that the problem is over."""
    problem = certificate["problem"]
    count = len(certificate["theta"])
    return [*range(count)] if problem == "full" else [int(problem.removeprefix("layer ")) - 1]


def _flat(certificate: Certificate) -> bool:
    """Whether the better point is that of one layer alone."""
    return certificate["kind"] == "layer better"


def _free(certificate: Certificate) -> Theta:
    """The better point in the layers that the problem is over."""
    better = certificate["better"]
    return _rows([better] if _flat(certificate) else [better[layer] for layer in _layers(certificate)])


def _candidates(free: Theta, cap: Fraction) -> Iterator[Theta]:
    """Points next to this one that cost at most the cap, in their order."""
    numbers = [a for row in free for a in row]
    if sum(map(bool, numbers)) > MOST:
        return
    for denominator in DENOMINATORS:
        choices = product(*(_neighbours(a, denominator) for a in numbers))
        for cost, choice in sorted((_cost([choice]), choice) for choice in choices):
            if cost > cap:
                break
            rest = iter(choice)
            yield tuple(tuple(next(rest) for _ in row) for row in free)


def _neighbours(a: Fraction, most: int) -> list[Fraction]:
    """The nearest fractions on either side with a denominator up to most."""
    below = max(Fraction(math.floor(a * q), q) for q in range(1, most + 1))
    above = min(Fraction(math.ceil(a * q), q) for q in range(1, most + 1))
    return [below] if below == above else [below, above]


def _cost(rows: Sequence[Sequence[Fraction]]) -> Fraction:
    return sum((a * a for row in rows for a in row), start=Fraction(0)) / 2


def _rows(value: Sequence[Sequence[Any]]) -> Theta:
    return tuple(tuple(Fraction(a) for a in row) for row in value)


def _text(a: Fraction) -> int | str:
    """As certificates have numbers."""
    return int(a) if a.denominator == 1 else f"{a.numerator}/{a.denominator}"
