"""The index of reports/: one line a counterexample."""

from __future__ import annotations

from collections.abc import Sequence

from harness.report.reading import PAGE, Record, value
from harness.report.words import short, table


def index(records: Sequence[Record]) -> str:
    """The index page, sorted by claim and mechanism."""
    rows = [
        (
            f"[{record.claim}]({record.folder}/{PAGE})",
            record.mechanism,
            record.instance.network.activation,
            str(record.instance.n),
            str(record.instance.network.widths[1]),
            str(record.instance.d),
            short(value(record.limit)),
            short(value(record.better)),
        )
        for record in sorted(records, key=lambda record: record.folder)
    ]
    header = ("claim", "mechanism", "activation", "points", "neurons", "dimensions", "value", "a better value")
    body = table(header, rows) if rows else "None is stored."
    return (
        "# Counterexamples\n\n"
        "Statements about the limit of gradient flow that are false, each with the smallest counterexample found so "
        "far. Each was found by search from scratch, shrunk, and checked in exact arithmetic. "
        "`marginalia harvest` finds them again and `marginalia verify reports/*/counterexample.json` checks them.\n\n"
        f"{body}\n"
    )
