"""What the flow keeps for ever, exactly: the subspace of zeros, ties and all that rounding would lose.

With the gates held every q_r is a multilinear form of the trained layers.  A subspace V that contains theta0 and, with
every v, the gradient at v of the sum of q_r over each block of margins, is never left if the weights of a block are the
same on V.  Those of equal q_r are, and for several margins a point with the logistic loss, where what it has besides is
equal too.  Blocks are split, from one of all margins on, until they are.  When gates change, what V was is closed again
under the new ones.  A gate that is open takes any slope, and is drawn.

The gradients are polynomials, so that a few random points of V stand for all of them.  Ranks are taken modulo PRIME, of
157 digits, which no number that a person writes down will divide by chance, and the reduced basis is lifted from it;
where it has no numbers below LARGEST, nothing is said to be kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fractions import Fraction

    from harness.problem.instances import Instance

Vector = list[int]
PRIME = 2**521 - 1
LARGEST = 2**128  # of numerators and denominators
OPEN = 2  # a gate between off (0) and on (1), or both: any slope
QUIET = 2  # so many random points that add nothing show that V is closed


class Kept:
    """The subspace that a flow has been in so far: rows, its reduced basis modulo PRIME, by pivot.

    units: how many are hidden.  signs: of those whose weight out keeps its sign, its parameter and the sign.
    """

    def __init__(self, instance: Instance) -> None:
        network = instance.network
        self._points = [_residues(x) for x in instance.x]
        self._rows = instance.problem.rows
        self._softened = instance.loss == "logistic" and network.outputs > 2
        (self._off,) = _residues([network.slope])
        # the fixed numbers follow upon the parameters
        layers = list(zip(network.patterns, network.sizes, network.trained, instance.theta0, strict=True))
        self._fixed = _residues([a for _, _, own, u in layers if not own for a in u])
        self._size = sum(size for _, size, own, _ in layers if own)
        ends = {True: 0, False: self._size}
        self._layers: list[tuple[int, list[tuple[int, int, int]]]] = []
        for p, size, own, _ in layers:
            entries = [(r, c, ends[own] + k) for r, row in enumerate(p) for c, k in enumerate(row) if k >= 0]
            self._layers.append((len(p), entries))
            ends[own] += size
        self._random = Random(0)
        self._gates: bytes | None = None
        self.rows: dict[int, Vector] = {}
        _add(self.rows, _residues([a for _, _, own, u in layers if own for a in u]))
        self.units, self.signs = sum(network.widths[1:-1]), _signs(instance)

    @property
    def whole(self) -> bool:
        return len(self.rows) == self._size

    def under(self, gates: np.ndarray) -> None:
        """Close it under other gates, (n, hidden units) of 0, 1 and OPEN."""
        if self.whole or gates.tobytes() == self._gates:
            return
        self._gates = gates.tobytes()
        blocks = [list(range(len(self._rows)))]
        while True:
            rows = self._closed(blocks, gates)
            finer = [part for block in blocks for part in self._split(block, rows, gates)]
            if len(finer) == len(blocks):
                break
            blocks = finer
        self.rows = rows

    def basis(self, sizes: np.ndarray) -> np.ndarray:
        """An orthonormal basis (r, N) of it, every parameter divided by its size.

        Where there is no lift it is everything.  The smallest lead: as differences of large ones they would be lost.
        """
        if self.whole:
            return np.eye(self._size)
        led, order = dict[int, Vector](), np.argsort(sizes, kind="stable").tolist()
        for row in self.rows.values():
            _add(led, row, order)
        lifted = [[_lift(a) for a in row] for row in led.values()]
        if any(a is None for row in lifted for a in row):
            return np.eye(self._size)
        return np.linalg.qr((np.array(lifted, dtype=np.float64) / sizes).T)[0].T

    def _closed(self, blocks: list[list[int]], gates: np.ndarray) -> dict[int, Vector]:
        rows, quiet = dict(self.rows), 0
        while quiet < QUIET and len(rows) < self._size:
            before = len(rows)
            _, gradients = self._forms(self._point(rows), gates)
            for block in blocks:
                _add(rows, [sum(column) % PRIME for column in zip(*(gradients[i] for i in block), strict=True)])
            quiet = quiet + 1 if len(rows) == before else 0
        return rows

    def _split(self, block: list[int], rows: dict[int, Vector], gates: np.ndarray) -> Iterator[list[int]]:
        """The parts of a block on which the weights are the same on a subspace, as polynomials show."""
        values = [self._forms(self._point(rows), gates)[0] for _ in range(QUIET)] if len(block) > 1 else []
        parts: dict[tuple[object, ...], list[int]] = {}
        for r in block:
            parts.setdefault(tuple((q[r], self._beside(q, r)) for q in values), []).append(r)
        yield from parts.values()

    def _beside(self, q: list[int], row: int) -> tuple[int, ...]:
        """What else the weight of a margin is made of: where it is softened, all margins of its point."""
        if not self._softened:
            return ()
        return tuple(sorted(a for a, (i, _) in zip(q, self._rows, strict=True) if i == self._rows[row][0]))

    def _point(self, rows: dict[int, Vector]) -> Vector:
        """A random element of a subspace."""
        factors = [self._random.randrange(PRIME) for _ in rows]
        columns = zip(*rows.values(), strict=True)
        return [sum(f * a for f, a in zip(factors, column, strict=True)) % PRIME for column in columns]

    def _forms(self, theta: Vector, gates: np.ndarray) -> tuple[list[int], list[Vector]]:
        """Every q_r and its gradient, with open gates drawn."""
        drawn = [[self._slope(int(g)) for g in row] for row in gates]
        found = [self._form(i, seed, theta + self._fixed, drawn[i]) for i, seed in self._rows]
        return [q for q, _ in found], [gradient for _, gradient in found]

    def _slope(self, gate: int) -> int:
        return self._random.randrange(PRIME) if gate == OPEN else 1 if gate else self._off

    def _form(self, sample: int, seed: Sequence[int], theta: Vector, gates: list[int]) -> tuple[int, Vector]:
        h, inputs, ahead = self._points[sample], [], [*gates, *(1 for _ in seed)]
        for units, entries in self._layers:
            inputs.append((h, ahead[:units]))
            above, ahead = [0] * units, ahead[units:]
            for r, c, k in entries:
                above[r] += theta[k] * h[c]
            h = [a * g % PRIME for a, g in zip(above, inputs[-1][1], strict=True)]
        gradient, back = [0] * len(theta), list(seed)
        for (_, entries), (below, mine) in zip(reversed(self._layers), reversed(inputs), strict=True):
            back, above = [0] * len(below), [b * g % PRIME for b, g in zip(back, mine, strict=True)]
            for r, c, k in entries:
                gradient[k] += above[r] * below[c]
                back[c] += above[r] * theta[k]
        q = sum(s * a for s, a in zip(seed, h, strict=True))
        return q % PRIME, [a % PRIME for a in gradient[: self._size]]


def _signs(instance: Instance) -> dict[int, tuple[int, int]]:
    """At depth 2 with one output v^2 - ||w||^2 is conserved: where it is not negative at the start v never turns."""
    network = instance.network
    if not (network.depth == network.degree == 2 and network.outputs == 1) or network.shared:
        return {}
    (hidden, (output,)), (w, v) = network.patterns, instance.theta0
    return {
        j: (network.sizes[0] + k, 1 if v[k] > 0 else -1)
        for j, (row, k) in enumerate(zip(hidden, output, strict=True))
        if k >= 0 and v[k] and v[k] ** 2 >= sum(w[p] ** 2 for p in row if p >= 0)
    }


def _residues(numbers: Sequence[Fraction]) -> Vector:
    return [a.numerator * pow(a.denominator, -1, PRIME) % PRIME for a in numbers]


def _add(rows: dict[int, Vector], vector: Vector, order: Sequence[int] | None = None) -> None:
    """Put a vector into a reduced basis, if it is not in its span, with its first pivot in an order."""
    for pivot, row in rows.items():
        vector = _less(vector, row, pivot)
    pivot = next((k for k in order or range(len(vector)) if vector[k]), None)
    if pivot is None:
        return
    inverse = pow(vector[pivot], -1, PRIME)
    vector = [a * inverse % PRIME for a in vector]
    for other in rows:
        rows[other] = _less(rows[other], vector, pivot)
    rows[pivot] = vector


def _less(vector: Vector, row: Vector, pivot: int) -> Vector:
    """The vector less the multiple of the row that makes its entry at the pivot zero."""
    factor = vector[pivot]
    return [(a - factor * b) % PRIME for a, b in zip(vector, row, strict=True)] if factor else vector


def _lift(a: int) -> float | None:
    """The fraction p/q = a modulo PRIME with |p|, q < LARGEST, by the Euclidean algorithm (Wang's reconstruction)."""
    r, s, t, u = PRIME, a, 0, 1
    while s >= LARGEST:
        quotient = r // s
        r, s, t, u = s, r - quotient * s, u, t - quotient * u
    return s / u if 0 < abs(u) < LARGEST else None
