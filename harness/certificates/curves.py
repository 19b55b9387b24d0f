"""Kind "curve": a limit is not a local optimum, by curves theta + eps d + eps^2 e along which the margins hold.

    {"kind": "curve", "problem": "full", "scope": S, "theta": ..., "signs": ..., "order": 1 or 2,
     "active": [margins], "gates": [[margin, layer, neuron, 0 or 1], ...],
     "d": [one array a layer], "e": [the same] or null, "implied": {"margin": {"margin": number}}}

With one output margins are samples; with several a sample has more than one, and "gates" names each kink by the first
of them (signs.py), since its gate is that of all.  d and e leave fixed layers where they are: zeros stand for them.

What is proven is about EVERY feasible point t within 1e-9 |theta| of theta that has the structure: the signs of the
pre-activations and the zero parameters of theta.  No such point is a local optimum.  (That one of them is an exact KKT
point is proven apart: exists.py.)  Margins that are not active are more than 1 at all of them, which is checked.

The pre-activations with a sign keep their gates near t.  "gates" chooses the gates of kinks along the curve, and the
polynomials below are those of these gates.  A kink whose gate is not chosen must not matter to second order
(taylor.py).  A kink is heard if a path of nonzero weights and slopes leads from it to an output.

Order 1 (e is null).  On the active margins grad q_i . d > 0; t . d < 0; and every chosen kink leaves to its side,
+-n_r . d > 0.  Then t + eps d is feasible for small eps > 0, with the gates chosen, and costs less.

Order 2.  Let d(t) be d less its part in the span of the rows G(t): grad q_i of the active margins that are not implied,
and the normals n_r of chosen kinks that are heard.  So G(t) d(t) = 0.  Suppose t is a local optimum.  Then it is one
among the points with +-n_r >= 0 at the heard kinks, where the margins are those of the gates chosen and continuously
differentiable at t.  There grad q_i . t, the degree times q_i, is positive and n_r . t = 0 (Euler), and the n_r are
independent, which is checked: a constraint qualification.  So the KKT conditions hold, t is a combination of gradients
of active margins and normals, that is of rows of G(t), and t . d(t) = 0.  If

    grad q_i . e + 1/2 d(t)' H_i d(t) > 0   on the active margins,
    +-(n_r . e + 1/2 d(t)' H_r d(t)) > 0     at the chosen kinks that are heard,     +-n_r . d(t) > 0    at the others,
    |d(t)|^2 + 2 t . e < 0,

then t + eps d(t) + eps^2 e is feasible for small eps > 0, with the gates chosen, and costs less: no local optimum
after all.  "implied" are active margins k whose products of input and what the outputs are multiplied by, y_k x_k with
one output, are a combination of those of others with the same signs, nonzero on neurons that are heard: grad q_k is the
same combination of theirs, so grad q_k . d(t) = 0.  Inputs count where a neuron sees them that is heard or not zero.

All of this is checked at theta in rationals, with room for t: gradients and Hessians move by at most the bounds
of taylor.py times |t - theta|, and the part taken from d is at most |G(t) d| / s, s^2 at most the least eigenvalue of
G(t)G(t)'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from harness.certificates.answer import Checked
from harness.certificates.definite import least_eigenvalue
from harness.certificates.gradients import Gates, gate_of, heard, sign_gates
from harness.certificates.numbers import Rejected, by_sample, choice, fields, float_up, samples, sqrt_down
from harness.certificates.parameters import flat, objective, read_motion, read_theta
from harness.certificates.places import entries, read_place
from harness.certificates.signs import Signs, Theta, leaders, named, read_signs, require_signs, weights
from harness.certificates.taylor import (
    BEYOND,
    Bounds,
    Exact,
    Term,
    bounds,
    margin,
    margin_norms,
    norms,
    require_small,
    sqrt_up,
)
from harness.problem.fields import FieldError
from harness.problem.numbers import Vector, dot, squared_norm
from harness.problem.places import Place
from harness.problem.problems import Problem

RADIUS = Fraction(1, 10**9)


@dataclass(frozen=True)
class Jet:
    """A polynomial along theta + eps d + eps^2 e, and how much its derivatives move near theta.

    row: the gradient.  first: gradient . d.  second: gradient . e + 1/2 d'Hd.  lipschitz: bounds on the first, second
    and third derivative.
    """

    row: Vector
    value: Fraction
    first: Fraction
    second: Fraction
    lipschitz: tuple[Fraction, Fraction, Fraction]


def check_curve(given: Problem, certificate: object) -> Checked:
    """Raises FieldError on a wrong shape; Rejected where it proves nothing."""
    network = given.network
    own = ("order", "active", "gates", "d", "e", "implied")
    found = fields(certificate, "certificate", ("kind", "problem", "scope", "theta", "signs", *own))
    choice(found["problem"], "certificate.problem", ("full",))
    choice(found["scope"], "certificate.scope", ("local", "global"))
    order = choice(found["order"], "certificate.order", (1, 2))
    theta = read_theta(found["theta"], "certificate.theta", network)
    signs = read_signs(found["signs"], "certificate.signs", given)
    d = read_motion(found["d"], "certificate.d", network)
    e = read_motion(found["e"], "certificate.e", network) if order == 2 else (Fraction(0),) * network.size
    if order == 1 and found["e"] is not None:
        raise FieldError("certificate.e", "must be null for order 1")
    active = sorted(samples(found["active"], "certificate.active", len(given.rows)))
    chosen = read_gates(found["gates"], "certificate.gates", given)
    implied = _read_implied(found["implied"], len(given.rows))
    require_small(given.network)
    require_near(given, theta, signs, active)
    curve = _Curve(given, theta, signs, chosen, d, e)
    curve.require_inactive(active)
    if order == 1:
        curve.require_first(active)
    else:
        curve.require_second(active, implied)
    value = float_up(objective(network, theta))
    reason = "arbitrarily close to the limit a feasible point costs less: a curve along which the margins hold"
    return Checked(True, reason, value)


def read_gates(value: object, field: str, given: Problem) -> dict[Place, int]:
    """[[margin, layer, neuron, gate], ...], layers and neurons from 1.  Raises FieldError."""
    found = entries(value, field, 4, lambda parts, at: read_place(parts[:3], at, given))
    return {place: choice(parts[3], f"{at}[3]", (0, 1)) for place, parts, at in found}


def _read_implied(value: object, n: int) -> dict[int, dict[int, Fraction]]:
    outer = fields(value, "certificate.implied", (), None)
    keys = by_sample(dict.fromkeys(outer, 1), "certificate.implied", n)
    return {k: by_sample(outer[str(k)], f"certificate.implied.{k}", n) for k in keys}


def require_near(given: Problem, theta: Theta, signs: Signs | None, active: Sequence[int]) -> None:
    """Whether theta has the signs, and least margin 1 on exactly the active margins, up to 1e-9.  Raises Rejected."""
    if signs is not None:
        require_signs(given, theta, signs)
    for i, q in enumerate(given.margins(theta)):
        if q < 1 - RADIUS or (q <= 1 + RADIUS) != (i in active):
            where = named(given, i)
            raise Rejected(f"theta is not scaled to least margin 1 on exactly the active samples: {where}")
    if not active:
        raise Rejected("no sample is active")


def gates_of(given: Problem, signs: Signs | None, chosen: Mapping[Place, int]) -> list[Gates]:
    """For every margin the gates by (layer, neuron): those of the signs and the chosen ones.  Raises Rejected."""
    first = leaders(given)
    out = [sign_gates(given.network, signs, i) for i in range(len(given.rows))]
    for place, gate in chosen.items():
        leader, hidden = place.sample, place.hidden
        if signs is None or hidden in out[leader]:
            raise Rejected(f"sample {given.rows[leader][0]} has no kink at {hidden}")
        for i, own in enumerate(out):
            if first[i] == leader:
                own[hidden] = gate_of(given.network, bool(gate))
    return list(out)


class _Curve:
    def __init__(
        self,
        given: Problem,
        theta: Theta,
        signs: Signs | None,
        chosen: dict[Place, int],
        d: Vector,
        e: Vector,
    ) -> None:
        self.given, self.theta, self.signs, self.chosen = given, theta, signs, chosen
        self.flat, self.d, self.e = flat(given.network, theta), d, e
        self.leaders = leaders(given)
        self.gates = gates_of(given, signs, chosen)
        self.exact = Exact(given, theta)
        self.first_weights = weights(given.network, theta, 0)
        self.radius = RADIUS * sqrt_up(squared_norm(self.flat))
        self.bounds: Bounds = bounds(given.network, theta, self.radius)
        self.norms = norms(given)
        self.margin_norms = margin_norms(given)
        self.terms: dict[int, list[list[Term]]] = {}

    def _terms(self, row: int) -> list[list[Term]]:
        leader = self.leaders[row]
        if leader not in self.terms:
            self.terms[leader] = self.exact.sample(leader, self.gates[leader])
        return self.terms[leader]

    def margin(self, i: int, order: int) -> Jet:
        """q_i.  Raises Rejected where an open gate matters up to this order."""
        term = margin(self._terms(i)[-1], self.given.rows[i][1])
        if term.unknown <= order:
            raise Rejected(f"a kink of {named(self.given, i)} matters, and its gate is not chosen")
        return self._jet(term, i, self.given.network.depth, self.margin_norms[i])

    def kink(self, place: Place, order: int) -> Jet:
        """The pre-activation of a chosen kink, times 1 if it is to be on and -1 if off."""
        i, layer, j = place
        term = self._terms(i)[layer][j]
        if term.unknown <= order:
            raise Rejected(f"a kink of {named(self.given, i)} matters, and its gate is not chosen")
        return self._jet(term, i, layer + 1, self.norms[i], 1 if self.chosen[place] else -1)

    def _jet(self, term: Term, i: int, layer: int, norm: Fraction, side: int = 1) -> Jet:
        value, gradient, hessian = (side * factor for factor in self.exact.factors(i, layer))
        row = tuple(gradient * v for v in term.gradient)
        bent = [dot(line, self.d) for line in term.hessian]
        second = dot(row, self.e) + hessian * dot(bent, self.d) / 2
        return Jet(row, value * term.value, dot(row, self.d), second, self.bounds.of(layer, norm))

    def require_inactive(self, active: Sequence[int]) -> None:
        """Whether the other margins are greater than 1 at every point t.  Raises Rejected."""
        for i, q in enumerate(self.given.margins(self.theta)):
            steep = self.bounds.of(self.given.network.depth, self.margin_norms[i])[0]
            if i not in active and q <= 1 + steep * self.radius:
                raise Rejected(f"the margin of {named(self.given, i)} may be active in the limit")

    def require_first(self, active: Sequence[int]) -> None:
        """Order 1.  Raises Rejected."""
        length = sqrt_up(squared_norm(self.d))
        for jet, name in [
            *((self.margin(i, 1), f"the margin of {named(self.given, i)}") for i in active),
            *((self.kink(place, 1), f"the kink of {named(self.given, place.sample)}") for place in self._used(active)),
        ]:
            if jet.first <= jet.lipschitz[1] * self.radius * length:
                raise Rejected(f"{name} does not clearly grow along d")
        if dot(self.flat, self.d) >= -self.radius * length:
            raise Rejected("the norm does not clearly fall along d")

    def _used(self, active: Sequence[int]) -> list[Place]:
        samples_ = {self.leaders[i] for i in active}
        return [place for place in self.chosen if place.sample in samples_]

    def require_second(self, active: Sequence[int], implied: Mapping[int, Mapping[int, Fraction]]) -> None:
        """Order 2.  Raises Rejected."""
        margins = {i: self.margin(i, 2) for i in active}
        loud: list[Jet] = []
        quiet: list[Jet] = []
        every = [*active, *(self.leaders[i] for i in active)]
        paths = {i: heard(self.given.network, self.theta, self.signs, i) for i in every}
        for i in active:
            self._require_chosen(i, paths[i])
        for place in self._used(active):
            i, layer, j = place
            (loud if paths[i][layer][j] else quiet).append(self.kink(place, 2))
        for k, shares in implied.items():
            self._require_implied(k, shares, active, implied, paths)
        rows_ = [margins[i] for i in active if i not in implied] + loud
        radius, length, bend = self.radius, sqrt_up(squared_norm(self.d)), sqrt_up(squared_norm(self.e))
        change = self._change(rows_, length)
        cross = 2 * length * change + change**2
        for jet, name in [
            *((jet, f"the margin of {named(self.given, i)}") for i, jet in margins.items()),
            *((jet, "a kink") for jet in loud),
        ]:
            _, second, third = jet.lipschitz
            if jet.second <= second * radius * bend + (third * radius * length**2 + second * cross) / 2:
                raise Rejected(f"{name} does not clearly grow to second order")
        for jet in quiet:
            if jet.first <= jet.lipschitz[1] * radius * length + jet.lipschitz[0] * change:
                raise Rejected("a kink does not clearly leave to its side along d")
        if squared_norm(self.d) + 2 * dot(self.flat, self.e) + cross + 2 * radius * bend >= 0:
            raise Rejected("the norm does not clearly fall to second order")

    def _require_chosen(self, row: int, paths: Sequence[Sequence[bool]]) -> None:
        """Every heard kink is chosen, so that its normal is among the rows of G; one that never moves is no kink."""
        for layer, block in enumerate(self.signs or ()):
            for j, sign in enumerate(block[row]):
                if sign == 0 and paths[layer][j] and Place(self.leaders[row], layer, j) not in self.chosen:
                    term = self._terms(row)[layer][j]
                    if term.value or term.gradient.any() or term.hessian.any() or term.unknown < BEYOND:
                        raise Rejected(f"a kink of {named(self.given, row)} is heard, and its gate is not chosen")

    def _change(self, jets: Sequence[Jet], length: Fraction) -> Fraction:
        """A bound on |d - d(t)|.  Raises Rejected where the rows of G are not clearly independent."""
        if not jets:
            return Fraction(0)
        moved = self.radius * sqrt_up(sum((jet.lipschitz[1] ** 2 for jet in jets), start=Fraction(0)))
        gram = [[dot(a.row, b.row) for b in jets] for a in jets]
        least = Fraction(sqrt_down(least_eigenvalue(gram)))
        if least <= 2 * moved:
            raise Rejected("the gradients of the active samples and kinks are not clearly independent")
        off = sqrt_up(sum((jet.first**2 for jet in jets), start=Fraction(0))) + moved * length
        return off / (least - moved)

    def _require_implied(
        self,
        k: int,
        shares: Mapping[int, Fraction],
        active: Sequence[int],
        implied: Mapping[int, Any],
        paths: Mapping[int, Sequence[Sequence[bool]]],
    ) -> None:
        given = self.given
        if k not in active or any(b not in active or b in implied for b in shares):
            raise Rejected(f"{named(given, k)} is not implied by active samples")
        total = [[Fraction(0)] * given.d for _ in range(given.network.outputs)]
        for b, share in (*shares.items(), (k, Fraction(-1))):
            sample, seed = given.rows[b]
            for line, s in zip(total, seed, strict=True):
                if s:
                    line[:] = [t + share * s * v for t, v in zip(line, given.x[sample], strict=True)]
        seen = {
            c
            for j, (row, own) in enumerate(zip(given.network.patterns[0], self.first_weights, strict=True))
            if any(own) or not paths[k] or paths[k][0][j]
            for c, p in enumerate(row)
            if p >= 0
        }
        if any(line[c] for line in total for c in seen):
            raise Rejected(f"the inputs of {named(given, k)} are not the combination of others that is given")
        for b in shares:
            for layer, block in enumerate(self.signs or ()):
                for j in range(len(block[k])):
                    loud = paths[k][layer][j] or paths[b][layer][j]
                    if block[k][j] != block[b][j] or (loud and not block[k][j]):
                        first, second = given.rows[k][0], given.rows[b][0]
                        raise Rejected(f"samples {first} and {second} do not have the same gates")
