"""The invariant subspace of the flow, found exactly.

With the gates fixed every q_i is a multilinear form of the layers, and the flow from theta0 stays
in V: the smallest subspace that contains theta0 and, for every v in V, all gradients grad q_i(v)
(projected on the kinks that slide).  Zeros, ties and balance are such subspaces, and so is any
rational rotation of one.  The integrator's state is a coordinate vector of V, so that nothing
outside V can be excited by rounding.

Samples may be symmetric to each other: where exchanging them together with parameters leaves data and start as they
are, their weights p stay equal for ever, and V need only be closed under the gradients of the sums over a block of such
samples.  The blocks are the coarsest partition that is consistent: samples of equal q at the start, split where their q
differ on the closure.

V is found modulo primes of 31 bits, where arithmetic is cheap, and lifted to rationals.  That V is everything that the
gates let move needs no proof.  Anything smaller is proven in integers (proving.py) before it is believed, and
tried with other primes where the proof fails.  Where V has no small basis, and is as large as that of any start, there
is nothing to keep, and all that moves is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache, cached_property, lru_cache
from math import isqrt, lcm
from typing import TypeVar

import numpy as np
from scipy.linalg import qr

from harness.flow.compiled.kernel import Wiring
from harness.flow.invariants.modular import (
    Residues,
    closure,
    flat_normals,
    from_start,
    intersect,
    opened,
    outputs,
    residues,
    signed_ties,
    split,
    still,
)
from harness.flow.invariants.parts import Part, part_of
from harness.flow.invariants.proving import Prover, Setting, Vector, fixed_entries, integers, meets
from harness.flow.kinks.departure import SampleUnit
from harness.flow.undecided import Undecided
from harness.problem.instances import Instance

_MOST_PRIMES = 192  # of 31 bits: no basis with longer numbers is looked for
_SHORT = 2048  # numerators and denominators that one prime shows beyond chance
_WIDE = 60  # parameters, from which on it pays to look at units by themselves
_LONG = 1 << 40  # beyond it no ratio is shown by three primes; most floats in general position have more
_LARGEST_ENTRY = 1e4  # a basis with larger entries is badly conditioned as coordinates
_TRIES = 24  # sets of primes, where the subspace that one shows is refuted
_CROSSES = 1e-9  # of unit normals: a part of the subspace that by rounding alone is not zero is below it
_NO_PAIRS = np.zeros((0, 2), dtype=np.int64)

T = TypeVar("T")


@dataclass(frozen=True)
class Subspace:
    """The invariant subspace under the gates of the moment.

    pivots (r,), constant (N,) bool: parameters that the gates hold still, which a basis leaves out.
    exact: whether it is V itself (else a superset).
    blocks (n,): a number a sample; samples of one block have equal margins for as long as the gates stay.
    shown: its rows and basis; None where it is everything that is not constant.
    """

    pivots: np.ndarray
    constant: np.ndarray
    exact: bool
    blocks: np.ndarray
    shown: tuple[list[Vector], np.ndarray] | None = None

    @property
    def whole(self) -> bool:
        """Whether it is everything that the gates let move."""
        return len(self.pivots) + int(self.constant.sum()) == len(self.constant)

    @property
    def rows(self) -> list[Vector]:
        """A basis in integers of what the flow has been proven to stay in, reduced at some pivots."""
        return (self.shown or _axes(self.constant.tobytes()))[0]

    @property
    def basis(self) -> np.ndarray:
        """(N, r) float64 with the identity in the rows `pivots`."""
        return (self.shown or _axes(self.constant.tobytes()))[1]

    def at(self, parameters: np.ndarray) -> np.ndarray:
        """The rows of the basis of some parameters (k,), without columns of zeros where it is unit vectors."""
        return np.diag(~self.constant[parameters] * 1.0) if self.shown is None else self.basis[parameters]

    def led_by(self, order: np.ndarray) -> Subspace:
        """The same, with the first parameters of an order (N,) that can be its coordinates as those."""
        rows, pivots = _reduced_at(self.rows, order.tolist())
        return replace(self, pivots=np.array(pivots), shown=(self.rows, _floats(rows, pivots, len(order))))

    def tangent(self, normals: np.ndarray) -> np.ndarray:
        """An orthonormal basis (N, r) of the directions in it along which no kink of these normals (s, N) is left."""
        # one nonzero number a column, each in a row of its own: unit vectors already
        whole = self.shown is None or np.count_nonzero(self.basis) == self.basis.shape[1]
        orthonormal = self.basis if whole else np.linalg.qr(self.basis)[0]
        if len(normals):
            _, values, right = np.linalg.svd(normals @ orthonormal)
            orthonormal = orthonormal @ right[int(np.sum(values > _CROSSES)) :].T
        return np.ascontiguousarray(orthonormal)


@dataclass(frozen=True)
class _Candidate:
    """What one prime shows: a reduced basis (r, N), its pivots (r,), ascending, and the blocks (n,)."""

    basis: np.ndarray
    pivots: np.ndarray
    blocks: np.ndarray

    @classmethod
    def of(cls, basis: np.ndarray, pivots: np.ndarray, blocks: np.ndarray) -> _Candidate:
        """The same of a reduced basis in any order."""
        order = np.argsort(pivots)
        return cls(basis[order], pivots[order], blocks)


@dataclass(frozen=True)
class _Spanned:
    """A subspace that the flow is in: rows(prime) span it modulo a prime, exact() in integers.

    blocks(prime): the samples of equal margins.  anywhere(prime): rows and blocks of a start in general position; None
    where there is none to compare with.  from_start: whether it is a start where nothing slides.
    """

    rows: Callable[[int], np.ndarray]
    exact: Callable[[], list[Vector]]
    blocks: Callable[[int], np.ndarray]
    anywhere: Callable[[int], tuple[np.ndarray, np.ndarray]] | None
    from_start: bool = False


class Invariants:
    """Finds the subspaces of one instance; normal(sample, unit) is that of a flat kink."""

    def __init__(self, instance: Instance, net: Wiring, normal: Callable[[int, int], Sequence[Fraction]]) -> None:
        problem = instance.problem
        self.net = net
        self._problem = problem
        self._normal = normal
        self._points = [problem.x[sample] for sample, _ in problem.rows]
        self._group = problem.group if instance.loss == "logistic" else 1
        network = problem.network
        self._by_unit = network.depth == network.degree == 2 and not network.shared and network.size >= _WIDE
        # without kinks every gate is on, and those of relu are residues already
        self._whole_slopes = network.slope in (0, 1)
        # no float of a number that is not zero is
        self._seen = problem.inputs != 0.0
        self._last = (b"", b""), np.zeros(0, dtype=np.bool_)  # the gates and curved slides, and what stands still
        self._cells: dict[int, Residues] = {}
        self._supports: dict[SampleUnit, np.ndarray] = {}
        self._shorts: dict[SampleUnit, bool] = {}
        self._seed = hash(tuple(v.numerator for row in problem.x for v in row)) % 2147483647

    @cached_property
    def _prover(self) -> Prover:
        return Prover(self._problem, self.net, self._group)

    def cell(self, prime: int) -> Residues:
        """The problem modulo a prime.  Raises ZeroDivisionError where it divides one of its numbers."""
        if prime not in self._cells:
            flat = [v for row in self._points for v in row]
            x = residues(flat, prime).reshape(len(self._points), -1)
            value = np.zeros(len(self.net.par), dtype=np.int64)
            if not all(self._problem.network.trained):
                entries = [v for layer in fixed_entries(self._problem.network) for v in layer]
                value[self.net.par < 0] = residues(entries, prime)
            seeds = self._problem.seeds.astype(np.int64)
            self._cells[prime] = Residues(self.net, value, x, seeds, self._group, prime)
        return self._cells[prime]

    def _slopes(self, gates: np.ndarray, prime: int) -> np.ndarray:
        """The gates (n, units) modulo a prime.  Raises ZeroDivisionError."""
        if self._whole_slopes:
            return gates.astype(np.int64)
        return np.where(gates == 1.0, 1, residues([self._problem.network.slope], prime)[0])

    def start(
        self, theta0: Sequence[Fraction], gates: np.ndarray, slides: Sequence[SampleUnit], curved: Sequence[SampleUnit]
    ) -> Subspace:
        """V at the start; slides and curved as in `after`."""
        together = np.zeros(len(self._points), dtype=np.int64)

        known: dict[int, np.ndarray] = {}

        def rows(prime: int) -> np.ndarray:
            if prime not in known:
                known[prime] = residues(theta0, prime)[None, :]
            return known[prime]

        def blocks(prime: int) -> np.ndarray:
            q = outputs(self.cell(prime), rows(prime)[0], self._slopes(gates, prime))
            return split(together, q, self._group)

        def anywhere(prime: int) -> tuple[np.ndarray, np.ndarray]:
            return _anywhere(len(theta0), prime), together

        network = self._problem.network
        if self._by_unit and network.slope == 0 and network.outputs == 1 and not slides and _long(theta0):
            _, apart = next(self._candidates(blocks))
            found = self._started_by_unit(theta0, gates, apart) if _apart(apart) else None
            if found is not None:
                return found
        spanned = _Spanned(rows, lambda: [integers(theta0)], blocks, anywhere, not slides and not curved)
        return self._close(spanned, len(theta0), gates, slides, curved)

    def usual(self, size: int, gates: np.ndarray) -> int:
        """The dimension of V for a start in general position under these gates, with what they hold still."""
        constant = self._still(gates, _NO_PAIRS, size)
        candidates = self._candidates(lambda prime: self._from_start(_anywhere(size, prime)[0], gates, constant, prime))
        return len(next(candidates)[1].pivots) + int(constant.sum())

    def _from_start(self, row: np.ndarray, gates: np.ndarray, constant: np.ndarray, prime: int) -> _Candidate:
        """The closure of a start (N,) where nothing slides."""
        return _Candidate.of(*from_start(self.cell(prime), row, self._slopes(gates, prime), constant, self._seed))

    def after(
        self,
        old: Subspace,
        theta: np.ndarray,
        gates: np.ndarray,
        kinks: Sequence[SampleUnit],
        slides: Sequence[SampleUnit],
        curved: Sequence[SampleUnit],
    ) -> Subspace:
        """V after a change of gates at a point on the kinks; slides and curved are those it now slides on.

        kinks, slides: flat ones; the normals of slides must be independent.  curved: of deeper layers.
        """
        size = theta.shape[0]
        if old.whole and not curved:
            opened = self._opened(old, theta, gates, kinks, slides)
            if opened is not None:
                return opened
        frozen = [k for k in range(size) if old.constant[k] and theta[k] != 0.0]
        units = [[int(a == k) for a in range(size)] for k in frozen]

        @lru_cache(maxsize=1)
        def exact() -> list[Vector]:
            return meets(old.rows + units, [self._normal(*pair) for pair in kinks])

        def spanning(prime: int) -> np.ndarray:
            if old.whole:
                rows = np.eye(size, dtype=np.int64)[[k for k in range(size) if not old.constant[k] or k in frozen]]
                if not kinks:
                    return rows
                return intersect(rows, flat_normals(self.net, self.cell(prime).x, _array(kinks), size, prime), prime)
            return np.array([[v % prime for v in row] for row in exact()], dtype=np.int64).reshape(-1, size)

        anywhere = (lambda prime: (spanning(prime), old.blocks)) if old.whole else None
        return self._close(_Spanned(spanning, exact, lambda _: old.blocks, anywhere), size, gates, slides, curved)

    def _opened(
        self,
        old: Subspace,
        theta: np.ndarray,
        gates: np.ndarray,
        kinks: Sequence[SampleUnit],
        slides: Sequence[SampleUnit],
    ) -> Subspace | None:
        """All that the gates let move, where that is seen without a basis: V is all of it that lies on the slides.

        None where it is not seen, or where V has a short basis: that one is kept.
        """
        size = theta.shape[0]
        constant = self._without(gates, _NO_PAIRS, size, slides)
        if slides and all(self._short(pair) for pair in slides):
            return None
        # as they are spanned, and as they are to be
        if (old.constant & (theta == 0.0) & ~constant).any():
            return None
        pairs = dict.fromkeys(slides)
        for pair in (pair for pair in kinks if pair not in pairs):
            support = self._support(pair)
            still = constant[support]
            if not still.all():
                if still.any():
                    return None
                pairs[pair] = None
        if not set(slides) <= set(kinks):
            return None
        if self._by_unit and _apart(old.blocks):
            return self._opened_by_unit(old, theta, gates, kinks, slides, constant)

        def candidate(prime: int) -> tuple[bool, np.ndarray]:
            cell = self.cell(prime)
            lines, slopes = flat_normals(self.net, cell.x, _array(list(pairs)), size, prime), self._slopes(gates, prime)
            return opened(cell, slopes, lines, len(slides), old.blocks, constant, self._seed)

        for k in range(_TRIES):
            try:
                free, blocks = candidate(prime_below(k))
            except ZeroDivisionError:
                continue
            return _everything(constant, blocks) if free else None
        return None

    def _opened_by_unit(
        self,
        old: Subspace,
        theta: np.ndarray,
        gates: np.ndarray,
        kinks: Sequence[SampleUnit],
        slides: Sequence[SampleUnit],
        constant: np.ndarray,
    ) -> Subspace | None:
        """The same in a network of two layers: V is all of the units that are not at a kink, or that slide on all of
        theirs, and a part of each other, which is found of each by itself.
        """
        for unit in sorted({unit for _, unit in set(kinks) - set(slides)}):
            part = part_of(self.net, [unit])
            moving = np.flatnonzero((~old.constant | (theta != 0.0))[part.parameters])
            own = _array([(sample, 0) for sample, u in kinks if u == unit])
            on = _array([(sample, 0) for sample, u in slides if u == unit])

            def spanning(prime: int, part: Part = part, moving: np.ndarray = moving, own: np.ndarray = own):
                rows = np.eye(len(part.parameters), dtype=np.int64)[moving]
                return intersect(rows, part.normals(self.cell(prime), own), prime) if len(own) else rows

            if not self._fills(part, spanning, None, gates, on, old.blocks, constant):
                return None
        return _everything(constant, old.blocks)

    def _started_by_unit(self, theta0: Sequence[Fraction], gates: np.ndarray, blocks: np.ndarray) -> Subspace | None:
        """V at a start where all margins differ and nothing slides, in a relu network of two layers; None where it is
        not seen to be all that the gates let move, or as large as that of any start.

        The Hessians of the margins are symmetric and a block a unit, zero where the unit is off: what the flow feels of
        units that are on on different samples is of different kinds, which the closure takes apart.  What no sample
        moves is one vector of all units; with long numbers there is no small basis of that.
        """
        size = len(theta0)
        constant = self._still(gates, _NO_PAIRS, size)
        hidden = range(int(self.net.uptr[1]), int(self.net.uptr[2]))
        alike: dict[bytes, list[int]] = {}
        for unit in hidden:
            alike.setdefault(gates[:, unit].tobytes(), []).append(unit)
        for units in alike.values():
            part = part_of(self.net, units)

            def started(prime: int, part: Part = part) -> np.ndarray:
                return residues([theta0[k] for k in part.parameters], prime)[None, :]

            def anywhere(prime: int, part: Part = part) -> np.ndarray:
                return _anywhere(len(part.parameters), prime)

            if not self._fills(part, started, anywhere, gates, _NO_PAIRS, blocks, constant):
                return None
        return _everything(constant, blocks)

    def _fills(
        self,
        part: Part,
        spanning: Callable[[int], np.ndarray],
        anywhere: Callable[[int], np.ndarray] | None,
        gates: np.ndarray,
        slides: np.ndarray,
        blocks: np.ndarray,
        constant: np.ndarray,
    ) -> bool:
        """Whether all that moves of some units may be taken for their part of V: that is all of it on the slides, or
        has no small basis, no zeros and ties, and is as large as from anywhere else.

        spanning, anywhere: rows modulo a prime; slides (s, 2): pairs of the part.
        """
        held = constant[part.parameters]
        free = len(held) - int(held.sum())

        def closed(rows: np.ndarray, prime: int) -> _Candidate:
            cell, slopes = part.cell(self.cell(prime)), self._slopes(gates, prime)[:, part.units]
            lines = part.normals(cell, slides)
            found = closure(cell, rows, slopes, lines, _NO_PAIRS, blocks, held, self._seed)
            if found[0].shape[1] < len(held):
                raise ZeroDivisionError(f"a determinant is divisible by {prime}")
            return _Candidate.of(*found)

        candidates = self._candidates(lambda prime: closed(spanning(prime), prime))
        prime, first = next(candidates)
        if len(first.pivots) == free - len(slides):
            return True
        shown = _Growing(candidates, prime, first)
        if shown.lift(1) is not None or shown.lift(3) is not None or len(signed_ties(first.basis, prime)[1]) < free:
            return False
        return anywhere is None or len(closed(anywhere(prime), prime).pivots) == len(first.pivots)

    def as_free(self, old: Subspace, gates: np.ndarray) -> bool:
        """Whether the same parameters are constant under other gates, without slides."""
        return np.array_equal(self._still(gates, _NO_PAIRS, len(old.constant)), old.constant)

    def _still(self, gates: np.ndarray, curved: np.ndarray, size: int) -> np.ndarray:
        """Not to be written to: the last is kept."""
        asked = gates.tobytes(), curved.tobytes()
        if asked != self._last[0]:
            self._last = asked, still(self.net, self._seen, gates, curved, size, self._problem.network.outputs)
        return self._last[1]

    def _without(self, gates: np.ndarray, curved: np.ndarray, size: int, slides: Sequence[SampleUnit]) -> np.ndarray:
        """The coordinates that are constant (N,), with these flat slides."""
        constant = self._still(gates, curved, size).copy()
        for pair in slides:
            # the projection on a sliding kink moves every weight that the kink depends on
            constant[self._support(pair)] = False
        return constant

    def _support(self, pair: SampleUnit) -> np.ndarray:
        """The places where the normal of a flat kink is not zero."""
        if pair not in self._supports:
            if self._by_unit:
                sample, unit = pair
                entries = np.flatnonzero(self.net.row == unit)
                self._supports[pair] = self.net.par[entries][self._seen[sample, self.net.col[entries]]]
            else:
                self._supports[pair] = np.array([k for k, v in enumerate(self._normal(*pair)) if v], dtype=np.int64)
        return self._supports[pair]

    def _short(self, pair: SampleUnit) -> bool:
        """Whether the normal of a flat kink has short numbers alone."""
        if pair not in self._shorts:
            self._shorts[pair] = all(max(abs(v.numerator), v.denominator) <= _SHORT for v in self._normal(*pair))
        return self._shorts[pair]

    def _close(
        self,
        spanned: _Spanned,
        size: int,
        gates: np.ndarray,
        slides: Sequence[SampleUnit],
        curved: Sequence[SampleUnit],
    ) -> Subspace:
        """V from a subspace that the flow is in."""
        flat, bent = _array(slides), _array(curved)
        constant, normals = self._without(gates, bent, size, slides), [self._normal(*pair) for pair in slides]
        free = size - int(constant.sum())

        def closed(rows: np.ndarray, blocks: np.ndarray, prime: int) -> _Candidate:
            cell = self.cell(prime)
            lines = flat_normals(self.net, cell.x, flat, size, prime)
            slopes = self._slopes(gates, prime)
            found = closure(cell, rows, slopes, lines, bent, blocks, constant, self._seed)
            if found[0].shape[1] < size:
                raise ZeroDivisionError(f"a determinant is divisible by {prime}")
            return _Candidate.of(*found)

        def candidate(prime: int) -> _Candidate:
            if spanned.from_start:
                return self._from_start(spanned.rows(prime)[0], gates, constant, prime)
            return closed(spanned.rows(prime), spanned.blocks(prime), prime)

        candidates = self._candidates(candidate)
        for _ in range(_TRIES):
            prime, first = next(candidates)
            if len(first.pivots) == free:
                return _everything(constant, first.blocks)
            setting = Setting(gates == 1.0, normals, curved, constant, first.blocks)
            shown = _Growing(candidates, prime, first)
            for most in (1, 3, _MOST_PRIMES):
                if most > 3 and spanned.anywhere and len(signed_ties(first.basis, prime)[1]) == free:
                    generic = closed(*spanned.anywhere(prime), prime)
                    if len(generic.pivots) == len(first.pivots):
                        return _everything(constant, first.blocks)
                lifted = shown.lift(most)
                if lifted is not None and self._prover.holds(lifted, first.pivots.tolist(), spanned.exact(), setting):
                    return _as_coordinates(lifted, first, constant)
        raise Undecided("the invariant subspace could not be proven")

    def _candidates(self, candidate: Callable[[int], T]) -> Iterator[tuple[int, T]]:
        """What one prime after the other shows, without those that divide a number of the instance."""
        for k in range(100 * _MOST_PRIMES):
            try:
                found = candidate(prime_below(k))
            except ZeroDivisionError:
                continue
            yield prime_below(k), found
        raise Undecided("every prime that is tried divides a number of the instance")


class _Growing:
    """Residues of one reduced basis modulo more and more primes, until it can be lifted."""

    def __init__(self, candidates: Iterator[tuple[int, _Candidate]], prime: int, first: _Candidate) -> None:
        self._candidates = candidates
        self._first = first
        self._entries = [(int(r), int(k)) for r, k in np.argwhere(first.basis)]
        self._values = [int(first.basis[r, k]) for r, k in self._entries]
        self._modulus = prime
        self._count = 1

    def lift(self, most: int) -> list[Vector] | None:
        """The basis in integers, from at most so many primes; None if they show no rational one."""
        if most == 1:
            return self._rational(_SHORT)
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


def _everything(constant: np.ndarray, blocks: np.ndarray) -> Subspace:
    """All that the gates let move."""
    return Subspace(np.flatnonzero(~constant), constant, True, blocks)


@lru_cache(maxsize=256)
def _axes(constant: bytes) -> tuple[list[Vector], np.ndarray]:
    """Rows and basis (N, r) of what is not constant.  Not to be written to."""
    unit = np.eye(len(constant))[:, np.frombuffer(constant, dtype=np.bool_) == 0]
    return unit.T.astype(int).tolist(), np.ascontiguousarray(unit)


def _as_coordinates(rows: list[Vector], first: _Candidate, constant: np.ndarray) -> Subspace:
    """The subspace of these rows, with other pivots where its reduced basis is badly conditioned."""
    basis = _floats(rows, first.pivots.tolist(), len(constant))
    found = Subspace(first.pivots, constant, True, first.blocks, (rows, basis))
    if len(rows) and np.abs(basis).max() > _LARGEST_ENTRY:
        # the largest volume makes all entries small
        return found.led_by(qr(basis.T, mode="economic", pivoting=True)[-1])
    return found


def _floats(rows: list[Vector], pivots: list[int], size: int) -> np.ndarray:
    """The reduced basis (N, r) as floats, exact where its numbers are."""
    out = np.zeros((size, len(rows)))
    for r, (row, k) in enumerate(zip(rows, pivots, strict=True)):
        out[:, r] = [a / row[k] if a else 0.0 for a in row]
    return out


def _reduced_at(rows: list[Vector], order: list[int]) -> tuple[list[Vector], list[int]]:
    """Rows of the same span that are reduced at the first columns of an order that can be pivots; these, ascending."""
    rows = [list(row) for row in rows]
    pivots: list[int] = []
    for k in order:
        t = len(pivots)
        if t == len(rows):
            break
        chosen = max(range(t, len(rows)), key=lambda r: abs(rows[r][k]))
        if not rows[chosen][k]:
            continue
        rows[t], rows[chosen] = rows[chosen], rows[t]
        lead = rows[t][k]
        for r, row in enumerate(rows):
            if r != t and row[k]:
                factor = row[k]
                rows[r] = integers([Fraction(lead * a - factor * b) for a, b in zip(row, rows[t], strict=True)])
        pivots.append(k)
    ascending = sorted(zip(pivots, rows, strict=True), key=lambda pair: pair[0])
    return [row for _, row in ascending], [k for k, _ in ascending]


def _long(numbers: Sequence[Fraction]) -> bool:
    """Whether most of the numbers are such that no ratio of them is shown by three primes."""
    return sum(max(abs(v.numerator), v.denominator) > _LONG for v in numbers) > len(numbers) // 2


@lru_cache(maxsize=256)
def _anywhere(size: int, prime: int) -> np.ndarray:
    """A start in general position, as a row; the closure splits its blocks.  Not to be written to."""
    return np.random.default_rng(size).integers(1, prime, (1, size))


def _apart(blocks: np.ndarray) -> bool:
    """Whether every sample is a block of its own."""
    return len(set(blocks.tolist())) == len(blocks)


def _array(pairs: Sequence[SampleUnit]) -> np.ndarray:
    return _NO_PAIRS if not pairs else np.array(pairs, dtype=np.int64).reshape(-1, 2)


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
