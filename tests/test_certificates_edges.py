"""The edges of what certificates cover: structures far from theta, too much work, neurons that do not count."""

from __future__ import annotations

import pytest

from harness.certificates import check
from harness.networks import Network, diagonal, fully_connected, sparse
from tests.certificate_examples import Certificate, instance_of

FIXED = [{"sign": 1, "cases": [{"on": []}]}]


def test_theta_must_be_near_a_point_with_the_structure() -> None:
    """Two patches that are nearly parallel: w is nearly orthogonal to both, but 1e-4 away from what is exactly so."""
    network = sparse("relu", [[[1, 1, 1, 0], [0, 0, 0, 1]], [[1, 1]]])
    points = [[1, 0, 0, 1], [1, "1/1000000", 0, 1], [0, 0, 1, 1]]
    certificate: Certificate = {
        "kind": "bound",
        "problem": "full",
        "scope": "local",
        "theta": [[0, "1/10000", 1, 1], [1, 1]],
        "structure": {"outgoing": [1, 1], "gates": [[0, 1], [0, 1], [1, 1]]},
        "alpha": [0, 0, 1],
        "neurons": [FIXED, FIXED],
    }
    checked = check(instance_of(network, points, [1, 1, 1]), certificate)
    assert checked.reason == "no point with the structure is within 1e-9 of theta"
    # A fourth patch, which w is clear of and the exact point is not.
    certificate["structure"]["gates"].append([1, 1])
    certificate["alpha"].append(0)
    checked = check(instance_of(network, [*points, [0, 1, 0, 1]], [1] * 4), certificate)
    assert checked.reason == "the input of neuron 1 on sample 3 does not have the sign 1 in theta"


def test_the_work_is_capped() -> None:
    n = 13
    many = instance_of(fully_connected("relu", [2, 2]), [[1, k] for k in range(n)], [1] * n)
    start: Certificate = {
        "problem": "full",
        "scope": "local",
        "theta": [[1, 0, 0, 0], [1, 0]],
        "structure": {"outgoing": [1, 0], "gates": [[1, 0]] * n},
    }
    dead = [*FIXED, {"sign": -1, "cases": [{"on": []}]}]
    bound = {**start, "kind": "bound", "alpha": [1] * n, "neurons": [FIXED, dead]}
    assert check(many, bound).reason == "neuron 2 has 13 free samples to choose among, too many to list"
    assert check(many, {**start, "kind": "cells", "cells": []}).reason == "2^13 cells of neuron 2 are more than 4096"
    # Each neuron has 2 * 2^6 cells, so there are 129 * 128 / 2 unordered pairs.
    few = instance_of(fully_connected("relu", [2, 2]), [[1, k] for k in range(6)], [1] * 6)
    pairs = {**start, "structure": {"outgoing": [1, 0], "gates": [[1, 0]] * 6}, "scope": "global"}
    assert check(few, {**pairs, "kind": "cells", "cells": []}).reason == "8256 joint cells are more than 4096"


def test_neurons_that_do_not_count_are_left_out() -> None:
    """Neuron 2 has no outgoing weight, neuron 3 a patch that is always zero."""
    network = sparse("relu", [[[1, 0], [1, 0], [0, 1]], [[1, 0, 1]]])
    instance = instance_of(network, [[1, 0]], [1])
    certificate: Certificate = {
        "kind": "bound",
        "problem": "full",
        "scope": "global",
        "theta": [[1, 0, 0], [1, 0]],
        "structure": {"outgoing": [1, 0, 0], "gates": [[1, 0, 0]]},
        "alpha": [1],
        "neurons": [
            [
                {"sign": 1, "cases": [{"on": []}, {"on": [0]}]},
                {"sign": -1, "cases": [{"on": []}]},
            ],
            None,
            None,
        ],
    }
    assert check(instance, certificate).accepted
    # A weight that goes nowhere costs all the same.
    idle = check(instance, {**certificate, "theta": [[1, 1, 0], [1, 0]]})
    assert idle.reason == "the bound is 1, less than (1 - 1e-9) times the value 1.5"


@pytest.mark.parametrize(
    "network",
    [diagonal("relu", 2, 3), Network("linear", (((0, 1), (1, 0)), ((0, 1),)))],
    ids=["depth 3", "shared weights"],
)
@pytest.mark.parametrize("kind", ["bound", "cells", "better"])
def test_convex_cells_are_rejected_where_neurons_do_not_decouple(network: Network, kind: str) -> None:
    checked = check(instance_of(network, [[1, 1]], [1]), {"kind": kind})
    assert not checked.accepted
    assert checked.reason == "convex cells cover networks of depth 2 without shared weights"
