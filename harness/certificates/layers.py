"""The problem over one layer's parameters, at any depth and with any sharing: kinds "layer tree" and "layer better".

At theta, minimise 1/2 |z|^2 over z = u^l subject to q_i >= 1, the other layers held at theta's.  With several outputs
a sample has several margins q_i, and the same gates in all.  Once the gates of the hidden neurons of layers l..m-1 on
a sample are given, the pre-activations and its q_i are linear forms in z.  The layers below l are theta's, with
inputs that vanish in the limit passed on as zeros.  Where all other layers are fixed by the network, the problem is
(P) itself, and may be called "full".

A closed cell is a choice of gates: a gate on says that its pre-activation form is >= 0 and passes it on, off that it
is <= 0 and passes it on times the slope of the activation there, 0 for relu.  For
alpha >= 0, and nu >= 0 for those inequalities, every feasible z of the cell costs at least

    1/2 (sum_i alpha_i)^2 / |sum_i alpha_i c_i + sum_r nu_r (+-n_r)|^2,         q_i = c_i . z, forms n_r,

by Cauchy-Schwarz.  A gate need not be chosen where no q_i with alpha_i > 0 feels it.  Hence optimality is proven
by a tree that splits on one gate at a time and has one such bound at every leaf:

    {"kind": "layer tree", "problem": "layer 2", "scope": S, "theta": ..., "signs": ..., "tree": T}
    T = {"split": PLACE, "on": T, "off": T}  or  {"alpha": [one a margin], "nu": [[*PLACE, number], ...]}

(PLACE is [sample from 0, layer from 1, neuron from 1].)  Scope "global": no gate is given at the root.  Scope "local":
the gates of all pre-activations whose sign is not 0 are given, which holds in a neighbourhood of the points with the
signs.  Accepted where every leaf's bound is at least (1 - 1e-9) of what theta's u^l costs at min q = 1.

    {"kind": "layer better", ..., "better": [numbers of u^l], "alpha": [one a margin], "nu": [[*PLACE, number], ...]}

proves the opposite.  EVERY feasible z with the signs costs at least L: the bound above with the gates of the signs,
those of zeros off, and nu of either sign at zeros, where the form is 0.  "better" is exactly feasible and costs less
than L.  For scope "local" it also lies in a closed cell with all points that have the signs (its own pre-activations
have none of the opposite sign), where the q_i are linear and the objective is convex: the segment from any such
point to "better" is feasible, and the objective falls along it at once.  For linear networks the cell is everything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from harness.certificates.answer import Checked, proven
from harness.certificates.numbers import (
    GAP,
    Rejected,
    array,
    choice,
    fields,
    float_down,
    float_up,
    integer,
    least_positive,
    number,
    vector,
)
from harness.certificates.parameters import read_theta
from harness.certificates.places import entries, read_neuron
from harness.certificates.problems import only_layer
from harness.certificates.signs import Signs, Theta, activations, read_signs, require_signs, weights
from harness.certificates.trees import leaves
from harness.problem.fields import FieldError
from harness.problem.networks import Network
from harness.problem.numbers import Vector, dot, less, less_components, squared_norm
from harness.problem.places import Place, layer_name, layer_of, neuron_name
from harness.problem.problems import Problem

MAX_LEAVES = 4096

Form = Vector | None
"""A linear form in z; None where it depends on a gate that is not given."""


class Layer:
    """One layer's problem: its forms under given gates.  layer counts from 0.  rows: the margins of every sample."""

    def __init__(self, given: Problem, theta: Theta, layer: int, signs: Signs | None) -> None:
        network = given.network
        self.given = given
        self.layer = layer
        self.size = network.sizes[layer]
        self.kinked, self.slope = network.kinked, network.slope
        self.hidden = network.depth - 1
        self.rows: list[list[int]] = [[] for _ in given.x]
        for row, (sample, _) in enumerate(given.rows):
            self.rows[sample].append(row)
        self.above = {k: weights(network, theta, k) for k in range(layer + 1, network.depth)}
        self.below = [
            activations(network, theta, x, [signs[k][own[0]] if signs is not None else () for k in range(layer)])
            for x, own in zip(given.x, self.rows, strict=True)
        ]
        self._first = [self._own(i) for i in range(given.n)]
        self.places = [
            Place(i, k, j)
            for i in range(given.n)
            for k in range(layer, self.hidden)
            for j in range(network.widths[k + 1])
        ]

    def _own(self, sample: int) -> list[Vector]:
        """The pre-activations of the layer itself."""
        h, out = self.below[sample], []
        for row in self.given.network.patterns[self.layer]:
            form = [Fraction(0)] * self.size
            for k, a in zip(row, h, strict=True):
                if k >= 0:
                    form[k] += a
            out.append(tuple(form))
        return out

    def forms(self, sample: int, gates: Mapping[Place, int]) -> list[list[Form]]:
        """The forms of the pre-activations of layers layer..m-1; the last are the outputs."""
        a: list[Form] = list(self._first[sample])
        out = [a]
        for k in range(self.layer + 1, self.hidden + 1):
            a = [self._mix(row, out[-1], sample, k - 1, gates) for row in self.above[k]]
            out.append(a)
        return out

    def margin(self, row: int, outputs: Sequence[Form]) -> Form:
        """The form of one margin of a sample with these outputs."""
        total = [Fraction(0)] * self.size
        for weight, form in zip(self.given.rows[row][1], outputs, strict=True):
            if weight:
                if form is None:
                    return None
                total = [t + weight * v for t, v in zip(total, form, strict=True)]
        return tuple(total)

    def _mix(self, row: Vector, a: Sequence[Form], sample: int, layer: int, gates: Mapping[Place, int]) -> Form:
        total = [Fraction(0)] * self.size
        for j, (weight, form) in enumerate(zip(row, a, strict=True)):
            if not weight or (form is not None and not any(form)):
                continue
            if self.kinked:
                gate = gates.get(Place(sample, layer, j))
                if gate is None:
                    return None
                if gate == 0:
                    if not self.slope:
                        continue
                    weight *= self.slope
            if form is None:
                return None
            total = [t + weight * v for t, v in zip(total, form, strict=True)]
        return tuple(total)

    def margins(self, z: Vector) -> tuple[list[Fraction], dict[Place, Fraction]]:
        """Every margin at z, and every pre-activation of layers layer..m-1 of the network."""
        found: dict[Place, Fraction] = {}
        outputs: list[list[Fraction]] = []
        for i, first in enumerate(self._first):
            a = [dot(form, z) for form in first]
            for k in range(self.layer, self.hidden):
                found |= {Place(i, k, j): value for j, value in enumerate(a)}
                h = [self.slope * value if self.kinked and value < 0 else value for value in a]
                a = [dot(row, h) for row in self.above[k + 1]]
            outputs.append(a)
        q = [sum((s * a for s, a in zip(seed, outputs[i], strict=True)), Fraction(0)) for i, seed in self.given.rows]
        return q, found


