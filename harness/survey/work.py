"""One batch of a survey: draw, follow, decide, and what is kept of each instance, one row each.

The float verdicts decide, without certificates. An instance that is suspect (a claim is violated,
or the limit is no local optimum) or audited (one in a hundred, by its own random stream) is done again: followed with
STRICT settings, decided in exact arithmetic. What is found then stands, so a suspect without a proof is undecided. How
the two compare is kept too.
"""

from __future__ import annotations

from typing import Any, Literal

import harness
from harness.claims.judge import judge_all
from harness.claims.table import CLAIMS
from harness.flow.run import Settings
from harness.oracles import Verdict
from harness.problem.fields import FieldError
from harness.problem.limits import Limit
from harness.survey.beside import End, columns, ends
from harness.survey.features import FEATURES, KEYS
from harness.survey.laws import drawn
from harness.survey.plan import Plan, fingerprint
from harness.survey.shards import encoded

# How a flow ends, "not separated" without a proof: it tends to a stationary point, or takes too long.
Ending = Literal["converged", "never separates", "not separated", "not unique", "undecided"]
# A thousandth of the integrator's usual tolerance, and a softmax held fifty times sharper: firm enough, since where
# margins nearly tie the first limit stands on a firmer one already, and much above 1e6 margins are not known to 1e-8.
STRICT = Settings(rtol=1e-8, freeze=1e6, firm=True)
# Values of one limit from two flows differ by less.
SAME = 1e-7


def rows(plan: Plan, batch: int) -> list[dict[str, Any]]:
    """What is kept of the instances of a batch, in their order."""
    draws = [drawn(plan.cell(index)[1], plan.seed, index) for index in plan.indices(batch)]
    limits = harness.drive([instance for instance, _ in draws], device=plan.device, record=_recorded(plan))
    ended = ends(plan.optimisers, [instance for instance, _ in draws])
    found = zip(plan.indices(batch), limits, draws, ended, strict=True)
    return [_row(plan, index, limit, audited, own) for index, limit, (_, audited), own in found]


def _recorded(plan: Plan) -> bool:
    """Whether a claim of the plan reads the path of the flow."""
    return any(CLAIMS[claim].recorded for claim in plan.claims)


def _row(plan: Plan, index: int, limit: Limit, audited: bool, ended: dict[str, End]) -> dict[str, Any]:
    answers = Answers(plan, limit, exact=False)
    suspect, agreement = answers.suspect, None
    if limit.status == "converged" and (suspect or audited):
        # by the compiled trainer, whatever device has screened it
        (limit,) = harness.drive([limit.instance], record=_recorded(plan), settings=STRICT)
        exact = Answers(plan, limit, exact=True)
        agreement, answers = compared(answers, exact), exact
    return {
        "index": index,
        "cell": plan.cell(index)[0],
        **_ending(limit),
        **answers.columns,
        **columns(plan.claims, ended, limit, {**answers.statuses, **answers.claims}),
        "suspect": suspect,
        "audited": audited,
        "agreement": agreement,
    }


class Answers:
    """What is asked of one limit, with or without certificates."""

    def __init__(self, plan: Plan, limit: Limit, *, exact: bool) -> None:
        self.limit = limit
        self.claims, verdicts = judge_all([CLAIMS[claim] for claim in plan.claims], limit, certify=exact)
        self.statuses: dict[str, str | None] = {}
        if "local" in plan.verdicts:
            self.statuses["local"] = verdicts and _status(verdicts.local, exact)
        if "global" in plan.verdicts:
            self.statuses["global"] = verdicts and _status(verdicts.global_, exact)
        self._verdicts = verdicts
        self._plan = plan

    @property
    def suspect(self) -> bool:
        return "violated" in self.claims.values() or self.statuses.get("local") == "not_optimal"

    @property
    def columns(self) -> dict[str, Any]:
        verdicts, plan = self._verdicts, self._plan
        columns: dict[str, Any] = dict(self.statuses)
        if "local" in plan.verdicts:
            columns["mechanism"] = verdicts and verdicts.mechanism
        if "global" in plan.verdicts:
            columns["bound"] = verdicts and verdicts.global_.bound
        columns |= {f"claim:{claim}": outcome for claim, outcome in self.claims.items()}
        for name in plan.features:
            values = FEATURES[name](self.limit, verdicts) if verdicts else {}
            columns |= {f"{name}:{key}": values.get(key) for key in KEYS[name]}
        return columns


def compared(floats: Answers, exact: Answers) -> str:
    """How two decisions compare.

    "agree", also where the floats decide nothing and the proof does; "unproven" where the floats decide what has no
    proof; "contradict" where the limit is another one, or the proof denies the floats.
    """
    before, after = floats.limit.value, exact.limit.value
    if before is not None and after is not None and abs(before - after) > SAME * after:
        return "contradict"
    pairs = [(floats.statuses[name], exact.statuses[name]) for name in floats.statuses]
    pairs += [(floats.claims[claim], exact.claims[claim]) for claim in floats.claims]
    different = [after for before, after in pairs if before not in (None, "undecided", after)]
    if not different:
        return "agree"
    return "unproven" if all(after in (None, "undecided") for after in different) else "contradict"


def _status(verdict: Verdict, certify: bool) -> str:
    """What a verdict says on its certificate, or, where none was asked for, on its word."""
    return verdict.status if verdict.certified or not certify else "undecided"


def _ending(limit: Limit) -> dict[str, Any]:
    outcome, separated = _outcome(limit)
    point = limit.point
    return {
        "outcome": outcome,
        "separated": separated,
        "reason": None if outcome == "converged" else limit.reason,
        "doubt": bool(point and point.doubt),
        "held": limit.held,
        "value": limit.value,
        "residual": point and point.residual,
        "log_norm": limit.log_norm,
        "kinks": len(point.kinks) if point else 0,
    }


def _outcome(limit: Limit) -> tuple[Ending, bool | None]:
    """How it ends, and whether the flow separates the data, None where that is not known."""
    if limit.status == "converged":
        return "converged", True
    if limit.status == "never_separates":
        return "never separates", False
    reason = limit.reason.lower()
    if "not unique" in reason:
        return "not unique", None
    if "not separated" in reason:
        return "not separated", False
    return "undecided", True if reason.startswith("separated") else None


def work(plan: Plan, batch: int, code: str) -> bytes:
    """The shard of a batch, a Parquet file as bytes. code: the fingerprint that the worker's own has to be."""
    if fingerprint() != code:
        raise FieldError("executor", "a worker has another version of marginalia, or of what it computes with")
    return encoded(plan, batch, rows(plan, batch))
