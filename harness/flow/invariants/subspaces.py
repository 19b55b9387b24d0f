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
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import TypeVar

import numpy as np

from harness.flow.compiled.kernel import Wiring
from harness.flow.invariants.coordinates import Subspace, as_coordinates, everything
from harness.flow.invariants.lifting import MOST_PRIMES, SHORT, Candidate, Growing, prime_below
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

_WIDE = 60  # parameters, from which on it pays to look at units by themselves
_LONG = 1 << 40  # beyond it no ratio is shown by three primes; most floats in general position have more
_TRIES = 24  # sets of primes, where the subspace that one shows is refuted
_NO_PAIRS = np.zeros((0, 2), dtype=np.int64)

T = TypeVar("T")


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

    def _from_start(self, row: np.ndarray, gates: np.ndarray, constant: np.ndarray, prime: int) -> Candidate:
        """The closure of a start (N,) where nothing slides."""
        return Candidate.of(*from_start(self.cell(prime), row, self._slopes(gates, prime), constant, self._seed))

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
            return everything(constant, blocks) if free else None
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
        return everything(constant, old.blocks)

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
        return everything(constant, blocks)

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

        def closed(rows: np.ndarray, prime: int) -> Candidate:
            cell, slopes = part.cell(self.cell(prime)), self._slopes(gates, prime)[:, part.units]
            lines = part.normals(cell, slides)
            found = closure(cell, rows, slopes, lines, _NO_PAIRS, blocks, held, self._seed)
            if found[0].shape[1] < len(held):
                raise ZeroDivisionError(f"a determinant is divisible by {prime}")
            return Candidate.of(*found)

        candidates = self._candidates(lambda prime: closed(spanning(prime), prime))
        prime, first = next(candidates)
        if len(first.pivots) == free - len(slides):
            return True
        shown = Growing(candidates, prime, first)
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
            self._shorts[pair] = all(max(abs(v.numerator), v.denominator) <= SHORT for v in self._normal(*pair))
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

        def closed(rows: np.ndarray, blocks: np.ndarray, prime: int) -> Candidate:
            cell = self.cell(prime)
            lines = flat_normals(self.net, cell.x, flat, size, prime)
            slopes = self._slopes(gates, prime)
            found = closure(cell, rows, slopes, lines, bent, blocks, constant, self._seed)
            if found[0].shape[1] < size:
                raise ZeroDivisionError(f"a determinant is divisible by {prime}")
            return Candidate.of(*found)

        def candidate(prime: int) -> Candidate:
            if spanned.from_start:
                return self._from_start(spanned.rows(prime)[0], gates, constant, prime)
            return closed(spanned.rows(prime), spanned.blocks(prime), prime)

        candidates = self._candidates(candidate)
        for _ in range(_TRIES):
            prime, first = next(candidates)
            if len(first.pivots) == free:
                return everything(constant, first.blocks)
            setting = Setting(gates == 1.0, normals, curved, constant, first.blocks)
            shown = Growing(candidates, prime, first)
            for most in (1, 3, MOST_PRIMES):
                if most > 3 and spanned.anywhere and len(signed_ties(first.basis, prime)[1]) == free:
                    generic = closed(*spanned.anywhere(prime), prime)
                    if len(generic.pivots) == len(first.pivots):
                        return everything(constant, first.blocks)
                lifted = shown.lift(most)
                if lifted is not None and self._prover.holds(lifted, first.pivots.tolist(), spanned.exact(), setting):
                    return as_coordinates(lifted, first, constant)
        raise Undecided("the invariant subspace could not be proven")

    def _candidates(self, candidate: Callable[[int], T]) -> Iterator[tuple[int, T]]:
        """What one prime after the other shows, without those that divide a number of the instance."""
        for k in range(100 * MOST_PRIMES):
            try:
                found = candidate(prime_below(k))
            except ZeroDivisionError:
                continue
            yield prime_below(k), found
        raise Undecided("every prime that is tried divides a number of the instance")


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
