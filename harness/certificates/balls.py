"""Kind "ball": no feasible point in a ball about theta costs less than (1 - 1e-9) of what theta costs.

    {"kind": "ball", "problem": "full", "scope": "local", "theta": ..., "signs": ..., "radius": number,
     "rotations": [[layer, neuron, neuron], ...], "tree": T}
    T = {"split": PLACE, "on": T, "off": T}
        or {"alpha": [n], "nu": [[*PLACE, number], ...], "rho": number, "tau": number, "mu": number}

PLACE is [sample from 0, layer from 1, neuron from 1].  The ball is so small that every pre-activation whose sign is not
0 keeps it; the tree splits on the gates of kinks.  At a leaf, gates that are still open must not change value, gradient
and Hessian of what is used (taylor.py).  With p_r = +-pre-activation >= 0 at the kinks given, alpha, nu, rho > 0 let

    F(t) = 1/2 |t|^2 + sum_i (-alpha_i (q_i - 1) + rho/2 (q_i - 1)^2) + sum_r (-nu_r p_r + rho/2 p_r^2)

over the i with alpha_i > 0 and the r with nu_r > 0.  Where 0 <= q_i - 1 <= 2 alpha_i / rho and 0 <= p_r <= 2 nu_r / rho
no bracket is positive, so that F(t) <= 1/2 |t|^2 on feasible points of the cell; the ball is small enough for the
upper limits.  With g and H the gradient and Hessian of F at theta and K a bound on its third derivative in the ball,

    F(theta + s) >= F(theta) - |g| |s| + 1/2 s'Hs - K/6 |s|^3 >= F(theta) - |g| radius,

if s'Hs >= mu |s|^2 and mu >= K radius / 3.  F(theta) - |g| radius is then the bound.

Directions in which nothing changes.  Two neurons with the same gates on every sample used, and no inequality of their
own, can be rotated into each other without changing F or |t| (symmetries.py).  Let T be the tangents at theta of the
rotations listed.  In the orbit of a point t under these rotations take the one closest to theta: it is no further from
theta than t, F is the same there, and its difference s to theta is orthogonal to T, because the generators are skew.
So only such s matter: H + tau sum_T t t' - mu is positive semidefinite, which is checked in rationals (for H rounded,
less the error).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from harness.certificates.answer import Checked
from harness.certificates.curves import Place, gates_of
from harness.certificates.definite import positive_semidefinite
from harness.certificates.numbers import (
    Rejected,
    Vector,
    array,
    choice,
    fields,
    float_down,
    float_up,
    integer,
    number,
    rows,
    squared_norm,
    vector,
)
from harness.certificates.signs import Signs, Theta, read_signs, require_signs
from harness.certificates.symmetries import Rotation, tangent
from harness.certificates.taylor import Bounds, Exact, Term, bounds, sqrt_up
from harness.instances import Instance
from harness.networks import FieldError, preactivations

GAP = Fraction(1, 10**9)
MAX_LEAVES = 1024
# H is rounded to this many binary places before it is tested.
PLACES = 44


@dataclass
class _Walk:
    """Where the reading of the tree stands: the kinks' gates so far, and the least bound of the leaves seen."""

    gates: dict[Place, int] = field(default_factory=dict)
    least: Fraction | None = None
    leaves: int = 0


def check_ball(instance: Instance, certificate: object) -> Checked:
    """Raises FieldError on a wrong shape; Rejected where it proves nothing."""
    network = instance.network
    found = fields(
        certificate, "certificate", ("kind", "problem", "scope", "theta", "signs", "radius", "rotations", "tree")
    )
    choice(found["problem"], "certificate.problem", ("full",))
    choice(found["scope"], "certificate.scope", ("local",))
    theta = rows(found["theta"], "certificate.theta", network.sizes)
    signs = read_signs(found["signs"], "certificate.signs", instance)
    radius = number(found["radius"], "certificate.radius")
    if radius <= 0:
        raise Rejected("the radius is not positive")
    lowest = min(instance.margins(theta))
    if lowest <= 0:
        raise Rejected("theta has a margin that is not positive")
    if signs is not None:
        require_signs(instance, theta, signs)
    ball = _Ball(instance, theta, signs, radius, _read_rotations(found["rotations"], instance))
    walk = _Walk()
    ball.walk(found["tree"], "certificate.tree", walk)
    cost = squared_norm(ball.flat) / 2
    # At least what theta costs at least margin 1: lowest^(-2/m) <= lowest^(-2) where lowest <= 1.
    worth = cost / lowest**2 if lowest < 1 else cost
    assert walk.least is not None
    below, above = float_down(walk.least), float_up(worth)
    if walk.least < (1 - GAP) * worth:
        raise Rejected(f"the bound is {below:.12g}, less than (1 - 1e-9) times the value {above:.12g}")
    gap = max(0.0, float_up(1 - walk.least / worth))
    reason = f"no feasible point within {float(radius):.1e} of theta costs less than {below:.12g}"
    return Checked(True, reason, above, below, gap)


