"""Certificates of networks with other slopes than 0 and 1, and of fixed layers: by hand, all cells, and forged."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from harness.certificates import check
from harness.oracles.apart import Apart
from harness.oracles.optimality import decide_cells
from harness.oracles.programmes import full_problem, layer_problem
from harness.oracles.verdicts import decide
from harness.problem.fields import FieldError
from harness.problem.networks import fully_connected
from tests.support.certificate_examples import Certificate, case, changed
from tests.support.points import problem_of, random_limit

HALF = Fraction(1, 2)
# One neuron, w = v = 1, with margins of 1 on either side of its kink: half of -2 is -1.
POINTS, LABELS = [[1], [-2]], [1, -1]
LEAKY = problem_of(fully_connected("leaky_relu", [1, 1], negative_slope=HALF), POINTS, LABELS)
LOCAL: Certificate = {
    "kind": "bound",
    "problem": "full",
    "scope": "local",
    "theta": [[1], [1]],
    "structure": {"outgoing": [1], "gates": [[1], [-1]]},
    "alpha": ["1/2", "1/2"],
    "neurons": [[{"sign": 1, "cases": [case()]}]],
}
# With either sign of v the first point is convex or concave, and the second has no multiplier.
GLOBAL: Certificate = {
    **LOCAL,
    "scope": "global",
    "alpha": [1, 0],
    "neurons": [[{"sign": 1, "cases": [case(), case([0])]}, {"sign": -1, "cases": [case()]}]],
}
CELLS: Certificate = {
    **{key: LOCAL[key] for key in ("problem", "theta", "structure", "scope")},
    "kind": "cells",
    "cells": [{"alpha": [0, 1], "neurons": [{"sign": 1, "on": [0], "nu": {}}]}],
}
# The slope -1 makes both points one.
ABSOLUTE = problem_of(fully_connected("leaky_relu", [1, 1], negative_slope=-1), [[1], [-1]], [1, 1])
BY_HAND: dict[str, tuple[Any, Certificate, float]] = {
    "local": (LEAKY, LOCAL, 1.0),
    "local, layer 1": (LEAKY, {**LOCAL, "problem": "layer 1"}, 0.5),
    "local, layer 2": (LEAKY, {**LOCAL, "problem": "layer 2", "neurons": None}, 0.5),
    "global": (LEAKY, GLOBAL, 1.0),
    "cells": (LEAKY, CELLS, 1.0),
    "cells, layer 1": (LEAKY, {**CELLS, "problem": "layer 1"}, 0.5),
    "absolute value": (ABSOLUTE, LOCAL, 1.0),
    "absolute value, global": (
        ABSOLUTE,
        # b |s| with b > 0 is convex, with b < 0 concave: 0 of its share is the slope -1, half of it none.
        {
            **LOCAL,
            "scope": "global",
            "neurons": [
                [
                    {"sign": 1, "cases": [case(on) for on in ([], [0], [1], [0, 1])]},
                    {"sign": -1, "cases": [case(s0="1/2", s1="1/2")]},
                ]
            ],
        },
        1.0,
    ),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_by_hand(name: str) -> None:
    problem, certificate, value = BY_HAND[name]
    checked = check(problem, certificate)
    assert checked.accepted, checked.reason
    assert checked.value == value
    assert checked.bound == pytest.approx(value, rel=1e-12)


def test_the_sides_of_a_concave_activation_turn_round() -> None:
    """At slope 2 a free sample of the neuron's own sign is concave: it has a coefficient, and no cases."""
    network = fully_connected("leaky_relu", [1, 1], negative_slope=2)
    problem = problem_of(network, [[1]], [-1])
    # q = -v sigma(w) is 2 at w = -1, v = 1.
    certificate: Certificate = {
        **LOCAL,
        "scope": "global",
        "theta": [["-1"], ["1"]],
        "structure": {"outgoing": [1], "gates": [[-1]]},
        "alpha": [1],
    }
    convex = {"sign": 1, "cases": [case(), case([0])]}
    concave = {"sign": -1, "cases": [case(s0="1")]}
    good = {**certificate, "neurons": [[convex, concave]]}
    checked = check(problem, good)
    assert checked.accepted, checked.reason
    assert checked.value == checked.bound == 0.5
    # As if it were a relu: the other way round.
    turned = {**certificate, "neurons": [[{"sign": 1, "cases": [case(s0="1")]}, {**convex, "sign": -1}]]}
    assert not check(problem, turned).accepted


