"""That an exact KKT point of the margin problem lies next to a limit in floats.

Let S be the active samples with a multiplier.  A KKT point t with multipliers lambda > 0 on S is a zero of

    theta - sum_S lambda_i grad q_i(theta),     q_i(theta) - 1  for i in S,

in the trained parameters theta, with the gates that the signs give.  i counts margins, of which a sample has one for
every other class.  Where two neurons can be rotated into each other (symmetries.py) zeros come in
orbits; for independent tangents t_k = A_k theta0 of them sum_k mu_k t_k is added to the first part, and the rows
t_k . (theta - theta0).  The extended map F is square.  At its zeros mu = 0: the Lagrangian does not change along the
rotations, so that 0 = sum_k mu_k t_k . A_l theta for all l, and the matrix of the t_k . A_l theta is regular.

By the theorem of Newton and Kantorovich, if C is a matrix with |C F(z0)| <= Y, |1 - C F'(z0)| <= Z and F' has the
Lipschitz constant L in the ball, then F has exactly one zero within r of z0 = (theta0, lambda, 0) where
r >= 2 Y and Z + |C| L r <= 1/2.  C comes from floats; Y, Z and |C| are bounded in rationals.

The zero is a KKT point with the signs and the zero parameters of theta0:
- parameters that are zero in theta0 and that no path of nonzero weights through gates that are not silent (off, with a
  slope of 0) uses are held at zero: no gradient reaches them, whatever the others are.  In a linear network zeros may
  move a little;
- signs that are not zero survive a motion by r, and kinks are zero identically, since nothing that moves reaches them;
- lambda > 0, and the margins not in S are at least 1.
A kink that is heard on a sample of S is not covered.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np

from harness.certificates.definite import least_eigenvalue
from harness.certificates.gradients import heard, kinks_of, sign_gates
from harness.certificates.numbers import Rejected
from harness.certificates.parameters import flat
from harness.certificates.signs import Signs, Theta, weights
from harness.certificates.symmetries import Rotation, rotations, tangent
from harness.certificates.taylor import Exact, bounds, margin, margin_norms, require_small, sqrt_up
from harness.problem.networks import Network, preactivations
from harness.problem.numbers import Vector, dot, squared_norm
from harness.problem.places import Place
from harness.problem.problems import Problem

# C is rounded to this many binary places below its largest entry.
PLACES = 60
# Multipliers below this share of the largest are taken for zero.
SMALL = Fraction(1, 10**7)
# Parameters up to this are looked at, far within the range of floats.
LARGEST = Fraction(2) ** 200
# Smaller radii say nothing more.
LEAST = Fraction(1, 2**80)

Rows = list[list[Fraction]]


def kkt_point(given: Problem, theta: Theta, signs: Signs | None, multipliers: Vector) -> Fraction:
    """A radius about (theta, multipliers) in which an exact KKT point with the signs lies.

    theta: with min q = 1 up to rounding.  Raises Rejected where there is no proof.
    """
    top = max(multipliers)
    if top <= 0:
        raise Rejected("no multiplier is positive")
    require_small(given.network)
    used = _used(multipliers)
    if has_kinks(given, theta, signs, multipliers):
        raise Rejected("a kink is heard")
    if max(abs(v) for u in theta for v in u) > LARGEST:
        raise Rejected("a parameter is too large")
    free = free_parameters(given, theta, signs, used)
    if signs is not None and len(free) > sum(bool(v) for v in flat(given.network, theta)):
        raise Rejected("a parameter that is zero in theta may not be zero in the KKT point")
    system = _System(given, theta, signs, {i: multipliers[i] for i in used}, free)
    radius = system.radius()
    if any(multipliers[i] <= radius for i in used):
        raise Rejected("a multiplier is not clearly positive")
    _require_signs(given, theta, signs, radius)
    _require_margins(given, theta, signs, used, radius)
    return radius


def _used(multipliers: Vector) -> list[int]:
    """The margins whose multipliers are not rounding."""
    return [i for i, a in enumerate(multipliers) if a > SMALL * max(multipliers)]


def has_kinks(given: Problem, theta: Theta, signs: Signs | None, multipliers: Vector) -> bool:
    """Whether a kink on a margin with a multiplier is heard, and not zero whatever the weights are."""
    network = given.network
    for i in _used(multipliers):
        x = given.x[given.rows[i][0]]
        fed, paths = fed_inputs(network, theta, x, signs, i), heard(network, theta, signs, i)
        for layer, j in kinks_of(signs, i):
            if paths[layer][j] and moves(network, theta, layer, j, fed):
                return True
    return False


def moves(network: Network, theta: Theta, layer: int, neuron: int, fed: Sequence[Sequence[bool]]) -> bool:
    """Whether something nonzero reaches the neuron through a nonzero weight, and some weight below it is trained."""
    if not any(network.trained[: layer + 1]):
        return False
    return any(ok and w != 0 for ok, w in zip(fed[layer], weights(network, theta, layer)[neuron], strict=True))


class _System:
    """F at (theta, lambda, 0)."""

    def __init__(
        self,
        given: Problem,
        theta: Theta,
        signs: Signs | None,
        multipliers: Mapping[int, Fraction],
        free: Sequence[int],
    ) -> None:
        self.given, self.theta = given, theta
        self.multipliers = multipliers
        exact = Exact(given, theta)
        own = flat(given.network, theta)
        self.tangents = _tangents(given.network, own, signs, list(multipliers), free)
        gradients: Rows = []
        top: Rows = [[Fraction(int(r == c)) for c in free] for r in free]
        margins: list[Fraction] = []
        for i, a in multipliers.items():
            gates = sign_gates(given.network, signs, i) | dict.fromkeys(kinks_of(signs, i), 0)
            term = margin(exact.sample(i, gates)[-1], given.rows[i][1])
            value, gradient, hessian = exact.factors(i, given.network.depth)
            margins.append(value * int(term.value))
            gradients.append([gradient * int(term.gradient[p]) for p in free])
            for r, p in enumerate(free):
                for c, s in enumerate(free):
                    if term.hessian[p, s]:
                        top[r][c] -= a * hessian * int(term.hessian[p, s])
        pulls = [
            own[p] - sum((a * g[r] for a, g in zip(multipliers.values(), gradients, strict=True)), start=Fraction(0))
            for r, p in enumerate(free)
        ]
        self.value = [*pulls, *(q - 1 for q in margins), *(Fraction(0) for _ in self.tangents)]
        rest = len(gradients) + len(self.tangents)
        self.matrix = [
            [*row, *(-g[r] for g in gradients), *(t[r] for t in self.tangents)] for r, row in enumerate(top)
        ] + [[*row, *(Fraction(0) for _ in range(rest))] for row in (*gradients, *self.tangents)]

    def radius(self) -> Fraction:
        """r.  Raises Rejected."""
        inverse = _inverse(self.matrix)
        size = len(inverse)
        y = sqrt_up(squared_norm([dot(row, self.value) for row in inverse]))
        columns = list(zip(*self.matrix, strict=True))
        z = sqrt_up(
            sum(
                ((int(r == c) - dot(inverse[r], columns[c])) ** 2 for r in range(size) for c in range(size)),
                start=Fraction(0),
            )
        )
        radius = max(2 * y, LEAST)
        norm = sqrt_up(sum((squared_norm(row) for row in inverse), start=Fraction(0)))
        if z + norm * self._lipschitz(radius) * radius > Fraction(1, 2):
            raise Rejected("no exact KKT point could be proven next to theta: the conditions are nearly singular")
        self._require_tangents(radius)
        return radius

    def _lipschitz(self, radius: Fraction) -> Fraction:
        """Of F' in the ball: Hessians and gradients move with theta, and multipliers move."""
        given = self.given
        limits = bounds(given.network, self.theta, radius)
        norms = margin_norms(given)
        second, third = Fraction(0), Fraction(0)
        for i, a in self.multipliers.items():
            _, bend, twist = limits.of(given.network.depth, norms[i])
            second += bend**2
            third += a * twist
        return 2 * sqrt_up(second) + third

    def _require_tangents(self, radius: Fraction) -> None:
        """The t_k . A_l theta stay a regular matrix in the ball."""
        if not self.tangents:
            return
        gram = [[dot(a, b) for b in self.tangents] for a in self.tangents]
        trace = sum((gram[r][r] for r in range(len(gram))), start=Fraction(0))
        if least_eigenvalue(gram) <= sqrt_up(trace * len(gram)) * radius:
            raise Rejected("the tangents of the rotations are not clearly independent")


