"""Certificates of kind "better": the examples of docs/statements.md, section 6, and forgeries of them."""

from __future__ import annotations

import copy
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.certificates import check
from harness.problem.instances import Instance
from harness.problem.networks import diagonal, forward, fully_connected
from tests.support.certificate_examples import Certificate, instance_of, with_false_structure

# fc-relu-local: neuron 2 is dead; the better point is the curve of docs/statements.md, section 6, at s = 1/4.
TWO_POINTS = instance_of(fully_connected("relu", [2, 2]), [[1, "1/4"], [-1, "1/4"]], [1, 1])
DEAD: Certificate = {
    "kind": "better",
    "problem": "full",
    "scope": "local",
    "theta": [[0, 2, 0, 0], [2, 0]],
    "structure": {"outgoing": [1, 0], "gates": [[1, 0], [1, 0]]},
    "better": [["1/16", "7/4", "-1/2", 0], [2, "1/2"]],
    "face": {"alpha": [2, 2], "nu": [[0, 0], [0, 0]]},
}
# The same with a third point, behind the others, and a third neuron for it.
THREE_POINTS = instance_of(fully_connected("relu", [2, 3]), [[1, "1/4"], [-1, "1/4"], [0, -1]], [1, 1, 1])
OFF: Certificate = {
    **DEAD,
    "theta": [[0, 2, 0, 0, 0, -1], [2, 0, 1]],
    "structure": {"outgoing": [1, 0, 1], "gates": [[1, 0, -1], [1, 0, -1], [-1, 0, 1]]},
    "better": [["1/16", "7/4", "-1/2", 0, 0, -1], [2, "1/2", 1]],
    "face": {"alpha": [2, 2, 1], "nu": [[0, 0, 0]] * 3},
}
# The same point is not a global optimum either, and one neuron a point shows more than that.
GLOBAL: Certificate = {**DEAD, "scope": "global", "better": [["24/25", "6/25", "-24/25", "6/25"], [1, 1]]}

# depth2-local: a zero pair of a diagonal network, linear or relu.
DIAGONAL_RELU = instance_of(diagonal("relu", 2, 2), [[1, 2]], [1])
DIAGONAL_LINEAR = instance_of(diagonal("linear", 2, 2), [[1, 2]], [1])
PAIR: Certificate = {
    "kind": "better",
    "problem": "full",
    "scope": "local",
    "theta": [[1, 0], [1, 0]],
    "structure": {"outgoing": [1, 0], "gates": [[1, 0]]},
    "better": [[0, "3/4"], [0, "3/4"]],
    "face": {"alpha": [1]},
}
LINEAR_PAIR: Certificate = {
    **PAIR,
    "structure": {"outgoing": [1, 0], "gates": None},
    "better": [["-1/100", "-3/4"], ["1/100", "-3/4"]],
}

# depth2-relu-nonzero-local: each neuron has a kink on the other's point; w_1 turned to (1, 1) serves both.
AXES = instance_of(fully_connected("relu", [2, 2]), [[1, 0], [0, 1]], [1, 1])
KINK: Certificate = {
    "kind": "better",
    "problem": "full",
    "scope": "local",
    "theta": [[1, 0, 0, 1], [1, 1]],
    "structure": {"outgoing": [1, 1], "gates": [[1, 0], [0, 1]]},
    "better": [["5/6", "5/6", 0, 0], ["6/5", 0]],
    "face": {"alpha": [1, 1], "nu": [[0, 0], [0, 0]]},
}
# relu-layerwise-local, at the same point: with v = (1, 1) fixed, w_1 = (1, 1), w_2 = 0 costs as much, (2/3, 2/3) and
# (1/3, 1/3) less.
KINK_LAYER: Certificate = {**KINK, "problem": "layer 1", "better": [["1/2", "1/2", "1/2", "1/2"], [1, 1]]}

