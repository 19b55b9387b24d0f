"""A pytest plugin for the nightly: -p harness.testing.nightly --tally FILE --violations FOLDER

A violation is kept by the process that found it, as soon as its test has ended.  The controller writes what became
of the examples, and which tests failed for another reason.  Tests of refuted claims are left to the harvest.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from harness.testing.plugin import REPORTED, claim_of


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--tally", type=Path, metavar="FILE", help="write counts and failures there, as JSON")
    parser.addoption("--violations", type=Path, metavar="FOLDER", help="keep instances that violate a claim there")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    def refuted(item: pytest.Item) -> bool:
        claim = claim_of(item)
        return claim is not None and claim.status == "refuted"

    left = [item for item in items if refuted(item)]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    folder = item.config.getoption("--violations")
    for claim, instance in _violations(call.excinfo.value if call.excinfo else None):
        report.user_properties.append(("violation", claim))
        if folder is not None:
            from harness.nightly.violations import keep

            keep(claim, instance, folder)
    return report


def _violations(error: BaseException | None) -> list[tuple[str, Any]]:
    """(claim, instance) of every violation in an error, which may be a group of them."""
    if isinstance(error, BaseExceptionGroup):
        return [found for part in error.exceptions for found in _violations(part)]
    instance = getattr(error, "instance", None)
    if error is None or instance is None:
        return []
    from harness.claims.table import CLAIMS

    return [(claim.id, instance) for claim in CLAIMS.values() if isinstance(error, claim.exception)]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    path = config.getoption("--tally")
    if path is None:
        return
    counts: dict[str, Counter[str]] = {}
    failed: list[str] = []
    for outcome, reports in terminalreporter.stats.items():
        for report in reports:
            properties = dict(getattr(report, "user_properties", []))
            if getattr(report, "when", None) == "call" and REPORTED in properties:
                claim, _, found, *_ = properties[REPORTED]
                counts.setdefault(claim, Counter()).update(found)
            if outcome in ("failed", "error") and "violation" not in properties:
                failed.append(report.nodeid)
    path.write_text(json.dumps({"counts": counts, "failed": failed}), encoding="utf-8")
