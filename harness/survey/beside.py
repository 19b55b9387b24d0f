"""The same instances trained by optimisers: where each ends, beside the limit of the flow.

Columns are texts, "beside:LABEL:KEY": of every instance what became of it ("end"); where both have a point how the two
compare, the flow's first: the verdicts ("local", "global"), the costs ("value"), and each claim that reads no path.
What is said of the ends rests on verdicts in floats.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import harness
from harness.claims.table import CLAIMS
from harness.optimisers.setups import Setup
from harness.problem.instances import Instance
from harness.problem.limits import Limit

# What the end of a training is.
Kind = Literal["KKT point", "no KKT point", "not separated", "left the floats", "on its way"]
KKT = 1e-9  # the residual of a point that was solved for
SAME = 1e-6  # relative: one cost


def ends(setups: Sequence[Setup], instances: Sequence[Instance]) -> list[dict[str, Limit]]:
    """For every instance its ends by the labels of the setups."""
    if not setups:
        return [{} for _ in instances]
    # torch takes a second to load
    from harness.optimisers import settle, train

    found: list[dict[str, Limit]] = [{} for _ in instances]
    for setup in setups:
        for own, training in zip(found, train(instances, setup.method, steps=setup.steps), strict=True):
            own[setup.label] = settle(training)
    return found


def keys(claims: Sequence[str]) -> list[str]:
    """Of the columns of a setup."""
    return ["end", "local", "global", "value", *(claim for claim in claims if not CLAIMS[claim].recorded)]


def columns(
    claims: Sequence[str], ended: dict[str, Limit], flow: Limit, said: dict[str, str | None]
) -> dict[str, str | None]:
    """Of one instance.  said: the flow's verdicts, by "local", "global" and claim."""
    found: dict[str, str | None] = {}
    for label, end in ended.items():
        own: dict[str, str | None] = {"end": kind(end)}
        if end.point is not None and flow.value is not None:
            verdicts = harness.decide(end.point, certify=False)
            own |= {"local": verdicts.local.status, "global": verdicts.global_.status}
            own |= {key: CLAIMS[key].judged(end, verdicts, on_their_word=True) for key in keys(claims)[4:]}
            own = {key: f"{said[key]} -> {value}" if said.get(key) else None for key, value in own.items()}
            own |= {"end": kind(end), "value": _cost(end.point.value, flow.value)}
        found |= {f"beside:{label}:{key}": value for key, value in own.items()}
    return found


def kind(end: Limit) -> Kind:
    """What the end of a training is."""
    if end.point is not None:
        return "KKT point" if end.point.residual <= KKT else "no KKT point"
    if end.reason.startswith("theta left"):
        return "left the floats"
    return "not separated" if end.reason.startswith("Not separated") else "on its way"


def _cost(end: float, flow: float) -> str:
    return "the same" if abs(end - flow) <= SAME * flow else "cheaper" if end < flow else "dearer"