def _read_rotations(value: object, instance: Instance) -> list[Rotation]:
    out: list[Rotation] = []
    network = instance.network
    for e, entry in enumerate(array(value, "certificate.rotations")):
        parts = array(entry, f"certificate.rotations[{e}]", 3)
        place = f"certificate.rotations[{e}]"
        layer = integer(parts[0], place, 1, network.depth - 1)
        j, k = (integer(part, place, 1, network.widths[layer]) for part in parts[1:])
        if j == k:
            raise FieldError(place, "a neuron cannot be rotated into itself")
        out.append((layer - 1, j - 1, k - 1))
    return out


class _Ball:
    def __init__(
        self,
        instance: Instance,
        theta: Theta,
        signs: Signs | None,
        radius: Fraction,
        rotations: Sequence[Rotation],
    ) -> None:
        self.instance, self.theta, self.signs, self.radius = instance, theta, signs, radius
        self.flat: Vector = tuple(v for u in theta for v in u)
        self.exact = Exact(instance, theta)
        self.bounds: Bounds = bounds(instance.network, theta, radius)
        self.norms = [sqrt_up(squared_norm(x)) for x in instance.x]
        self.rotations = rotations
        self.tangents = [tangent(instance.network, self.flat, rotation) for rotation in rotations]
        self._require_signs_kept()

    def _require_signs_kept(self) -> None:
        """The ball is within the region of the signs.  Raises Rejected."""
        for i, x in enumerate(self.instance.x if self.signs is not None else ()):
            inputs = preactivations(self.instance.network, self.theta, x)
            for layer, block in enumerate(self.signs or ()):
                steep = self.bounds.of(layer + 1, self.norms[i])[0]
                for j, sign in enumerate(block[i]):
                    if sign * inputs[layer][j] <= steep * self.radius and sign:
                        raise Rejected(
                            f"the ball reaches the kink of neuron {j + 1} of layer {layer + 1} on sample {i}"
                        )

    def walk(self, node: object, at: str, walk: _Walk) -> None:
        """The leaves below a node.  Raises Rejected."""
        if "split" not in fields(node, at, (), None):
            walk.leaves += 1
            if walk.leaves > MAX_LEAVES:
                raise Rejected(f"more than {MAX_LEAVES} leaves")
            bound = self._leaf(node, at, walk.gates)
            walk.least = bound if walk.least is None else min(walk.least, bound)
            return
        split = fields(node, at, ("split", "on", "off"))
        place = self._place(split["split"], f"{at}.split")
        if place in walk.gates or self.signs is None or self.signs[place[1]][place[0]][place[2]]:
            raise Rejected(f"{at} splits on a gate that is given already")
        for gate, side in ((1, "on"), (0, "off")):
            walk.gates[place] = gate
            self.walk(split[side], f"{at}.{side}", walk)
        del walk.gates[place]

    def _place(self, value: object, at: str) -> Place:
        sample, layer, neuron = array(value, at, 3)
        sample = integer(sample, at, 0, self.instance.n - 1)
        layer = integer(layer, at, 1, self.instance.network.depth - 1)
        return sample, layer - 1, integer(neuron, at, 1, self.instance.network.widths[layer]) - 1

    def _leaf(self, node: object, at: str, chosen: Mapping[Place, int]) -> Fraction:
        """The bound of a leaf.  Raises Rejected."""
        found = fields(node, at, ("alpha", "nu", "rho", "tau", "mu"))
        n = self.instance.n
        alpha = vector(found["alpha"], f"{at}.alpha", n)
        nu: dict[Place, Fraction] = {}
        for e, entry in enumerate(array(found["nu"], f"{at}.nu")):
            parts = array(entry, f"{at}.nu[{e}]", 4)
            nu[self._place(parts[:3], f"{at}.nu[{e}]")] = number(parts[3], f"{at}.nu[{e}][3]")
        rho, tau, mu = (number(found[key], f"{at}.{key}") for key in ("rho", "tau", "mu"))
        if min(alpha) < 0 or min(nu.values(), default=Fraction(0)) < 0 or rho <= 0 or tau < 0 or mu <= 0:
            raise Rejected(f"{at}: a multiplier is negative, or rho or mu is not positive")
        gates = gates_of(self.signs, chosen, n)
        used = {i for i, a in enumerate(alpha) if a} | {place[0] for place, a in nu.items() if a}
        self._require_invariant(used, gates, [place for place, a in nu.items() if a])
        terms = {i: self.exact.sample(i, gates[i]) for i in used}
        sums = _Sums(self.flat)
        for i, a in enumerate(alpha):
            if a:
                sums.add(
                    self._part(terms[i][-1][0], i, self.instance.network.depth, self.instance.y[i], 1),
                    a,
                    rho,
                    self.radius,
                )
        for (i, layer, j), a in nu.items():
            if not a:
                continue
            if (i, layer, j) not in chosen:
                raise Rejected(f"{at}: nu is at an open gate")
            side = 1 if chosen[i, layer, j] else -1
            sums.add(self._part(terms[i][layer][j], i, layer + 1, side, 0), a, rho, self.radius)
        if mu < sums.third * self.radius / 3:
            raise Rejected(f"{at}: mu is less than a third of the bound on the third derivative times the radius")
        self._require_definite(sums.hessian, tau, mu, at)
        return sums.value - sqrt_up(squared_norm(sums.gradient)) * self.radius

    def _part(self, term: Term, i: int, degree: int, side: int, level: int) -> _Part:
        """side * polynomial - level at theta.  Raises Rejected where an open gate matters."""
        if term.unknown <= 2:
            raise Rejected(f"an open gate of sample {i} matters")
        value, gradient, hessian = self.exact.factors(i, degree)
        return _Part(
            side * value * int(term.value) - level,
            [side * gradient * int(v) for v in term.gradient],
            [[side * hessian * int(v) for v in line] for line in term.hessian],
            self.bounds.of(degree, self.norms[i]),
        )

    def _require_definite(self, hessian: Sequence[Sequence[Fraction]], tau: Fraction, mu: Fraction, at: str) -> None:
        size, unit = len(hessian), 1 << PLACES
        # Rounding moves every entry by at most half a unit, and so no eigenvalue by more than size / 2 units.
        shift = mu + Fraction(size, 2 * unit)
        matrix = [
            [
                Fraction(
                    round((hessian[r][c] + tau * sum((t[r] * t[c] for t in self.tangents), start=Fraction(0))) * unit),
                    unit,
                )
                - (shift if r == c else 0)
                for c in range(r + 1)
            ]
            for r in range(size)
        ]
        full = [[matrix[max(r, c)][min(r, c)] for c in range(size)] for r in range(size)]
        if not positive_semidefinite(full):
            raise Rejected(f"{at}: the Hessian is not clearly positive definite")

    def _require_invariant(
        self, used: set[int], gates: Sequence[Mapping[tuple[int, int], int]], walls: list[Place]
    ) -> None:
        """Rotated neurons have the same gates on every sample used, and no inequality of their own."""
        for layer, j, k in self.rotations:
            for i in used if self.signs is not None else ():
                if gates[i].get((layer, j)) is None or gates[i].get((layer, j)) != gates[i].get((layer, k)):
                    raise Rejected(f"rotated neurons of layer {layer + 1} differ in their gates on sample {i}")
            if any(at == layer and neuron in (j, k) for _, at, neuron in walls):
                raise Rejected("a rotated neuron has an inequality of its own")


