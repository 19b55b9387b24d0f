"""What `marginalia check --optimiser` prints: where a training ends, with the limit of the flow beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.optimisers import Setup, Training
from harness.problem.limits import Limit
from harness.show.answers import (
    assumption_line,
    check_object,
    decided_object,
    point_object,
    problem_line,
    verdict_lines,
)
from harness.show.lines import improvement_lines, limit_lines, short

if TYPE_CHECKING:
    from harness.oracles import Verdicts


def trained_object(
    training: Training, setup: Setup, end: Limit, verdicts: Verdicts | None, flow: Limit, flow_verdicts: Verdicts | None
) -> dict[str, Any]:
    """The object of `check --json` about the end; "optimiser" says how it came there, "flow" is that of the flow."""
    found: dict[str, Any] = {
        "status": end.status,
        "reason": end.reason,
        **dict.fromkeys(("limit", "kkt", "assumptions", "verdicts", "mechanism")),
        "optimiser": {
            "name": setup.label,
            "steps": int(training.step[-1]),
            "log_loss": float(training.log_loss[-1]),
            "log_norm": _finite(float(training.log_norm[-1])),
            "distance_to_flow": _distance(end, flow),
        },
        "flow": check_object(flow, flow_verdicts),
    }
    if end.point is None or verdicts is None:
        return found
    # that the flow ends somewhere is no proof of where a training does
    return {**found, "limit": {**point_object(end.point), "proven": False}, **decided_object(end.point, verdicts)}


def trained_text(
    training: Training, setup: Setup, end: Limit, verdicts: Verdicts | None, flow: Limit, flow_verdicts: Verdicts | None
) -> str:
    """The same, as lines of text without a final newline."""
    lines = [
        f"{problem_line(end.instance.problem)}; {end.instance.loss} loss",
        f"{setup.label}, {int(training.step[-1])} steps: log L = {short(float(training.log_loss[-1]))}, "
        f"least margin {short(float(training.margin[-1]))}",
        "",
        f"{end.status}: {end.reason}",
    ]
    if end.point is not None and verdicts is not None:
        lines += [
            "",
            f"The end, scaled to a least margin of 1: value 1/2 |theta|^2 = {short(end.point.value)}, "
            f"KKT residual {end.point.residual:.1e}",
            "",
            *limit_lines(end.point),
            "",
            assumption_line(verdicts),
            "",
            *verdict_lines(verdicts),
        ]
        better = improvement_lines(end.point, verdicts)
        lines += ["", *better] if better else []
    return "\n".join([*lines, "", *_flow_lines(end, flow, flow_verdicts)])


def _flow_lines(end: Limit, flow: Limit, verdicts: Verdicts | None) -> list[str]:
    lines = [f"The flow from the same start: {flow.status.replace('_', ' ')}: {flow.reason}"]
    if flow.value is None or verdicts is None:
        return lines
    distance = _distance(end, flow)
    away = "" if distance is None else f", at distance {distance:.1e} from the end"
    return [*lines, f"value {short(flow.value)}{away}", *verdict_lines(verdicts)[:2]]


def _distance(end: Limit, flow: Limit) -> float | None:
    return None if end.point is None or flow.point is None else flow.point.distance_to(end.point)


def _finite(number: float) -> float | None:
    return number if number > -float("inf") else None
