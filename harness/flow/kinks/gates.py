"""The gates of a network along the flow: on, off or sliding (how they change: resolve.py).

Every (sample, hidden unit) pair has a gate, a sample being a margin of the problem.  On is the positive side.  The
kinks of the first hidden layer are flat: a linear functional of theta, known exactly.  Those of deeper layers are
curved.  A pair above the first layer all of whose inputs are zero since they are off (relu) has a pre-activation that
is zero without being a kink; it is given a gate when an input switches on.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property, lru_cache
from math import lcm, ulp

import numpy as np

from harness.flow.compiled.field import Seen, Slides, cell_of, look, no_slides, slides_of
from harness.flow.compiled.kernel import Wiring, unit_gradient
from harness.flow.invariants.coordinates import Subspace
from harness.flow.kinks.departure import Line, SampleUnit
from harness.flow.kinks.normals import PARALLEL, Normals
from harness.problem.instances import Instance
from harness.problem.networks import preactivations
from harness.problem.numbers import in_integers, nearest

NO_RATE = 1e-12  # of the terms that a rate is summed from: some dozens of them leave less by rounding
# What an error grows by beyond its first order, in a bound of it: terms of 2^-53 squared, far below this.
SECOND_ORDER = 1e-9


class Gates:
    """The cell that the flow is in, of which this is the owner, and the kinks on which it slides.

    cell: for the kernel; its gates are changed here and nowhere else.
    slides: flat ones.  curved: of deeper layers, whose scales are those at the point where they began.
    spare: flat ones whose normals depend on those of slides, as where a neuron's weights are zero: the flow stays on
    them as long as it does on these, with coefficients that stand.
    pinned: flat ones of neurons that stay at w = 0 whatever their gates are (pinned.py), which are 0 meanwhile.
    """

    def __init__(self, instance: Instance, net: Wiring) -> None:
        self.instance = instance
        self.net = net
        network = instance.network
        self.hidden = range(int(net.uptr[1]), int(net.uptr[-2]))
        self.first = range(int(net.uptr[1]), int(net.uptr[2]) if network.depth > 1 else int(net.uptr[1]))
        self.size = network.size
        self.rows = instance.problem.rows
        self.below = float(network.slope)
        self.cell = cell_of(instance, net)
        self.normals = Normals(instance, net, self.first, self.cell.x)
        self.slides: list[Line] = []
        self.curved: list[Line] = []
        self.spare: list[Line] = []
        self.pinned: list[Line] = []
        self.kinked = network.kinked
        # whether the weights of a unit answer to nothing but its own and the margins
        self.by_unit = network.depth == network.degree == 2 and not network.shared and network.outputs == 1
        self._begins: list[int] = net.uptr.tolist()  # where layers begin
        self.conserved = np.full(int(net.uptr[-1]), np.nan)
        self._conserves = self.kinked and network.depth == network.degree == 2 and not network.shared
        if not self.kinked:
            return
        if self._conserves:
            self.conserved[list(self.hidden)] = _balances(instance)
        own = net.par[: int(net.ptr[1])]
        # the parameters of the first layer, (units, d), -1 where there is none; None where some are shared
        alone = len(set(own.tolist())) == len(own) and own.min(initial=0) >= 0
        self._alone = np.array(network.patterns[0]) if alone else None
        # the largest entry of the normals of the first layer, (n, units of it)
        if self._alone is None:
            normals = [np.abs(self.normals.float_normals(u)) for u in self.first]
            self.lengths = np.column_stack([of.max(axis=1, initial=0.0) for of in normals])
        else:
            self.lengths = (np.abs(self.cell.x)[:, None, :] * (self._alone >= 0)).max(axis=2, initial=0.0)

    @cached_property
    def incoming(self) -> dict[int, np.ndarray]:
        """The entries into every hidden unit, but for zeros that are fixed."""
        heard = (self.net.par >= 0) | (self.net.value != 0.0)
        return {u: np.flatnonzero((self.net.row == u) & heard) for u in self.hidden}

    @cached_property
    def inputs(self) -> dict[int, np.ndarray]:
        """What they come from."""
        return {u: self.net.col[entries] for u, entries in self.incoming.items()}

    @cached_property
    def outgoing(self) -> dict[int, np.ndarray]:
        return {u: self.net.par[(self.net.col == u) & (self.net.par >= 0)] for u in self.hidden}

    @property
    def gates(self) -> np.ndarray:
        """Those of the cell, (n, units): slopes."""
        return self.cell.gates

    @property
    def beside(self) -> np.ndarray:
        """The same with all that slides off, (n, units)."""
        return np.where(self.gates == 1.0, 1.0, self.below) if self.spare or self.pinned else self.gates

    def sides(self, units: slice = slice(None)) -> np.ndarray:
        """1 where a gate is on, -1 where it is off, (n, units)."""
        return np.where(self.gates[:, units] == 1.0, 1, -1)

    def on(self, pair: SampleUnit) -> bool:
        return bool(self.gates[pair] == 1.0)

    def layer(self, unit: int) -> int:
        return bisect_right(self._begins, unit) - 1

    def curved_normal(self, pair: SampleUnit, theta: np.ndarray) -> np.ndarray:
        """The gradient (N,) of the pre-activation of a deeper unit at theta."""
        out = np.empty(self.size)
        sample, unit = pair
        unit_gradient(self.net, theta, self.cell.x[sample], self.gates[sample], unit, out)
        return out

    def unfed(self, pair: SampleUnit) -> bool:
        """Whether the pair is above the first layer and gets nothing, since all of its inputs are off."""
        sample, unit = pair
        return not self.below and unit not in self.first and not self.gates[sample, self.inputs[unit]].any()

    def start(self) -> list[SampleUnit]:
        """Set the gates from the exact pre-activations at theta0; returns the pairs that are on a kink."""
        zero: list[SampleUnit] = []
        unsure = self._start_from_floats()
        if not unsure:
            return zero
        points, theta0 = in_integers(self.instance.x), in_integers(self.instance.theta0)
        for i in unsure:
            layers = preactivations(self.instance.network, theta0, points[self.rows[i][0]])[:-1]
            for unit, value in zip(self.hidden, (v for layer in layers for v in layer), strict=True):
                self.put((i, unit), 1 if value > 0 else -1)
                if value == 0 and not self.unfed((i, unit)):
                    zero.append((i, unit))
        return zero

    def _start_from_floats(self) -> list[int]:
        """Set the gates of the samples whose pre-activations floats tell from zero; returns the other samples."""
        h = self.cell.x
        error = 2.0**-53 * np.abs(h)
        sure = np.ones(len(self.rows), dtype=bool)
        start = self.first.start
        for pattern, u in zip(self.instance.network.patterns[:-1], self.instance.theta0_float, strict=False):
            matrix = np.append(u, 0.0)[np.array(pattern)].T
            size = np.abs(matrix)
            # what is rounded: the weights, every product and the sums of at most len(matrix) terms
            error = error @ size * (1.0 + SECOND_ORDER) + np.abs(h) @ size * ((len(matrix) + 3) * 2.0**-52)
            h = h @ matrix
            sure &= (np.abs(h) > error).all(axis=1)
            self.gates[:, start : start + h.shape[1]] = np.where(h > 0.0, 1.0, self.below)
            if self.below:
                # the slope is rounded, and so is the product
                error = np.maximum(error, abs(self.below) * (error + 2.0**-51 * np.abs(h)))
            h = np.maximum(h, 0.0) if not self.below else np.where(h > 0.0, h, self.below * h)
            start += h.shape[1]
        return np.flatnonzero(~sure).tolist()

    def growth(self, rho: float) -> float:
        """By what the field's clock multiplies the sum of the gradients."""
        return rho ** (2 - self.instance.network.degree) if rho else 0.0

    def attracts(self, line: Line, now: Seen) -> bool:
        """Whether the two sides of a line push towards it, or would, if its samples counted."""
        answers = np.array([(now.p[i] * now.delta[i, u], now.delta[i, u]) for i, u, _ in line.members])
        jump, without = self.cell.jump * (np.abs([nearest(t) for _, _, t in line.members]) @ answers)
        return bool(jump < 0.0 or (jump == 0.0 and without < 0.0))

    def spare_attract(self, theta: np.ndarray) -> bool:
        """Whether all spare lines still do.  That may end while none of the slides does."""
        now = look(self.cell, theta)
        return all(self.attracts(line, now) for line in self.spare)

    def spare_by_themselves(self) -> bool:
        """Whether spare lines may cease to attract when none of the slides does.

        Not those of a unit that shares no weights, at depth 2, with one output, on points of one label: they have one
        weight out of it in common with the slides.
        """
        labels = [{self.instance.y[self.rows[i][0]] for i, _, _ in line.members} for line in self.spare]
        return bool(self.spare) and not (self.by_unit and all(len(own) == 1 for own in labels))

    def normal_of(self, line: Line, theta: np.ndarray) -> np.ndarray:
        """That of a line, to which the scales of its members refer."""
        return self.normals.direction(line) if line.flat else self.curved_normal(line.members[0][:2], theta)

    def set_side(self, line: Line, side: int) -> None:
        """Put the pairs of a line on its positive (1) or negative (-1) side."""
        for i, u, scale in line.members:
            self.put((i, u), 1 if (scale > 0) == (side > 0) else -1)

    def put(self, pair: SampleUnit, side: int) -> None:
        """Put one pair on its positive (1) or negative (-1) side."""
        self.gates[pair] = 1.0 if side > 0 else self.below

    def end_slide(self, index: int, side: int) -> Line:
        """Leave a slide, counted as in compiled_slides, to one side; it is returned."""
        flat = index < len(self.slides)
        line = self.slides.pop(index) if flat else self.curved.pop(index - len(self.slides))
        self.set_side(line, side)
        return line

    def flat_representatives(self) -> list[SampleUnit]:
        """One pair of every flat line on which the flow stays by itself."""
        return [line.members[0][:2] for line in (*self.slides, *self.pinned)]

    def independent_slides(self) -> list[SampleUnit]:
        """The same without those whose normals depend on those of earlier ones."""
        if not (self.slides or self.pinned):
            return []
        blocks: dict[int, list[Line]] = {}
        for line in (*self.slides, *self.pinned):
            # units that share no weights have no part of their normals in common
            blocks.setdefault(self.normals.block(line.members[0][1]), []).append(line)
        chosen = {pair for lines in blocks.values() for pair in self.normals.independent(lines)}
        return [pair for pair in self.flat_representatives() if pair in chosen]

    @property
    def slides_are_independent(self) -> bool:
        """Whether the normals of the flat ones are."""
        chosen = set(self.independent_slides())
        return all(line.members[0][:2] in chosen for line in self.slides)

    @property
    def pinned_units(self) -> list[int]:
        return sorted({u for line in self.pinned for _, u, _ in line.members})

    def compiled_slides(self) -> Slides:
        """The slides in the form that the integrator takes, flat ones first, with unit normals."""
        if not self.slides and not self.curved:
            return _no_slides(self.size)
        flat = len(self.slides)
        normals = np.zeros((flat + len(self.curved), self.size))
        members: list[tuple[int, int, int, float]] = []
        for h, line in enumerate(self.slides):
            there, entries, length = self.normals.unit_normal(line)
            normals[h, there] = entries
            members += [(h, i, u, nearest(t) * length) for i, u, t in line.members]
        members += [
            (flat + t, i, u, float(scale)) for t, line in enumerate(self.curved) for i, u, scale in line.members
        ]
        columns = list(zip(*members, strict=True))
        line, sample, unit = (np.array(c, dtype=np.int64) for c in columns[:3])
        curved = np.array(self.representatives(), dtype=np.int64).reshape(-1, 2)
        return slides_of(normals, curved, line, sample, unit, np.array(columns[3], dtype=np.float64))

    def state(self, unit: int) -> np.ndarray:
        """1 where the unit is on, 0 where it is off, 2 where it slides, (n,)."""
        state = (self.gates[:, unit] == 1.0).astype(np.int64)
        for i, u in self.sliding_pairs():
            if u == unit:
                state[i] = 2
        return state

    def sliding_pairs(self) -> set[SampleUnit]:
        lines = (*self.slides, *self.curved, *self.spare, *self.pinned)
        return {(i, u) for line in lines for i, u, _ in line.members}

    def beside_spare(self, index: int) -> list[SampleUnit]:
        """The pairs of a slide, counted as in compiled_slides, if spare ones may depend on it."""
        if index >= len(self.slides):
            return []
        members = self.slides[index].members
        beside = any(self.normals.block(line.members[0][1]) == self.normals.block(members[0][1]) for line in self.spare)
        return [(i, u) for i, u, _ in members] if beside else []

    def undetermined(self, index: int) -> bool:
        """Whether a slide, counted as in compiled_slides, has a coefficient by a choice only: it depends on those of
        the pairs above it, of which only what all of one line add is known.
        """
        members = [*self.slides, *self.curved][index].members
        return any(
            sample == i and self.layer(above) > self.layer(unit)
            for line in self.curved
            if len(line.members) > 1
            for sample, above, _ in line.members
            for i, unit, _ in members
        )

    def representatives(self) -> list[SampleUnit]:
        """One pair of every curved slide."""
        return [line.members[0][:2] for line in self.curved]

    def balance(self, subspace: Subspace, constant: np.ndarray) -> np.ndarray:
        """v^2 - ||w||^2 at the start of every unit that is to be put back on it, NaN for others, (units,).

        These are the units whose w and v can change in length alone: V, c + the span of the basis, mixes neither with
        anything else, and c is zero there.
        """
        if not self._conserves or (subspace.shown is None and not constant.any()):
            return self.conserved
        net, units = self.net, len(self.conserved)
        held = np.zeros(units, dtype=bool)
        for ends, entries in ((net.row, slice(0, net.ptr[1])), (net.col, slice(net.ptr[1], None))):
            held |= np.bincount(ends[entries], np.abs(constant)[net.par[entries]], units) > 0.0
        if subspace.shown is not None:
            support = (subspace.basis != 0.0).astype(float)
            within, total = self._sides @ support, support.sum(axis=0)
            held |= ((within > 0.0) & (within < total)).any(axis=(0, 2))
        return np.where(held, np.nan, self.conserved)

    @cached_property
    def _sides(self) -> np.ndarray:
        """Which parameters lead into a unit, and which out of it, (2, units, N), at depth 2."""
        net = self.net
        sides = np.zeros((2, len(self.conserved), self.size))
        sides[0, net.row[: net.ptr[1]], net.par[: net.ptr[1]]] = 1.0
        sides[1, net.col[net.ptr[1] :], net.par[net.ptr[1] :]] = 1.0
        return sides

    def watch(self, subspace: Subspace) -> np.ndarray:
        """+1 / -1 where a pre-activation can move and must keep its side, (n, units) int8."""
        out = np.zeros(self.gates.shape, dtype=np.int8)
        if not self.kinked:
            return out
        moves, sides = self._moving(subspace), self.sides()
        first = slice(self.first.start, self.first.stop)
        out[:, first] = np.where(moves, sides[:, first], 0)
        for u in self.hidden[len(self.first) :]:
            for i in range(len(out)):
                if not self.unfed((i, u)):
                    out[i, u] = sides[i, u]
        for pair in self.sliding_pairs():
            out[pair] = 0
        return out

    def _moving(self, subspace: Subspace) -> np.ndarray:
        """Whether a column of the basis leaves the kink of a sample and a unit of the first layer, (n, units of it).

        Relative to its own terms: a small unit may be tied to large ones.
        """
        if subspace.shown is None and self._alone is not None:
            there = np.append(~subspace.constant, False)[self._alone]
            return ((self.cell.x != 0.0)[:, None, :] & there).any(axis=2)
        found: list[np.ndarray] = []
        for u in self.first:
            normals, most = self.normals.float_normals(u), self.normals.float_normals(u, absolute=True)
            speeds = np.abs(normals @ subspace.basis)
            moves = np.any(speeds > PARALLEL * (most @ np.abs(subspace.basis)), axis=1)
            for i in np.flatnonzero(~moves & np.any(speeds, axis=1)).tolist():
                # what little is left of large terms is told in integers
                entries = self.normals.normal_entries((i, u)).items()
                moves[i] = any(sum(value * row[k] for k, value in entries) for row in subspace.rows)
            found.append(moves)
        return np.column_stack(found)


_no_slides = lru_cache(maxsize=64)(no_slides)  # nothing in them can be written to


def _balances(instance: Instance) -> list[float]:
    """v^2 - ||w||^2 of every hidden unit at depth 2, rounded once, and 0 only where it is that exactly."""
    (hidden, outputs), (w, v) = instance.network.patterns, instance.theta0
    out: list[float] = []
    for row, column in zip(hidden, zip(*outputs, strict=True), strict=True):
        into, out_of = [w[p] for p in row if p >= 0], [v[k] for k in column if k >= 0]
        # in integers: fractions would look for common divisors after every sum
        common = lcm(*(a.denominator for a in (*into, *out_of)))
        squares = [[(a.numerator * (common // a.denominator)) ** 2 for a in own] for own in (into, out_of)]
        difference = sum(squares[1]) - sum(squares[0])
        out.append(difference / common**2 or (ulp(0.0) if difference > 0 else -ulp(0.0)) if difference else 0.0)
    return out