EXAMPLES: dict[str, tuple[Instance, Certificate, float, float]] = {
    "dead neuron": (TWO_POINTS, DEAD, 4.0, 4 - 4 / 16 + 8.5 / 256),
    "off": (THREE_POINTS, OFF, 5.0, 5 - 4 / 16 + 8.5 / 256),
    "global": (TWO_POINTS, GLOBAL, 4.0, 0.96**2 * 17 / 16 + 1),
    "zero pair, relu": (DIAGONAL_RELU, PAIR, 1.0, 9 / 16),
    "zero pair, linear": (DIAGONAL_LINEAR, LINEAR_PAIR, 1.0, 9 / 16 + 1e-4),
    "kink": (AXES, KINK, 2.0, 25 / 36 + 18 / 25),
    "kink, layer 1": (AXES, KINK_LAYER, 1.0, 0.5),
}
names = pytest.mark.parametrize("name", EXAMPLES)


@names
def test_hand_made_certificates_are_accepted(name: str) -> None:
    instance, certificate, value, better = EXAMPLES[name]
    checked = check(instance.problem, certificate)
    assert checked.accepted, checked.reason
    assert checked.value == value
    assert checked.bound == pytest.approx(better, rel=1e-15)
    assert checked.gap == pytest.approx(1 - better / value, rel=1e-12)


def test_the_better_point_may_be_as_near_as_the_curve_goes() -> None:
    """The gain is of second order: at s = 2^-20 it is 4e-12 of a cost of 4."""
    s = Fraction(1, 2**20)
    near = [[str(a) for a in (s * s, 2 - 4 * s * s, -2 * s, 0)], [2, str(2 * s)]]
    assert check(TWO_POINTS.problem, {**DEAD, "better": near}).accepted


def floats(rows: list[list[Any]]) -> list[np.ndarray]:
    return [np.array([float(Fraction(a)) for a in u]) for u in rows]


def products(instance: Instance, theta: list[np.ndarray]) -> list[tuple[np.ndarray, float]]:
    """u_j = |v_j| w_j and the sign of v_j."""
    rows = instance.network.patterns[0]
    v = [theta[1][k] for k in instance.network.patterns[1][0]]
    return [
        (abs(a) * np.array([theta[0][k] for k in row if k >= 0]), np.sign(a)) for a, row in zip(v, rows, strict=True)
    ]


def normalised_margin(instance: Instance, theta: list[np.ndarray]) -> float:
    margins = [
        y * forward(instance.network, [u.tolist() for u in theta], x.tolist())
        for x, y in zip(instance.x_float, instance.y, strict=True)
    ]
    return min(margins) / sum(float(u @ u) for u in theta)


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name not in ("global", "kink, layer 1")])
def test_the_normalised_margin_rises_at_once_towards_the_better_point(name: str) -> None:
    """An accepted local certificate is true: along the segment in u, by the forward pass in floats."""
    instance, certificate, _, _ = EXAMPLES[name]
    start, end = floats(certificate["theta"]), floats(certificate["better"])
    before = normalised_margin(instance, start)
    for t in (1e-4, 1e-2, 0.3, 1.0):
        point = [np.zeros(size) for size in instance.network.sizes]
        pairs = zip(products(instance, start), products(instance, end), strict=True)
        for j, ((u, s), (u_end, s_end)) in enumerate(pairs):
            mixed = (1 - t) * s * u + t * s_end * u_end
            sign = s or s_end
            length = float(np.linalg.norm(mixed)) ** 0.5
            if length:
                for k, a in zip((k for k in instance.network.patterns[0][j] if k >= 0), mixed, strict=True):
                    point[0][k] = sign * a / length
            point[1][instance.network.patterns[1][0][j]] = sign * length
        assert normalised_margin(instance, point) > before * (1 + 1e-9)


# --- forgeries ---


