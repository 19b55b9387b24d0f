"""Shrinking instances, and the robustness of counterexamples."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from harness.harvest.robustness import SHIFT, data, glance, measure, starts
from harness.harvest.shrink import neighbours, shrink
from harness.problem.instances import Instance
from harness.problem.networks import Network, convolutional, diagonal, fully_connected
from harness.problem.sizes import size


def instance(network: Network, x: object, theta: object, y: tuple[int, ...] = (1, -1)) -> Instance:
    rows = [tuple(tuple(map(Fraction, row)) for row in part) for part in (x, theta)]  # type: ignore[attr-defined]
    return Instance.of(network, "exponential", rows[0], y, rows[1])


LARGE = instance(
    fully_connected("relu", (3, 3)), [[-3, 1, 2], [0, "1/2", -3]], [[1, -2, 3, 0, 2, 1, 3, -3, 2], [2, -2, 1]]
)
PATHS = instance(diagonal("linear", 3, 3), [[-3, 1, 2], [0, 2, -3]], [[1, -2, 3], [1, -2, 3], [1, 2, 3]])
FILTER = instance(convolutional("linear", 4, 2), [[4, 3, 2, 1], [1, 1, 1, 2]], [[2, -2], [1, 2, 3]])


@pytest.mark.parametrize("start", [LARGE, PATHS, FILTER])
def test_nothing_wanted_shrinks_to_one_of_everything(start: Instance) -> None:
    found = shrink(start, lambda _: True, 2000)
    assert (found.n, set(found.network.widths)) == (1, {1})
    assert found.x in (((1,),), ((-1,),))
    assert found.y == (1,)
    assert not any(a for u in found.theta0 for a in u)


@pytest.mark.parametrize(
    ("start", "wanted", "sizes"),
    [
        (LARGE, lambda i: any(a == -2 for a in i.theta0[0]) and any(-3 in row for row in i.x), (1, 1, 2)),
        (LARGE, lambda i: i.n == 2 and sum(a * b for a, b in zip(*i.x, strict=True)) == 0, (2, 1, 2)),
        (PATHS, lambda i: len(i.network.patterns[0]) == 2 and not i.network.shared, (1, 2, 1)),
        (PATHS, lambda i: i.network == diagonal("linear", i.d, 3) and i.d > 1, (1, 2, 2)),
        (FILTER, lambda i: i.network.shared and len(set(map(abs, i.theta0[0]))) == 1, (1, 2, 2)),
    ],
)
def test_what_is_wanted_is_kept(start: Instance, wanted: Callable[[Instance], bool], sizes: tuple[int, ...]) -> None:
    found = shrink(start, wanted, 2000)
    assert wanted(found)
    assert (found.n, found.network.widths[1], found.d) == sizes


def test_it_asks_no_more_than_it_may_and_only_about_smaller_ones() -> None:
    asked: list[Instance] = []

    def keeps(candidate: Instance) -> bool:
        asked.append(candidate)
        return False

    assert shrink(LARGE, keeps, 7) is LARGE
    assert len(asked) == 7
    assert all(size(candidate) < size(LARGE) for candidate in asked)


def test_every_neighbour_is_an_instance_of_the_same_problem() -> None:
    for start in (LARGE, PATHS, FILTER):
        candidates = list(neighbours(start))
        assert len(candidates) >= 10
        for candidate in candidates:
            assert candidate.network.depth == start.network.depth
            assert Instance.from_json(candidate.to_json()) == candidate


# --- robustness ---

DEAD = instance(fully_connected("relu", (2, 2)), [[1, "1/4"], [-1, "1/4"]], [[0, 3, 0, -2], [3, 0]], (1, 1))
TIED = instance(diagonal("linear", 2, 3), [[1, 1]], [[1, 1], [1, 1], [1, 1]], (1,))


def test_changes_are_small_and_the_same_every_time() -> None:
    assert len(list(starts(DEAD, 0, 5))) == len(list(data(DEAD, 0, 5))) == 5
    for changed, again in zip(starts(DEAD, 0, 5), starts(DEAD, 0, 5), strict=True):
        assert changed == again
        assert changed.x == DEAD.x
        a, b = (np.concatenate(i.theta0_float) for i in (DEAD, changed))
        assert np.isclose(np.linalg.norm(a - b), SHIFT * np.linalg.norm(a))
        assert (a != b).all()
    for changed in data(DEAD, 0, 5):
        assert changed.theta0 == DEAD.theta0
        assert np.allclose(np.linalg.norm(changed.x_float - DEAD.x_float, axis=1), SHIFT * np.sqrt(17) / 4)


def test_a_dead_neuron_survives_and_a_saddle_does_not() -> None:
    dead, tied = measure("fc-relu-local", DEAD), measure("deep-local", TIED)
    assert dead["robust"]
    assert dead["starts"]["violated"] == dead["data"]["violated"] == 100
    assert not tied["robust"]
    assert tied["starts"]["violated"] == tied["data"]["violated"] == 0
    for measured in (dead, tied):
        for kind in ("starts", "data"):
            counts = dict(measured[kind])
            assert counts.pop("drawn") == sum(counts.values()) == 100


def test_a_glance_asks_until_one_does_not_fail() -> None:
    asked: list[Instance] = []
    assert not glance(DEAD, lambda i: bool(asked.append(i)) or len(asked) < 3)
    assert len(asked) == 3
