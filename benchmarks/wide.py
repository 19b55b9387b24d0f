"""`python -m benchmarks.wide`: how much is decided of wide relu networks of two layers, and how fast.

d-k-1 networks on n standard normal points with labels +-1 at random, or on what people bring: two moons, two mixed
Gaussians, or six clusters in the plane, with 1 as a third coordinate.  Starts are standard normal times a scale.  A row
a size: of the flows that separate the data and are unique, how many have a limit; then why the others have none.  Times
are CPU seconds of one core.  Nothing here looks at how a draw behaves.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable

import numpy as np

from benchmarks.run import reasons, timed
from harness.problem.instances import Instance
from harness.problem.networks import fully_connected

SIZES = ((2, 20, 20), (5, 10, 20), (10, 20, 20), (20, 50, 30))  # d, k, n
SCALES = (0.1, 0.3, 1.0)


Draw = tuple[np.ndarray, np.ndarray]
"""Points (n, d) and labels (n,)."""


def gaussian(rng: np.random.Generator, n: int, d: int) -> Draw:
    """Standard normal points with labels at random."""
    return rng.standard_normal((n, d)), rng.choice([-1, 1], n)


def moons(rng: np.random.Generator, n: int, d: int) -> Draw:
    """Two half circles that reach into each other."""
    labels = np.where(np.arange(n) % 2, 1, -1)
    angle = np.pi * rng.random(n)
    upper = np.column_stack([np.cos(angle), np.sin(angle)])
    x = np.where(labels[:, None] > 0, upper, np.array([1.0, 0.5]) - upper)
    return _with_one(x + 0.1 * rng.standard_normal((n, 2)), d), labels


def mixture(rng: np.random.Generator, n: int, d: int) -> Draw:
    """Two Gaussians that overlap a little."""
    labels = np.where(np.arange(n) % 2, 1, -1)
    return _with_one(labels[:, None] * np.array([1.0, 1.0]) + 0.7 * rng.standard_normal((n, 2)), d), labels


def clusters(rng: np.random.Generator, n: int, d: int) -> Draw:
    """Six narrow Gaussians on a circle, of either label in turn."""
    own = np.arange(n) % 6
    centres = np.column_stack([np.cos(own * np.pi / 3.0), np.sin(own * np.pi / 3.0)])
    return _with_one(2.0 * centres + 0.3 * rng.standard_normal((n, 2)), d), np.where(own % 2, 1, -1)


def _with_one(x: np.ndarray, d: int) -> np.ndarray:
    """Points of the plane as they are, d = 2, or with 1 beside them, d = 3."""
    return np.column_stack([x, np.ones(len(x))])[:, :d]


DATA: dict[str, Callable[[np.random.Generator, int, int], Draw]] = {
    "gaussian": gaussian, "moons": moons, "mixture": mixture, "clusters": clusters
}  # fmt: skip
PLANE = ((3, 10, 20), (3, 20, 50))  # d, k, n of what lies in the plane


def draw(size: tuple[int, int, int], seed: int, data: str = "gaussian") -> Instance:
    """One instance; the scales in turn."""
    d, k, n = size
    rng = np.random.default_rng([seed, d, k, n])
    network = fully_connected("relu", (d, k))
    x, labels = DATA[data](rng, n, d)
    scale = SCALES[seed % len(SCALES)]
    theta0 = [tuple(map(float, scale * rng.standard_normal(size))) for size in network.sizes]
    return Instance.of(network, "exponential", [tuple(row) for row in x.tolist()], [int(y) for y in labels], theta0)


def report(size: tuple[int, int, int], first: int, count: int, data: str) -> list[str]:
    """The row of a size, and the reasons."""
    flows = timed([draw(size, seed, data) for seed in range(first, first + count)])
    outcomes = Counter(flow.outcome for flow in flows)
    rest = count - outcomes["does not separate"] - outcomes["not unique"]
    seconds = np.array([flow.seconds for flow in flows if flow.limit.status == "converged"] or [np.nan])
    title = f"{'' if data == 'gaussian' else data + ', '}{size[0]}-{size[1]}-1, n = {size[2]}"
    return [
        f"| {title} | {count} | {outcomes['does not separate']} | {outcomes['not unique']} "
        f"| {outcomes['decided']} of {rest} | {np.median(seconds):.2g} | {seconds.max():.2g} |",
        *reasons(flows),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0], allow_abbrev=False)
    parser.add_argument("--size", type=int, nargs=3, metavar=("D", "K", "N"), help="default: those of the data")
    parser.add_argument("--data", choices=DATA, default="gaussian", help="moons, mixture and clusters with D = 2 or 3")
    parser.add_argument("--first", type=int, default=0, help="the first seed, default 0")
    parser.add_argument("--count", type=int, default=12, help="flows of each size, default 12")
    options = parser.parse_args()
    print("| size | flows | do not separate | not unique | decided | median s | longest s |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    sizes = SIZES if options.data == "gaussian" else PLANE
    for size in [tuple(options.size)] if options.size else sizes:
        print("\n".join(report(size, options.first, options.count, options.data)), flush=True)


if __name__ == "__main__":
    main()
