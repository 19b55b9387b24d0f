"""What a survey leaves in its folder: a manifest, and one Parquet file a batch.

A shard appears whole or not at all, and its name says which batch it holds, so none is counted twice, and what is
there is all that a survey needs to know to go on. Each names the digest of its plan; one of another plan is an error.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from harness.problem.fields import FieldError
from harness.records.writing import replace, sweep
from harness.survey.plan import Plan, fingerprint
from harness.tools.software import software

MANIFEST = "manifest.json"
FORMAT = 1
_PACKAGES = ("numpy", "numba", "scipy", "clarabel", "torch", "pyarrow")
_KEY = b"marginalia"

_TEXT = pa.dictionary(pa.int16(), pa.string())
_FIELDS: dict[str, Any] = {
    "index": pa.int64(),
    "cell": pa.int32(),
    "outcome": _TEXT,
    "separated": pa.bool_(),
    "reason": _TEXT,
    "doubt": pa.bool_(),
    "held": pa.bool_(),
    "value": pa.float64(),
    "residual": pa.float64(),
    "log_norm": pa.float64(),
    "kinks": pa.int16(),
    "local": _TEXT,
    "mechanism": _TEXT,
    "global": _TEXT,
    "bound": pa.float64(),
    "suspect": pa.bool_(),
    "audited": pa.bool_(),
    "agreement": _TEXT,
}


def encoded(plan: Plan, batch: int, rows: Sequence[dict[str, Any]]) -> bytes:
    """The shard of a batch as bytes: the same rows give the same bytes."""
    fields = dict(_FIELDS) | {
        name: _TEXT if name.startswith(("claim:", "beside:")) else pa.float64() for name in plan.columns
    }
    label = {_KEY: json.dumps({"plan": plan.digest(), "batch": batch}).encode()}
    schema = pa.schema([pa.field(name, kind) for name, kind in fields.items()], metadata=label)
    columns = [pa.array([row.get(name) for row in rows], type=kind) for name, kind in fields.items()]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_arrays(columns, schema=schema), sink, compression="zstd")
    return sink.getvalue().to_pybytes()


class Folder:
    """The folder of one survey. Raises FieldError where it holds another one, or cannot be written or read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def opened(cls, path: Path, plan: Plan) -> Folder:
        """Begin a survey, or go on with the same one, which may have become longer."""
        folder = cls(path)
        if folder.manifest.exists():
            there = folder.plan()
            if folder._data()["fingerprint"] != fingerprint():
                raise FieldError(str(path), "holds a survey by another version of marginalia: take another folder")
            if there.digest() != plan.digest():
                raise FieldError(str(path), "holds a survey of another plan: take another folder")
            if there.instances > plan.instances:
                raise FieldError(str(path), f"holds a longer survey, of {there.instances} instances")
        try:
            path.mkdir(parents=True, exist_ok=True)
            sweep(path)
            replace(folder.manifest, json.dumps(_manifest(plan), indent=1).encode() + b"\n")
        except OSError as error:
            raise FieldError("out", f"{path} cannot be written: {error.strerror}") from None
        return folder

    @property
    def manifest(self) -> Path:
        return self.path / MANIFEST

    def plan(self) -> Plan:
        try:
            return Plan.of(self._data()["plan"])
        except (KeyError, TypeError) as error:
            raise FieldError(str(self.manifest), f"not the manifest of a survey: {error}") from None

    def _data(self) -> dict[str, Any]:
        try:
            data = json.loads(self.manifest.read_bytes())
        except OSError as error:
            raise FieldError(str(self.manifest), error.strerror or "cannot be read") from None
        except ValueError:
            raise FieldError(str(self.manifest), "not JSON") from None
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise FieldError(str(self.manifest), f"not the manifest of a survey of format {FORMAT}")
        return data

    def shard(self, batch: int) -> Path:
        return self.path / f"shard-{batch:06d}.parquet"

    def put(self, batch: int, content: bytes) -> None:
        replace(self.shard(batch), content)

    def missing(self, plan: Plan) -> list[int]:
        """The batches that are still to be done: those without a shard, and those whose shard is not whole."""
        digest = self._data_digest()
        return [batch for batch in range(plan.batches) if not self._done(plan, batch, digest)]

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """What is there, a shard at a time, in order."""
        plan, digest = self.plan(), self._data_digest()
        for batch in range(plan.batches):
            if self._done(plan, batch, digest):
                yield pq.read_table(self.shard(batch), columns=None if columns is None else list(columns))

    def _data_digest(self) -> str:
        return self._data()["digest"]

    def _done(self, plan: Plan, batch: int, digest: str) -> bool:
        try:
            found = pq.read_metadata(self.shard(batch))
        except (OSError, pa.ArrowInvalid):
            return False
        label = json.loads((found.metadata or {}).get(_KEY, b"{}"))
        if label != {"plan": digest, "batch": batch}:
            raise FieldError(str(self.shard(batch)), "is not a shard of this survey")
        return found.num_rows == len(plan.indices(batch))


def _manifest(plan: Plan) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "plan": plan.data(),
        "digest": plan.digest(),
        "fingerprint": fingerprint(),
        "shards": {"name": "shard-{batch:06d}.parquet", "count": plan.batches, "rows": plan.batch},
        "software": software(_PACKAGES),
    }
