"""What `marginalia check` prints: one JSON object, or the same for a person to read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from harness.problem.instances import Instance
from harness.problem.limits import Limit
from harness.show.lines import count, improvement_lines, limit_lines, short

if TYPE_CHECKING:
    from harness.oracles import Verdict, Verdicts


def check_object(limit: Limit, verdicts: Verdicts | None) -> dict[str, Any]:
    """The object of `check --json`: plain numbers, lists and strings.

    verdicts is None unless the flow converged; all but status and reason are then null.
    """
    found: dict[str, Any] = {
        "status": limit.status,
        "reason": limit.reason,
        "limit": None,
        "kkt": None,
        "assumptions": None,
        "verdicts": None,
        "mechanism": None,
    }
    point = limit.point
    if verdicts is None or point is None:
        return found
    found["limit"] = {
        "theta": [_floats(u) for u in point.theta],
        "value": float(point.value),
        "margins": _floats(point.margins),
        "kinks": [kink.as_json() for kink in point.kinks],
        "zeros": point.zeros,
    }
    found["kkt"] = {"residual": float(point.residual), "multipliers": _floats(point.multipliers)}
    found["assumptions"] = dict(verdicts.assumptions)
    found["verdicts"] = {
        "global": _verdict_object(verdicts.global_),
        "local": _verdict_object(verdicts.local),
        "layers": [
            {"global": _verdict_object(layer.global_), "local": _verdict_object(layer.local)}
            for layer in verdicts.layers
        ],
    }
    found["mechanism"] = verdicts.mechanism
    return found


def _verdict_object(verdict: Verdict) -> dict[str, Any]:
    return {
        "status": verdict.status,
        "certified": bool(verdict.certified),
        "value": float(verdict.value),
        "bound": None if verdict.bound is None else float(verdict.bound),
        "reason": verdict.reason,
    }


def check_text(limit: Limit, verdicts: Verdicts | None) -> str:
    """The same, as lines of text without a final newline."""
    found = check_object(limit, verdicts)
    lines = [_instance_line(limit.instance), "", f"{found['status'].replace('_', ' ')}: {found['reason']}"]
    if limit.held:
        lines.append("An exact invariance holds the flow in a subspace; a start next to it may end elsewhere.")
    point = limit.point
    if verdicts is None or point is None:
        return "\n".join(lines)
    value, residual = found["limit"]["value"], found["kkt"]["residual"]
    told = {key: {True: "yes", False: "no", None: "not known"}[v] for key, v in found["assumptions"].items()}
    lines += [
        "",
        f"The limit, scaled to a least margin of 1: value 1/2 |theta|^2 = {short(value)}, KKT residual {residual:.1e}",
        "",
        *limit_lines(point),
        "",
        f"every weight nonzero: {told['nonzero_weights']}; every hidden weight vector nonzero: "
        f"{told['nonzero_weight_vectors']}; every input to a hidden neuron nonzero: {told['nonzero_inputs']}",
        "",
    ]
    rows = [
        ("global optimum of (P)", found["verdicts"]["global"]),
        ("local optimum of (P)", found["verdicts"]["local"]),
    ]
    for depth, layer in enumerate(found["verdicts"]["layers"], start=1):
        rows += [
            (f"global optimum of (P_{depth})", layer["global"]),
            (f"local optimum of (P_{depth})", layer["local"]),
        ]
    width = max(len(name) for name, _ in rows)
    lines += [f"{name.ljust(width)}  {_verdict_text(verdict)}" for name, verdict in rows]
    better = improvement_lines(point, verdicts)
    return "\n".join([*lines, "", *better] if better else lines)


def _instance_line(instance: Instance) -> str:
    network = instance.network
    kind = "fully connected" if network.fully_connected else "shared weights" if network.shared else "no shared weights"
    return (
        f"{network.activation} network, {kind}, widths {'-'.join(map(str, network.widths))}; "
        f"{count(instance.n, 'point')}; {instance.loss} loss"
    )


def _verdict_text(verdict: dict[str, Any]) -> str:
    answer = {"optimal": "yes", "not_optimal": "no", "undecided": "undecided"}[verdict["status"]]
    if verdict["status"] != "undecided":
        answer += ", certified" if verdict["certified"] else ", not certified"
    if verdict["bound"] is not None:
        answer += f" (value {short(verdict['value'])}, bound {short(verdict['bound'])})"
    return f"{answer}: {verdict['reason']}"


def _floats(values: Iterable[Any]) -> list[float]:
    return [float(a) for a in values]
