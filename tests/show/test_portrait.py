"""What `marginalia check` shows a person of a limit: its neurons, its cell, and what improves it."""

from __future__ import annotations

import re

from harness.oracles import decide
from harness.problem.networks import diagonal, fully_connected
from harness.problem.points import Point
from harness.show.answers import check_text
from tests.certificates.test_stored import deep, deep_gap, deep_kink
from tests.support.points import active_global, as_limit, depth2_local, fc_relu_local, nonzero_local, point


def shown(found: Point) -> list[str]:
    return check_text(as_limit(found), decide(found)).splitlines()


def section(lines: list[str], title: str) -> list[str]:
    start = next(i for i, line in enumerate(lines) if line.startswith(title))
    return lines[start:]


def test_neurons_gates_and_points() -> None:
    lines = shown(nonzero_local())
    rows = section(lines, "neuron")
    assert re.split(" {2,}", rows[1]) == ["1", "(1, 0)", "(1)", "+ 0"]
    assert re.split(" {2,}", rows[2]) == ["2", "(0, 1)", "(1)", "0 +"]
    points = section(lines, "point")
    assert re.split(" {2,}", points[1]) == ["0", "(1, 0)", "+1", "1", "1", "active"]
    assert "2 kinks of live neurons, with 4 choices of gates next to the limit." in lines


def test_a_dead_neuron_and_what_wakes_it() -> None:
    lines = shown(fc_relu_local())
    assert "1 zero neuron, which could wake with any gates." in lines
    better = section(lines, "What improves it nearby (dead neuron):")
    assert "in one closed cell with the limit" in better[1]
    woken = re.split(" {2,}", better[-1])
    assert woken[0] == "2"
    assert woken[3] != "zero"


def test_a_linear_network_without_gates() -> None:
    lines = shown(depth2_local())
    assert any(line.startswith("What improves it nearby (zero weight):") for line in lines)
    assert not any("next to the limit" in line and "gates" in line for line in lines)


def test_a_curve_and_the_best_point_on_it() -> None:
    better = section(shown(deep("relu")), "What improves it nearby (saddle):")
    assert "theta + s d + s^2 e" in better[1]
    assert [line.split(" = ")[0].strip() for line in better[2:8]] == ["d^1", "d^2", "d^3", "e^1", "e^2", "e^3"]
    match = re.match(r"at s = ([0-9.]+), scaled to a least margin of 1, the value is ([0-9.]+):", better[8])
    assert match is not None
    assert 1.5 <= float(match[2]) < 1.88


def test_a_curve_that_chooses_gates() -> None:
    better = section(shown(deep_kink()), "What improves it nearby (kink):")
    assert any(re.fullmatch(r"  neuron \d of layer \d is (on|off) along it on point \d", line) for line in better)


def test_what_is_better_elsewhere_or_in_one_layer() -> None:
    assert any(line == "What is better elsewhere:" for line in shown(active_global()))
    assert any(line == "What improves layer 1 alone, elsewhere:" for line in shown(deep_gap()))


def test_an_optimum_has_nothing_better() -> None:
    lines = shown(point(diagonal("linear", 2, 3), [[1, 2]], [1], [[0, 1]] * 3))
    assert not any(line.startswith("What") for line in lines)


def test_one_layer_alone() -> None:
    lines = shown(point(fully_connected("linear", (2,)), [[3, 4]], [1], [[3, 4]]))
    assert "weights (0.12, 0.16)" in lines
