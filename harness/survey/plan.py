"""Plan: what a survey does, as plain data; all of it that decides a row is in its digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from harness.claims.table import CLAIMS
from harness.optimisers.setups import Setup
from harness.problem.fields import FieldError
from harness.survey.beside import keys
from harness.survey.features import FEATURES, KEYS
from harness.survey.laws import Cell

VERDICTS = ("local", "global")
# What can change a row: the trainer, the oracles and the laws, and what these compute with.
CODE = (
    *(
        "flow/**/*.py",
        "optimisers/*.py",
        "oracles/*.py",
        "certificates/*.py",
        "problem/*.py",
        "claims/**/*.py",
        "tools/processes.py",
        "tools/threads.py",
        "records/writing.py",
    ),
    *(f"survey/{name}.py" for name in ("laws", "work", "features", "beside")),
)
_PACKAGES = ("numpy", "numba", "scipy", "clarabel", "torch")


@dataclass(frozen=True)
class Plan:
    """Instance i, of `instances`, is drawn from cell i modulo their number.

    claims: ids of the claims that are judged on every limit; a limit is followed and decided once for all of them.
    verdicts: which are asked for although no claim needs them. features: names of harness/survey/features.py.
    optimisers: what every instance is trained by, to compare the ends (beside.py). batch: instances a task, which is
    also what a shard holds. Raises FieldError.
    """

    cells: tuple[Cell, ...]
    instances: int
    seed: int = 0
    claims: tuple[str, ...] = ()
    verdicts: tuple[str, ...] = VERDICTS
    features: tuple[str, ...] = ()
    optimisers: tuple[Setup, ...] = ()
    device: str = "cpu"
    batch: int = 500

    def __post_init__(self) -> None:
        for name in ("cells", "claims", "verdicts", "features", "optimisers"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if not self.cells:
            raise FieldError("cells", "there are none")
        for name, least in (("instances", 1), ("batch", 1), ("seed", 0)):
            value = getattr(self, name)
            if type(value) is not int or not least <= value < 2**63:
                raise FieldError(name, f"must be an integer of at least {least}")
        for claim in self.claims:
            if claim not in CLAIMS:
                raise FieldError("claim", f"there is no claim {claim!r}")
        for names, known, field in ((self.verdicts, VERDICTS, "verdicts"), (self.features, FEATURES, "features")):
            for name in names:
                if name not in known:
                    raise FieldError(field, f"there is no {name!r}")

    @property
    def batches(self) -> int:
        return -(-self.instances // self.batch)

    def indices(self, batch: int) -> range:
        """The instances of a batch."""
        return range(batch * self.batch, min((batch + 1) * self.batch, self.instances))

    def cell(self, index: int) -> tuple[int, Cell]:
        """The number of an instance's cell, and the cell."""
        number = index % len(self.cells)
        return number, self.cells[number]

    @property
    def columns(self) -> list[str]:
        """Of a row: those of claims, features and optimisers, which depend on the plan."""
        features = [f"{name}:{key}" for name in self.features for key in KEYS[name]]
        beside = [f"beside:{setup.label}:{key}" for setup in self.optimisers for key in keys(self.claims)]
        return [*(f"claim:{claim}" for claim in self.claims), *features, *beside]

    def data(self) -> dict[str, Any]:
        """The plan as JSON."""
        return asdict(self)

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Plan:
        trained = tuple(Setup(**setup) for setup in data.get("optimisers", ()))
        found: dict[str, Any] = {**data, "cells": tuple(Cell(**cell) for cell in data["cells"]), "optimisers": trained}
        return cls(**found)

    def digest(self) -> str:
        """Of all that decides what an instance and its row are; a longer survey of the same plan has the same."""
        text = json.dumps([replace(self, instances=1).data(), fingerprint()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


@cache
def fingerprint() -> str:
    """Of the code and the packages that decide a row: rows of two trainers must not be counted together."""
    root = Path(__file__).resolve().parents[1]
    found = hashlib.sha256(repr([(name, version(name)) for name in _PACKAGES]).encode())
    for path in sorted(path for pattern in CODE for path in root.glob(pattern)):
        found.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return found.hexdigest()
