"""Kind "ball": theta is a local optimum, up to the rounding of theta itself.

    {"kind": "ball", "problem": "full", "scope": "local", "theta": ..., "signs": ..., "radius": number,
     "rotations": [[layer, neuron, neuron], ...], "tree": T}
    T = {"split": PLACE, "on": T, "off": T}
        or {"alpha": [one a margin], "nu": [[*PLACE, number], ...], "rho": number, "tau": number, "mu": number,
            "mixed": [[*PLACE, number, number], ...], "dead": [[layer, neuron, D], ...]}

PLACE is [margin from 0, layer from 1, neuron from 1].  With one output a margin is a sample; with several, a gate is
that of all margins of a sample, and the first of them names it (signs.py).  The ball is so small that every
pre-activation whose sign is not 0 keeps it; the tree splits on the gates of kinks.  At a leaf, gates that are still
open must not change value, gradient and Hessian of what is used (taylor.py); neurons that are zero have trees of their
own (dead.py).  With p_r = +-pre-activation >= 0 at the kinks given, alpha, nu, rho > 0 let

    F(t) = 1/2 |t|^2 + sum_i (-alpha_i (q_i - 1) + rho/2 (q_i - 1)^2) + sum_r (-nu_r p_r + rho/2 p_r^2)

over the i with alpha_i > 0 and the r with nu_r > 0.  Where 0 <= q_i - 1 <= 2 alpha_i / rho and 0 <= p_r <= 2 nu_r / rho
no bracket is positive, so that F(t) <= 1/2 |t|^2 on feasible points of the cell; the ball is small enough for the
upper limits.  With g and H the gradient and Hessian of F at theta and K a bound on its third derivative in the ball,

    F(theta + s) >= F(theta) - |g| |s| + 1/2 s'Hs - K/6 |s|^3 >= F(theta) - |g| |s| + mu/4 |s|^2,

if s'Hs >= mu |s|^2 and mu >= 2 K radius / 3.  At |s| = radius that is more than what theta costs at min q = 1.  So the
cheapest feasible point of the ball is inside it: it is a local optimum.  It costs at least F(theta) - |g| radius,
which is the bound.

Mixed kinks.  A kink of a margin with alpha_i > 0 need not be split where its bend lowers q_i.  Let l_r be the slope of
q_i in the activation sigma(p_r), and a that of sigma for p < 0.  For a < 1 sigma is convex, and l_r must be negative
in the ball; for a > 1 it is concave, and l_r must be positive.  With a coefficient c between a and 1 for the gate,
l_r (sigma(p) - c p) <= 0, so that the margin with mixed gates is at least q_i (replace kinks from the top layer down:
l_r depends on the gates above alone), and its excess is at least |l_r| min(|c - a|, |1 - c|) |p_r|.  F takes the mixed
margin for q_i; it may also have a square weight/2 p_r^2, if weight |p_r| <= alpha_i |l_r| min(|c - a|, |1 - c|) and
if then q_i - 1 <= alpha_i / rho.  A pre-activation that enters by itself (nu, squares, kappa) must not have mixed kinks
of its margin below it.  A kink from which every connection to an output leads through
gates that are 0 may be given any coefficient: it does not matter.

Directions in which nothing changes.  Two neurons with the same gates on every sample used, and no inequality of their
own, can be rotated into each other without changing F or |t| (symmetries.py).  Let T be the tangents at theta of the
rotations listed.  In the orbit of a point t under these rotations take the one closest to theta: it is no further from
theta than t, F is the same there, and its difference s to theta is orthogonal to T, because the generators are skew.
So only such s matter: H + tau sum_T t t' - mu is positive semidefinite, which is checked in rationals (for H rounded,
less the error).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from typing import Any

from harness.certificates.answer import Checked, proven
from harness.certificates.curves import gates_of
from harness.certificates.dead import Dead, Feature, Leaf
from harness.certificates.definite import exceeds
from harness.certificates.gradients import Gates, backward, cut_off, side_of, unit
from harness.certificates.lagrangian import Lagrangian, Part
from harness.certificates.numbers import (
    Rejected,
    array,
    choice,
    fields,
    float_up,
    integer,
    least_positive,
    number,
    vector,
)
from harness.certificates.parameters import flat, objective, read_theta
from harness.certificates.places import entries, read_neuron, read_place
from harness.certificates.signs import Signs, Theta, leaders, named, read_signs, require_signs, weights
from harness.certificates.symmetries import Rotation, read_rotations, tangent
from harness.certificates.taylor import Bounds, Exact, Term, bounds, margin, margin_norms, norms, require_small, sqrt_up
from harness.certificates.trees import leaves
from harness.problem.networks import preactivations
from harness.problem.numbers import Vector, squared_norm
from harness.problem.places import HiddenNeuron, Place, layer_name
from harness.problem.problems import Problem

MAX_LEAVES = 1024


def check_ball(given: Problem, certificate: object) -> Checked:
    """Raises FieldError on a wrong shape; Rejected where it proves nothing."""
    network = given.network
    found = fields(
        certificate, "certificate", ("kind", "problem", "scope", "theta", "signs", "radius", "rotations", "tree")
    )
    choice(found["problem"], "certificate.problem", ("full",))
    choice(found["scope"], "certificate.scope", ("local",))
    theta = read_theta(found["theta"], "certificate.theta", network)
    signs = read_signs(found["signs"], "certificate.signs", given)
    radius = number(found["radius"], "certificate.radius")
    require_small(network)
    if radius <= 0:
        raise Rejected("the radius is not positive")
    lowest = least_positive(given.margins(theta))
    if signs is not None:
        require_signs(given, theta, signs)
    own = objective(network, theta)
    # At least what theta costs once it is scaled to least margin 1: its degree is at least 1.
    value = own / lowest**2 if lowest < 1 else own
    if (1 / lowest - 1) ** 2 * 2 * own > radius**2:
        raise Rejected("theta, scaled to least margin 1, is not in the ball")
    rotations = read_rotations(found["rotations"], "certificate.rotations", network)
    ball = _Ball(given, theta, signs, radius, rotations, value)
    return proven(ball.bound(found["tree"], "certificate.tree"), value, f"within {float_up(radius):.1e} of theta")


class _Ball:
    def __init__(
        self,
        given: Problem,
        theta: Theta,
        signs: Signs | None,
        radius: Fraction,
        rotations: Sequence[Rotation],
        value: Fraction,
    ) -> None:
        self.given, self.theta, self.signs, self.radius = given, theta, signs, radius
        self.flat: Vector = flat(given.network, theta)
        self.leaders = leaders(given)
        self.exact = Exact(given, theta)
        self.bounds: Bounds = bounds(given.network, theta, radius)
        self.norms = norms(given)
        self.margin_norms = margin_norms(given)
        self.rotations = rotations
        self.tangents = [tangent(given.network, self.flat, rotation) for rotation in rotations]
        self.dead: dict[HiddenNeuron, Dead] = {}
        self.value = value
        self._require_signs_kept()

    def _require_signs_kept(self) -> None:
        """The ball is within the region of the signs.  Raises Rejected."""
        for i in sorted(set(self.leaders)) if self.signs is not None else ():
            sample = self.given.rows[i][0]
            inputs = preactivations(self.given.network, self.theta, self.given.x[sample])
            for layer, block in enumerate(self.signs or ()):
                steep = self.bounds.of(layer + 1, self.norms[i])[0]
                for j, sign in enumerate(block[i]):
                    if sign * inputs[layer][j] <= steep * self.radius and sign:
                        raise Rejected(f"the ball reaches the kink of {Place(sample, layer, j)}")

    def bound(self, tree: object, at: str) -> Fraction:
        """The least bound of the leaves of a tree.  Raises Rejected."""
        gates: dict[Place, int] = {}
        return min(self._leaf(leaf, at, gates) for leaf, at in leaves(tree, at, self._place, gates, MAX_LEAVES))

    def _place(self, value: object, at: str) -> Place | None:
        place = read_place(array(value, at, 3), at, self.given)
        kink = self.signs is not None and not self.signs[place.layer][place.sample][place.neuron]
        return place if kink else None

    def _leaf(self, node: object, at: str, chosen: Mapping[Place, int]) -> Fraction:
        """The bound of a leaf.  Raises Rejected."""
        found = fields(node, at, ("alpha", "nu", "rho", "tau", "mu"), ("mixed", "dead"))
        alpha = vector(found["alpha"], f"{at}.alpha", len(self.given.rows))
        nu = self._read_nu(found["nu"], f"{at}.nu")
        rho, tau, mu = (number(found[key], f"{at}.{key}") for key in ("rho", "tau", "mu"))
        if min(alpha) < 0 or min(nu.values(), default=Fraction(0)) < 0 or rho <= 0 or tau < 0 or mu <= 0:
            raise Rejected(f"{at}: a multiplier is negative, or rho or mu is not positive")
        dead = self._read_dead(found.get("dead", []), f"{at}.dead")
        if any(place.hidden in dead for place in chosen):
            raise Rejected(f"{at}: a gate of a dead neuron is chosen")
        gates: list[Gates] = [{**own, **dict.fromkeys(dead, 0)} for own in gates_of(self.given, self.signs, chosen)]
        mixed = self._read_mixed(found.get("mixed", []), f"{at}.mixed")
        for place, (c, _) in mixed.items():
            if place.hidden in gates[place.sample]:
                raise Rejected(f"{at}: a gate that is given is mixed")
            gates[place.sample] = {**gates[place.sample], place.hidden: c}
        used = sorted({i for i, a in enumerate(alpha) if a} | {place.sample for place, a in nu.items() if a})
        walls = [place for place, a in nu.items() if a]
        self._require_invariant(used, gates, walls, mixed)
        slack = self._mixed_slack(mixed, gates, alpha, walls, dead, at)
        sums, features = self._lagrangian(alpha, nu, rho, chosen, gates, {p: mixed[p][1] for p in slack}, slack, at)
        leaf = Leaf(gates, features, used, walls, tau, mu)
        third = sums.third
        for neuron, tree in dead.items():
            third += self._dead(neuron).check(tree, f"{at}.dead", leaf)
        self._require_true_signs(mixed, slack, [self._dead(neuron) for neuron in dead], at)
        if mu < 2 * third * self.radius / 3:
            raise Rejected(f"{at}: mu is less than two thirds of the bound on the third derivative times the radius")
        turned = [
            [
                sums.hessian[r][c] + tau * sum((t[r] * t[c] for t in self.tangents if t[r]), start=Fraction(0))
                for c in range(r + 1)
            ]
            for r in range(len(self.flat))
        ]
        if not exceeds(turned, mu):
            raise Rejected(f"{at}: the Hessian is not clearly positive definite")
        slope = sqrt_up(squared_norm(sums.gradient))
        if mu * self.radius**2 / 4 - slope * self.radius <= self.value - sums.value:
            raise Rejected(f"{at}: the cost does not clearly grow towards the edge of the ball")
        return sums.value - slope * self.radius

    def _lagrangian(
        self,
        alpha: Vector,
        nu: Mapping[Place, Fraction],
        rho: Fraction,
        chosen: Mapping[Place, int],
        gates: Sequence[Gates],
        squares: Mapping[Place, Fraction],
        slack: Mapping[Place, Fraction],
        at: str,
    ) -> tuple[Lagrangian, list[Feature]]:
        """F at theta, and its terms.  squares: weights of squares of mixed kinks; slack: how large |p| may be there."""
        network = self.given.network
        used = {i for i, a in enumerate(alpha) if a} | {place.sample for place, a in nu.items() if a}
        terms = {i: self.exact.sample(i, gates[i]) for i in used}
        sums = Lagrangian(self.flat)
        features: list[Feature] = []
        for i, a in enumerate(alpha):
            if a:
                seed = self.given.rows[i][1]
                part = self._part(margin(terms[i][-1], seed), i, network.depth, self.margin_norms[i], level=1)
                # Half of alpha is left for the squares of this margin's mixed kinks.
                reach = a if any(place.sample == i for place in slack) else 2 * a
                slope = sums.add(part, a, rho, self.radius, reach / rho)
                features.append(Feature(i, network.depth - 1, seed, slope))
        for place, least in slack.items():
            i, layer, j = place
            part = self._part(terms[i][layer][j], i, layer + 1, self.norms[i])
            sums.square(part, squares[place], self.radius, least)
        for place, a in nu.items():
            if not a:
                continue
            if place not in chosen:
                raise Rejected(f"{at}: nu is at an open gate")
            i, layer, j = place
            side = 1 if chosen[place] else -1
            part = self._part(terms[i][layer][j], i, layer + 1, self.norms[i], side)
            slope = sums.add(part, a, rho, self.radius, 2 * a / rho)
            features.append(Feature(i, layer, unit(network, (layer, j), side), slope))
        return sums, features

    def _read_nu(self, value: object, at: str) -> dict[Place, Fraction]:
        found = entries(value, at, 4, lambda parts, at: read_place(parts[:3], at, self.given))
        return {place: number(parts[3], f"{at}[3]") for place, parts, at in found}

    def _read_mixed(self, value: object, at: str) -> dict[Place, tuple[Fraction, Fraction]]:
        """Coefficient and weight of the square, by place; here every margin has its own."""
        network = self.given.network
        low, high = sorted((network.slope, Fraction(1)))

        def place_of(parts: Sequence[Any], at: str) -> Place:
            row = integer(parts[0], at, 0, len(self.given.rows) - 1)
            return Place(row, *read_neuron(parts[1], parts[2], at, at, network))

        found: dict[Place, tuple[Fraction, Fraction]] = {}
        for place, parts, at_entry in entries(value, at, 5, place_of):
            c, weight = (number(part, at_entry) for part in parts[3:])
            if not low <= c <= high or weight < 0:
                raise Rejected(f"{at_entry}: a coefficient is not between {low} and {high}, or a weight is negative")
            found[place] = c, weight
        return found

    def _mixed_slack(
        self,
        mixed: Mapping[Place, tuple[Fraction, Fraction]],
        gates: Sequence[Gates],
        alpha: Vector,
        walls: Sequence[Place],
        dead: Collection[HiddenNeuron],
        at: str,
    ) -> dict[Place, Fraction]:
        """Whether mixing only raises margins; how large |p| may be at the kinks whose square is added."""
        network, found = self.given.network, {}
        for place, (c, weight) in mixed.items():
            i, layer, j = place
            if not alpha[i] or any(wall.sample == self.leaders[i] for wall in walls):
                where = named(self.given, i)
                raise Rejected(f"{at}: a kink of {where} is mixed, and it has no multiplier, or an inequality")
            # Gates of dead neurons are open.
            if cut_off(network, {own: gate for own, gate in gates[i].items() if own not in dead}, place.hidden):
                if weight:
                    raise Rejected(f"{at}: a kink of {named(self.given, i)} that is cut off has a square")
                continue
            seed = self.given.rows[i][1]
            back = backward(network, self.theta, gates[i], network.depth - 1, seed)[layer + 1]
            above = weights(network, self.theta, layer + 1)
            slope = side_of(network) * sum((b * row[j] for b, row in zip(back, above, strict=True)), Fraction(0))
            length = sqrt_up(Fraction(sum(s * s for s in seed)))
            upper = bounds(network, self.theta, self.radius, layer + 1).of(network.depth - layer - 1, length)
            slope += upper[0] * self.radius
            if slope > 0:
                where = named(self.given, i)
                raise Rejected(f"{at}: a mixed kink of {where} does not clearly lower the margin when it is on")
            if not weight:
                continue
            found[place] = alpha[i] * -slope * min(abs(c - network.slope), abs(1 - c)) / weight
        return found

    def _require_true_signs(
        self, mixed: Collection[Place], squares: Collection[Place], dead: Sequence[Dead], at: str
    ) -> None:
        """Where a pre-activation's own sign or size is used, nothing below it is mixed.  Raises Rejected."""
        below = {(i, layer) for i, layer, _ in mixed} | {(i, d.neuron[0]) for d in dead for i in d.mixed}
        own = {(i, layer) for i, layer, _ in squares} | {(i, d.neuron[0]) for d in dead for i in d.paired}
        for i, layer in own:
            if any(sample == i and lower < layer for sample, lower in below):
                where = named(self.given, i)
                raise Rejected(f"{at}: {where} has a mixed kink below one whose sign or square is used")

    def _read_dead(self, value: object, at: str) -> dict[HiddenNeuron, object]:
        """The trees by neuron."""

        def neuron_of(parts: Sequence[Any], at: str) -> HiddenNeuron:
            return read_neuron(parts[0], parts[1], f"{at}[0]", f"{at}[1]", self.given.network)

        return {neuron: parts[2] for neuron, parts, _ in entries(value, at, 3, neuron_of)}

    def _dead(self, neuron: HiddenNeuron) -> Dead:
        if neuron not in self.dead:
            self.dead[neuron] = Dead(self.given, self.theta, self.signs, self.radius, neuron)
        return self.dead[neuron]

    def _part(self, term: Term, i: int, layer: int, norm: Fraction, side: int = 1, level: int = 0) -> Part:
        """side * polynomial - level at theta.  Raises Rejected where an open gate matters."""
        if term.unknown <= 2:
            raise Rejected(f"an open gate of {named(self.given, i)} matters")
        value, gradient, hessian = (side * factor for factor in self.exact.factors(i, layer))
        return Part(
            value * term.value - level,
            [gradient * v for v in term.gradient],
            [[hessian * v for v in line] for line in term.hessian],
            self.bounds.of(layer, norm),
        )

    def _require_invariant(
        self,
        used: Sequence[int],
        gates: Sequence[Gates],
        walls: Sequence[Place],
        mixed: Mapping[Place, tuple[Fraction, Fraction]],
    ) -> None:
        """Rotated neurons have the same gates on every sample used, and no inequality of their own."""
        for layer, j, k in self.rotations:
            for i in used if self.signs is not None else ():
                if gates[i].get((layer, j)) is None or gates[i].get((layer, j)) != gates[i].get((layer, k)):
                    where = named(self.given, i)
                    raise Rejected(f"rotated neurons of {layer_name(layer)} differ in their gates on {where}")
                # A gate that is given may be that of one that is mixed.
                if mixed.get(Place(i, layer, j), (0, 0))[1] != mixed.get(Place(i, layer, k), (0, 0))[1]:
                    where = named(self.given, i)
                    raise Rejected(f"rotated neurons of {layer_name(layer)} differ in their squares on {where}")
            if any(at == layer and neuron in (j, k) for _, at, neuron in walls):
                raise Rejected("a rotated neuron has an inequality of its own")
