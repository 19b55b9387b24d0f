"""Which way the flow leaves a kink, and whether it has a choice.

At a point where pre-activations of the first hidden layer are zero the field is piecewise constant to
first order: f + sum_h omega_h n_h, one line n_h for all (sample, unit) pairs with parallel normals.
On the positive side of line h, omega_h = plus_h, the contribution of the pairs that switch on there; on
the negative side omega_h = -minus_h; sliding, anything between (docs/statements.md, section 2; A. F. Filippov,
Differential Equations with Discontinuous Righthand Sides, section 4).  Every sign vector tau names a face
and has at most one velocity d; it departs into its own face iff sign(d . n_h) = tau_h for all h.  If two
different velocities do, the flow is not unique.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, partial
from itertools import product

import numpy as np
from scipy.optimize import linprog, lsq_linear

SampleUnit = tuple[int, int]
"""A pre-activation as the flow counts them: the row of the margin, and the unit, all layers in one count."""
FAINT = 1e-290  # speeds below it have lost their digits
MOST_LINES = 7  # 3^7 faces, where all of them have to be tried
MOST_FACES = 3**8  # the same where normals depend on the face
MOST_TURNS = 50  # of a line: sides are settled after one or two of each
# Relative: exact normals, rounded once, that are parallel or dependent are so to 1e-16; the rest is for small angles,
# which make the velocities uncertain by as much.
_PARALLEL = _DEPENDENT = 1e-9
_EQUAL = 1e-11  # relative to the terms of a speed across a kink: what is smaller may be their rounding
ROUGH = 1e-10  # the same where the gates of the face have been found by sums themselves
_SAME = 1e-9  # two velocities closer than this are one, found in two closed faces
_SOLVER, _SOLVED = 1e-14, 1e2  # what the bounded least squares are asked for; times the rounding: what they are held to
_TINY = 1e-300  # keeps bounds apart, and divisors from zero


@dataclass
class Line:
    """Pairs that share one kink, flat or curved: (sample, unit, scale), scale times one normal being the pair's own."""

    flat: bool
    members: list[tuple[int, int, Fraction]]


def gather(pairs: list[SampleUnit], line_of: Callable[[SampleUnit], tuple[Hashable, Fraction] | None]) -> list[Line]:
    """Group pairs on flat kinks by parallel normals; pairs with a zero normal (a zero patch) are dropped.

    line_of(pair): a name of the line that its normal spans, the same for parallel ones, and its first number that is
    not zero; None if there is none.
    """
    if len(pairs) == 1:
        return [Line(True, [(*pairs[0], Fraction(1))])] if line_of(pairs[0]) else []
    lines: dict[Hashable, Line] = {}
    for pair in pairs:
        found = line_of(pair)
        if found is not None:
            lines.setdefault(found[0], Line(True, [])).members.append((*pair, found[1]))
    return list(lines.values())


@dataclass(frozen=True)
class Departure:
    """status: "unique", "not unique", "faint" (beyond the floats), "crowded" (too many faces) or "closed" (none is it).

    sides: +1, -1 or 0 (sliding) for every line.
    """

    status: str
    sides: tuple[int, ...] = ()


def depart(normals: np.ndarray, base: np.ndarray, terms: np.ndarray, plus: np.ndarray, minus: np.ndarray) -> Departure:
    """Resolve the lines through one point.

    normals (L, N), base (N,) the field with every pair of these lines off, terms (N,) the sum of the absolute values
    that it is summed from, plus and minus (L,): the factors of n_h that the pairs on either side of line h add (minus
    is subtracted).  A speed is compared with its own terms: units and samples may differ by any order of magnitude.
    """
    count = len(plus)
    if count == 1:
        return _depart_one(normals[0], base, terms, float(plus[0]), float(minus[0]))
    gram = normals @ normals.T
    inner, rounded, coupled = normals @ base, np.abs(normals) @ terms, np.abs(gram)
    independent = _independent(gram)
    faces = _possible(gram, inner, plus, minus) if independent else _faces(normals)
    if faces is None:
        return Departure("crowded")
    sizes = rounded + coupled @ (np.abs(plus) + np.abs(minus))
    if not sizes.any():
        return Departure("unique", (-1,) * count)
    if sizes[sizes > 0.0].min() < FAINT:
        return Departure("faint")
    found: list[tuple[np.ndarray, tuple[int, ...]]] = []
    may_stay = cache(partial(_may_stay, normals=normals, base=base, plus=plus, minus=minus))
    for face in faces:
        omega = _face_velocity(face, normals, gram, inner, rounded, plus, minus)
        if omega is None:
            continue
        slope = inner + gram @ omega
        small = _EQUAL * (rounded + coupled @ np.abs(omega))
        sides = np.where(np.abs(slope) <= small, 0, np.sign(slope)).astype(int)
        # a velocity along the kink belongs to the closed faces beside it, but is the sliding face's own
        if any(t != 0 and s not in (0, t) for t, s in zip(face, sides, strict=True)):
            continue
        if not (independent or may_stay(tuple(sides.tolist()))):
            continue
        # by the terms of two alone: jumps that neither makes say nothing of them
        if not any(
            (np.abs(gram @ (omega - other)) <= _SAME * (rounded + coupled @ np.maximum(abs(omega), abs(other)))).all()
            for other, _ in found
        ):
            found.append((omega, tuple(int(s) for s in sides)))
    return _only(found)


