"""`marginalia report`: the counterexamples as a site of plain files, which needs no network and no server.

Every counterexample has a folder with its page, its record, its instance and its figure.  The pages are the Markdown
ones, set in type, with the flow to move through.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment
from markupsafe import Markup

from harness.claims.table import CLAIMS
from harness.problem.places import HiddenNeuron, neuron_name
from harness.records.record import INSTANCE, RECORD, Record
from harness.report.charts import COLOURS, Level, Line, chart, strips
from harness.report.figure import figure
from harness.report.film import Film, angles, film
from harness.report.improving import scaled_value, way
from harness.report.index import claim_section, mechanism_section
from harness.report.inequality import inequality
from harness.report.markdown import html, typeset
from harness.report.page import figure_says, sections, statement, title
from harness.report.scene import scene, subscript

_CLOCK = "log ‖θ‖"
# More strips than this would be a wall.
MAX_STRIPS = 24
ASSETS = ("style.css", "flow.js")


def build(records: Sequence[Record], measured: str, out: Path) -> Path:
    """Write the site into a folder and return its first page.

    measured: Markdown of the tables.  Files of the same name are overwritten, others left.  Raises OSError, and
    FieldError for a flow that no longer converges.
    """
    out.mkdir(parents=True, exist_ok=True)
    for name in ASSETS:
        (out / name).write_text(_asset(name), encoding="utf-8")
    first = out / "index.html"
    first.write_text(_index(records, measured), encoding="utf-8")
    for record in records:
        folder = out / record.folder
        folder.mkdir(exist_ok=True)
        (folder / "index.html").write_text(_page(record), encoding="utf-8")
        (folder / RECORD).write_text(json.dumps(record.data, indent=1) + "\n", encoding="utf-8")
        (folder / INSTANCE).write_text(record.instance.to_json() + "\n", encoding="utf-8")
        for kind in ("svg", "pdf"):
            (folder / f"figure.{kind}").write_bytes(figure(record, kind))
    return first


def _index(records: Sequence[Record], measured: str) -> str:
    """By claim in the registry's order, then by mechanism, then what was measured."""
    lead = (
        "Statements about the limit of gradient flow that are false, each with the smallest counterexamples found so "
        "far. Each was found by search from scratch, shrunk, checked in exact arithmetic, and replayed for this page."
    )
    claims = [
        (claim, [record for record in records if record.claim == claim.id])
        for claim in CLAIMS.values()
        if any(record.claim == claim.id for record in records)
    ]
    blocks = [lead, "## By claim", *(claim_section(claim, found) for claim, found in claims), "## By mechanism"]
    blocks += [mechanism_section(records)] if records else ["None is stored."]
    if measured:
        blocks += ["## Measured", measured]
    return _fill(title="Counterexamples", root="", head=Markup(html("\n\n".join(blocks))))


def _page(record: Record) -> str:
    moving = film(record)
    picture, numbers, caption = scene(record, moving)
    frames = numbers | {
        "log_norm": [round(float(s), 4) for s in moving.log_norm],
        "margins": [[round(float(q), 5) for q in row] for row in moving.margins],
    }
    panels = [_panel("The neurons" if record.apart else "The weights", picture, caption), *_charts(record, moving)]
    body = "\n\n".join(f"## {heading}\n\n{text}" for heading, text in sections(record))
    return _fill(
        title=title(record),
        root="../",
        head=Markup(html("\n\n".join(filter(None, (statement(record), inequality(record)))))),
        lead=Markup(
            typeset(
                "The direction of the weights turns on its way to the limit, and the norm grows; the charts follow it "
                "against log ||theta||."
            )
        ),
        panels=panels,
        figure_says=figure_says(record),
        body=Markup(html(body)),
        # It stands inside a script element.
        frames=Markup(json.dumps(frames, separators=(",", ":")).replace("<", "\\u003c")),
    )


# --- panels ---


def _panel(heading: str, picture: str, caption: str) -> dict[str, Any]:
    return {"title": Markup(typeset(heading)), "picture": Markup(picture), "caption": Markup(typeset(caption))}


def _charts(record: Record, moving: Film) -> list[dict[str, Any]]:
    gain = [] if record.stated else [_gain(record)]
    return [_directions(record, moving), _margins(record, moving), *_gates(record, moving), *gain]


