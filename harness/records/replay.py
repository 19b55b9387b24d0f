"""A stored counterexample, run again: does the flow still end where the record says, and does that deny the claim?

The exact checker proves what the record says of its limit; only the flow says that the start leads there.  A record is
trusted where both agree with it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from harness.certificates import verify_file
from harness.claims.judge import judge
from harness.claims.table import CLAIMS
from harness.problem.fields import FieldError
from harness.records.record import RECORD, Record, load

# How far the limit may be from the stored one, relative to its norm: both are found to about 1e-9.
AGREEMENT = 1e-6
_OF_LOCAL = ("saddle", "kink", "zero weight", "dead neuron")


@dataclass(frozen=True)
class Replayed:
    """agrees: whether the flow and the oracles say what the record says.  reason: a sentence."""

    agrees: bool
    reason: str


def replay(record: Record) -> Replayed:
    """Follow the flow of a record's instance and judge its claim again."""
    found = judge(CLAIMS[record.claim], record.instance, certify="always", record=True)
    limit = found.limit
    if limit.theta is None or found.verdicts is None:
        return Replayed(False, f"the flow is {limit.status.replace('_', ' ')} now: {limit.reason}")
    network = record.instance.network
    now, stored = (
        network.flat([np.array([float(a) for a in u]) for u in rows]) for rows in (limit.theta, record.limit)
    )
    distance = float(np.linalg.norm(now - stored) / np.linalg.norm(stored))
    if distance > AGREEMENT:
        return Replayed(False, f"the flow ends elsewhere now, at a relative distance of {distance:.1e}")
    if found.outcome != "violated":
        return Replayed(False, f"the claim is not violated now, but {found.outcome}")
    if record.mechanism in _OF_LOCAL and found.verdicts.mechanism != record.mechanism:
        return Replayed(False, f"the mechanism is {found.verdicts.mechanism} now")
    return Replayed(True, f"the flow ends at the stored limit, to {distance:.0e}, and the claim is violated")


def distrust(path: Path) -> str | None:
    """Why the counterexample.json at path is not to be trusted, None if it is: read, verified exactly, replayed."""
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        return error.strerror or "it cannot be read"
    return _distrust(path, digest)


@lru_cache(maxsize=256)
def _distrust(path: Path, digest: str) -> str | None:
    """digest: of the file's content; the same content is judged once."""
    try:
        record = load(path)
        if path.name == RECORD and path.parent.name != record.folder:
            return f"it belongs in a folder {record.folder}"
        verified = verify_file(path)
    except FieldError as error:
        return str(error).removeprefix(f"{path}: ")
    if not verified.accepted:
        return verified.reason
    replayed = replay(record)
    return None if replayed.agrees else replayed.reason
