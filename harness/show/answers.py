"""What `marginalia check` prints: one JSON object, or the same for a person to read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from harness.problem.instances import Instance
from harness.problem.limits import Limit
from harness.problem.networks import Network
from harness.problem.places import Kink
from harness.problem.points import Point
from harness.problem.problems import Problem
from harness.proofs import proof_of_flow
from harness.show.lines import count, improvement_lines, limit_lines, short, slope

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
    proven = proof_of_flow(limit.instance, point.theta, point.multipliers) is not None
    return {**found, "limit": {**point_object(point), "proven": proven}, **decided_object(point, verdicts)}


def point_object(point: Point) -> dict[str, Any]:
    """A point in numbers."""
    return {
        "theta": [_floats(u) for u in point.theta],
        "value": float(point.value),
        "margins": _by_point(point.problem, point.margins),
        "kinks": [_kink(point.problem, kink) for kink in point.kinks],
        "zeros": point.zeros,
    }


def decided_object(point: Point, verdicts: Verdicts) -> dict[str, Any]:
    """What is said of a point: "kkt", "assumptions", "verdicts", "mechanism"."""
    return {
        "kkt": {"residual": float(point.residual), "multipliers": _by_point(point.problem, point.multipliers)},
        "assumptions": dict(verdicts.assumptions),
        "verdicts": {
            "global": _verdict_object(verdicts.global_),
            "local": _verdict_object(verdicts.local),
            "layers": [
                # a fixed layer has no problem of its own
                layer and {"global": _verdict_object(layer.global_), "local": _verdict_object(layer.local)}
                for layer in verdicts.layers
            ],
        },
        "mechanism": verdicts.mechanism,
    }


def _by_point(problem: Problem, numbers: Iterable[Any]) -> list[Any]:
    """One number a point; with several outputs one row a point, over the classes in order but for its own."""
    flat = _floats(numbers)
    others = problem.network.outputs - 1
    return flat if not others else [flat[k : k + others] for k in range(0, len(flat), others)]


def _kink(problem: Problem, kink: Kink) -> dict[str, int | float]:
    """A kink by its point; with several outputs it has a coefficient for every other class."""
    sample, other = problem.place(kink.place.sample)
    found = {**kink.as_json(), "sample": sample}
    return found if other is None else {**found, "class": other}


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
    lines += [
        "",
        f"The limit, scaled to a least margin of 1: value 1/2 |theta|^2 = {short(value)}, KKT residual {residual:.1e}",
        "",
        *limit_lines(point),
        "",
        f"The flow ends there: {'proven' if found['limit']['proven'] else 'computed'}",
        "",
        assumption_line(verdicts),
        "",
        *verdict_lines(verdicts),
    ]
    better = improvement_lines(point, verdicts)
    return "\n".join([*lines, "", *better] if better else lines)


def assumption_line(verdicts: Verdicts) -> str:
    """What the claims assume of a limit."""
    told = {key: {True: "yes", False: "no", None: "not known"}[v] for key, v in verdicts.assumptions.items()}
    return (
        f"every weight nonzero: {told['nonzero_weights']}; every hidden weight vector nonzero: "
        f"{told['nonzero_weight_vectors']}; every input to a hidden neuron nonzero: {told['nonzero_inputs']}"
    )


def verdict_lines(verdicts: Verdicts) -> list[str]:
    """One line a question."""
    rows = [("global optimum of (P)", verdicts.global_), ("local optimum of (P)", verdicts.local)]
    for depth, layer in enumerate(verdicts.layers, start=1):
        if layer is not None:
            rows += [(f"global optimum of (P_{depth})", layer.global_), (f"local optimum of (P_{depth})", layer.local)]
    width = max(len(name) for name, _ in rows)
    return [f"{name.ljust(width)}  {verdict_text(verdict)}" for name, verdict in rows]


def _instance_line(instance: Instance) -> str:
    return f"{problem_line(instance.problem)}; {instance.loss} loss"


def problem_line(problem: Problem) -> str:
    """A network and how many points, on one line."""
    return f"{described(problem.network)}; {count(problem.n, 'point')}"


def described(network: Network) -> str:
    """What a network is, on one line."""
    kind = "fully connected" if network.fully_connected else "shared weights" if network.shared else "no shared weights"
    name = network.activation if network.negative_slope is None else f"leaky relu (slope {slope(network)})"
    fixed = [str(layer) for layer, own in enumerate(network.trained, start=1) if not own]
    parts = [f"{name} network", kind, f"widths {'-'.join(map(str, network.widths))}"]
    if fixed:
        parts.append(f"{'layer' if len(fixed) == 1 else 'layers'} {', '.join(fixed)} fixed")
    return ", ".join([*parts, *([f"{network.outputs} classes"] if network.outputs > 1 else [])])


def verdict_text(verdict: Verdict) -> str:
    """A verdict on one line."""
    answer = {"optimal": "yes", "not_optimal": "no", "undecided": "undecided"}[verdict.status]
    if verdict.status != "undecided":
        answer += ", certified" if verdict.certified else ", not certified"
    if verdict.bound is not None:
        answer += f" (value {short(verdict.value)}, bound {short(verdict.bound)})"
    return f"{answer}: {verdict.reason}"


def _floats(values: Iterable[Any]) -> list[float]:
    return [float(a) for a in values]
