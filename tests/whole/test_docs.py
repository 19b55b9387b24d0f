"""What the documents say is so: the tour runs, links lead somewhere, and quoted paths, commands and claims exist."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from harness.claims.table import CLAIMS
from harness.cli import main
from harness.problem.instances import Instance
from harness.records.record import stored

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
named = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)


def test_the_tour_runs(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(ROOT / "docs" / "tour.py"))
    assert "fc-relu-local (refuted): violated" in capsys.readouterr().out


def test_your_own_network_runs(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(ROOT / "docs" / "your_own_network.py"))
    assert "why no local optimum: not a KKT point" in capsys.readouterr().out


@named
def test_links_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)", path.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (path.parent / link).exists()]
    assert missing == []


@named
def test_paths_that_are_named_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    rooms = "harness|strategies|properties|tests|benchmarks|reports|docs"
    paths = re.findall(rf"`((?:{rooms})/[\w./-]*)`", text)
    # made when something is found, or named as an example
    made = {"reports/conjectures/", "properties/test_mine.py"}
    assert [name for name in paths if name not in made and not (ROOT / name).exists()] == []


def test_citations_of_the_statements_lead_to_a_section() -> None:
    """Every mention in code says which section, and the section is there."""
    sections = set(
        re.findall(r"^## (\d+)\. ", (ROOT / "docs" / "statements.md").read_text(encoding="utf-8"), re.MULTILINE)
    )
    rooms = ("harness", "strategies", "properties", "tests", "benchmarks")
    files = [path for room in rooms for path in (ROOT / room).rglob("*.py") if path != Path(__file__).resolve()]
    cited, lost = 0, []
    for path in files:
        text = " ".join(path.read_text(encoding="utf-8").replace("#", " ").split())
        for before, after in re.findall(r"(.{5})statements\.md(.{12})", text):
            named = re.match(r", section (\d+)", after)
            whole = path.parts[-2:] == ("certificates", "__init__.py")
            cited += 1
            if before != "docs/" or not (whole or (named and named[1] in sections)):
                lost.append(f"{path.relative_to(ROOT)}: {before}statements.md{after}")
    assert lost == []
    assert cited >= 15


def quoted(path: Path) -> list[tuple[str, list[str]]]:
    """Commands of marginalia with the options that are quoted with them, of which there may be none."""
    found = re.findall(r"marginalia ([a-z]+)((?: [^`\n]*)?)", path.read_text(encoding="utf-8"))
    return [(command, re.findall(r"(?<!\S)(--[a-z]+)", rest)) for command, rest in found]


def test_options_are_quoted() -> None:
    """Else the test below would pass whatever they are."""
    assert sum(len(options) for path in DOCUMENTS for _, options in quoted(path)) >= 10


@named
def test_options_that_are_quoted_exist(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every `marginalia COMMAND --option` is one that the command has."""
    for command, options in quoted(path):
        if not options:
            continue
        with pytest.raises(SystemExit) as caught:
            main([command, "--help"])
        assert caught.value.code == 0, command
        known = capsys.readouterr().out
        assert [option for option in options if option not in known] == [], command


def test_the_instance_that_is_shown_is_one() -> None:
    text = (ROOT / "docs" / "instance.md").read_text(encoding="utf-8")
    (block,) = re.findall(r'^    \{"format": 1,.*?\}$', text, re.MULTILINE | re.DOTALL)
    assert Instance.from_json(block).n == 2


def test_the_counts_of_claims_in_the_readme() -> None:
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    theorems, refuted = (sum(claim.status == status for claim in CLAIMS.values()) for status in ("theorem", "refuted"))
    assert (theorems, refuted) == (42, 19)
    assert "Forty-two theorems and nineteen refuted claims are there, and eight that are open" in text


def test_how_many_flows_are_said_to_be_proven() -> None:
    records = stored(ROOT / "reports")
    said = f"Of the {len(records)} that are stored {sum(record.proven for record in records)} have one"
    assert said in " ".join((ROOT / "docs" / "proofs.md").read_text(encoding="utf-8").split())
