"""Kind "vertices": the whole margin problem of diagonal networks of any depth m >= 2 with one output, all trained.

Neuron j of the first layer is fed by one coordinate x_j, and that of every other layer by neuron j of the layer below
alone.  The activation is positively homogeneous, so that of its m weights only the product counts, beta_j = +- their
absolute values, and the signs s of the hidden ones: q_i = sum_j z_ij beta_j, z_ij = y_i |x_ij| f(sign of x_ij), where
f(1) and f(-1) are what the signs, each followed by the activation, make of 1 and of -1.  For linear networks z_ij = y_i
x_ij; for relu z_ij = y_i max(0, s_j x_ij), since further hidden weights count only where they are positive.  Several
neurons may have one coordinate (u . v - u' . v', say): of those with equal z one is enough, since |a + b|^p <= |a|^p +
|b|^p for p <= 1.  A product costs at least (m/2) |beta_j|^(2/m), by the inequality of the means.  That is concave in
|beta_j|, so that on each orthant the least value on {z beta >= 1} is taken at a vertex: k coordinates are free and k
margins are 1, k = 1, 2, ....  The checker lists all of them, for every choice of signs, in exact arithmetic; the
certificate is theta alone:

    {"kind": "vertices", "problem": "full", "scope": "global", "theta": ...}

Accepted where no vertex costs less than (1 - 1e-9) of what theta costs at min q = 1.
Source: docs/statements.md, section 5.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from itertools import combinations, product
from math import comb

from harness.certificates.answer import Checked
from harness.certificates.numbers import GAP, Rejected, choice, fields, float_down, float_up, least_positive, root_down
from harness.certificates.parameters import read_theta
from harness.problem.networks import Network
from harness.problem.numbers import dot, squared_norm
from harness.problem.problems import Problem

MOST_VERTICES = 20_000


def chains(network: Network) -> tuple[int, ...]:
    """The coordinate that each neuron of the first layer has, where all later ones have one neuron below; else empty.

    One output, which reads all; no shared weights; every layer trained.
    """
    if network.depth < 2 or network.outputs > 1 or network.degree < network.depth or network.shared:
        return ()
    fed = [[c for c, k in enumerate(row) if k >= 0] for row in network.patterns[0]]
    later = [(r, c, k) for p in network.patterns[1:-1] for r, row in enumerate(p) for c, k in enumerate(row)]
    square = all(width == len(fed) for width in network.widths[1:-1])
    if not square or any((k >= 0) != (r == c) for r, c, k in later) or any(k < 0 for k in network.patterns[-1][0]):
        return ()
    return tuple(c for (c,) in fed) if all(len(own) == 1 for own in fed) else ()


def neurons(network: Network) -> list[int]:
    """Those that are looked at: of every coordinate as many as there are different z."""
    coordinates, most = chains(network), len(sides(network))
    return [j for j, c in enumerate(coordinates) if coordinates[:j].count(c) < most]


def count(network: Network, n: int) -> int:
    """How many systems there are to solve."""
    d = len(neurons(network))
    return len(sides(network)) ** d * sum(comb(n, k) * comb(d, k) for k in range(1, min(n, d) + 1))


Side = tuple[tuple[int, ...], Fraction, Fraction]
"""The signs of a coordinate's hidden weights, f(1) and f(-1)."""


@lru_cache(maxsize=64)
def sides(network: Network) -> tuple[Side, ...]:
    """What the hidden weights of a coordinate can do.  One of those that differ in a sign only, as beta has its own."""
    found: list[Side] = []
    for signs in product((1, -1), repeat=network.depth - 1):
        ends = []
        for value in (Fraction(1), Fraction(-1)):
            for s in signs:
                value *= s
                value = value if value > 0 else network.slope * value
            ends.append(value)
        up, down = ends
        if (up or down) and not any((a, b) in ((up, down), (-up, -down)) for _, a, b in found):
            found.append((signs, up, down))
    return tuple(found)


def features(given: Problem) -> Iterator[tuple[tuple[tuple[int, ...], ...], list[list[Fraction]]]]:
    """The signs of the hidden weights, a tuple a neuron looked at, and z (n, neurons), for every choice."""
    coordinates = chains(given.network)
    seen = [coordinates[j] for j in neurons(given.network)]
    for chosen in product(sides(given.network), repeat=len(seen)):
        table = [
            [y * (x[c] * up if x[c] > 0 else -x[c] * down) for (_, up, down), c in zip(chosen, seen, strict=True)]
            for x, y in zip(given.x, given.y, strict=True)
        ]
        yield tuple(signs for signs, _, _ in chosen), table


def check_vertices(given: Problem, certificate: object) -> Checked:
    """Raises FieldError on a wrong shape; Rejected where it proves nothing."""
    found = fields(certificate, "certificate", ("kind", "problem", "scope", "theta"))
    choice(found["problem"], "certificate.problem", ("full",))
    choice(found["scope"], "certificate.scope", ("local", "global"))
    theta = read_theta(found["theta"], "certificate.theta", given.network)
    if not chains(given.network):
        raise Rejected("vertices are listed for diagonal networks only")
    if count(given.network, given.n) > MOST_VERTICES:
        raise Rejected(f"{count(given.network, given.n)} vertices are more than {MOST_VERTICES}")
    lowest = least_positive(given.margins(theta))
    m = given.network.depth
    # theta scaled to min q = 1 costs 1/2 |theta|^2 / lowest^(2/m)
    value = sum((squared_norm(u) for u in theta), start=Fraction(0)) / 2 / root_down(lowest**2, m)
    least: Fraction | None = None
    for _, table in features(given):
        for beta in _vertices(table):
            own = Fraction(m, 2) * sum((root_down(b * b, m) for b in beta if b), start=Fraction(0))
            least = own if least is None else min(least, own)
    if least is None:
        raise Rejected("no vertex is feasible")
    below, above = float_down(least), float_up(value)
    if least < (1 - GAP) * value:
        raise Rejected(f"a vertex may cost {below:.12g}, less than (1 - 1e-9) times the value {above:.12g}")
    gap = max(0.0, float_up(1 - least / value))
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
