"""What a flow does at the kinks that it meets: gates change, slides begin and end, and it goes on in the subspace that
belongs to the new gates.
"""

from __future__ import annotations

import numpy as np

from harness.flow import undecided
from harness.flow.compiled.crowd import crowded
from harness.flow.compiled.field import look, rate, slide_coefficients, velocity, workspace
from harness.flow.compiled.state import ATTEMPTS, BOOKED, FIRST_STEP, STEP_SIZE
from harness.flow.kinks.departure import SampleUnit
from harness.flow.kinks.resolve import crossing, resolve
from harness.flow.kinks.rest import at_rest, pushed_back
from harness.flow.run import STANDS_STILL, Run
from harness.flow.undecided import Undecided

SLIGHT = 1e-9  # a jump, relative to what its pairs can contribute, that is zero
FIXED = 1e-12  # of the normal: what of it lies in the subspace by rounding
SMALLEST_NORMAL = 1e-300  # keeps a bound above zero


def cross(run: Run) -> None:
    """Change gates at the kinks that were hit and go on in the subspace that belongs to the new ones."""
    most = run.settings.kink_events * len(run.gates.gates) * len(run.gates.hidden)
    most = most if run.settings.events is None else min(most, run.settings.events)
    if len(run.events) >= most:
        done = "separated, but not converged" if run.separated else "not separated"
        raise Undecided(STANDS_STILL if run.stands_still() else f"{done} after {most} events at kinks")
    if _only_rounds(run):
        raise Undecided(STANDS_STILL)
    theta, gates = run.theta, run.gates
    if run.before:
        # what is passed on with the gates that end here
        run.before = run.before.since(gates, theta, float(run.state[BOOKED]))
    if crowded(gates.cell, theta, run.watch, run.hit, float(run.rtol)):
        run.passed_closely(run.log_norm)
    if run.state[BOOKED] > 0.0:
        run.held_events.append((run.log_norm, run.gaps(theta)))
    pairs = _where(run.hit & (run.watch != 0))
    pairs = [pair for pair in pairs if pair[1] in gates.first or _moves(run, pair, theta)]
    if len(pairs) == 1 and not run.ended.any() and _passes(run, pairs[0], theta):
        return
    if run.standing:
        # what it would leave with changes at this moment
        switching = pairs + list(gates.sliding_pairs())
        if not pushed_back(gates, theta, at_rest(gates, theta, run.watch), switching):
            raise Undecided(undecided.RESTING)
    before, sliding_before = gates.gates.copy(), gates.sliding_pairs()
    flat = gates.flat_representatives() + [pair for pair in pairs if pair[1] in gates.first]
    left: dict[SampleUnit, int] = {}
    if run.ended.any():
        coefficients, jumps = _coefficients(run, theta)
        for h in np.flatnonzero(run.ended)[::-1]:
            together = gates.beside_spare(int(h))
            if together:
                pairs += together
                continue
            if gates.undetermined(int(h)):
                raise Undecided(undecided.DEPENDENT)
            if jumps[h] > -SLIGHT:
                raise Undecided(undecided.SLIDE_FADES if gates.slides_are_independent else undecided.HELD)
            line = gates.end_slide(int(h), 1 if coefficients[h] > 0.5 else -1)
            left |= {(i, u): 1 if gates.on((i, u)) else -1 for i, u, _ in line.members}
    if pairs or (gates.curved and left):
        # in several layers what a slide leaves may turn the kinks that are met, and open what is above them
        together = gates.curved or (run.instance.network.depth > 2 and not gates.below)
        try:
            resolve(gates, theta, pairs, left if together else {})
        except Undecided as why:
            # those with which it came here
            gates.gates[:] = before
            if str(why) == undecided.TWO_VELOCITIES and _only_touched(run, pairs, theta):
                raise Undecided(undecided.GRAZES) from None
            raise
    sliding = gates.sliding_pairs()
    changed = set(_where(before != gates.gates)) | (sliding ^ sliding_before)
    for i, u in sorted(changed | set(pairs)):
        _tell(run, (i, u), "sliding" if (i, u) in sliding else "on" if gates.on((i, u)) else "off")
    run.enter(
        run.invariants.after(
            run.subspace, theta, gates.beside, flat, gates.independent_slides(), gates.representatives()
        ),
        theta,
    )
    _changed(run)