def _inverse(matrix: Rows) -> Rows:
    """An approximate inverse in short rationals.  Raises Rejected where floats find none."""
    try:
        found = np.linalg.inv(np.array([[float(v) for v in row] for row in matrix]))
    except (OverflowError, np.linalg.LinAlgError):
        found = np.array([[math.nan]])
    if not np.isfinite(found).all():
        raise Rejected("the KKT conditions are singular at theta")
    scale = Fraction(2) ** (PLACES - math.frexp(float(np.abs(found).max()) or 1.0)[1])
    return [[Fraction(round(Fraction(v) * scale)) / scale for v in row] for row in found.tolist()]


def _tangents(
    network: Network, own: Sequence[Fraction], signs: Signs | None, used: Sequence[int], free: Sequence[int]
) -> list[Vector]:
    """Independent tangents, on the free parameters, of rotations that leave q_i, i in used, as they are."""
    found: list[Vector] = []
    basis: list[np.ndarray] = []
    for rotation in rotations(network):
        if not _same_gates(signs, used, rotation):
            continue
        full = tangent(network, own, rotation)
        part = tuple(full[p] for p in free)
        rest = np.array([float(v) for v in part])
        length = float(np.linalg.norm(rest))
        for e in basis:
            rest = rest - float(rest @ e) * e
        # Two passes keep the basis orthogonal; a tangent that is nearly a combination of others is left out.
        if length and float(np.linalg.norm(rest)) > 1e-6 * length:
            basis.append(rest / np.linalg.norm(rest))
            found.append(part)
    return found


