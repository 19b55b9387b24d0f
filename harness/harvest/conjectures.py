"""What is kept of a violated conjecture, a claim that is open.

Where the exact checker knows the claim (harness.certificates.denials) and the verdict has a proof, a counterexample
like any other.  Else the instance alone, the smallest so far, which `marginalia check` replays: it stands on the word
of the trainer and the oracles.
"""

from __future__ import annotations

from pathlib import Path

from harness.certificates.denials import CLAIMS as PROVABLE
from harness.claims.table import Claim
from harness.harvest.finding import proven
from harness.problem.instances import Instance
from harness.records.folders import store
from harness.records.smallest import keep_smallest

FOLDER, FILE = "conjectures", "instance.json"


def keep(claim: Claim, instance: Instance, out: Path) -> Path:
    """Put an instance that violates an open claim under out; returns where it, or one no larger, lies.  OSError."""
    out.mkdir(parents=True, exist_ok=True)
    finding = proven(claim, instance) if claim.id in PROVABLE else None
    if finding is not None:
        return store(finding.record(), out).path
    place = out / FOLDER / claim.id / FILE
    keep_smallest(instance, place, out)
    return place
