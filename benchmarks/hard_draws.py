"""Seeded draws made for what limits have been wrong about: small neurons, symmetries between samples, arithmetic.

All numbers are exact rationals.  A draw depends on its law, the seed and its index alone.  Nothing here looks at how a
draw behaves.

- small: neurons of every size from the norm's down to 1e-12 of it, which die and wake in several cells; the start as a
  whole is small, middling or large.
- symmetric: exchanging coordinates and neurons, with signs, exchanges samples and leaves data and start as they are;
  two in five are near misses, one number moved by 1e-1 to 1e-6 of itself.
- arithmetic: numbers that the primes below divide or that differ by multiples of them, with such denominators, with
  many digits, and 53-bit floats; in data and starts.
- generic: the draws of benchmarks/families.py, floats and small integers in turn.
- the others: benchmarks/wider_draws.py, slopes, layers that are fixed, and several outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Literal, get_args

import numpy as np

from benchmarks import families, wider_draws
from harness.problem.instances import Instance
from harness.problem.networks import Activation, Network, convolutional, diagonal, forward, fully_connected

Law = Literal[
    "small",
    "symmetric",
    "arithmetic",
    "generic",
    "slope 1/10",
    "slope 1/2",
    "slope 9/10",
    "slope -1",
    "slopes, depth 3",
    "last layer fixed",
    "first layer fixed",
    "classes, depth 1",
    "classes, depth 2",
    "cross entropy",
]
LAWS: tuple[Law, ...] = get_args(Law)
PRIMES = (2147483647, 2147483629, 2147483587)

Row = list[Fraction]


def suite(law: Law, seed: int, count: int) -> list[Instance]:
    """The first `count` draws of a law."""
    return [draw(law, seed, index) for index in range(count)]


def draw(law: Law, seed: int, index: int) -> Instance:
    """One instance."""
    rng = np.random.default_rng([seed, LAWS.index(law), index])
    if law == "generic":
        family = list(families.FAMILIES)[index // 2 % len(families.FAMILIES)]
        return families.draw(rng, family, "integer" if index % 2 else "generic")
    if law in wider_draws.KINDS:
        return wider_draws.draw(rng, law, integer=index % 2 == 1)
    return {"small": _small, "symmetric": _symmetric, "arithmetic": _arithmetic}[law](rng)


# --- small neurons ---


def _small(rng: np.random.Generator) -> Instance:
    dimension, points = int(rng.integers(2, 4)), int(rng.integers(2, 5))
    activation: Activation = "relu" if rng.integers(3) else "linear"
    depth = 2 if rng.integers(3) else 3
    width = int(rng.integers(2, 5)) if depth == 2 else 2
    full = bool(rng.integers(2))
    network = (
        fully_connected(activation, (dimension, *[width] * (depth - 1)))
        if full
        else diagonal(activation, dimension, depth)
    )
    neurons = network.widths[1]
    sizes = [Fraction(int(rng.integers(1, 10)), 10 ** int(rng.integers(1, 13))) for _ in range(neurons)]
    for j in rng.permutation(neurons)[: int(rng.integers(1, neurons))]:
        sizes[j] = Fraction(1)
    scale = (Fraction(1, 100), Fraction(1), Fraction(4))[rng.integers(3)]
    theta0: list[Row] = []
    for layer, pattern in enumerate(network.patterns):
        row = [Fraction(0)] * network.sizes[layer]
        for r, indices in enumerate(pattern):
            for c, k in enumerate(indices):
                # the size of the smaller neuron that the weight belongs to
                size = min(sizes[r] if layer < depth - 1 else Fraction(1), sizes[c] if layer else Fraction(1))
                row[k] = scale * size * _weight(rng) if k >= 0 else row[k]
        theta0.append(row)
    x = [_nonzero(rng, dimension) for _ in range(points)]
    return _labelled(rng, network, x, theta0)


def _weight(rng: np.random.Generator) -> Fraction:
    """Mostly near 1 or -1 in size, now and then exactly so, which makes neurons balanced."""
    return Fraction(int(rng.choice([-1, 1])) * int(rng.choice([10, 9, 11, 10, 7, 14])), 10)


def _nonzero(rng: np.random.Generator, dimension: int) -> Row:
    """A point; small, large and zero coordinates are common, so that a neuron's cells differ in how good they are."""
    values = [Fraction(a) for a in (0, 1, -1, 2, -2, 3, -3)] + [Fraction(1, 10), Fraction(-1, 10), Fraction(1, 3)]
    while True:
        row = [values[k] for k in rng.integers(len(values), size=dimension)]
        if any(row):
            return row


