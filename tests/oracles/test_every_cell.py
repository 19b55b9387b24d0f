"""Verdicts for every slope of the activation, fixed layers and several outputs, against all cells one by one.

A cell fixes the sides of all pre-activations, and with them the problem is convex.  These cells are listed here from
the definition of the network, without regions, trees or multipliers.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from harness.certificates import check
from harness.oracles import Verdict, decide
from harness.oracles.cone import CellNeuron, solve_cell
from harness.oracles.layer_tree import decide_layer
from harness.oracles.least_distance import least_norm
from harness.problem.networks import Network, convolutional, fully_connected
from harness.problem.points import Point
from harness.problem.problems import Problem
from tests.support.certificate_examples import changed
from tests.support.points import point, random_limit

SLOPES = [Fraction(1, 10), Fraction(1, 2), Fraction(9, 10), Fraction(-1), Fraction(2), Fraction(-3, 2)]
# Solvers are trusted so far, and what is optimal by less is neither here nor there.
CLOSE = 1e-7


def assert_agrees(verdict: Verdict, least: float, seen: Counter[str]) -> None:
    """least: the least cost over all cells of the verdict's scope."""
    seen[verdict.status] += 1
    if verdict.status == "optimal":
        assert least >= verdict.value * (1.0 - CLOSE)
    elif verdict.status == "not_optimal":
        assert verdict.bound is not None
        assert least <= verdict.bound * (1.0 + CLOSE) < verdict.value * (1.0 + CLOSE)
    assert verdict.certified == (verdict.status != "undecided")


# --- depth 2, one output: cells of neurons ---


def least_cost(found: Point, *, nearby: bool) -> float:
    """The least cost in any joint cell, or in any that has the point in its closure."""
    problem = found.problem
    network = problem.network
    fixed = not network.trained[1]
    v = [float(found.theta[1][k]) for k in network.patterns[1][0]]
    choices: list[list[CellNeuron]] = []
    for j, row in enumerate(network.patterns[0]):
        seen = [c for c, k in enumerate(row) if k >= 0]
        patch = problem.x_float[:, seen]
        w = np.array([found.theta[0][row[c]] for c in seen])
        a = patch @ w
        signs = np.where(np.abs(a) > 1e-9 * np.linalg.norm(w) * np.linalg.norm(patch, axis=1), np.sign(a), 0.0)
        dead = not fixed and not w.any()
        own: list[CellNeuron] = []
        for s in (1, -1) if not fixed and (dead or not nearby) else (np.sign(v[j]),):
            for gates in itertools.product((0, 1), repeat=problem.n):
                if nearby and any(sign and (sign > 0) != gate for sign, gate in zip(signs, gates, strict=True)):
                    continue
                activity = np.where(gates, 1.0, float(network.slope)) * (abs(v[j]) if fixed else 1.0)
                rows = (problem.y_float * s * activity)[:, None] * patch
                own.append(CellNeuron(j, int(s), gates, rows, (2.0 * np.array(gates) - 1.0)[:, None] * patch))
        choices.append(own)
    solved = (solve_cell(list(cells), fixed) for cells in itertools.product(*choices))
    return min((cell.value for cell in solved if cell is not None), default=np.inf)


@pytest.mark.parametrize("fixed", [False, True], ids=["trained", "fixed outputs"])
@pytest.mark.parametrize("slope", [*SLOPES, Fraction(0)], ids=str)
def test_depth_2(slope: Fraction, fixed: bool) -> None:
    local: Counter[str] = Counter()
    everywhere: Counter[str] = Counter()
    for seed in range(150):
        found = random_limit(seed, slope, fixed=fixed, most=(3, 2, 2))
        if found is None:
            continue
        verdicts = decide(found)
        assert_agrees(verdicts.local, least_cost(found, nearby=True), local)
        assert_agrees(verdicts.global_, least_cost(found, nearby=False), everywhere)
        # With a kink and convex cells there are but these reasons.
        expected = {"kink"} if fixed else {"kink", "dead neuron"}
        assert verdicts.mechanism in expected if verdicts.local.status == "not_optimal" else verdicts.mechanism is None
        assert [pair is None for pair in verdicts.layers] == [False, fixed]
    assert local["undecided"] + everywhere["undecided"] == 0
    assert min(local["optimal"], everywhere["optimal"]) >= 10


