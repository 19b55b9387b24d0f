"""Kind "pulls": a lower bound of depth 2 with any number of outputs, one neuron after the other.

For alpha >= 0 and a neuron with incoming w, outgoing v and gates a_i let G = sum_i a_i b_i x_i^T, b_i = sum of alpha_r
times the output weights of margin r, over the margins r of sample i.  Then

    sum(alpha) <= sum_r alpha_r q_r = sum over neurons of v . G w <= sum over neurons of |v| |G w|,

so that a point costs at least sum(alpha) / (1 + d) where |G w| <= (1 + d) |w| for every neuron in the cell of gates
that it is in.  In a cell s_i (w . x_i) >= 0, s_i = 1 on, -1 off.  It is proven by products that are not negative there,

    w'Sw = sum kappa s_i s_k (w . x_i)(w . x_k) + sum s_i (w . x_i)(c . w),     kappa >= 0, c . w >= 0,

where the matrix | 1  -G; -G'  1 - S | is positive semidefinite but for d: 2 v . G w <= (1 + d) (|v|^2 + |w|^2) then.

    {"kind": "pulls", "problem": "full", "scope": S, "theta": ..., "signs": ..., "alpha": [one a margin],
     "neurons": [one a neuron: [one a cell: {"products": [[sample, sample, kappa], ...],
                                             "walls": [[sample, c], ...]}]]}

The samples of a neuron that count have a margin with alpha > 0 and a patch that is not zero; others have no gate.
Scope "global": every choice of their gates is a cell.  Scope "local": every choice where the sign is 0, the others
having their sign; that is so next to theta.  Cells are in the order of itertools.product over on and off.  c . w > 0
next to theta where it is clearly positive at theta: walls are for scope "local" alone.
Accepted where the bound is at least (1 - 1e-9) of theta's value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product

from harness.certificates.answer import Checked, proven
from harness.certificates.definite import exceeds
from harness.certificates.gradients import gate_of
from harness.certificates.numbers import (
    GAP,
    Rejected,
    array,
    choice,
    fields,
    integer,
    least_positive,
    number,
    vector,
)
from harness.certificates.parameters import objective, read_theta
from harness.certificates.signs import TOLERANCE, Signs, leaders, read_signs, require_signs
from harness.certificates.taylor import require_small
from harness.problem.fields import FieldError
from harness.problem.numbers import Vector, dot, squared_norm
from harness.problem.places import neuron_name
from harness.problem.problems import Problem

# d: far more than what rounding leaves of a norm of 1, and within the gap.
SLACK = GAP / 4
MAX_CELLS = 4096


def covers(given: Problem) -> bool:
    """Depth 2, both layers trained, no shared weights, with kinks."""
    network = given.network
    return network.depth == network.degree == 2 and network.kinked and not network.shared


@dataclass(frozen=True)
class Neuron:
    """w: its incoming weights at theta.  patches: by sample, what they see.  pulls: b_i by sample, where it is felt."""

    w: Vector
    patches: Mapping[int, Vector]
    pulls: Mapping[int, Vector]


def check_pulls(given: Problem, certificate: object) -> Checked:
    """Raises FieldError on a wrong shape; Rejected where it proves nothing."""
    network = given.network
    own = ("kind", "problem", "scope", "theta", "signs", "alpha", "neurons")
    found = fields(certificate, "certificate", own)
    if not covers(given):
        raise Rejected("the bound is for depth 2 with kinks, trained everywhere, without shared weights")
    require_small(network)
    choice(found["problem"], "certificate.problem", ("full",))
    scope = choice(found["scope"], "certificate.scope", ("local", "global"))
    theta = read_theta(found["theta"], "certificate.theta", network)
    signs = read_signs(found["signs"], "certificate.signs", given)
    assert signs is not None
    require_signs(given, theta, signs)
    alpha = vector(found["alpha"], "certificate.alpha", len(given.rows))
    if min(alpha) < 0:
        raise Rejected("alpha is negative")
    value = objective(network, theta) / least_positive(given.margins(theta))
    answer = proven(sum(alpha) / (1 + SLACK), value, "at all" if scope == "global" else "nearby")
    width = network.widths[1]
    cells = 0
    for j, entry in enumerate(array(found["neurons"], "certificate.neurons", width)):
        cells += _check_neuron(given, neuron_of(given, theta, alpha, j), j, entry, signs if scope == "local" else None)
        if cells > MAX_CELLS:
            raise Rejected(f"more than {MAX_CELLS} cells")
    return answer


def neuron_of(given: Problem, theta: Sequence[Vector], alpha: Sequence[Fraction], j: int) -> Neuron:
    """What the bound needs of neuron j, from 0."""
    network = given.network
    row = network.patterns[0][j]
    inputs = [c for c, k in enumerate(row) if k >= 0]
    outgoing = [r for r, line in enumerate(network.patterns[1]) if line[j] >= 0]
    patches = {i: tuple(given.x[i][c] for c in inputs) for i in range(given.n)}
    pulls: dict[int, Vector] = {}
    for i in range(given.n):
        own = [(a, seed) for a, (sample, seed) in zip(alpha, given.rows, strict=True) if sample == i and a]
        if own and any(patches[i]) and outgoing:
            pulls[i] = tuple(sum((a * seed[r] for a, seed in own), Fraction(0)) for r in outgoing)
    return Neuron(tuple(theta[0][row[c]] for c in inputs), patches, pulls)


def cells_of(neuron: Neuron, sides: Mapping[int, int]) -> list[dict[int, int]]:
    """Every choice of gates, 1 or 0, by sample; sides: -1, 0, 1 by sample, all 0 for scope "global"."""
    open_gates = [i for i in neuron.pulls if not sides[i]]
    given = {i: int(sides[i] > 0) for i in neuron.pulls if sides[i]}
    return [{**given, **dict(zip(open_gates, some, strict=True))} for some in product((1, 0), repeat=len(open_gates))]


def sides_of(given: Problem, signs: Signs | None, j: int) -> dict[int, int]:
    """The sign of neuron j on every sample; zeros without signs."""
    first = {given.rows[row][0]: row for row in leaders(given)}
    return {i: signs[0][first[i]][j] if signs is not None else 0 for i in range(given.n)}


def _check_neuron(given: Problem, neuron: Neuron, j: int, entry: object, signs: Signs | None) -> int:
    """How many cells the neuron has.  Raises FieldError, Rejected."""
    at = f"certificate.neurons[{j}]"
    if len(neuron.pulls) > MAX_CELLS.bit_length():
        raise Rejected(f"{at}: too many samples")
    cells = cells_of(neuron, sides_of(given, signs, j))
    for e, (cell, proof) in enumerate(zip(cells, array(entry, at, len(cells)), strict=True)):
        place = f"{at}[{e}]"
        found = fields(proof, place, ("products", "walls"))
        if not exceeds(_matrix(given, neuron, cell, _products(found, place, neuron, cell, signs)), -SLACK):
            raise Rejected(f"{place}: the pull of {neuron_name(j)} is longer than it in this cell")
    return len(cells)


def _products(
    found: Mapping[str, object], at: str, neuron: Neuron, cell: Mapping[int, int], signs: Signs | None
) -> list[tuple[Vector, Vector]]:
    """Pairs of vectors (a, b) with (a . w)(b . w) >= 0 in the cell.  Raises FieldError, Rejected."""

    def sided(sample: object, where: str) -> Vector:
        i = integer(sample, where, 0, len(neuron.patches) - 1)
        if i not in cell:
            raise Rejected(f"{where}: the sample has no gate")
        return neuron.patches[i] if cell[i] else tuple(-a for a in neuron.patches[i])

    pairs: list[tuple[Vector, Vector]] = []
    for e, entry in enumerate(array(found["products"], f"{at}.products")):
        where = f"{at}.products[{e}]"
        i, k, kappa = array(entry, where, 3)
        weight = number(kappa, where)
        if weight < 0:
            raise Rejected(f"{where} is negative")
        pairs.append((sided(i, where), tuple(weight * a for a in sided(k, where))))
    for e, entry in enumerate(array(found["walls"], f"{at}.walls")):
        where = f"{at}.walls[{e}]"
        i, c = array(entry, where, 2)
        along = vector(c, where, len(neuron.w))
        if signs is None:
            raise FieldError(where, "walls are for a local optimum")
        inner = dot(along, neuron.w)
        if inner <= 0 or inner**2 <= TOLERANCE**2 * squared_norm(along) * squared_norm(neuron.w):
            raise Rejected(f"{where} is not clearly positive at theta")
        pairs.append((sided(i, where), along))
    return pairs


def _matrix(
    given: Problem, neuron: Neuron, cell: Mapping[int, int], pairs: Sequence[tuple[Vector, Vector]]
) -> list[list[Fraction]]:
    """Its lower triangle; v before w."""
    columns, rows = len(neuron.w), len(next(iter(neuron.pulls.values()), ()))
    out = [[Fraction(int(r == c)) for c in range(r + 1)] for r in range(rows + columns)]
    for i, pull in neuron.pulls.items():
        gate = gate_of(given.network, bool(cell[i]))
        for c, a in enumerate(neuron.patches[i]):
            for r, b in enumerate(pull):
                out[rows + c][r] -= gate * a * b
    for a, b in pairs:
        for r in range(columns):
            for c in range(r + 1):
                out[rows + r][rows + c] -= (a[r] * b[c] + a[c] * b[r]) / 2
    return out