def _labelled(rng: np.random.Generator, network: Network, x: Sequence[Row], theta0: Sequence[Row]) -> Instance:
    """Three in four labels are the start's own."""
    own = [1 if forward(network, theta0, row) >= 0 else -1 for row in x]
    free = [int(label) for label in rng.choice([-1, 1], len(x))]
    return _instance(rng, network, x, own if rng.integers(4) else free, theta0)


def _instance(
    rng: np.random.Generator, network: Network, x: Sequence[Row], y: Sequence[int], theta0: Sequence[Row]
) -> Instance:
    loss = "exponential" if rng.integers(4) else "logistic"
    return Instance.of(network, loss, tuple(map(tuple, x)), tuple(y), tuple(map(tuple, theta0)))


# --- symmetries ---

Signed = list[tuple[int, int]]  # coordinate k goes to coordinate, with this sign


def _symmetric(rng: np.random.Generator) -> Instance:
    activation: Activation = "relu" if rng.integers(2) else "linear"
    build = (_diagonal, _full, _convolution)[rng.integers(3)]
    network, moves, theta0 = build(rng, activation)
    x: list[Row] = []
    y: list[int] = []
    for _ in range(int(rng.integers(1, 3))):
        row, label = _nonzero(rng, network.widths[0]), 1 if rng.integers(4) else -1
        while row not in x:
            x.append(row)
            y.append(label)
            row = _moved(row, moves)
    if rng.integers(2):
        y = [1 if forward(network, theta0, row) >= 0 else -1 for row in x]
    instance = _instance(rng, network, x, y, theta0)
    return _near_miss(rng, instance) if rng.integers(5) < 2 else instance


def _moved(row: Sequence[Fraction], moves: Signed) -> Row:
    out = [Fraction(0)] * len(row)
    for k, (to, sign) in enumerate(moves):
        out[to] = sign * row[k]
    return out


def _signed(rng: np.random.Generator, dimension: int) -> Signed:
    """An exchange of two coordinates, or a cycle of three, signs now and then."""
    order = [int(k) for k in rng.permutation(dimension)]
    cycle = order[: 3 if dimension > 2 and rng.integers(3) == 0 else 2]
    moves = [(k, 1) for k in range(dimension)]
    signs = [int(rng.choice([1, 1, -1])) if len(cycle) == 2 else 1] * len(cycle)
    for k, (one, two) in enumerate(zip(cycle, [*cycle[1:], cycle[0]], strict=True)):
        moves[one] = (two, signs[k])
    return moves


def _orbits(rng: np.random.Generator, count: int, moves: Signed) -> Row:
    """Numbers that the moves leave as they are; drawn from few, so that the rest of the start is hard, too."""
    row = [Fraction(int(a)) for a in rng.choice([1, 2, -1, -2, 3, 1], count)]
    for _ in range(count):
        for k, (to, sign) in enumerate(moves):
            row[to] = row[k] * sign if to > k else row[to]
    return row


def _diagonal(rng: np.random.Generator, activation: Activation) -> tuple[Network, Signed, list[Row]]:
    dimension, depth = int(rng.integers(2, 5)), int(rng.integers(2, 5))
    moves = _signed(rng, dimension)
    plain = [(to, 1) for to, _ in moves]
    theta0 = [_orbits(rng, dimension, moves), *(_orbits(rng, dimension, plain) for _ in range(depth - 1))]
    return diagonal(activation, dimension, depth), moves, theta0