def test_a_dead_neuron_of_a_leaky_network_wakes() -> None:
    """As a relu one does (docs/statements.md, section 6): a neuron for each point costs less than one for both."""
    network = fully_connected("leaky_relu", (2, 2), negative_slope=Fraction(1, 2))
    found = point(network, [["1", "1/4"], ["-1", "1/4"]], [1, 1], [[0, 2, 0, 0], [2, 0]])
    verdicts = decide(found)
    assert (verdicts.local.status, verdicts.mechanism) == ("not_optimal", "dead neuron")
    assert verdicts.local.certified


# --- fixed outputs, orthogonal data: the value is known ---


@pytest.mark.parametrize("slope", ["1/10", "1/2", "9/10"])
@pytest.mark.parametrize("seed", range(6))
def test_orthogonal_data_and_fixed_outputs(seed: int, slope: str) -> None:
    """Half the sum of 1 / (|x_i|^2 (m_s + slope^2 m_o)), in the cell sign(w_j . x_i) = v_j y_i."""
    g = Fraction(slope)
    rng = np.random.default_rng(seed)
    d = int(rng.integers(1, 5))
    base = np.diag(rng.integers(1, 4, d) * rng.choice((-1, 1), d))
    if d > 1:
        # Two rows turned into each other stay at right angles.
        base[:2, :2] = [[3, 1], [-1, 3]]
    x = base[: int(rng.integers(1, d + 1))]
    y = rng.choice((-1, 1), len(x)).tolist()
    v = [1] * int(rng.integers(1, 4)) + [-1] * int(rng.integers(1, 4))
    weights = [
        1 / (int(row @ row) * (v.count(label) + g * g * v.count(-label))) for row, label in zip(x, y, strict=True)
    ]
    w = [
        s * sum(a * label * (1 if s == label else g) * int(row[c]) for a, label, row in zip(weights, y, x, strict=True))
        for s in v
        for c in range(d)
    ]
    network = fully_connected("leaky_relu", (d, len(v)), negative_slope=g, fixed={2: v})
    found = point(network, x.tolist(), y, [w, v])
    verdicts = decide(found)
    expected = float(sum(weights)) / 2
    assert found.value == pytest.approx(expected, rel=1e-12)
    assert (verdicts.local.status, verdicts.global_.status) == ("optimal", "optimal")
    assert verdicts.global_.bound == pytest.approx(expected, rel=1e-9)
    assert verdicts.layers[0] is not None
    assert verdicts.layers[1] is None
    assert (verdicts.global_.certificate or {})["problem"] == "full"
    assert check(found.problem, verdicts.global_.certificate or {}).accepted


# --- one layer at any depth, several outputs: cells of its own ---


def signs_at(matrix: np.ndarray, h: np.ndarray) -> np.ndarray:
    """Of the pre-activations, 0 where they are rounding."""
    a = matrix @ h
    return np.where(np.abs(a) > 1e-9 * np.linalg.norm(matrix, axis=1) * np.linalg.norm(h), np.sign(a), 0.0)


