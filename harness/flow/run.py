"""One gradient flow on its way, up to a limit that is offered.

integrate until something happens -> resolve kinks, take the closure of the invariant subspace under the
new gates (crossing.py) -> now and then polish and ask whether the flow is going there.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from harness.flow.compiled.field import look, velocity, workspace
from harness.flow.compiled.integrator import Limits, integrate
from harness.flow.compiled.kernel import SMALL, entries_of, unit_sizes, wiring
from harness.flow.compiled.rodas import grade
from harness.flow.compiled.state import BOOKED, GRAZED, SEPARATED, SIGMA, at_start
from harness.flow.invariants.coordinates import Subspace
from harness.flow.invariants.subspaces import Invariants
from harness.flow.kinks.gates import Gates
from harness.flow.kinks.pinned import Pulls
from harness.flow.kinks.resolve import resolve
from harness.flow.kinks.rest import resting, stand_in
from harness.flow.separation import may_rest
from harness.flow.settling.approach import SPACING, Approach, distance_to
from harness.flow.settling.directions import Directions, narrower, spanned_by, wide_along
from harness.flow.settling.evened import Before
from harness.flow.settling.fate import Fates, dying, fate, still_turning
from harness.flow.settling.lasting import revived
from harness.flow.settling.polish import FAILED, SADDLE, SOLVED, polish
from harness.flow.settling.polytope import Multipliers
from harness.flow.settling.settle import settle
from harness.flow.undecided import GRAZES, LAYERED, PULLED, RESTING, RESTS, SPARE, Undecided
from harness.problem.instances import Instance
from harness.problem.points import Point

DYING = 1e-5  # of ||theta||: parameters that are tried as zeros where the limit is in doubt
SLUGGISH = 1e-6  # of ||theta||: the speed of a flow that a gradient of any size no longer drives
SHORT = 0.1  # of log-norm: so much before the softmax is held a flow with classes is looked at
ON_ITS_WAY = "a small neuron is still on its way"
STANDS_STILL = "the flow tends to a stationary point where the data are not separated"
LARGEST = 1e150  # of the norms that are squared: beyond it the squares leave the range of floats
PASSED = 0.2  # distance of the direction to a saddle, from which on the flow is followed again before it is believed
STRICT = 1e-8  # rtol of the second time, until the saddle or the kink is behind
CONTAINED = 1e-7  # of ||theta||: what the steps up to an event leave, by rounding, outside the subspace after it
TIED = 1e-10  # relative: margins nearer to the least are tight, by the exactness of the polish
CANCEL = 1e-6  # of terms: what is smaller has lost so many of its digits in their sum
LET_GO = 30.0  # units of log-norm, in which what is so much smaller is forgotten
BELIEVED = 1e-9  # KKT residual of a limit: the polish reaches 1e-10, and kinks add their own
EXACT = 1e-13  # KKT residual that is only rounding
SAME_VALUE = 1e-12  # relative: one value, to the rounding of a sum
SAME_POINT = 1e-2  # relative: ten times the error of a direction that has arrived, and less than between two points
WIDE = 24  # coordinates, from which on it pays to follow a network of two layers unit by unit
MATRICES = 8  # of all parameters squared, held at once


@dataclass(frozen=True)
class Settings:
    """rtol of the integrator.  freeze: inverse temperature at which the softmax is held.  firm: whether that has been
    raised, since margins nearly tie.

    strict, clock, goal: of a flow that is followed again, the log-norm and the sigma up to which, and beside a saddle,
    rtol is STRICT, and the point (N,) that it is to point at afterwards, None where it is to come to the end by itself.
    The log-norm alone would not do: it may fall.

    The caps are counts: patience, steps after which a proof is sought that the data are never separated; separation,
    steps by which they have to be; steps in all; kink_events, for every pair of a sample and a hidden unit.
    polish_from: min q from which polishes are tried.  farthest: the log-norm at which a flow is given
    up, since modes slower than the softmax is sharp cannot be resolved.
    events: at kinks, at most, where kink_events would allow more.  record_rows: steps that are recorded, at most.

    deadline: of the clock time.monotonic, infinite unless somebody asked for one: then the clock may decide.
    watch: told now and then how far a flow is.
    """

    rtol: float = 1e-5
    strict: float = -math.inf
    clock: float = -math.inf
    goal: np.ndarray | None = None
    freeze: float = 2e4
    firm: bool = False
    patience: int = 150
    separation: int = 3000
    steps: int = 10000
    kink_events: int = 50
    polish_from: float = 50.0
    farthest: float = 1e4
    record_rows: int = 4000
    events: int | None = None
    deadline: float = math.inf
    watch: Callable[[Run], None] | None = None

    @property
    def again(self) -> bool:
        """Whether the flow is followed a second time, with a smaller error."""
        return self.strict > -math.inf

    @property
    def watched(self) -> bool:
        return self.watch is not None or self.deadline < math.inf


class Run:
    """One flow on its way: coordinates z in the invariant subspace, the constant part, the integrator's state."""

    def __init__(self, instance: Instance, settings: Settings, record: bool, *, batched: bool = False) -> None:
        """batched: whether it is followed beside others, and so not looked at after every step."""
        _require_squares(instance)
        _require_room(instance)
        self.instance = instance
        self.settings = settings
        self.batched = batched
        self.record = np.zeros((settings.record_rows if record else 0, 2 + instance.network.size))
        net = wiring(instance.network)
        self.gates = Gates(instance, net)
        self.events: list[dict[str, Any]] = []
        self.approach = Approach(instance.network.degree)
        self.saddle: np.ndarray | None = None  # the last that the direction passed closely
        self.multipliers = Multipliers()
        network = instance.network
        self.classes = network.outputs > 2 and network.depth == network.degree == 2 and not network.shared
        # of a flow with classes, the last look at which the softmax had not been held
        self.before: Before | None = None
        self.told = False  # whether the flow has been followed with a softmax that is held later
        self.awaited: Point | None = None  # a limit that only waits for a small neuron
        self.astray = False  # whether it comes no nearer to a point that lies beyond a kink
        # of the events since the softmax is held: the log-norm, and by how much more than the least every margin is
        self.held_events: list[tuple[float, np.ndarray]] = []
        self.pulls = Pulls()
        self.still = 0  # events in a row at which it has stood still
        self.waiting: str | None = None  # for what, where the direction has come near to a KKT point
        # the log-norm and the sigma by which it, and the last kink that was grazed, was behind
        self.left = self.left_at = -math.inf
        theta0 = instance.network.flat(instance.theta0_float)
        self.state = at_start(float(np.linalg.norm(theta0)))
        self.invariants = Invariants(instance, net, self.gates.normals.normal)
        try:
            self._begin(theta0)
        except Undecided as why:
            # where no way on is known one solution may stay there
            if "not unique" not in str(why) and may_rest(instance):
                raise Undecided(RESTS) from None
            raise

    def _begin(self, theta0: np.ndarray) -> None:
        """Gates and subspace at the start theta0 (N,).  Raises Undecided."""
        zero = self.gates.start() if self.gates.kinked else []
        if zero:
            resolve(self.gates, theta0, zero)
        instance = self.instance
        exact = [v for row, own in zip(instance.theta0, instance.network.trained, strict=True) if own for v in row]
        subspace = self.invariants.start(
            exact, self.gates.beside, self.gates.independent_slides(), self.gates.representatives()
        )
        size = len(subspace.pivots) + int(subspace.constant.sum())
        # less than any start with these gates; or a start beside this one may have other gates for ever
        self.held = size < len(theta0) and size < self.invariants.usual(len(theta0), self.gates.beside)
        self.held = self.held or any(self._asleep(unit, theta0) for unit in {unit for _, unit in zero})
        self.enter(subspace, theta0)

    def _asleep(self, unit: int, theta0: np.ndarray) -> bool:
        """Whether a first unit of a relu network gives nothing at the start, and never will: no weight leads out."""
        gates = self.gates
        if unit not in gates.first or gates.below or gates.gates[:, unit].any():
            return False
        return not entries_of(gates.net, theta0)[gates.net.col == unit].any()

    def enter(self, subspace: Subspace, theta: np.ndarray) -> None:
        subspace = self._graded(subspace, theta)
        self.subspace = subspace
        self.constant = np.where(subspace.constant, theta, 0.0)
        self.z = theta[subspace.pivots]
        # coordinates alone are theta itself
        if subspace.shown and np.abs(self.theta - theta).max() > CONTAINED * np.linalg.norm(theta):
            raise Undecided("the invariant subspace does not contain the flow")
        self.slides = self.gates.compiled_slides()
        self.watch = self.gates.watch(subspace)
        self.balance = self.gates.balance(subspace, self.constant)
        self.tangent: Directions | None = None
        self.standing = False
        self.look_at_rest(theta)

    def _graded(self, subspace: Subspace, theta: np.ndarray) -> Subspace:
        """The same in other coordinates, where a weight of a small unit is a difference of larger ones in these."""
        if subspace.shown is None:
            return subspace
        net, size, rho = self.gates.net, len(theta), math.sqrt(theta @ theta)
        sizes, room, scales = np.empty(int(net.uptr[-1])), np.empty(size), np.empty(size)
        unit_sizes(net, theta, sizes)
        if not grade(net, np.arange(size), rho, sizes, room, scales):
            return subspace
        terms = np.abs(subspace.basis) @ np.abs(theta[subspace.pivots])
        cancel = (CANCEL * terms > scales * SMALL * rho) & (scales < 1.0) & ~subspace.constant
        cancel[subspace.pivots] = False
        if not cancel.any():
            return subspace
        led = subspace.led_by(np.argsort(scales, kind="stable"))
        return subspace if np.array_equal(led.pivots, subspace.pivots) else led

    def regrade(self) -> None:
        """Take other coordinates, where small units have become too small for these."""
        theta = self.theta
        graded = self._graded(self.subspace, theta)
        if graded is not self.subspace:
            self.enter(graded, theta)

    def look_at_rest(self, theta: np.ndarray) -> None:
        """Note what is on kinks unseen: at rest, by spare kinks, pinned.  Raises Undecided if it may leave."""
        rest = resting(self.gates, theta, self.watch)
        if rest == "leave" or (rest and self.batched):
            raise Undecided(RESTING)
        self.guarded = self.gates.spare_by_themselves()
        if self.guarded and (self.batched or not self.gates.spare_attract(theta)):
            raise Undecided(SPARE)
        if self.gates.pinned and self.batched:
            raise Undecided(PULLED)
        self.pulls.look(self.gates, theta)
        self.standing = bool(rest)
        if self.batched and len({self.gates.layer(unit) for _, unit in self.gates.sliding_pairs()}) > 1:
            raise Undecided(LAYERED)

    @property
    def stepwise(self) -> bool:
        """Whether it is to be looked at after every step."""
        return self.standing or self.guarded or bool(self.gates.pinned)

    @property
    def theta(self) -> np.ndarray:
        if self.subspace.shown is not None:
            return self.constant + self.subspace.basis @ self.z
        theta = self.constant.copy()
        theta[self.subspace.pivots] = self.z
        return theta

    @property
    def wide(self) -> bool:
        """Whether the flow is followed unit by unit (harness.flow.compiled.by_unit)."""
        return self.gates.by_unit and self.subspace.shown is None and len(self.z) >= WIDE

    @property
    def log_norm(self) -> float:
        return self._log_norm(self.theta)

    def _log_norm(self, theta: np.ndarray) -> float:
        size = math.sqrt(theta @ theta)
        return float(self.state[BOOKED]) + math.log(size) if size else -math.inf

    @property
    def separated(self) -> bool:
        return bool(self.state[SEPARATED])

    @property
    def _strict(self) -> float:
        """The log-norm up to which errors are kept smaller than the settings allow."""
        return max(self.settings.strict, self.left) if self.settings.again else -math.inf

    @property
    def rtol(self) -> float:
        """The error that the integrator is allowed here."""
        return self.settings.rtol if self._behind else min(self.settings.rtol, STRICT)

    @property
    def _behind(self) -> bool:
        """Whether the kinks and saddles that errors are kept smaller for are behind."""
        strict = self._strict
        return (strict == -math.inf or self.log_norm >= strict) and self.state[SIGMA] >= self.settings.clock

    def stands_still(self) -> bool:
        """Whether the flow has not separated the data and hardly moves any more."""
        if self.separated:
            return False
        work = workspace(self.gates.cell)
        rho = velocity(self.gates.cell, self.theta, self.slides, work)
        return float(np.linalg.norm(work.v)) <= SLUGGISH * rho

    def cap(self, steps: int) -> int:
        """The cap after this many steps; the same number where there is no other."""
        if steps < self.settings.patience:
            return self.settings.patience
        if steps < self.settings.separation:
            return min(self.settings.separation, self.settings.steps)
        return self.settings.steps if self.separated else steps

    def advance(self, target: float, steps: int) -> int:
        """Integrate until something happens; the integrator's code."""
        settings, state, rtol, strict = self.settings, self.state, self.rtol, self._strict
        if strict > -math.inf and self.log_norm < strict:
            target = min(target, strict)
        self.hit = np.zeros(self.gates.gates.shape, dtype=np.bool_)
        self.ended = np.zeros(len(self.slides.normals), dtype=np.bool_)
        limits = Limits(float(rtol), float(settings.freeze), float(target), float(settings.polish_from), int(steps))
        basis = np.empty((len(self.constant), 0)) if self.wide else self.subspace.basis
        code = integrate(
            self.gates.cell, self.z, self.constant, basis, self.subspace.pivots, self.watch,
            self.balance, self.slides, state, limits, self.record, self.hit, self.ended,
        )  # fmt: skip
        grazed = float(state[GRAZED])
        if grazed > -math.inf:
            if rtol < settings.rtol:
                raise Undecided(GRAZES)
            self.passed_closely(grazed)
            state[GRAZED] = -math.inf
        return code

    def gaps(self, theta: np.ndarray) -> np.ndarray:
        """By how much every margin is larger than the least, relative to that, (n,)."""
        q = look(self.gates.cell, theta).q
        return q / q.min() - 1.0

    def firmer(self, settled: Point) -> float | None:
        """The inverse temperature at which every margin that is not tight in the limit would be let go.

        Held at beta, a sample whose margin is by the part `gap` above the least keeps the weight exp(-beta gap) for
        ever, and beside an input that is constant or a mode that is slow this counts once the norm has grown by its
        inverse.  None where no margin was so near, in the end or at a kink met on the way.
        """
        loose = settled.margins - 1.0 > TIED
        if not loose.any():
            return None
        # the log-norm at which the least margin of the limit's direction is the inverse temperature
        begin = math.log(self.settings.freeze) / self.instance.network.degree + 0.5 * math.log(2.0 * settled.value)
        found: list[float] = []
        for log_norm, gaps in [(self.log_norm, settled.margins - 1.0), *self.held_events]:
            grown = max(log_norm - begin, 0.0)
            near = gaps[loose & (gaps > TIED) & (gaps * self.settings.freeze < grown + LET_GO)]
            found += ((grown + 2.0 * LET_GO) / near).tolist()
        return max(found, default=None)

    def passed_closely(self, log_norm: float) -> None:
        """Keep the log-norm, and now, until when a saddle or a kink was so near that errors matter; -inf for none."""
        if log_norm > -math.inf:
            self.left, self.left_at = max(self.left, log_norm), float(self.state[SIGMA])

    def directions(self) -> Directions:
        """Those along which no flat sliding kink is left."""
        if self.tangent is None and self.wide:
            slides, net = self.slides, self.gates.net
            owner = np.empty(len(slides.normals), dtype=np.int64)
            owner[slides.line] = slides.unit
            self.tangent = wide_along(net, ~self.subspace.constant, slides.normals, owner)
        elif self.tangent is None:
            self.tangent = spanned_by(self.tangent_basis())
        return self.tangent

    def tangent_basis(self) -> np.ndarray:
        """An orthonormal basis (N, r) of them."""
        flat = len(self.slides.normals) - len(self.slides.curved)
        return self.subspace.tangent(self.slides.normals[:flat])

    def next_polish(self) -> float:
        """The log-norm of the next one.  Raises Undecided."""
        now = self.log_norm
        if now > self.settings.farthest:
            raise Undecided(f"{self.waiting or 'separated, but not converged'} at log-norm {now:.0g}")
        due = self.approach.next(now)
        if self.classes and not self.state[BOOKED]:
            # the last look before the softmax is held, lest the least margin grow faster than a power of the norm
            least = float(look(self.gates.cell, self.theta).q.min())
            left = math.log(self.settings.freeze / least) / self.instance.network.degree if least > 0.0 else 0.0
            due = min(due, now + left - SHORT) if left > 2.0 * SHORT else due
        return due

    def polish(self) -> Point | None:
        """The limit, if the flow has come close enough to the point that the polish finds."""
        point, (q, multipliers) = self.theta, np.empty((2, len(self.gates.gates)))
        code, _ = polish(self.gates.cell, point, self.directions(), self.slides.curved, q, multipliers)
        return self.offer(code, point, q, multipliers)

    def offer(self, code: int, point: np.ndarray, q: np.ndarray, multipliers: np.ndarray) -> Point | None:
        """The limit, if what a polish found is to be believed.

        The polish ended with this code at a point (N,) with margins and multipliers (n,).
        """
        theta = self.theta
        if self.classes and not self.state[BOOKED]:
            self.before = Before.of(self.gates, theta)
        elif self.before:
            self.before = self.before.since(self.gates, theta, float(self.state[BOOKED]))
        self.awaited, self.astray = None, False
        size = math.sqrt(theta @ theta)
        log_norm, direction = float(self.state[BOOKED]) + math.log(size), theta / size
        # what a polish that failed has left is no point, and may overflow
        failed = code == FAILED
        value, distance = (
            (math.inf, math.inf) if failed else (0.5 * float(point @ point), distance_to(direction, point))
        )
        # where multipliers are not unique some pass the second-order test and others fail it
        leaving = code == SADDLE and not self.approach.knows(distance, value, q)
        if leaving:
            self.approach.forget()
            self.saddle = point if distance < PASSED else self.saddle
        if self.saddle is not None and distance_to(direction, self.saddle) < PASSED:
            self.passed_closely(log_norm + SPACING)
        if leaving or failed:
            return None
        if not self.approach.arrived(log_norm, distance, value, q) and not self._at_goal(point):
            return None
        settled = settle(self.instance, point, multipliers, self.gates)
        if settled is None or settled.residual > BELIEVED:
            self.astray = settled is None and self.approach.stands()
            return None
        settled = (self._without_tiny(point) or settled) if settled.doubt else settled
        self.waiting, small = self._not_yet(theta, settled)
        self.awaited = settled if self.waiting == ON_ITS_WAY else None
        if small is None:
            return None
        limit = revived(self.gates, settled, small.lasts)
        self.held = self.held or small.held
        return limit if limit.residual <= BELIEVED else None

    def _not_yet(self, theta: np.ndarray, settled: Point) -> tuple[str | None, Fates | None]:
        """Why a limit that the direction has come near to is not to be believed yet; else what becomes of the small."""
        limit = self.instance.network.flat(settled.theta)
        if self.standing and not stand_in(self.gates, theta, self.watch, limit, settled.multipliers):
            return "an input that rests on its kink may yet leave it", None
        if self.gates.pinned:
            return "a neuron at w = 0 may yet leave it", None
        small = dying(self.gates, self.subspace, theta, settled)
        booked = float(self.state[BOOKED])
        found = fate(self.gates, self.subspace, theta, booked, settled, small, self.multipliers, self.before)
        if found.fate == "wakes":
            # a saddle, though no direction along the gates of the moment shows it
            self.approach.forget()
        if found.fate != "dies":
            return ON_ITS_WAY, None
        gone = [unit for unit in small if unit not in {one.unit for one in found.lasts}]
        if still_turning(self.gates, self.watch, self.slides, theta, settled, gone):
            return "an input of a neuron is still on its way to zero", None
        return None, found

    def _at_goal(self, point: np.ndarray) -> bool:
        """Whether a flow that is followed again points, with the saddle behind it, where it did the first time."""
        goal = self.settings.goal
        return goal is not None and self._behind and same_point(point, goal)

    def _without_tiny(self, point: np.ndarray) -> Point | None:
        """The limit with its tiny parameters exactly zero, if that is a KKT point to rounding.

        Where a parameter only just dies the KKT system has a double root, known to the square root of rounding.
        """
        size = math.sqrt(point @ point)
        tiny = np.abs(point) < DYING * size
        if not tiny.any():
            return None
        part = narrower(self.gates.net, self.directions(), tiny)
        if not (part.wide or part.basis.shape[1]):
            return None
        # the polish takes its active samples from a softmax, so from a sharp one
        exact = np.where(tiny, 0.0, point) * self.settings.freeze ** (1.0 / self.instance.network.degree)
        q, multipliers = np.empty((2, len(self.gates.gates)))
        code, _ = polish(self.gates.cell, exact, part, self.slides.curved, q, multipliers)
        # a unit that is small but alive has a value of its own, of second order in its size; where others are tied to
        # the tiny ones the point may be another of the same value
        moved = np.linalg.norm(exact - point)
        another = abs(exact @ exact - size * size) > SAME_VALUE * size * size or moved > 10.0 * DYING * size
        if code != SOLVED or another:
            return None
        settled = settle(self.instance, exact, multipliers, self.gates)
        return settled if settled is not None and settled.residual <= EXACT and not settled.doubt else None


