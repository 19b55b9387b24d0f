"""A card for each counterexample: its picture, what it refutes, and what it is in a few words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from harness.claims.table import CLAIMS
from harness.records.record import Record
from harness.report.inequality import formula
from harness.report.markdown import inline, typeset
from harness.report.page import figure_says, title
from harness.report.words import activation, short
from harness.show.definition import in_short
from harness.show.glossary import cited
from harness.show.lines import count

PICTURE = "networks.svg"


def cards(records: Sequence[Record]) -> list[dict[str, Any]]:
    """In the order of the table of claims, then of folders; the fields are those of the page's template."""
    place = {name: number for number, name in enumerate(CLAIMS)}
    return [_card(record) for record in sorted(records, key=lambda r: (place[r.claim], r.folder))]


def _card(record: Record) -> dict[str, Any]:
    claim, inequality = CLAIMS[record.claim], formula(record)
    return {
        "link": f"{record.folder}/index.html",
        "picture": f"{record.folder}/{PICTURE}",
        "says": figure_says(record),
        "title": title(record),
        "tags": _tags(record),
        "statement": Markup(inline(f"Refuted: {in_short(claim)} ({cited(claim.source)}).")),
        "facts": _facts(record),
        "inequality": inequality and Markup(typeset(inequality)),
    }


def _tags(record: Record) -> list[str]:
    robust = {None: [], True: ["robust"], False: ["fragile"]}[record.robust]
    network = record.instance.network
    return [*robust, f"flow {'proven' if record.proven else 'computed'}", activation(network), f"depth {network.depth}"]


def _facts(record: Record) -> str:
    instance = record.instance
    hidden = sum(instance.network.widths[1:-1])
    sizes = f"{count(instance.n, 'point')}, {count(hidden, 'neuron')}, {count(instance.d, 'dimension')}"
    better = "" if record.stated else f", a better point has {short(record.value(record.better))}"
    return f"{sizes}. The limit has value {short(record.value(record.limit))}{better}."
