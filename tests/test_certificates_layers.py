"""Certificates of kinds "layer tree" and "layer better": what is accepted, and that forgeries are not."""

from __future__ import annotations

import copy
from fractions import Fraction
from typing import Any

import pytest

from harness.certificates import check
from harness.instances import Instance
from harness.margin.layer_tree import decide_layer
from harness.networks import FieldError, Network, fully_connected
from tests.margin_limits import limit, nonzero_local

# One neuron on two samples, one of them off: theta = (1, 0), 1.
ONE = limit(fully_connected("relu", (2, 1, 1)), [[1, 0], [2, 1]], [1, 1], [[1, 0], [1], [1]])


def good() -> tuple[Instance, dict[str, Any]]:
    certificate = decide_layer(ONE, 0, certify=True).local.certificate
    assert certificate is not None
    return ONE.instance, copy.deepcopy(certificate)


def better() -> tuple[Instance, dict[str, Any]]:
    found = nonzero_local()
    certificate = decide_layer(found, 0, certify=True).local.certificate
    assert certificate is not None
    assert certificate["kind"] == "layer better"
    return found.instance, copy.deepcopy(certificate)


def test_the_bound_is_the_value() -> None:
    answer = check(*good())
    assert answer.accepted
    assert answer.value == answer.bound == 0.5


def test_a_tree_by_hand() -> None:
    """x = (1) and (-1), both labelled 1, one filter w on two neurons with patches x and -x: sample 1 is on in one."""
    network = Network("relu", (((0, -1), (-1, 0)), ((0, 1),)))
    instance = limit(network, [[1, -1]], [1], [[1], [1, 1]]).instance
    leaf_on = {"alpha": [1], "nu": []}
    nothing = {"alpha": [1], "nu": [[0, 1, 2, 1]]}
    # Neuron 1 on: q = w; neuron 2 has input -w.  Both on: q = 0.  Both off: q = 0.
    tree: dict[str, Any] = {
        "split": [0, 1, 1],
        "on": {"split": [0, 1, 2], "on": {"alpha": [1]}, "off": leaf_on},
        "off": {"split": [0, 1, 2], "on": {"alpha": [1]}, "off": {"alpha": [1]}},
    }
    certificate: dict[str, Any] = {
        "kind": "layer tree",
        "problem": "layer 1",
        "scope": "global",
        "theta": [[1], [1, 1]],
        "signs": [[[1, -1]]],
        "tree": tree,
    }
    answer = check(instance, certificate)
    assert answer.accepted, answer.reason
    assert answer.bound == 0.5
    tree["on"] = {"alpha": [1]}
    assert not check(instance, certificate).accepted
    tree["on"] = nothing
    assert not check(instance, certificate).accepted


@pytest.mark.parametrize(
    "change",
    [
        {"theta": [["9/8", "1/8"], [1], [1]]},
        {"theta": [[1, "1/4"], [1], [1]]},
        {"signs": [[[0], [1]], [[1], [1]]]},
        {"signs": [[[1], [-1]], [[1], [1]]]},
        {"tree": {"alpha": [0, 0]}},
        {"tree": {"alpha": [1, 1]}},
        {"tree": {"alpha": [2, -1]}},
        {"tree": {"alpha": [1, 0], "nu": [[0, 1, 1, 1]]}},
        {"tree": {"split": [0, 1, 1], "on": {"alpha": [1, 0]}, "off": {"alpha": [1, 0]}}},
    ],
)
def test_forged_trees_are_rejected(change: dict[str, Any]) -> None:
    instance, certificate = good()
    answer = check(instance, {**certificate, **change})
    assert not answer.accepted


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"problem": "layer 4"}, "problem"),
        ({"problem": "full"}, "problem"),
        ({"scope": "here"}, "scope"),
        ({"signs": None}, "signs"),
        ({"tree": {"alpha": [1]}}, "alpha"),
        ({"tree": {"alpha": [1, 0], "nu": [[0, 3, 1, 1]]}}, "nu"),
        ({"tree": {"alpha": [1, 0], "nu": [[0, True, 1, 1]]}}, "nu"),
        ({"tree": {"split": [0, 1], "on": 1, "off": 1}}, "split"),
        ({"extra": 1}, "certificate"),
    ],
)
def test_wrong_shapes_name_the_field(change: dict[str, Any], field: str) -> None:
    instance, certificate = good()
    with pytest.raises(FieldError, match=field):
        check(instance, {**certificate, **change})


def test_an_endless_tree_is_refused() -> None:
    instance, certificate = good()
    tree: dict[str, Any] = {"alpha": [1, 0]}
    for _ in range(300):
        tree = {"split": [0, 1, 1], "on": tree, "off": tree}
    certificate["tree"] = tree
    assert not check(instance, certificate).accepted


def test_a_better_point_must_be_feasible_cheaper_and_in_the_cell() -> None:
    instance, certificate = better()
    assert check(instance, certificate).accepted
    z = [Fraction(v) for v in certificate["better"]]
    shorter = [str(v * Fraction(9, 10)) for v in z]
    assert "not feasible" in check(instance, {**certificate, "better": shorter}).reason
    assert "cost less" in check(instance, {**certificate, "better": [str(v * 2) for v in z]}).reason
    # One neuron for both points: cheaper, but neuron 2 is off on its own point.
    away = {**certificate, "better": [1, 1, "-1/100", "-1/100"]}
    assert not check(instance, {**away, "scope": "local"}).accepted
    weak = {**certificate, "alpha": [0, 0]}
    assert not check(instance, weak).accepted


def test_without_a_multiplier_the_floor_is_too_low() -> None:
    instance, certificate = better()
    for i in range(2):
        alpha = list(certificate["alpha"])
        alpha[i] = 0
        assert not check(instance, {**certificate, "alpha": alpha}).accepted
