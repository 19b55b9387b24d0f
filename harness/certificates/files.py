"""`verify_file`: a stored counterexample, believed in nothing.

    {"format": 1, "claim": "depth2-local", "instance": {...},
     "limit": {"theta": [[...], [...]], "value": 2.0, "margins": [...], "multipliers": [...], "kkt_residual": 1e-16,
               "kinks": [{"sample": 0, "layer": 1, "neuron": 1, "coefficient": 0.0}], ... evidence},
     "structure": {...}, "mechanism": "...", "certificate": {...}, "flow": {...} or left out, "replay": "..."}

"structure" is what the certificate says of the limit: {"outgoing", "gates"} (structures.py) for kind "better",
{"signs"} (signs.py) for the other kinds.  Other keys at the top and in "limit" are evidence and are not read.

What is PROVEN when a file is accepted, by exact arithmetic alone:

- the instance is well formed, and its network, data and start are of the kind that the claim speaks of;
- theta's own least margin is 1 up to 1e-9, value and margins are theta's, theta has the structure up to 1e-9, and
  every point within 1e-9 |theta| of theta has the property that the claim assumes;
- theta, or for kind "better" the point with exactly the structure next to it, is a near-KKT point of the margin
  problem: its residual is at most 1e-8;
- for curves of order 2 without kinks that matter, moreover: an EXACT KKT point with the structure lies within 1e-9
  |theta| of theta (exists.py); where the proof does not go through, and kinks do not excuse it, the file is rejected;
- NO feasible point with the structure, next to theta, is a local (or global, as the claim says) optimum of the margin
  problem; where the claim is about one layer, of the problem over that layer with the others as they are stored.  The
  files of the kinds (better.py, curves.py, layers.py, products.py) say it exactly.  Or, where the claim states
  something else of the limit, that is false of every point within 1e-9 |theta| of theta (statements.py).

- with "flow", a certificate of that kind (flow.py): EVERY solution of the gradient flow from theta0 separates the data
  and converges in direction to a limit next to theta that has the structure, and this limit is no optimum
  (flow_denial.py).  The counterexample is then a theorem from the first number to the last.

What is EVIDENCE without "flow": that the gradient flow from theta0 converges in direction to a limit with this
structure next to theta.  Anyone can run the flow again, as "replay" says; the list then holds for the limit whatever
its exact digits are.  EVIDENCE in any case is what a claim assumes as `Denial.computed` says: that no exact invariance
holds the flow, and that multipliers are unique.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from harness.certificates.checker import Checked, check
from harness.certificates.claims import require_kind
from harness.certificates.denials import CLAIMS
from harness.certificates.documents import load
from harness.certificates.exists import has_kinks, kkt_point
from harness.certificates.flow import check_flow
from harness.certificates.flow_denial import require_limit
from harness.certificates.flow_start import End
from harness.certificates.kkt import read_coefficients, require_inner, residual
from harness.certificates.mechanisms import MECHANISMS, require_mechanism
from harness.certificates.numbers import Rejected, choice, fields, float_up, integer, number, vector
from harness.certificates.parameters import objective, read_theta
from harness.certificates.problems import neurons_of
from harness.certificates.signs import Signs, Theta, read_signs, require_signs
from harness.certificates.structures import read_structure, settle
from harness.certificates.taylor import sqrt_up
from harness.problem.fields import FieldError
from harness.problem.instances import Instance
from harness.problem.places import Place
from harness.problem.predicates import orthant
from harness.problem.problems import Problem

FORMAT = 1
# The KKT residual that is demanded of a stored limit.
RESIDUAL = Fraction(1, 10**8)
# How closely stored value and margins must agree with theta, and how close an exact KKT point must be, relatively.
AGREEMENT = Fraction(1, 10**9)

# The kinds that prove a limit not to be optimal, or what is stated of it to be false.
DENYING = ("better", "curve", "layer better", "cheaper", "statement")
_REQUIRED = ("format", "claim", "instance", "limit", "structure", "mechanism", "certificate", "replay")
_LIMIT = ("theta", "value", "margins", "multipliers", "kkt_residual", "kinks")


@dataclass(frozen=True)
class Verified:
    """The verdict on one file.

    reason: one sentence.  claim: the id, as stored.  checked: the checker's answer on the certificate.
    residual: the proven bound on the KKT residual.  exact: a distance from theta within which an exact KKT point is
    proven to lie.  end: where the flow is proven to end.  Each None where it did not come to that.
    """

    path: str
    accepted: bool
    reason: str
    claim: str
    checked: Checked | None = None
    residual: float | None = None
    exact: float | None = None
    end: End | None = None

    @property
    def sentence(self) -> str:
        """The reason, and what is proven of the limit itself."""
        if not self.accepted or self.residual is None:
            return self.reason
        near = f"; an exact KKT point is within {self.exact:.1e} of it" if self.exact is not None else ""
        flow = "proven" if self.end is not None else "computed"
        assumed = CLAIMS[self.claim].computed
        more = f"; {assumed}: computed" if assumed else ""
        residual = f"the limit's KKT residual is at most {self.residual:.1e}"
        return f"{self.reason}; {residual}{near}; the flow ends there: {flow}{more}"


def verify_file(path: str | Path) -> Verified:
    """Check one counterexample.json.

    Raises FieldError, naming the file and the field, where it cannot be read or has the wrong shape.
    """
    record = load(Path(path))
    try:
        return verify(record, str(path))
    except FieldError as error:
        raise FieldError(str(path), str(error)) from None


def verify(record: object, path: str = "-") -> Verified:
    """The same for the record as Python data."""
    top = fields(record, "counterexample", _REQUIRED, None)
    choice(top["format"], "format", (FORMAT,))
    claim = choice(top["claim"], "claim", tuple(CLAIMS))
    mechanism = choice(top["mechanism"], "mechanism", MECHANISMS)
    instance = _instance(top["instance"])
    given = instance.problem
    certificate = fields(top["certificate"], "certificate", ("kind", "problem", "scope", "theta"), None)
    choice(certificate["kind"], "certificate.kind", DENYING)
    try:
        stored = _read_limit(given, top["limit"])
        theta = read_theta(certificate["theta"], "certificate.theta", given.network)
        _require_denial(instance, claim, certificate)
        signs, point = _structure(given, certificate, top["structure"], stored.theta)
        if theta != stored.theta:
            raise Rejected("the certificate is about another theta than the limit")
        _require_limit(given, stored)
        CLAIMS[claim].assumes(given, theta, AGREEMENT * sqrt_up(2 * objective(given.network, theta)))
        found = residual(given, signs, point, stored.multipliers, stored.coefficients)
        if not found.at_most(RESIDUAL):
            raise Rejected(f"the KKT residual can only be shown to be at most {found.as_float():.1e}, more than 1e-8")
        if CLAIMS[claim].inner_kinks:
            require_inner(given, signs, stored.multipliers, stored.coefficients)
        checked = check(given, certificate)
        if not checked.accepted:
            return Verified(path, False, checked.reason, claim, checked, found.as_float())
        exact = _exact(given, certificate, signs, stored)
        require_mechanism(mechanism, given, theta, certificate)
        end = _end(instance, theta, certificate, top["flow"]) if "flow" in top else None
    except Rejected as rejection:
        return Verified(path, False, str(rejection), claim)
    return Verified(path, True, checked.reason, claim, checked, found.as_float(), exact, end)


def _end(given: Instance, theta: Theta, certificate: dict[str, Any], value: object) -> End:
    """Where the flow is proven to end, so that the certificate speaks of its limit.  Raises FieldError, Rejected."""
    stated = fields(value, "flow", ("theta",), None)["theta"]
    if read_theta(stated, "flow.theta", given.network) != theta:
        raise Rejected("the proof of the flow is about another theta than the limit")
    found = check_flow(given, value)
    if found.end is None:
        raise Rejected(f"the proof of the flow does not hold: {found.reason}")
    require_limit(given.problem, theta, certificate, found.end)
    return found.end


def _instance(value: Any) -> Instance:
    """The file's instance.  Raises FieldError."""
    if not isinstance(value, dict):
        raise FieldError("instance", "expected an object")
    try:
        return Instance.from_json(json.dumps(value))
    except FieldError as error:
        raise FieldError(f"instance.{error.field}", str(error).removeprefix(f"{error.field}: ")) from None
    except (TypeError, ValueError, RecursionError):
        raise FieldError("instance", "not JSON data, or nested too deeply") from None


