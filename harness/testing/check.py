"""A claim held against drawn instances: the loop that every property runs.

draw -> judge.  What becomes of an example is counted; a violation is raised as the claim's own
exception, with the instance, so that Hypothesis shrinks it and a person can replay it.

A verdict is certified where the claim is violated, and for one instance in AUDITED, which ones following from the
instance alone.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hypothesis import settings

from harness.claims.judge import judge
from harness.claims.table import Claim, Outcome
from harness.optimisers.descents import Descent
from harness.problem.instances import Instance
from harness.testing.profiles import USUAL, in_force

if TYPE_CHECKING:
    from harness.problem.limits import Limit

# What becomes of an example, in the order of the table's columns.
COLUMNS = ("held", "violated", "undecided", "outside", "not unique", "not separating")
_OUTCOMES: dict[Outcome, str] = {"holds": "held"}
AUDITED = 100


def examples(count: int) -> settings:
    """A decorator: so many examples where a change is checked, and in other profiles in proportion.

    The rest is as in the profile (harness/testing/profiles.py): no deadline, as the first flow waits for a compiler.
    """
    profile = in_force()
    return settings(profile, max_examples=max(1, count * profile.max_examples // USUAL))


@dataclass
class Check:
    """Holds one claim against instances.  counts: what became of them, by column."""

    claim: Claim
    counts: Counter[str] = field(default_factory=Counter)

    def __call__(self, instance: Instance) -> None:
        """Raises the claim's own exception where it is violated."""
        found = judge(self.claim, instance, certify="always" if audited(instance) else "violations")
        self.counts[_column(found.limit, found.outcome)] += 1
        if found.outcome == "violated":
            raise self.claim.exception(violation(self.claim, instance), instance)

    @property
    def decided(self) -> int:
        return self.counts["held"] + self.counts["violated"]


def audited(instance: Instance) -> bool:
    """Whether the instance is in the hundredth whose verdicts are always certified."""
    return int.from_bytes(hashlib.sha256(instance.to_json().encode()).digest()[:4]) % AUDITED == 0


def _column(limit: Limit, outcome: Outcome) -> str:
    if limit.status == "never_separates":
        return "not separating"
    if limit.status == "undecided" and "not unique" in limit.reason:
        return "not unique"
    return _OUTCOMES.get(outcome, outcome)


def violation(claim: Claim, instance: Instance) -> str:
    """What a person needs to see, and to run, for a claim that failed."""
    again = "To see the limit and the verdicts, save this as FILE and run: marginalia check FILE"
    if isinstance(instance, Descent):
        again = f"To train it again: judge(CLAIMS[{claim.id!r}], read_any(text)), of harness.optimisers.descents"
    what = "what is reached" if isinstance(instance, Descent) else "the limit"
    said = f"the claim {claim.id} is violated: {what} is not as it says, {claim.conclusion}"
    return f"{said}\n\n{instance.to_json()}\n\n{again}"
