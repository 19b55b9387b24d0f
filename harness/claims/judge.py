"""judge: the one place where a claim meets an instance.

drive -> decide -> what the limit says about the claim.  Certificates cost more than verdicts in floats, so these come
first, and what they say counts as far as the caller wants it to: a hunt looks at thousands of instances on their word,
but nothing is called violated before the exact checker has accepted the proof.
"""

from __future__ import annotations

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
    if limit.status != "converged":
        return Judged(claim.judged(limit, None), limit, None)
    if certify != "always":
        screened = harness.decide(limit, certify=False)
        outcome = claim.judged(limit, screened, on_their_word=True)
        if certify == "never" or outcome != "violated":
            return Judged(outcome, limit, screened)
    verdicts = harness.decide(limit)
    return Judged(claim.judged(limit, verdicts), limit, verdicts)


def _trained(claim: Claim, descent: Descent) -> Outcome:
    decided_by = claim.decided_by.trained
    if decided_by is None or not claim.speaks_of(descent):
        return "outside"
    holds = decided_by.holds(trainings([descent], decided_by.halvings)[0])
    return "undecided" if holds is None else "holds" if holds else "violated"