@names
def test_a_structure_that_contradicts_theta_is_rejected(name: str) -> None:
    instance, certificate, _, _ = EXAMPLES[name]
    for forged in with_false_structure(certificate):
        assert not check(instance.problem, forged).accepted


changes = st.fractions(Fraction(1, 10**6), 10, max_denominator=10**6)
signs = st.sampled_from([1, -1])


@given(st.sampled_from(sorted(EXAMPLES)), st.data(), changes, signs)
def test_a_changed_better_point_is_judged_as_floats_judge_it(
    name: str, data: st.DataObject, change: Fraction, sign: int
) -> None:
    """One number of the better point is changed: accepted exactly if it is feasible, cheaper and in the cell."""
    instance, certificate, value, _ = EXAMPLES[name]
    forged = copy.deepcopy(certificate)
    layer = data.draw(st.integers(0, 1))
    place = data.draw(st.integers(0, instance.network.sizes[layer] - 1))
    forged["better"][layer][place] = str(Fraction(forged["better"][layer][place]) + sign * change)
    point = floats(forged["better"])
    lowest = normalised_margin(instance, point) * sum(float(u @ u) for u in point) if any(map(np.any, point)) else 0.0
    full = certificate["problem"] == "full"
    cost = sum(float(u @ u) for u in (point if full else point[:1])) / 2
    slack = [lowest - 1, value - cost]
    if not full:
        slack.append(-abs(point[1] - floats(certificate["theta"])[1]).max())
    if certificate["scope"] == "local" and certificate["structure"]["gates"]:
        outgoing, gates = certificate["structure"]["outgoing"], certificate["structure"]["gates"]
        for j, row in enumerate(instance.network.patterns[0]):
            slack.append(outgoing[j] * point[1][j])
            w = np.array([point[0][k] if k >= 0 else 0.0 for k in row])
            slack += [
                outgoing[j] * outgoing[j] * g[j] * float(w @ x) for g, x in zip(gates, instance.x_float, strict=True)
            ]
    if min(slack) < -1e-9:
        assert not check(instance.problem, forged).accepted
    elif slack[0] > 1e-9 and slack[1] > 1e-9:
        assert check(instance.problem, forged).accepted


@given(st.sampled_from(sorted(EXAMPLES)), st.data(), st.fractions(-5, 5, max_denominator=1000))
def test_no_multipliers_show_a_better_point_where_there_is_none(
    name: str, data: st.DataObject, change: Fraction
) -> None:
    """The better point is theta itself, blown up by a little: no alpha and nu may lift the bound above its cost."""
    instance, certificate, _, _ = EXAMPLES[name]
    forged = copy.deepcopy(certificate)
    forged["better"] = forged["theta"]
    assert not check(instance.problem, forged).accepted
    nu = forged["face"].get("nu") or [[0] * instance.network.widths[1]] * instance.n
    forged["face"] = {"alpha": forged["face"]["alpha"], "nu": [list(row) for row in nu]}
    row: list[Any] = data.draw(st.sampled_from([forged["face"]["alpha"], *forged["face"]["nu"]]))
    place = data.draw(st.integers(0, len(row) - 1))
    row[place] = str(Fraction(row[place]) + change)
    assert not check(instance.problem, forged).accepted


@given(st.sampled_from(sorted(EXAMPLES)), st.data(), changes)
def test_negative_multipliers_are_rejected(name: str, data: st.DataObject, change: Fraction) -> None:
    """Where the sign matters: alpha, and nu where the gate is not zero."""
    instance, certificate, _, _ = EXAMPLES[name]
    forged = copy.deepcopy(certificate)
    places: list[tuple[list[Any], int]] = [(forged["face"]["alpha"], i) for i in range(instance.n)]
    for row, gates in zip(forged["face"].get("nu") or [], certificate["structure"]["gates"] or [], strict=False):
        places += [(row, j) for j, g in enumerate(gates) if g]
    row, place = data.draw(st.sampled_from(places))
    row[place] = str(-change)
    assert "negative" in check(instance.problem, forged).reason


