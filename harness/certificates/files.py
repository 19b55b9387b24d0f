"""`verify_file`: a stored counterexample, believed in nothing.

    {"format": 1, "claim": "depth2-local", "instance": {...},
     "limit": {"theta": [[...], [...]], "value": 2.0, "margins": [...], "multipliers": [...], "kkt_residual": 1e-16,
               "kinks": [{"sample": 0, "layer": 1, "neuron": 1, "coefficient": 0.0}], ... evidence},
     "structure": {...}, "mechanism": "...", "certificate": {...}, "replay": "..."}

Other keys at the top and in "limit" are evidence and are not read.

What is PROVEN when a file is accepted, by exact arithmetic alone:

- the instance is well formed and of the shape that the claim speaks of;
- the stored theta is within 1e-9 (relative) of a point with exactly the structure (signs, gates, zeros), with positive
  margins, that has the property the claim assumes; theta's own least margin is 1 up to 1e-9, and value and margins are
  theta's;
- that point is a near-KKT point of the margin problem: its residual is at most 1e-8;
- NO feasible point with the structure is a local (or global, as the claim says) optimum of the margin problem; where
  the claim is about one layer, of the problem over that layer with the other one as it is stored.

What is EVIDENCE: that the gradient flow from theta0 converges in direction to a limit with this structure near theta.
Anyone can run the flow again, as "replay" says; the last line of the list then holds for the limit whatever its
exact digits are.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from harness.certificates.checker import Certificate, Checked, check, read_certificate
from harness.certificates.claims import CLAIMS, require_shape
from harness.certificates.documents import load
from harness.certificates.kkt import read_coefficients, residual
from harness.certificates.numbers import Rejected, choice, fields, number, rows, vector
from harness.certificates.problems import cost, neurons_of
from harness.certificates.structures import read_structure, settle
from harness.instances import Instance
from harness.networks import FieldError

FORMAT = 1
# The KKT residual that is demanded of a stored limit.
RESIDUAL = Fraction(1, 10**8)
# How closely stored value and margins must agree with theta.
AGREEMENT = Fraction(1, 10**9)

MECHANISMS = ("saddle", "kink", "zero weight", "dead neuron", "layer", "global gap")
_REQUIRED = ("format", "claim", "instance", "limit", "structure", "mechanism", "certificate", "replay")
_LIMIT = ("theta", "value", "margins", "multipliers", "kkt_residual", "kinks")


@dataclass(frozen=True)
class Verified:
    """The verdict on one file.

    reason: one sentence.  claim: the id, as stored.  checked: the checker's answer on the certificate.
    residual: the proven bound on the KKT residual; both None where it did not come to that.
    """

    path: str
    accepted: bool
    reason: str
    claim: str
    checked: Checked | None = None
    residual: float | None = None


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
    choice(top["mechanism"], "mechanism", MECHANISMS)
    instance = _instance(top["instance"])
    limit = fields(top["limit"], "limit", _LIMIT, None)
    try:
        read = read_certificate(instance, top["certificate"])
        require_shape(CLAIMS[claim], instance)
        proven = _require_limit(instance, read, claim, top, limit)
        checked = check(instance, top["certificate"])
        if not checked.accepted:
            return Verified(path, False, checked.reason, claim, checked, proven)
        _require_mechanism(instance, read, top["mechanism"])
    except Rejected as rejection:
        return Verified(path, False, str(rejection), claim)
    return Verified(path, True, checked.reason, claim, checked, proven)


def _instance(value: Any) -> Instance:
    if not isinstance(value, dict):
        raise FieldError("instance", "expected an object")
    try:
        return Instance.from_json(json.dumps(value))
    except FieldError as error:
        raise FieldError(f"instance.{error.field}", str(error).removeprefix(f"{error.field}: ")) from None
    except (TypeError, ValueError, RecursionError):
        raise FieldError("instance", "not JSON data, or nested too deeply") from None


def _require_limit(
    instance: Instance, read: Certificate, claim: str, top: dict[str, Any], limit: dict[str, Any]
) -> float:
    """What the file says of the limit, apart from the certificate's own proof; the bound on the KKT residual."""
    network, denial = instance.network, CLAIMS[claim]
    theta = rows(limit["theta"], "limit.theta", network.sizes)
    margins = vector(limit["margins"], "limit.margins", instance.n)
    multipliers = vector(limit["multipliers"], "limit.multipliers", instance.n)
    stored_value = number(limit["value"], "limit.value")
    stored_residual = number(limit["kkt_residual"], "limit.kkt_residual")
    coefficients = read_coefficients(limit["kinks"], "limit.kinks", instance.n, network.widths[1])
    if read_structure(top["structure"], "structure", instance) != read.structure:
        raise Rejected("the certificate is about another structure than the file")
    if theta != read.theta:
        raise Rejected("the certificate is about another theta than the limit")
    if (read.kind, read.problem, read.scope) != ("better", denial.problem, denial.scope):
        raise Rejected(f'to deny {claim} takes a "better" certificate of the {denial.problem} problem, {denial.scope}')
    exact = instance.margins(theta)
    if abs(min(exact) - 1) > AGREEMENT:
        raise Rejected("the limit is not scaled to a least margin of 1")
    if any(abs(a - b) > AGREEMENT * max(1, abs(b)) for a, b in zip(margins, exact, strict=True)):
        raise Rejected("the stored margins are not those of theta")
    worth = cost(theta, "full")
    if abs(stored_value - worth) > AGREEMENT * worth:
        raise Rejected("the stored value is not that of theta")
    if not 0 <= stored_residual <= RESIDUAL:
        raise Rejected("the stored KKT residual is more than 1e-8")
    neurons = neurons_of(instance)
    point = settle(read.structure, neurons, theta)
    denial.assumes(instance, neurons, read.structure, point)
    found = residual(instance, neurons, read.structure, point, multipliers, coefficients)
    if not found.at_most(RESIDUAL):
        raise Rejected(f"the KKT residual can only be shown to be at most {found.as_float():.1e}, more than 1e-8")
    return found.as_float()


def _require_mechanism(instance: Instance, read: Certificate, mechanism: str) -> None:
    """Whether the better point can show this mechanism.  Raises Rejected."""
    assert read.better is not None
    linear = instance.network.activation == "linear"
    expected = {"zero weight": linear, "dead neuron": not linear, "kink": not linear}
    if not expected.get(mechanism, True):
        raise Rejected(f"{mechanism} is not a mechanism of {instance.network.activation} networks")
    fits = "layer" if read.problem != "full" else "global gap" if read.scope == "global" else None
    if mechanism != fits if fits else mechanism in ("layer", "global gap"):
        raise Rejected(f"{mechanism} is not the mechanism of a {read.scope} certificate of the {read.problem} problem")
    dead = [neuron for neuron in neurons_of(instance) if read.structure.dead(neuron)]
    woken = any(neuron.v(read.better) and any(neuron.w(read.better)) for neuron in dead)
    if mechanism in ("zero weight", "dead neuron") and not woken:
        raise Rejected(f"the mechanism is {mechanism}, and the better point wakes no zero neuron")
    if mechanism in ("saddle", "kink") and woken:
        raise Rejected(f"the mechanism is {mechanism}, and the better point wakes a zero neuron")
