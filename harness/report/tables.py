"""Measured tables for the site, from reports/tables/*.json.

    {"title": "...", "note": "...", "columns": ["...", ...], "rows": [["...", ...], ...]}

Other keys are for whoever measured them and are not shown.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.report.words import table

FOLDER = "tables"


def read_tables(reports: Path) -> tuple[list[str], list[tuple[Path, str]]]:
    """Every table as Markdown, in the order of the files' names, and the files that are none, with the reason each."""
    tables: list[str] = []
    refused: list[tuple[Path, str]] = []
    for path in sorted((reports / FOLDER).glob("*.json")):
        try:
            tables.append(_markdown(json.loads(path.read_text(encoding="utf-8"))))
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            refused.append((path, "not a table: it needs a title, columns, and rows as long as these"))
    return tables, refused


def _markdown(data: dict[str, Any]) -> str:
    columns = [str(column) for column in data["columns"]]
    rows = [[_cell(cell) for cell in row] for row in data["rows"]]
    if any(len(row) != len(columns) for row in rows):
        raise ValueError
    note = f"\n\n{data['note']}" if data.get("note") else ""
    return f"### {data['title']}\n\n{table(columns, rows)}{note}"


def _cell(value: Any) -> str:
    return "" if value is None else str(value).replace("|", "\\|").replace("\n", " ")
