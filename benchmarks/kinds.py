"""How many flows of every kind of network are decided, and how many verdicts about their limits.

    python -m benchmarks.kinds [--draws N] [--seed S] [--only NAME]

A kind is a slope, what is fixed, how many outputs and how deep.  Decided are, of the flows that separate the data and
are unique, those whose limit is known with a KKT residual below 1e-9; of these, the local and global verdicts that are
certified, and the layers'.  Draws are generic, or of small integers.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from harness import Instance, decide, drive
from harness.problem.instances import Loss
from harness.problem.networks import Network, fully_connected

# What says that the data were not separated, or that the flow was not unique.
NOT_SEPARATED, NOT_UNIQUE = ("not separated", "stationary"), "not unique"


@dataclass(frozen=True)
class Kind:
    """fixed: the layer that is not trained, 0 for none; the last one has outputs -1 and 1.  outputs: K."""

    name: str
    slope: Fraction | int
    fixed: int = 0
    outputs: int = 1
    depth: int = 2
    loss: Loss = "exponential"


KINDS = (
    *(Kind(f"leaky {slope}, depth 2", Fraction(slope)) for slope in ("1/10", "1/2", "9/10", "-1", "2")),
    *(Kind(f"leaky {slope}, last layer fixed", Fraction(slope), fixed=2) for slope in ("0", "1/10", "1/2", "9/10")),
    *(Kind(f"leaky {slope}, first layer fixed", Fraction(slope), fixed=1) for slope in ("0", "1/2", "-1")),
    Kind("linear, depth 3, middle layer fixed", 1, fixed=2, depth=3),
    Kind("leaky 1/2, depth 3", Fraction(1, 2), depth=3),
    Kind("3 classes, depth 1", 1, outputs=3, depth=1),
    Kind("3 classes, depth 1, cross entropy", 1, outputs=3, depth=1, loss="logistic"),
    Kind("3 classes, linear, depth 2", 1, outputs=3),
    Kind("3 classes, relu, depth 2", 0, outputs=3),
    Kind("3 classes, leaky 1/2, depth 2", Fraction(1, 2), outputs=3),
    Kind("3 classes, leaky 1/2, depth 2, cross entropy", Fraction(1, 2), outputs=3, loss="logistic"),
)


def draws(kind: Kind, seed: int, count: int, integer: bool) -> Iterator[Instance]:
    """So many instances; d = 2 or 3, widths 2 to 4, 2 to 4 points."""
    rng = np.random.default_rng([seed, KINDS.index(kind), integer])

    def numbers(size: int) -> list[Any]:
        return (rng.integers(-3, 4, size) if integer else rng.standard_normal(size)).tolist()

    while count:
        d, n = int(rng.integers(2, 4)), int(rng.integers(2, 5))
        widths = (d, *rng.integers(2, 5, kind.depth - 1).tolist())
        slope = Fraction(kind.slope)
        network: Network = fully_connected("leaky_relu", widths, outputs=kind.outputs, negative_slope=slope)
        theta0 = [numbers(size) for size in network.sizes]
        if kind.fixed:
            if kind.fixed == kind.depth:
                theta0[-1] = rng.choice([-1, 1], network.sizes[-1]).tolist()
            network = network.fixing({kind.fixed: theta0[kind.fixed - 1]})
        x = [numbers(d) for _ in range(n)]
        y = (rng.choice([-1, 1], n) if kind.outputs == 1 else rng.integers(0, kind.outputs, n)).tolist()
        if all(any(row) for row in x):
            count -= 1
            yield Instance.of(network, kind.loss, x, y, theta0)


def counted(kind: Kind, seed: int, count: int, integer: bool, reasons: Counter[str]) -> Counter[str]:
    """What became of the draws."""
    found: Counter[str] = Counter()
    for instance in draws(kind, seed, count, integer):
        (limit,) = drive([instance])
        found[limit.status] += 1
        if limit.point is None:
            said = limit.reason.lower()
            if limit.status == "undecided":
                left = any(word in said for word in NOT_SEPARATED)
                name = "not unique" if NOT_UNIQUE in said else "not separated" if left else "open"
                found[name] += 1
                if name == "open":
                    reasons[limit.reason] += 1
            continue
        if limit.point.residual > 1e-9:
            found["open"] += 1
            found["converged"] -= 1
            continue
        verdicts = decide(limit)
        found["local"] += verdicts.local.certified
        found["global"] += verdicts.global_.certified
        found["layers"] += all(v.local.certified for v in verdicts.trained_layers)
        if not verdicts.local.certified:
            reasons["local: " + verdicts.local.reason] += 1
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0], allow_abbrev=False)
    parser.add_argument("--draws", type=int, default=200, help="of each kind, generic and integer, default 200")
    parser.add_argument("--seed", type=int, default=16, help="default 16")
    parser.add_argument("--only", default="", help="kinds whose name contains this")
    options = parser.parse_args()
    print("| kind | draws | separated and unique | decided | local | global | layers |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    reasons: Counter[str] = Counter()
    for kind in KINDS:
        if options.only not in kind.name:
            continue
        for integer in (False, True):
            found = counted(kind, options.seed, options.draws, integer, reasons)
            good = found["converged"]
            of = good + found["open"]
            parts = [f"{good} ({good / of:.1%})" if of else "0"]
            parts += [f"{found[name] / good:.1%}" if good else "" for name in ("local", "global", "layers")]
            name = f"{kind.name}, {'integer' if integer else 'generic'}"
            print(f"| {name} | {options.draws} | {of} | {' | '.join(parts)} |", flush=True)
    for reason, count in reasons.most_common(12):
        print(count, reason)


if __name__ == "__main__":
    main()
