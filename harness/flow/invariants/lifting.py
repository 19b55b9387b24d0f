"""From residues modulo primes to a basis in integers.

Every prime of 31 bits shows one reduced basis.  Modulo their product an entry p/q with short p and q is found by the
Euclidean algorithm; that it is so is shown by proving.py, not here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from math import isqrt, lcm

import numpy as np

from harness.flow.invariants.proving import Vector

MOST_PRIMES = 192  # of 31 bits: no basis with longer numbers is looked for
SHORT = 2048  # numerators and denominators that one prime shows beyond chance


@dataclass(frozen=True)
class Candidate:
    """What one prime shows: a reduced basis (r, N), its pivots (r,), ascending, and the blocks (n,)."""

    basis: np.ndarray
    pivots: np.ndarray
    blocks: np.ndarray

    @classmethod
    def of(cls, basis: np.ndarray, pivots: np.ndarray, blocks: np.ndarray) -> Candidate:
        """The same of a reduced basis in any order."""
        order = np.argsort(pivots)
        return cls(basis[order], pivots[order], blocks)


class Growing:
    """Residues of one reduced basis modulo more and more primes, until it can be lifted."""

    def __init__(self, candidates: Iterator[tuple[int, Candidate]], prime: int, first: Candidate) -> None:
        self._candidates = candidates
        self._first = first
        self._entries = [(int(r), int(k)) for r, k in np.argwhere(first.basis)]
        self._values = [int(first.basis[r, k]) for r, k in self._entries]
        self._modulus = prime
        self._count = 1

    def lift(self, most: int) -> list[Vector] | None:
        """The basis in integers, from at most so many primes; None if they show no rational one."""
        if most == 1:
            return self._rational(SHORT)
        while self._count < most:
            for _ in range(min(max(2, self._count // 2), most - self._count)):
                prime, other = next(self._candidates)
                if not np.array_equal(other.pivots, self._first.pivots) or np.any(
                    (other.basis != 0) != (self._first.basis != 0)
                ):
                    return None
                inverse = pow(self._modulus, -1, prime)
                for t, (r, k) in enumerate(self._entries):
                    value = self._values[t]
                    self._values[t] = value + self._modulus * ((int(other.basis[r, k]) - value) * inverse % prime)
                self._modulus *= prime
                self._count += 1
            # a word of 31 bits is left over to tell a fraction from chance
            rows = self._rational(isqrt(self._modulus >> 31) // 2)
            if rows is not None:
                return rows
        return None

    def _rational(self, bound: int) -> list[Vector] | None:
        rows: list[dict[int, tuple[int, int]]] = [{} for _ in self._first.pivots]
        for value, (r, k) in zip(self._values, self._entries, strict=True):
            found = (1, 1) if value == 1 else _fraction(value, self._modulus, bound)
            if found is None:
                return None
            rows[r][k] = found
        out: list[Vector] = []
        for row in rows:
            common = lcm(*(q for _, q in row.values()))
            out.append([0] * self._first.basis.shape[1])
            for k, (p, q) in row.items():
                out[-1][k] = p * (common // q)
        return out


@cache
def prime_below(k: int) -> int:
    """The k-th prime below 2^31, from 0 downwards."""
    candidate = 2147483647 if k == 0 else prime_below(k - 1) - 2
    while not _is_prime(candidate):
        candidate -= 2
    return candidate


def _is_prime(n: int) -> bool:
    """Miller and Rabin's test, which these bases decide for odd n from 10 to 3.2e9."""
    odd, twos = n - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for base in (2, 3, 5, 7):
        power = pow(base, odd, n)
        if power not in (1, n - 1) and all((power := power * power % n) != n - 1 for _ in range(twos - 1)):
            return False
    return True


def _fraction(a: int, modulus: int, bound: int) -> tuple[int, int] | None:
    """The p and q > 0 with p/q = a modulo the modulus and |p|, q <= bound, by the Euclidean algorithm."""
    r0, r1, t0, t1 = modulus, a, 0, 1
    while r1 > bound:
        quotient = r0 // r1
        r0, r1 = r1, r0 - quotient * r1
        t0, t1 = t1, t0 - quotient * t1
    if not 0 < abs(t1) <= bound:
        return None
    return (r1, t1) if t1 > 0 else (-r1, -t1)