def _only(found: list[tuple[np.ndarray, tuple[int, ...]]]) -> Departure:
    """The departure with the one velocity that was found."""
    if len(found) == 1:
        return Departure("unique", found[0][1])
    return Departure("not unique" if found else "closed")


@dataclass(frozen=True)
class Face:
    """The normals (L, N), the velocity (N,) on a face, and the sums of the absolute values of its terms (N,).

    along: whether the velocity runs along the kinks that slide, as it is to; else rounding has grown.  off (L,): lines
    of neurons that get nothing there.
    """

    normals: np.ndarray
    velocity: np.ndarray
    terms: np.ndarray
    along: bool
    off: np.ndarray


def depart_by_face(faces: Iterable[tuple[int, ...]], on: Callable[[tuple[int, ...]], Face | None]) -> Departure:
    """The same where normals and factors depend on the face, as where kinks of several layers meet.

    faces: the sides of all.  on(sides): what the field is there; None where no coefficients keep the flow on the face.
    """
    found: list[tuple[np.ndarray, tuple[int, ...]]] = []
    for tried, sides in enumerate(faces):
        if tried == MOST_FACES:
            return Departure("crowded")
        face = on(sides)
        if face is None:
            continue
        slope, small = face.normals @ face.velocity, ROUGH * (np.abs(face.normals) @ face.terms)
        own = np.where((np.abs(slope) <= small) | (np.array(sides) == 0), 0, np.sign(slope)).astype(int)
        own[face.off] = -1
        if any(t != 0 and s not in (0, t) for t, s in zip(sides, own, strict=True)):
            continue
        if not face.along:
            return Departure("faint")
        # with the same sides two velocities differ along normals of kinks to which both are tangent: not at all
        sides = tuple(int(s) for s in own)
        if not any(sides == of or (np.abs(face.velocity - other) <= _SAME * face.terms).all() for other, of in found):
            found.append((face.velocity, sides))
        if len(found) > 1:
            return Departure("not unique")
    return _only(found)


def inmost(normals: np.ndarray, velocity: np.ndarray, jumps: np.ndarray) -> tuple[np.ndarray, float]:
    """Shares (s,) of the positive sides that keep the flow on kinks, as far from 0 and 1 as can be; and how far.

    normals (s, N), which may depend on each other; velocity (N,) on their negative sides; jumps (s,): the factors of
    the normals that their positive sides add to it.
    """
    _, values, right = np.linalg.svd(normals, full_matrices=False)
    along = right[values > _DEPENDENT * values[0]]
    matrix, target = (along @ normals.T) * jumps, -along @ velocity
    scale = np.abs(matrix).max(axis=1, keepdims=True)
    # the last unknown is how far; it is negative where there are no such shares
    count = len(jumps)
    rows = np.vstack([np.eye(count), -np.eye(count)])
    found = linprog(
        np.append(np.zeros(count), -1.0),
        A_ub=np.hstack([rows, np.ones((2 * count, 1))]),
        b_ub=np.repeat([1.0, 0.0], count),
        A_eq=np.hstack([matrix / scale, np.zeros((len(along), 1))]),
        b_eq=target / scale[:, 0],
        bounds=(None, None),
    )
    return (found.x[:-1], float(found.x[-1])) if found.status == 0 else (np.full(count, np.nan), -np.inf)


def leads_away(speeds: np.ndarray, room: float) -> bool:
    """Whether zero is no mean of the rows of speeds (c, k): in one direction all are above it, by more than room."""
    count, size = speeds.shape
    if size == 2:
        return bool((speeds @ _beyond(speeds)).min() > room)
    found = linprog(
        np.append(np.zeros(size), -1.0),
        A_ub=np.hstack([-speeds / np.abs(speeds).max(), np.ones((count, 1))]),
        b_ub=np.zeros(count),
        bounds=[*[(-1.0, 1.0)] * size, (None, 1.0)],
    )
    return found.status == 0 and bool((speeds @ found.x[:size]).min() > room * size)


