"""judge: the one place where a claim meets an instance.

drive -> decide -> what the limit says about the claim.  Certificates cost more than verdicts in floats, so these come
first, and what they say counts as far as the caller wants it to: a hunt looks at thousands of instances on their word,
but nothing is called violated before the exact checker has accepted the proof.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import harness
from harness.claims.table import Claim, Outcome
from harness.claims.trained import trainings
from harness.optimisers.descents import Descent
from harness.oracles import Verdicts
from harness.problem.instances import Instance
from harness.problem.limits import Limit

Certify = Literal["never", "violations", "always"]


@dataclass(frozen=True)
class Judged:
    """outcome: what the limit says about the claim.  verdicts: on the limit, None unless it converged."""

    outcome: Outcome
    limit: Limit
    verdicts: Verdicts | None


def judge(claim: Claim, of: Instance | Limit, *, certify: Certify = "violations", record: bool = False) -> Judged:
    """Follow the flow, unless it has been followed already, decide about its limit and hold the claim against it.

    certify: which answers rest on certificates; with "never" a violation is one in floats, for screening alone.
    record: keep the flow's path, which claims about it need and get in any case.
    Of a Descent nothing is followed: it is trained, by its own optimiser.
    """
    if isinstance(of, Descent):
        return Judged(
            _trained(claim, of), Limit(of, "undecided", f"trained by {of.setup.name}, which is no flow"), None
        )
    limit = of if isinstance(of, Limit) else harness.drive([of], record=record or claim.recorded)[0]
    if certify != "always":
        outcomes, screened = judge_all([claim], limit, certify=False)
        if certify == "never" or outcomes[claim.id] != "violated" or screened is None:
            return Judged(outcomes[claim.id], limit, screened)
    outcomes, verdicts = judge_all([claim], limit, certify=True)
    return Judged(outcomes[claim.id], limit, verdicts)


def judge_all(claims: Iterable[Claim], limit: Limit, *, certify: bool) -> tuple[dict[str, Outcome], Verdicts | None]:
    """Decide about a limit, once, and hold claims against it: the outcome of each, by id, and the verdicts.

    certify: whether answers rest on certificates; else they are those of floats, for screening alone.
    """
    verdicts = harness.decide(limit, certify=certify) if limit.status == "converged" else None
    return {claim.id: claim.judged(limit, verdicts, on_their_word=not certify) for claim in claims}, verdicts


def _trained(claim: Claim, descent: Descent) -> Outcome:
    decided_by = claim.decided_by.trained
    if decided_by is None or not claim.speaks_of(descent):
        return "outside"
    holds = decided_by.holds(trainings([descent], decided_by.halvings)[0])
    return "undecided" if holds is None else "holds" if holds else "violated"
