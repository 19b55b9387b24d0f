"""What `marginalia judge` prints: one JSON object, or the same for a person to read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.problem.points import Point
from harness.show.answers import assumption_line, decided_object, point_object, verdict_lines
from harness.show.lines import improvement_lines, is_small, limit_lines
from harness.show.people import point_text

if TYPE_CHECKING:
    from harness.oracles import Verdicts

_NOTHING = dict.fromkeys(("point", "kkt", "assumptions", "verdicts", "mechanism", "nearest"))


def refused_object(status: str, reason: str) -> dict[str, Any]:
    """The object of `judge --json` where nothing can be judged."""
    return {"status": status, "reason": reason, **_NOTHING}


def judge_object(
    point: Point, verdicts: Verdicts, nearest: Point | None, nearest_verdicts: Verdicts | None
) -> dict[str, Any]:
    """The object of `judge --json`.

    "verdicts" and "mechanism" are about the point itself; those about the KKT point next to it are in "nearest".
    """
    near: dict[str, Any] | None = None
    if nearest is not None and nearest_verdicts is not None:
        near = {"point": point_object(nearest), **decided_object(nearest, nearest_verdicts)}
    return {
        "status": "judged",
        "reason": _reason(point, verdicts),
        "point": {
            **point_object(point),
            "distance_to_kkt": None if nearest is None else point.distance_to(nearest),
            "norms": point.norms,
            "dead": [neuron.as_json() for neuron in point.idle],
            "close_kinks": [
                {"distance": size, **dict(zip(("sample", "layer", "neuron"), place.as_json(), strict=True))}
                for size, place in point.close_kinks()
            ],
        },
        **decided_object(point, verdicts),
        "nearest": near,
    }


def _reason(point: Point, verdicts: Verdicts) -> str:
    if verdicts.mechanism == "not a KKT point":
        return f"The point is no KKT point: its residual is {point.residual:.1e}."
    return point.doubt or f"The KKT residual of the point is {point.residual:.1e}."


def judge_text(point: Point, verdicts: Verdicts, nearest: Point | None, nearest_verdicts: Verdicts | None) -> str:
    """The same, as lines of text without a final newline."""
    lines = [point_text(point), ""]
    if is_small(point.problem):
        lines += [*limit_lines(point), ""]
    lines += [assumption_line(verdicts), "", "The point itself:", *verdict_lines(verdicts)]
    better = improvement_lines(point, verdicts)
    lines += ["", *better] if better else []
    if nearest is None or nearest_verdicts is None:
        return "\n".join([*lines, "", "No KKT point next to it was reached."])
    lines += [
        "",
        f"The KKT point next to it, at distance {point.distance_to(nearest):.2e} relative to the norm: value "
        f"{nearest.value:.6g}, KKT residual {nearest.residual:.1e}",
        *verdict_lines(nearest_verdicts),
    ]
    better = improvement_lines(nearest, nearest_verdicts)
    return "\n".join([*lines, "", *better] if better else lines)
