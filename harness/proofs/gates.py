"""Signs and gates that may be kept for ever, read off a start: what flow_gates.py is asked to accept."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import product

from harness.certificates.flow_gates import Region, first_neurons, require_region
from harness.certificates.numbers import Rejected
from harness.certificates.problems import Neuron
from harness.problem.instances import Instance
from harness.problem.numbers import dot, squared_norm

# Neurons whose outgoing weight starts at zero have two signs to try each.
MOST = 8
Column = tuple[int, tuple[int, ...]]


def regions(given: Instance) -> Iterator[tuple[Region, list[int], list[list[int]]]]:
    """What is proven of an instance, with "outgoing" and "gates" as certificates have them."""
    for outgoing, gates in _proposals(given):
        try:
            yield require_region(given, tuple(outgoing), tuple(map(tuple, gates))), outgoing, gates
        except Rejected:
            continue


def _proposals(given: Instance) -> Iterator[tuple[list[int], list[list[int]]]]:
    try:
        neurons = first_neurons(given)
    except Rejected:
        return
    choices = [_columns(given, neuron) for neuron in neurons]
    if sum(len(own) > 1 for own in choices) > MOST:
        return
    width = given.network.widths[1]
    for columns in product(*choices):
        outgoing, gates = [0] * width, [[-1] * width for _ in given.x]
        for neuron, (sign, column) in zip(neurons, columns, strict=True):
            outgoing[neuron.index] = sign
            for row, gate in zip(gates, column, strict=True):
                row[neuron.index] = gate
        yield outgoing, gates


def _columns(given: Instance, neuron: Neuron) -> list[Column]:
    v, w = neuron.v(given.theta0), neuron.w(given.theta0)
    z = [dot(w, patch) for patch in neuron.patches]
    if v:
        return [_column(given, neuron, 1 if v > 0 else -1, z)]
    if all(a <= 0 for a in z):
        return [(0, (-1,) * given.n)]
    # v moves to the side of the samples that are on.
    signs = dict.fromkeys(label for label, a in zip(given.y, z, strict=True) if a > 0)
    return [_column(given, neuron, sign, z) for sign in signs]


def _column(given: Instance, neuron: Neuron, sign: int, z: list[Fraction]) -> Column:
    right = [sign * label == 1 for label in given.y]
    seen = [squared_norm(patch) > 0 for patch in neuron.patches]
    on = [own and ok and a >= 0 for own, ok, a in zip(right, seen, z, strict=True)]
    if any(on):
        # A gate that is off for good says more than one that is not learnt from.
        return sign, tuple(1 if ok else -1 if a < 0 or not p else 0 for ok, a, p in zip(on, z, seen, strict=True))
    if all(a < 0 for a in z):
        return sign, (-1,) * given.n
    return sign, tuple(-1 if ok or not p else 0 for ok, p in zip(right, seen, strict=True))
