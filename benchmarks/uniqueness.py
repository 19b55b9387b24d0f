"""`python -m benchmarks.uniqueness`: how often a generic relu flow is said not to be unique, and the flows where it is.

Standard normal points and incoming weights, every label of either sign, and balanced starts: |v_j| = ||w_j||.  There
no outgoing weight changes its sign, so that every one of these flows is unique, once its start is.
"""

from __future__ import annotations

import argparse
from collections import Counter

import numpy as np

from harness import drive
from harness.instances import Instance
from harness.networks import fully_connected


def balanced(rng: np.random.Generator) -> Instance:
    """Three to five points of the plane or of space, one to four neurons."""
    n, d, width = int(rng.integers(3, 6)), int(rng.integers(2, 4)), int(rng.integers(1, 5))
    x, w = rng.standard_normal((n, d)), rng.standard_normal((width, d))
    v = rng.choice([-1.0, 1.0], width) * np.linalg.norm(w, axis=1)
    y = tuple(int(label) for label in rng.choice([-1, 1], n))
    theta0 = (tuple(w.ravel().tolist()), tuple(v.tolist()))
    return Instance(fully_connected("relu", (d, width)), "exponential", tuple(map(tuple, x.tolist())), y, theta0)  # type: ignore[arg-type]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    rng = np.random.default_rng(chosen.seed)
    endings: Counter[str] = Counter()
    for _ in range(chosen.count):
        instance = balanced(rng)
        (limit,) = drive([instance])
        endings[limit.status if limit.status != "undecided" else limit.reason] += 1
        if limit.reason == "The flow is not unique.":
            print(instance.to_json())
    for ending, count in endings.most_common():
        print(f"{count:6d}  {ending}")


if __name__ == "__main__":
    main()
