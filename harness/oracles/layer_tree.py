"""Local and global verdicts on one layer's problem, at any depth and with any sharing, by splitting on gates.

Once every gate that a sample feels is given, its margin is a linear form and the best point that respects the given
gates and these samples is a point of least norm of a polyhedron: a lower bound for all completions.  While it is
less than the limit's value, split on a gate of the sample that the point serves worst.  The tree is the proof of
optimality; a leaf with all gates given and a lower value holds a better point.  Locally the gates whose signs are
not zero in the limit are given from the start.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.oracles.exact import header, rounded, stated
from harness.oracles.layer_forms import LayerForms
from harness.oracles.least_distance import least_norm
from harness.oracles.proofs import SAFE_GAP, attested
from harness.oracles.verdict import LayerVerdicts, Verdict
from harness.problem.numbers import as_json
from harness.problem.places import Place, layer_name
from harness.problem.points import Point

MAX_NODES = 600
LEAST_GAIN = 1e-9


class _Better(Exception):
    """A better point was found."""

    def __init__(self, z: np.ndarray) -> None:
        super().__init__()
        self.z = z


class _Open(Exception):
    """The tree grew too large, or a leaf has neither a bound nor a better point; the text says which."""


def decide_layer(point: Point, layer: int, certify: bool) -> LayerVerdicts:
    """The verdicts on the problem over u^(layer + 1)."""
    forms = LayerForms(point, layer)
    local = _decide(forms, "local", certify)
    convex = not forms.kinked or layer == forms.hidden
    if convex or (local.status == "not_optimal" and local.certificate is not None):
        if local.certificate is None:
            return LayerVerdicts(local, local)
        again = Verdict(local.status, local.value, local.bound, local.reason, {**local.certificate, "scope": "global"})
        return LayerVerdicts(attested(point.problem, again, certify), local)
    return LayerVerdicts(_decide(forms, "global", certify), local)


def _decide(forms: LayerForms, scope: str, certify: bool) -> Verdict:
    value = 0.5 * float(forms.z @ forms.z)
    search = _Search(forms, scope, value)
    gates = forms.given() if scope == "local" else {}
    try:
        tree, bound = search.node(gates)
    except _Open as why:
        return Verdict("undecided", value, None, str(why))
    except _Better as found:
        return _better(forms, scope, value, found.z, certify)
    certificate = {**_header(forms, "layer tree", scope), "tree": tree}
    reason = "multipliers on every cell prove a lower bound that equals the value"
    return attested(forms.point.problem, Verdict("optimal", value, bound, reason, certificate), certify)


@dataclass(frozen=True)
class _Forms:
    """What gates make of one sample: the rows whose margins are known, the places of walls, and the forms of both.

    unclear: the open gates.
    """

    margins: list[tuple[int, np.ndarray]]
    walls: list[tuple[Place, np.ndarray]]
    unclear: list[Place]

    @classmethod
    def of(cls, forms: LayerForms, sample: int, gates: Mapping[Place, int]) -> _Forms:
        margins, known, unclear = forms.forms(sample, gates)
        return cls(
            [(row, q) for row, q in zip(forms.rows[sample], margins, strict=True) if q is not None],
            [(p, form if gates[p] else -form) for p, form in known.items() if p in gates and form.any()],
            unclear,
        )


class _Search:
    def __init__(self, forms: LayerForms, scope: str, value: float) -> None:
        self.forms = forms
        self.scope = scope
        self.value = value
        self.nodes = 0
        self.own = forms.given()

    def node(
        self, gates: dict[Place, int], above: Sequence[_Forms] = (), changed: int = -1
    ) -> tuple[dict[str, Any], float]:
        """The tree below these gates and the bound it proves.  Raises _Better or _Open.

        above: the forms of every sample one choice of gates before, which was one of the sample `changed`.
        """
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise _Open(f"more than {MAX_NODES} choices of gates")
        forms = self.forms
        margins: list[tuple[int, np.ndarray]] = []
        walls: list[tuple[Place, np.ndarray]] = []
        unclear: dict[int, list[Place]] = {}
        own = [above[i] if above and i != changed else _Forms.of(forms, i, gates) for i in range(forms.n)]
        for i, one in enumerate(own):
            margins += one.margins
            walls += one.walls
            if len(one.margins) < len(forms.rows[i]):
                unclear[i] = one.unclear
        a = np.array([q for _, q in margins] + [w for _, w in walls]).reshape(-1, forms.size)
        b = np.append(np.ones(len(margins)), np.zeros(len(walls)))
        # Walls are scaled to the length of a margin's form, for the solver's sake.
        length = np.sqrt((a * a).sum(axis=1))
        scale = np.where(b > 0.0, 1.0, np.where(length > 0.0, length, 1.0))
        found = least_norm(a / scale[:, None], b)
        if found is None:
            raise _Open("the solver failed on a cell")
        if found.bound >= self.value * (1.0 - SAFE_GAP):
            y = found.y / scale
            top = float(np.abs(y).max(initial=0.0)) or 1.0
            alpha = [0.0] * forms.margins
            for (row, _), weight in zip(margins, y, strict=False):
                alpha[row] = weight / top
            nu = [
                [*wall.as_json(), as_json(weight / top)]
                for (wall, _), weight in zip(walls, y[len(margins) :], strict=True)
                if weight > 0.0
            ]
            return {"alpha": [as_json(v) for v in alpha], "nu": nu}, found.bound
        q = forms.evaluate(forms.z)[0] if found.z is None else self._glance(found.z)
        if not unclear:
            raise _Open("a cell has neither a proof nor a clearly better point")
        place = self._split(gates, unclear, q)
        on, bound = self.node({**gates, place: 1}, own, place.sample)
        off, other = self.node({**gates, place: 0}, own, place.sample)
        return {"split": place.as_json(), "on": on, "off": off}, min(bound, other)

    def _glance(self, z: np.ndarray) -> np.ndarray:
        """The margins at z (R,).  Raises _Better where z, scaled up to feasible ones, is better than the limit."""
        q, inputs = self.forms.evaluate(z)
        lowest = float(q.min())
        if not lowest > 0.0 or 0.5 * float(z @ z) / min(lowest, 1.0) ** 2 >= self.value * (1.0 - LEAST_GAIN):
            return q
        if self.scope == "local":
            size = float(np.abs(z).max())
            sides = [(inputs[p.layer - self.forms.layer][p.sample, p.neuron], gate) for p, gate in self.own.items()]
            if any(value * (1 if gate else -1) < -1e-9 * size for value, gate in sides):
                return q
        raise _Better(z / min(lowest, 1.0))

    def _split(self, gates: dict[Place, int], unclear: dict[int, list[Place]], q: np.ndarray) -> Place:
        """The lowest open gate that is felt by the sample with the least of these margins (R,)."""
        forms = self.forms
        for i in sorted(unclear, key=lambda i: float(q[forms.rows[i]].min())):
            heard = forms.heard(i, gates)
            for place in unclear[i]:
                if heard[place.layer - forms.layer][place.neuron]:
                    return place
        raise _Open("no gate is left to split on")


def _header(forms: LayerForms, kind: str, scope: str) -> dict[str, Any]:
    signs = [np.asarray(s).tolist() for s in forms.point.signs] if forms.kinked else None
    theta = stated(forms.point.problem.network, forms.point.theta)
    return {**header(theta, kind, scope, layer_name(forms.layer)), "signs": signs}


def _better(forms: LayerForms, scope: str, value: float, z: np.ndarray, certify: bool) -> Verdict:
    """The verdict that z proves, made exact."""
    floor, alpha, nu = _floor(forms)
    low = min(floor, value)
    refused = "the better point could not be made exact"
    # Towards the limit, off the walls on which rounding may put the point on the wrong side.
    for blend in (0.0, 1e-6, 1e-3, 0.1) if scope == "local" and forms.kinked else (0.0,):
        apex = (1.0 - blend) * z + blend * forms.z
        own = 0.5 * float(apex @ apex)
        for bits in (2, 4, 8, 14, 20, 30, 45):
            slack = 2.0 ** (1 - bits)
            for stretch in (0.0, slack, 8.0 * slack):
                exact = [rounded(v * (1.0 + stretch), bits) for v in apex.tolist()]
                reached = 0.5 * float(sum(v * v for v in exact))
                if reached >= low * (1.0 - LEAST_GAIN) or (bits < 45 and reached > own + 0.1 * (low - own)):
                    continue
                if forms.evaluate(np.array([float(v) for v in exact]))[0].min() < 1.0 - 1e-12:
                    continue
                certificate = {
                    **_header(forms, "layer better", scope),
                    "better": [as_json(v) for v in exact],
                    "alpha": alpha,
                    "nu": nu,
                }
                reason = f"a point of the layer at cost {reached:.6g} is better"
                claim = Verdict("not_optimal", value, reached, reason, certificate)
                verdict = attested(forms.point.problem, claim, certify)
                if verdict.status == "not_optimal":
                    return verdict
                refused = verdict.reason
    return Verdict("undecided", value, None, refused)


def _floor(forms: LayerForms) -> tuple[float, list[int | str], list[list[Any]]]:
    """What every point with the limit's signs costs at least, with its multipliers: kinks off, and held at zero."""
    given = forms.given()
    gates = dict(given)
    if forms.kinked:
        for k in range(forms.layer, forms.hidden):
            for i, j in np.argwhere(forms.signs(k) == 0).tolist():
                gates[Place(i, k, j)] = 0
    rows, names = [], []
    for i in range(forms.n):
        margins, known, _ = forms.forms(i, gates)
        rows += [q for q in margins if q is not None]
        for place, form in known.items():
            if form.any():
                names.append((place, 1 if gates[place] else -1) if place in given else (place, 0))
    walls = []
    for place, side in names:
        form = forms.forms(place.sample, gates)[1][place]
        walls += [((place, 1), form), ((place, -1), -form)] if side == 0 else [((place, side), side * form)]
    a = np.array(rows + [w for _, w in walls])
    found = least_norm(a, np.append(np.ones(forms.margins), np.zeros(len(walls))))
    if found is None or found.z is None:
        return 0.0, [0] * forms.margins, []
    alpha, rest = found.y[: forms.margins], found.y[forms.margins :]
    total: dict[Place, float] = {}
    for ((place, side), _), weight in zip(walls, rest.tolist(), strict=True):
        if weight:
            total[place] = total.get(place, 0.0) + (weight if place in given else side * weight)
    nu = [[*place.as_json(), as_json(weight)] for place, weight in total.items()]
    return found.bound, [as_json(v) for v in alpha.tolist()], nu
