"""The measured tables: their cells, what fills them, and how they are printed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.claims.beyond import BEYOND
from harness.claims.table import CLAIMS
from harness.cli import main
from harness.problem.fields import FieldError
from harness.records.record import Record
from harness.tables import fill as fill_module
from harness.tables.fill import fill
from harness.tables.measured import TABLES, read
from harness.tables.rows import AROUND, ENTRIES, GROUPS, Group
from harness.tables.text import markdown
from tests.support.counterexamples import depth2_local, fc_relu_local


def measured(**outcomes: int) -> dict[str, Any]:
    """Tables in which every claim has these outcomes."""
    counts = {"drawn": 0, "outside": 0, "undecided": 0, "holds": 0, "violated": 0} | outcomes
    return {"format": 1, "groups": {g.name: {"claims": dict.fromkeys(g.claims, counts)} for g in GROUPS}}


def test_every_claim_of_the_paper_about_optima_has_a_cell_and_every_cell_its_instances() -> None:
    optima = {claim.id for claim in CLAIMS.values() if "VSS" in claim.source and "optimum" in claim.conclusion}
    assert {entry.claim for entry in ENTRIES} == optima
    for entry in ENTRIES:
        (group,) = (g for g in GROUPS if entry in g.entries)
        assert any(entry.speaks_of(cell) for cell in group.cells)


def test_every_claim_around_the_paper_has_a_row_but_those_that_no_law_draws() -> None:
    # a cover of all cells, and data beyond what is near-orthogonal, are drawn by strategies alone
    rare = {"cover-small-global", "orthsep-weak-local", "nearorth-beyond", "linear-all-support-beyond"}
    rows = [claim for group in AROUND for claim in group.claims]
    assert sorted([*rows, *rare]) == sorted(claim.id for claim in BEYOND)
    for group in AROUND:
        for claim in group.claims:
            assert any(group.speaks_of(claim, cell) for cell in group.cells), claim


def test_rows_of_claims_around_the_paper() -> None:
    text = markdown(measured(drawn=5000, outside=1000, undecided=1000, holds=3000), [], "reports")
    assert "| sym-floor | theorem | 5,000 | 4,000 | 3,000 | 0 | 1 in 1,000 |" in text
    assert "| orthsep-deep | open | not measured |" in markdown(None, [], "reports")


def test_answers_are_those_of_the_paper() -> None:
    answers = {entry.claim: entry.answer for entry in ENTRIES}
    assert answers["fc-linear-global"] == "global"
    assert answers["fc-relu-local"] == "not local"
    assert answers["depth2-relu-active-local"] == "local"
    assert answers["relu-active-layerwise-global"] == "not global"


def test_counts_the_rule_of_three_and_the_smallest_counterexamples() -> None:
    def robust(record: Record, value: bool) -> Record:
        return Record(record.data | {"robustness": {"robust": value}})

    records = [robust(depth2_local(), False), robust(fc_relu_local(), True)]
    text = markdown(measured(drawn=5000, outside=1000, undecided=1000, holds=3000), records, "reports")
    line = "5,000 drawn, 4,000 assumed, 3,000 decided, 0 violated: at most 1 in 1,000"
    assert text.count(line) == len(ENTRIES)
    assert "robust [2 x 2 x 2, dead neuron](reports/fc-relu-local--dead-neuron--robust/README.md)" in text
    assert "fragile [1 x 2 x 2, zero weight](reports/depth2-local--linear--zero-weight--fragile/README.md)" in text
    assert "none is stored" in text
    text = markdown(measured(drawn=10, holds=6, violated=4), [], "reports")
    assert text.count("10 drawn, 10 assumed, 10 decided, 4 violated |") + text.count("4 violated<br>") == len(ENTRIES)
    assert "at most" not in text
    tables = measured(holds=6)
    tables["groups"]["relu-2"]["agreement"] = {"agree": 8, "contradict": 1, "unproven": 1}
    again = (
        "Of 10 limits that were followed further and decided exactly, 1 had another answer, and 1 none that is proven."
    )
    assert again in markdown(tables, [], "reports")


def test_filling_counts_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fill_module, "GROUPS", (Group("linear", 3, 60),))
    work, out = tmp_path / "work", tmp_path / "reports" / "tables"
    lines: list[str] = []
    for share, there in ((0.5, 0), (1.0, 30)):
        path = fill(work, out, share=share, processes=1, progress=lines.append)
        # A batch that was not full is done again.
        assert f"linear-3: {0 if there else there} of {round(60 * share)} instances are there" in lines
    assert path == out / TABLES
    found = read(out)
    assert found is not None
    claims = found["groups"]["linear-3"]["claims"]
    assert set(claims) == {"fc-linear-global", "deep-local", "linear-layerwise-global"}
    for counts in claims.values():
        assert counts["drawn"] == sum(v for name, v in counts.items() if name != "drawn") <= 60
    assert claims["linear-layerwise-global"]["drawn"] == 60
    assert claims["linear-layerwise-global"]["holds"] > 50
    assert claims["linear-layerwise-global"]["violated"] == claims["fc-linear-global"]["violated"] == 0


def test_filling_one_group_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fill_module, "GROUPS", (Group("linear", 3, 8), Group("linear", 2, 8)))
    for groups, seed in (((), 0), (("linear-3",), 1)):
        fill(tmp_path / str(seed), tmp_path, groups=groups, seed=seed, processes=1)
    found = read(tmp_path)
    assert found is not None
    assert {name: group["seed"] for name, group in found["groups"].items()} == {"linear-3": 1, "linear-2": 0}
    with pytest.raises(FieldError, match="there is no 'relu-2', but linear-3, linear-2"):
        fill(tmp_path, tmp_path, groups=("relu-2",))


@pytest.mark.parametrize("share", [0.0, -1.0, 1.5, float("nan")])
def test_a_share_is_a_share(share: float, tmp_path: Path) -> None:
    with pytest.raises(FieldError) as caught:
        fill(tmp_path, tmp_path, share=share)
    assert caught.value.field == "share"


@pytest.mark.parametrize("content", ["", "[]", '{"format": 2}'])
def test_tables_that_cannot_be_read(content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / TABLES).write_text(content)
    assert main(["tables", "--reports", str(tmp_path)]) == 2
    assert TABLES in capsys.readouterr().err


def test_nothing_measured_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tables", "--reports", str(tmp_path)]) == 0
    assert "not measured" in capsys.readouterr().out
