"""Kind "vertices": the whole margin problem of a diagonal network of any depth m >= 2, linear or relu.

Neuron j of every layer is fed by neuron j of the layer below alone, so that only the product beta_j of its m weights
counts: q_i = sum_j z_ij beta_j, where z_ij = y_i x_ij, and for relu z_ij = y_i max(0, s_j x_ij) with s_j the sign of
its first weight (further hidden weights count only where they are positive).  A product costs at least
(m/2) |beta_j|^(2/m), by the inequality of the means.  That is concave in |beta_j|, so that on each orthant the least
cost on {z beta >= 1} is taken at a vertex: k coordinates are free and k margins are 1, k = 1, 2, ....  The checker
lists all of them, for every choice of the s_j, in exact arithmetic; the certificate is theta alone:

    {"kind": "vertices", "problem": "full", "scope": "global", "theta": ...}

Accepted where no vertex costs less than (1 - 1e-9) of what theta costs at min q = 1.
Source: docs/statements.md, section 5.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations, product
from math import comb

from harness.certificates.answer import Checked
from harness.certificates.numbers import (
    GAP,
    Rejected,
    choice,
    dot,
    fields,
    float_down,
    float_up,
    root_down,
    rows,
    squared_norm,
)
from harness.problem.networks import Network
from harness.problem.problems import Problem

MOST_VERTICES = 20_000


def is_diagonal(network: Network) -> bool:
    """Whether neuron j of every layer has an input from neuron j of the layer below alone, and no weight is shared."""
    width = network.widths[0]
    if network.depth < 2 or network.shared or any(w != width for w in network.widths[:-1]):
        return False
    entries = [(r == c, k) for p in network.patterns[:-1] for r, row in enumerate(p) for c, k in enumerate(row)]
    hidden = all((k >= 0) == own for own, k in entries)
    return hidden and all(k >= 0 for k in network.patterns[-1][0])


def count(network: Network, n: int) -> int:
    """How many systems there are to solve."""
    d = network.widths[0]
    sides = 2**d if network.activation == "relu" else 1
    return sides * sum(comb(n, k) * comb(d, k) for k in range(1, min(n, d) + 1))


def features(given: Problem) -> Iterator[tuple[tuple[int, ...], list[list[Fraction]]]]:
    """The signs s and z (n, d), for every choice of the signs."""
    relu = given.network.activation == "relu"
    for signs in product((1, -1), repeat=given.d) if relu else [(1,) * given.d]:
        table = [
            [y * (max(Fraction(0), s * v) if relu else v) for s, v in zip(signs, x, strict=True)]
            for x, y in zip(given.x, given.y, strict=True)
        ]
        yield signs, table


def check_vertices(given: Problem, certificate: object) -> Checked:
    """Raises FieldError on a wrong shape; Rejected where it proves nothing."""
    found = fields(certificate, "certificate", ("kind", "problem", "scope", "theta"))
    choice(found["problem"], "certificate.problem", ("full",))
    choice(found["scope"], "certificate.scope", ("local", "global"))
    theta = rows(found["theta"], "certificate.theta", given.network.sizes)
    if not is_diagonal(given.network):
        raise Rejected("vertices are listed for diagonal networks only")
    if count(given.network, given.n) > MOST_VERTICES:
        raise Rejected(f"{count(given.network, given.n)} vertices are more than {MOST_VERTICES}")
    lowest = min(given.margins(theta))
    if lowest <= 0:
        raise Rejected("theta has a margin that is not positive")
    m = given.network.depth
    # theta scaled to min q = 1 costs 1/2 |theta|^2 / lowest^(2/m)
    worth = sum((squared_norm(u) for u in theta), start=Fraction(0)) / 2 / root_down(lowest**2, m)
    least: Fraction | None = None
    for _, table in features(given):
        for beta in _vertices(table):
            cost = Fraction(m, 2) * sum((root_down(b * b, m) for b in beta if b), start=Fraction(0))
            least = cost if least is None else min(least, cost)
    if least is None:
        raise Rejected("no vertex is feasible")
    below, above = float_down(least), float_up(worth)
    if least < (1 - GAP) * worth:
        raise Rejected(f"a vertex may cost {below:.12g}, less than (1 - 1e-9) times the value {above:.12g}")
    gap = max(0.0, float_up(1 - least / worth))
    return Checked(True, f"no vertex costs less than {below:.12g}", above, below, gap)


def _vertices(table: list[list[Fraction]]) -> Iterator[tuple[Fraction, ...]]:
    """The nonzero coordinates of every feasible vertex of {z beta >= 1} cut by the orthants."""
    n, d = len(table), len(table[0])
    for k in range(1, min(n, d) + 1):
        for free in combinations(range(d), k):
            for tight in combinations(range(n), k):
                beta = _solve([[table[i][j] for j in free] for i in tight])
                if beta is not None and all(dot([row[j] for j in free], beta) >= 1 for row in table):
                    yield beta


def _solve(matrix: list[list[Fraction]]) -> tuple[Fraction, ...] | None:
    """The solution of matrix beta = 1; None where the matrix is singular."""
    size = len(matrix)
    work = [[*row, Fraction(1)] for row in matrix]
    for k in range(size):
        pivot = next((r for r in range(k, size) if work[r][k]), None)
        if pivot is None:
            return None
        work[k], work[pivot] = work[pivot], work[k]
        scale = work[k][k]
        work[k] = [v / scale for v in work[k]]
        for r in range(size):
            if r != k and work[r][k]:
                factor = work[r][k]
                work[r] = [a - factor * b for a, b in zip(work[r], work[k], strict=True)]
    return tuple(row[size] for row in work)
