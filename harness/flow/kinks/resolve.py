"""The sides that gates take where the flow meets kinks, together with the slides that it disturbs.

Flat kinks of one block are resolved together (departure.depart); where kinks of several layers meet, the field is
looked at face by face, and the coefficients are found from the deepest layer down.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction

import numpy as np

from harness.flow import undecided
from harness.flow.compiled.field import look
from harness.flow.compiled.kernel import entries_of
from harness.flow.kinks.alone import settle_alone
from harness.flow.kinks.answers import (
    below_what_is_off,
    close_unfed_units,
    open_unfed_units,
    second_order,
    shares_weights,
    sleeps,
    starts_to_be_heard,
    unheard,
)
from harness.flow.kinks.departure import Line, SampleUnit, depart, depart_by_face, gather, inmost
from harness.flow.kinks.faces import Apart, Faces
from harness.flow.kinks.gates import Gates
from harness.flow.kinks.lines import as_one, factors, singly
from harness.flow.kinks.normals import multiple
from harness.flow.kinks.pinned import SURELY, can_be_pinned, pull
from harness.flow.undecided import Undecided

# Of a Clarke coefficient, from the ends of its range: where there is less left a choice is towards its end, or none.
NARROW, OVER = 0.05, 1e-6

NONE: Mapping[SampleUnit, int] = {}

_TROUBLES = {
    "not unique": undecided.TWO_VELOCITIES,
    "faint": undecided.FAINT,
    "crowded": undecided.CROWDED,
    "closed": undecided.CLOSED,
}


def resolve(gates: Gates, theta: np.ndarray, zero: Iterable[SampleUnit], left: Mapping[SampleUnit, int] = NONE) -> None:
    """Choose sides for the pairs that are on their kinks at theta, together with the slides they disturb.

    left: pairs that have just come to the end of a slide, and the sides to which they leave along their kinks, if
    nothing else says more.  Raises Undecided.
    """
    pairs = set(zero) | set(left)
    for pair in pairs:
        gates.put(pair, -1)
    pairs = {pair for pair in pairs if not gates.unfed(pair)}
    deeper = gates.curved or any(unit not in gates.first for _, unit in pairs)
    if deeper or open_unfed_units(gates, sorted(pairs), theta):
        pairs |= gates.sliding_pairs()
        groups = [sorted(pairs)] if pairs else []
        gates.slides, gates.curved, gates.spare = [], [], []
    else:
        groups = _by_block(gates, pairs)
    for group in groups:
        _together(gates, theta, group, left)


def crossing(gates: Gates, pair: SampleUnit, theta: np.ndarray) -> int:
    """The side, 1 or -1, to which the flow crosses the flat kink of a pair at depth 2, without slides; 0 if not."""
    if gates.instance.network.depth != 2 or gates.slides:
        return 0
    sample, unit = pair
    before, gates.gates[pair] = gates.gates[pair], gates.below
    now = look(gates.cell, theta)
    gates.gates[pair] = before
    delta, p = now.delta, now.p * gates.growth(now.rho)
    if not delta[:, unit].any():
        return 0
    normal = gates.normals.float_normal(sample, unit)
    terms = p @ np.abs(now.grad)
    plus = np.array([p[sample] * delta[pair] * gates.cell.jump])
    departure = depart(normal[None, :], now.f, terms, plus, np.zeros(1))
    return departure.sides[0] if departure.status == "unique" else 0


def _by_block(gates: Gates, pairs: set[SampleUnit]) -> list[list[SampleUnit]]:
    """Flat kinks interact only where their units share weights; slides of the blocks concerned are taken in."""
    groups: dict[int, set[SampleUnit]] = {}
    for _, unit in pairs:
        groups.setdefault(gates.normals.block(unit), set())
    for i, u in pairs | {(i, u) for line in (*gates.slides, *gates.spare) for i, u, _ in line.members}:
        if gates.normals.block(u) in groups:
            groups[gates.normals.block(u)].add((i, u))
    gates.slides, gates.spare = (
        [line for line in lines if gates.normals.block(line.members[0][1]) not in groups]
        for lines in (gates.slides, gates.spare)
    )
    return [sorted(groups[key]) for key in sorted(groups)]


def _together(gates: Gates, theta: np.ndarray, pairs: list[SampleUnit], left: Mapping[SampleUnit, int]) -> None:
    """The same for pairs that may interact."""
    for pair in pairs:
        gates.put(pair, -1)
    for sample in {i for i, _ in pairs}:
        close_unfed_units(gates, sample)
    # the kink of a unit whose inputs are all off is theirs
    pairs = [pair for pair in pairs if not gates.unfed(pair)]
    pairs = settle_alone(gates, theta, pairs, left)
    torn = open_unfed_units(gates, pairs, theta)
    now = look(gates.cell, theta)
    pre, delta, p, base = now.pre, now.delta, now.p, now.f
    weights = p * gates.growth(now.rho)
    drive, terms = weights[:, None] * delta, weights @ np.abs(now.grad)
    # units whose gates make no difference yet: their incoming weights stand still, as where they are off
    felt = gates.gates != 0.0
    for pair in pairs:
        felt[pair] = True
    unmoved = {u for _, u in pairs if not delta[felt[:, u], u].any() and not shares_weights(gates, u)}
    if unmoved and torn:
        raise Undecided(undecided.BOTH_WAYS)
    unanswered: set[int] = set()
    for unit in sorted(unmoved):
        rates, asleep = base[gates.outgoing[unit]], sleeps(gates, unit, pairs, theta, pre)
        if asleep or below_what_is_off(gates, unit) or unheard(gates, unit):
            pairs = [pair for pair in pairs if pair[1] != unit]
        elif unit not in gates.first and entries_of(gates.net, theta)[gates.net.row == unit].any():
            # what it hears moves to first order, whatever its gates are
            unanswered.add(unit)
        elif unit not in gates.first or {u for _, u in pairs} != {unit}:
            raise Undecided(undecided.UNANSWERED_BESIDE if rates.any() else undecided.UNANSWERED)
        else:
            drive, base, terms = second_order(gates, unit, [i for i, _ in pairs], theta, now)
    lines = _gathered(gates, pairs, theta)
    if not lines:
        return
    idle: set[SampleUnit] = set()
    if torn or (len(lines) > 1 and not all(line.flat for line in lines)):
        try:
            faces = Faces(gates, theta, weights, lines, torn)
            departure = depart_by_face(faces, faces.on)
        except Apart:
            lines = [part for line in lines for part in ([line] if line.flat else singly(line))]
            faces = Faces(gates, theta, weights, lines, torn)
            departure = depart_by_face(faces, faces.on)
        lines, sides = faces.lines, departure.sides
        if departure.status == "unique":
            sides = faces.at_rest(sides)
            idle = faces.enter(sides)
        jumps = np.array([float(line.members[0][1] not in unanswered) for line in lines])
    else:
        plus, minus = factors(lines, drive * gates.cell.jump)
        departure = depart(np.array([gates.normal_of(line, theta) for line in lines]), base, terms, plus, minus)
        jumps, sides = plus + minus, departure.sides
    if departure.status != "unique":
        raise Undecided(_TROUBLES[departure.status])
    slides, alike = list[Line](), list[Line]()
    for line, side, jump in zip(lines, sides, jumps, strict=True):
        if line.members[0][:2] in idle:
            continue
        if line.members[0][1] in unanswered and not (np.abs(gates.normal_of(line, theta)) @ terms):
            # nothing moves its input, and both sides are alike, to first order
            alike.append(line)
        elif side:
            gates.set_side(line, side)
        elif all((i, u) in left for i, u, _ in line.members):
            for i, u, _ in line.members:
                gates.put((i, u), left[i, u])
        elif jump == 0.0:
            alike.append(line)
        elif any(starts_to_be_heard(gates, (i, u), theta) for i, u, _ in line.members):
            raise Undecided(undecided.HEARD)
        else:
            slides.append(line)
    slides = as_one(gates, slides, theta)
    # in a deeper relu network a gate that is between would feed what is unfed
    if gates.instance.network.depth == 2 or gates.below:
        slides = _without_spare(gates, slides, theta, alike)
    elif alike:
        raise Undecided(undecided.ALIKE)
    for line in slides:
        (gates.slides if line.flat else gates.curved).append(line)


def _without_spare(gates: Gates, slides: list[Line], theta: np.ndarray, alike: list[Line]) -> list[Line]:
    """Those of flat lines that attract by which the flow stays on all of them; the rest are spare.

    alike: those that add nothing now, since their samples no longer count.  Raises Undecided.

    Where their normals depend on each other there is a choice of coefficients: one that lasts, as far from the ends
    of their ranges as can be; or, towards the end of it, the one that is left last.
    """
    for line in alike:
        depends = (
            line.flat
            and all(other.flat for other in slides)
            and len(gates.normals.independent([*slides, line])) == len(gates.normals.independent(slides))
        )
        if not (depends and gates.attracts(line, look(gates.cell, theta))):
            raise Undecided(undecided.ALIKE)
    gates.spare += alike
    if not all(line.flat for line in slides) or len(gates.normals.independent(slides)) == len(slides):
        return slides
    now, normals = look(gates.cell, theta), np.array([gates.normals.direction(line) for line in slides])
    plus, minus = factors(slides, (now.p * gates.growth(now.rho))[:, None] * now.delta * gates.cell.jump)
    if (plus + minus >= 0.0).any():
        return [] if _pin(gates, slides, theta) else slides
    shares, room = inmost(normals, now.f - minus @ normals, plus + minus)
    if room <= OVER:
        return slides
    if room <= NARROW:
        shares = np.where(shares <= 2.0 * room + OVER, 0.0, np.where(shares >= 1.0 - 2.0 * room - OVER, 1.0, shares))
    inner = np.minimum(shares, 1.0 - shares)
    # what has the most to give balances the rest
    order = np.argsort(-inner * np.abs(plus + minus) * np.linalg.norm(normals, axis=1), kind="stable")
    kept = gates.normals.independent([slides[h] for h in order])
    for line, share in zip(slides, shares.tolist(), strict=True):
        if line.members[0][:2] not in kept:
            gates.spare.append(line)
            for i, u, t in line.members:
                gates.gates[i, u] = gates.below + gates.cell.jump * (share if t > 0 else 1.0 - share)
    return [line for line in slides if line.members[0][:2] in kept]


def _pin(gates: Gates, lines: list[Line], theta: np.ndarray) -> bool:
    """Whether lines pin their neuron, and are counted as such."""
    if not (can_be_pinned(gates, lines) and pull(gates, theta, lines[0].members[0][1]).greatest < -SURELY):
        return False
    gates.pinned += lines
    for i, u in ((i, u) for line in lines for i, u, _ in line.members):
        gates.gates[i, u] = 0.0
    return True


def _gathered(gates: Gates, pairs: list[SampleUnit], theta: np.ndarray) -> list[Line]:
    """The lines that pairs on their kinks belong to.  Raises Undecided."""
    lines = gather([pair for pair in pairs if pair[1] in gates.first], gates.normals.line)
    curved = [Line(False, [(*pair, Fraction(1))]) for pair in pairs if pair[1] not in gates.first]
    for line in curved:
        normal = gates.normal_of(line, theta)
        length = float(np.linalg.norm(normal))
        if length == 0.0:
            raise Undecided(undecided.NO_NORMAL)
        if any(multiple(normal, gates.normals.direction(flat)) is not None for flat in lines):
            raise Undecided(undecided.TOUCHING)
    return lines + as_one(gates, curved, theta)
