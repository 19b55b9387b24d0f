"""The structure that is said of a limit: signs of the outgoing weights and of the neurons' inputs.

    {"outgoing": [s_1, ..., s_k], "gates": [[g_11, ..., g_1k], ... one row a sample]}

s_j in {-1, 0, 1} is the sign of v_j, g_ij the sign of w_j . x_i^(j).  s_j = 0 says that the neuron is zero
altogether, w_j = 0 and v_j = 0 (dead), and then all its g_ij are 0; at a KKT point |w_j| = |v_j|, so the one implies
the other (where v_j is fixed, v_j = 0 implies w_j = 0).  "gates" is null for linear networks.  Entries of neurons
without incoming or without outgoing weights are not looked at.

A limit is irrational as a rule, and theta only its rounding: an input that vanishes in the limit is tiny there.
So theta must have the structure up to 1e-9, and `settle` moves it, by projecting each w_j on the
orthogonal complement of the patches with g_ij = 0, to a nearby point that has the structure exactly.
That this point exists, and has positive margins, shows that the structure is not an empty one.

The sign of an outgoing weight has to be clear of that error, or else the neuron is a small part of another one whose
sign is: with the same inputs and the same gates, and (w_j, v_j) a multiple of that one's.  At a KKT point a neuron can
be split so in any proportion, and the margins and the value stay what they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from harness.certificates.numbers import Rejected, array, choice, fields
from harness.certificates.problems import Neuron, Theta
from harness.problem.fields import FieldError
from harness.problem.numbers import Vector, dot, less_components, squared_norm
from harness.problem.problems import Problem

# How far theta's own zeros may be from zero, relative to the sizes involved; squared, to do without roots.
TOLERANCE = Fraction(1, 10**9)


@dataclass(frozen=True)
class Structure:
    """outgoing: s_j, one a hidden neuron.  gates: g_ij, one row a sample; None for linear networks."""

    outgoing: tuple[int, ...]
    gates: tuple[tuple[int, ...], ...] | None

    def dead(self, neuron: Neuron) -> bool:
        return self.outgoing[neuron.index] == 0

    def gate(self, sample: int, neuron: Neuron) -> int:
        assert self.gates is not None
        return self.gates[sample][neuron.index]


def read_structure(value: object, field: str, given: Problem) -> Structure:
    """Raises FieldError on a wrong shape."""
    found = fields(value, field, ("outgoing", "gates"))
    width = given.network.widths[1]
    outgoing = _signs(found["outgoing"], f"{field}.outgoing", width)
    if not given.network.kinked:
        if found["gates"] is not None:
            raise FieldError(f"{field}.gates", "must be null for a linear network")
        return Structure(outgoing, None)
    gates = array(found["gates"], f"{field}.gates", given.n)
    return Structure(outgoing, tuple(_signs(row, f"{field}.gates[{i}]", width) for i, row in enumerate(gates)))


def _signs(value: object, field: str, length: int) -> tuple[int, ...]:
    return tuple(choice(a, f"{field}[{i}]", (-1, 0, 1)) for i, a in enumerate(array(value, field, length)))


def settle(structure: Structure, neurons: list[Neuron], theta: Theta) -> Theta:
    """The point nearest to theta with exactly this structure.

    Raises Rejected where theta does not have the structure to TOLERANCE, or where that point does not
    (its margins are the caller's business).
    """
    size = sum((squared_norm(u) for u in theta), start=Fraction(0))
    hidden, shift = list(theta[0]), Fraction(0)
    for neuron in neurons:
        w, v, s = neuron.w(theta), neuron.v(theta), structure.outgoing[neuron.index]
        place = neuron.name
        if s == 0:
            if v or any(w):
                raise Rejected(f"the structure says that {place} is zero, and theta does not")
            if structure.gates is not None and any(structure.gate(i, neuron) for i in range(len(neuron.patches))):
                raise Rejected(f"the structure gives a gate to {place}, which is zero")
            continue
        small = v * v <= TOLERANCE**2 * size
        if v * s <= 0 or (small and not any(_part(structure, neuron, of, theta, size) for of in neurons)):
            raise Rejected(f"the sign of the outgoing weight of {place} is not {s} in theta")
        if structure.gates is None:
            continue
        gates = [structure.gate(i, neuron) for i in range(len(neuron.patches))]
        _agree(w, neuron, gates)
        exact = _project(w, [patch for patch, g in zip(neuron.patches, gates, strict=True) if g == 0])
        if exact is not w:
            _agree(exact, neuron, gates)
            shift += squared_norm([a - b for a, b in zip(w, exact, strict=True)])
            for k, a in zip(neuron.incoming, exact, strict=True):
                hidden[k] = a
    if shift > TOLERANCE**2 * size:
        raise Rejected("no point with the structure is within 1e-9 of theta")
    return (tuple(hidden), theta[1])


def _part(structure: Structure, neuron: Neuron, of: Neuron, theta: Theta, size: Fraction) -> bool:
    """Whether a neuron is a multiple of another, whose outgoing weight is clear of the error of theta."""
    if neuron.index == of.index or neuron.patches != of.patches:
        return False
    if structure.gates is not None and any(row[neuron.index] != row[of.index] for row in structure.gates):
        return False
    v, other = neuron.v(theta), of.v(theta)
    if other * v <= 0 or other * other <= TOLERANCE**2 * size:
        return False
    rest = [a * other - b * v for a, b in zip(neuron.w(theta), of.w(theta), strict=True)]
    return squared_norm(rest) <= TOLERANCE**2 * (v * other) ** 2


def _agree(w: Vector, neuron: Neuron, gates: list[int]) -> None:
    """Whether w has these gates, zeros up to TOLERANCE, the others clear of it."""
    length = squared_norm(w)
    for i, (patch, g) in enumerate(zip(neuron.patches, gates, strict=True)):
        product = dot(w, patch)
        small = product**2 <= TOLERANCE**2 * length * squared_norm(patch)
        if small != (g == 0) or (g and product * g < 0):
            raise Rejected(f"the input of {neuron.name} on sample {i} does not have the sign {g} in theta")


def _project(w: Vector, patches: list[Vector]) -> Vector:
    """w less its components along the patches; w itself where it is orthogonal already."""
    if not any(dot(w, patch) for patch in patches):
        return w
    return less_components(w, patches)
