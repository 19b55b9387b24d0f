"""Pages and figures, made from stored counterexamples and nothing else."""

from __future__ import annotations

from harness.records.record import FIGURE, INSTANCE, PAGE, Record
from harness.report.figure import figure_svg
from harness.report.index import index
from harness.report.page import page

__all__ = ["figure_svg", "index", "page", "pages"]


def pages(record: Record) -> dict[str, bytes]:
    """What a person reads of one counterexample: file name -> content."""
    return {
        INSTANCE: (record.instance.to_json() + "\n").encode(),
        PAGE: page(record).encode(),
        FIGURE: figure_svg(record),
    }
