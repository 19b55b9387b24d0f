"""An independent reference trainer: simple, slow, and sharing nothing with harness/flow.

It follows the gradient flow of an instance as far in log-norm as asked, by explicit small steps (stepping.py): kinks
are located by bisection, and what the flow does there is found by trying every assignment of off, on and sliding to the
pre-activations that are zero.  None with a solution: unclear.  More than one: not unique.  It believes nothing and
polishes nothing: where it ends is where the flow points at the last log-norm.

A sample here is a margin: with several outputs a point has one for every other class, and they have its kinks in
common.  Parameters are those of the trained layers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Literal

import numpy as np

from harness.problem.instances import Instance
from tests.support import stepping, structure
from tests.support.field import OFF, ON, SLIDE, entry, loss_of, rates
from tests.support.field import field as field_at
from tests.support.structure import Kink

Status = Literal["followed", "not separated", "not unique", "unclear"]
Kind = dict[Kink, int]  # kinks that are multiples of each other, with the multiples' signs

# Kinds of kinks that hang together and are zero at once: 3^6 choices.
TOGETHER = 6
# The log-norm at which a flow has died.
SMALLEST = -100.0
# A move that is none, relative to the sum of the samples' parts.
RESTS = 1e-13
# Rounding of a pre-activation's rate, relative to the sum of its terms' sizes.
ROUNDING = 1e-14
# How far an assignment is tried where a rate is zero, relative to the norm.
TRIED = 1e-6


@dataclass
class Record:
    """The path of a flow: rows of log-norm and direction, and what the last row says.

    value: of the direction scaled to margin 1, the margin being the mean under the samples' weights, which is exact to
    second order in 1 / hold.  weights: the samples' weights p.  log_norm: (T,).  direction: (T, N), unit vectors.
    events: kinks met.
    """

    status: Status
    reason: str
    log_norm: np.ndarray
    direction: np.ndarray
    value: float
    weights: np.ndarray
    events: int
    evaluations: int


@dataclass
class _Stop(Exception):
    status: Status
    reason: str


@dataclass
class _Rows:
    log_norm: list[float] = field(default_factory=list[float])
    direction: list[np.ndarray] = field(default_factory=list[np.ndarray])


Watch = Callable[[Sequence[float], Sequence[np.ndarray]], bool]


def follow(
    instance: Instance,
    log_norm: float = 60.0,
    *,
    hold: float = 1000.0,
    rtol: float = 1e-6,
    budget: int = 2_000_000,
    separation: int = 100_000,
    watch: Watch | None = None,
) -> Record:
    """Follow the flow until its log-norm has grown to log_norm, or until `watch` says so of the rows so far.

    hold: the least margin at which the softmax is held.  rtol: error of a step, relative to each neuron.
    budget: evaluations of the field; separation: those by which the flow has to separate.
    """
    return _Flow(instance, hold, rtol).run(log_norm, budget, separation, watch)


class _Flow:
    def __init__(self, instance: Instance, hold: float, rtol: float) -> None:
        self.instance, self.hold, self.rtol = instance, hold, rtol
        network = instance.network
        self.net = structure.packed(instance)
        self.first = network.trained.index(True)
        self.names = structure.names(instance, self.first)
        depth, width, n = network.depth, max(network.widths), len(instance.problem.rows)
        self.degree = network.degree
        theta = network.flat(instance.theta0_float)
        self.theta = theta * 2.0 ** -(math.frexp(np.linalg.norm(theta))[1] - 1)
        self.level = math.frexp(np.linalg.norm(theta))[1] - 1
        self.mode = np.full((n, depth, width), ON, dtype=np.int8)
        self.gate = np.ones((n, depth, width))
        self.hit = np.zeros((n, depth, width), dtype=np.bool_)
        self.slides = np.zeros((0, 5), dtype=np.int64)
        self.groups = structure.groups(instance)
        self.balances = structure.balances(instance)
        shape = (n, depth, width)
        self.work = (
            np.zeros(n), np.zeros(n), np.zeros(shape), np.zeros(shape), np.zeros(shape), np.zeros(shape[1:]),
            np.zeros((n + 1, len(theta))), np.zeros(0), np.zeros(0),
        )  # fmt: skip
        self.move = np.zeros(len(theta))
        self.events = self.evaluations = 0
        self.rows = _Rows()
        self.woken, self.guessed = set[Kink](), list[Kink]()

    # --- along the path ---

    def run(self, target: float, budget: int, separation: int, watch: Watch | None) -> Record:
        try:
            if self.net.kinked:
                self._start()
            self._follow(target, budget, separation, watch)
            status, reason = "followed", ""
        except _Stop as stop:
            status, reason = stop.status, stop.reason
        self._note()
        q, p = self.work[0], self.work[1]
        size = float(np.linalg.norm(self.theta)) ** self.degree
        margin = float(p @ q) / size if size else 0.0
        value = 0.5 * margin ** (-2.0 / self.degree) if margin > 0.0 else math.inf
        return Record(
            status, reason, np.array(self.rows.log_norm), np.array(self.rows.direction), value, p.copy(), self.events,
            self.evaluations,
        )  # fmt: skip

    def _follow(self, target: float, budget: int, separation: int, watch: Watch | None) -> None:
        h, stuck, separated = 1e-3, 0, False
        while True:
            row = min(target, self._log_norm() + 0.5)
            why, self.level, h, clock, used = stepping.advance(
                self.net, self.slides, self.mode, self.gate, self.theta, self.groups, *self.balances,
                self.level, self.hold, self.instance.loss == "logistic", self.work, self.rtol, h, row, 300,
                budget - self.evaluations, self.hit,
            )  # fmt: skip
            self.evaluations += used
            separated = separated or self._separates()
            if why == stepping.EVENT:
                stuck = stuck + 1 if clock < 1e-13 else 0
                if stuck > 20:
                    raise _Stop("unclear", "a kink is met again at once")
                self.events += 1
                self._meet()
                h = max(h, 1e-6)
                continue
            self._note()
            if self._log_norm() >= target or (watch and watch(self.rows.log_norm, self.rows.direction)):
                if not separated:
                    raise _Stop("unclear", "the norm has grown without separation")
                return
            rests = self._rests()
            if not separated and (self.evaluations > separation or rests or self._log_norm() < SMALLEST):
                raise _Stop("not separated", "it rests" if rests else f"not after {self.evaluations} evaluations")
            if self.evaluations > budget or rests:
                raise _Stop("unclear", f"log-norm {self._log_norm():.1f} after {self.evaluations} evaluations")

    def _note(self) -> None:
        """A row of the record; the field at the present point."""
        self._field()
        self.rows.log_norm.append(self._log_norm())
        self.rows.direction.append(self.theta / (float(np.linalg.norm(self.theta)) or 1.0))

    def _log_norm(self) -> float:
        size = float(np.linalg.norm(self.theta))
        # a flow may die down to nothing
        return math.log(size) + self.level * math.log(2.0) if size else -math.inf

    def _rests(self) -> bool:
        """Whether only rounding moves, or samples that hardly count."""
        sizes = self.work[1] @ np.abs(self.work[6][:-1])
        least = max(RESTS * float(np.linalg.norm(sizes)), RESTS**2 * float(np.linalg.norm(self.theta)))
        return float(np.linalg.norm(self.move)) <= least

    def _separates(self) -> bool:
        """Whether the loss is below that of the zero network."""
        with np.errstate(over="ignore"):
            margins = self.work[0] * 2.0 ** min(self.degree * self.level, 1000)
            if self.instance.loss == "logistic":
                points = margins.reshape(-1, self.net.group)
                return sum(loss_of(point) for point in points) < math.log(2.0)
            return bool(np.exp(-margins).sum() < 1.0)

    # --- at kinks ---

    def _field(self) -> None:
        field_at(
            self.net, self.slides, self.mode, self.gate, self.theta, self.level, self.hold,
            self.instance.loss == "logistic", self.work, self.move,
        )  # fmt: skip

    def _set(self, kink: Kink, mode: int) -> None:
        self.mode[kink] = mode
        self.gate[kink] = float(mode == ON)

    def _choose(self, kinds: Sequence[Kind], sides: Sequence[int]) -> None:
        """For each kind, which side of the kink it is on, 0 or 1, or that it slides."""
        for kind, side in zip(kinds, sides, strict=True):
            for kink, sign in kind.items():
                self._set(kink, SLIDE if side == SLIDE else ON if (side == ON) == (sign > 0) else OFF)
        sliding = self._kinds(_marked(self.mode == SLIDE))
        rows = [(*kink, number, sign) for number, kind in enumerate(sliding) for kink, sign in kind.items()]
        self.slides = np.array(rows, dtype=np.int64).reshape(-1, 5)
        self.work = (*self.work[:-2], np.zeros(len(sliding)), np.zeros(len(sliding)))

    def _kinds(self, kinks: Iterable[Kink]) -> list[Kind]:
        """The kinks sorted by what they are multiples of, the first of each kind with sign 1."""
        found: dict[object, Kind] = {}
        for kink in kinks:
            name, sign = self.names[kink]
            found.setdefault(name, {})[kink] = sign
        return [{kink: sign * next(iter(kind.values())) for kink, sign in kind.items()} for kind in found.values()]

    def _start(self) -> None:
        """The gates of the start, with zeros told from exact numbers."""
        signs = structure.exact_signs(self.instance)
        for kink, sign in signs.items():
            self._set(kink, ON if sign > 0 else OFF)
        self._field()
        self._resolve([kink for kink, sign in signs.items() if sign == 0 and not self._dead(kink)])

    def _dead(self, kink: Kink) -> bool:
        """Whether an input is zero whatever the weights, or all weights into and out of the neuron are, for ever."""
        sample, layer, neuron = kink
        into, out_of = self.net.patterns[layer, neuron], self.net.patterns[layer + 1, :, neuron]
        inputs = self.work[4][sample, layer, : len(into)]
        if not inputs[(into >= 0) | (self.net.fixed[layer, neuron] != 0.0)].any():
            return True
        given, passed = self.theta[into[into >= 0]].any(), self.theta[out_of[out_of >= 0]].any()
        heard = (out_of >= 0).any() or self.net.fixed[layer + 1, :, neuron].any()
        fixed = self.net.fixed[layer, neuron].any() or self.net.fixed[layer + 1, :, neuron].any()
        # nothing is trained below, nobody hears it, or it is zero with all of its weights
        return layer < self.first or not heard or not (given or passed or fixed)

    def _meet(self) -> None:
        """The gates after an event."""
        hit = list(_marked(self.hit & (self.mode != SLIDE)))
        sliding = self._kinds(_marked(self.mode == SLIDE))
        ended: list[Kind] = []
        sides: list[int] = []
        for kind, c, tilt in zip(sliding, *self.work[-2:], strict=True):
            if self.hit[next(iter(kind))]:
                if not math.isfinite(c):
                    raise _Stop("unclear", f"a slide without a coefficient: {kind}")
                if 0.0 <= c <= 1.0 or not tilt < 0.0:
                    raise _Stop("not unique", f"a slide ends where its neuron's outgoing weight is zero: {kind}")
                ended.append(kind)
                sides.append(int(c > 1.0))
        still = [kink for kind in sliding for kink in kind]
        self._choose(ended, sides)
        self._field()
        if hit:
            self._resolve([*(kink for kink in hit if not self._dead(kink)), *still])

    def _resolve(self, kinks: Sequence[Kink]) -> None:
        """The one choice of sides with which the flow goes on from where these pre-activations are zero."""
        for kinds in self._together(self._kinds(kinks)):
            if len(kinds) > TOGETHER:
                raise _Stop("unclear", f"{len(kinds)} kinks at once")
            found: list[tuple[int, ...]] = []
            doubtful = False
            for sides in product((0, 1, SLIDE), repeat=len(kinds)):
                self._choose(kinds, sides)
                chosen = {kink: self.mode[kink] for kind in kinds for kink in kind}
                self._wake(kinds)
                if any(self.mode[kink] != mode for kink, mode in chosen.items()):
                    # its inputs, which are on their kinks, have it on another side
                    continue
                goes = self._goes_on(kinds)
                doubtful |= goes is None
                if goes:
                    found.append(sides)
            if doubtful and len(found) < 2:
                raise _Stop("unclear", f"a kink is degenerate: {kinds}")
            if len(found) > 1:
                raise _Stop("not unique", f"{len(found)} ways to go on from {kinds}")
            if not found:
                raise _Stop("unclear", f"no way to go on from {kinds}")
            self._choose(kinds, found[0])
            self._wake(kinds)
        self._field()
        # what is zero only since its inputs are is not to lose its weights
        own = [kink for kink in kinks if kink not in self.woken]
        stepping.put_on(self.net, np.array(own, dtype=np.int64).reshape(-1, 3), self.theta, self.work)
        self._field()

    def _together(self, kinds: list[Kind]) -> list[list[Kind]]:
        """Kinds that have to be chosen at once: of one neuron in networks of depth 2, all in others."""
        if self.instance.network.depth > 2 or self.instance.network.shared:
            return [kinds] if kinds else []
        neurons: dict[int, list[Kind]] = {}
        for kind in kinds:
            neurons.setdefault(next(iter(kind))[2], []).append(kind)
        return list(neurons.values())

    def _wake(self, kinds: Sequence[Kind]) -> None:
        """Set the gates of later neurons whose inputs depend on these kinds alone; some are guessed."""
        self.woken, self.guessed = set[Kink](), list[Kink]()
        shape = self.net.shape
        below = {kink for kind in kinds for kink in kind}
        for layer in range(1, self.instance.network.depth - 1):
            for i in {kink[0] for kink in below if kink[1] == layer - 1}:
                for r in range(shape[layer, 0]):
                    weights = [entry(self.net, self.theta, layer, r, c) for c in range(shape[layer, 1])]
                    terms = [w * self._given((i, layer - 1, c)) for c, w in enumerate(weights) if w]
                    if any(
                        self._given((i, layer - 1, c)) and (i, layer - 1, c) not in below
                        for c, w in enumerate(weights)
                        if w
                    ):
                        continue
                    if terms and min(terms) < 0.0 < max(terms):
                        self.guessed.append((i, layer, r))
                    self._set((i, layer, r), ON if sum(terms) > 0.0 else OFF)
                    below.add((i, layer, r))
                    self.woken.add((i, layer, r))

    def _given(self, kink: Kink) -> float:
        """What a neuron gives just beside its kink, by the side it is on and with the sign of what it is then."""
        mode = self.mode[kink]
        return 1.0 if mode == ON else -self.net.slope if mode == OFF else 0.0

    def _goes_on(self, kinds: Sequence[Kind]) -> bool | None:
        """Whether with the modes set the flow goes where they say; None if that is decided by rounding.

        What is zero, or a coefficient at its end, is looked at again a small way ahead.
        """
        self._field()
        move, now = self.move.copy(), self.gate.copy()
        speeds, sizes = self._rates()
        later_speeds, later = self._ahead()
        answer: bool | None = True
        for kink in [kink for kind in kinds for kink in kind if kink not in self.woken]:
            mode = self.mode[kink]
            if mode == SLIDE:
                c = later[kink] if min(abs(now[kink]), abs(1.0 - now[kink])) <= ROUNDING else now[kink]
                if not ROUNDING < c < 1.0 - ROUNDING:
                    return False
                continue
            rate = speeds[kink]
            if abs(rate) <= ROUNDING * sizes[kink]:
                rate = later_speeds[kink]
                if abs(rate) <= 10 * ROUNDING * sizes[kink]:
                    # it stays on the kink, with this gate: a solution if there is a cell with these gates
                    if self._needless(kink, kinds, move):
                        return False
                    answer = answer if self._independent(kinds) else None
                    continue
            if not (rate > 0.0 if mode == ON else rate < 0.0):
                return False
        right = all((speeds[kink] > 0.0) == (self.mode[kink] == ON) for kink in self.guessed)
        return answer if right else None

    def _ahead(self) -> tuple[np.ndarray, np.ndarray]:
        """The pre-activations' rates and the gates a small way ahead."""
        theta = self.theta
        step = TRIED * float(np.linalg.norm(theta)) / max(float(np.linalg.norm(self.move)), 1e-150)
        self.theta = theta + step * self.move
        self._field()
        speeds, gates = self._rates()[0], self.gate.copy()
        self.theta = theta
        return speeds, gates

    def _needless(self, kink: Kink, kinds: Sequence[Kind], move: np.ndarray) -> bool:
        """Whether the flow is the same with the kink's kind on its side 0, which is then the one to be taken."""
        kind = next(kind for kind in kinds if kink in kind)
        side = int(self.mode[kink] == ON) if kind[kink] > 0 else int(self.mode[kink] == OFF)
        self._choose([kind], [0])
        self._field()
        self._choose([kind], [side])
        return side == 1 and bool((self.move == move).all())

    def _independent(self, kinds: Sequence[Kind]) -> bool:
        """Whether there are weights for every choice of sides."""
        names = [self.names[next(iter(kind))][0] for kind in kinds]
        if len(kinds) == 1:
            return True
        rows = [[float(a) for a in name] for name in names if isinstance(name, tuple) and name[0] == 0]
        return len(rows) == len(kinds) and int(np.linalg.matrix_rank(np.array(rows))) == len(kinds)

    def _rates(self) -> tuple[np.ndarray, np.ndarray]:
        """The rates of all pre-activations and the sums of their terms' sizes."""
        h = self.work[4]
        out, sizes = np.zeros(self.mode.shape), np.zeros(self.mode.shape)
        terms = self.work[1] @ np.abs(self.work[6][:-1])
        for i in range(len(self.mode)):
            rates(self.net, i, self.theta, self.move, self.mode, h, out[i])
            rates(self.net, i, np.abs(self.theta), terms, self.mode, np.abs(h), sizes[i])
        return out, sizes


def _marked(marks: np.ndarray) -> Iterator[Kink]:
    return ((i, layer, neuron) for i, layer, neuron in np.argwhere(marks).tolist())
