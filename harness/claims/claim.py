"""Claim: one statement about the limits of gradient flow, as data, and what a limit says about it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from harness.claims.conclusions import All, Decision, Optimal, is_proven
from harness.claims.stated import Stated
from harness.optimisers.descents import Descent
from harness.problem.later import later

if TYPE_CHECKING:
    from harness.oracles import Verdict, Verdicts
    from harness.problem.instances import Instance
    from harness.problem.limits import Limit
    from harness.problem.networks import Network

Status = Literal["theorem", "refuted", "check", "open"]
Outcome = Literal["holds", "violated", "undecided", "outside"]


class Violation(AssertionError):
    """A claim failed on an instance. Every claim has a subclass of its own, so that failures are told apart."""

    def __init__(self, message: str, instance: Instance) -> None:
        super().__init__(message)
        self.instance = instance


@dataclass(frozen=True)
class Claim:
    """One row of the table.

    setting: the networks it speaks of. assumption: what it assumes of data, start and limit, empty if nothing.
    conclusion: what it says of the limit. status: "theorem" (one counterexample is a failure), "refuted" (proven false:
    counterexamples are to be found), "check" (of the trainer) or "open" (a conjecture: what is found is stored, and
    fails nothing).
    decided_by: the same as data and functions.
    """

    id: str
    setting: str
    assumption: str
    conclusion: str
    status: Status
    source: str
    decided_by: Decision

    def _repr_html_(self) -> str:
        return later("harness.show.notebook", "claim_html", self)

    @cached_property
    def exception(self) -> type[Violation]:
        """The exception class of this claim, by name: fc-relu-local has FcReluLocalViolation."""
        name = "".join(part.capitalize() for part in self.id.split("-")) + "Violation"
        return type(name, (Violation,), {"__doc__": f"The claim {self.id} failed.", "__module__": __name__})

    def applies(self, network: Network) -> bool:
        """Whether the claim speaks of the flows of this network."""
        return self.decided_by.trained is None and network in self.decided_by.networks

    def speaks_of(self, instance: Instance) -> bool:
        """Whether it speaks of the network, the data and the start, and of the optimiser where it is about one."""
        decision = self.decided_by
        if isinstance(instance, Descent):
            about = decision.trained is not None and decision.trained.of(instance)
        else:
            about = decision.trained is None
        return (
            about
            and instance.network in decision.networks
            and (decision.data is None or decision.data(instance.problem))
            and (decision.start is None or decision.start(instance))
        )

    def against(self, limit: Limit, verdicts: Verdicts) -> Verdict | None:
        """The verdict that denies the conclusion, with its proof; None where there is none."""
        concluded = self.decided_by.concluded
        return concluded.against(limit, verdicts) if isinstance(concluded, Optimal | Stated | All) else None

    @property
    def recorded(self) -> bool:
        """Whether the limit that is judged has to have its path."""
        return self.decided_by.recorded

    def judged(self, limit: Limit, verdicts: Verdicts | None, *, on_their_word: bool = False) -> Outcome:
        """What one limit says about the claim.

        "outside": the network, the data, the start or the limit is not what the claim speaks of, or the flow never
        separates, unless the claim says whether it does. "undecided":
        it is open where the flow ends, or whether the assumption holds, or the conclusion; a verdict without a
        certificate leaves it open too. verdicts: of the same limit, None unless it converged. on_their_word: for
        screening alone, verdicts in floats count.
        """
        decision = self.decided_by
        if not self.speaks_of(limit.instance):
            return "outside"
        if limit.status == "never_separates":
            said = None if decision.separates is None else decision.separates(limit.instance)
            return "outside" if said is None else "violated" if said else "holds"
        if limit.point is None or limit.point.doubt or verdicts is None:
            return "undecided"
        assumed = decision.assumed(limit, verdicts)
        if assumed is not True:
            return "undecided" if assumed is None else "outside"
        if is_proven(decision.concluded) and not verdicts.certify and not on_their_word:
            return "undecided"
        concluded = decision.concluded(limit, verdicts)
        return "undecided" if concluded is None else "holds" if concluded else "violated"