def layer_cells(
    problem: Problem, theta: Sequence[np.ndarray], layer: int
) -> Iterator[tuple[np.ndarray, np.ndarray, bool]]:
    """For every choice of sides the margins (R, size) and walls (., size), and whether theta is next to it."""
    network = problem.network
    slope = float(network.slope)
    matrices = network.matrices(theta)
    table, size = network.tables[layer], network.sizes[layer]
    widths = network.widths[layer + 1 : network.depth]
    samples: list[list[tuple[list[np.ndarray], list[np.ndarray], bool]]] = []
    for i, x in enumerate(problem.x_float):
        inputs, signs = [x], []
        for matrix in matrices[:-1]:
            signs.append(signs_at(matrix, inputs[-1]) if network.kinked else np.ones(len(matrix)))
            inputs.append(np.where(signs[-1] > 0, 1.0, np.where(signs[-1] < 0, slope, 0.0)) * (matrix @ inputs[-1]))
        first = np.einsum("c,rck->rk", inputs[layer], (table[:, :, None] == np.arange(size)).astype(float))
        choices: list[tuple[list[np.ndarray], list[np.ndarray], bool]] = []
        sides = (itertools.product((0, 1) if network.kinked else (1,), repeat=width) for width in widths)
        for gates in itertools.product(*sides):
            forms, walls, near = first, [], True
            for k, side in enumerate(gates, layer):
                walls += list((2.0 * np.array(side) - 1.0)[:, None] * forms) if network.kinked else []
                near = near and not any(s and (s > 0) != g for s, g in zip(signs[k], side, strict=True))
                forms = matrices[k + 1] @ (np.where(side, 1.0, slope)[:, None] * forms)
            margins = [np.array(seed) @ forms for sample, seed in problem.rows if sample == i]
            choices.append((margins, walls, near))
        samples.append(choices)
    for joint in itertools.product(*samples):
        margins = [q for own, _, _ in joint for q in own]
        walls = [wall for _, own, _ in joint for wall in own if np.abs(wall).max() > 1e-12]
        yield np.array(margins), np.array(walls).reshape(-1, size), all(near for _, _, near in joint)


def best_of(margins: np.ndarray, walls: np.ndarray) -> tuple[float, np.ndarray]:
    found = least_norm(np.vstack([margins, walls]), np.append(np.ones(len(margins)), np.zeros(len(walls))))
    if found is None or found.z is None:
        return np.inf, np.zeros(margins.shape[1])
    return 0.5 * float(found.z @ found.z), found.z


def optimum_of_a_cell(rng: np.random.Generator, network: Network, layer: int, points: int) -> Point | None:
    """Small integers, but for one layer, which is the best one in some cell."""
    labels = (-1, 1) if network.outputs == 1 else range(network.outputs)
    x = rng.integers(-3, 4, (points, network.widths[0]))
    x[:, 0] += ~x.any(axis=1)
    drawn = [rng.integers(-2, 3, size).tolist() for size in network.sizes]
    theta: list[Any] = [u if own is None else own for u, own in zip(drawn, network.fixed, strict=True)]
    problem = Problem(network, x.tolist(), rng.choice(labels, points).tolist())
    floats = [np.array([float(a) for a in u]) for u in theta]
    solved = [best_of(margins, walls) for margins, walls, _ in layer_cells(problem, floats, layer)]
    feasible = [z for cost, z in solved if np.isfinite(cost)]
    if not feasible:
        return None
    z = feasible[int(rng.integers(len(feasible)))]
    theta[layer] = np.where(np.abs(z) < 1e-10 * np.abs(z).max(), 0.0, z).tolist()
    try:
        return Point.at(problem, theta)
    except ValueError:
        return None


