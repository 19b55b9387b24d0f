"""Shrinking an instance: simpler ones next to it, the largest steps first.

Hypothesis shrinks a sequence of choices; here what is shrunk is the instance itself, so a step can be what a person
would try: drop a point, a neuron or a coordinate, turn a sign, make all numbers of one size smaller together, which
keeps ties and balance.  Nothing is assumed of what makes the instance interesting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import combinations
from typing import TypeVar

from harness.problem.fields import FieldError
from harness.problem.instances import Instance
from harness.problem.networks import Pattern
from harness.problem.sizes import size

Theta = Sequence[Sequence[Fraction]]
Item = TypeVar("Item")


def shrink(instance: Instance, keeps: Callable[[Instance], bool], most: int) -> Instance:
    """The instance at which no simpler neighbour keeps what is wanted; at most so many neighbours are asked.

    keeps: whether a neighbour will do, smaller in the order of harness.problem.sizes.size.
    """
    asked = 0
    while True:
        for candidate in neighbours(instance):
            if asked == most:
                return instance
            if size(candidate) >= size(instance):
                continue
            asked += 1
            if keeps(candidate):
                instance = candidate
                break
        else:
            return instance


def neighbours(instance: Instance) -> Iterator[Instance]:
    """Instances one step simpler, without those that are malformed."""
    yield from _fewer(instance)
    yield from _smaller(instance)


# --- fewer points, neurons, coordinates ---


def _fewer(instance: Instance) -> Iterator[Instance]:
    for i in range(instance.n if instance.n > 1 else 0):
        yield instance.changed(x=_without(instance.x, i), y=_without(instance.y, i))
    widths = instance.network.widths
    removals: list[list[tuple[int, int]]] = []
    for j in range(max(widths)):
        # The same index everywhere is a whole path of a diagonal network.
        path = [(layer, j) for layer in range(len(widths) - 1) if j < widths[layer]]
        removals += [path, path[1:], [], *[[unit] for unit in path]]
    for units in removals:
        if units:
            found = _removed(instance, units)
            if found is not None:
                yield found


def _removed(instance: Instance, units: Sequence[tuple[int, int]]) -> Instance | None:
    """Without these (layer, index), layer 0 being the inputs; None where nothing would be left of a layer."""
    network = instance.network
    gone = set(units)
    kept = [[j for j in range(width) if (layer, j) not in gone] for layer, width in enumerate(network.widths)]
    if not all(kept):
        return None
    patterns, theta = [], []
    for layer, (pattern, u) in enumerate(zip(network.patterns, instance.theta0, strict=True)):
        rows = [[pattern[r][c] for c in kept[layer]] for r in kept[layer + 1]]
        numbers = {k: None for row in rows for k in row if k >= 0}
        order = {k: position for position, k in enumerate(numbers)}
        if not order:
            return None
        patterns.append(tuple(tuple(order.get(k, -1) for k in row) for row in rows))
        theta.append(tuple(u[k] for k in order))
    x = tuple(tuple(point[c] for c in kept[0]) for point in instance.x)
    return _made(instance, tuple(patterns), x, tuple(theta))


def _made(instance: Instance, patterns: tuple[Pattern, ...], x: Theta, theta: Theta) -> Instance | None:
    try:
        fixed = {layer + 1: theta[layer] for layer, own in enumerate(instance.network.trained) if not own}
        network = replace(instance.network, patterns=patterns, fixed=()).fixing(fixed)
        return Instance.of(network, instance.loss, _rows(x), instance.y, _rows(theta))
    except FieldError:
        return None


# --- smaller numbers ---


def _smaller(instance: Instance) -> Iterator[Instance]:
    rows = [*instance.x, *instance.theta0]
    flat = [a for row in rows for a in row]
    inputs = instance.n * instance.d
    places = [k for k, a in enumerate(flat) if a]
    groups: list[Sequence[int]] = []
    for part in (range(inputs), range(inputs, len(flat)), range(len(flat))):
        # All numbers of one size move together.
        values = sorted({abs(flat[k]) for k in part if flat[k]}, reverse=True)
        groups += [[k for k in part if abs(flat[k]) == value] for value in values]
    groups += [[k] for k in places]
    groups += list(combinations(places, 2))
    for group in groups:
        for change in _changes([flat[k] for k in group]):
            new = list(flat)
            for k, a in zip(group, change, strict=True):
                new[k] = a
            found = _rebuilt(instance, new)
            if found is not None:
                yield found
    yield from _turned(instance, flat)


def _changes(values: Sequence[Fraction]) -> Iterator[list[Fraction]]:
    """All zero, all of size one, all whole, and all one step towards zero."""
    yield [Fraction(0)] * len(values)
    yield [Fraction(1 if a > 0 else -1) for a in values]
    if any(a.denominator != 1 for a in values):
        yield [Fraction(round(a)) for a in values]
    else:
        yield [a - (1 if a > 0 else -1) for a in values]


def _turned(instance: Instance, flat: Sequence[Fraction]) -> Iterator[Instance]:
    """Signs of single numbers, of whole points with their labels, and of whole coordinates."""
    for k, a in enumerate(flat):
        if a < 0:
            found = _rebuilt(instance, [*flat[:k], -a, *flat[k + 1 :]])
            if found is not None:
                yield found
    positive = tuple(1 for _ in instance.y)
    if instance.network.outputs == 1 and positive != instance.y:
        yield instance.changed(y=positive)
        last = (*instance.theta0[:-1], tuple(-a for a in instance.theta0[-1]))
        yield instance.changed(y=tuple(-label for label in instance.y), theta0=last)
    pattern = instance.network.patterns[0]
    for c in range(instance.d):
        weights = [row[c] for row in pattern if row[c] >= 0]
        first = tuple(-a if k in weights else a for k, a in enumerate(instance.theta0[0]))
        x = tuple((*point[:c], -point[c], *point[c + 1 :]) for point in instance.x)
        yield instance.changed(x=x, theta0=(first, *instance.theta0[1:]))


def _rebuilt(instance: Instance, flat: Sequence[Fraction]) -> Instance | None:
    numbers = iter(flat)
    x = [[next(numbers) for _ in point] for point in instance.x]
    theta = [[next(numbers) for _ in u] for u in instance.theta0]
    return _made(instance, instance.network.patterns, x, theta) if all(map(any, x)) else None


def _without(items: tuple[Item, ...], index: int) -> tuple[Item, ...]:
    return items[:index] + items[index + 1 :]


def _rows(rows: Iterable[Iterable[Fraction]]) -> tuple[tuple[Fraction, ...], ...]:
    return tuple(map(tuple, rows))