def check_layer(given: Problem, certificate: object) -> Checked:
    """Raises FieldError on a wrong shape; Rejected where it proves nothing."""
    kind = choice(fields(certificate, "certificate", ("kind",), None)["kind"], "certificate.kind", KINDS)
    own = ("tree",) if kind == "layer tree" else ("better", "alpha", "nu")
    found = fields(certificate, "certificate", ("kind", "problem", "scope", "theta", "signs", *own))
    layer = _layer_index(found["problem"], given.network)
    scope = choice(found["scope"], "certificate.scope", ("local", "global"))
    theta = read_theta(found["theta"], "certificate.theta", given.network)
    signs = read_signs(found["signs"], "certificate.signs", given)
    if signs is not None:
        require_signs(given, theta, signs)
    problem = Layer(given, theta, layer, signs)
    lowest = least_positive(problem.margins(theta[layer])[0])
    # Twice the value of theta's layer.
    square = squared_norm(theta[layer]) / lowest**2
    if kind == "layer tree":
        return _check_tree(problem, scope, signs, found["tree"], square)
    return _check_better(problem, scope, signs, theta, found, square)


KINDS = ("layer tree", "layer better")


def _layer_index(value: object, network: Network) -> int:
    """Raises FieldError, and Rejected for a layer that is fixed."""
    only = only_layer(network)
    if value == "full" and only is not None:
        return only
    match = re.fullmatch("layer ([1-9][0-9]{0,3})", value, re.ASCII) if isinstance(value, str) else None
    if match is None or int(match.group(1)) > network.depth:
        raise FieldError("certificate.problem", f'must be "layer 1" to "layer {network.depth}"')
    layer = layer_of(match.group())
    if not network.trained[layer]:
        raise Rejected(f"{layer_name(layer)} is fixed and has no problem of its own")
    return layer


def _given(problem: Layer, signs: Signs | None) -> dict[Place, int]:
    """The gates that the signs fix."""
    return {
        Place(i, layer, j): int(sign > 0)
        for layer, samples in enumerate(signs or ())
        if layer >= problem.layer
        for i, own in enumerate(problem.rows)
        for j, sign in enumerate(samples[own[0]])
        if sign
    }


def _check_tree(problem: Layer, scope: str, signs: Signs | None, tree: object, square: Fraction) -> Checked:
    gates = _given(problem, signs) if scope == "local" else {}
    least: Fraction | None = None
    for leaf, at in leaves(tree, "certificate.tree", lambda v, at: _read_place(v, at, problem), gates, MAX_LEAVES):
        found = fields(leaf, at, ("alpha",), ("nu",))
        alpha = vector(found["alpha"], f"{at}.alpha", len(problem.given.rows))
        nu = _read_nu(found.get("nu", []), f"{at}.nu", problem)
        ratio = _ratio(problem, alpha, nu, gates, at, zeros=False)
        if ratio is not None and (least is None or ratio < least):
            least = ratio
    if least is None:
        raise Rejected("the leaves say that there is no feasible point, and there is one")
    where = "next to the limit" if scope == "local" else "at all"
    return proven(least / 2, square / 2, f"of the layer {where}")


