"""The edges of what certificates cover: structures far from theta, too much work, neurons that do not count."""

from __future__ import annotations

from typing import Any

import pytest

from harness.certificates import check
from harness.problem.networks import Network, diagonal, fully_connected, sparse
from tests.support.certificate_examples import Certificate, instance_of

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
    checked = check(instance_of(network, points, [1, 1, 1]).problem, certificate)
    assert checked.reason == "no point with the structure is within 1e-9 of theta"
    # A fourth patch, which w is clear of and the exact point is not.
    certificate["structure"]["gates"].append([1, 1])
    certificate["alpha"].append(0)
    checked = check(instance_of(network, [*points, [0, 1, 0, 1]], [1] * 4).problem, certificate)
    assert checked.reason == "the input of neuron 1 on sample 3 does not have the sign 1 in theta"


def test_an_outgoing_weight_has_its_sign_clear_of_rounding() -> None:
    certificate: Certificate = {
        "kind": "bound",
        "problem": "full",
        "scope": "local",
        "theta": [[1, 0, 0, 1], [1, "1/10000000000"]],
        "structure": {"outgoing": [1, 1], "gates": [[1, 0]]},
        "alpha": [1],
        "neurons": [FIXED, FIXED],
    }
    instance = instance_of(fully_connected("relu", [2, 2]), [[1, 0]], [1])
    assert (
        check(instance.problem, certificate).reason == "the sign of the outgoing weight of neuron 2 is not 1 in theta"
    )
    # A hundred-billionth of neuron 1 is a part of it, of another that sees other coordinates it is none.
    certificate |= {"theta": [[1, 0, "1/100000000000", 0], [1, "1/100000000000"]]}
    certificate["structure"] = {"outgoing": [1, 1], "gates": [[1, 1]]}
    said = "the sign of the outgoing weight of neuron 2 is not 1 in theta"
    for patterns, part in (([[0, 1], [2, 3]], True), ([[0, 1, -1], [2, -1, 3]], False)):
        network = sparse("relu", [[[int(a >= 0) for a in row] for row in patterns], [[1, 1]]])
        apart = instance_of(network, [[1, 0, 1][: len(patterns[0])]], [1])
        assert (check(apart.problem, certificate).reason != said) is part
    # As large as its neuron: a kink that turns on without a gain.
    certificate["structure"] = {"outgoing": [1, 0], "gates": [[1, 1]]}
    certificate["theta"] = [[1, 0, 0, 0], [1, 0]]
    assert check(instance.problem, certificate).reason == "the structure gives a gate to neuron 2, which is zero"
    for theta in ([[1, 0, 0, "1/10000000000"], [1, 0]], [[1, 0, 0, 0], [1, "1/10000000000"]]):
        certificate |= {"theta": theta, "structure": {"outgoing": [1, 0], "gates": [[1, 0]]}}
        reason = check(instance.problem, certificate).reason
        assert reason == "the structure says that neuron 2 is zero, and theta does not"


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
    assert check(many.problem, bound).reason == "neuron 2 has 13 free samples to choose among, too many to list"
    assert (
        check(many.problem, {**start, "kind": "cells", "cells": []}).reason
        == "2^13 cells of neuron 2 are more than 4096"
    )
    # Each neuron has 2 * 2^6 cells, so there are 129 * 128 / 2 unordered pairs.
    few = instance_of(fully_connected("relu", [2, 2]), [[1, k] for k in range(6)], [1] * 6)
    pairs = {**start, "structure": {"outgoing": [1, 0], "gates": [[1, 0]] * 6}, "scope": "global"}
    assert check(few.problem, {**pairs, "kind": "cells", "cells": []}).reason == "8256 joint cells are more than 4096"