@dataclass(frozen=True)
class _Stored:
    """What the file says of the limit: read, not believed."""

    theta: Theta
    value: Fraction
    margins: tuple[Fraction, ...]
    multipliers: tuple[Fraction, ...]
    residual: Fraction
    coefficients: dict[Place, Fraction]


def _read_limit(given: Problem, value: object) -> _Stored:
    """Raises FieldError, and Rejected where theta has other numbers for a fixed layer."""
    limit = fields(value, "limit", _LIMIT, None)
    count = len(given.rows)
    return _Stored(
        read_theta(limit["theta"], "limit.theta", given.network),
        number(limit["value"], "limit.value"),
        vector(limit["margins"], "limit.margins", count),
        vector(limit["multipliers"], "limit.multipliers", count),
        number(limit["kkt_residual"], "limit.kkt_residual"),
        read_coefficients(limit["kinks"], "limit.kinks", given),
    )


def _require_denial(instance: Instance, claim: str, certificate: dict[str, Any]) -> None:
    """Whether a certificate of this kind denies the claim, which speaks of this instance.  Raises Rejected."""
    denial = CLAIMS[claim]
    require_kind(denial, instance)
    if not denial.denied_by(certificate):
        raise Rejected(f"to deny {claim} takes {denial.wanted}")
    witness = certificate.get("witness") or {}
    if certificate["kind"] == "statement" and "signs" in witness and tuple(witness["signs"]) != orthant(instance):
        raise Rejected("the witness is about another orthant than that of the start")
    if certificate["kind"] == "statement" and certificate.get("says") == "left orthant":
        at = integer(witness.get("coordinate"), "witness.coordinate", 0, instance.d - 1)
        if witness.get("sign") != orthant(instance)[at]:
            raise Rejected("the witness is about another orthant than that of the start")


