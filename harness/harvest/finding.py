"""A counterexample that was found, and its record: the JSON object that is stored.

The record holds what a reader needs to believe it without us: the instance, the limit, the
structure of the limit and the certificate; and how to find and check it again.  It has no date, so
the same search with the same software gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness.certificates import verify
from harness.claims.judge import judge
from harness.claims.table import Claim
from harness.harvest.simplest import simplest
from harness.oracles import Verdict, Verdicts
from harness.problem.instances import Instance
from harness.problem.limits import Limit
from harness.proofs import proof_of_flow
from harness.records.record import Record
from harness.tools.software import software

FORMAT = 1
# What decides which instance is found and what its limit is, down to the last bit.
_PACKAGES = ("marginalia", "hypothesis", "numpy", "scipy", "numba", "clarabel")


@dataclass(frozen=True)
class Finding:
    """An instance on which a claim fails, with the proof.

    certificate: that the limit is not optimal, accepted by the exact checker.  seed: of the hunt.
    examples: how many instances the hunt drove through the trainer, shrinking included.
    robustness: what was measured of it, with the key "robust", true or false; None if nothing was.
    flow: the certificate of where the flow ends; None without one.
    """

    claim: str
    mechanism: str
    limit: Limit
    certificate: Mapping[str, Any]
    seed: int
    examples: int
    robustness: Mapping[str, Any] | None = None
    flow: Mapping[str, Any] | None = None

    @property
    def instance(self) -> Instance:
        return self.limit.instance

    def flowing(self) -> Finding:
        """The same with a proof of where the flow ends, if one is found that makes the counterexample a theorem."""
        point = self.limit.point
        proof = proof_of_flow(self.instance, point.theta, point.multipliers) if point is not None else None
        if proof is None:
            return self
        whole = replace(self, flow=proof[0])
        return whole if verify(whole.record().data).accepted else self

    def simplified(self) -> Finding:
        """The same with the simplest better point that does."""

        def accepted(certificate: Mapping[str, Any]) -> bool:
            return verify(replace(self, certificate=certificate).record().data).accepted

        return replace(self, certificate=simplest(self.instance.problem, self.certificate, accepted))

    def record(self) -> Record:
        """What is stored."""
        data: dict[str, Any] = {
            "format": FORMAT,
            "claim": self.claim,
            "mechanism": self.mechanism,
            "instance": json.loads(self.instance.to_json()),
            "limit": _limit(self.limit),
            "structure": self.certificate.get("structure") or {"signs": _signs(self.limit)},
            "certificate": dict(self.certificate),
        }
        if self.flow is not None:
            data["flow"] = dict(self.flow)
        if self.robustness is not None:
            data["robustness"] = dict(self.robustness)
        found = {"seed": self.seed, "examples": self.examples, "software": software(_PACKAGES)}
        return Record(data | {"replay": Record(data | {"found": found}).commands, "found": found})


def mechanism_of(verdicts: Verdicts, verdict: Verdict) -> str | None:
    """Why the verdict is "not optimal", as a stored counterexample has it."""
    assert verdict.certificate is not None
    if verdict.certificate["kind"] == "statement":
        return verdict.certificate["says"]
    if verdict.certificate["problem"] != "full":
        return "layer"
    return "global gap" if verdict.certificate["scope"] == "global" else verdicts.mechanism


def proven(claim: Claim, instance: Instance) -> Finding | None:
    """The counterexample that the instance is to a claim about optimality, with its simplest proof; None without one.

    seed and examples are those of no hunt.
    """
    found = judge(claim, instance, certify="always")
    verdict = claim.against(found.limit, found.verdicts) if found.verdicts and found.outcome == "violated" else None
    if found.verdicts is None or verdict is None or not verdict.certified or verdict.certificate is None:
        return None
    mechanism = mechanism_of(found.verdicts, verdict) or "global gap"
    return Finding(claim.id, mechanism, found.limit, verdict.certificate, seed=0, examples=1).simplified().flowing()


def _signs(limit: Limit) -> list[list[list[int]]] | None:
    """The signs of the pre-activations, null for linear networks."""
    if not limit.instance.network.kinked or limit.point is None:
        return None
    return [block.tolist() for block in limit.point.signs]


def _limit(limit: Limit) -> dict[str, Any]:
    """The limit as JSON, with numbers by the rows of the margins, and the evidence that the flow goes there."""
    point = limit.point
    assert point is not None, "only a converged limit is stored"
    return {
        "theta": [[float(a) for a in u] for u in point.theta],
        "value": float(point.value),
        "margins": [float(q) for q in point.margins],
        "multipliers": [float(a) for a in point.multipliers],
        "kkt_residual": float(point.residual),
        "kinks": [kink.as_json() for kink in point.kinks],
        "zeros": point.zeros,
        "log_norm": None if limit.log_norm is None else float(limit.log_norm),
        "evidence": [[float(log_norm), float(distance)] for log_norm, distance in limit.evidence],
    }
