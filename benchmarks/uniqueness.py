"""`python -m benchmarks.uniqueness`: how often a generic relu flow is said not to be unique, and the flows where it is.

Standard normal points of the plane, labels of either sign, and starts that are balanced exactly, |v_j| = ||w_j||, by
Pythagorean triples.  There no outgoing weight changes its sign, so that every one of these flows is unique.
"""

from __future__ import annotations

import argparse
from collections import Counter

import numpy as np

from harness import drive
from harness.problem.instances import Instance
from harness.problem.networks import fully_connected

TRIPLES = ((3, 4, 5), (5, 12, 13), (8, 15, 17), (7, 24, 25), (20, 21, 29), (12, 35, 37))


def balanced(rng: np.random.Generator) -> Instance:
    """Three to five points, one to four neurons."""
    n, width = int(rng.integers(3, 6)), int(rng.integers(1, 5))
    triples = np.array(TRIPLES)[rng.integers(len(TRIPLES), size=width)] * rng.integers(1, 10, (width, 1))
    w = np.where(rng.integers(2, size=(width, 1)), triples[:, :2], triples[:, 1::-1]) * rng.choice([-1, 1], (width, 2))
    x, y = rng.standard_normal((n, 2)), tuple(int(label) for label in rng.choice([-1, 1], n))
    theta0 = (tuple((w / 8.0).ravel().tolist()), tuple((triples[:, 2] * rng.choice([-1, 1], width) / 8.0).tolist()))
    return Instance.of(fully_connected("relu", (2, width)), "exponential", tuple(map(tuple, x.tolist())), y, theta0)


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
        if "not unique" in limit.reason:
            print(instance.to_json())
    for ending, count in endings.most_common():
        print(f"{count:6d}  {ending}")


if __name__ == "__main__":
    main()