def _beyond(speeds: np.ndarray) -> np.ndarray:
    """In a plane the direction (2,) opposite to the widest gap between the rows of speeds (c, 2)."""
    angles = np.sort(np.arctan2(speeds[:, 1], speeds[:, 0]))
    gaps = np.append(angles[1:], angles[0] + 2.0 * np.pi) - angles
    widest = int(np.argmax(gaps))
    middle = angles[widest] + 0.5 * gaps[widest]
    return -np.array([np.cos(middle), np.sin(middle)])


def _depart_one(normal: np.ndarray, base: np.ndarray, terms: np.ndarray, plus: float, minus: float) -> Departure:
    """The same for one line, by far the most frequent case: its three faces are compared as numbers."""
    square, inner, rounded = float(normal @ normal), float(normal @ base), float(np.abs(normal) @ terms)
    size = rounded + square * (abs(plus) + abs(minus))
    if size == 0.0:
        return Departure("unique", (-1,))
    if size < FAINT:
        return Departure("faint")
    found: list[tuple[float, int]] = []
    for face, omega in ((-1, -minus), (1, plus), (0, -inner / square)):
        slope = inner + square * omega if face else 0.0
        small = _EQUAL * (rounded + square * abs(omega))
        side = 0 if abs(slope) <= small else 1 if slope > 0.0 else -1
        if side not in (0, face) or not (face or _between(omega, -minus, plus, _EQUAL * rounded / square)):
            continue
        if not any(square * abs(omega - other) <= _SAME * size for other, _ in found):
            found.append((omega, side))
    if len(found) == 1:
        return Departure("unique", (found[0][1],))
    return Departure("not unique" if found else "closed")


def _between(omega: float, one: float, other: float, room: float) -> bool:
    """Whether a factor lies between two others, up to the rounding of each and so much room."""
    low, high = min(one, other), max(one, other)
    return low - _EQUAL * abs(low) - room <= omega <= high + _EQUAL * abs(high) + room


def _independent(gram: np.ndarray) -> bool:
    """Whether three lines or more have independent normals, by their Gram matrix."""
    lengths = np.sqrt(np.diag(gram))
    count = len(gram)
    return count > 2 and np.linalg.matrix_rank(gram / np.outer(lengths, lengths), tol=_DEPENDENT) == count


def _possible(gram: np.ndarray, inner: np.ndarray, plus: np.ndarray, minus: np.ndarray) -> list[np.ndarray] | None:
    """For all sides of the lines that repel, the sides (L,) that those which attract have beside them.

    A line attracts where the two sides of its kink push towards it.  With the sides of the others given, the velocity
    is the shortest vector of a convex set: there is one and no other.  None where lines are too many.
    """
    repelling = np.flatnonzero(plus + minus > 0.0)
    if len(repelling) > MOST_LINES:
        return None
    out: list[np.ndarray] = []
    for sides in product((-1, 1, 0), repeat=len(repelling)):
        face = np.zeros(len(plus), dtype=int)
        face[repelling] = sides
        if not _settle(face, gram, inner, plus, minus):
            return None
        out.append(face)
    return out


def _settle(face: np.ndarray, gram: np.ndarray, inner: np.ndarray, plus: np.ndarray, minus: np.ndarray) -> bool:
    """Settle the sides (L,) of the lines that attract, in place; whether that came to an end.

    The first line that is wrong is turned, until none is: K. G. Murty's rule, which never comes back to sides that it
    has left where the matrix is positive definite.
    """
    attracting = np.flatnonzero(plus + minus <= 0.0).tolist()
    for _ in range(MOST_TURNS * len(face)):
        on = np.flatnonzero(face == 0)
        omega = np.where(face > 0, plus, np.where(face < 0, -minus, 0.0))
        if len(on):
            omega[on] = -np.linalg.solve(gram[np.ix_(on, on)], (inner + gram @ omega)[on])
        slope = inner + gram @ omega
        for h in attracting:
            if face[h] == 0 and not plus[h] <= omega[h] <= -minus[h]:
                face[h] = 1 if omega[h] < plus[h] else -1
                break
            if face[h] * slope[h] < 0.0:
                face[h] = 0
                break
        else:
            return True
    return False


def _faces(normals: np.ndarray) -> list[np.ndarray] | None:
    """Sign vectors (L,), all those of the faces around the point among them; None if they are too many to list.

    Normals in one plane (a neuron with two weights that both become zero, say) cut it into sectors.
    """
    count = len(normals)
    if count > 2 and (within := _within(normals)[1]).shape[1] == 2:
        return [*np.unique(_around(within), axis=0), np.zeros(count, dtype=int)]
    if count > MOST_LINES:
        return None
    return [np.array(face) for face in product((-1, 1, 0), repeat=count)]


