"""The faces around a point in which kinks of several layers meet, and the field on each (departure.depart_by_face)."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import product

import numpy as np

from harness.flow import undecided
from harness.flow.compiled.field import look
from harness.flow.kinks.answers import open_unfed_units
from harness.flow.kinks.departure import ROUGH, Face, Line, SampleUnit, leads_away
from harness.flow.kinks.gates import Gates
from harness.flow.kinks.lines import as_one, factors, singly
from harness.flow.kinks.normals import PARALLEL
from harness.flow.undecided import Undecided

Sides = tuple[int, ...]


class Apart(Exception):
    """Kinks that were one line are not parallel on every face."""


class Faces:
    """Those of some lines, and of the torn units above them, each of which is a line of its own.

    A unit is torn that gets nothing where all the lines are off, and is pushed both ways by what switches on: where
    it gets something its kink is a kink like the others, elsewhere it is off.
    """

    def __init__(
        self, gates: Gates, theta: np.ndarray, weights: np.ndarray, lines: list[Line], torn: list[SampleUnit]
    ) -> None:
        """weights (n,): of the gradients.  They are those of all faces, at the kink; a little beside it, where theta
        is, the gates would make a difference.
        """
        self.gates, self.theta, self.weights, self.torn = gates, theta, weights, set(torn)
        self.lines = lines + [Line(False, [(*pair, Fraction(1))]) for pair in torn]
        self.pairs = {(i, u) for line in self.lines for i, u, _ in line.members}

    def __iter__(self) -> Iterator[Sides]:
        """The sides of all: first those on which nothing slides, of which two that are entered say enough."""
        yield from self._beyond((), (-1, 1))
        yield from (sides for sides in self._beyond((), (-1, 1, 0)) if 0 in sides)

    def _beyond(self, sides: Sides, each: Sides) -> Iterator[Sides]:
        """Those that begin with these; a torn unit has one side where nothing is on that it hears."""
        if len(sides) == len(self.lines):
            yield sides
            return
        own, pair = each, self.lines[len(sides)].members[0][:2]
        if pair in self.torn and pair in self._enter(sides + (-1,) * (len(self.lines) - len(sides)))[0]:
            own = (-1,)
        for side in own:
            yield from self._beyond((*sides, side), each)

    def enter(self, sides: Sides) -> set[SampleUnit]:
        """Set the gates that hold on a face, where a line that slides is off; the torn units that get nothing there.

        Raises Undecided where units above are torn by what slides.
        """
        idle, pulled = self._enter(sides)
        if pulled:
            raise Undecided(undecided.BOTH_WAYS)
        return idle

    def _enter(self, sides: Sides) -> tuple[set[SampleUnit], bool]:
        """The same, and whether units above are torn by what slides."""
        gates, beside, on = self.gates, set[SampleUnit](), set[SampleUnit]()
        for pair in self.pairs:
            gates.put(pair, -1)
        for line, side in zip(self.lines, sides, strict=True):
            if side:
                on |= {(i, u) for i, u, t in line.members if (t > 0) == (side > 0)}
            else:
                beside |= {(i, u) for i, u, _ in line.members}
        # what slides gives next to nothing beside what is on
        if open_unfed_units(gates, sorted(on), self.theta, self.torn):
            raise Undecided(undecided.BOTH_WAYS)
        for pair in on:
            gates.put(pair, 1)
        idle = {pair for pair in self.torn if gates.unfed(pair)}
        return idle, bool(open_unfed_units(gates, sorted(beside - idle), self.theta))

    def at_rest(self, sides: Sides) -> Sides:
        """The same with the lines off that slide, if all are of deeper layers and nothing moves them there."""
        slides = [h for h, side in enumerate(sides) if not side]
        if not slides or any(self.lines[h].flat for h in slides):
            return sides
        off = tuple(side or -1 for side in sides)
        self.enter(off)
        now = look(self.gates.cell, self.theta)
        normals = np.array([self.gates.normal_of(self.lines[h], self.theta) for h in slides])
        speeds, terms = np.abs(normals @ (self.weights @ now.grad)), np.abs(normals) @ (self.weights @ np.abs(now.grad))
        return off if np.all(speeds <= ROUGH * terms) else sides

    def on(self, sides: Sides) -> Face | None:
        """The field where the lines have these sides; None where no coefficients keep the flow there.

        What a deeper kink adds depends on no coefficient of a kink below it, and its normal only along that one's, so
        that the coefficients are found from the deepest layer down.
        """
        gates, theta, weights, lines = self.gates, self.theta, self.weights, self.lines
        idle, pulled = self._enter(sides)
        off = np.array([line.members[0][:2] in idle for line in lines])
        matrix = self._normals()
        if 0 in sides and runs_along_others(matrix, np.array(sides) == 0, off):
            # on its closure only: the velocity is found where these slide, too
            return None
        if pulled:
            if self._may_slide(sides, off):
                raise Undecided(undecided.BOTH_WAYS)
            return None
        if any(len(as_one(gates, singly(line), theta)) > 1 for line in lines if not line.flat):
            raise Apart
        slides, most = [h for h, side in enumerate(sides) if not side], np.zeros(gates.size)
        layers = sorted({gates.layer(lines[h].members[0][1]) for h in slides}, reverse=True)
        for layer in (*layers, None):
            now = look(gates.cell, theta)
            field = weights @ now.grad
            if any(side >= 0 and not normal.any() for side, normal in zip(sides, matrix, strict=True)):
                return None
            if layer is None:
                # shares are what is left of sums
                terms = weights @ np.abs(now.grad) + most
                room = ROUGH * float((np.abs(matrix) @ terms).max())
                self._require_told(sides, matrix @ field, ROUGH * (np.abs(matrix) @ terms), off)
                return Face(matrix, field, terms, bool(np.all(np.abs(matrix[slides] @ field) <= room)), off)
            together = as_one(gates, [lines[h] for h in slides], theta)
            sliding = np.array([gates.normal_of(line, theta) for line in together])
            gram = sliding @ sliding.T
            if np.linalg.matrix_rank(gram, tol=PARALLEL * np.diag(gram).max()) < len(together):
                if self._may_slide(sides, off):
                    raise Undecided(undecided.DEPENDENT)
                return None
            omega = -np.linalg.solve(gram, sliding @ field)
            plus, minus = factors(together, weights[:, None] * now.delta * gates.cell.jump)
            most = np.maximum(most, (np.abs(plus) + np.abs(minus)) @ np.abs(sliding))
            for h, factor in enumerate(omega.tolist()):
                if gates.layer(together[h].members[0][1]) != layer:
                    continue
                jump = float(plus[h] + minus[h])
                share = (factor + float(minus[h])) / jump if jump else 0.5
                room = ROUGH * float(np.abs(sliding[h]) @ (weights @ np.abs(now.grad)) / gram.diagonal().max())
                if not -room <= share * abs(jump) <= abs(jump) + room or (not jump and abs(factor) > room):
                    return None
                for i, u, t in together[h].members:
                    own = share if t > 0 else 1.0 - share
                    gates.gates[i, u] = gates.below + gates.cell.jump * own
            # those of the layers above turn with what slides below
            matrix = self._normals()
        raise AssertionError("the last round returns")

    def _require_told(self, sides: Sides, speeds: np.ndarray, small: np.ndarray, off: np.ndarray) -> None:
        """Raises Undecided where a face is entered on which the pushes of what wakes cancel at a torn unit."""
        given = np.array(sides)
        if np.any((given * speeds < -small) & ~off):
            return
        for h, line in enumerate(self.lines):
            sample, unit, _ = line.members[0]
            if (sample, unit) in self.torn and given[h] and not off[h] and abs(speeds[h]) <= small[h]:
                below = [any(i == sample and u < unit for i, u, _ in other.members) for other in self.lines]
                if np.any((given != 0) & (np.abs(speeds) > small) & below):
                    raise Undecided(undecided.BOTH_WAYS)

    def _normals(self) -> np.ndarray:
        """Those of the lines with the gates of the moment, (L, N)."""
        return np.array([self.gates.normal_of(line, self.theta) for line in self.lines])

    def _may_slide(self, sides: Sides, off: np.ndarray) -> bool:
        """Whether the flow may go on along the lines that slide, and not as it does where they are off.

        Its velocity there points to the sides of the others, and is between those of the faces beside, which differ
        along the normals: what a deeper one has with kinks below it switched on is along theirs.  There is none where
        one direction among these leads away from the lines on every face.
        """
        gates, theta, weights, slides = self.gates, self.theta, self.weights, np.array(sides) == 0
        self._enter(sides)
        normals = self._normals()
        if not np.linalg.norm(normals[slides], axis=1).all():
            return True
        across = _span(normals[slides])
        now = look(gates.cell, theta)
        field, terms = weights @ now.grad, weights @ np.abs(now.grad)
        velocity = field - across.T @ (across @ field)
        if np.any((np.array(sides) * (normals @ velocity) < -ROUGH * (np.abs(normals) @ terms)) & ~off):
            return False
        found, free = list[np.ndarray](), [h for h, side in enumerate(sides) if not side or off[h]]
        for corner in product((-1, 1), repeat=len(free)):
            beside = dict(zip(free, corner, strict=True))
            idle, _ = self._enter(tuple(beside.get(h, side) for h, side in enumerate(sides)))
            if all(beside[h] < 0 for h in free if self.lines[h].members[0][:2] in idle):
                found.append(across @ (weights @ look(gates.cell, theta).grad))
        speeds = np.array(found)
        room = ROUGH * float(np.abs(speeds).max())
        # the first is that where all are off
        return bool((np.abs(speeds[0]) > room).any()) and not leads_away(speeds, room)


def runs_along_others(normals: np.ndarray, slides: np.ndarray, off: np.ndarray) -> bool:
    """Whether what runs along the lines that slide runs along another one of those (L, N) that are not off."""
    across, lengths = _span(normals[slides]), np.linalg.norm(normals, axis=1)
    beyond = np.linalg.norm(normals - normals @ across.T @ across, axis=1)
    return bool(np.any((beyond <= PARALLEL * lengths) & (lengths > 0.0) & ~slides & ~off))


def _span(normals: np.ndarray) -> np.ndarray:
    """An orthonormal basis (r, N) of the span of normals (s, N)."""
    lengths = np.linalg.norm(normals, axis=1)
    _, values, right = np.linalg.svd(normals / np.where(lengths > 0.0, lengths, 1.0)[:, None])
    return right[: len(values)][values > PARALLEL * values[0]]