def _same_gates(signs: Signs | None, used: Sequence[int], rotation: Rotation) -> bool:
    layer, j, k = rotation
    return signs is None or all(signs[layer][i][j] and signs[layer][i][j] == signs[layer][i][k] for i in used)


def fed_inputs(network: Network, theta: Theta, x: Vector, signs: Signs | None, row: int) -> list[list[bool]]:
    """For the inputs of every layer, which a path of nonzero weights through gates that are not silent reaches.

    x: the point of the margin `row`.
    """
    live = [bool(v) for v in x]
    out = [live]
    for layer in range(network.depth - 1):
        matrix = weights(network, theta, layer)
        live = [any(ok and w != 0 for ok, w in zip(live, line, strict=True)) for line in matrix]
        if signs is not None and not network.slope:
            live = [ok and signs[layer][row][j] >= 0 for j, ok in enumerate(live)]
        out.append(live)
    return out


def free_parameters(given: Problem, theta: Theta, signs: Signs | None, used: Sequence[int]) -> list[int]:
    """The flat parameters that may be nonzero: those of theta, and those that a gradient then reaches."""
    network = given.network
    support = [[Fraction(bool(v)) for v in u] for u in theta]
    while True:
        reached = _reached(given, tuple(map(tuple, support)), signs, used)
        nonzero = flat(network, tuple(map(tuple, support)))
        if all(nonzero[p] for p in reached):
            return [p for p, value in enumerate(nonzero) if value]
        for u, offset, trained in zip(support, network.offsets, network.trained, strict=False):
            for k in range(len(u)) if trained else ():
                u[k] = Fraction(bool(u[k]) or offset + k in reached)


def _reached(given: Problem, theta: Theta, signs: Signs | None, used: Sequence[int]) -> set[int]:
    """The parameters that some q_i, i in used, can have a gradient at while the zeros of theta are zero."""
    network = given.network
    found: set[int] = set()
    for i in used:
        fed = fed_inputs(network, theta, given.x[given.rows[i][0]], signs, i)
        paths = [*heard(network, theta, signs, i), [True] * network.outputs]
        for layer in (k for k, trained in enumerate(network.trained) if trained):
            offset = network.offsets[layer]
            for r, row in enumerate(network.patterns[layer]):
                off = signs is not None and layer < network.depth - 1 and signs[layer][i][r] < 0
                silent = off and not network.slope
                if paths[layer][r] and not silent:
                    found |= {offset + k for k, live in zip(row, fed[layer], strict=True) if k >= 0 and live}
    return found


def _require_signs(given: Problem, theta: Theta, signs: Signs | None, radius: Fraction) -> None:
    """The signs hold at every point within the radius that has theta's zeros.  Raises Rejected."""
    if signs is None:
        return
    network = given.network
    limits = bounds(network, theta, radius)
    for i, (sample, _) in enumerate(given.rows):
        x = given.x[sample]
        steep = sqrt_up(squared_norm(x))
        fed = fed_inputs(network, theta, x, signs, i)
        inputs = preactivations(network, theta, x)
        for layer, block in enumerate(signs):
            for j, sign in enumerate(block[i]):
                place = str(Place(sample, layer, j))
                if sign and sign * inputs[layer][j] <= limits.of(layer + 1, steep)[0] * radius:
                    raise Rejected(f"the sign of {place} is not clear of the KKT point")
                if not sign and moves(network, theta, layer, j, fed):
                    raise Rejected(f"the input of {place} may not be zero in the KKT point")


def _require_margins(given: Problem, theta: Theta, signs: Signs | None, used: Sequence[int], radius: Fraction) -> None:
    """Every margin is at least 1 at the KKT point.  Raises Rejected."""
    limits = bounds(given.network, theta, radius)
    margins, norms = given.margins(theta), margin_norms(given)
    for i, (sample, _) in enumerate(given.rows):
        if i in used or margins[i] - limits.of(given.network.depth, norms[i])[0] * radius >= 1:
            continue
        if not any(_at_least(given, signs, i, b) for b in used):
            raise Rejected(f"the margin of sample {sample} may be less than 1 in the KKT point")


def _at_least(given: Problem, signs: Signs | None, k: int, b: int) -> bool:
    """Whether q_k = c q_b with c >= 1: a parallel sample with the same gates."""
    (sample_k, seed_k), (sample_b, seed_b) = given.rows[k], given.rows[b]
    signed_k = [s * v for s in seed_k for v in given.x[sample_k]]
    signed_b = [s * v for s in seed_b for v in given.x[sample_b]]
    c = next((p / q for p, q in zip(signed_k, signed_b, strict=True) if q), Fraction(0))
    same = signs is None or (seed_k == seed_b and all(block[k] == block[b] for block in signs))
    return c >= 1 and same and all(p == c * q for p, q in zip(signed_k, signed_b, strict=True))