@pytest.mark.parametrize("room", ["balls", "layers", "dead"])
def test_trees_are_capped(room: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tree of two leaves on one gate, the kink of neuron 2 where it is zero."""
    instance = instance_of(diagonal("relu", 2, 3), [[1, 1]], [1])
    common = {"theta": [[1, 0]] * 3, "signs": [[[1, 0]]] * 2, "scope": "local"}
    own: Certificate = {"alpha": [1], "nu": [], "rho": 1, "tau": 0, "mu": "1/2"}
    end: Certificate = {"turn": None, "kappa": []}
    split = {"split": [0, 1, 2], "on": own, "off": own}
    ball = {**common, "kind": "ball", "problem": "full", "radius": "1/1000", "rotations": [], "tree": split}
    certificate: Certificate = {
        "balls": ball,
        "dead": {**ball, "tree": {**own, "dead": [[1, 2, {"gate": 0, "on": end, "off": end}]]}},
        "layers": {
            **common,
            "kind": "layer tree",
            "problem": "layer 1",
            "tree": {"split": [0, 1, 2], "on": {"alpha": [1]}, "off": {"alpha": [1]}},
        },
    }[room]
    assert check(instance.problem, certificate).accepted
    for name, cap, allowed in (("MAX_LEAVES", 2, 1), ("MAX_DEPTH", 1, 0)):
        file = room if name == "MAX_LEAVES" or room == "dead" else "trees"
        monkeypatch.setattr(f"harness.certificates.{file}.{name}", cap)
        assert check(instance.problem, certificate).accepted
        monkeypatch.setattr(f"harness.certificates.{file}.{name}", allowed)
        reason = check(instance.problem, certificate).reason
        assert "more than 1 " in reason if name == "MAX_LEAVES" else "is deeper than 0" in reason
        monkeypatch.undo()


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
    assert check(instance.problem, certificate).accepted
    # A weight that goes nowhere costs all the same.
    idle = check(instance.problem, {**certificate, "theta": [[1, 1, 0], [1, 0]]})
    assert idle.reason == "the bound is 1, less than (1 - 1e-9) times the value 1.5"


@pytest.mark.parametrize(
    "network",
    [diagonal("relu", 2, 3), Network("linear", (((0, 1), (1, 0)), ((0, 1),)))],
    ids=["depth 3", "shared weights"],
)
@pytest.mark.parametrize("kind", ["bound", "cells", "better"])
def test_convex_cells_are_rejected_where_neurons_do_not_decouple(network: Network, kind: str) -> None:
    checked = check(instance_of(network, [[1, 1]], [1]).problem, {"kind": kind})
    assert not checked.accepted
    assert checked.reason == "convex cells cover networks of depth 2 without shared weights"


# --- vertices ---


def vertices(theta: Any) -> Certificate:
    return {"kind": "vertices", "problem": "full", "scope": "global", "theta": theta}


def test_vertices_are_of_diagonal_networks() -> None:
    """A fully connected one of the same widths takes the same theta, and its products mix."""
    identity = [[1, 0, 0, 1], [1, 1]]
    checked = check(instance_of(fully_connected("linear", [2, 2]), [[1, 1]], [1]).problem, vertices(identity))
    assert checked.reason == "vertices are listed for diagonal networks only"
    # One that is too short leaves a coordinate out: it is as if there were none.
    short = sparse("linear", [[[1, 0]], [[1]]])
    assert check(instance_of(short, [[1, 1]], [1]).problem, vertices([[1], [1]])).accepted
    # An output that does not read all of them is none.
    unread = sparse("linear", [[[1, 0], [0, 1]], [[1, 0]]])
    assert check(instance_of(unread, [[1, 1]], [1]).problem, vertices([[1, 0], [1]])).reason == checked.reason


def test_vertices_need_a_positive_margin() -> None:
    """The square of -1 is as good as that of 1."""
    instance = instance_of(diagonal("linear", 1, 2), [[1]], [1])
    assert check(instance.problem, vertices([[1], [1]])).accepted
    for theta in ([[1], [-1]], [[0], [0]]):
        assert check(instance.problem, vertices(theta)).reason == "theta has a margin that is not positive"


def test_a_vertex_may_cost_less_by_the_gap_only() -> None:
    """(1 + e, 1) costs e^2 / 2 more at margin 1: 2e-10, then 5e-9."""
    instance = instance_of(diagonal("linear", 1, 2), [[1]], [1])
    assert check(instance.problem, vertices([["50001/50000"], [1]])).accepted
    assert "a vertex may cost 1" in check(instance.problem, vertices([["10001/10000"], [1]])).reason


def test_vertices_have_up_to_as_many_coordinates_as_samples() -> None:
    """x_3 alone costs 1, or 3 where it is a third; x_1 and x_2 together cost 2."""
    strong, weak = (instance_of(diagonal("linear", 3, 2), [[1, 0, a], [0, 1, a]], [1, 1]) for a in (1, "1/3"))
    third, others = vertices([[0, 0, 1]] * 2), vertices([[1, 1, 0]] * 2)
    assert check(strong.problem, third).value == pytest.approx(1, rel=1e-12)
    assert "a vertex may cost 1" in check(strong.problem, others).reason
    assert check(weak.problem, others).value == pytest.approx(2, rel=1e-12)
    assert "a vertex may cost 2" in check(weak.problem, vertices([[0, 0, 3], [0, 0, 1]])).reason


def test_a_relu_vertex_is_of_one_side_of_every_coordinate() -> None:
    """A first weight of 1 makes x_1 = -1 nothing to the second sample, and one of -1 makes it nothing to the first."""
    instance = instance_of(diagonal("relu", 2, 2), [[2, 1], [-1, 1]], [1, 1])
    assert check(instance.problem, vertices([[0, 1]] * 2)).value == pytest.approx(1, rel=1e-12)
    # Without the second coordinate no side separates both.
    alone = instance_of(diagonal("relu", 1, 2), [[2], [-1]], [1, 1])
    assert check(alone.problem, vertices([[1], [1]])).reason == "theta has a margin that is not positive"
