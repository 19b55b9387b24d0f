"""Instances of small integers, for the hunts.

Many of the ways in which a limit can fail need an exact coincidence (points at right angles, a zero, a tie), and
small integers have coincidences most often.  Every number is one choice, so what Hypothesis shrinks is
what a reader sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from typing import Any

from hypothesis import strategies as st

from harness.instances import Instance
from harness.networks import forward, sparse
from strategies import Architecture


@st.composite
def integer_instances(
    draw: st.DrawFn,
    networks: st.SearchStrategy[Architecture],
    *,
    max_points: int,
    max_width: int,
    max_dimension: int,
    zeros: bool = True,
    largest: int = 3,
) -> Instance:
    """Depth 2 without shared weights, every number an integer from -largest to largest, exponential loss.

    zeros: whether every third neuron stands at zero from the start, which numbers drawn one by one seldom do.
    Labels are the signs of the start's own outputs, 1 where that is zero, so most flows separate the data.

    Most draws are as large as they may be.  Rows are drawn in full and then left out or cut, so points, neurons and
    coordinates can be dropped while all else stays as it is.  Shrinks to one of each, then to zeros.
    """
    architecture = draw(networks)
    flags, points, rows = draw(_table(max_points, max_width, max_dimension, largest))
    columns = _kept(flags)
    x: list[list[int]] = []
    for i in _kept([kept for kept, _, _ in points]):
        _, turned, numbers = points[i]
        if turned and x and len(columns) > 1:
            # At right angles to the one before: what is learnt from one then leaves the inputs of the other alone.
            x.append([-x[-1][1], x[-1][0], *[0] * (len(columns) - 2)])
        else:
            x.append([numbers[c] for c in columns])
        if not any(x[-1]):
            x[-1][0] = 1

    if architecture.kind == "diagonal":
        # One neuron a coordinate; there are as many rows as the wider of the two needs.
        neurons, patches = columns, {c: [k == c for k in range(max_dimension)] for c in columns}
    else:
        neurons = _kept([row[0] for row in rows[:max_width]])
        full = architecture.kind != "sparse"
        patches = {j: [full or seen for seen in rows[j][4]] for j in neurons}
    masks, w, v = [], [], []
    for j in neurons:
        _, asleep, numbers, outgoing, _ = rows[j]
        masks.append([patches[j][c] for c in columns])
        w += [0 if zeros and asleep else numbers[c] for c in columns if patches[j][c]]
        v.append(0 if zeros and asleep else outgoing)
    if not w:
        # No neuron sees anything: let the first see the first coordinate.
        masks[0][0], w = True, [0]
    # With full masks this is the fully connected network, parameter for parameter.
    network = sparse(architecture.activation, (masks, [[True] * len(v)]))
    theta0 = tuple(tuple(map(Fraction, u)) for u in (w, v))
    data = tuple(tuple(map(Fraction, point)) for point in x)
    labels = tuple(-1 if forward(network, theta0, point) < 0 else 1 for point in data)
    return Instance(network, "exponential", data, labels, theta0)


@cache
def _table(points: int, width: int, dimension: int, largest: int) -> st.SearchStrategy[tuple[Any, Any, Any]]:
    """Everything that is drawn: which coordinates are kept, (kept, turned, numbers) a point, and a neuron each
    (kept, asleep, incoming, outgoing, patch)."""
    kept = st.sampled_from((False, True, True, True))
    number = st.integers(-largest, largest)
    numbers = st.tuples(*[number] * dimension)
    patch = st.tuples(*[st.sampled_from((True, True, False))] * dimension)
    point = st.tuples(kept, st.booleans(), numbers)
    neuron = st.tuples(kept, st.sampled_from((False, False, True)), numbers, number, patch)
    return st.tuples(
        st.tuples(*[kept] * dimension), st.tuples(*[point] * points), st.tuples(*[neuron] * max(width, dimension))
    )


def _kept(flags: Sequence[bool]) -> list[int]:
    """The indices that are kept: the first where none is flagged."""
    return [i for i, flag in enumerate(flags) if flag] or [0]
