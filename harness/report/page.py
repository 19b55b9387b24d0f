"""The page of a counterexample, for a person: Markdown made from the stored record and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

from harness.claims import CLAIMS, Claim
from harness.report.mechanism import explain
from harness.report.reading import FIGURE, INSTANCE, RECORD, Exact, Neuron, Record, exact, value

LAST = "whatever the last digits of the limit are."


def page(record: Record) -> str:
    """The page, as it is stored beside the record."""
    blocks = [
        f"# {record.claim}: {record.mechanism}",
        _statement(record),
        f"![The points, and the neurons in the limit and at the better point]({FIGURE})",
        "## The instance\n\n" + _instance(record),
        "## The limit of the flow\n\n" + _limit(record),
        f"## A better point {'elsewhere' if _is_global(record) else 'next to it'}\n\n" + _better(record),
        "## Why\n\n" + explain(record),
        "## What is proven, and what is evidence\n\n" + _proof(record),
        "## Check it\n\n" + _commands(record),
    ]
    return "\n\n".join(blocks) + "\n"


def _claim(record: Record) -> Claim:
    return CLAIMS[record.claim]


def _statement(record: Record) -> str:
    claim = _claim(record)
    assumed = f" If, in the limit, {claim.assumption}, then" if claim.assumption else " Then"
    conclusion = claim.conclusion if claim.conclusion.startswith("every") else f"the limit is a {claim.conclusion}"
    layer = (
        " (P_l) is the same over the parameters u^l of one layer, the others held at the limit."
        if _is_layer(record)
        else ""
    )
    return (
        f"The statement, refuted here: take a network that is {claim.setting}, and gradient flow that separates the "
        f"data.{assumed} {conclusion}. (Source: {claim.source}.)\n\n"
        f"(P) is: minimise 1/2 ||theta||^2 subject to y_i Phi(theta; x_i) >= 1 for all i.{layer} The limit is the "
        "limit of theta(t)/||theta(t)||, scaled so that its least margin is 1."
    )


def _instance(record: Record) -> str:
    instance = record.instance
    network = instance.network
    kind = "fully connected" if network.fully_connected else "without shared weights"
    activation = "ReLU" if network.activation == "relu" else "linear"
    sizes = f"{counted(instance.d, 'input')} and {counted(network.widths[1], 'hidden neuron')}"
    points = table(
        ("point", "x", "y"),
        [(f"x_{i}", vector(x), f"{y:+d}") for i, (x, y) in enumerate(zip(instance.x, instance.y, strict=True))],
    )
    start = table(
        ("neuron", "w_j(0)", "v_j(0)"),
        [(str(n.number), _weights(record, n), _outgoing(record, n)) for n in record.neurons(instance.theta0)],
    )
    return (
        f"A {activation} network of depth 2, {kind}, {sizes}; {instance.loss} loss. Neuron j computes "
        f"{'v_j max(0, w_j . x)' if network.activation == 'relu' else 'v_j (w_j . x)'}; Phi is their sum."
        f"\n\n{points}\n\nThe start:\n\n{start}"
    )


def _limit(record: Record) -> str:
    limit = record.data["limit"]
    lines = [
        _neurons(record, record.limit, record.data["structure"]["gates"]),
        f"Value 1/2 ||theta~||^2 = {short(value(record.limit))}. "
        f"Margins {vector(limit['margins'])}, multipliers {vector(limit['multipliers'])}, "
        f"KKT residual {float(limit['kkt_residual']):.1e}.",
    ]
    kinks = [
        f"- neuron {kink['neuron']} on x_{kink['sample']}: Clarke coefficient {float(kink['coefficient']):.3f}"
        for kink in limit["kinks"]
        if not record.neurons(record.limit)[kink["neuron"] - 1].zero
    ]
    if kinks:
        lines.append("Inputs that are zero in the limit:\n\n" + "\n".join(kinks))
    return "\n\n".join(lines)


def _is_global(record: Record) -> bool:
    return record.data["certificate"]["scope"] == "global"


def _is_layer(record: Record) -> bool:
    return record.data["certificate"]["problem"] != "full"


def _better(record: Record) -> str:
    before, after = value(record.limit), value(record.better)
    margins = record.instance.margins(record.better)
    return (
        f"{_neurons(record, record.better)}\n\n"
        f"Value {short(after)}: lower by {short(before - after)}, "
        f"that is {float(100 * (before - after) / before):.3g} %. "
        f"Margins {vector(margins)}, every one at least 1 exactly."
    )


def _proof(record: Record) -> str:
    certificate = record.data["certificate"]
    problem, fixed = ("(P_1)", ", the v_j fixed as they are stored") if _is_layer(record) else ("(P)", "")
    cost = "cost of the first layer" if fixed else "value"
    better = value(record.better[:1] if _is_layer(record) else record.better)
    relu = record.instance.network.activation == "relu"
    zeros = "the same neurons that are zero and the same signs of the v_j"
    structure = f"the same gates on every point, {zeros}" if relu else zeros
    alpha = ", ".join(short(a) for a in exact([certificate["face"]["alpha"]])[0])
    limit = record.data["limit"]
    evidence = ""
    if limit.get("evidence"):
        log_norm, distance = limit["evidence"][-1]
        evidence = f" At log ||theta(t)|| = {short(log_norm)} its direction was within {float(distance):.1e} of it."
    if _is_global(record):
        consequence = (
            f"The better point is feasible. So no point of that structure is a global optimum of {problem}, {LAST}"
        )
    else:
        terms = "With the v_j fixed" if _is_layer(record) else "In terms of |v_j| w_j"
        consequence = (
            f"The better point is feasible, and lies in one closed cell with the whole structure. {terms} "
            "the problem is convex on that cell, so moving from such a point towards the better one lowers the cost "
            f"from the first step on. So no point of that structure is a local optimum of {problem}, {LAST}"
        )
    return (
        "Proven, in exact arithmetic, by `marginalia verify`: take any feasible point with the structure of the limit "
        f"({structure}){fixed}. It costs at least L, the lower bound that the multipliers ({alpha}) give, and L is "
        f"more than {short(better, digits=8)}, the {cost} of the better point. {consequence}\n\n"
        f"Evidence, from the numerical flow: that it ends at a direction of this structure.{evidence}"
    )


def _commands(record: Record) -> str:
    replay = record.data["replay"]
    commands = "\n".join(replay.values()) if isinstance(replay, dict) else str(replay)
    software = record.data.get("found", {}).get("software", {})
    versions = ", ".join(f"{name} {version}" for name, version in software.items())
    return (
        f"From the folder above reports/:\n\n```sh\n{commands}\n```\n\n"
        f"The files: [{RECORD}]({RECORD}) has everything, the certificate included; [{INSTANCE}]({INSTANCE}) is the "
        f"instance alone.\n\nFound with {versions}."
    )


# --- small parts ---


def _neurons(record: Record, theta: Exact, gates: Sequence[Sequence[int]] | None = None) -> str:
    """A row a neuron.  gates: the signs of the inputs, which tell a zero from its rounding error."""
    relu = record.instance.network.activation == "relu"

    def output(neuron: Neuron, sample: int) -> str:
        if gates is not None and gates[sample][neuron.number - 1] == 0:
            return "0"
        a = neuron.inputs[sample]
        return short(max(a, Fraction(0)) if relu else a)

    samples = range(record.instance.n)
    name = "max(0, w_j . x_{})" if relu else "w_j . x_{}"
    header = ("neuron", "w_j", "v_j", *(name.format(i) for i in samples))
    rows = [
        (str(n.number), _weights(record, n), _outgoing(record, n), *(output(n, i) for i in samples))
        for n in record.neurons(theta)
    ]
    return table(header, rows)


def _weights(record: Record, neuron: Neuron) -> str:
    """w_j, with a dot where the pattern has no weight."""
    row = record.instance.network.patterns[0][neuron.number - 1]
    return "(" + ", ".join(short(a) if k >= 0 else "·" for k, a in zip(row, neuron.w, strict=True)) + ")"


def _outgoing(record: Record, neuron: Neuron) -> str:
    present = record.instance.network.patterns[1][0][neuron.number - 1] >= 0
    return short(neuron.v) if present else "·"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def vector(numbers: Iterable[Any]) -> str:
    return "(" + ", ".join(map(short, numbers)) + ")"


def short(number: Any, digits: int = 6) -> str:
    """A number as a person would write it: exact if it is short, else rounded to so many digits."""
    exact_number = Fraction(number)
    if max(abs(exact_number.numerator), exact_number.denominator) < 1000:
        return str(exact_number)
    return f"{float(exact_number):.{digits}g}"


def counted(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
