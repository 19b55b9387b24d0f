"""Filling the tables: one survey for each activation and depth, on which all its claims are judged, and the counts.

A survey that is there is gone on with and not begun anew, so a run may be stopped at any time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from harness.problem.fields import FieldError
from harness.survey.counts import Counts
from harness.survey.plan import Plan
from harness.survey.runner import run
from harness.tables.measured import FORMAT, TABLES, read, write
from harness.tables.rows import GROUPS, Around, Group
from harness.tools.software import software

_PACKAGES = ("marginalia", "numpy", "scipy", "numba", "clarabel")
_OUTCOMES = ("outside", "undecided", "holds", "violated")


def fill(
    work: Path,
    out: Path,
    *,
    groups: Sequence[str] = (),
    share: float = 1.0,
    seed: int = 0,
    processes: int | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> Path:
    """Run every survey in a folder under `work`, and write the counts to a file in `out`, after each of them.

    groups: names of those that are run, all if there are none; what the file has of others stays there.  share: of the
    instances of a full run.  Returns the file.  Raises FieldError as harness.survey.run does.
    """
    if not 0 < share <= 1:
        raise FieldError("share", "must be more than 0 and at most 1")
    for name in groups:
        if name not in (known := [group.name for group in GROUPS]):
            raise FieldError("group", f"there is no {name!r}, but {', '.join(known)}")
    measured: dict[str, dict[str, Any]] = (read(out) or {}).get("groups", {})
    path = out / TABLES
    for group in GROUPS:
        if groups and group.name not in groups:
            continue

        def told(line: str, name: str = group.name) -> None:
            progress(f"{name}: {line}")

        counts = run(plan(group, share, seed), work / group.name, workers=processes, progress=told)
        measured[group.name] = {"seed": seed, "software": software(_PACKAGES), **_measured(group, counts)}
        write(path, {"format": FORMAT, "groups": measured})
    return path


def plan(group: Group | Around, share: float, seed: int) -> Plan:
    """The survey of a group; no verdicts but those that its claims need."""
    instances = max(1, round(share * group.instances))
    return Plan(group.cells, instances, seed=seed, claims=group.claims, verdicts=(), batch=500)


def _measured(group: Group | Around, counts: Counts) -> dict[str, Any]:
    """The counts of a group: the instances, and for every claim its outcomes on the networks that it speaks of."""
    return {
        "instances": counts.total.instances,
        "agreement": dict(sorted(counts.total.agreement.items())),
        "claims": {claim: _outcomes(group, claim, counts) for claim in group.claims},
    }


def _outcomes(group: Group | Around, claim: str, counts: Counts) -> dict[str, int]:
    found: Counter[str] = Counter()
    for cell, tally in counts.cells:
        if group.speaks_of(claim, cell):
            found.update(tally.claims[claim])
            found["drawn"] += tally.instances
    return {"drawn": found["drawn"], **{name: found[name] for name in _OUTCOMES}}
