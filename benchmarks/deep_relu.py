"""What becomes of fc-relu-local and deep-local at relu networks of depth 3, beyond the paper's constructions.

    python -m benchmarks.deep_relu [--draws N] [--seed S]

Random draws of benchmarks.families, fully connected and diagonal, generic and of small integers: how many separate the
data and are followed to their limits, on how many of those each claim holds, and how it fails.  A violation counts only
with its certificate; that a claim holds is the oracles' verdict in floats, certified for one in a hundred.
"""

from __future__ import annotations

import argparse
from collections import Counter

import numpy as np

from benchmarks.families import DEEP, Kind, draw
from harness import decide, drive
from harness.claims.judge import judge
from harness.claims.table import CLAIMS

FAMILIES = [name for name in DEEP if name.endswith("depth 3")]
ASKED = ("fc-relu-local", "deep-local")


def counted(family: str, kind: Kind, draws: int, seed: int) -> Counter[str]:
    """How many flows converge, and what they say about each claim, with the mechanism where they violate it."""
    rng = np.random.default_rng([seed, FAMILIES.index(family), kind == "integer"])
    found: Counter[str] = Counter()
    for _ in range(draws):
        (limit,) = drive([draw(rng, family, kind, largest=2)])
        if limit.status != "converged":
            continue
        found["converged"] += 1
        for claim in ASKED:
            if not CLAIMS[claim].applies(limit.instance.network):
                continue
            outcome = judge(CLAIMS[claim], limit).outcome
            found[f"{claim} {outcome}"] += 1
            if outcome == "violated":
                found[f"{claim} by {decide(limit).mechanism}"] += 1
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0], allow_abbrev=False)
    parser.add_argument("--draws", type=int, default=900, help="of each family and kind, default 900")
    parser.add_argument("--seed", type=int, default=17, help="default 17")
    options = parser.parse_args()
    for family in FAMILIES:
        for kind in ("generic", "integer"):
            found = counted(family, kind, options.draws, options.seed)
            print(f"{family}, {kind}: " + ", ".join(f"{name} {count}" for name, count in sorted(found.items())))


if __name__ == "__main__":
    main()
