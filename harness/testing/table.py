"""The table of claims at the end of a run of pytest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from harness.claims.table import CLAIMS, Status
from harness.testing.check import COLUMNS
from harness.testing.terminal import in_short


def show(reported: Iterable[Any], reports: Path, terminal: pytest.TerminalReporter) -> None:
    """Print it.  reported: what each test of a claim reported, as harness.testing.plugin.REPORTED says."""
    found: dict[str, Counter[str]] = {}
    statuses: dict[str, Status] = {}
    lines: list[str] = []
    new: list[str] = []
    for claim, status, counts, told, fresh in reported:
        found.setdefault(claim, Counter()).update(counts)
        statuses[claim] = status
        lines += told
        new += [fresh] if fresh else []
    # With xdist this process imports no tests: a claim that one of them registers is none of its own.
    order = [*(claim for claim in CLAIMS if claim in found), *sorted(found.keys() - CLAIMS.keys())]
    table = {claim: found[claim] for claim in order}
    width = max(map(len, table))
    terminal.section("claims")
    terminal.line("  ".join(["".ljust(width), *COLUMNS]))
    for claim, counts in table.items():
        cells = [str(counts[column]).rjust(len(column)) for column in COLUMNS]
        terminal.line("  ".join([claim.ljust(width), *cells]))
    for line in sorted(lines):
        terminal.line(line)
    terminal.section("in short")
    for line in in_short(table, statuses, reports, new):
        terminal.line(line)
