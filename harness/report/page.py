"""The page of a counterexample, for a person: Markdown made from the stored record and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from harness.claims.table import CLAIMS, Claim
from harness.problem.places import layer_name, neuron_name
from harness.records.record import FIGURE, INSTANCE, PAGE, RECORD, Exact, Neuron, Record
from harness.report.inequality import inequality
from harness.report.mechanism import explain, live_kinks
from harness.report.proof import is_global, proof
from harness.report.words import activated, activation, margin_of, plain, short, table, vector
from harness.show.definition import sentences
from harness.show.glossary import ANCHOR, cited
from harness.show.lines import count

# On the index, seen from a page.
GLOSSARY = f"../{PAGE}#{ANCHOR}"


def figure_says(record: Record) -> str:
    """What its figure shows."""
    drawn = "The points, and the neurons" if record.apart else "The network"
    if record.stated:
        return f"{drawn} in the limit, and its margins"
    return f"{drawn} in the limit and at the better point"


def page(record: Record) -> str:
    """The page, as it is stored beside the record."""
    blocks = [
        f"# {title(record)}",
        statement(record),
        *([said] if (said := inequality(record)) else []),
        f"![{figure_says(record)}]({FIGURE})",
        *(f"## {heading}\n\n{body}" for heading, body in sections(record)),
    ]
    return "\n\n".join(blocks) + "\n"


def title(record: Record) -> str:
    robust = {None: "", True: ", robust", False: ", fragile"}[record.robust]
    return f"{record.claim}: {', '.join((*record.networks, record.mechanism))}{robust}"


def sections(record: Record) -> list[tuple[str, str]]:
    """(heading, Markdown) of everything below the figure."""
    return [
        ("The instance", _instance(record)),
        ("The limit of the flow", _limit(record)),
        *([] if record.stated else [(f"A better point {_where(record)}", _better(record))]),
        ("Why", explain(record)),
        *([("How robust it is", _robustness(record))] if record.robust is not None else []),
        ("What is proven" if record.proven else "What is proven, and what is evidence", proof(record)),
        ("Check it", _commands(record)),
    ]


def _where(record: Record) -> str:
    return "elsewhere" if is_global(record) and record.kind != "curve" else "next to it"


def _claim(record: Record) -> Claim:
    return CLAIMS[record.claim]


def statement(record: Record) -> str:
    """What is refuted, with its terms."""
    claim = _claim(record)
    layer = (
        " (P_l) is the same over the parameters u^l of one layer, the others held at the limit."
        if record.layer is not None
        else ""
    )
    several = record.instance.network.outputs > 1
    margins = "Phi_(y_i) - Phi_k >= 1 for all i and k" if several else "y_i Phi(theta; x_i) >= 1 for all i"
    return (
        f"The statement, refuted here: {sentences(claim)} (Source: {cited(claim.source)}.)\n\n"
        f"(P) is: minimise 1/2 ||theta||^2 subject to {margins}.{layer} The limit is the "
        "limit of theta(t)/||theta(t)||, scaled so that its least margin is 1. "
        f"[Every word, defined once]({GLOSSARY})."
    )


def _instance(record: Record) -> str:
    instance = record.instance
    points = table(
        ("point", "x", "y"),
        [
            (f"x_{i}", vector(x), f"{y:+d}" if instance.network.outputs == 1 else f"class {y}")
            for i, (x, y) in enumerate(zip(instance.x, instance.y, strict=True))
        ],
    )
    if record.apart:
        start = table(
            ("neuron", "w_j(0)", "v_j(0)"),
            [(str(n.number), _weights(record, n), _outgoing(record, n)) for n in record.neurons(instance.theta0)],
        )
    else:
        start = _layers(instance.theta0)
    return f"{_network(record)}\n\n{points}\n\nThe start:\n\n{start}"


def _network(record: Record) -> str:
    instance, network = record.instance, record.instance.network
    kind = (
        "fully connected"
        if network.fully_connected
        else "with shared weights"
        if network.shared
        else "without shared weights"
    )
    hidden = sum(network.widths[1:-1])
    fixed = [layer_name(layer) for layer, own in enumerate(network.trained) if not own]
    more = f", {network.outputs} classes" if network.outputs > 1 else ""
    head = (
        f"A {activation(network)} network of depth {network.depth}, {kind}, {count(instance.d, 'input')} "
        f"and {count(hidden, 'hidden neuron')}{more}; {instance.loss} loss."
        + (f" Not trained: {', '.join(fixed)}." if fixed else "")
    )
    if record.apart:
        computed = f"v_j {activated(network, 'w_j . x')}" if network.kinked else "v_j (w_j . x)"
        return f"{head} Neuron j computes {computed}; Phi is their sum."
    return (
        f"{head} The matrices of weights, in the parameters of each layer (a dot where there is no weight):\n\n"
        + table(
            ("layer", "weights"),
            [(str(number), _matrix(pattern)) for number, pattern in enumerate(network.patterns, start=1)],
        )
    )


def _matrix(pattern: Sequence[Sequence[int]]) -> str:
    return "; ".join("(" + ", ".join("·" if k < 0 else f"u_{k}" for k in row) + ")" for row in pattern)


def _layers(theta: Exact) -> str:
    """A row a layer: its parameters, in their order."""
    rows = [(str(number), vector(u)) for number, u in enumerate(theta, start=1)]
    return table(("layer", "(u_0, u_1, ...)"), rows)


def _limit(record: Record) -> str:
    limit = record.data["limit"]
    layer = "" if record.layer is None else f"; {record.objective_text(record.limit, short)}"
    lines = [
        _point(record, record.limit, gates=record.data["structure"].get("gates")),
        f"Value 1/2 ||theta~||^2 = {short(record.value(record.limit))}{layer}. "
        f"Margins {vector(limit['margins'])}, multipliers {vector(limit['multipliers'])}, "
        f"KKT residual {float(limit['kkt_residual']):.1e}.",
    ]
    kinks = [
        f"- {neuron_name(kink.place.neuron) if record.apart else kink.place.hidden} on "
        f"{margin_of(record, kink.place.sample)}: Clarke coefficient {kink.coefficient:.3f}"
        for kink in live_kinks(record)
    ]
    if kinks:
        lines.append("Inputs that are zero in the limit:\n\n" + "\n".join(kinks))
    return "\n\n".join(lines)


def _better(record: Record) -> str:
    before, after = record.objective(record.limit), record.objective(record.better)
    margins = record.instance.problem.margins(record.better)
    ends = "The best point, about, on the curve of the certificate.\n\n" if record.kind == "curve" else ""
    return (
        f"{ends}{_point(record, record.better)}\n\n"
        f"{record.objective_text(record.better, short).capitalize()}: lower by {short(before - after)}, "
        f"that is {float(100 * (before - after) / before):.3g} %. "
        f"Margins {vector(margins)}, every one at least 1 exactly."
    )


def _robustness(record: Record) -> str:
    """What became of the verdict after small changes of the start, and of the data."""
    measured = record.data["robustness"]
    changes = [(name, measured[key]) for name, key in (("start", "starts"), ("data", "data")) if key in measured]
    if not changes:
        return "Robust." if record.robust else "Fragile."
    outcomes = ("violated", "holds", "outside", "undecided")
    rows = [(name, *(plain(counts[key]) for key in ("drawn", *outcomes))) for name, counts in changes]
    shift = short(measured["shift"])
    return (
        f"The start was moved by {shift} of its norm in random directions, then every point x_i by {shift} of its own "
        f"norm, zeros and ties included (seed {plain(measured['seed'])}), and the claim was judged again. It is called "
        "robust if it is violated still in 95 of 100 of either kind. Outside are flows that do not separate the data, "
        "and limits that are not as the claim assumes.\n\n"
        + table(("moved", "drawn", "violated still", "holds", "outside", "undecided"), rows)
    )


def _commands(record: Record) -> str:
    commands = "\n".join(record.commands.values())
    software = record.data.get("found", {}).get("software", {})
    versions = ", ".join(f"{plain(name)} {plain(version)}" for name, version in software.items())
    return (
        f"From the folder above reports/:\n\n```sh\n{commands}\n```\n\n"
        f"The files: [{RECORD}]({RECORD}) has everything, the certificate included; [{INSTANCE}]({INSTANCE}) is the "
        f"instance alone.\n\nFound with {versions}."
    )


# --- small parts ---


def _point(record: Record, theta: Exact, gates: Sequence[Sequence[int]] | None = None) -> str:
    return _neurons(record, theta, gates) if record.apart else _layers(theta)


def _neurons(record: Record, theta: Exact, gates: Sequence[Sequence[int]] | None = None) -> str:
    """A row a neuron.  gates: the signs of the inputs, which tell a zero from its rounding error."""
    network = record.instance.network

    def output(neuron: Neuron, sample: int) -> str:
        if gates is not None and gates[sample][neuron.index] == 0:
            return "0"
        a = neuron.inputs[sample]
        return short(a if a > 0 or not network.kinked else network.slope * a)

    samples = range(record.instance.n)
    header = ("neuron", "w_j", "v_j", *(activated(network, f"w_j . x_{i}") for i in samples))
    rows = [
        (str(n.number), _weights(record, n), _outgoing(record, n), *(output(n, i) for i in samples))
        for n in record.neurons(theta)
    ]
    return table(header, rows)


def _weights(record: Record, neuron: Neuron) -> str:
    """w_j, with a dot where the pattern has no weight."""
    row = record.instance.network.patterns[0][neuron.index]
    return "(" + ", ".join(short(a) if k >= 0 else "·" for k, a in zip(row, neuron.w, strict=True)) + ")"


def _outgoing(record: Record, neuron: Neuron) -> str:
    present = record.instance.network.patterns[1][0][neuron.index] >= 0
    return short(neuron.v) if present else "·"