def _directions(record: Record, moving: Film) -> dict[str, Any]:
    clock = moving.log_norm.tolist()
    if record.apart and record.instance.d == 2 and record.instance.network.fully_connected:
        found = angles(record, moving.direction).T
        lines = [
            Line(neuron_name(j), clock, angle.tolist(), j % COLOURS)
            for j, angle in enumerate(found)
            if not np.isnan(angle).all()
        ]
        picture = chart(lines, across=_CLOCK, up="angle of w in degrees", cursor=True)
        nowhere = " A neuron with w_j = 0 points nowhere." if len(lines) < len(found) else ""
        return _panel("Where each neuron points", picture, f"The angle of w_j from the first axis.{nowhere}")
    network = record.instance.network
    names = [(layer, k) for layer, size in enumerate(network.sizes) if network.trained[layer] for k in range(size)]
    lines = [
        Line(
            f"<i>u</i><sup>{layer + 1}</sup><sub>{k}</sub>",
            clock,
            moving.direction[:, number].tolist(),
            number % COLOURS,
            number // COLOURS % 2 == 1,
        )
        for number, (layer, k) in enumerate(names)
    ]
    picture = chart(lines, across=_CLOCK, up="weight of θ / ‖θ‖", cursor=True)
    return _panel("Every weight", picture, "The weights of theta / ||theta||: u^l are the parameters of layer l.")


def _margins(record: Record, moving: Film) -> dict[str, Any]:
    clock = moving.log_norm.tolist()
    problem = record.instance.problem
    lines = []
    for row in range(len(problem.rows)):
        sample, other = problem.place(row)
        name = f"<i>x</i><sub>{sample}</sub>" + ("" if other is None else f" over {other}")
        lines.append(Line(name, clock, moving.margins[:, row].tolist(), row % COLOURS, row % 2 == 1))
    reached, possible = (_normalised(record, theta) for theta in (record.limit, record.better))
    levels = [Level("in the limit", reached, "limit")]
    better = record.layer is None and not record.stated
    if better:
        levels.append(Level("at the better point", possible, "dotted"))
    picture = chart(lines, across=_CLOCK, up="margin at norm 1", levels=levels, cursor=True)
    rises = " The flow tends to less than what the better point has." if better else ""
    if record.instance.network.outputs > 1:
        said = "Phi_(y_i) - Phi_k of theta / ||theta||, one line a point and other class."
    else:
        said = "y_i Phi(theta; x_i) of theta / ||theta||, one line a point."
    return _panel("Margins", picture, f"{said}{rises}")


def _normalised(record: Record, theta: Any) -> float:
    """min q_i / |theta|^m."""
    found = scaled_value(record, tuple(tuple(float(a) for a in u) for u in theta)) if record.layer is None else None
    if found is not None:
        return (2.0 * found) ** (-0.5 * record.instance.network.degree)
    norm = (2.0 * float(record.value(theta))) ** 0.5
    return float(min(record.instance.problem.margins(theta))) / norm**record.instance.network.degree


def _gates(record: Record, moving: Film) -> list[dict[str, Any]]:
    hidden, n = moving.gates.shape[1:]
    if not hidden:
        return []
    network = record.instance.network
    names = [
        HiddenNeuron(layer, j).short(network.depth)
        for layer, width in enumerate(network.widths[1:-1])
        for j in range(width)
    ]
    rows = [
        (f"neuron {names[j]}, {subscript('x', i)}", moving.gates[:, j, i].astype(int).tolist())
        for j in range(hidden)
        for i in range(n)
    ][:MAX_STRIPS]
    left_out = f" The first {MAX_STRIPS} of {hidden * n} are shown." if hidden * n > MAX_STRIPS else ""
    numbered = " Neurons are numbered layer by layer." if network.depth > 2 else ""
    picture = strips(rows, moving.log_norm.tolist(), across=_CLOCK, up="gates")
    caption = f"Which neuron acts on which point: its input there is positive.{numbered}{left_out}"
    return [_panel("Gates", picture, caption)]


def _gain(record: Record) -> dict[str, Any]:
    found = way(record)
    start = found.values[0]
    assert start is not None
    change = [None if a is None else 100.0 * (a / start - 1.0) for a in found.values]
    picture = chart(
        [Line("along the way", found.distance, change, 2)],
        across="distance from the limit, relative",
        up=f"change of the {record.minimised}, in %",
        levels=[Level("the limit", 0.0, "limit")],
    )
    caption = (
        f"From the limit to the better point: {found.said}; each point scaled to be feasible, as the better point is."
    )
    return _panel("What leaving the limit gains", picture, caption)


# --- files ---


def _fill(**parts: Any) -> str:
    return Environment(autoescape=True, keep_trailing_newline=True).from_string(_asset("page.html")).render(**parts)


def _asset(name: str) -> str:
    return files("harness.report").joinpath("assets", name).read_text(encoding="utf-8")
