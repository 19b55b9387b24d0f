"""`marginalia report`: the counterexamples as a site of plain files, which needs no network and no server.

On the first page every counterexample has a card; each has a folder with its page, its record, its instance and its
figure.  The pages are the Markdown ones, set in type, with the flow to move through.  What was measured and surveyed is
there too.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from harness.records.record import INSTANCE, PAGE, RECORD, Record
from harness.report.cards import PICTURE, cards
from harness.report.figure import figure, small
from harness.report.film import film
from harness.report.index import mechanism_section
from harness.report.inequality import inequality
from harness.report.markdown import html, typeset
from harness.report.page import figure_says, sections, statement, title
from harness.report.panels import panels
from harness.report.surveys import Survey
from harness.report.words import plain
from harness.show.glossary import glossary

ASSETS = ("style.css", "flow.js")
_BELOW = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def build(records: Sequence[Record], measured: str, out: Path, surveys: Sequence[Survey] = ()) -> Path:
    """Write the site into a folder and return its first page.

    measured: Markdown of the tables.  Files of the same name are overwritten, others left.  Raises OSError, and
    FieldError for a flow that no longer converges.
    """
    out.mkdir(parents=True, exist_ok=True)
    for name in ASSETS:
        (out / name).write_text(_asset(name), encoding="utf-8")
    first = out / "index.html"
    first.write_text(_index(records, measured, surveys), encoding="utf-8")
    for record in records:
        _write_record(record, out / record.folder)
    for survey in surveys:
        folder = out / survey.folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "index.html").write_text(_survey(survey), encoding="utf-8")
        (folder / "figure.svg").write_bytes(survey.figure)
    return first


def _write_record(record: Record, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "index.html").write_text(_page(record), encoding="utf-8")
    (folder / RECORD).write_text(json.dumps(record.data, indent=1) + "\n", encoding="utf-8")
    (folder / INSTANCE).write_text(record.instance.to_json() + "\n", encoding="utf-8")
    (folder / PICTURE).write_bytes(small(record))
    for kind in ("svg", "pdf"):
        (folder / f"figure.{kind}").write_bytes(figure(record, kind))


def _index(records: Sequence[Record], measured: str, surveys: Sequence[Survey]) -> str:
    """The cards, then what refutes by which mechanism, what was measured and surveyed, and the words."""
    lead = (
        "Statements about the limit of gradient flow that are false, each with the smallest counterexamples found so "
        "far. Each was found by search from scratch, shrunk, checked in exact arithmetic, and replayed for this page."
    )
    blocks = {
        "By mechanism": mechanism_section(records) if records else "None is stored.",
        "Measured": measured,
        "Surveys": "\n".join(f"- [{plain(survey.title)}]({survey.folder}/index.html)" for survey in surveys),
    }
    body = [f"## {heading}\n\n{text}" for heading, text in blocks.items() if text]
    return _fill(
        title="Counterexamples",
        root="",
        head=Markup(html(lead)),
        contents=[*(heading for heading, text in blocks.items() if text), "Words"],
        cards=cards(records),
        body=Markup(html("\n\n".join([*body, glossary()]))),
    )


def _page(record: Record) -> str:
    moving = film(record)
    shown, numbers = panels(record, moving)
    problem = record.instance.problem
    frames = numbers | {
        "names": [_row_name(*problem.place(row)) for row in range(len(problem.rows))],
        "log_norm": [round(float(s), 4) for s in moving.log_norm],
        "margins": [[round(float(q), 5) for q in row] for row in moving.margins],
    }
    # A page of the site is not called as the gallery's.
    head = "\n\n".join(filter(None, (statement(record), inequality(record)))).replace(f"../{PAGE}#", "../index.html#")
    return _fill(
        title=title(record),
        root="../",
        head=Markup(html(head)),
        lead=Markup(
            typeset(
                "The direction of the weights turns on its way to the limit, and the norm grows; the charts follow it "
                "against log ||theta||."
            )
        ),
        panels=shown,
        figure_says=figure_says(record),
        body=Markup(html("\n\n".join(f"## {heading}\n\n{text}" for heading, text in sections(record)))),
        # It stands inside a script element.
        frames=Markup(json.dumps(frames, separators=(",", ":")).replace("<", "\\u003c")),
    )


def _row_name(sample: int, other: int | None) -> str:
    """The point of a margin, and the class that it is over, as plain text."""
    name = "x" + str(sample).translate(_BELOW)
    return name if other is None else f"{name} over {other}"


def _survey(survey: Survey) -> str:
    return _fill(title=survey.title, root="../../", picture="figure.svg", body=Markup(html(survey.text, plain=True)))


# --- files ---


def _fill(**parts: Any) -> str:
    return Environment(autoescape=True, keep_trailing_newline=True).from_string(_asset("page.html")).render(**parts)


def _asset(name: str) -> str:
    return files("harness.report").joinpath("assets", name).read_text(encoding="utf-8")
