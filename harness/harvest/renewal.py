"""What is stored, decided about again: every counterexample with the proof that is found today, without a hunt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from harness.claims.table import CLAIMS
from harness.harvest.finding import proven
from harness.harvest.pages import rebuild
from harness.harvest.run import Harvested
from harness.records.folders import make_writable, store, trusted


def renew(out: Path, progress: Callable[[str], None]) -> list[Harvested]:
    """Put a simpler proof in the place of a stored one where there is one, and make the pages anew; a result a record.

    Raises FieldError for an `out` that cannot be written, OSError.
    """
    make_writable(out)
    results: list[Harvested] = []
    for record in trusted(out)[0]:
        progress(record.folder)
        found = proven(CLAIMS[record.claim], record.instance)
        place = out / record.folder
        if found is None or found.mechanism != record.mechanism:
            results.append(Harvested(record.claim, True, place, False, "no proof was found again; it is kept as it is"))
            continue
        origin = record.data.get("found", {})
        renewed = replace(
            found,
            seed=origin.get("seed", found.seed),
            examples=origin.get("examples", found.examples),
            robustness=record.data.get("robustness"),
        )
        put = store(renewed.record(), out)
        results.append(Harvested(record.claim, True, put.path, put.written, put.reason))
    for sentence in rebuild(out)[1]:
        progress(sentence)
    return results
