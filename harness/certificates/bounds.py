"""Lower bounds by weak duality, and the certificates of kind "bound".

For multipliers alpha >= 0 and any feasible point, sum(alpha) <= sum_i alpha_i q_i = sum_j psi_j(z_j) with
psi_j(z) = sum_i alpha_i y_i t_j sigma(z . p_ij) (problems.py).  If psi_j(z) <= D_j |z| on a region, then on it

    full:     value >= sum_j |u_j| >= sum(alpha) / max_j D_j,
    a layer:  value >= 1/2 sum(alpha)^2 / sum_j D_j^2   (Cauchy-Schwarz).

Where sigma is the identity, psi_j(z) = z . (sum_i alpha_i y_i t_j p_ij), so D_j is the norm of that vector.  Where it
has a kink, with slope g at negative arguments, a region says of every sample that its gate is on (sigma(s) = s), off
(g s), or free.  With b_i = alpha_i y_i t_j, a free sample with (1 - g) b_i > 0 is convex: b_i sigma(s) is the larger
of b_i s and g b_i s.  One with (1 - g) b_i < 0 is concave, the smaller of the two, and then b_i sigma(s) <= a_i b_i s
for every a_i between g and 1, a_i = g + (1 - g) c_i with c_i in [0, 1].  So if for EVERY subset A of the convex
samples there are c_i with

    | sum_{on and A} b_i p_ij + sum_{off and convex not in A} g b_i p_ij + sum_{concave} a_i b_i p_ij | <= D_j,

then psi_j(z) <= D_j |z| on the region.  For relu, g = 0 and a_i = c_i.  The certificate gives the c_i of each A:

    {"kind": "bound", "problem": P, "scope": S, "theta": ..., "structure": ..., "alpha": [n numbers],
     "neurons": [one list a hidden neuron of {"sign": 1, "cases": [{"on": [samples of A], "c": {"3": "1/2"}}, ...]}]}

"neurons" is null or left out where no gate is free to choose (linear networks, layer 2); a neuron that does not count
(no incoming or no outgoing weights; a zero coefficient in layer 1) has null or [].  c may leave out zeros.

Regions.  "global": every gate free, and for the full problem either sign of v_j.  "local": a neighbourhood of the
points with the structure: + on, - off, 0 free, the sign s_j; for a dead neuron every gate free, either sign.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from harness.certificates.numbers import Rejected, array, by_sample, choice, fields, float_down, samples, sqrt_down
from harness.certificates.problems import Block, Name
from harness.certificates.structures import Structure
from harness.problem.fields import FieldError
from harness.problem.numbers import Vector

# How many subsets A a certificate may need; the checker would otherwise be kept busy at will.
MAX_CASES = 4096


@dataclass(frozen=True)
class LowerBound:
    """total: sum(alpha).  slope: max_j D_j^2 for the full problem, sum_j D_j^2 for a layer; both >= 0."""

    problem: Name
    total: Fraction
    slope: Fraction

    @property
    def infinite(self) -> bool:
        """Whether it shows that the region has no feasible point."""
        return self.slope == 0 and self.total > 0

    @property
    def measure(self) -> Fraction:
        """A number that grows with the bound and needs no root: its square, for a layer the bound itself.

        Only for finite bounds.  Without multipliers the bound is 0, whatever the slope.
        """
        if not self.total:
            return Fraction(0)
        ratio = self.total**2 / self.slope
        return ratio if self.problem == "full" else ratio / 2

    def at_least(self, value: Fraction) -> bool:
        """bound >= value, for value >= 0."""
        return self.infinite or self.measure >= (value**2 if self.problem == "full" else value)

    def more_than(self, value: Fraction) -> bool:
        """bound > value, for value >= 0."""
        return self.infinite or self.measure > (value**2 if self.problem == "full" else value)

    def as_float(self) -> float:
        """A float at most the bound; infinite where the bound is."""
        if self.infinite:
            return math.inf
        return sqrt_down(self.measure) if self.problem == "full" else float_down(self.measure)


def lower_bound(problem: Name, alpha: Vector, slopes: Sequence[Fraction]) -> LowerBound:
    """The bound that alpha and the D_j^2 give.  Raises Rejected where alpha is negative."""
    for i, a in enumerate(alpha):
        if a < 0:
            raise Rejected(f"alpha[{i}] is negative")
    slope = max(slopes, default=Fraction(0)) if problem == "full" else sum(slopes, start=Fraction(0))
    return LowerBound(problem, sum(alpha, start=Fraction(0)), slope)


def linear_slope(block: Block, weights: Sequence[Fraction]) -> Fraction:
    """D_j^2 without gates: |sum_i weights_i p_ij|^2, weights_i = alpha_i y_i t_j."""
    return combined(block, dict(enumerate(weights)))


def combined(block: Block, weights: dict[int, Fraction]) -> Fraction:
    """|sum_i weights_i p_ij|^2."""
    used = {i: a for i, a in weights.items() if a}
    # The inner loop of the checker: integers over common denominators are several times as fast as Fractions.
    vectors, denominator = block.integers
    common = math.lcm(*(a.denominator for a in used.values()))
    parts = [(a.numerator * (common // a.denominator), vectors[i]) for i, a in used.items()]
    square = sum(sum(a * p[c] for a, p in parts) ** 2 for c in range(len(vectors[0])))
    return Fraction(square, (common * denominator) ** 2)


@dataclass(frozen=True)
class Region:
    """Where one block may move: the signs of t_j and the gate of each sample: 1 on, 0 off, None free."""

    signs: tuple[int, ...]
    gates: tuple[int | None, ...]


def region(block: Block, structure: Structure, problem: Name, scope: str) -> Region:
    """The region of a gated block.  Where the coefficient is held fixed its sign is."""
    s, n = structure.outgoing[block.neuron.index], len(block.vectors)
    anywhere = scope == "global" or s == 0
    signs = (1, -1) if problem == "full" and anywhere else (s,)
    if anywhere:
        return Region(signs, (None,) * n)
    return Region(signs, tuple({1: 1, -1: 0, 0: None}[structure.gate(i, block.neuron)] for i in range(n)))


@dataclass(frozen=True)
class Case:
    """on: the subset A.  c: the shares of the on side, zeros left out."""

    on: frozenset[int]
    c: dict[int, Fraction]


Cases = dict[int, list[Case]]


def read_cases(value: object, field: str, width: int, n: int) -> list[Cases] | None:
    """The "neurons" of a bound, for every hidden neuron the cases of each sign.  Raises FieldError."""
    if value is None:
        return None
    found: list[Cases] = []
    for j, entries in enumerate(array(value, field, width)):
        signs: Cases = {}
        for e, entry in enumerate(array([] if entries is None else entries, f"{field}[{j}]")):
            place = f"{field}[{j}][{e}]"
            pair = fields(entry, place, ("sign", "cases"))
            sign = choice(pair["sign"], f"{place}.sign", (-1, 1))
            if sign in signs:
                raise FieldError(f"{place}.sign", "occurs twice")
            signs[sign] = [
                _read_case(c, f"{place}.cases[{i}]", n) for i, c in enumerate(array(pair["cases"], f"{place}.cases"))
            ]
        found.append(signs)
    return found


def _read_case(value: object, field: str, n: int) -> Case:
    found = fields(value, field, ("on",), ("c",))
    return Case(samples(found["on"], f"{field}.on", n), by_sample(found.get("c"), f"{field}.c", n))


def gated_slope(block: Block, where: Region, ay: Sequence[Fraction], given: Cases) -> Fraction:
    """D_j^2 on the region, from the cases given; ay_i = alpha_i y_i.

    Raises Rejected where a sign or a subset is missing or beside the point, or a c is outside [0, 1].
    """
    place = block.neuron.name
    if set(given) != set(where.signs):
        raise Rejected(f"{place} needs cases for the signs {_listed(where.signs)}, and has {_listed(given)}")
    return max(_sign_slope(block, where, ay, sign, given[sign], place) for sign in where.signs)


def _sign_slope(
    block: Block, where: Region, ay: Sequence[Fraction], sign: int, cases: list[Case], place: str
) -> Fraction:
    b = [a * sign * block.scale for a in ay]
    slope = block.slope
    # What no case turns on has the slope of the off side.
    start = {i: a if where.gates[i] == 1 else slope * a for i, a in enumerate(b)}
    free = [i for i, gate in enumerate(where.gates) if gate is None]
    # The gate of a zero patch, or of a free sample without a multiplier, changes nothing.
    idle = {i for i, p in enumerate(block.vectors) if not any(p)} | {i for i in free if not b[i]}
    either = frozenset(i for i in free if (1 - slope) * b[i] > 0) - idle
    if len(either) >= MAX_CASES.bit_length():
        raise Rejected(f"{place} has {len(either)} free samples to choose among, too many to list")
    seen: set[frozenset[int]] = set()
    worst = Fraction(0)
    for case in cases:
        for i, c in case.c.items():
            if i not in idle and (i not in free or i in either):
                raise Rejected(f"{place}: sample {i} may not have a coefficient c")
            if not 0 <= c <= 1:
                raise Rejected(f"{place}: the coefficient of sample {i} is not between 0 and 1")
        on = case.on - idle
        if not on <= either:
            raise Rejected(f"{place}: a case turns on a sample that is not free to choose")
        seen.add(on)
        weights = start | {i: b[i] for i in on} | {i: (slope + (1 - slope) * c) * b[i] for i, c in case.c.items()}
        worst = max(worst, combined(block, weights))
    if len(seen) != 1 << len(either):
        raise Rejected(f"{place}, sign {sign}: {len(seen)} of {1 << len(either)} subsets of {sorted(either)} are given")
    return worst


def _listed(signs: Sequence[int] | Cases) -> str:
    return ", ".join(map(str, sorted(signs))) or "none"