@pytest.mark.parametrize(
    ("name", "path", "new"),
    [
        ("local", ["structure", "gates", 1, 0], 1),
        ("local", ["structure", "gates", 1, 0], 0),
        ("local", ["structure", "outgoing", 0], -1),
        ("local", ["alpha", 0], "3/5"),
        ("local", ["alpha", 1], "-1/2"),
        ("local", ["neurons", 0, 0, "cases", 0, "c"], {"1": "1/2"}),
        ("local", ["theta", 0, 0], "11/10"),
        ("global", ["alpha"], [0, 1]),
        ("global", ["neurons", 0, 0, "cases"], [case([0])]),
        ("global", ["neurons", 0, 1, "cases", 0], case(s0="1")),
        ("global", ["neurons", 0, 1, "cases", 0], case(s0="-1/2")),
        ("cells", ["cells", 0, "neurons", 0, "on"], [0, 1]),
        ("cells", ["cells", 0, "neurons", 0, "nu"], {"1": "1"}),
    ],
)
def test_forged(name: str, path: list[Any], new: Any) -> None:
    problem, certificate, _ = BY_HAND[name]
    forged = changed(certificate, path, new)
    # alpha may grow together with D, and then proves as much
    harmless = path == ["alpha", 0] or new == case(s0="1")
    assert check(problem, forged).accepted == harmless


def test_another_slope_is_another_network() -> None:
    for slope in (0, Fraction(1, 3), Fraction(-1, 2)):
        other = problem_of(fully_connected("leaky_relu", [1, 1], negative_slope=slope), POINTS, LABELS)
        assert not check(other, LOCAL).accepted
        assert not check(other, GLOBAL).accepted


# --- fixed layers ---

FIXED = problem_of(fully_connected("leaky_relu", [1, 1], negative_slope=HALF, fixed={2: [1]}), POINTS, LABELS)


@pytest.mark.parametrize("certificate", [LOCAL, CELLS], ids=["bound", "cells"])
def test_the_only_layer_is_the_whole(certificate: Certificate) -> None:
    for name in ("full", "layer 1"):
        checked = check(FIXED, {**certificate, "problem": name})
        assert checked.accepted, checked.reason
        assert checked.value == 0.5
    assert "fixed" in check(FIXED, {**certificate, "problem": "layer 2"}).reason
    # Balanced weights of the same function have another last layer.
    for last in (2, "1/2"):
        assert "fixed" in check(FIXED, {**certificate, "theta": [[1], [last]]}).reason


def test_a_tree_of_the_only_layer_is_the_whole() -> None:
    tree = {
        "kind": "layer tree",
        "problem": "full",
        "scope": "local",
        "theta": [[1], [1]],
        "signs": [[[1], [-1]]],
        "tree": {"alpha": [1, 0], "nu": []},
    }
    assert check(FIXED, tree).accepted
    assert "fixed" in check(FIXED, {**tree, "problem": "layer 2"}).reason
    with pytest.raises(FieldError, match="must be"):
        check(LEAKY, tree)
    assert check(LEAKY, {**tree, "problem": "layer 1"}).accepted
    assert not check(FIXED, changed(tree, ["signs", 0, 1, 0], 1)).accepted
    assert not check(FIXED, changed(tree, ["tree", "alpha"], [0, 0])).accepted


# --- every cell, where one proof for all would do ---


@pytest.mark.parametrize("fixed", [False, True], ids=["trained", "fixed outputs"])
@pytest.mark.parametrize("slope", ["1/10", "9/10", "-1", "2"])
def test_the_cells_say_the_same(slope: str, fixed: bool) -> None:
    seen = 0
    for seed in range(60):
        found = random_limit(seed, Fraction(slope), fixed=fixed, most=(3, 2, 2))
        if found is None:
            continue
        seen += 1
        verdicts = decide(found)
        apart = Apart(found)
        problem = full_problem(apart) if not fixed else layer_problem(apart)
        for scope, verdict in (("local", verdicts.local), ("global", verdicts.global_)):
            again = decide_cells(problem, scope, certify=True)
            assert (again.status, again.certified) == (verdict.status, True)
    assert seen >= 10
