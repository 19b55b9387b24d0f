"""`python -m benchmarks.deep`: how much is decided of relu networks of depth 3 and 4, and why the rest is not.

Draws of benchmarks.families, generic and of small integers.  Of the flows that separate the data and are unique, how
many have a limit; a row a family and kind, with times as in benchmarks.run, and then the reasons.
"""

from __future__ import annotations

import argparse

import numpy as np

from benchmarks.families import DEEP, draw
from benchmarks.run import reasons, shares, timed


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0], allow_abbrev=False)
    parser.add_argument("--draws", type=int, default=200, help="of each family and kind, default 200")
    parser.add_argument("--seed", type=int, default=999, help="default 999")
    options = parser.parse_args()
    for family in DEEP:
        for kind in ("generic", "integer"):
            rng = np.random.default_rng(options.seed)
            flows = timed([draw(rng, family, kind) for _ in range(options.draws)])
            print("\n".join([shares(f"{family}, {kind}", flows), *reasons(flows)]), flush=True)


if __name__ == "__main__":
    main()
