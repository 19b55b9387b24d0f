"""One thread a process, the Hypothesis profiles, the header, and the table of claims at the end of a run."""

# ruff: noqa: E402

from __future__ import annotations

import os
import sys

# Before numpy and torch are imported: thread counts change results, and xdist already runs a process a core.
THREADS = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS", "NUMBA", "VECLIB_MAXIMUM")}
if os.environ.get("OMP_NUM_THREADS") != "1" and {"numpy", "torch"} & sys.modules.keys():
    raise RuntimeError("a pytest plugin imports numpy or torch too early: set OMP_NUM_THREADS=1 for this run")
os.environ.update(THREADS)

from collections import Counter
from collections.abc import Callable, Generator

import pytest
from hypothesis import Phase, settings
from hypothesis.database import DirectoryBasedExampleDatabase

from harness.instances import Instance

# What becomes of an example, in the order of the table's columns.
COLUMNS = ("held", "violated", "undecided", "outside", "not unique", "not separating")
_OUTCOMES = {"holds": "held", "violated": "violated", "undecided": "undecided", "outside": "outside"}
_PROPERTY = "claims"
_FOUND = (Phase.explicit, Phase.reuse, Phase.generate, Phase.target, Phase.shrink)

# Hypothesis has a profile of its own for CI, which it loads by itself: without a parent, and without every setting
# that matters here, ours would inherit from it there.
settings.register_profile(
    "dev",
    parent=settings.get_profile("default"),
    derandomize=False,
    database=DirectoryBasedExampleDatabase(".hypothesis/examples"),
    deadline=None,
    phases=_FOUND,
    max_examples=150,
)
settings.register_profile(
    "ci",
    parent=settings.get_profile("default"),
    derandomize=True,
    database=None,
    deadline=None,
    phases=_FOUND,
    max_examples=150,
)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

_counts: pytest.StashKey[dict[str, Counter[str]]] = pytest.StashKey()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "claim(id, decided): the claim of harness/claims.py that the test checks, and the least number of examples "
        "that have to be decided, held or violated, for it to pass",
    )
    config.stash[_counts] = {}


def pytest_report_header(config: pytest.Config) -> str:
    profile = settings.get_current_profile_name()
    return f"marginalia: device cpu, dtype float64, threads {os.environ['OMP_NUM_THREADS']}, profile {profile}"


# --- one property ---

# Of the test that is running; a process runs one at a time.
_running: Counter[str] = Counter()


def claim_of(item: pytest.Item) -> tuple[str, int] | None:
    """The claim's id and the least number of decided examples of a test marked with a claim."""
    marker = item.get_closest_marker("claim")
    return None if marker is None else (marker.args[0], marker.kwargs["decided"])


@pytest.fixture(scope="session")
def check() -> Callable[[str, Instance], None]:
    """Drive an instance, decide about its limit and hold the claim of this id against it.

    Raises the claim's own exception where it is violated. Of session scope, as Hypothesis runs many examples a test.
    """
    import harness
    from harness.claims import CLAIMS

    def holds(claim_id: str, instance: Instance) -> None:
        claim = CLAIMS[claim_id]
        (limit,) = harness.drive([instance], record=claim.recorded)
        verdicts = harness.decide(limit) if limit.status == "converged" else None
        outcome = claim.judged(limit, verdicts)
        _running[_column(limit.status, limit.reason, outcome)] += 1
        if outcome == "violated":
            raise claim.exception(counterexample(claim_id, claim.conclusion, instance))

    return holds


def _column(status: str, reason: str, outcome: str) -> str:
    if status == "never_separates":
        return "not separating"
    if status == "undecided" and "not unique" in reason:
        return "not unique"
    return _OUTCOMES[outcome]


def counterexample(claim_id: str, conclusion: str, instance: Instance) -> str:
    """What a person needs to see, and to run, for a claim that failed."""
    return (
        f"the claim {claim_id} is violated: the limit is not as it says, {conclusion}\n\n{instance.to_json()}\n\n"
        "To see the limit and the verdicts, save this as FILE and run: marginalia check FILE"
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    claim = claim_of(item)
    if claim is None:
        return (yield)
    _running.clear()
    try:
        result = yield
    finally:
        item.user_properties.append((_PROPERTY, [claim[0], dict(_running)]))
    decided = _running["held"] + _running["violated"]
    if decided < claim[1]:
        pytest.fail(f"{claim[0]}: {decided} examples decided, fewer than {claim[1]}: {dict(_running)}", pytrace=False)
    return result


# --- the table; with xdist the reports come to the controller, which prints it ---


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    table: dict[str, Counter[str]] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) != "call":
                continue
            for name, value in report.user_properties:
                if name == _PROPERTY:
                    table.setdefault(value[0], Counter()).update(value[1])
    if not table:
        return
    width = max(map(len, table))
    terminalreporter.section("claims")
    terminalreporter.line("  ".join(["".ljust(width), *COLUMNS]))
    for claim in sorted(table):
        cells = [str(table[claim][column]).rjust(len(column)) for column in COLUMNS]
        terminalreporter.line("  ".join([claim.ljust(width), *cells]))
