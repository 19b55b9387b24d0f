"""Neurons that are zero in a certificate of kind "ball": what each part of their trees may and may not say."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from harness.certificates import check
from harness.certificates.taylor import bounds, sqrt_up
from harness.problem.instances import Instance
from harness.problem.networks import Network, fully_connected, sparse
from tests.certificates.test_balls import HAIR, ball
from tests.support.certificate_examples import Certificate, instance_of

# Neuron 2 of layer 1 is zero and sees x_2 alone: waking it gains x_2 for every unit that neuron 1 gains.
WAKING = sparse("relu", [[[1, 0], [0, 1]], [[1, 1]], [[1]]])
THETA = [[1, 0], [1, 0], [1]]
RADIUS = Fraction(1, 1000)
END: Certificate = {"turn": None, "kappa": []}


def waking(second: str) -> Instance:
    return instance_of(WAKING, [[1, second]], [1])


HALF, LARGE = waking("1/2"), waking("3/2")


def dead(tree: Any, mu: Any = "2/5") -> Certificate:
    signs = [[[1, 0]], [[1]]]
    return ball(THETA, signs, RADIUS, alpha=[1], mu=str(mu), dead=[[1, 2, tree]])


def cells(on_on: Any = END, on_off: Any = END, off: Any = END) -> Certificate:
    """A tree over the gate of neuron 2, and where it is on over the sign of its outgoing weight."""
    return {"gate": 0, "on": {"side": 0, "on": on_on, "off": on_off}, "off": off}


def pair(kappa: Any) -> Certificate:
    return {"turn": None, "kappa": [[0, 0, str(kappa)]]}


def test_a_neuron_worth_less_than_the_others_may_be_dead() -> None:
    """The block has the eigenvalues 1 + 1/2 and 1 - 1/2."""
    assert check(HALF.problem, dead(cells())).accepted
    assert check(HALF.problem, dead(cells(), mu=Fraction(1, 2) / HAIR)).accepted
    too_much = check(HALF.problem, dead(cells(), mu=Fraction(1, 2) * HAIR))
    assert "the block of neuron 2 of layer 1 is not clearly positive definite" in too_much.reason


@pytest.mark.parametrize(
    ("tree", "reason"),
    [
        (cells(), "is not clearly positive definite"),
        (cells(pair(-1)), "is negative, or not at a side and a gate that are given"),
        (END, "the gate of sample 0 is open and matters"),
        ({"gate": 0, "on": pair(1), "off": END}, "is negative, or not at a side and a gate that are given"),
        (cells({**END, "mixed": [[0, 0]]}), "the gate is given, the side is not off, or it is not between 0 and 1"),
        ({**END, "mixed": [[0, 0]]}, "the gate is given, the side is not off, or it is not between 0 and 1"),
        ({"side": 0, "on": {**END, "mixed": [[0, 0]]}, "off": END}, "the side is not off"),
        (cells({"turn": 1, "kappa": []}), "neuron 2 of layer 1 cannot be turned into neuron 1"),
        (cells({"turn": 2, "kappa": []}), "neuron 2 of layer 1 cannot be turned into neuron 2"),
        (cells(cells()), "splits where there is nothing to split"),
    ],
)
def test_a_neuron_worth_more_is_not_dead(tree: Certificate, reason: str) -> None:
    """Half as much again as neuron 1: no local optimum, and no tree says otherwise."""
    assert reason in check(LARGE.problem, dead(tree)).reason


@pytest.mark.parametrize(("first", "accepted"), [("1/2", True), ("3/2", False)])
def test_the_first_neuron_may_be_dead(first: str, accepted: bool) -> None:
    """Its parameters have the index 0 in every layer."""
    instance = instance_of(WAKING, [[first, 1]], [1])
    leaf = {"alpha": [1], "mu": "2/5", "dead": [[1, 1, cells()]]}
    forged = ball([[0, 1], [0, 1], [1]], [[[0, 1]], [[1]]], RADIUS, **leaf)
    assert check(instance.problem, forged).accepted == accepted


def test_where_waking_costs_kappa_helps() -> None:
    """Gate on and outgoing weight below zero: kappa takes -l p >= 0 off, and G goes from -1/2 up to kappa / 2 - 1/2."""
    room = Fraction(3, 5)
    for cell, sign in (("on_on", -1), ("on_off", 1)):
        most = (room - sign * Fraction(-1, 2)) * 2
        for kappa, ok in ((most / HAIR, True), (most * HAIR, False)):
            assert check(HALF.problem, dead(cells(**{cell: pair(kappa)}))).accepted == ok, (cell, kappa)


@pytest.mark.parametrize("cell", ["on_on", "on_off"])
def test_kappa_has_a_third_derivative_of_its_own(cell: str) -> None:
    """l_k p_i is a product: 3 |p'| |l''| at most, with l = v w quadratic and p linear."""
    theta = tuple(tuple(Fraction(v) for v in u) for u in THETA)
    norm = sqrt_up(Fraction(5, 4))
    k1, k2, k3 = bounds(WAKING, theta, RADIUS).of(3, norm)
    l1, l2, l3 = bounds(WAKING, theta, RADIUS, 1).of(2, Fraction(1))
    p1, p2, p3 = bounds(WAKING, theta, RADIUS).of(1, norm)
    assert (l3, p2, p3) == (0, 0, 0)
    assert l1 > 0
    kappa = Fraction(1, 10)
    third = k3 + k1 * RADIUS * k3 + 3 * k1 * k2 + kappa * 3 * p1 * l2
    least = 2 * third * RADIUS / 3
    tree = cells(**{cell: pair(kappa)})
    assert check(HALF.problem, dead(tree, mu=least * HAIR)).accepted
    assert "mu is less than two thirds" in check(HALF.problem, dead(tree, mu=least / HAIR)).reason