def _structure(given: Problem, certificate: dict[str, Any], value: object, theta: Theta) -> tuple[Signs | None, Theta]:
    """The signs of the limit, and a point that has them: exactly for kind "better", else theta.  Raises Rejected."""
    if certificate["kind"] == "better":
        neurons = neurons_of(given)
        structure = read_structure(value, "structure", given)
        own = read_structure(
            fields(certificate, "certificate", ("structure",), None)["structure"], "certificate.structure", given
        )
        if structure != own:
            raise Rejected("the certificate is about another structure than the file")
        return None if structure.gates is None else (structure.gates,), settle(structure, neurons, theta)
    signs = read_signs(fields(value, "structure", ("signs",))["signs"], "structure.signs", given)
    if "signs" in certificate and read_signs(certificate["signs"], "certificate.signs", given) != signs:
        raise Rejected("the certificate is about another structure than the file")
    if signs is not None:
        require_signs(given, theta, signs)
    return signs, theta


def _require_limit(given: Problem, stored: _Stored) -> None:
    """Whether value and margins are theta's, and theta is scaled.  Raises Rejected."""
    exact = given.margins(stored.theta)
    if abs(min(exact) - 1) > AGREEMENT:
        raise Rejected("the limit is not scaled to a least margin of 1")
    if any(abs(a - b) > AGREEMENT * max(1, abs(b)) for a, b in zip(stored.margins, exact, strict=True)):
        raise Rejected("the stored margins are not those of theta")
    own = objective(given.network, stored.theta)
    if abs(stored.value - own) > AGREEMENT * own:
        raise Rejected("the stored value is not that of theta")
    if not 0 <= stored.residual <= RESIDUAL:
        raise Rejected("the stored KKT residual is more than 1e-8")


def _exact(given: Problem, certificate: dict[str, Any], signs: Signs | None, stored: _Stored) -> float | None:
    """How far from theta an exact KKT point is at most; None where none is asked for.  Raises Rejected."""
    if certificate["kind"] != "curve" or certificate["order"] != 2:
        return None
    if has_kinks(given, stored.theta, signs, stored.multipliers):
        return None
    radius = kkt_point(given, stored.theta, signs, stored.multipliers)
    if radius**2 > AGREEMENT**2 * 2 * objective(given.network, stored.theta):
        raise Rejected("no exact KKT point could be proven within 1e-9 of theta")
    return float_up(radius)