def test_nu_of_a_gate_that_is_off_pushes_the_right_way() -> None:
    """Added with the wrong sign these nu would shorten both vectors, and put the bound above the value."""
    nu = [[0, 0, "1/2"], [0, 0, "1/2"], ["1/2", 0, 0]]
    forged = {**OFF, "better": OFF["theta"], "face": {"alpha": [2, 2, 1], "nu": nu}}
    assert not check(THREE_POINTS.problem, forged).accepted


def test_nu_has_no_place_without_gates() -> None:
    """It could only raise the slope, so nothing false would follow; but it means nothing either."""
    forged = {**LINEAR_PAIR, "face": {"alpha": [1], "nu": [[1, 0]]}}
    assert check(DIAGONAL_LINEAR.problem, forged).reason == "nu has no place where there are no gates"


@names
def test_without_multipliers_nothing_is_proven(name: str) -> None:
    """With alpha = 0 the bound on the face is 0."""
    instance, certificate, _, _ = EXAMPLES[name]
    checked = check(instance.problem, {**certificate, "face": {"alpha": [0] * instance.n}})
    assert checked.reason == "the better point does not cost less than every point with the structure"


def test_a_better_point_in_another_cell_is_only_globally_better() -> None:
    """One neuron a point: neuron 1 no longer acts on the second one."""
    checked = check(TWO_POINTS.problem, {**GLOBAL, "scope": "local"})
    assert checked.reason == "the better point leaves the cell: neuron 1 on sample 1"
    negative = {**PAIR, "better": [[0, "3/4"], ["-1/100", "3/4"]]}
    assert "changes its sign" in check(DIAGONAL_RELU.problem, negative).reason


def test_a_structure_that_no_feasible_point_has_proves_nothing() -> None:
    """theta is feasible only by an input of 1e-5, which is nothing beside |w| |x| = 2e5.

    Call that gate zero, and every point with the structure has a margin of 0: all bounds on them hold.
    """
    instance = instance_of(fully_connected("relu", [2, 1]), [[1, "1/10000000000"]], [1])
    forged = {
        **DEAD,
        "theta": [["-1/100000", 200000], [100000]],
        "structure": {"outgoing": [1], "gates": [[0]]},
        "better": [[1, 0], [1]],
        "face": {"alpha": [10], "nu": [[0]]},
    }
    assert instance.problem.margins([[Fraction(a) for a in u] for u in forged["theta"]]) == [1]
    checked = check(instance.problem, forged)
    assert not checked.accepted
    assert "margin that is not positive" in checked.reason


def test_a_layer_certificate_keeps_the_other_layer() -> None:
    checked = check(AXES.problem, {**KINK_LAYER, "better": KINK["better"]})
    assert checked.reason == "the better point changes the layer that is held fixed"


def test_theta_must_be_separating() -> None:
    checked = check(AXES.problem, {**KINK, "theta": [[1, 0, 0, 1], [1, 0]]})
    assert (checked.accepted, checked.value, checked.bound) == (False, float("inf"), None)


def test_the_other_layer_scales_the_bound() -> None:
    """2 w . x >= 1: |w| = 1/2 is the least, and no better than itself."""
    instance = instance_of(fully_connected("relu", [2, 1]), [[1, 0]], [1])
    for problem, theta in (("layer 1", [["1/2", 0], [2]]), ("layer 2", [[2, 0], ["1/2"]])):
        same: Certificate = {
            "kind": "better",
            "problem": problem,
            "scope": "local",
            "theta": theta,
            "better": theta,
            "structure": {"outgoing": [1], "gates": [[1]]},
            "face": {"alpha": [1], "nu": [[0]]},
        }
        checked = check(instance.problem, same)
        assert not checked.accepted
        assert "does not cost less" in checked.reason, checked.reason