@dataclass(frozen=True)
class _Part:
    """A polynomial at theta with bounds on its first three derivatives in the ball."""

    value: Fraction
    gradient: list[Fraction]
    hessian: list[list[Fraction]]
    lipschitz: tuple[Fraction, Fraction, Fraction]


class _Sums:
    """F at theta: value, gradient, Hessian, and a bound on its third derivative in the ball."""

    def __init__(self, theta: Vector) -> None:
        size = len(theta)
        self.value = squared_norm(theta) / 2
        self.gradient: list[Fraction] = list(theta)
        self.hessian = [[Fraction(int(r == c)) for c in range(size)] for r in range(size)]
        self.third = Fraction(0)

    def add(self, part: _Part, weight: Fraction, rho: Fraction, radius: Fraction) -> None:
        """-weight p + rho/2 p^2.  Raises Rejected where p may exceed 2 weight / rho in the ball."""
        k1, k2, k3 = part.lipschitz
        largest = abs(part.value) + k1 * radius
        if largest > 2 * weight / rho:
            raise Rejected("the ball is too large for rho")
        p, slope = part.value, rho * part.value - weight
        self.value += -weight * p + rho / 2 * p * p
        gradient: Any = part.gradient
        for r, a in enumerate(gradient):
            self.gradient[r] += slope * a
            line, own = self.hessian[r], part.hessian[r]
            for c in range(r + 1):
                line[c] += slope * own[c] + rho * a * gradient[c]
        self.third += (weight + rho * largest) * k3 + 3 * rho * k1 * k2
