"""What a claim may assume of data and of a start: True or False on the exact numbers, never a tolerance.

n is the number of points, z_i = y_i x_i, R_min and R_max the least and the largest norm of a point, zeta the largest
abs(x_i . x_k) over i != k, and gamma the slope of the activation at negative inputs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from harness.problem.instances import Instance
from harness.problem.networks import Network, circulant, diagonal
from harness.problem.numbers import dot, squared_norm
from harness.problem.problems import Problem
from harness.problem.separability import Separation, separation

Data = Callable[[Problem], bool]
Start = Callable[[Instance], bool]

_CACHED = 256


@dataclass(frozen=True)
class Spread:
    """zeta, R_min^2 and R_max^2 of n points."""

    n: int
    zeta: Fraction
    least: Fraction
    most: Fraction

    @property
    def delta(self) -> Fraction:
        """(n - 1) zeta / R_min^2."""
        return (self.n - 1) * self.zeta / self.least

    @property
    def ratio(self) -> Fraction:
        """R_max^2 / R_min^2."""
        return self.most / self.least


@lru_cache(_CACHED)
def spread(problem: Problem) -> Spread:
    """How near the points are to orthogonal ones."""
    squares = [squared_norm(x) for x in problem.x]
    zeta = max((abs(a) for a in _pairs(problem).values()), default=Fraction(0))
    return Spread(problem.n, zeta, min(squares), max(squares))


def _pairs(problem: Problem) -> dict[tuple[int, int], Fraction]:
    """x_i . x_k for every pair i < k."""
    x = problem.x
    return {(i, k): dot(x[i], x[k]) for i in range(problem.n) for k in range(i + 1, problem.n)}


# --- data ---


def near_orthogonal(problem: Problem) -> bool:
    """n >= 2 and (2 n - 3) zeta < gamma R_min^2, with gamma = 1 for relu, where a gate is on or off."""
    s = spread(problem)
    return s.n >= 2 and (2 * s.n - 3) * s.zeta < (problem.network.slope or 1) * s.least


def hardly_orthogonal(problem: Problem) -> bool:
    """R_min^2 <= (2 n - 3) zeta < 3 R_min^2."""
    s = spread(problem)
    return s.least <= (2 * s.n - 3) * s.zeta < 3 * s.least


def not_orthogonal(problem: Problem) -> bool:
    """R_min^2 <= (2 n - 3) zeta."""
    s = spread(problem)
    return s.least <= (2 * s.n - 3) * s.zeta


def attackable(problem: Problem) -> bool:
    """3 (n - 1) zeta < R_min^2, and both classes are there."""
    s = spread(problem)
    return 3 * (s.n - 1) * s.zeta < s.least and len(set(problem.y)) == 2


def clearly_orthogonal(problem: Problem) -> bool:
    """n >= 2 and delta < gamma^3 / (R + 2 gamma^2), R = R_max^2 / R_min^2, delta = (n - 1) zeta / R_min^2."""
    s, slope = spread(problem), problem.network.slope
    return s.n >= 2 and s.delta * (s.ratio + 2 * slope**2) < slope**3


def orthogonally_separable(problem: Problem) -> bool:
    """x_i . x_k > 0 within a class, <= 0 between classes."""
    y = problem.y
    return all(a > 0 if y[i] == y[k] else a <= 0 for (i, k), a in _pairs(problem).items())


def weakly_orthogonally_separable(problem: Problem) -> bool:
    """x_i . x_k >= 0 within a class, <= 0 between classes."""
    y = problem.y
    return all(a >= 0 if y[i] == y[k] else a <= 0 for (i, k), a in _pairs(problem).items())


def no_right_angles(problem: Problem) -> bool:
    """No two points are at right angles for any neuron of the first layer, on the coordinates that it sees."""
    for row in problem.network.patterns[0]:
        patches = [tuple(a for a, k in zip(x, row, strict=True) if k >= 0) for x in problem.x]
        if not all(dot(a, b) for i, a in enumerate(patches) for b in patches[i + 1 :]):
            return False
    return True


def mirrored(problem: Problem) -> bool:
    """The data are their own mirror image with turned labels: (x, y) occurs as often as (-x, -y)."""
    count = Counter(zip(problem.x, problem.y, strict=True))
    return all(times == count[tuple(-a for a in x), -y] for (x, y), times in count.items())


def mirrored_and_separable(problem: Problem) -> bool:
    """Both, the second by a vector."""
    return mirrored(problem) and separable(problem)


def univariate(problem: Problem) -> bool:
    """Two coordinates, the second always 1 (a hidden bias), and n >= 3."""
    return problem.d == 2 and problem.n >= 3 and all(x[1] == 1 for x in problem.x)


def standard_basis(problem: Problem) -> bool:
    """x_i = e_i, and n = d."""
    return problem.x == tuple(tuple(Fraction(int(i == c)) for c in range(problem.d)) for i in range(problem.d))


def separable(problem: Problem) -> bool:
    """Some vector w has z_i . w > 0 for every i."""
    return bool(separated(problem))


@lru_cache(_CACHED)
def separated(problem: Problem) -> Separation:
    """The vector, or the proof that there is none."""
    return separation(signed(problem))


def signed(problem: Problem) -> list[list[Fraction]]:
    """z_i = y_i x_i, of problems with one output."""
    return [[label * a for a in x] for x, label in zip(problem.x, problem.y, strict=True)]


# --- networks ---


def is_diagonal(network: Network) -> bool:
    """Hidden layers square and diagonal, and one output that reads all of the last."""
    return network.depth > 1 and network.patterns == diagonal("linear", network.widths[0], network.depth).patterns


def is_circulant(network: Network) -> bool:
    """Depth 2, W^1[r, c] = u[(c - r) mod d], r, c = 0 .. d - 1."""
    return network.patterns == circulant("linear", network.widths[0]).patterns


def is_scalar(network: Network) -> bool:
    """Depth 2, W^1 = u I with one number u, and one output that reads all."""
    square = tuple(tuple(0 if r == c else -1 for c in range(network.widths[0])) for r in range(network.widths[0]))
    return network.patterns == (square, (tuple(range(network.widths[0])),))


def outputs_are_signs(network: Network) -> bool:
    """Depth 2, the outputs v_j fixed at 1 and -1."""
    return network.depth == 2 and network.fixed[1] is not None and all(abs(a) == 1 for a in network.fixed[1])


def outputs_have_both_signs(network: Network) -> bool:
    """The same, and both signs are there."""
    return outputs_are_signs(network) and len(set(network.fixed[1] or ())) == 2


# --- starts ---


def unbalanced(instance: Instance) -> bool:
    """A diagonal network of depth 2 with abs(u_k) != abs(v_k) for every coordinate k."""
    u, v = instance.theta0
    return all(abs(a) != abs(b) for a, b in zip(u, v, strict=True))


def balanced(instance: Instance) -> bool:
    """A diagonal network of depth 2 with abs(u_k) = abs(v_k) > 0 for every coordinate k."""
    u, v = instance.theta0
    return all(abs(a) == abs(b) > 0 for a, b in zip(u, v, strict=True))


def orthant(instance: Instance) -> tuple[int, ...]:
    """The signs of u_k v_k at a balanced start of a diagonal network of depth 2."""
    u, v = instance.theta0
    return tuple(1 if a * b > 0 else -1 for a, b in zip(u, v, strict=True))


def separable_in_orthant(instance: Instance) -> bool:
    """Some beta with beta_k u_k v_k >= 0 for all k has z_i . beta > 0 for all i.

    One with every beta_k u_k v_k > 0 has it too then, and that is asked for.
    """
    signs = orthant(instance)
    walls = [[Fraction(s if c == k else 0) for c in range(instance.d)] for k, s in enumerate(signs)]
    return bool(separation([*signed(instance.problem), *walls]))


def no_idle_neuron(instance: Instance) -> bool:
    """No hidden neuron has only zeros coming in, nor only zeros going out."""
    network, theta = instance.network, instance.theta0
    return all(
        any(theta[layer][k] for k in network.incoming(layer, j))
        and any(theta[layer + 1][k] for k in network.outgoing(layer, j))
        for layer, width in enumerate(network.widths[1:-1])
        for j in range(width)
    )


# norm(theta(0))^2 R_max, of what counts as a small start
SMALL_START = Fraction(1, 1000)


def covering_and_small(instance: Instance) -> bool:
    """Depth 2, fully connected: balanced, small, and every (open cell, sign of v) holds a neuron.

    Cells are those of the arrangement of the x_i . w = 0; one is a sign for every point.
    """
    network, (first, second) = instance.network, instance.theta0
    rows = [tuple(first[k] for k in row) for row in network.patterns[0]]
    if any(squared_norm(w) != v * v or not v for w, v in zip(rows, second, strict=True)):
        return False
    size = sum((v * v for u in instance.theta0 for v in u), Fraction(0))
    if size * size * spread(instance.problem).most > SMALL_START**2:
        return False
    held: dict[tuple[int, ...], set[bool]] = {}
    for w, v in zip(rows, second, strict=True):
        inputs = [dot(w, x) for x in instance.x]
        if all(inputs):
            held.setdefault(tuple(1 if a > 0 else -1 for a in inputs), set()).add(v > 0)
    return all(len(held.get(cell, ())) == 2 for cell in open_cells(instance.problem))


@lru_cache(_CACHED)
def open_cells(problem: Problem) -> tuple[tuple[int, ...], ...]:
    """The signs of w . x_i that some w has, none of them zero; point after point, so that few are tried in vain."""
    cells: list[tuple[int, ...]] = [()]
    for count in range(1, problem.n + 1):
        longer = [(*cell, s) for cell in cells for s in (1, -1)]
        cells = [
            cell
            for cell in longer
            if separation([[s * a for a in x] for s, x in zip(cell, problem.x[:count], strict=True)])
        ]
    return tuple(cells)