def test_a_gate_may_be_mixed_where_waking_costs() -> None:
    tree = {"side": 0, "on": {"gate": 0, "on": END, "off": END}, "off": {**END, "mixed": [[0, "1/2"]]}}
    assert check(HALF.problem, dead(tree)).accepted
    # With a coefficient of 1 the block is that of a gate that is on.
    tree["off"] = {**END, "mixed": [[0, 1]]}
    assert check(HALF.problem, dead(tree, mu=Fraction(1, 2) / HAIR)).accepted
    assert not check(HALF.problem, dead(tree, mu=Fraction(1, 2) * HAIR)).accepted
    for c in (2, -1):
        tree["off"] = {**END, "mixed": [[0, c]]}
        assert "not between 0 and 1" in check(HALF.problem, dead(tree)).reason


# --- turned into another neuron ---

# A second neuron that sees what the first one sees: as good as it, and the two can be turned into each other.
TWIN = instance_of(fully_connected("relu", [1, 2]), [[1]], [1])


def twin(on: Any, off: Any = END, **leaf: Any) -> Certificate:
    tree = {"gate": 0, "on": on, "off": off}
    given: dict[str, Any] = {"alpha": [1], "tau": "1/5", "mu": "1/3", **leaf}
    return ball([[1, 0], [1, 0]], [[[1, 0]]], RADIUS, dead=[[1, 2, tree]], **given)


TURN: Certificate = {"turn": 1, "kappa": []}


def test_a_twin_is_turned() -> None:
    """The tangent is (1, 1), along which the block is zero."""
    assert check(TWIN.problem, twin(TURN)).accepted
    assert check(TWIN.problem, twin(TURN, mu=str(Fraction(2, 5) / HAIR))).accepted
    for forged in (twin(END), twin(TURN, mu=str(Fraction(2, 5) * HAIR)), twin(TURN, tau=0)):
        assert "is not clearly positive definite" in check(TWIN.problem, forged).reason


@pytest.mark.parametrize(
    ("on", "off", "reason"),
    [
        (TURN, TURN, "neuron 1 has other gates than neuron 2 of layer 1 in this cell"),
        ({"side": 0, "on": {**TURN, "kappa": [[0, 0, 0]]}, "off": TURN}, END, "there is no kappa beside a turn"),
        ({"turn": 2, "kappa": []}, END, "neuron 2 of layer 1 cannot be turned into neuron 2"),
    ],
)
def test_a_turn_needs_the_same_gates(on: Any, off: Any, reason: str) -> None:
    assert reason in check(TWIN.problem, twin(on, off)).reason


