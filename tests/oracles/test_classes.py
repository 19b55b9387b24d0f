"""Global verdicts on linear networks of several outputs, and of two trained layers among fixed ones."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from harness.certificates import check
from harness.oracles import Verdict, decide
from harness.oracles.products import decide_product
from harness.problem.networks import Network, convolutional, fully_connected
from harness.problem.points import Point
from harness.problem.problems import Problem
from tests.support.certificate_examples import changed
from tests.support.points import margins_of, point, problem_of


def proven(verdict: Verdict | None) -> Verdict:
    assert verdict is not None
    assert verdict.certified, verdict.reason
    return verdict


# --- depth 1: the multi-class SVM ---


def machine(problem: Problem) -> tuple[float, np.ndarray] | None:
    """The least 1/2 |W|^2, by a solver of its own; None where the classes are not separated."""
    rows = np.einsum("rk,rd->rkd", problem.seeds, problem.inputs).reshape(len(problem.rows), -1)
    table = problem.network.tables[0].reshape(-1, 1) == np.arange(problem.network.size)
    rows = rows @ table.astype(float)
    found = minimize(
        lambda u: 0.5 * u @ u,
        np.zeros(rows.shape[1]),
        jac=lambda u: u,
        constraints=[{"type": "ineq", "fun": lambda u: rows @ u - 1.0, "jac": lambda u: rows}],
        method="SLSQP",
        options={"maxiter": 300, "ftol": 1e-14},
    )
    return (float(found.fun), found.x) if found.success and (rows @ found.x).min() > 1.0 - 1e-7 else None


SHARED = Network("linear", (((0, 1, 2), (2, 0, 1)),))


@pytest.mark.parametrize("network", [fully_connected("linear", (3,), outputs=k) for k in (2, 3, 4)] + [SHARED], ids=str)
def test_the_multi_class_svm(network: Network) -> None:
    rng = np.random.default_rng(1)
    seen = 0
    for _ in range(20):
        x = rng.integers(-3, 4, (4, network.widths[0]))
        x[:, 0] += ~x.any(axis=1)
        problem = problem_of(network, x.tolist(), rng.integers(0, network.outputs, 4).tolist())
        best = machine(problem)
        if best is None:
            continue
        seen += 1
        cost, weights = best
        verdicts = decide(Point.at(problem, [weights.tolist()]))
        # The solver's digits are short of the gap that a proof allows, so that either is right; no other bound is.
        verdict = proven(verdicts.global_)
        assert verdict.bound == pytest.approx(cost, rel=1e-6)
        far = Point.at(problem, [(weights + 0.01 * np.abs(weights).max() * rng.standard_normal(len(weights))).tolist()])
        moved = proven(decide(far).global_)
        assert moved.status == "not_optimal"
        assert moved.bound is not None
        assert cost * (1.0 - 1e-6) <= moved.bound < far.value
    assert seen >= 8


def exact_machine() -> Point:
    """Two points at right angles: the proof is in small integers."""
    return point(fully_connected("linear", (2,), outputs=2), [[1, 0], [0, 1]], [0, 1], [[0.5, -0.5, -0.5, 0.5]])


def test_the_proof_of_an_exact_multi_class_svm() -> None:
    verdicts = decide(exact_machine())
    for verdict in (verdicts.global_, verdicts.local):
        assert (proven(verdict).status, verdict.value) == ("optimal", 0.5)
    assert verdicts.layers[0] is not None
    assert proven(verdicts.layers[0].global_).status == "optimal"


def test_a_forged_proof_of_several_outputs_is_refused() -> None:
    found = exact_machine()
    certificate: dict[str, Any] = decide(found).global_.certificate or {}
    assert check(found.problem, certificate).accepted
    assert not check(found.problem, changed(certificate, ["alpha", 0], 0)).accepted
    assert not check(found.problem, changed(certificate, ["alpha", 0], -1)).accepted
    assert not check(found.problem, changed(certificate, ["theta", 0, 0], "3/5")).accepted
    other = problem_of(found.problem.network, found.problem.x, (1, 0))
    assert "positive" in check(other, certificate).reason


# --- depth 2 and more: the nuclear norm ---


def simplex(counts: tuple[int, ...], width: int) -> Point:
    """x_i = e_i, so many of each class; the predictor Y - 1/K in the balanced factors of its singular values."""
    y = [k for k, count in enumerate(counts) for _ in range(count)]
    n, classes = len(y), len(counts)
    target = np.eye(classes)[:, y] - 1.0 / classes
    u, s, v = np.linalg.svd(target, full_matrices=False)
    rank = classes - 1
    first, last = np.zeros((width, n)), np.zeros((classes, width))
    first[:rank], last[:, :rank] = s[:rank, None] ** 0.5 * v[:rank], u[:, :rank] * s[:rank] ** 0.5
    network = fully_connected("linear", (n, width), outputs=classes)
    return point(network, np.eye(n, dtype=int).tolist(), y, [first.ravel().tolist(), last.ravel().tolist()])


@pytest.mark.parametrize(
    ("counts", "value"), [((1, 1, 1), 2.0), ((2, 1, 1), 1.0 + (5.0 / 3.0) ** 0.5), ((2, 2), 2.0**0.5)]
)
def test_unit_vectors_cost_the_nuclear_norm(counts: tuple[int, ...], value: float) -> None:
    for width in (len(counts) - 1, len(counts) + 1):
        found = simplex(counts, width)
        assert found.value == pytest.approx(value)
        for verdict in (proven(decide(found).global_), proven(decide(found).local)):
            assert verdict.status == "optimal"
            assert verdict.bound == pytest.approx(found.value, rel=1e-9)


def test_classes_behind_kinks_are_open_globally() -> None:
    """The convex form of depth 2 is about one output; its layers are decided."""
    network = fully_connected("relu", (2, 2), outputs=2)
    found = point(network, [[1, 0], [0, 1]], [0, 1], [[1, 0, 0, 1], [0.5, -0.5, -0.5, 0.5]])
    verdicts = decide(found)
    assert verdicts.global_.status != "optimal"
    if verdicts.global_.status == "undecided":
        assert "several outputs" in verdicts.global_.reason
    assert all(pair is not None and pair.global_.status == "optimal" for pair in verdicts.layers[1:])


def test_two_classes_are_one_output_at_depth_3() -> None:
    """Only Phi_0 - Phi_1 counts: x = (1, 0), (0, 2), classes 0 and 1, have w* = (1, -1/2)."""
    w = np.array([1.0, -0.5])
    # The nuclear norm of the rows w/2 and -w/2, and its direction in one path.
    size = float(np.linalg.norm(w)) / 2.0**0.5
    root = size ** (1.0 / 3.0)
    first = np.zeros((2, 2))
    first[0] = w / np.linalg.norm(w) * root
    last = np.zeros((2, 2))
    last[:, 0] = np.array([1.0, -1.0]) / 2.0**0.5 * root
    theta = [first.ravel().tolist(), [root, 0, 0, 0], last.ravel().tolist()]
    found = point(fully_connected("linear", (2, 2, 2), outputs=2), [[1, 0], [0, 2]], [0, 1], theta)
    verdict = proven(decide_product(found, certify=True))
    assert verdict.status == "optimal"
    assert verdict.value == pytest.approx(1.5 * size ** (2.0 / 3.0))
    # A smaller singular value would prove too much.
    certificate: dict[str, Any] = verdict.certificate or {}
    square = float(Fraction(certificate["square"])) * 0.99
    assert not check(found.problem, {**certificate, "square": square}).accepted


# --- two trained layers among fixed ones ---


def middle_fixed(neuron: int) -> Point:
    """Neuron 1 of the first layer is passed on twice as loud as neuron 2."""
    network = fully_connected("linear", (2, 2, 2), fixed={2: [2, 0, 0, 1]})
    first, last = np.zeros((2, 2)), np.zeros(2)
    gain = (2.0, 1.0)[neuron]
    root = (5.0**0.5 / gain) ** 0.5
    first[neuron] = np.array([1.0, 2.0]) / 5.0**0.5 * root
    last[neuron] = root
    # The hard-margin SVM of these points is (1, 2).
    return point(network, [[1, 0], [0, "1/2"]], [1, 1], [first.ravel().tolist(), [2, 0, 0, 1], last.tolist()])


def test_a_fixed_layer_in_the_middle() -> None:
    verdict = proven(decide(middle_fixed(0)).global_)
    assert verdict.status == "optimal"
    assert verdict.value == pytest.approx(5.0**0.5 / 2.0)
    # The other neuron costs twice as much; the bound does not reach it.
    assert decide_product(middle_fixed(1), certify=True) is None


def test_a_fixed_layer_has_the_network_s_own_numbers() -> None:
    found = middle_fixed(0)
    certificate: dict[str, Any] = proven(decide_product(found, certify=True)).certificate or {}
    assert check(found.problem, certificate).accepted
    assert "fixed" in check(found.problem, changed(certificate, ["theta", 1, 0], 3)).reason


def test_fixed_layers_that_no_product_bound_takes() -> None:
    network = fully_connected("linear", (1, 1, 1, 1), fixed={2: [1]})
    found = point(network, [[1]], [1], [[1]] * 4)
    assert decide_product(found, certify=True) is None
    certificate = {"kind": "product bound", "problem": "full", "scope": "global", "theta": [[1]] * 4, "alpha": [1]}
    assert "two trained layers" in check(found.problem, certificate).reason


BILINEAR: dict[str, Network] = {
    "convolution, 3 classes": convolutional("linear", 3, 2, outputs=3),
    "fully connected, 2 classes": fully_connected("linear", (3, 2), outputs=2),
    "first fixed": fully_connected("linear", (3, 2, 2), fixed={1: [1, 2, -1, 0, 1, 3]}),
    "middle fixed, 3 classes": fully_connected("linear", (3, 2, 2), outputs=3, fixed={2: [1, 2, -1, Fraction(1, 3)]}),
    "last fixed, 2 classes": fully_connected("linear", (3, 2, 2), outputs=2, fixed={3: [1, 2, -1, Fraction(1, 3)]}),
}


@pytest.mark.parametrize("name", BILINEAR)
def test_the_singular_value_is_that_of_the_margins(name: str) -> None:
    """The form of sum alpha_i q_i, entry by entry from unit vectors: the checker takes its norm and nothing less."""
    network = BILINEAR[name]
    rng = np.random.default_rng(3)
    x = [[1, 0, 2], [0, 1, -1], [2, 2, 1]]
    while True:
        y = rng.choice((-1, 1), 3).tolist() if network.outputs == 1 else rng.integers(0, network.outputs, 3).tolist()
        problem = problem_of(network, x, y)
        drawn = [rng.integers(-3, 4, size).tolist() for size in network.sizes]
        theta: list[Any] = [u if own is None else list(own) for u, own in zip(drawn, network.fixed, strict=True)]
        if margins_of(network, problem, [np.array(u, dtype=float) for u in theta]).min() > 0.0:
            break
    low, high = (layer for layer, own in enumerate(network.trained) if own)
    alpha = rng.integers(0, 5, len(problem.rows))
    form = np.zeros((network.sizes[high], network.sizes[low]))
    for b, a in np.ndindex(*form.shape):
        unit = [np.array(u, dtype=float) for u in theta]
        unit[low], unit[high] = np.eye(network.sizes[low])[a], np.eye(network.sizes[high])[b]
        form[b, a] = alpha @ margins_of(network, problem, unit)
    certificate = {"kind": "product bound", "problem": "full", "scope": "global"}
    certificate |= {"theta": [[str(a) for a in u] for u in theta], "alpha": alpha.tolist()}
    square = float(np.linalg.norm(form, 2)) ** 2
    for share, wanted in ((1.0 + 1e-9, "less than (1 - 1e-9) times"), (1.0 - 1e-9, "not positive semidefinite")):
        checked = check(problem, {**certificate, "square": square * share})
        assert wanted in checked.reason
