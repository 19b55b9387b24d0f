"""What the claims assume of a limit, three-valued: every weight, every weight vector, every neuron input is nonzero.

Weights are those that are trained; the weight vectors and the inputs of a fixed layer are what they are, exactly.

What is not zero in the limit's floats is clear of rounding (else the limit is in doubt), so "true" is sure.  What is
zero there is zero in the limit for a reason, or it is not known.  Reasons: no gradient reaches a parameter while the
other zeros are zero; nothing reaches an input; a Clarke coefficient between 0 and 1 holds it at zero; its patch is at
right angles to all that made the weights.  A zero by cancellation in the data is not known to be exact.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np

from harness.certificates.exists import fed_inputs, free_parameters, moves
from harness.oracles.exact import exact_theta
from harness.problem.networks import preactivations
from harness.problem.places import Place
from harness.problem.points import Point

NAMES = ("nonzero_weights", "nonzero_weight_vectors", "nonzero_inputs")
# A multiplier below this share of the largest, or a coefficient this close to 0 or 1, is none, or is 0 or 1.
SMALL = 1e-9


def assumptions(point: Point) -> dict[str, bool | None]:
    """For a limit in no doubt.  All are false if a neuron has a zero patch, or no incoming or no outgoing weights."""
    network = point.problem.network
    if not _connected(point):
        return dict.fromkeys(NAMES, False)
    sure, unsure = _zero_weights(point)
    vectors: bool | None = True
    for layer, width in enumerate(network.widths[1:-1]):
        for j in range(width):
            incoming, fixed = set(network.into(layer, j)), network.fixed[layer]
            if fixed is not None:
                if not any(fixed[k] for k in network.patterns[layer][j] if k >= 0):
                    vectors = False
            elif incoming <= sure:
                vectors = False
            elif incoming <= sure | unsure and vectors:
                vectors = None
    weights = False if sure else None if unsure else True
    return dict(zip(NAMES, (weights, vectors, _inputs(point)), strict=True))


def _connected(point: Point) -> bool:
    network = point.problem.network
    for own, above in pairwise(network.tables):
        if not ((own >= 0).any(axis=1).all() and (above >= 0).any(axis=0).all()):
            return False
    if network.depth == 1:
        return True
    x = point.problem.x_float
    return all(
        bool((x[:, [c for c, k in enumerate(row) if k >= 0]] != 0.0).any(axis=1).all()) for row in network.patterns[0]
    )


def _exact(point: Point) -> tuple[tuple[tuple[Fraction, ...], ...], tuple[tuple[tuple[int, ...], ...], ...] | None]:
    """theta and signs as the certificates have them."""
    theta = exact_theta(point.problem.network, point.theta)
    if not point.problem.network.kinked:
        return theta, None
    return theta, tuple(tuple(tuple(row) for row in np.asarray(block).tolist()) for block in point.signs or ())


def _used(point: Point) -> list[int]:
    multipliers = np.asarray(point.multipliers)
    return np.flatnonzero(multipliers > SMALL * multipliers.max(initial=0.0)).tolist()


def _zero_weights(point: Point) -> tuple[set[int], set[int]]:
    """Flat parameters that are zero for a reason, and zeros of which that is not known."""
    zeros = set(np.flatnonzero(point.problem.network.flat(point.theta) == 0.0).tolist())
    if not zeros:
        return set(), set()
    theta, signs = _exact(point)
    if signs is not None and not point.problem.network.slope:
        # A kink with coefficient 0 passes no gradient on.
        held = {kink.place for kink in point.kinks if kink.coefficient > SMALL}
        signs = tuple(
            tuple(
                tuple(s if s or Place(i, layer, j) in held else -1 for j, s in enumerate(row))
                for i, row in enumerate(block)
            )
            for layer, block in enumerate(signs)
        )
    free = set(free_parameters(point.problem, theta, signs, _used(point)))
    return zeros - free, zeros & free


def _inputs(point: Point) -> bool | None:
    places = [
        Place(i, layer, j) for layer, block in enumerate(point.signs or ()) for i, j in np.argwhere(block == 0).tolist()
    ]
    if not places:
        return True
    network = point.problem.network
    theta, signs = _exact(point)
    used = _used(point)
    low, high = sorted((float(network.slope), 1.0))
    sliding = {
        kink.place
        for kink in point.kinks
        if low + SMALL < kink.coefficient < high - SMALL and kink.place.sample in used
    }
    for place in places:
        i, layer, j = place
        x = point.problem.x[point.problem.rows[i][0]]
        if not any(network.trained[: layer + 1]):
            held = not preactivations(network, theta, x)[layer][j]
        else:
            live = fed_inputs(network, theta, x, signs, i)
            held = place in sliding or not moves(network, theta, layer, j, live)
        if held or _orthogonal(point, used, place):
            return False
    return None


def _orthogonal(point: Point, used: list[int], place: Place) -> bool:
    """Whether a first-layer input is zero at any KKT point with these gates.

    The neuron's weights are then a combination of its patches on the points it passes on, all at right angles to this.
    """
    i, layer, j = place
    problem = point.problem
    row, passes = problem.network.patterns[0][j], bool(problem.network.slope)
    if layer or not problem.network.lone[0].issuperset(problem.network.incoming(0, j)):
        return False
    on = {kink.place.sample for kink in point.kinks if kink.place.hidden == place.hidden and kink.coefficient > SMALL}
    signs = np.asarray(point.signs[0])
    columns = [c for c, k in enumerate(row) if k >= 0]
    x = [problem.x[sample] for sample, _ in problem.rows]
    return all(sum(x[k][c] * x[i][c] for c in columns) == 0 for k in used if passes or signs[k][j] > 0 or k in on)