HALF = Fraction(1, 2)
NETWORKS: dict[str, Network] = {
    "leaky, depth 2": fully_connected("leaky_relu", (2, 2), negative_slope=HALF),
    "absolute value, depth 2": fully_connected("leaky_relu", (2, 2), negative_slope=-1),
    "steep, depth 3": fully_connected("leaky_relu", (1, 2, 1), negative_slope=2),
    "leaky, depth 3": fully_connected("leaky_relu", (2, 1, 2), negative_slope=Fraction(1, 10)),
    "relu, 3 classes": fully_connected("relu", (2, 2), outputs=3),
    "leaky, 2 classes": fully_connected("leaky_relu", (2, 2), negative_slope=HALF, outputs=2),
    "leaky, 3 classes, depth 3": fully_connected("leaky_relu", (1, 2, 1), negative_slope=HALF, outputs=3),
    "linear, 3 classes": fully_connected("linear", (2, 2), outputs=3),
    "first layer fixed": fully_connected("relu", (2, 3), fixed={1: [1, 0, 0, Fraction(1, 3), -1, 1]}),
    "last layer fixed, 3 classes": fully_connected(
        "relu", (2, 2), outputs=3, fixed={2: [1, 0, Fraction(1, 3), 1, -1, 0]}
    ),
    "only the middle trained": fully_connected(
        "leaky_relu", (2, 2, 1), negative_slope=HALF, fixed={1: [1, 2, -1, Fraction(1, 3)], 3: [-2]}
    ),
    "fixed outputs, one of them zero": fully_connected(
        "leaky_relu", (2, 3), negative_slope=HALF, fixed={2: [1, 0, Fraction(-1, 3)]}
    ),
    "fixed outputs of one number": Network("relu", (((0, 1), (2, 3)), ((0, 0),)), fixed=(None, (Fraction(1, 3),))),
    "convolution, fixed outputs": convolutional("leaky_relu", 3, 2, negative_slope=HALF, fixed={2: [1, -1]}),
    "middle fixed": fully_connected("leaky_relu", (1, 2, 1), negative_slope=HALF, fixed={2: [Fraction(1, 3), -1]}),
}


def optima(rng: np.random.Generator, network: Network, count: int) -> Iterator[tuple[int, Point]]:
    """Least points of cells of the problem over each trained layer, from so many tries, and which layer it is."""
    for layer in (k for k, own in enumerate(network.trained) if own):
        for _ in range(count // network.degree):
            found = optimum_of_a_cell(rng, network, layer, 2)
            if found is not None:
                yield layer, found


@pytest.mark.parametrize("name", NETWORKS)
def test_one_layer(name: str) -> None:
    network = NETWORKS[name]
    rng = np.random.default_rng(5)
    seen: Counter[str] = Counter()
    for layer, found in optima(rng, network, 150):
        cells = [
            (best_of(margins, walls)[0], near)
            for margins, walls, near in layer_cells(found.problem, found.theta, layer)
        ]
        pair = decide_layer(found, layer, certify=True)
        assert_agrees(pair.local, min(cost for cost, near in cells if near), seen)
        assert_agrees(pair.global_, min(cost for cost, _ in cells), seen)
        if network.degree == 1:
            # The layer's problem is the whole, and the proof says so.
            verdicts = decide(found)
            for whole, own in ((verdicts.local, pair.local), (verdicts.global_, pair.global_)):
                assert whole.status == own.status
                assert (whole.certificate or {})["problem"] == "full"
                assert whole.certified
    assert seen["undecided"] == 0
    assert seen["optimal"] >= 20


@pytest.mark.parametrize("name", NETWORKS)
def test_proofs_of_a_layer_are_about_its_own_point(name: str) -> None:
    """The least point of a cell is one alone, so that no proof holds of a point beside it."""
    network = NETWORKS[name]
    rng = np.random.default_rng(6)
    seen: Counter[str] = Counter()
    for layer, found in optima(rng, network, 60):
        for verdict in (pair := decide_layer(found, layer, certify=True)).local, pair.global_:
            certificate: Any = verdict.certificate
            seen[verdict.status] += 1
            if verdict.status == "not_optimal":
                less = [str(Fraction(a) / 2) for a in certificate["better"]]
                assert "not feasible" in check(found.problem, {**certificate, "better": less}).reason
                continue
            own = found.theta[layer]
            step = rng.standard_normal(len(own))
            # Along the point only its scale changes, and at right angles to it the cost does.
            step -= (step @ own) / (own @ own) * own
            step *= 1e-3 * np.linalg.norm(own) / max(float(np.linalg.norm(step)), 1e-300)
            beside = [str(Fraction(a) + Fraction(float(b))) for a, b in zip(own, step, strict=True)]
            if len(beside) > 1:
                assert not check(found.problem, changed(certificate, ["theta", layer], beside)).accepted
            for fixed in (k for k, trained in enumerate(network.trained) if not trained):
                other = changed(certificate, ["theta", fixed, 0], "7/5")
                assert "is fixed" in check(found.problem, other).reason
    assert seen["optimal"] >= 6
