"""What the flow keeps for ever, exactly: the subspace of zeros, ties and all that rounding would lose.

With the gates fixed every q_i is a multilinear form of the layers.  A subspace V that contains theta0 and, with every
v, the gradient at v of the sum of q_i over each block of samples, is never left if the q_i of a block are the same on
V: their weights in the softmax are then equal.  Blocks are split, from one of all samples on, until they are.  When
gates change, what V was is closed again under the new ones.  A gate that is open takes any value, and is drawn.

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
OPEN = 2  # a gate between off (0) and on (1), or both
QUIET = 2  # so many random points that add nothing show that V is closed


class Kept:
    """The subspace that a flow has been in so far: rows, its reduced basis modulo PRIME, by pivot."""

    def __init__(self, instance: Instance) -> None:
        network = instance.network
        self._depth, self._size = network.depth, sum(network.sizes)
        self._points = [_residues(x) for x in instance.x]
        self._labels = instance.y
        ends = np.cumsum((0, *network.sizes)).tolist()
        self._layers = [
            (len(p), [(r, c, end + k) for r, row in enumerate(p) for c, k in enumerate(row) if k >= 0])
            for p, end in zip(network.patterns, ends, strict=False)
        ]
        self._random = Random(0)
        self._gates: bytes | None = None
        self.rows: dict[int, Vector] = {}
        _add(self.rows, _residues([a for u in instance.theta0 for a in u]))

    @property
    def whole(self) -> bool:
        return len(self.rows) == self._size

    def under(self, gates: np.ndarray) -> None:
        """Close it under other gates, (n, hidden units) of 0, 1 and OPEN."""
        if self.whole or gates.tobytes() == self._gates:
            return
        self._gates = gates.tobytes()
        blocks = [list(range(len(self._points)))]
        while True:
            rows = self._closed(blocks, gates)
            finer = [part for block in blocks for part in self._split(block, rows, gates)]
            if len(finer) == len(blocks):
                break
            blocks = finer
        self.rows = rows

    def basis(self, sizes: np.ndarray) -> np.ndarray:
        """An orthonormal basis (r, N) of it, every parameter divided by its size.

        Where there is no lift it is everything.
        """
        lifted = [[_lift(a) for a in row] for row in self.rows.values()]
        if self.whole or any(a is None for row in lifted for a in row):
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
        """The parts of a block on which the q_i are the same polynomials on a subspace."""
        values = [self._forms(self._point(rows), gates)[0] for _ in range(QUIET)] if len(block) > 1 else []
        parts: dict[tuple[int, ...], list[int]] = {}
        for i in block:
            parts.setdefault(tuple(q[i] for q in values), []).append(i)
        yield from parts.values()

    def _point(self, rows: dict[int, Vector]) -> Vector:
        """A random element of a subspace."""
        factors = [self._random.randrange(PRIME) for _ in rows]
        columns = zip(*rows.values(), strict=True)
        return [sum(f * a for f, a in zip(factors, column, strict=True)) % PRIME for column in columns]

    def _forms(self, theta: Vector, gates: np.ndarray) -> tuple[list[int], list[Vector]]:
        """q_i and its gradient for every sample, with open gates drawn."""
        drawn = [[self._random.randrange(PRIME) if g == OPEN else int(g) for g in row] for row in gates]
        found = [self._form(i, theta, row) for i, row in enumerate(drawn)]
        return [q for q, _ in found], [gradient for _, gradient in found]

    def _form(self, sample: int, theta: Vector, gates: list[int]) -> tuple[int, Vector]:
        h, inputs, ahead = self._points[sample], [], [*gates, 1]
        for units, entries in self._layers:
            inputs.append((h, ahead[:units]))
            above, ahead = [0] * units, ahead[units:]
            for r, c, k in entries:
                above[r] += theta[k] * h[c]
            h = [a * g % PRIME for a, g in zip(above, inputs[-1][1], strict=True)]
        gradient, back = [0] * self._size, [self._labels[sample]]
        for (_, entries), (below, mine) in zip(reversed(self._layers), reversed(inputs), strict=True):
            back, above = [0] * len(below), [b * g % PRIME for b, g in zip(back, mine, strict=True)]
            for r, c, k in entries:
                gradient[k] += above[r] * below[c]
                back[c] += above[r] * theta[k]
        return self._labels[sample] * h[0] % PRIME, [a % PRIME for a in gradient]


def _residues(numbers: Sequence[Fraction]) -> Vector:
    return [a.numerator * pow(a.denominator, -1, PRIME) % PRIME for a in numbers]


def _add(rows: dict[int, Vector], vector: Vector) -> None:
    """Put a vector into a reduced basis, if it is not in its span."""
    for pivot, row in rows.items():
        vector = _less(vector, row, pivot)
    pivot = next((k for k, a in enumerate(vector) if a), None)
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
