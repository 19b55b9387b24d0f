"""The pytest plugin: a property is a test that is marked with a claim.

The marker `claim`, the fixtures `check` and `refute`, a run for every family of networks that the claim speaks of, and
the table of claims at the end.  It is loaded by an entry point in every run of pytest, whatever is tested there: until
a test is marked with a claim, nothing is imported here but pytest, and nothing is changed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from harness.claims.table import Claim
    from harness.problem.instances import Instance
    from harness.problem.sizes import Sizes
    from harness.testing.check import Check

# What a test reports, through JSON with xdist: [claim, status, counts, lines, what is new].
REPORTED = "marginalia-claim"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--marginalia-reports",
        default="reports",
        metavar="FOLDER",
        help="where counterexamples to open claims are kept, default reports",
    )


# Before Hypothesis's plugin loads the profile that is asked for.
@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "claim(id, decided, fewer={}): the claim that the test checks on every family of networks that it speaks of; "
        "the least number of examples that have to be decided, held or violated, for it to pass; and fewer: of which "
        "families fewer are enough",
    )
    profile = config.getoption("--hypothesis-profile", None)
    if profile:
        from harness.testing.profiles import offer

        offer(profile)


# --- one property ---


@dataclass
class _Running:
    """What the test that is running checks, and has found; a process runs one at a time."""

    check: Check
    lines: list[str] = field(default_factory=list)
    new: str | None = None


_running: list[_Running] = []


def _reports(config: pytest.Config) -> Path:
    return Path(str(config.getoption("--marginalia-reports")))


def claim_of(node: Any) -> Claim | None:
    """The claim of a test that is marked with one.  Raises CollectError for a marker that names none."""
    marker = node.get_closest_marker("claim")
    if marker is None or not _ours(node, marker):
        return None
    from harness.claims.table import CLAIMS

    name = marker.args[0] if marker.args else ""
    if name not in CLAIMS:
        near = ", ".join(get_close_matches(str(name), CLAIMS, n=1))
        asked = f": do you mean {near!r}?" if near else ""
        raise pytest.Collector.CollectError(f"{node.name}: there is no claim {name!r}{asked}")
    decided = marker.kwargs.get("decided")
    if not isinstance(decided, int) or isinstance(decided, bool) or decided < 0:
        raise pytest.Collector.CollectError(f"{node.name}: the marker of {name} needs decided=, a number of examples")
    return CLAIMS[name]


def _ours(node: Any, marker: pytest.Mark) -> bool:
    """Whether a marker of this name is ours: others, in projects that have nothing to do with us, have one too."""
    # who speaks of our claims has imported them
    table = sys.modules.get("harness.claims.table")
    named = table is not None and bool(marker.args) and str(marker.args[0]) in table.CLAIMS
    fixtures = {"check", "refute"} & set(getattr(node, "fixturenames", ()))
    return named or "decided" in marker.kwargs or bool(fixtures and marker.args)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    claim = claim_of(metafunc.definition)
    if claim is not None and "family" in metafunc.fixturenames:
        from strategies import families

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

    def checked(instance: Instance) -> None:
        if not _running:
            raise pytest.UsageError("the fixture check of marginalia needs a test marked with @pytest.mark.claim")
        _running[-1].check(instance)

    return checked


@pytest.fixture
def refute(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Hunt a counterexample to the test's claim, no larger than the given sizes, and have it verified exactly.

    patience: of the hunt.  A harvest has more, and finds smaller ones.
    """
    from harness.certificates import verify
    from harness.harvest import hunt
    from harness.harvest.spaces import Quarry
    from harness.problem.sizes import Sizes
    from harness.testing.terminal import news

    def refuted(by_hand: Sizes, patience: tuple[int, int] = (800, 50)) -> None:
        running = _running[-1]
        claim = running.check.claim
        finding = hunt(claim.id, seed=0, quarry=Quarry(patience=patience))
        assert finding is not None, f"no counterexample to {claim.id} was found"
        verified = verify(finding.record().data)
        assert verified.accepted, verified.reason
        instance, found = finding.instance, Sizes.of(finding.instance)
        assert by_hand.holds(instance), f"larger than what one writes by hand:\n{instance.to_json()}"
        assert all(a.denominator == 1 for rows in (instance.x, instance.theta0) for row in rows for a in row)
        running.check.counts["violated"] += 1
        running.new = news(finding.record(), _reports(request.config))
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
    from harness.testing.check import Check

    running = _Running(Check(claim))
    _running.append(running)
    try:
        result = yield
    except claim.exception as violation:
        if claim.status != "open":
            raise
        running.lines.append(f"{claim.id}: open, and violated: {_kept(claim, violation.instance, item.config)}")
        # One example answers the question; where the database replays it nothing else is drawn.
        return None
    finally:
        _running.pop()
        counts = dict(running.check.counts)
        item.user_properties.append((REPORTED, [claim.id, claim.status, counts, running.lines, running.new]))
    _decided_enough(item, running.check)
    return result


def _kept(claim: Claim, instance: Instance, config: pytest.Config) -> str:
    """Where an instance that violates an open claim lies now."""
    from harness.harvest.conjectures import keep

    try:
        return str(keep(claim, instance, _reports(config)))
    except OSError as error:
        # Whoever reads this can save it by hand.
        return f"not stored, {error.strerror or error}: {' '.join(instance.to_json().split())}"


def _decided_enough(item: pytest.Item, check: Check) -> None:
    """Fails a test of which too few examples were decided, unless none are drawn."""
    from hypothesis import Phase, settings

    marker = item.get_closest_marker("claim")
    assert marker is not None
    family = getattr(item, "callspec", None) and item.callspec.id  # pyright: ignore[reportAttributeAccessIssue]
    least = marker.kwargs.get("fewer", {}).get(family, marker.kwargs["decided"])
    if check.decided < least and Phase.generate in settings().phases:
        counts = dict(check.counts)
        pytest.fail(f"{check.claim.id}: {check.decided} examples decided, fewer than {least}: {counts}", pytrace=False)


# --- the table; with xdist the reports come to the controller, which prints it ---


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    reported = [
        value
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", None) == "call"
        for name, value in report.user_properties
        if name == REPORTED
    ]
    if reported:
        from harness.testing.table import show

        show(reported, _reports(config), terminalreporter)