def _only_rounds(run: Run) -> bool:
    """Whether the flow has stood still for as many events as there are kinks: at rest rounding alone meets any."""
    if run.separated or run.state[ATTEMPTS] < run.settings.patience:
        return False
    run.still = run.still + 1 if run.stands_still() else 0
    return run.still > len(run.gates.gates) * len(run.gates.hidden)


def _passes(run: Run, pair: SampleUnit, theta: np.ndarray) -> bool:
    """Go through a kink of which both sides point the same way, if nothing but its gate changes.

    By far the most frequent event.  Where V was everything that moves it still is: it contains all of V that lies
    on the kink, and a velocity that does not.
    """
    blocks = run.subspace.blocks
    if not run.subspace.whole or np.count_nonzero(blocks == blocks[pair[0]]) > 1:
        return False
    side = crossing(run.gates, pair, theta)
    if side == 0:
        return False
    before = 1 if run.gates.on(pair) else -1
    run.gates.put(pair, side)
    if not run.invariants.as_free(run.subspace, run.gates.beside):
        run.gates.put(pair, before)
        return False
    run.watch[pair] = side
    _tell(run, pair, "on" if side > 0 else "off")
    _changed(run)
    return True


def _tell(run: Run, pair: SampleUnit, gate: str) -> None:
    row, unit = pair
    sample = run.instance.problem.rows[row][0]
    if row and run.instance.problem.rows[row - 1][0] == sample:
        return  # the gate of a neuron on a point is one, however many margins the point has
    layer = run.gates.layer(unit)
    neuron = unit - int(run.gates.net.uptr[layer]) + 1
    run.events.append({"log_norm": run.log_norm, "sample": sample, "layer": layer, "neuron": neuron, "gate": gate})


def _changed(run: Run) -> None:
    run.state[STEP_SIZE] = min(run.state[STEP_SIZE], FIRST_STEP)
    # what passed the second-order test under the gates before may be a saddle under these
    run.approach.forget()


def _only_touched(run: Run, pairs: list[SampleUnit], theta: np.ndarray) -> bool:
    """Whether one of the kinks that were met is not come nearer to any more, by more than errors.

    From a kink that repels there are two ways on, but the flow may have turned back right before it.
    """
    now, work = look(run.gates.cell, theta), workspace(run.gates.cell)
    velocity(run.gates.cell, theta, run.slides, work)
    terms = now.p @ np.abs(now.grad) * run.gates.growth(now.rho)
    # a neuron that comes to w = 0 meets several at once, however slowly
    alone = [pair for pair in pairs if run.watch[pair] and sum(unit == pair[1] for _, unit in pairs) == 1]
    normals = [run.gates.curved_normal(pair, theta) for pair in alone]
    return any(
        run.watch[pair] * (normal @ work.v) > -run.rtol * (np.abs(normal) @ terms)
        for pair, normal in zip(alone, normals, strict=True)
    )


def _moves(run: Run, pair: SampleUnit, theta: np.ndarray) -> bool:
    """Whether a deeper pre-activation can move at all within the invariant subspace."""
    normal = run.gates.curved_normal(pair, theta)
    return float(np.abs(normal @ run.subspace.basis).max()) > FIXED * float(np.abs(normal).max() + SMALLEST_NORMAL)


def _coefficients(run: Run, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    work = workspace(run.gates.cell)
    rate(run.gates.cell, theta, work)
    coefficients, jumps = np.empty(len(run.slides.normals)), np.empty(len(run.slides.normals))
    slide_coefficients(run.slides, run.gates.cell, theta, work, coefficients, jumps)
    return coefficients, jumps


def _where(mask: np.ndarray) -> list[SampleUnit]:
    """The pairs that a mask (n, units) has."""
    rows, units = mask.nonzero()
    return list(zip(rows.tolist(), units.tolist(), strict=True))
