"""`python -m benchmarks.wide`: how much is decided of wide relu networks of two layers, and how fast.

d-k-1 networks on n standard normal points with labels +-1 at random, from standard normal starts times a scale.  A row
a size: of the flows that separate the data and are unique, how many have a limit; then why the others have none.  Times
are CPU seconds of one core.  Nothing here looks at how a draw behaves.
"""

from __future__ import annotations

import argparse
from collections import Counter

import numpy as np

from benchmarks.run import reasons, timed
from harness.problem.instances import Instance
from harness.problem.networks import fully_connected

SIZES = ((2, 20, 20), (5, 10, 20), (10, 20, 20), (20, 50, 30))  # d, k, n
SCALES = (0.1, 0.3, 1.0)


def draw(size: tuple[int, int, int], seed: int) -> Instance:
    """One instance; the scales in turn."""
    d, k, n = size
    rng = np.random.default_rng([seed, d, k, n])
    network = fully_connected("relu", (d, k))
    x, labels = rng.standard_normal((n, d)), rng.choice([-1, 1], n)
    scale = SCALES[seed % len(SCALES)]
    theta0 = [tuple(map(float, scale * rng.standard_normal(size))) for size in network.sizes]
    return Instance.of(network, "exponential", [tuple(row) for row in x.tolist()], [int(y) for y in labels], theta0)


def report(size: tuple[int, int, int], first: int, count: int) -> list[str]:
    """The row of a size, and the reasons."""
    flows = timed([draw(size, seed) for seed in range(first, first + count)])
    outcomes = Counter(flow.outcome for flow in flows)
    rest = count - outcomes["does not separate"] - outcomes["not unique"]
    seconds = np.array([flow.seconds for flow in flows if flow.limit.status == "converged"] or [np.nan])
    title = f"{size[0]}-{size[1]}-1, n = {size[2]}"
    return [
        f"| {title} | {count} | {outcomes['does not separate']} | {outcomes['not unique']} "
        f"| {outcomes['decided']} of {rest} | {np.median(seconds):.2g} | {seconds.max():.2g} |",
        *reasons(flows),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0], allow_abbrev=False)
    parser.add_argument("--size", type=int, nargs=3, metavar=("D", "K", "N"), help="default: four of them")
    parser.add_argument("--first", type=int, default=0, help="the first seed, default 0")
    parser.add_argument("--count", type=int, default=12, help="flows of each size, default 12")
    options = parser.parse_args()
    print("| size | flows | do not separate | not unique | decided | median s | longest s |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for size in [tuple(options.size)] if options.size else SIZES:
        print("\n".join(report(size, options.first, options.count)), flush=True)


if __name__ == "__main__":
    main()
