"""Certificates of kinds "layer tree" and "layer better": what is accepted, and that forgeries are not."""

from __future__ import annotations

import copy
from fractions import Fraction
from typing import Any

import pytest

from harness.certificates import check
from harness.oracles.layer_tree import decide_layer
from harness.problem.fields import FieldError
from harness.problem.networks import Network, fully_connected
from harness.problem.problems import Problem
from tests.support.certificate_examples import instance_of
from tests.support.points import nonzero_local, point

# One neuron on two samples, one of them off: theta = (1, 0), 1.
ONE = point(fully_connected("relu", (2, 1, 1)), [[1, 0], [2, 1]], [1, 1], [[1, 0], [1], [1]])


def good() -> tuple[Problem, dict[str, Any]]:
    certificate = decide_layer(ONE, 0, certify=True).local.certificate
    assert certificate is not None
    return ONE.problem, copy.deepcopy(certificate)


def better() -> tuple[Problem, dict[str, Any]]:
    found = nonzero_local()
    certificate = decide_layer(found, 0, certify=True).local.certificate
    assert certificate is not None
    assert certificate["kind"] == "layer better"
    return found.problem, copy.deepcopy(certificate)


def test_the_bound_is_the_value() -> None:
    answer = check(*good())
    assert answer.accepted
    assert answer.value == answer.bound == 0.5


def test_a_tree_by_hand() -> None:
    """x = (1) and (-1), both labelled 1, one filter w on two neurons with patches x and -x: sample 1 is on in one."""
    network = Network("relu", (((0, -1), (-1, 0)), ((0, 1),)))
    instance = point(network, [[1, -1]], [1], [[1], [1, 1]]).problem
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


# --- each inequality by itself ---

Certificate = dict[str, Any]


def tree(theta: Any, signs: Any, scope: str = "local", layer: int = 1, **leaf: Any) -> Certificate:
    common = {"kind": "layer tree", "problem": f"layer {layer}", "scope": scope}
    return {**common, "theta": theta, "signs": signs, "tree": leaf}


def test_a_negative_margin_is_no_value() -> None:
    """q = -1 squared is 1, as much as the bound."""
    line = instance_of(fully_connected("linear", [1, 1]), [[1]], [1])
    assert check(line.problem, tree([[1], [1]], None, alpha=[1])).accepted
    assert check(line.problem, tree([[1], [-1]], None, alpha=[1])).reason == "theta has a margin that is not positive"
    assert check(line.problem, tree([[0], [1]], None, alpha=[1])).reason == "theta has a margin that is not positive"


# w . (1, 1) >= 1 and w . (2, 0) >= 1: the least |w|^2 is 1/2.
WEDGE = instance_of(fully_connected("relu", [2, 1]), [[1, 1], [2, 0]], [1, 1])
WEDGE_SIGNS = [[[1], [1]]]


def test_nu_is_not_negative_at_a_gate_that_is_given() -> None:
    """With nu = -1/2 the sum is (0, 1), which would bound |w|^2 by 1, as much as (1, 0) has."""
    half = ["1/2", "1/2"]
    assert check(WEDGE.problem, tree([half, [1]], WEDGE_SIGNS, alpha=[1, 0])).accepted
    for nu, reason in (
        (-1, "nu of sample 1, layer 1, neuron 1 is negative"),
        (1, "less than (1 - 1e-9) times the value 0.5"),
    ):
        forged = tree([[1, 0], [1]], WEDGE_SIGNS, alpha=[1, 0], nu=[[1, 1, 1, f"{nu}/2"]])
        assert reason in check(WEDGE.problem, forged).reason


def test_nu_needs_a_gate() -> None:
    """Below a gate that is on the inequality is w . (2, 0) >= 0, below one that is off the opposite."""
    forged = tree([[1, 0], [1]], WEDGE_SIGNS, "global", alpha=[0, 0], nu=[[1, 1, 1, 1]])
    assert "nu of sample 1, layer 1, neuron 1 is at an open gate" in check(WEDGE.problem, forged).reason
    forged = tree([[1, 0], [1]], WEDGE_SIGNS, "global", alpha=[1, 0])
    assert "sample 0 has a multiplier, and a gate that it feels is open" in check(WEDGE.problem, forged).reason


