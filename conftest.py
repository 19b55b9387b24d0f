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

import logging
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis.database import DirectoryBasedExampleDatabase

from harness.claims.table import CLAIMS, Claim
from harness.problem.instances import Instance
from harness.problem.sizes import Sizes
from harness.testing.check import COLUMNS, USUAL, Check
from strategies import families

# Tests say what a command prints: that something was compiled for it is no part of that.
logging.getLogger("harness.flow").setLevel(logging.WARNING)

# --- profiles: pytest --hypothesis-profile=NAME ---

# Hypothesis has a profile of its own for CI, which it loads by itself: without a parent, and without every setting
# that matters here, ours would inherit from it there.
_STORAGE = Path(os.environ.get("HYPOTHESIS_STORAGE_DIRECTORY") or ".hypothesis")
_KEPT = DirectoryBasedExampleDatabase(_STORAGE / "examples")
_FOUND = (Phase.explicit, Phase.reuse, Phase.generate, Phase.target, Phase.shrink)
_PROFILES: dict[str, dict[str, Any]] = {
    "dev": {"derandomize": False, "database": _KEPT, "phases": _FOUND, "max_examples": USUAL},
    "ci": {"derandomize": True, "database": None, "phases": _FOUND, "max_examples": USUAL},
    # What was found before is tried again, apart from the hunt, which a failure that is replayed would end.
    "nightly-replay": {
        "derandomize": False,
        "database": _KEPT,
        "phases": (Phase.explicit, Phase.reuse, Phase.shrink),
        "max_examples": USUAL,
    },
    "nightly-hunt": {
        "derandomize": False,
        "database": _KEPT,
        "phases": (Phase.generate, Phase.target, Phase.shrink),
        "max_examples": 20 * USUAL,
    },
}
for _name, _values in _PROFILES.items():
    settings.register_profile(_name, parent=settings.get_profile("default"), deadline=None, **_values)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--reports", default="reports", metavar="FOLDER", help="where counterexamples to open claims are kept"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "claim(id, decided, fewer={}): the claim that the test checks on every family of networks that it speaks of; "
        "the least number of examples that have to be decided, held or violated, for it to pass; and fewer: of which "
        "families fewer are enough",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A profile of more examples gives each test as much more time before it counts as hanging."""
    longer = settings().max_examples / USUAL
    if longer > 1.0:
        for item in items:
            item.add_marker(pytest.mark.timeout(longer * float(config.getini("timeout"))))
        # Its own time is the same for all; without it only compiled code that hangs is left to whoever started the run.
        config.pluginmanager.unregister(name="faulthandler")


def pytest_report_header(config: pytest.Config) -> str:
    profile = settings.get_current_profile_name()
    return f"marginalia: device cpu, dtype float64, threads {os.environ['OMP_NUM_THREADS']}, profile {profile}"


# --- one property ---


@dataclass
class _Running:
    """What the test that is running checks, and has found; a process runs one at a time."""

    check: Check
    refuted: str = ""
    lines: list[str] = field(default_factory=list)
    new: str | None = None


_running: list[_Running] = []


def claim_of(node: Any) -> Claim | None:
    """The claim of a test that is marked with one.  Raises CollectError for a marker that names none."""
    marker = node.get_closest_marker("claim")
    if marker is None:
        return None
    name = marker.args[0] if marker.args else ""
    if name not in CLAIMS:
        near = ", ".join(get_close_matches(str(name), CLAIMS, n=1))
        asked = f": do you mean {near!r}?" if near else ""
        raise pytest.Collector.CollectError(
            f"{node.name}: there is no claim {name!r} in harness/claims/table.py{asked}"
        )
    if not isinstance(marker.kwargs.get("decided"), int):
        raise pytest.Collector.CollectError(f"{node.name}: the marker of {name} needs decided=, a number of examples")
    return CLAIMS[name]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    claim = claim_of(metafunc.definition)
    if claim is not None and "family" in metafunc.fixturenames:
        spoken_of = families(claim)
        if not spoken_of:
            raise pytest.Collector.CollectError(
                f"{metafunc.definition.name}: {claim.id} speaks of no network that strategies/families.py can draw"
            )
        metafunc.parametrize("family", list(spoken_of.values()), ids=list(spoken_of))


@pytest.fixture(scope="session")
def check() -> Callable[[Instance], None]:
    """Drive an instance, decide about its limit and hold the test's claim against it.

    Raises the claim's own exception where it is violated. Of session scope, as Hypothesis runs many examples a test.
    """
    return lambda instance: _running[-1].check(instance)


@pytest.fixture
def refute(request: pytest.FixtureRequest) -> Callable[[Sizes], None]:
    """Hunt a counterexample to the test's claim, no larger than the given sizes, and have it verified exactly."""
    from harness.certificates import verify
    from harness.harvest import hunt
    from harness.testing.terminal import news

    def refuted(by_hand: Sizes) -> None:
        running = _running[-1]
        claim = running.check.claim
        finding = hunt(claim.id, seed=0)
        assert finding is not None, f"no counterexample to {claim.id} was found"
        verified = verify(finding.record().data)
        assert verified.accepted, verified.reason
        instance, found = finding.instance, Sizes.of(finding.instance)
        assert by_hand.holds(instance), f"larger than what one writes by hand:\n{instance.to_json()}"
        assert all(a.denominator == 1 for rows in (instance.x, instance.theta0) for row in rows for a in row)
        running.check.counts["violated"] += 1
        running.new = news(finding.record(), Path(str(request.config.getoption("--reports"))))
        running.lines.append(
            f"{claim.id}: refuted, {finding.mechanism}, after {finding.examples} instances: points {found.points}, "
            f"neurons {found.neurons}, dimensions {found.dimensions}"
        )

    return refuted


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    claim = claim_of(item)
    if claim is None:
        return (yield)
    running = _Running(Check(claim))
    _running.append(running)
    try:
        result = yield
    except claim.exception as violation:
        if claim.status != "open":
            raise
        from harness.harvest.conjectures import keep

        try:
            place = str(keep(claim, violation.instance, Path(str(item.config.getoption("--reports")))))
        except OSError as error:
            # Whoever reads this can save it by hand.
            place = f"not stored, {error.strerror or error}: {' '.join(violation.instance.to_json().split())}"
        running.lines.append(f"{claim.id}: open, and violated: {place}")
        # One example answers the question; where the database replays it nothing else is drawn.
        return None
    finally:
        _running.pop()
        item.user_properties.append(("claim", [claim.id, dict(running.check.counts), running.lines, running.new]))
    least, decided = _least(item), running.check.decided
    if decided < least and Phase.generate in settings().phases:
        counts = dict(running.check.counts)
        pytest.fail(f"{claim.id}: {decided} examples decided, fewer than {least}: {counts}", pytrace=False)
    return result


