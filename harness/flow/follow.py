"""One gradient flow, from its start to its limit, and how it ends.

Counts of steps decide; the clock only where somebody asked for a deadline.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harness.flow.compiled import integrator
from harness.flow.compiled.state import ATTEMPTS, BOOKED, ROWS, SIGMA
from harness.flow.crossing import cross
from harness.flow.folding import Folded, fold
from harness.flow.run import STANDS_STILL, STRICT, Run, Settings, same_point
from harness.flow.separation import proof_of_no_separation, stationary_start
from harness.flow.settling.approach import NEAR, distance_to
from harness.flow.undecided import ELSEWHERE, NOWHERE, TIE, Undecided
from harness.problem.instances import Instance
from harness.problem.limits import Limit, Status
from harness.problem.points import Point

DEFAULT = Settings()
BETWEEN = 20  # steps between two looks at a flow that is watched
EVEN = 1e7, 1e9  # inverse temperatures at which most flows with classes tell what becomes of small neurons
FIRMEST = 1e11  # the inverse temperature at which margins are still known to a small part of 1 / beta
FIRM = 1e6  # and to the hundredth part of STRICT


class NeverSeparates(Exception):
    """Known before the first step; the message is the proof, a sentence."""


@dataclass(frozen=True)
class Ending:
    """How a flow ended; settled where it converged."""

    status: Status
    reason: str
    settled: Point | None = None

    @classmethod
    def converged(cls, settled: Point) -> Ending:
        return cls("converged", "The flow converged in direction to a KKT point.", settled)

    @classmethod
    def undecided(cls, why: Undecided) -> Ending:
        return cls("undecided", _sentence(str(why)))

    def limit(self, folded: Folded, run: Run | None, rows: np.ndarray | None) -> Limit:
        """run: None for a flow that never started; rows: what was recorded, None if nothing was."""
        if run is None:
            return Limit(folded.original, self.status, self.reason)
        return Limit(
            folded.original,
            self.status,
            self.reason,
            folded.unfold(self.settled) if self.settled else None,
            log_norm=run.log_norm,
            events=tuple({**event, "layer": event["layer"] + folded.layers} for event in run.events),
            evidence=tuple(run.approach.evidence),
            held=run.held,
            path=_path(rows) if rows is not None else None,
        )


def follow(instance: Instance, settings: Settings = DEFAULT, record: bool = False) -> Limit:
    """Follow one flow.  Never raises for what the flow does: the status of the Limit says it."""
    run, folded = None, fold(instance)
    try:
        run = Run(started(folded), settings, record)
        ending = _to_the_end(run)
    except NeverSeparates as why:
        ending = Ending("never_separates", str(why))
    except Undecided as why:
        ending = Ending.undecided(why)
    return ending.limit(folded, run, run.record[: int(run.state[ROWS])] if run and record else None)


def started(folded: Folded) -> Instance:
    """What the trainer is to follow.  Raises NeverSeparates."""
    if folded.instance is None:
        raise NeverSeparates(f"The layers that are fixed send point {folded.lost} to zero, so that its margin stays 0.")
    return folded.instance


def _to_the_end(run: Run) -> Ending:
    target, steps = -np.inf, run.cap(0)
    while True:
        # one that is watched is looked at every few steps, and some after every one: they are cut at the same places,
        # and nothing else changes
        stride = 1 if run.stepwise else BETWEEN if run.settings.watched else steps
        until = min(steps, int(run.state[ATTEMPTS]) + stride)
        code = run.advance(target, until)
        if run.stepwise:
            run.look_at_rest(run.theta)
        if run.settings.watched:
            _look(run)
        if code == integrator.OUT_OF_STEPS and until < steps:
            continue
        if code == integrator.EVENT:
            cross(run)
        elif code == integrator.DUE:
            settled = run.polish() or held_later(run)
            if settled:
                return arrived(run, settled)
            run.regrade()
            target = run.next_polish()
        else:
            ending = without_limit(run, code, steps)
            if ending:
                return ending
            steps = run.cap(steps)


def _look(run: Run) -> None:
    """Tell whoever watches.  Raises Undecided where the time is up."""
    if run.settings.watch:
        run.settings.watch(run)
    if time.monotonic() > run.settings.deadline:
        where = f"log-norm {run.log_norm:.4g}, {len(run.events)} events, {int(run.state[ATTEMPTS])} steps"
        raise Undecided(f"the time that was asked for is over, at {where}")


def held_later(run: Run) -> Point | None:
    """The limit of a flow that waits in vain with a softmax that is held, where one that is held later tells it.

    It waits for a small neuron whose fate is not known, of a network with classes; or where it points the softmax keeps
    an input on the one side of a kink that the limit has on the other.  Asked once.
    """
    awaited, settings, flat = run.awaited, run.settings, run.instance.network.flat
    waits = run.astray or (run.classes and awaited is not None)
    if not waits or not run.state[BOOKED] or run.told or settings.freeze >= EVEN[0]:
        return None
    run.told = True
    for freeze in EVEN:
        later = follow(run.instance, replace(settings, freeze=freeze))
        again = later.point
        if again is None:
            continue
        if awaited is None:
            # a softmax that is held moves the point that it is nearest to by little more than its temperature
            near = distance_to(run.theta / np.linalg.norm(run.theta), flat(again.theta)) < NEAR
        else:
            near = same_point(flat(again.theta), flat(awaited.theta))
        if near:
            run.held = run.held or later.held
            return again
    return None


def arrived(run: Run, settled: Point) -> Ending:
    """How a flow ends whose limit was found.

    Near a saddle errors grow: which way the flow leaves may be the integrator's choice, as the side of a kink that is
    grazed.  A second time with a smaller error must lead to the same limit.  Where margins nearly tie with the least,
    the softmax may have been held too early, and one that is held later must lead there, too.
    """
    settings, flat = run.settings, run.instance.network.flat
    if settings.again:
        return Ending.converged(settled)
    goal = flat(settled.theta)

    def leads_there(**changes: Any) -> bool | None:
        """Whether the flow ends there with other settings; None where it has no limit."""
        again = follow(run.instance, replace(settings, **changes))
        return None if again.theta is None else same_point(flat(again.theta), goal)

    closely = run.left > -math.inf and settings.rtol > STRICT
    freeze = None if settings.firm else run.firmer(settled)
    caps = {key: 10 * getattr(settings, key) for key in ("patience", "separation", "steps")}
    smaller: dict[str, Any] = {"strict": run.left, "clock": run.left_at, **caps}
    firmer: dict[str, Any] = {"freeze": freeze, "firm": True}
    # both at once, where the margins are known to the smaller error; if this does not lead there, one by one
    if closely and freeze is not None and freeze <= FIRM and leads_there(**smaller, **firmer):
        return Ending.converged(settled)
    found = leads_there(**smaller, goal=goal) if closely else True
    if not found:
        return Ending.undecided(Undecided(NOWHERE if found is None else ELSEWHERE))
    if freeze is not None and not (freeze <= FIRMEST and leads_there(**firmer)):
        return Ending.undecided(Undecided(TIE))
    return Ending.converged(settled)


def without_limit(run: Run, code: int, steps: int) -> Ending | None:
    """How a flow ends that the integrator stopped with this code after so many steps; None where it is to go on."""
    if code == integrator.OUT_OF_STEPS and run.cap(steps) > steps:
        proof = proof_of_no_separation(run.instance) if steps == run.settings.patience and not run.separated else None
        return Ending("never_separates", proof) if proof else None
    return Ending(*_without_limit(run, code, steps))


def _without_limit(run: Run, code: int, steps: int) -> tuple[Status, str]:
    if code == integrator.STATIONARY:
        still = not len(run.z) or (run.state[SIGMA] == 0.0 and stationary_start(run.instance))
        if not run.separated and still:
            return "never_separates", "Stationary: every gradient vanishes exactly, and no other solution departs."
        proof = None if run.separated else proof_of_no_separation(run.instance)
        if proof:
            return "never_separates", proof
        return "undecided", _sentence(STANDS_STILL)
    if code == integrator.OUT_OF_STEPS:
        if run.stands_still():
            return "undecided", _sentence(STANDS_STILL)
        done = "Separated, but not converged" if run.separated else "Not separated"
        return "undecided", f"{done} after {steps} steps."
    return "undecided", "The step size underflowed."


def _sentence(reason: str) -> str:
    return f"{reason[0].upper()}{reason[1:]}."


def _path(rows: np.ndarray) -> dict[str, np.ndarray]:
    """The recorded path: log_norm (T,), sigma (T,), direction theta / ||theta|| (T, N), booked (T,).

    The softmax is the one at log_norm - booked: held, where not all of the growth can be seen in it any more.
    At theta = 0 the log-norm is -inf and the direction is 0.
    """
    theta = rows[:, 2:]
    norms = np.linalg.norm(theta, axis=1)
    with np.errstate(divide="ignore"):
        log_norm = rows[:, 0] + np.log(norms)
    direction = theta / np.where(norms > 0.0, norms, 1.0)[:, None]
    return {"log_norm": log_norm, "sigma": rows[:, 1], "direction": direction, "booked": rows[:, 0]}