def _read_place(value: object, at: str, problem: Layer) -> Place:
    sample, layer, neuron = array(value, at, 3)
    sample = integer(sample, f"{at}[0]", 0, problem.given.n - 1)
    if problem.layer >= problem.hidden or not problem.kinked:
        raise FieldError(at, "the layer has no gates")
    return Place(sample, *read_neuron(layer, neuron, f"{at}[1]", f"{at}[2]", problem.given.network, problem.layer))


def _read_nu(value: object, at: str, problem: Layer) -> dict[Place, Fraction]:
    found = entries(value, at, 4, lambda parts, at: _read_place(parts[:3], at, problem))
    return {place: number(parts[3], f"{at}[3]") for place, parts, at in found}


def _ratio(
    problem: Layer,
    alpha: Vector,
    nu: Mapping[Place, Fraction],
    gates: Mapping[Place, int],
    at: str,
    zeros: bool,
) -> Fraction | None:
    """(sum alpha)^2 / |.|^2, None for infinite; with zeros, pre-activations without a given gate are zero: gate off,
    nu of either sign.  Raises Rejected."""
    cells = dict(gates)
    if zeros and problem.kinked:
        cells = dict.fromkeys(problem.places, 0) | cells
    total = [Fraction(0)] * problem.size
    used = {problem.given.rows[row][0] for row, a in enumerate(alpha) if a} | {place.sample for place in nu}
    forms = {i: problem.forms(i, cells) for i in used}
    for row, a in enumerate(alpha):
        if a < 0:
            raise Rejected(f"{at}: alpha[{row}] is negative")
        if not a:
            continue
        sample = problem.given.rows[row][0]
        form = problem.margin(row, forms[sample][-1])
        if form is None:
            raise Rejected(f"{at}: sample {sample} has a multiplier, and a gate that it feels is open")
        total = [t + a * v for t, v in zip(total, form, strict=True)]
    for place, value in nu.items():
        i, layer, j = place
        free = zeros and place not in gates
        if not free and value < 0:
            raise Rejected(f"{at}: nu of sample {i}, {layer_name(layer)}, {neuron_name(j)} is negative")
        form, gate = forms[i][layer - problem.layer][j], cells.get(place)
        if form is None or gate is None:
            raise Rejected(f"{at}: nu of sample {i}, {layer_name(layer)}, {neuron_name(j)} is at an open gate")
        side = value if gate or free else -value
        total = [t + side * v for t, v in zip(total, form, strict=True)]
    weight, square = sum(alpha, start=Fraction(0)), squared_norm(total)
    if not weight:
        return Fraction(0)
    return weight**2 / square if square else None


def _check_better(
    problem: Layer, scope: str, signs: Signs | None, theta: Theta, found: dict[str, Any], square: Fraction
) -> Checked:
    better = vector(found["better"], "certificate.better", problem.size)
    alpha = vector(found["alpha"], "certificate.alpha", len(problem.given.rows))
    nu = _read_nu(found["nu"], "certificate.nu", problem)
    gates = _given(problem, signs)
    if signs is not None:
        _require_point(problem, gates, theta[problem.layer])
    floor = _ratio(problem, alpha, nu, gates, "certificate", zeros=True)
    q, inputs = problem.margins(better)
    for (sample, _), margin in zip(problem.given.rows, q, strict=True):
        if margin < 1:
            raise Rejected(f"the better point is not feasible: its margin on sample {sample} is below 1")
    length = squared_norm(better)
    if floor is None or not floor > length:
        raise Rejected("the better point does not cost less than every point with the signs")
    if scope == "local":
        for place, gate in gates.items():
            if inputs[place] * (1 if gate else -1) < 0:
                raise Rejected(f"the better point leaves the cell: {place}")
    above, below = float_up(length / 2), float_down(floor / 2)
    reason = f"a feasible point of the layer costs {above:.9g}, every one with the signs at least {below:.9g}"
    return Checked(True, reason, float_up(square / 2), above, max(0.0, 1.0 - above / below))


def _require_point(problem: Layer, gates: Mapping[Place, int], z: Vector) -> None:
    """Whether a point with exactly these signs and positive margins is next to z.  Raises Rejected.

    The zeros are linear equations in z: z is projected on them.
    """
    cells = dict.fromkeys(problem.places, 0) | dict(gates)
    forms = [problem.forms(i, cells) for i in range(problem.given.n)]
    zeros = (forms[i][layer - problem.layer][j] for i, layer, j in problem.places if Place(i, layer, j) not in gates)
    point = less_components(z, (form for form in zeros if form is not None))
    if squared_norm(less(point, Fraction(1), z)) > GAP**2 * squared_norm(z):
        raise Rejected("no point with the signs is within 1e-9 of theta")
    for (i, layer, j), gate in gates.items():
        form = forms[i][layer - problem.layer][j]
        if form is not None and dot(form, point) * (1 if gate else -1) <= 0:
            raise Rejected("the point with the zeros next to theta has other signs")
    margins = (problem.margin(row, forms[sample][-1]) for row, (sample, _) in enumerate(problem.given.rows))
    if any(form is None or dot(form, point) <= 0 for form in margins):
        raise Rejected("the point with the signs next to theta has a margin that is not positive")
