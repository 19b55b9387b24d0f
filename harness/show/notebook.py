"""What a notebook shows of an instance, a point, a limit, verdicts and a claim: HTML, with a figure in SVG.

The figure is left out where matplotlib is not installed.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from harness.problem.instances import Instance
from harness.problem.later import later
from harness.problem.limits import Limit
from harness.problem.points import Point
from harness.show.answers import verdict_text
from harness.show.people import instance_text, limit_text, point_text

if TYPE_CHECKING:
    from harness.claims.table import Claim
    from harness.oracles import Verdicts


def instance_html(instance: Instance) -> str:
    """The network, the data, the start."""
    return _page(instance_text(instance), _figure("plot_instance", instance))


def point_html(point: Point) -> str:
    """What print says, and the plot."""
    return _page(point_text(point), _figure("plot_point", point))


def limit_html(limit: Limit) -> str:
    """The same of a limit; of a flow that did not converge the reason."""
    return _page(limit_text(limit), _figure("plot_limit", limit) if limit.point else "")


def verdicts_html(verdicts: Verdicts) -> str:
    """One row a question."""
    rows = [("(P), global", verdicts.global_), ("(P), local", verdicts.local)]
    for number, pair in enumerate(verdicts.layers, start=1):
        rows += [(f"(P_{number}), global", pair.global_), (f"(P_{number}), local", pair.local)] if pair else []
    told = [(name, *verdict_text(verdict).split(": ", 1)) for name, verdict in rows]
    mechanism = f"<p>Why no local optimum: {escape(verdicts.mechanism)}.</p>" if verdicts.mechanism else ""
    return _table(("optimum of", "answer", "reason"), told) + mechanism


def claim_html(claim: Claim) -> str:
    """The statement, its status and its source."""
    rows = [
        ("networks", claim.setting),
        ("assumed", claim.assumption or "nothing"),
        ("conclusion", claim.conclusion),
        ("status", claim.status),
        ("source", claim.source or "ours"),
    ]
    return _table(("claim", claim.id), rows)


def _page(text: str, figure: str) -> str:
    first, *rest = text.splitlines()
    items = "".join(f"<li>{escape(line)}</li>" for line in rest)
    return f"<div><b>{escape(first)}</b><ul>{items}</ul>{figure}</div>"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    def row(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag} style='text-align:left'>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    return "<table>" + row(head, "th") + "".join(row(cells, "td") for cells in rows) + "</table>"


def _figure(plot: str, of: Any) -> str:
    """An SVG element; nothing where there is no matplotlib."""
    try:
        figure = later("harness.report.plots", plot, of)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        return ""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    # without the head of an XML file
    return text[text.index("<svg") :]
