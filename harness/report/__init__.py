"""Pages and figures, made from stored counterexamples and nothing else."""

from __future__ import annotations

from pathlib import Path

from harness.report.figure import figure_svg
from harness.report.index import index
from harness.report.page import page
from harness.report.reading import DERIVED, FIGURE, INSTANCE, PAGE, RECORD, Record, load

__all__ = ["DERIVED", "FIGURE", "INSTANCE", "PAGE", "RECORD", "Record", "figure_svg", "index", "load", "page", "pages"]


def pages(record: Record) -> dict[str, bytes]:
    """What a person reads of one counterexample: file name -> content."""
    return {
        INSTANCE: (record.instance.to_json() + "\n").encode(),
        PAGE: page(record).encode(),
        FIGURE: figure_svg(record),
    }


def stored(out: Path) -> list[Record]:
    """Every readable counterexample under out, in the order of the folders' names."""
    return [load(path) for path in sorted(out.glob(f"[!.]*/{RECORD}"))]
