"""A small neuron whose gates stand for ever beside a limit, so that it is known to die.

Beside the limit a small neuron z = (w, v) moves by z' = M z, M symmetric with A^T and A off its diagonal blocks, A =
sum_r c_r beta_r h_r^T over its inputs h_r . w, c_r its gates, beta_r linear in the multipliers lambda.  Where it
slides, h_r . w stays zero, and M is projected on that.  While the gates stand, z grows at most at the largest
eigenvalue of M.

They stand while some linear functionals of z are positive: on or off, the input on its side; for a slide, the speeds
towards the kink on either side of it, unless nothing ever moves on the negative side.  Samples on parallel kinks slide
on one line, of which the negative side is that of the first.  Let e be a unit vector and z = t (e + y), y orthogonal to
e.  With m = e . M e, r = |M e - m e|, and s the largest eigenvalue of M across e,

    |y|' <= r - (m - s) |y| + r |y|^2,

so that |y| <= k is never left where r (1 + k^2) <= (m - s) k.  Both sides are convex in M, and M is affine in lambda:
what holds at all corners of the polytope of multipliers holds wherever in it the weights of the samples are.

What else may push z by no more than a part `kick` of its present t turns it by (1 + k) kick / (m - r k - kick) at most,
altogether, since t grows at that rate; and a part of y across all that M moves, of the length a in the present t, stays
one of no more.

Where the slides leave w but one line, and one margin answers, z = (w, v) with ||w|| = |v| keeps its ray, whatever M is:
v^2 - ||w||^2 is conserved.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from harness.flow.kinks.departure import inmost

EVEN = 1e-6  # a rate as near to 1 is not told from it
EXACT = 1e-9  # of the rate 1 of the whole: what is zero by structure comes out smaller, the multipliers being as exact
ALIKE = 1e-6  # eigenvalues nearer to the largest are not told from it
ALONG = 1e-6  # of lengths: inputs that are nearly a combination of others
INSIDE = 1e-3  # of a coefficient, from the ends of its range
FAINT = 1e-290  # weights below it have lost their digits
ROOM = 0.9  # of the way from e to the first functional that vanishes


def dies_standing(
    h: np.ndarray,
    betas: np.ndarray,
    gates: np.ndarray,
    w: np.ndarray,
    v: np.ndarray,
    below: float,
    room: float,
    slack: float = 0.0,
    pushed: tuple[float, float] = (0.0, 0.0),
    walls: np.ndarray | None = None,
    balanced: bool = False,
) -> bool:
    """Whether the neuron dies with its gates as they are, whatever the multipliers are in their polytope.

    h (n, d): its inputs.  betas (c, n, k): how the margins answer to each, at every corner.  gates (n,): 1 on, 0 off, 2
    sliding.  w (d,), v (k,): of any scale.  below: the slope where it is off.  room: how far from (w, v), relative to
    it, the neuron may be.  slack: what else may be added to A, at most.  pushed: kick and a, relative to (w, v) as it
    is now; walls (c, n, k): then at the corners of all that may be betas, or more.  balanced: that ||w|| = |v|, always.
    """
    scale = max(np.abs(w).max(), np.abs(v).max())
    if scale < FAINT:
        return False
    felt = (betas != 0.0).any(axis=(0, 2)) & (h != 0.0).any(axis=1)
    walls = betas if walls is None else walls
    felt |= (walls != 0.0).any(axis=(0, 2)) & (h != 0.0).any(axis=1)
    h, betas, walls, gates = h[felt], betas[:, felt], walls[:, felt], gates[felt]
    sliding = gates == 2
    held, shares = _lines(h[sliding])
    lengths = np.linalg.norm(held, axis=1)
    if np.linalg.matrix_rank(held / lengths[:, None], tol=ALONG) < len(held):
        return bool(sliding.all()) and all(_pinned(h, beta, v / scale, below, room, slack) for beta in walls)
    onto = np.eye(len(w)) - np.linalg.pinv(held) @ held
    slopes = np.where(gates == 1, 1.0, below)
    # those that are on where their line is negative
    slopes[sliding] = np.where(shares.sum(axis=0) < 0.0, 1.0, below)
    pulls = np.einsum("n,cnk,nd->ckd", slopes, betas, h)
    matrices = [_symmetric(pull @ onto) for pull in pulls]
    values, vectors = np.linalg.eigh(np.mean(matrices, axis=0))
    if max(float(np.linalg.eigvalsh(matrix)[-1]) for matrix in matrices) + slack >= 1.0 - EVEN:
        return False
    z = np.append(onto @ (w / scale), v / scale)
    across = np.einsum("n,cnk,nd->ckd", slopes, walls, h)
    jumps = (1.0 - below) * np.einsum("sn,cnk->csk", np.abs(shares), walls[:, sliding])
    functionals = _functionals(h, gates, held, across, jumps)
    if balanced and len(v) == 1 and len(w) - len(held) == 1 and not (slack or any(pushed)):
        return room <= ROOM * _reach(functionals, z / np.linalg.norm(z))
    top = vectors[:, values > values[-1] - ALIKE]
    e = top @ (top.T @ z)
    size = float(np.linalg.norm(e))
    if not size > 0.0:
        return False
    away = float(np.linalg.norm(z / size - e / size)) + room
    e = e / size
    reach = _reach(functionals, e)
    k = ROOM * reach if any(pushed) else max(away, 0.5 * reach)
    # without a wall there is no cone to size: nothing is said
    if not math.isfinite(k) or k > ROOM * reach:
        return False
    if any(pushed):
        kick, aside = np.array(pushed) * float(np.linalg.norm(np.append(w / scale, v / scale))) / size
        return bears(matrices, e, k, away, float(kick), float(aside), slack)
    return all(_keeps(matrix, e, k, slack) for matrix in matrices)


def _pinned(h: np.ndarray, beta: np.ndarray, v: np.ndarray, below: float, room: float, slack: float) -> bool:
    """Whether a neuron that slides on all of its inputs h (n, d) goes on with that: then nothing of it moves.

    beta (n, k): how the margins answer to what it gives; the others as of dies_standing.  While all kinks attract, and
    there are coefficients inside their ranges by which its weights stand still, these cannot leave: what they would
    gain is negative in every direction, and linear in the multipliers.
    """
    drive, size = beta @ v, float(np.linalg.norm(v))
    # what v may be beside what it is
    errors = room * size * np.linalg.norm(beta, axis=1)
    jumps = (1.0 - below) * drive
    if (jumps + abs(1.0 - below) * errors >= 0.0).any():
        return False
    _, inside = inmost(h, below * drive @ h, jumps)
    values = np.linalg.svd(jumps[:, None] * h, compute_uv=False)
    pushes = slack * size + max(abs(below), 1.0) * float(errors @ np.linalg.norm(h, axis=1))
    return inside > INSIDE and pushes <= 0.5 * inside * float(values[values > ALONG * values[0]].min())


def _symmetric(a: np.ndarray) -> np.ndarray:
    rows, columns = a.shape
    return np.block([[np.zeros((columns, columns)), a.T], [a, np.zeros((rows, rows))]])


def _lines(h: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of inputs h (s, d) the first of every line, (lines, d), and what the others are of it, (lines, s), else 0."""
    first: list[int] = []
    shares = np.zeros((len(h), len(h)))
    for i, x in enumerate(h):
        for line, f in enumerate(first):
            share = float(x @ h[f]) / float(h[f] @ h[f])
            if np.linalg.norm(x - share * h[f]) <= ALONG * np.linalg.norm(x):
                shares[line, i] = share
                break
        else:
            shares[len(first), i] = 1.0
            first.append(i)
    return h[first], shares[: len(first)]