def _full(rng: np.random.Generator, activation: Activation) -> tuple[Network, Signed, list[Row]]:
    """Neurons are exchanged with the coordinates: rows 2j and 2j + 1 of a layer are images of each other."""
    dimension, depth = int(rng.integers(2, 4)), int(rng.integers(2, 5))
    moves = _signed(rng, dimension)
    moves = (
        moves
        if all(moves[to][0] == k for k, (to, _) in enumerate(moves))
        else [(1, 1), (0, 1), *((2, 1),) * (dimension == 3)]
    )
    width = 2 if depth > 2 else int(rng.choice([2, 4]))
    first: Row = []
    for _ in range(0, width, 2):
        row = [Fraction(int(a)) for a in rng.integers(-3, 4, dimension)]
        first += [*row, *_moved(row, moves)]
    theta0 = [first]
    for _ in range(depth - 2):
        a, b = (Fraction(int(v)) for v in rng.choice([1, 2, -1, 3], 2))
        theta0.append([a, b, b, a])
    theta0.append([Fraction(int(v)) for v in rng.choice([1, 2, -1, 3], width // 2) for _ in range(2)])
    return fully_connected(activation, (dimension, *[width] * (depth - 1))), moves, theta0


def _convolution(rng: np.random.Generator, activation: Activation) -> tuple[Network, Signed, list[Row]]:
    """The coordinates in reverse order, which reverses the filter and the outgoing weights."""
    dimension = int(rng.integers(3, 6))
    moves = [(dimension - 1 - k, 1) for k in range(dimension)]
    network = convolutional(activation, dimension, 2)
    theta0 = [_orbits(rng, size, [(size - 1 - k, 1) for k in range(size)]) for size in network.sizes]
    return network, moves, theta0


def _near_miss(rng: np.random.Generator, instance: Instance) -> Instance:
    by = 1 + Fraction(int(rng.choice([-1, 1])), 10 ** int(rng.integers(1, 7)))
    return _replaced(rng, instance, lambda a: a * by if a else by - 1)


def _replaced(rng: np.random.Generator, instance: Instance, change: Callable[[Fraction], Fraction]) -> Instance:
    """One number of the data or, as often, of the start changed."""
    field = "x" if rng.integers(2) else "theta0"
    rows = [list(row) for row in getattr(instance, field)]
    row = rows[rng.integers(len(rows))]
    place = int(rng.integers(len(row)))
    row[place] = change(row[place])
    return instance.changed(**{field: tuple(map(tuple, rows))}) if all(map(any, rows)) else instance


# --- arithmetic ---


def _arithmetic(rng: np.random.Generator) -> Instance:
    family = list(families.FAMILIES)[rng.integers(len(families.FAMILIES))]
    instance = families.draw(rng, family, "integer")
    for _ in range(int(rng.integers(1, 5))):
        instance = _replaced(rng, instance, lambda a: _awkward(rng, a))
    return instance


def _awkward(rng: np.random.Generator, a: Fraction) -> Fraction:
    """A number in the place of a, of its order of magnitude."""
    chosen = [int(p) for p in rng.permutation(PRIMES)[: rng.integers(1, 4)]]
    prime = Fraction(int(np.prod(np.array(chosen, dtype=object))), 10 ** (9 * len(chosen)))
    sign = -1 if a < 0 else 1
    match int(rng.integers(6)):
        case 0:
            return sign * prime
        case 1:
            return sign / prime
        case 2:
            return a + sign * prime * Fraction(int(rng.integers(1, 4)), int(rng.choice([1, 10, 1000])))
        case 3:
            return a * (1 + prime / 10 ** int(rng.integers(1, 4)))
        case 4:
            digits = [int("".join(map(str, rng.integers(1, 10, 60)))) for _ in range(2)]
            return (a or 1) * Fraction(*digits)
        case _:
            return Fraction(float(rng.standard_normal()))
