"""What the program says, recorded, so that a change of its inside can be held against it to the bit.

    python -m tests.support.recorded write | compare

checks.jsonl.gz: what `check --json` prints of seeded instances of every family; harvest.json: the bytes of a harvest
with a fixed seed, as hashes.  The same machine and versions only: other ones move the last places.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.families import DEEP, FAMILIES, OTHERS, Kind, draw
from harness.cli import main

FOLDER = Path(__file__).resolve().parents[1] / "recorded"
CHECKS, HARVEST = FOLDER / "checks.jsonl.gz", FOLDER / "harvest.json"
SEED, EACH = 20261128, 14
HUNTED = ("depth2-local",)


def checks() -> Iterator[str]:
    """One line an instance."""
    kinds: tuple[Kind, ...] = ("generic", "integer")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "instance.json"
        for number, family in enumerate([*FAMILIES, *DEEP, *OTHERS]):
            for kind in kinds:
                rng = np.random.default_rng([SEED, number, kinds.index(kind)])
                for _ in range(EACH):
                    place.write_text(draw(rng, family, kind).to_json(), encoding="utf-8")
                    printed = io.StringIO()
                    with contextlib.redirect_stdout(printed):
                        code = main(["check", str(place), "--json"])
                    yield f"{code} {printed.getvalue().strip()}"


def harvest() -> dict[str, str]:
    """The hash of every file that a harvest writes, by its path; a page names the commit, so pages are left out."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        main(["harvest", "--out", folder, "--seed", "5", *(word for claim in HUNTED for word in ("--claim", claim))])
        files = sorted(path for path in Path(folder).rglob("*") if path.suffix in (".json", ".svg"))
        return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def compare() -> int:
    """How many differ; every one is printed."""
    with gzip.open(CHECKS, "rt", encoding="utf-8") as file:
        before = file.read().splitlines()
    pairs = list(zip(before, checks(), strict=True))
    different = [k for k, (old, new) in enumerate(pairs) if old != new]
    for k in different:
        print(f"check {k}\n  {pairs[k][0]}\n  {pairs[k][1]}")
    old, new = json.loads(HARVEST.read_text(encoding="utf-8")), harvest()
    files = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    print(*(f"harvest: {name}" for name in files), sep="\n")
    print(f"{len(different)} of {len(pairs)} checks and {len(files)} of {len(old)} files differ")
    return len(different) + len(files)


def write() -> int:
    FOLDER.mkdir(exist_ok=True)
    lines = list(checks())
    with gzip.GzipFile(CHECKS, "wb", mtime=0) as file:
        file.write("".join(f"{line}\n" for line in lines).encode())
    HARVEST.write_text(json.dumps(harvest(), indent=1) + "\n", encoding="utf-8")
    print(f"{len(lines)} checks")
    return 0


if __name__ == "__main__":
    sys.exit({"write": write, "compare": compare}[sys.argv[1]]())
