"""How simple the proof of a counterexample is: the better point that it gives."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from harness.problem.places import layer_of
from harness.records.record import Exact, exact, value

Certificate = Mapping[str, Any]


def simplicity(certificate: Certificate) -> tuple[int, Fraction]:
    """Less is simpler: the largest denominator of the better point, and its value; of a curve the denominator alone.

    What is stated of the limit itself has no better point.
    """
    if certificate["kind"] == "statement":
        return 1, Fraction(0)
    if "better" not in certificate:
        return _largest(exact([*certificate["d"], *(certificate["e"] or [])])), Fraction(0)
    better = better_of(certificate)
    return _largest(better), value(better)


def _largest(rows: Exact) -> int:
    """Denominator."""
    return max(a.denominator for row in rows for a in row)


def layers_of(certificate: Certificate) -> list[int]:
    """The layers that the problem is over, from 0."""
    problem = certificate["problem"]
    count = len(certificate["theta"])
    return [*range(count)] if problem == "full" else [layer_of(problem)]


def one_layer(certificate: Certificate) -> bool:
    """Whether the better point is that of one layer alone."""
    return certificate["kind"] == "layer better"


def better_of(certificate: Certificate) -> Exact:
    """The better point in the layers that the problem is over."""
    better = certificate["better"]
    return exact([better] if one_layer(certificate) else [better[layer] for layer in layers_of(certificate)])
