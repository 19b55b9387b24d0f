"""Global verdicts on linear networks by the product of norms."""

from __future__ import annotations

import copy
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from benchmarks.families import suite
from harness import drive
from harness.certificates import check
from harness.certificates.definite import positive_semidefinite
from harness.oracles import decide
from harness.oracles.products import decide_product
from harness.problem.fields import FieldError
from harness.problem.networks import Network, convolutional, fully_connected
from tests.support.points import as_limit, point

X, Y = [[2, 0], [0, 1]], [1, 1]
# The hard-margin SVM of X, Y: w = (1/2, 1).
W = np.array([0.5, 1.0])
NORM = float(np.linalg.norm(W))


def rank_one(depth: int):
    root = NORM ** (1.0 / depth)
    first = W / NORM * root
    middle = [[root, 0, 0, 0]] * (depth - 2)
    return point(fully_connected("linear", (2,) * depth), X, Y, [[*first, 0, 0], *middle, [root, 0]])


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_the_svm_in_one_path_is_global(depth: int) -> None:
    found = rank_one(depth)
    verdict = decide(found).global_
    assert (verdict.status, verdict.certified) == ("optimal", True)
    assert verdict.value == pytest.approx(depth / 2 * NORM ** (2 / depth))
    assert verdict.bound == pytest.approx(verdict.value, rel=1e-9)
    assert decide(found).local.status == "optimal"


def test_depth_1_is_the_svm_itself() -> None:
    found = point(Network("linear", (((0, 1),),)), X, Y, [list(W)])
    assert decide(found).global_.status == "optimal"
    shared = point(Network("linear", (((0, 0),),)), X, Y, [[1.0]])
    verdict = decide(shared).global_
    assert (verdict.status, verdict.value) == ("optimal", 0.5)


def test_a_planted_point_is_not_global() -> None:
    """Two paths, one a coordinate, at depth 3: concave, so that one path is cheaper."""
    root = 0.5 ** (1 / 3)
    found = point(fully_connected("linear", (2, 2, 2)), X, Y, [[root, 0, 0, 1], [root, 0, 0, 1], [root, 1]])
    verdict = decide(found).global_
    assert (verdict.status, verdict.certified) == ("not_optimal", True)
    assert verdict.bound is not None
    assert 1.5 * NORM ** (2 / 3) <= verdict.bound < verdict.value


def test_flows_of_fully_connected_linear_networks_end_at_global_optima() -> None:
    seen = 0
    for kind in ("integer", "generic"):
        for found in drive(suite(3, 15, kind, ["fully connected linear, depth 3"])):
            if found.point is not None and not found.point.doubt:
                seen += 1
                verdicts = decide(found)
                assert verdicts.global_.certified
                assert verdicts.global_.status == verdicts.local.status == "optimal"
    assert seen > 15


def test_a_filter_on_its_top_singular_pair_is_global() -> None:
    # One sample: sum alpha q = v . M w, and the best point is the top singular pair.
    network = convolutional("linear", 3, 2)
    x = [[3, 1, 2]]
    left, values, right = np.linalg.svd(np.array([[3.0, 1.0], [1.0, 2.0]]))
    verdict = decide_product(point(network, x, [1], [right[0].tolist(), left[:, 0].tolist()]), certify=True)
    assert verdict is not None
    assert (verdict.status, verdict.certified) == ("optimal", True)
    assert verdict.value == pytest.approx(1.0 / values[0])
    assert decide_product(point(network, x, [1], [right[1].tolist(), left[:, 1].tolist()]), certify=True) is None


def forged() -> list[tuple[str, dict[str, Any]]]:
    return [
        ("less than", {"alpha": [1, 1]}),
        ("less than", {"alpha": ["1/2", 1]}),
        ("negative", {"alpha": [-1, 1]}),
        ("infinite", {"alpha": [0, 0]}),
    ]


@pytest.mark.parametrize(("reason", "change"), forged())
def test_forged_product_bounds_are_rejected(reason: str, change: dict[str, Any]) -> None:
    found = rank_one(3)
    certificate = copy.deepcopy(decide(found).global_.certificate)
    assert certificate is not None
    answer = check(found.problem, {**certificate, **change})
    assert not answer.accepted
    assert reason in answer.reason
    longer = [[*certificate["theta"][0][:2], "1/100", 0], *certificate["theta"][1:]]
    assert not check(found.problem, {**certificate, "theta": longer}).accepted


def test_a_singular_value_that_is_too_small_is_rejected() -> None:
    found = rank_one(2)
    verdict = decide_product(found, certify=True)
    assert verdict is not None
    assert verdict.certificate is not None
    square = Fraction(verdict.certificate["square"])
    answer = check(found.problem, {**verdict.certificate, "square": str(square * Fraction(99, 100))})
    assert "semidefinite" in answer.reason
    with pytest.raises(FieldError, match="square"):
        check(found.problem, {**verdict.certificate, "square": None})


def test_a_cheaper_point_must_be_feasible_and_cheaper() -> None:
    root = 0.5 ** (1 / 3)
    found = point(fully_connected("linear", (2, 2, 2)), X, Y, [[root, 0, 0, 1], [root, 0, 0, 1], [root, 1]])
    certificate = decide(as_limit(found)).global_.certificate
    assert certificate is not None
    better = [[Fraction(v) for v in u] for u in certificate["better"]]
    small = [[str(v * Fraction(9, 10)) for v in u] for u in better]
    assert "not feasible" in check(found.problem, {**certificate, "better": small}).reason
    large = [[str(v * 2) for v in u] for u in better]
    assert "clearly less" in check(found.problem, {**certificate, "better": large}).reason
    with pytest.raises(FieldError, match="scope"):
        check(found.problem, {**certificate, "scope": "local"})


def test_definite_matrices() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        size = int(rng.integers(1, 5))
        a = rng.integers(-2, 3, (size, size))
        matrix = a @ a.T if rng.random() < 0.5 else a + a.T
        exact = [[Fraction(int(v), 7) for v in row] for row in matrix]
        assert positive_semidefinite(exact) == (np.linalg.eigvalsh(matrix).min() > -1e-9)
