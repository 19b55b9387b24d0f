"""How often the claims about optimisers are decided, and how: many random instances trained together.

    python -m benchmarks.optimisers [--claim ID ...] [--instances N] [--seed S]

Integer data in up to three dimensions with labels of a vector, small starts, and an optimiser a batch; the same draws
for the same seed.  What is counted: held, violated, undecided, outside; the instances of violations are printed.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np

from harness.claims.optimisers import DESCENTS
from harness.claims.table import CLAIMS, Claim
from harness.claims.trained import trainings
from harness.optimisers.descents import Descent
from harness.optimisers.setups import Setup
from harness.problem.instances import Instance
from harness.problem.networks import Network, diagonal, fully_connected

BATCH = 100
COLUMNS = ("held", "violated", "undecided", "outside")
_OUTCOMES = {True: "held", False: "violated", None: "undecided"}
Draw = np.random.Generator


def data(draw: Draw, n: int, d: int) -> tuple[list[list[int]], list[int]]:
    """n points of small integers with labels of a vector, none of them on its hyperplane."""
    teacher = draw.integers(1, 4, d) * draw.choice((-1, 1), d)
    x: list[list[int]] = []
    while len(x) < n:
        row = draw.integers(-3, 4, d)
        if row @ teacher:
            x.append(row.tolist())
    return x, [int(np.sign(np.array(row) @ teacher)) for row in x]


def classifier(draw: Draw, n: int, d: int) -> Instance:
    """A linear classifier, and a start of quarters."""
    x, y = data(draw, n, d)
    start = [Fraction(int(a), 4) for a in draw.integers(-4, 5, d) * draw.integers(0, 2)]
    return Instance.of(fully_connected("linear", (d,)), "exponential", x, y, [start])


def network(draw: Draw) -> Network:
    """Fully connected or diagonal, of depth 2 or 3, linear or relu."""
    d, width = (int(a) for a in draw.integers(1, 4, 2))
    activation, depth = draw.choice(("linear", "relu")), int(draw.integers(2, 4))
    if draw.integers(0, 3) == 0:
        return diagonal(activation, d, depth)
    return fully_connected(activation, (d, *[width] * (depth - 1)))


def started(draw: Draw, net: Network, n: int) -> Instance:
    """On data that the start mostly tells apart, with a start of sixteenths."""
    x, y = data(draw, n, net.widths[0])
    theta = [[Fraction(int(a), 16) for a in draw.integers(-8, 9, size)] for size in net.sizes]
    told = Instance.of(net, "exponential", x, y, theta)
    q = told.problem.margins(theta)
    return told.changed(y=[label if a >= 0 else -label for label, a in zip(y, q, strict=True)])


def below(size: float) -> float:
    """The largest power of two that is not above it."""
    return float(2.0 ** np.floor(np.log2(size)))


def of_classifiers(make: Callable[[Draw, Instance], Setup]) -> Callable[[Draw], list[Descent]]:
    """A batch of one shape; the optimiser is the first instance's where all have to have the same one."""

    def batch(draw: Draw) -> list[Descent]:
        n, d = (int(a) for a in draw.integers(1, 5, 2))
        many = [classifier(draw, n, min(d, 3)) for _ in range(BATCH)]
        own = make(draw, max(many, key=reach))
        return [Descent.by(own, one) for one in many]

    return batch


def reach(instance: Instance) -> float:
    """B^2 L(w_0) in l_2, which bounds the steps that are small."""
    z = instance.x_float * instance.y_float[:, None]
    return float((z * z).sum(axis=1).max() * np.exp(-(z @ instance.theta0_float[0])).sum())


def widest(instance: Instance, power: int) -> float:
    """B in l_1 or l_2."""
    return float(np.linalg.norm(instance.x_float, ord=power, axis=1).max())


def any_steps(draw: Draw, instance: Instance) -> Setup:
    size = float(draw.choice((1.0, 0.5, 0.25, 2.0, 0.0625, 0.015625)))
    return Setup(str(draw.choice(("linf", "l1", "l2"))), 24, size, float(draw.choice((0.0, 0.5, 1.0, 0.25))))


def gradient(draw: Draw, instance: Instance) -> Setup:
    return Setup("gd", 2048, below(0.99 / reach(instance)))


def mirrored(draw: Draw, instance: Instance) -> Setup:
    p = float(draw.choice((2.0, 3.0, 1.5, 4.0, 1.25)))
    return Setup("mirror", 512, below(0.25 / widest(instance, 2) ** 2), options={"p": p})


def adam(eps: bool) -> Callable[[Draw, Instance], Setup]:
    def make(draw: Draw, instance: Instance) -> Setup:
        beta1 = float(draw.choice((0.0, 0.25, 0.5, 0.0)))
        beta2 = float(draw.choice((0.5, 0.75)))
        options = {"beta1": beta1, "beta2": beta2, "eps": float(draw.choice((1.0, 0.25))) if eps else 0.0}
        share = float(draw.choice((1.0, 0.25) if eps else (0.25, 0.0625)))
        size = below(share / widest(instance, 2 if eps else 1))
        return Setup("adam", 1024, size, 0.0 if eps else 0.25, options)

    return make


def flows(*names: str) -> Callable[[Draw], list[Descent]]:
    def batch(draw: Draw) -> list[Descent]:
        net, n = network(draw), int(draw.integers(1, 5))
        own = Setup(str(draw.choice(names)), 256, 0.5, 1.0 - 1.0 / net.degree)
        return [Descent.by(own, started(draw, net, n)) for _ in range(BATCH)]

    return batch


BATCHES: dict[str, Callable[[Draw], list[Descent]]] = {
    "nsd-floor": of_classifiers(any_steps),
    "mirror-lp": of_classifiers(mirrored),
    "gd-svm": of_classifiers(gradient),
    "adam-linf": of_classifiers(adam(eps=False)),
    "adam-eps-l2": of_classifiers(adam(eps=True)),
    "steepest-margin": flows("linf", "l1", "l2"),
    "steepest-kkt": flows("linf", "l1", "l2"),
    "sign-direction": flows("linf", "l1"),
}


def judged(claim: Claim, descents: list[Descent]) -> Iterator[tuple[Descent, str]]:
    """What becomes of each, trained together."""
    trained = claim.decided_by.trained
    assert trained is not None
    about = [one for one in descents if claim.speaks_of(one)]
    yield from ((one, "outside") for one in descents if one not in about)
    for one, found in zip(about, trainings(about, trained.halvings), strict=True):
        yield one, _OUTCOMES[trained.holds(found)]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0], allow_abbrev=False)
    parser.add_argument("--claim", action="append", choices=[claim.id for claim in DESCENTS], help="default all")
    parser.add_argument("--instances", type=int, default=1000, help="to be decided of every claim, default 1000")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"| claim | {' | '.join(COLUMNS)} | CPU s |\n| --- | {'--- | ' * len(COLUMNS)}--- |")
    for name in options.claim or BATCHES:
        draw, counts, begun = np.random.default_rng(options.seed), Counter[str](), time.process_time()
        while counts["held"] + counts["violated"] < options.instances:
            for descent, outcome in judged(CLAIMS[name], BATCHES[name](draw)):
                counts[outcome] += 1
                if outcome == "violated":
                    print(" ".join(descent.to_json().split()))
        spent = time.process_time() - begun
        print(f"| {name} | {' | '.join(str(counts[c]) for c in COLUMNS)} | {spent:.0f} |", flush=True)


if __name__ == "__main__":
    main()
