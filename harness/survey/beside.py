"""The same instances trained by optimisers: where each ends, beside the limit of the flow.

Columns are texts, "beside:LABEL:KEY": of every instance what became of it ("end"); where the flow has a limit, what the
last direction costs beside it, settled or not ("reached"); where both have a point how the two compare, the flow's
first: the costs ("value"), the verdicts ("local", "global"), and each claim that reads no path.  What is said of the
ends rests on verdicts in floats.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import harness
from harness.claims.table import CLAIMS
from harness.optimisers.setups import Setup
from harness.problem.instances import Instance
from harness.problem.limits import Limit

if TYPE_CHECKING:
    from harness.optimisers import Training

# What the end of a training is.
Kind = Literal["KKT point", "no KKT point", "not separated", "left the floats", "on its way"]
KKT = 1e-9  # the residual of a point that was solved for
SAME = 1e-6  # relative: one cost
# By how much the last direction may cost more than the limit of the flow.
REACHED = ((0.01, "within 1 %"), (0.1, "within 10 %"), (math.inf, "dearer"))


@dataclass(frozen=True)
class End:
    """limit: what the training tends to.  cost: 1/2 ||theta||^2 of its last direction at least margin 1, if any."""

    limit: Limit
    cost: float | None


def ends(setups: Sequence[Setup], instances: Sequence[Instance]) -> list[dict[str, End]]:
    """For every instance its ends by the labels of the setups."""
    if not setups:
        return [{} for _ in instances]
    # torch takes a second to load
    from harness.optimisers import settle, train

    found: list[dict[str, End]] = [{} for _ in instances]
    for setup in setups:
        for own, training in zip(found, train(instances, setup.method, steps=setup.steps), strict=True):
            own[setup.label] = End(settle(training), _cost(training))
    return found


def _cost(training: Training) -> float | None:
    log_norm, margin = float(training.log_norm[-1]), float(training.margin[-1])
    if not margin > 0.0:
        return None
    return 0.5 * math.exp(2.0 * (log_norm - math.log(margin) / training.instance.network.degree))


_KEYS = ("end", "reached", "value", "local", "global")


def keys(claims: Sequence[str]) -> list[str]:
    """Of the columns of a setup."""
    return [*_KEYS, *(claim for claim in claims if not CLAIMS[claim].recorded)]


def columns(
    claims: Sequence[str], ended: dict[str, End], flow: Limit, said: dict[str, str | None]
) -> dict[str, str | None]:
    """Of one instance.  said: the flow's verdicts, by "local", "global" and claim."""
    found: dict[str, str | None] = {}
    for label, end in ended.items():
        own: dict[str, str | None] = {"end": kind(end.limit)}
        if flow.value is not None and end.cost is not None:
            own["reached"] = _reached(end.cost / flow.value - 1.0)
        if flow.value is not None and end.limit.point is not None:
            own |= _compared(claims, end.limit, flow.value, said)
        found |= {f"beside:{label}:{key}": value for key, value in own.items()}
    return found


def _compared(claims: Sequence[str], end: Limit, flow: float, said: dict[str, str | None]) -> dict[str, str]:
    """The end, which has a point, beside a limit of the flow of this value."""
    assert end.point is not None
    verdicts = harness.decide(end.point, certify=False)
    own = {"local": verdicts.local.status, "global": verdicts.global_.status}
    for claim in keys(claims)[len(_KEYS) :]:
        own[claim] = CLAIMS[claim].judged(end, verdicts, on_their_word=True)
    pairs = {key: f"{said[key]} -> {value}" for key, value in own.items() if said.get(key)}
    excess = end.point.value / flow - 1.0
    return {**pairs, "value": "the same" if abs(excess) <= SAME else "cheaper" if excess < 0.0 else "dearer"}


def kind(end: Limit) -> Kind:
    """What the end of a training is."""
    if end.point is not None:
        return "KKT point" if end.point.residual <= KKT else "no KKT point"
    if end.reason.startswith("theta left"):
        return "left the floats"
    return "not separated" if end.reason.startswith("Not separated") else "on its way"


def _reached(excess: float) -> str:
    return "cheaper" if excess < -SAME else next(name for most, name in REACHED if excess <= most)