def test_an_inequality_counts_on_its_side() -> None:
    """One filter on the patches 1 and -1: neuron 1 is on where neuron 2 is off, and both say w >= 0."""
    network = Network("relu", (((0, -1), (-1, 0)), ((0, 1),)))
    instance = point(network, [[1, -1]], [1], [[1], [1, 1]]).problem
    signs = [[[1, -1]]]
    assert check(instance, tree([[1], [1, 1]], signs, alpha=[1])).accepted
    # The sum is 2 then, and the bound a quarter.
    for nu in ([[0, 1, 1, 1]], [[0, 1, 2, 1]]):
        assert "the bound is 0.125" in check(instance, tree([[1], [1, 1]], signs, alpha=[1], nu=nu)).reason


def test_what_costs_as_much_is_not_better() -> None:
    """theta itself against the floor that it reaches."""
    half = ["1/2", "1/2"]
    common = {"kind": "layer better", "problem": "layer 1", "theta": [half, [1]], "signs": WEDGE_SIGNS}
    for scope in ("local", "global"):
        same = {**common, "scope": scope, "better": half, "alpha": [1, 0], "nu": []}
        assert "does not cost less than every point" in check(WEDGE.problem, same).reason


TINY = Fraction(1, 10**8)


def near_zeros(size: Any, extra: list[Any], outgoing: list[Any], signs: list[int]) -> str:
    """The reason for a better point beside theta = size (0, 1/20, 1), TINY (0, 0, 1), (1, -1/2, 1).

    Neuron 1 has kinks on samples 0 and 1, which are parallel but for TINY: exactly, its second weight is zero.
    """
    points = [[1, 0, 0], [1, TINY, 0], [0, 0, 1], extra]
    instance = instance_of(fully_connected("relu", [3, 3]), points, [1] * 4)
    theta = [[0, size / 20, size, 0, 0, TINY, 1, Fraction(-1, 2), 1], outgoing]
    rows = [[[0, 0, 1], [0, 0, 1], [1, 1, 1], signs]]
    common = {"kind": "layer better", "problem": "layer 1", "scope": "global", "signs": rows}
    exact = [[str(v) for v in u] for u in theta]
    return check(instance.problem, {**common, "theta": exact, "better": [1] * 9, "alpha": [1] * 4, "nu": []}).reason


def test_a_point_with_the_zeros_lies_next_to_theta() -> None:
    assert (
        near_zeros(Fraction(1), [0, 1, 0], [1, 1, 1], [1, 0, -1]) == "no point with the signs is within 1e-9 of theta"
    )


def test_the_point_with_the_zeros_has_the_other_signs() -> None:
    """Neuron 1 is on on sample 3 by its second weight alone, which is next to zero beside neuron 3."""
    reason = near_zeros(TINY, [0, 1, 0], [1, 1, 1], [1, 0, -1])
    assert reason == "the point with the zeros next to theta has other signs"


def test_the_point_with_the_zeros_separates() -> None:
    """The second weight of neuron 1 is all that makes up for neuron 2 on sample 3; neuron 3 makes up for half of it."""
    outgoing = [1, Fraction(-101, 100), TINY * Fraction(3, 200)]
    reason = near_zeros(TINY, [0, 1, 1], outgoing, [1, 1, 1])
    assert reason == "the point with the signs next to theta has a margin that is not positive"


def test_nu_has_either_sign_at_zeros_only() -> None:
    """With nu = -1/2 at a gate that is on the floor of (1/2, 1/2) would be twice what it costs."""
    half = ["1/2", "1/2"]
    common = {"kind": "layer better", "problem": "layer 1", "scope": "local", "theta": [half, [1]]}
    forged = {**common, "signs": WEDGE_SIGNS, "better": half, "alpha": [1, 0], "nu": [[1, 1, 1, "-1/2"]]}
    assert "nu of sample 1, layer 1, neuron 1 is negative" in check(WEDGE.problem, forged).reason
    instance, certificate = better()
    for nu in ("1/1000", "-1/1000"):
        assert check(instance, {**certificate, "nu": [[0, 1, 2, nu]]}).accepted