def _require_squares(instance: Instance) -> None:
    """Raises Undecided where the norm of the start or of a point has no square among the normal floats."""
    start = float(np.abs(np.concatenate(instance.theta0_float)).max(initial=0.0))
    points = np.abs(instance.x_float).max(axis=1)
    if max(start, points.max()) > LARGEST or 0.0 < min(start or 1.0, points.min()) < 1.0 / LARGEST:
        raise Undecided("the start or a point is so large or so small that its square is beyond the floats")


def _require_room(instance: Instance) -> None:
    """Raises Undecided where the flow does not fit in memory."""
    network, rows = instance.network, len(instance.problem.rows)
    first = network.widths[1] if network.depth > 1 else 0
    # the normals of the first layer, the gradients, and some square matrices: bases, Jacobians, factors
    bytes_ = 8 * network.size * (rows * (first + 4) + MATRICES * network.size)
    most = _memory()
    if bytes_ > most:
        raise Undecided(f"it would take about {bytes_ / 2**30:.0f} GiB of memory, and there are {most / 2**30:.0f}")


@cache
def _memory() -> int:
    """Of this machine, in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def same_point(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two KKT points (N,) are one, up to the errors of a flow that may end anywhere on a face of them."""
    return bool(np.linalg.norm(one - other) <= SAME_POINT * np.linalg.norm(other))