def _functionals(
    h: np.ndarray, gates: np.ndarray, held: np.ndarray, pulls: np.ndarray, jumps: np.ndarray
) -> list[np.ndarray]:
    """What is positive while the gates stand, each (d + k,).

    held (s, d): the lines that slide; pulls (c, k, d): A on their negative sides, jumps (c, s, k): across them.
    """
    rows, columns = pulls.shape[1:]
    found = [
        np.append((1.0 if gate else -1.0) * x, np.zeros(rows)) for x, gate in zip(h, gates, strict=True) if gate != 2
    ]
    if len(held):
        inverse = np.linalg.inv(held @ held.T)
        for pull, jump in zip(pulls, jumps, strict=True):
            # omega, the factors of the normals that keep the input zero, lie between the jump across the kink and 0
            omega = -inverse @ held @ pull.T
            found += [np.append(np.zeros(columns), row) for row in (*-omega, *(omega - jump))]
    return found


def _reach(functionals: Sequence[np.ndarray], e: np.ndarray) -> float:
    """The largest |y| up to which all of them are positive at e + y."""
    found = []
    for one in functionals:
        own = float(one @ e)
        across = float(np.linalg.norm(one - own * e))
        found.append(own / across if across > 0.0 else np.copysign(np.inf, own))
    return min(found, default=np.inf)


def _keeps(matrix: np.ndarray, e: np.ndarray, k: float, slack: float) -> bool:
    """Whether |y| <= k is not left."""
    m, r, s = _along_and_across(matrix, e)
    return (r + slack) * (1.0 + k * k) <= (m - s - slack + EXACT) * k


def bears(
    matrices: Sequence[np.ndarray], e: np.ndarray, k: float, away: float, kick: float, aside: float, slack: float
) -> bool:
    """Whether |y| <= k is not left from |y| <= away on if the neuron is pushed, whatever the matrices do between."""
    m, r, s = np.array([_along_and_across(matrix, e) for matrix in matrices]).T
    slowest = float((m - r * k).min()) - slack * (1.0 + k) - kick
    falls = float((m - s).min()) - slack
    if slowest <= 0.0 or falls <= 0.0:
        return False
    # from there on |y| falls, but for what is pushed
    least = float(((r + slack) * (1.0 + k * k) / (m - s - slack)).max())
    return max(away, least) + (1.0 + k) * kick / slowest + aside <= k


def _along_and_across(matrix: np.ndarray, e: np.ndarray) -> tuple[float, float, float]:
    """m, r and s."""
    moved = matrix @ e
    m = float(e @ moved)
    across = np.eye(len(e)) - np.outer(e, e)
    return m, float(np.linalg.norm(moved - m * e)), float(np.linalg.eigvalsh(across @ matrix @ across)[-1])