def _within(normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An orthonormal basis (k, N) of what normals (L, N) span, and there their directions (L, k)."""
    scaled = normals / np.linalg.norm(normals, axis=1)[:, None]
    _, values, right = np.linalg.svd(scaled, full_matrices=False)
    basis = right[values > _PARALLEL * values[0]]
    return basis, scaled @ basis.T


def _around(within: np.ndarray) -> np.ndarray:
    """In a plane the sides of lines (L, 2) on their rays and between these, (4 L, L)."""
    along = np.arctan2(within[:, 0], -within[:, 1])
    rays = np.sort(np.concatenate([along, along + np.pi]) % (2.0 * np.pi))
    between = 0.5 * (rays + np.append(rays[1:], rays[0] + 2.0 * np.pi))
    angles = np.concatenate([rays, between])
    heights = within @ np.array([np.cos(angles), np.sin(angles)])
    return np.where(np.abs(heights) <= _PARALLEL, 0, np.sign(heights)).astype(int).T


def sectors(within: np.ndarray) -> np.ndarray:
    """The sides (c, L) that the lines with normals (L, k) have of the parts into which they cut the space."""
    if within.shape[1] == 2:
        sides = _around(within)
        return np.unique(sides[(sides != 0).all(axis=1)], axis=0)
    # one line after the other; with every part there is the opposite one
    parts: list[tuple[int, ...]] = [(1,)]
    for count in range(2, len(within) + 1):
        tried = [(*part, side) for part in parts for side in (1, -1)]
        parts = [part for part in tried if leads_away(np.array(part)[:, None] * within[:count], _PARALLEL)]
    return np.array([*parts, *(tuple(-side for side in part) for part in parts)])


def _may_stay(
    sides: tuple[int, ...], normals: np.ndarray, base: np.ndarray, plus: np.ndarray, minus: np.ndarray
) -> bool:
    """Whether the flow may stay on the lines where sides are zero: zero is a mean of what it does across them beside.

    Where their normals depend on each other, coefficients between 0 and 1 allow for more, since not every choice of
    sides is that of a part of the space.
    """
    own = np.array(sides)
    on = own == 0
    if on.sum() < 3:
        return True
    basis, within = _within(normals[on])
    if len(basis) == len(within):
        return True
    fixed = base + np.where(own > 0, plus, np.where(own < 0, -minus, 0.0)) @ normals
    speeds = (fixed + np.where(sectors(within) > 0, plus[on], -minus[on]) @ normals[on]) @ basis.T
    largest = float(np.abs(speeds).max())
    return largest == 0.0 or not leads_away(speeds, ROUGH * largest)


def _face_velocity(face, normals, gram, inner, rounded, plus, minus) -> np.ndarray | None:
    """The factors omega (L,) of the velocity that stays in a face, None if no choice of coefficients does."""
    omega = np.where(face > 0, plus, np.where(face < 0, -minus, 0.0))
    on = np.flatnonzero(face == 0)
    if not len(on):
        return omega
    rest = (inner + gram @ omega)[on]
    block = gram[np.ix_(on, on)]
    lower = np.minimum(-minus[on], plus[on])
    upper = np.maximum(-minus[on], plus[on])
    small = _EQUAL * (rounded + np.abs(gram) @ np.abs(omega))[on]
    if len(on) == 1:
        solution = -rest / block[0]
    elif np.linalg.matrix_rank(block, tol=_DEPENDENT * np.diag(block).max()) == len(on):
        solution = -np.linalg.solve(block, rest)
    else:
        # dependent normals: any admissible choice gives the same velocity
        root = normals[on].T
        target = -np.linalg.lstsq(root.T, rest, rcond=None)[0]
        # the solver is as exact as the widest of the bounds
        small = small + _EQUAL * np.abs(block) @ np.maximum(np.abs(lower), np.abs(upper))
        wide = np.maximum(upper, lower + _TINY + small / np.diag(block))
        solution = lsq_linear(root, target, bounds=(lower, wide), method="bvls", tol=_SOLVER).x
        if np.abs(root.T @ (root @ solution - target)).max() > _SOLVED * small.max():
            return None
    room = (small + _EQUAL * np.abs(block) @ np.abs(solution)) / np.diag(block)
    if not all(map(_between, solution, lower, upper, room)):
        return None
    omega = omega.copy()
    omega[on] = solution
    return omega
