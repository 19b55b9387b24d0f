"""The invariant subspace of the flow, found exactly.

With the gates fixed every q_i is a multilinear form of the layers, and the flow from theta0 stays
in V: the smallest subspace that contains theta0 and, for every v in V, all gradients grad q_i(v)
(projected on the kinks that slide).  Zeros, ties and balance are such subspaces, and so is any
rational rotation of one.  The integrator's state is a coordinate vector of V, so that nothing
outside V can be excited by rounding.

Ranks are found modulo primes of 31 bits, where arithmetic is exact and cheap: instances are exact
rationals, and a subspace closed for random elements of it is closed (the gradient is a polynomial;
the chance to miss is below 1e-8 a draw, and draws come from a fixed generator).  Where V is not
everything its reduced basis is lifted to rationals from three primes.  Where the lift fails (data
with 53-bit numbers) V is enlarged to the subspace of its zeros and signed ties: still exact, and
still closed for the trajectory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from harness.flow.kernel import Wiring
from harness.flow.kinks import Pair
from harness.flow.modular import closure, flat_normals, intersect, never_move, residues, signed_ties

PRIMES = (2147483647, 2147483629, 2147483587)
_LIFT_BOUND = 1 << 30  # numerators and denominators; its square times 2 is far below the primes' product
_LARGEST_ENTRY = 1e4  # a basis with larger entries is badly conditioned as coordinates


@dataclass(frozen=True)
class Subspace:
    """The invariant subspace under the gates of the moment.

    rows: for every prime, or for the first alone where it is not exact, a spanning set, shape (r, N), of what the flow
    has been proven to stay in.
    basis (N, r') float64 with the identity in the rows `pivots`; constant (N,) bool: parameters that the
    gates hold still, which the basis leaves out.  exact: whether basis is V itself (else a superset).
    """

    rows: tuple[np.ndarray, ...]
    basis: np.ndarray
    pivots: np.ndarray
    constant: np.ndarray
    exact: bool

    @property
    def whole(self) -> bool:
        """Whether it is everything that the gates let move."""
        return len(self.rows[0]) + int(self.constant.sum()) == len(self.constant)

    def tangent(self, normals: np.ndarray) -> np.ndarray:
        """An orthonormal basis (N, r) of the directions in it along which no kink of these normals (s, N) is left."""
        # one nonzero number a column, each in a row of its own: unit vectors already
        whole = np.count_nonzero(self.basis) == self.basis.shape[1]
        orthonormal = self.basis if whole else np.linalg.qr(self.basis)[0]
        if len(normals):
            _, values, right = np.linalg.svd(normals @ orthonormal)
            orthonormal = orthonormal @ right[int(np.sum(values > 1e-9)) :].T
        return np.ascontiguousarray(orthonormal)


class Invariants:
    """Finds the subspaces of one instance; x (n, d) exact."""

    def __init__(self, net: Wiring, x: Sequence[Sequence[Fraction]]) -> None:
        self.net = net
        self._points = x
        self._x: dict[int, np.ndarray] = {}

    def x(self, prime: int) -> np.ndarray:
        """The points (n, d) modulo a prime."""
        if prime not in self._x:
            flat = [v for row in self._points for v in row]
            self._x[prime] = residues(flat, prime).reshape(len(self._points), -1)
        return self._x[prime]

    def start(
        self, theta0: Sequence[Fraction], gates: np.ndarray, slides: Sequence[Pair], curved: Sequence[Pair]
    ) -> Subspace:
        """V at the start; slides and curved as in `after`."""
        return self._close(
            PRIMES, lambda prime, _: residues(theta0, prime)[None, :], len(theta0), gates, slides, curved
        )

    def after(
        self,
        old: Subspace,
        theta: np.ndarray,
        gates: np.ndarray,
        kinks: Sequence[Pair],
        slides: Sequence[Pair],
        curved: Sequence[Pair],
    ) -> Subspace:
        """V after a change of gates at a point on the kinks; slides and curved are those it now slides on.

        kinks, slides: flat ones; the normals of slides must be independent.  curved: of deeper layers.
        """
        size = theta.shape[0]
        frozen = [k for k in range(size) if old.constant[k] and theta[k] != 0.0]
        extra = np.zeros((len(frozen), size), dtype=np.int64)
        extra[np.arange(len(frozen)), frozen] = 1

        def spanning(prime: int, k: int) -> np.ndarray:
            rows = np.vstack([old.rows[k], extra]) if frozen else old.rows[k]
            return intersect(rows, self._normals(kinks, size, prime), prime) if kinks else rows

        # what had no small rational basis will not have one: one prime is enough for its zeros and ties
        primes = PRIMES if old.exact else PRIMES[:1]
        return self._close(primes, spanning, size, gates, slides, curved)

    def as_free(self, old: Subspace, gates: np.ndarray) -> bool:
        """Whether the same parameters are constant under other gates, without slides."""
        constant = never_move(self.net, self.x(PRIMES[0]), gates, _array(()), len(old.constant), PRIMES[0])
        return np.array_equal(constant, old.constant)

    def _normals(self, pairs: Sequence[Pair], size: int, prime: int) -> np.ndarray:
        """The normals (s, N) of flat kinks modulo a prime."""
        return flat_normals(self.net, self.x(prime), _array(pairs), size, prime)

    def _close(
        self,
        primes: Sequence[int],
        spanning: Callable[[int, int], np.ndarray],
        size: int,
        gates: np.ndarray,
        slides: Sequence[Pair],
        curved: Sequence[Pair],
    ) -> Subspace:
        pairs = _array(curved)
        constant = never_move(self.net, self.x(PRIMES[0]), gates, pairs, size, PRIMES[0])
        if slides:
            # the projection on a sliding kink moves every weight that the kink depends on
            constant &= ~self._normals(slides, size, PRIMES[0]).any(axis=0)
        closed: list[np.ndarray] = []
        pivots = np.zeros(0, dtype=np.int64)
        agreed = True
        for k, prime in enumerate(primes):
            normals = self._normals(slides, size, prime)
            basis, found = closure(self.net, spanning(prime, k), self.x(prime), gates, normals, pairs, constant, prime)
            order = np.argsort(found)
            closed.append(basis[order])
            agreed = agreed and (k == 0 or np.array_equal(found[order], pivots))
            if k == 0:
                pivots = found[order]
                if len(found) == size - constant.sum():
                    # everything: the other primes need not be asked
                    whole = np.ascontiguousarray(np.eye(size)[:, pivots])
                    full = np.eye(size, dtype=np.int64)[pivots]
                    return Subspace((full,) * len(PRIMES), whole, pivots, constant, True)
        lifted = _lift(closed) if agreed and len(closed) == len(PRIMES) else None
        if lifted is not None:
            return Subspace(tuple(closed), lifted, pivots, constant, True)
        ties, leaders = signed_ties(closed[0], PRIMES[0])
        return Subspace(tuple(closed), ties, leaders, constant, False)


def _array(pairs: Sequence[Pair]) -> np.ndarray:
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _lift(closed: list[np.ndarray]) -> np.ndarray | None:
    """The reduced basis as floats (N, r), from its residues; None if it is no small rational matrix."""
    first = closed[0]
    out = np.zeros((first.shape[1], first.shape[0]))
    modulus = PRIMES[0] * PRIMES[1] * PRIMES[2]
    for r, k in zip(*np.nonzero(first), strict=True):
        values = [int(c[r, k]) for c in closed]
        if values == [1, 1, 1]:
            out[k, r] = 1.0
        elif all(v == prime - 1 for v, prime in zip(values, PRIMES, strict=True)):
            out[k, r] = -1.0
        else:
            lifted = _rational(_chinese(values), modulus)
            if lifted is None or abs(lifted) > _LARGEST_ENTRY:
                return None
            out[k, r] = float(lifted)
    return out


def _chinese(values: list[int]) -> int:
    a, modulus = values[0], PRIMES[0]
    for v, prime in zip(values[1:], PRIMES[1:], strict=True):
        a += modulus * ((v - a) * pow(modulus, -1, prime) % prime)
        modulus *= prime
    return a


def _rational(a: int, modulus: int) -> Fraction | None:
    """The fraction p/q = a modulo the modulus with |p|, q <= _LIFT_BOUND, by the Euclidean algorithm."""
    r0, r1, t0, t1 = modulus, a, 0, 1
    while r1 > _LIFT_BOUND:
        quotient = r0 // r1
        r0, r1 = r1, r0 - quotient * r1
        t0, t1 = t1, t0 - quotient * t1
    return Fraction(r1, t1) if 0 < abs(t1) <= _LIFT_BOUND else None