def test_a_neuron_with_an_inequality_is_no_partner() -> None:
    """Neuron 1 has its kink on the second point, which neuron 2 sees; neuron 3 is dead."""
    instance = instance_of(fully_connected("relu", [2, 3]), [[1, 0], [0, 1]], [1, -1])
    on = {"gate": 0, "on": {"gate": 1, "on": TURN, "off": END}, "off": END}
    leaf = {"alpha": [1, 1], "nu": [[1, 1, 1, 1]], "rho": 1, "tau": 1, "mu": "1/3", "dead": [[1, 3, on]]}
    forged = ball([[1, 0, 0, 1, 0, 0], [1, -1, 0]], [[[1, 0, 0], [0, 1, 0]]], RADIUS)
    other = {"split": [0, 1, 2], "on": leaf, "off": leaf}
    forged["tree"] = {"split": [1, 1, 1], "on": other, "off": other}
    assert "neuron 1 has an inequality of its own" in check(instance.problem, forged).reason


def test_no_gate_is_mixed_on_a_sample_with_an_inequality() -> None:
    """As above, with a dead neuron that sees x_3 alone, and hardly gains or loses by it."""
    network = sparse("relu", [[[1, 1, 0], [1, 1, 0], [0, 0, 1]], [[1, 1, 1]]])
    instance = instance_of(network, [[1, 0, "1/4"], [0, 1, "1/4"]], [1, -1])
    sides = {"side": 1, "on": {"gate": 1, "on": END, "off": END}, "off": {**END, "mixed": [[1, "1/2"]]}}
    tree = {"gate": 0, "on": sides, "off": sides}
    leaf = {"alpha": [1, 1], "nu": [], "rho": 4, "tau": 1, "mu": "1/3", "dead": [[1, 3, tree]]}
    forged = ball([[1, 0, 0, 1, 0], [1, -1, 0]], [[[1, 0, 0], [0, 1, 0]]], RADIUS)
    # With both kinks on, each neuron costs on the other's point: nu = 1 makes up for it.
    both = {**leaf, "nu": [[0, 1, 2, 1], [1, 1, 1, 1]]}
    first, second = {**leaf, "nu": [[0, 1, 2, 1]]}, {**leaf, "nu": [[1, 1, 1, 1]]}
    forged["tree"] = {
        "split": [1, 1, 1],
        "on": {"split": [0, 1, 2], "on": both, "off": second},
        "off": {"split": [0, 1, 2], "on": first, "off": leaf},
    }
    assert (
        check(instance.problem, forged).reason
        == "certificate.tree.on.on.dead.on.off.mixed[0]: the sample has an inequality"
    )
    # With every gate of the dead neuron given it is a proof.
    sides["off"] = sides["on"]
    checked = check(instance.problem, forged)
    assert checked.accepted, checked.reason


def test_kappa_is_of_gates_that_are_given() -> None:
    off = {**pair(1), "mixed": [[0, "1/2"]]}
    tree = {"side": 0, "on": {"gate": 0, "on": END, "off": END}, "off": off}
    assert "not at a side and a gate that are given" in check(HALF.problem, dead(tree)).reason


def test_a_dead_neuron_is_zero() -> None:
    """A neuron that nothing reaches because its weights cancel, and one whose outgoing weight is not zero."""
    cancelling = instance_of(sparse("relu", [[[1, 0, 0], [0, 1, 1]], [[1, 1]]]), [[1, "1/2", "1/2"]], [1])
    for instance, theta, signs in (
        (cancelling, [[1, "1/9", "-1/9"], [1, 0]], [[[1, 0]]]),
        (HALF, [[1, 0], [1, "1/9"], [1]], [[[1, 0]], [[1]]]),
    ):
        forged = ball(theta, signs, RADIUS, alpha=[1], mu="2/5", dead=[[1, 2, cells()]])
        assert "is not a zero neuron with parameters of its own" in check(instance.problem, forged).reason


def test_a_dead_neuron_has_parameters_of_its_own() -> None:
    """Neurons 2 and 3 share their weight."""
    instance = instance_of(Network("relu", (((0, -1), (-1, 1), (-1, 1)), ((0, 1, 2),))), [[1, "1/2"]], [1])
    both = [[1, 2, cells()], [1, 3, cells()]]
    forged = ball([[1, 0], [1, 0, 0]], [[[1, 0, 0]]], RADIUS, alpha=[1], mu="2/5", dead=both)
    assert (
        "neuron 2 of layer 1 is not a zero neuron with parameters of its own" in check(instance.problem, forged).reason
    )


def test_linear_neurons_are_not_dead() -> None:
    linear = instance_of(sparse("linear", [[[1, 0], [0, 1]], [[1, 1]], [[1]]]), [[1, "1/2"]], [1])
    forged = {**dead(cells()), "signs": None}
    assert check(linear.problem, forged).reason == "neuron 2 of layer 1 has a sign"
