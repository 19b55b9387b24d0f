"""The shipped surveys: their plans, and that their pages say what their counts say."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import harness
from harness.cli import main
from harness.survey import Cell, Plan, Rate, count, drawn, grid, run
from harness.survey.counts import Counts, Tally, read_csv
from harness.survey.features import FEATURES, KEYS
from harness.survey.pages import ClaimTable, rate, with_tables
from harness.survey.studies import COUNTS, FIGURE, PAGE, STUDIES, Study
from tests.survey.test_survey import Now

SHIPPED = Path(__file__).parents[2] / "reports" / "surveys"
each = pytest.mark.parametrize("study", STUDIES.values(), ids=list(STUDIES))


@each
def test_what_is_shipped_follows_from_its_counts(study: Study) -> None:
    folder = SHIPPED / study.name
    text = (folder / COUNTS).read_text()
    counts = read_csv(text)
    assert counts.csv() == text
    assert [cell for cell, _ in counts.cells] == list(study.cells)
    page = (folder / PAGE).read_text()
    assert with_tables(page, study.blocks(counts)) == page
    assert study.figure.svg(counts) == (folder / FIGURE).read_bytes()
    assert f"{counts.total.instances:,} instances" in page
    # what the floats say and the proofs deny is shown on the page, and rare
    assert 500 * counts.total.agreement["contradict"] <= counts.total.agreement["agree"]


@each
def test_a_study_from_the_command_line(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = tuple(study.cells[:: max(1, len(study.cells) // 8)])
    monkeypatch.setitem(STUDIES, study.name, Study(study.name, study.question, small, study.tables, study.figure,
                                                   study.claims, study.features))  # fmt: skip
    monkeypatch.setattr("harness.survey.runner.engine", _here)
    instances = min(40, study.batch // 2)  # a few where they are dear
    given = ["survey", "--study", study.name, "--instances", str(instances), "--out", str(tmp_path / "out")]
    assert main([*given, "--report", str(tmp_path / "reports")]) == 0
    folder = tmp_path / "reports" / study.name
    counts = count(tmp_path / "out")
    assert read_csv((folder / COUNTS).read_text()) == counts
    assert (folder / PAGE).read_text().startswith(f"# {study.question}\n")
    assert b"</svg>" in (folder / FIGURE).read_bytes()
    capsys.readouterr()
    # the prose that a person wrote stays
    page = folder / PAGE
    page.write_text(page.read_text().replace("# ", "# Found: ", 1) + "\nAnd this.\n")
    assert main([*given, "--report", str(tmp_path / "reports")]) == 0
    assert page.read_text().startswith("# Found: ")
    assert page.read_text().endswith("\nAnd this.\n")


def _here(name: str, processes: int | None):
    from contextlib import nullcontext

    return nullcontext((Now(), 1))


@pytest.mark.parametrize(
    ("given", "message"),
    [(["--study", "no-such"], "study: there is no 'no-such'"), (["--report", "x"], "report: only a study has one")],
)
def test_bad_options(given: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["survey", "--instances", "5", *given]) == 2
    assert message in capsys.readouterr().err


def test_rates_are_written_with_their_intervals() -> None:
    assert rate(Rate(0, 0)) == "-"
    assert rate(Rate(0, 1234)) == "none of 1,234"
    assert rate(Rate(7, 7)) == "all of 7"
    assert rate(Rate(123, 1000)) == "12.3 % (10.4 to 14.5)"
    assert rate(Rate(1, 10000)) == "0.01 % (0.0018 to 0.057)"


def test_a_row_a_claim_and_what_bounds_it() -> None:
    found = Counter(holds=999, violated=1, undecided=50, outside=7)
    tally = Tally(claims={"kkt": found, "sym-global": Counter(holds=1000)})
    text = ClaimTable("Held against", ("kkt", "sym-global")).markdown(Counts(((Cell(width=2), tally),)))
    assert text.startswith("Held against:\n\n| claim | spoken of |")
    assert "| `kkt` | 1,050 | 1,000 | 1 | 0.56 % |" in text
    assert "| `sym-global` | 1,000 | 1,000 | 0 | 0.38 % |" in text


def test_counts_survive_csv(tmp_path: Path) -> None:
    cells = tuple(grid(family="diagonal", activation="linear", depth=3, n=2, d=2, outgoing=(None, 1.0)))
    plan = Plan(cells, 30, claims=("deep-local", "kkt"), features=("vertex",), batch=30)
    counts = run(plan, tmp_path, executor=Now())
    assert read_csv(counts.csv()) == counts
    assert counts.total.features["vertex:support"].total() == counts.total.outcomes["converged"]


@pytest.mark.parametrize("name", list(FEATURES))
def test_features_have_their_keys_and_say_what_is_so(name: str) -> None:
    cells = {"neurons": Cell(width=6, n=2), "vertex": Cell("diagonal", "linear", 3, n=2, d=3, outgoing=1.0)}
    converged = 0
    for index in range(30):
        (limit,) = harness.drive([drawn(cells[name], 0, index)[0]])
        if limit.status != "converged":
            continue
        converged += 1
        assert limit.theta is not None
        verdicts = harness.decide(limit, certify=False)
        found = FEATURES[name](limit, verdicts)
        assert tuple(found) == KEYS[name]
        if name == "vertex":
            beta = np.prod(limit.theta, axis=0)
            assert found["support"] == sum(beta != 0.0)
            assert (found["alone"] or 0) <= (found["fastest"] or 0)
        else:
            dead = sum(not row.any() for row in limit.theta[0].reshape(6, 2))
            assert dead in (found["dead, local"], found["dead, not local"])
            # a neuron that is off on every point never moves
            assert dead >= (found["asleep"] or 0)
    assert converged > 10
