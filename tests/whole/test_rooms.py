"""Imports run one way between the rooms of the program, and each of the three that judge each other stands alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from harness.survey.plan import CODE

# A room is a folder or a file under harness/, or strategies/; it imports only rooms that come before it.  "harness" is
# the door: harness/__init__.py, behind which the trainer, the oracles and the table of claims are loaded.
ROOMS = [
    *(
        "tools",
        "problem",
        "certificates",
        "proofs",
        "retrace",
        "flow",
        "optimisers",
        "oracles",
        "claims",
        "harness",
        "judge",
    ),
    *("strategies", "records", "show", "report", "harvest", "nightly", "testing", "survey", "tables", "cli"),
]
# What a sceptic reads, the trainer, the oracles, and who retraces the flow: all the rooms of ours that each may know.
ALONE = {
    "certificates": {"problem"},
    "flow": {"tools", "problem"},
    "oracles": {"tools", "problem", "certificates"},
    "problem": {"tools"},
    "proofs": {"problem", "certificates"},
    "retrace": {"problem"},
    # it opens judge too, which itself goes through the door: there a test can put another trainer
    "harness": {"problem", "flow", "oracles", "claims", "judge"},
}
FILES = sorted([*Path("harness").rglob("*.py"), *Path("strategies").rglob("*.py")])
MODULES = {".".join(path.with_suffix("").parts).removesuffix(".__init__"): path for path in FILES}


def imported(path: Path) -> Iterator[str]:
    """The modules that a file imports anywhere in it, within functions and for types too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None, f"a relative import in {path}"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in MODULES else node.module


def room(module: str) -> str | None:
    """None for what is not ours."""
    top, *rest = module.split(".")
    if top in ("tests", "properties", "benchmarks", "conftest", "docs"):
        return top
    if rest[:1] == ["claims"] and rest[1:2] in (["retrace"], ["judge"]):
        return rest[1]
    return {"strategies": "strategies", "harness": rest[0] if rest else "harness"}.get(top)


def test_every_room_has_its_place() -> None:
    assert {room(module) for module in MODULES} == set(ROOMS)


@pytest.mark.parametrize("name", ROOMS)
def test_imports_run_one_way(name: str) -> None:
    used = {other: path for module, path in MODULES.items() if room(module) == name for other in imported(path)}
    rooms = {room(module): f"{path} imports {module}" for module, path in used.items()}
    allowed = ALONE.get(name, set(ROOMS[: ROOMS.index(name)])) | {name, None}
    assert not rooms.keys() - allowed, [rooms[other] for other in rooms.keys() - allowed]


def test_no_two_files_import_each_other() -> None:
    # A package's __init__ imports its files, which import each other past it.
    graph = {m: {other for other in imported(path) if other in MODULES} for m, path in MODULES.items()}
    packages = {m for m, path in MODULES.items() if path.name == "__init__.py"}
    order = TopologicalSorter({m: used - packages for m, used in graph.items() if m not in packages})
    assert len(list(order.static_order())) == len(MODULES) - len(packages)


def test_a_survey_knows_the_code_that_decides_a_row() -> None:
    reached, ahead = set[str](), {"harness.survey.work"}
    while ahead:
        reached |= ahead
        ahead = {other for module in ahead for other in imported(MODULES[module]) if other in MODULES} - reached
    # the plan has a digest of its own; the shards only keep the rows, with the versions beside them
    keeping = {f"harness.{name}" for name in ("survey.plan", "survey.shards", "tools.software")}
    rest = reached - {"harness", "harness.survey"} - keeping
    known = {path for pattern in CODE for path in Path("harness").glob(pattern)}
    assert not {MODULES[module] for module in rest} - known
