"""The index of counterexamples: one line each, by claim and by mechanism."""

from __future__ import annotations

from collections.abc import Sequence

from harness.records.record import PAGE, Record
from harness.report.words import short, table
from harness.show.glossary import ANCHOR, glossary
from harness.show.lines import slope

_ROBUST = {None: "-", True: "yes", False: "no"}


def index(records: Sequence[Record]) -> str:
    """The index page of reports/, sorted by claim and mechanism."""
    rows = [
        (f"[{record.claim}]({record.folder}/{PAGE})", record.mechanism, *_facts(record)) for record in _sorted(records)
    ]
    body = table(("claim", "mechanism", *_FACTS), rows) if rows else "None is stored."
    return (
        "# Counterexamples\n\n"
        "Statements about the limit of gradient flow that are false, each with the smallest counterexample of its kind "
        "found so far. Each was found by search from scratch, shrunk, and checked in exact arithmetic. "
        "`marginalia harvest` finds them again, `marginalia verify reports/*/counterexample.json` checks them, and "
        "`marginalia report` makes a site of them in which one can move through the flows. In the column flow, proven "
        "means: provably, the flow from this very start ends where the page says; computed: a trainer says so. "
        f"[Every word](#{ANCHOR}) is defined below the table.\n\n"
        f"{body}\n\n{glossary()}\n"
    )


def mechanism_section(records: Sequence[Record]) -> str:
    """A line for every mechanism, with what it refutes."""
    found: dict[str, list[str]] = {}
    for record in _sorted(records):
        robust = {None: (), True: ("robust",), False: ("fragile",)}[record.robust]
        name = ", ".join((record.claim, *record.networks, *robust))
        found.setdefault(record.mechanism, []).append(f"[{name}]({record.folder}/index.html)")
    return table(("mechanism", "refutes"), [(name, "; ".join(links)) for name, links in sorted(found.items())])


_FACTS = ("robust", "flow", "activation", "depth", "points", "neurons", "dimensions", "value", "a better value")


def _facts(record: Record) -> tuple[str, ...]:
    network = record.instance.network
    return (
        _ROBUST[record.robust],
        "proven" if record.proven else "computed",
        network.activation if network.negative_slope is None else f"leaky relu, slope {slope(network)}",
        str(network.depth),
        str(record.instance.n),
        str(sum(network.widths[1:-1])),
        str(record.instance.d),
        short(record.value(record.limit)),
        "-" if record.stated else short(record.value(record.better)),
    )


def _sorted(records: Sequence[Record]) -> list[Record]:
    return sorted(records, key=lambda record: record.folder)