def _least(item: pytest.Item) -> int:
    """How many examples of a test have to be decided."""
    marker = item.get_closest_marker("claim")
    assert marker is not None
    family = getattr(item, "callspec", None) and item.callspec.id  # pyright: ignore[reportAttributeAccessIssue]
    return marker.kwargs.get("fewer", {}).get(family, marker.kwargs["decided"])


# --- the table; with xdist the reports come to the controller, which prints it ---


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    table: dict[str, Counter[str]] = {}
    lines: list[str] = []
    new: list[str] = []
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) != "call":
                continue
            for name, value in report.user_properties:
                if name == "claim":
                    table.setdefault(value[0], Counter()).update(value[1])
                    lines += value[2]
                    new += [value[3]] if value[3] else []
    if not table:
        return
    from harness.testing.terminal import in_short

    width = max(map(len, table))
    terminalreporter.section("claims")
    terminalreporter.line("  ".join(["".ljust(width), *COLUMNS]))
    for claim in (claim for claim in CLAIMS if claim in table):
        cells = [str(table[claim][column]).rjust(len(column)) for column in COLUMNS]
        terminalreporter.line("  ".join([claim.ljust(width), *cells]))
    for line in sorted(lines):
        terminalreporter.line(line)
    terminalreporter.section("in short")
    for line in in_short(table, Path(str(config.getoption("--reports"))), new):
        terminalreporter.line(line)
