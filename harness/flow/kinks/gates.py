"""The gates of a network along the flow: on, off or sliding, and how they change at kinks.

Every (sample, hidden unit) pair has a gate, a sample being a margin of the problem.  On is the positive side.  The
kinks of the first hidden layer are flat: a linear functional of theta, known exactly.  Those of deeper layers are
curved.  A pair above the first layer all of whose inputs are zero since they are off (relu) has a pre-activation that
is zero without being a kink; it is given a gate when an input switches on.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from fractions import Fraction
from functools import cached_property, lru_cache
from math import lcm

import numpy as np

from harness.flow import undecided
from harness.flow.compiled.field import Seen, Slides, cell_of, look, no_slides, slides_of
from harness.flow.compiled.kernel import Wiring, entries_of, unit_gradient
from harness.flow.invariants.proving import integers
from harness.flow.invariants.subspaces import Subspace
from harness.flow.kinks.departure import ROUGH, Face, Line, SampleUnit, depart, depart_by_face, gather, inmost
from harness.flow.undecided import Undecided
from harness.problem.instances import Instance
from harness.problem.networks import preactivations
from harness.problem.numbers import nearest

# Relative to the longest of the normals, or of their entries: a few thousand times what rounding leaves of products of
# some weights, so that normals that are parallel, or within the subspace zero, are seen to be.
PARALLEL = 1e-9
NO_RATE = 1e-12  # of the terms that a rate is summed from: some dozens of them leave less by rounding
# What an error grows by beyond its first order, in a bound of it: terms of 2^-53 squared, far below this.
SECOND_ORDER = 1e-9

# Of a Clarke coefficient, from the ends of its range: where there is less left a choice is towards its end, or over.
NARROW, OVER = 0.05, 1e-6

NONE: Mapping[SampleUnit, int] = {}

_TROUBLES = {
    "not unique": undecided.TWO_VELOCITIES,
    "faint": undecided.FAINT,
    "crowded": undecided.CROWDED,
    "closed": undecided.CLOSED,
}


class _Apart(Exception):
    """Kinks that were one line are not parallel on every face."""


class Gates:
    """The cell that the flow is in, of which this is the owner, and the kinks on which it slides.

    cell: for the kernel; its gates are changed here and nowhere else.
    slides: flat ones.  curved: of deeper layers, whose scales are those at the point where they began.  idle: flat ones
    whose normals depend on those of slides, as where a neuron's weights are zero: the flow stays on them as long as it
    does on these, with coefficients that stand.
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
        self.slides: list[Line] = []
        self.curved: list[Line] = []
        self.idle: list[Line] = []
        self.kinked = network.kinked
        # whether the weights of a unit answer to nothing but its own and the margins
        self.by_unit = network.depth == network.degree == 2 and not network.shared and network.outputs == 1
        self._normals: dict[SampleUnit, dict[int, Fraction]] = {}
        self._begins: list[int] = net.uptr.tolist()  # where layers begin
        self._named: dict[tuple[tuple[int, int], ...], int] = {}  # the lines that normals span
        self._lines: dict[SampleUnit, tuple[int, Fraction] | None] = {}
        self._ranked: dict[tuple[SampleUnit, ...], list[SampleUnit]] = {}
        self.conserved = np.full(int(net.uptr[-1]), np.nan)
        self._conserves = self.kinked and network.depth == network.degree == 2 and not network.shared
        if not self.kinked:
            return
        if self._conserves:
            self.conserved[list(self.hidden)] = _balances(instance)
        self._units: dict[tuple[SampleUnit, float], tuple[np.ndarray, np.ndarray, float]] = {}
        own = net.par[: int(net.ptr[1])]
        # the parameters of the first layer, (units, d), -1 where there is none; None where some are shared
        alone = len(set(own.tolist())) == len(own) and own.min(initial=0) >= 0
        self._alone = np.array(network.patterns[0]) if alone else None
        self.lengths = self._largest(np.asarray) if self._alone is None else self._entries(self._alone >= 0)

    @cached_property
    def _blocks(self) -> list[int]:
        return _blocks(self.instance.network.patterns[0])

    @cached_property
    def _inputs(self) -> dict[int, np.ndarray]:
        return {u: self.net.col[self.net.row == u] for u in self.hidden}

    @cached_property
    def _outgoing(self) -> dict[int, np.ndarray]:
        return {u: self.net.par[(self.net.col == u) & (self.net.par >= 0)] for u in self.hidden}

    @property
    def gates(self) -> np.ndarray:
        """Those of the cell, (n, units): slopes."""
        return self.cell.gates

    @property
    def beside(self) -> np.ndarray:
        """The same with all that slides off, (n, units)."""
        return np.where(self.gates == 1.0, 1.0, self.below) if self.idle else self.gates

    def sides(self, units: slice = slice(None)) -> np.ndarray:
        """1 where a gate is on, -1 where it is off, (n, units)."""
        return np.where(self.gates[:, units] == 1.0, 1, -1)

    def on(self, pair: SampleUnit) -> bool:
        return bool(self.gates[pair] == 1.0)

    def layer(self, unit: int) -> int:
        return bisect_right(self._begins, unit) - 1

    def normal(self, sample: int, unit: int) -> tuple[Fraction, ...]:
        """The exact gradient (N,) of the pre-activation of a unit of the first hidden layer."""
        out = [Fraction(0)] * self.size
        for k, value in self._normal_entries((sample, unit)).items():
            out[k] = value
        return tuple(out)

    def _normal_entries(self, pair: SampleUnit) -> dict[int, Fraction]:
        """Those of it that are not zero, in order: there may be as many kinks as parameters."""
        if pair not in self._normals:
            sample, unit = pair
            out: dict[int, Fraction] = {}
            row = self.instance.network.patterns[0][unit - self.first.start]
            for value, k in zip(self.instance.x[self.rows[sample][0]], row, strict=True):
                if k >= 0 and value:
                    out[k] = out[k] + value if k in out else value
            self._normals[pair] = {k: out[k] for k in sorted(out) if out[k]}
        return self._normals[pair]

    def float_normals(self, unit: int, samples: Sequence[int] | slice = slice(None)) -> np.ndarray:
        """Those of samples in floats, (n, N)."""
        x, into = self.cell.x[samples], slice(*self.net.into[unit : unit + 2])
        out = np.zeros((len(x), self.size))
        np.add.at(out.T, self.net.par[into], x[:, self.net.col[into]].T)
        return out

    def float_normal(self, sample: int, unit: int) -> np.ndarray:
        """That of one, (N,)."""
        return self.float_normals(unit, [sample])[0]

    def _line(self, pair: SampleUnit) -> tuple[int, Fraction] | None:
        """As of `gather`, of a pair of the first hidden layer."""
        if pair not in self._lines:
            entries = list(self._normal_entries(pair).items())
            self._lines[pair] = (
                (self._named.setdefault(_span(entries), len(self._named)), entries[0][1]) if entries else None
            )
        return self._lines[pair]

    def curved_normal(self, pair: SampleUnit, theta: np.ndarray) -> np.ndarray:
        """The gradient (N,) of the pre-activation of a deeper unit at theta."""
        out = np.empty(self.size)
        sample, unit = pair
        unit_gradient(self.net, theta, self.cell.x[sample], self.gates[sample], unit, out)
        return out

    def unfed(self, pair: SampleUnit) -> bool:
        """Whether the pair is above the first layer and gets nothing, since all of its inputs are off."""
        sample, unit = pair
        return not self.below and unit not in self.first and not self.gates[sample, self._inputs[unit]].any()

    def start(self) -> list[SampleUnit]:
        """Set the gates from the exact pre-activations at theta0; returns the pairs that are on a kink."""
        zero: list[SampleUnit] = []
        for i in self._start_from_floats():
            x = self.instance.x[self.rows[i][0]]
            layers = preactivations(self.instance.network, self.instance.theta0, x)[:-1]
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

    def resolve(self, theta: np.ndarray, zero: Iterable[SampleUnit], left: Mapping[SampleUnit, int] = NONE) -> None:
        """Choose sides for the pairs that are on their kinks at theta, together with the slides they disturb.

        left: pairs that have just come to the end of a slide, and the sides to which they leave along their kinks, if
        nothing else says more.  Raises Undecided.
        """
        pairs = set(zero) | set(left)
        for pair in pairs:
            self.put(pair, -1)
        # the kink of a unit whose inputs have just gone off is theirs
        pairs = {pair for pair in pairs if not self.unfed(pair)}
        idle = {(i, u) for line in self.idle for i, u, _ in line.members}
        deeper = self.curved or any(unit not in self.first for _, unit in pairs)
        if deeper or not self._open_unfed_units(sorted(pairs), theta):
            pairs |= self.sliding_pairs()
            groups = [sorted(pairs)] if pairs else []
            self.slides, self.curved, self.idle = [], [], []
        else:
            groups = self._by_block(pairs)
        for group in groups:
            self._resolve_together(theta, group, left, idle)

    def crossing(self, pair: SampleUnit, theta: np.ndarray) -> int:
        """The side, 1 or -1, to which the flow crosses the flat kink of a pair at depth 2, without slides; 0 if not."""
        if self.instance.network.depth != 2 or self.slides:
            return 0
        sample, unit = pair
        before, self.gates[pair] = self.gates[pair], self.below
        now = look(self.cell, theta)
        self.gates[pair] = before
        delta, p = now.delta, now.p * self._growth(now.rho)
        if not delta[:, unit].any():
            return 0
        normal = self.float_normal(sample, unit)
        terms = p @ np.abs(now.grad)
        plus = np.array([p[sample] * delta[pair] * self.cell.jump])
        departure = depart(normal[None, :], now.f, terms, plus, np.zeros(1))
        return departure.sides[0] if departure.status == "unique" else 0

    def _growth(self, rho: float) -> float:
        """By what the field's clock multiplies the sum of the gradients."""
        return rho ** (2 - self.instance.network.degree) if rho else 0.0

    def _by_block(self, pairs: set[SampleUnit]) -> list[list[SampleUnit]]:
        """Flat kinks interact only where their units share weights; slides of the blocks concerned are taken in."""

        groups: dict[int, set[SampleUnit]] = {}
        for _, unit in pairs:
            groups.setdefault(self._block(unit), set())
        for i, u in pairs | {(i, u) for line in (*self.slides, *self.idle) for i, u, _ in line.members}:
            if self._block(u) in groups:
                groups[self._block(u)].add((i, u))
        self.slides, self.idle = (
            [line for line in lines if self._block(line.members[0][1]) not in groups]
            for lines in (self.slides, self.idle)
        )
        return [sorted(groups[key]) for key in sorted(groups)]

    def _block(self, unit: int) -> int:
        """That of a unit of the first layer."""
        return self._blocks[unit - self.first.start]

    def _resolve_together(
        self, theta: np.ndarray, pairs: list[SampleUnit], left: Mapping[SampleUnit, int], idle: Set[SampleUnit]
    ) -> None:
        """idle: those that were so far."""
        for pair in pairs:
            self.put(pair, -1)
        opened = self._open_unfed_units(pairs, theta)
        now = look(self.cell, theta)
        pre, delta, p, base = now.pre, now.delta, now.p, now.f
        weights = p * self._growth(now.rho)
        drive, terms = weights[:, None] * delta, weights @ np.abs(now.grad)
        # units whose gates make no difference yet: their incoming weights stand still, as where they are off
        felt = self.gates != 0.0
        for pair in pairs:
            felt[pair] = True
        unmoved = {u for _, u in pairs if not delta[felt[:, u], u].any() and not self._shares(u)}
        if unmoved and not opened:
            raise Undecided(undecided.BOTH_WAYS)
        unanswered: set[int] = set()
        for unit in sorted(unmoved):
            rates = base[self._outgoing[unit]]
            hears = unit not in self.first and bool(entries_of(self.net, theta)[self.net.row == unit].any())
            if (self._dead(unit, theta, pre) and not hears) or self._below_what_is_off(unit) or self._unheard(unit):
                pairs = [pair for pair in pairs if pair[1] != unit]
            elif hears:
                # what it hears moves to first order, whatever its gates are
                unanswered.add(unit)
            elif unit not in self.first or {u for _, u in pairs} != {unit}:
                raise Undecided(undecided.UNANSWERED_BESIDE if rates.any() else undecided.UNANSWERED)
            else:
                drive, base, terms = self._second_order(unit, [i for i, _ in pairs], theta, now)
        lines = self._gathered(pairs, theta)
        if not lines:
            return
        normals = [self._normal_of(line, theta) for line in lines]
        if len(lines) > 1 and not (opened and all(line.flat for line in lines)):
            try:
                departure = depart_by_face(len(lines), lambda sides: self._on_face(theta, weights, lines, sides))
            except _Apart:
                lines = [part for line in lines for part in ([line] if line.flat else self._singly(line))]
                departure = depart_by_face(len(lines), lambda sides: self._on_face(theta, weights, lines, sides))
            self._enter_face(theta, lines, departure.sides)
            jumps = np.array([float(line.members[0][1] not in unanswered) for line in lines])
        elif not opened:
            raise Undecided(undecided.BOTH_WAYS)
        else:
            plus, minus = _factors(lines, drive * self.cell.jump)
            departure = depart(np.array(normals), base, terms, plus, minus)
            jumps = plus + minus
        if departure.status != "unique":
            raise Undecided(_TROUBLES[departure.status])
        slides, alike = list[Line](), list[Line]()
        for line, side, jump in zip(lines, departure.sides, jumps, strict=True):
            if side:
                self.set_side(line, side)
            elif all((i, u) in left for i, u, _ in line.members):
                for i, u, _ in line.members:
                    self.put((i, u), left[i, u])
            elif jump == 0.0:
                alike.append(line)
            elif any(self._starts_to_be_heard((i, u), theta) for i, u, _ in line.members):
                raise Undecided(undecided.HEARD)
            else:
                slides.append(line)
        slides = self._as_one(slides, theta)
        # in a deeper relu network a gate that is between would feed what is unfed
        if self.instance.network.depth == 2 or self.below:
            slides = self._without_idle(slides, theta, alike, idle)
        elif alike:
            raise Undecided(undecided.ALIKE)
        for line in slides:
            (self.slides if line.flat else self.curved).append(line)

    def _without_idle(
        self, slides: list[Line], theta: np.ndarray, alike: list[Line], idle: Set[SampleUnit]
    ) -> list[Line]:
        """Those of flat lines that attract by which the flow stays on all of them; the rest becomes idle.

        alike: those that add nothing now, since their samples no longer count.  Raises Undecided.

        Where their normals depend on each other there is a choice of coefficients: one that lasts, as far from the ends
        of their ranges as can be; or, towards the end of it, the one that is left last.  At the end the lines are left
        that are at an end of their range.
        """
        for line in alike:
            depends = (
                line.flat
                and all(other.flat for other in slides)
                and len(self._independent([*slides, line])) == len(self._independent(slides))
            )
            if not (depends and self._attracts(line, look(self.cell, theta))):
                raise Undecided(undecided.ALIKE)
        self.idle += alike
        if not all(line.flat for line in slides) or len(self._independent(slides)) == len(slides):
            return slides
        now, normals = look(self.cell, theta), np.array([self._direction(line) for line in slides])
        plus, minus = _factors(slides, (now.p * self._growth(now.rho))[:, None] * now.delta * self.cell.jump)
        if (plus + minus >= 0.0).any():
            return slides
        shares, room = inmost(normals, now.f - minus @ normals, plus + minus)
        if room == -np.inf or (room <= OVER and not any((i, u) in idle for line in slides for i, u, _ in line.members)):
            return slides
        if room <= NARROW:
            shares = np.where(
                shares <= 2.0 * room + OVER, 0.0, np.where(shares >= 1.0 - 2.0 * room - OVER, 1.0, shares)
            )
        inner = np.minimum(shares, 1.0 - shares)
        if room <= OVER:
            for line, share in zip(slides, shares, strict=True):
                self.set_side(line, 1 if share > 0.5 else -1)
            return [line for line, depth in zip(slides, inner, strict=True) if depth > 0.0]
        # what has the most to give balances the rest
        order = np.argsort(-inner * np.abs(plus + minus) * np.linalg.norm(normals, axis=1), kind="stable")
        kept = self._independent([slides[h] for h in order])
        for line, share in zip(slides, shares.tolist(), strict=True):
            if line.members[0][:2] not in kept:
                self.idle.append(line)
                for i, u, t in line.members:
                    self.gates[i, u] = self.below + self.cell.jump * (share if t > 0 else 1.0 - share)
        return [line for line in slides if line.members[0][:2] in kept]

    def _attracts(self, line: Line, now: Seen) -> bool:
        """Whether the two sides of a line push towards it, or would, if its samples counted."""
        answers = np.array([(now.p[i] * now.delta[i, u], now.delta[i, u]) for i, u, _ in line.members])
        jump, without = self.cell.jump * (np.abs([nearest(t) for _, _, t in line.members]) @ answers)
        return bool(jump < 0.0 or (jump == 0.0 and without < 0.0))

    def idle_attract(self, theta: np.ndarray) -> bool:
        """Whether all idle lines still do.  With classes that may end while none of the slides does.

        Of units whose outgoing weights are small enough to be rounding nothing is asked.
        """
        now, rounding = look(self.cell, theta), NO_RATE * np.linalg.norm(theta)
        heard = [line for line in self.idle if self._out_of(line, theta) > rounding]
        return all(self._attracts(line, now) for line in heard)

    def _out_of(self, line: Line, theta: np.ndarray) -> float:
        """The largest of the weights out of the units of a line."""
        leaving = np.isin(self.net.col, [u for _, u, _ in line.members])
        return float(np.abs(entries_of(self.net, theta)[leaving]).max())

    def _starts_to_be_heard(self, pair: SampleUnit, theta: np.ndarray) -> bool:
        """Whether a closed unit that nothing else reaches hears the pair by a trained weight that is zero.

        As soon as the weight grows, what slides there opens it, and that is not looked for during a slide.
        """
        if self.below:
            return False
        sample, unit = pair
        silent = (self.net.col == unit) & (self.net.par >= 0) & (entries_of(self.net, theta) == 0.0)
        above = [u for u in self.net.row[silent].tolist() if u in self.hidden]
        return any(self.unfed((sample, u)) and not self.gates[sample, u] for u in above)

    def _enter_face(self, theta: np.ndarray, lines: list[Line], sides: tuple[int, ...]) -> None:
        """Set the gates that hold on a face; a line that slides is off."""
        pairs = [(i, u) for line in lines for i, u, _ in line.members]
        for pair in pairs:
            self.put(pair, -1)
        beside = {(i, u) for line, side in zip(lines, sides, strict=False) if not side for i, u, _ in line.members}
        on: set[SampleUnit] = set()
        for line, side in zip(lines, sides, strict=False):
            on |= {(i, u) for i, u, t in line.members if side and (t > 0) == (side > 0)}
        # what slides gives next to nothing beside what is on
        opened = self._open_unfed_units(sorted(on), theta)
        for pair in on:
            self.put(pair, 1)
        if not (opened and self._open_unfed_units(sorted(beside), theta)):
            raise Undecided(undecided.BOTH_WAYS)

    def _on_face(
        self, theta: np.ndarray, weights: np.ndarray, lines: list[Line], sides: tuple[int, ...]
    ) -> Face | None:
        """The field where the lines have these sides; None where no coefficients keep the flow there.

        weights (n,): of the gradients.  They are those of all faces, at the kink; a little beside it, where theta is,
        the gates would make a difference.

        What a deeper kink adds depends on no coefficient of a kink below it, and its normal only along that one's, so
        that the coefficients are found from the deepest layer down.
        """
        self._enter_face(theta, lines, sides)
        if any(len(self._as_one(self._singly(line), theta)) > 1 for line in lines if not line.flat):
            raise _Apart
        slides, largest = [h for h, side in enumerate(sides) if not side], 0.0
        layers = sorted({self.layer(lines[h].members[0][1]) for h in slides}, reverse=True)
        for layer in (*layers, None):
            now = look(self.cell, theta)
            field = weights @ now.grad
            normals = [self._normal_of(line, theta) for line in lines]
            if any(side >= 0 and not normal.any() for side, normal in zip(sides, normals, strict=True)):
                return None
            matrix = np.array(normals)
            if layer is None:
                terms = weights @ np.abs(now.grad)
                room = ROUGH * (largest + float((np.abs(matrix) @ terms).max()))
                return Face(matrix, field, terms, bool(np.all(np.abs(matrix[slides] @ field) <= room)))
            together = self._as_one([lines[h] for h in slides], theta)
            sliding = np.array([self._normal_of(line, theta) for line in together])
            gram = sliding @ sliding.T
            if np.linalg.matrix_rank(gram, tol=PARALLEL * np.diag(gram).max()) < len(together):
                raise Undecided(undecided.DEPENDENT)
            omega = -np.linalg.solve(gram, sliding @ field)
            plus, minus = _factors(together, weights[:, None] * now.delta * self.cell.jump)
            largest = max(largest, float((np.abs(gram) @ (np.abs(plus) + np.abs(minus))).max()))
            for h, factor in enumerate(omega.tolist()):
                if self.layer(together[h].members[0][1]) != layer:
                    continue
                jump = float(plus[h] + minus[h])
                share = (factor + float(minus[h])) / jump if jump else 0.5
                room = ROUGH * float(np.abs(sliding[h]) @ (weights @ np.abs(now.grad)) / gram.diagonal().max())
                if not -room <= share * abs(jump) <= abs(jump) + room or (not jump and abs(factor) > room):
                    return None
                for i, u, t in together[h].members:
                    own = share if t > 0 else 1.0 - share
                    self.gates[i, u] = self.below + self.cell.jump * own
        raise AssertionError("the last round returns")

    def _normal_of(self, line: Line, theta: np.ndarray) -> np.ndarray:
        """That of a line, to which the scales of its members refer."""
        return self._direction(line) if line.flat else self.curved_normal(line.members[0][:2], theta)

    def _gathered(self, pairs: list[SampleUnit], theta: np.ndarray) -> list[Line]:
        """The lines that pairs on their kinks belong to.  Raises Undecided."""
        lines = gather([pair for pair in pairs if pair[1] in self.first], self._line)
        curved = [Line(False, [(*pair, Fraction(1))]) for pair in pairs if pair[1] not in self.first]
        for line in curved:
            normal = self._normal_of(line, theta)
            length = float(np.linalg.norm(normal))
            if length == 0.0:
                raise Undecided(undecided.NO_NORMAL)
            if any(_multiple(normal, self._direction(flat)) is not None for flat in lines):
                raise Undecided(undecided.TOUCHING)
        return lines + self._as_one(curved, theta)

    def _as_one(self, lines: list[Line], theta: np.ndarray) -> list[Line]:
        """The same with those of deeper layers in one whose normals are parallel with the gates of the moment."""
        found, normals = list[Line](), list[np.ndarray]()
        for line in lines:
            normal = self._normal_of(line, theta)
            for h, (one, other) in enumerate(zip(found, normals, strict=True)):
                scale = None if line.flat or one.flat else _multiple(normal, other)
                if scale is not None:
                    found[h] = Line(False, [*one.members, *((i, u, t * scale) for i, u, t in line.members)])
                    break
            else:
                found.append(line)
                normals.append(normal)
        return found

    @staticmethod
    def _singly(line: Line) -> list[Line]:
        """Its members, each as a line of its own."""
        return [Line(False, [(i, u, Fraction(1))]) for i, u, _ in line.members]

    def _second_order(
        self, unit: int, kinks: list[int], theta: np.ndarray, now: Seen
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The drive, the field and its terms where nothing answers to a unit of the first layer: it starts to move as
        something does.  kinks: the samples on which it is on its kink.
        """
        zero = (entries_of(self.net, theta) == 0.0) & (self.net.par >= 0)
        for i in kinks:
            unfed = [u for u in self.hidden if self.unfed((i, u))]
            waking = [unit, *(u for u in unfed if self.gates[i, u])]
            if (zero & np.isin(self.net.row, unfed) & np.isin(self.net.col, waking)).any():
                # what hears it by weights that start to move from zero may switch on with it, and answer
                raise Undecided(undecided.UNANSWERED)
        slopes = self.gates[:, unit] if self.below else self.gates[:, unit] * (now.pre[:, unit] > 0.0)
        starts, size = self._start_to_answer(unit, theta, now)
        if not starts.any():
            raise Undecided(undecided.UNANSWERED)
        if ((starts != 0.0) & (np.abs(starts) <= NO_RATE * size)).any():
            raise Undecided(undecided.UNCERTAIN_START)
        drive = np.zeros_like(now.pre)
        drive[:, unit] = now.p * starts
        felt = np.flatnonzero(slopes)
        normals, weights = self.float_normals(unit)[felt], drive[felt, unit] * slopes[felt]
        return drive, weights @ normals, np.abs(weights) @ np.abs(normals)

    def _start_to_answer(self, unit: int, theta: np.ndarray, now: Seen) -> tuple[np.ndarray, np.ndarray]:
        """The rates at which the margins start to answer to what a unit gives, and the sizes of their terms, (n,).

        The derivative along the field of delta, which is a sum of products of the weights above the unit.
        """
        net = self.net
        weights = entries_of(net, theta)
        parts = np.vstack([now.f, now.p @ np.abs(now.grad) * self._growth(now.rho)])
        moves, terms = np.where(net.par >= 0, parts[:, net.par], 0.0)
        answers, rates, sizes = (np.zeros(self.gates.shape) for _ in range(3))
        answers[:, self.hidden.stop :] = self.cell.seeds
        for e in reversed(range(int(net.ptr[self.layer(unit)]), len(net.row))):
            above, below = int(net.row[e]), int(net.col[e])
            gate = self.gates[:, above] if above in self.hidden else 1.0
            answers[:, below] += weights[e] * gate * answers[:, above]
            rates[:, below] += gate * (moves[e] * answers[:, above] + weights[e] * rates[:, above])
            sizes[:, below] += np.abs(gate) * (terms[e] * np.abs(answers[:, above]) + abs(weights[e]) * sizes[:, above])
        return rates[:, unit], sizes[:, unit]

    def _open_unfed_units(self, pairs: list[SampleUnit], theta: np.ndarray) -> bool:
        """Give unfed units above a kink the gates that they have just on its on side; whether these are known.

        What the kink's pair adds to the field there depends on them; on its off side they stay so.  Where several pairs
        of a sample push one both ways, it is on.
        """
        known = True
        if self.instance.network.depth == 2 or self.below:
            return known
        every = entries_of(self.net, theta)
        for sample in {i for i, _ in pairs}:
            waking = sorted({u for i, u in pairs if i == sample})
            # what a unit gives for each that wakes: what these give is positive, and more is not known
            given = dict(zip(waking, np.eye(len(waking)), strict=True))
            for u in [u for u in self.hidden if self.unfed((sample, u))]:
                entries = [e for e in np.flatnonzero(self.net.row == u).tolist() if self.net.col[e] in given]
                terms = np.array([every[e] * given[int(self.net.col[e])] for e in entries]).reshape(-1, len(waking))
                total, size = terms.sum(axis=0), np.abs(terms).sum(axis=0)
                lost = (np.abs(total) <= NO_RATE * size) & (size > 0.0)
                if lost.any():
                    raise Undecided(undecided.BOTH_WAYS)
                known = known and not total.min() < 0.0 < total.max()
                self.gates[sample, u] = float(total.max() > 0.0)
                if self.gates[sample, u]:
                    given[u] = total
        return known

    def _dead(self, unit: int, theta: np.ndarray, pre: np.ndarray) -> bool:
        """Whether a unit gives nothing on all samples and its outgoing weights v are zero, or, into the outputs, alike;
        or one of the first layer is heard, by weights other than zero, by what is off on all samples.

        It stays so, by Gronwall's inequality for (w - w(0), v - v(0)): until one of those switches on, which is seen in
        the first layer alone (rest.py).
        """
        given = self.gates[:, unit] * pre[:, unit]
        leaving = (self.net.col == unit) & (entries_of(self.net, theta) != 0.0)
        unheard = self._off(self.net.row[leaving]) if unit in self.first else not leaving.any()
        return not (given != 0.0 if self.below else given > 0.0).any() and (unheard or self._alike(unit, theta))

    def _alike(self, unit: int, theta: np.ndarray) -> bool:
        """Whether a unit feeds the outputs alone, by weights of its own, and no margin answers to it."""
        leaving, outputs = self.net.col == unit, self.hidden.stop
        own = self.net.par[leaving]
        if (self.net.row[leaving] < outputs).any() or np.isin(self.net.par[~leaving], own[own >= 0]).any():
            return False
        v = np.zeros(self.cell.seeds.shape[1])
        v[self.net.row[leaving] - outputs] = entries_of(self.net, theta)[leaving]
        return not (self.cell.seeds @ v).any()

    def _off(self, units: np.ndarray) -> bool:
        """Whether these are hidden units that are off on every sample, and so give nothing."""
        return bool(np.isin(units, self.hidden).all()) and not self.gates[:, units].any()

    def _unheard(self, unit: int) -> bool:
        """Whether all that a unit feeds is multiplied by zeros that are fixed."""
        leaving = self.net.col == unit
        return bool((self.net.par[leaving] < 0).all()) and not self.net.value[leaving].any()

    def _below_what_is_off(self, unit: int) -> bool:
        """Whether every hidden unit that a unit feeds is off on every sample, and so gives nothing."""
        return not self.below and self._off(self.net.row[self.net.col == unit])

    def _shares(self, unit: int) -> bool:
        """Whether the incoming weights of a unit are also another's."""
        if unit in self.first:
            return self._blocks.count(self._blocks[unit - self.first.start]) > 1
        incoming = self.net.par[(self.net.row == unit) & (self.net.par >= 0)]
        return bool(np.isin(self.net.par[self.net.row != unit], incoming).any())

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

    def _direction(self, line: Line) -> np.ndarray:
        """The normal (N,) of a flat line, to which the scales of its members refer."""
        sample, unit, scale = line.members[0]
        return self.float_normal(sample, unit) / nearest(scale)

    def _unit_normal(self, line: Line) -> tuple[np.ndarray, np.ndarray, float]:
        """Where the normal of a flat line has entries, these entries at length 1, and its length."""
        sample, unit, scale = line.members[0]
        key = (sample, unit), nearest(scale)
        if key not in self._units:
            normal = self._direction(line)
            there, length = np.flatnonzero(normal), float(np.linalg.norm(normal))
            self._units[key] = there, normal[there] / length, length
        return self._units[key]

    def flat_representatives(self) -> list[SampleUnit]:
        """One pair of every flat slide."""
        return [line.members[0][:2] for line in self.slides]

    def independent_slides(self) -> list[SampleUnit]:
        """One pair of every flat slide whose normal does not depend on those of earlier ones."""
        if not self.slides:
            return []
        blocks: dict[int, list[Line]] = {}
        for line in self.slides:
            # units that share no weights have no part of their normals in common
            blocks.setdefault(self._block(line.members[0][1]), []).append(line)
        chosen = {pair for lines in blocks.values() for pair in self._independent(lines)}
        return [pair for pair in self.flat_representatives() if pair in chosen]

    def _independent(self, lines: list[Line]) -> list[SampleUnit]:
        """Those of one block."""
        pairs = tuple(line.members[0][:2] for line in lines)
        if pairs not in self._ranked:
            rows, chosen = np.zeros((0, self.size)), list[SampleUnit]()
            for line, pair in zip(lines, pairs, strict=True):
                wider = np.vstack([rows, self._direction(line)])
                if len(wider) == 1 or np.linalg.matrix_rank(wider, tol=PARALLEL * np.abs(wider).max()) == len(wider):
                    rows = wider
                    chosen.append(pair)
            self._ranked[pairs] = chosen
        return self._ranked[pairs]

    def compiled_slides(self) -> Slides:
        """The slides in the form that the integrator takes, flat ones first, with unit normals."""
        if not self.slides and not self.curved:
            return _no_slides(self.size)
        flat = len(self.slides)
        normals = np.zeros((flat + len(self.curved), self.size))
        members: list[tuple[int, int, int, float]] = []
        for h, line in enumerate(self.slides):
            there, entries, length = self._unit_normal(line)
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
        return {(i, u) for line in (*self.slides, *self.curved, *self.idle) for i, u, _ in line.members}

    def on_idle_ones(self, index: int) -> list[SampleUnit]:
        """The pairs of a slide, counted as in compiled_slides, if idle ones may depend on it."""
        if index >= len(self.slides):
            return []
        members = self.slides[index].members
        beside = any(self._block(line.members[0][1]) == self._block(members[0][1]) for line in self.idle)
        return [(i, u) for i, u, _ in members] if beside else []

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
        moves = self._speeds(subspace) > PARALLEL * self.lengths
        sides = self.sides()
        first = slice(self.first.start, self.first.stop)
        out[:, first] = np.where(moves, sides[:, first], 0)
        for u in self.hidden[len(self.first) :]:
            for i in range(len(out)):
                if not self.unfed((i, u)):
                    out[i, u] = sides[i, u]
        for pair in self.sliding_pairs():
            out[pair] = 0
        return out

    def _speeds(self, subspace: Subspace) -> np.ndarray:
        """The largest part of the normals of the first layer along a column of the basis, (n, units of it)."""
        if subspace.shown is not None:
            return self._largest(lambda normals: normals @ subspace.basis)
        if self._alone is None:
            return self._largest(lambda normals: normals[:, subspace.pivots])
        moving = np.append(~subspace.constant, False)[self._alone]
        return self._entries(moving)

    def _entries(self, there: np.ndarray) -> np.ndarray:
        """The largest entry of the normals of the first layer among those that are there (units of it, d)."""
        return (np.abs(self.cell.x)[:, None, :] * there).max(axis=2, initial=0.0)

    def _largest(self, of: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """The largest entry of what is made of the normals of every unit of the first layer, (n, units of it)."""
        return np.column_stack([np.abs(of(self.float_normals(u))).max(axis=1, initial=0.0) for u in self.first])


_no_slides = lru_cache(maxsize=64)(no_slides)  # nothing in them can be written to


def _span(entries: list[tuple[int, Fraction]]) -> tuple[tuple[int, int], ...]:
    """The same for all vectors of a line: integers without a common factor, of which the first is positive.

    In fractions a common factor would be looked for number by number.
    """
    whole = integers([v for _, v in entries])
    sign = 1 if whole[0] > 0 else -1
    return tuple((k, sign * v) for (k, _), v in zip(entries, whole, strict=True))


def _multiple(normal: np.ndarray, other: np.ndarray) -> Fraction | None:
    """What a normal (N,) is another multiplied by; None where they are not parallel."""
    square, length = float(other @ other), float(np.linalg.norm(normal))
    scale = float(normal @ other) / square if square else 0.0
    return Fraction(scale) if scale and np.abs(normal - scale * other).max() <= PARALLEL * length else None


def _factors(lines: list[Line], drive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the pairs of every line add on either side, as factors of its normal (departure.depart)."""
    plus = [sum(drive[i, u] * nearest(t) for i, u, t in line.members if t > 0) for line in lines]
    minus = [-sum(drive[i, u] * nearest(t) for i, u, t in line.members if t < 0) for line in lines]
    return np.array(plus), np.array(minus)


def _balances(instance: Instance) -> list[float]:
    """v^2 - ||w||^2 of every hidden unit at depth 2, rounded once."""
    (hidden, outputs), (w, v) = instance.network.patterns, instance.theta0
    out: list[float] = []
    for row, column in zip(hidden, zip(*outputs, strict=True), strict=True):
        into, out_of = [w[p] for p in row if p >= 0], [v[k] for k in column if k >= 0]
        # in integers: fractions would look for common divisors after every sum
        common = lcm(*(a.denominator for a in (*into, *out_of)))
        squares = [[(a.numerator * (common // a.denominator)) ** 2 for a in own] for own in (into, out_of)]
        out.append((sum(squares[1]) - sum(squares[0])) / common**2)
    return out


def _blocks(pattern) -> list[int]:
    """For every row of the first pattern the smallest row that it is connected to by shared parameters."""
    block = list(range(len(pattern)))
    for r, row in enumerate(pattern):
        used = {k for k in row if k >= 0}
        for s in range(r):
            if used & set(pattern[s]):
                low, high = sorted((block[r], block[s]))
                block = [low if b == high else b for b in block]
    return block
