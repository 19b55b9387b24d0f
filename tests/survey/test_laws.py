"""The random laws of the survey are what they are said to be, and an instance depends on its index alone."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

from harness.problem import predicates
from harness.problem.fields import FieldError
from harness.problem.predicates import near_orthogonal
from harness.survey import Cell, drawn, grid
from harness.survey.laws import AUDIT, draw, stream
from harness.survey.standard import cells


def test_an_instance_depends_on_seed_and_index_alone() -> None:
    cell = Cell(width=3)
    one = drawn(cell, 5, 17)
    assert drawn(cell, 5, 17) == one
    assert drawn(cell, 5, 18) != one
    assert drawn(cell, 6, 17) != one


def test_one_in_a_hundred_is_audited() -> None:
    cell = Cell(width=1, n=1, d=1)
    audited = sum(drawn(cell, 0, index)[1] for index in range(20 * AUDIT))
    assert 10 <= audited <= 33


def test_a_grid_is_a_product() -> None:
    found = grid(width=(2, 3), n=[1, 2, 4], scale=0.5)
    assert len(found) == 6
    assert {(cell.width, cell.n, cell.scale) for cell in found} == {(k, n, 0.5) for k in (2, 3) for n in (1, 2, 4)}


@pytest.mark.parametrize(
    ("axes", "field"),
    [
        ({"family": "dense"}, "cell.family"),
        ({"width": None}, "cell.width"),
        ({"family": "diagonal", "width": 2}, "cell.width"),
        ({"width": 2, "n": 0}, "cell.n"),
        ({"width": 2, "scale": 0.0}, "cell.scale"),
        ({"width": 2, "outgoing": float("nan")}, "cell.outgoing"),
        ({"width": 2, "data": "near-orthogonal", "n": 3, "d": 2}, "cell.n"),
        ({"width": 2, "data": "oblique", "n": 3, "d": 2}, "cell.n"),
        ({"family": "convolutional", "depth": 3, "d": 3}, "cell.depth"),
    ],
)
def test_a_cell_that_makes_no_sense_is_refused(axes: dict[str, Any], field: str) -> None:
    with pytest.raises(FieldError) as caught:
        Cell(**axes)
    assert caught.value.field == field


def _points(data: str, n: int, d: int, count: int = 200) -> np.ndarray:
    cell = Cell(width=1, data=data, n=n, d=d)  # type: ignore[arg-type]
    return np.array([draw(cell, stream(1, index)).x_float for index in range(count)])


def test_gaussian_points() -> None:
    x = _points("gaussian", 4, 3)
    assert abs(x.mean()) < 0.1
    assert abs(x.std() - 1.0) < 0.1


def test_integer_points_are_small_and_never_zero() -> None:
    x = _points("integer", 4, 1)
    assert set(np.unique(x)) == {-3.0, -2.0, -1.0, 1.0, 2.0, 3.0}


def test_near_orthogonal_points() -> None:
    x = _points("near-orthogonal", 3, 4)
    products = x @ x.transpose(0, 2, 1)
    off = products[:, ~np.eye(3, dtype=bool)]
    assert 0.01 < np.abs(off).mean() < 0.15
    assert abs(products[:, range(3), range(3)].mean() - 1.0) < 0.1


def test_oblique_points_lie_on_both_sides_of_what_claims_ask() -> None:
    cell = Cell(width=2, data="oblique", n=3, d=4)
    meet = Counter(near_orthogonal(draw(cell, stream(1, index)).problem) for index in range(200))
    assert min(meet[True], meet[False]) > 20


def test_clustered_points_lie_about_two_centres() -> None:
    for x in _points("clustered", 6, 3, 50):
        nearest = min(
            max(min(np.linalg.norm(row - a), np.linalg.norm(row - b)) for row in x)
            for a, b in itertools.combinations_with_replacement(x, 2)
        )
        assert nearest < 2.0


def test_teachers_can_be_learnt() -> None:
    both = set()
    for index in range(50):
        instance = draw(Cell(width=2, n=6), stream(0, index))
        signed = instance.y_float[:, None] * instance.x_float
        assert linprog(np.zeros(2), -signed, -np.ones(6), bounds=(None, None)).success
        both |= set(instance.y)
        start = draw(Cell(width=2, labels="start"), stream(0, index))
        assert min(start.problem.margins(start.theta0)) >= 0
    assert both == {1, -1}


@pytest.mark.parametrize("family", ["fully connected", "locally connected", "diagonal"])
@pytest.mark.parametrize("depth", [2, 3])
def test_outgoing_norms_are_fixed(family: Any, depth: int) -> None:
    width = None if family == "diagonal" else 3
    cell = Cell(family=family, depth=depth, width=width, d=3, outgoing=0.5, scale=2.0)
    instance = draw(cell, stream(0, 3))
    network, theta = instance.network, instance.theta0_float
    for layer, (below, above) in enumerate(itertools.pairwise(network.patterns)):
        for j, row in enumerate(below):
            incoming = np.linalg.norm([theta[layer][k] for k in row if k >= 0])
            outgoing = np.linalg.norm([theta[layer + 1][r[j]] for r in above if r[j] >= 0])
            assert outgoing == pytest.approx(0.5 * incoming)
            if family == "diagonal":
                assert outgoing == 0.5 * incoming


def test_shared_layers_are_balanced_as_wholes() -> None:
    instance = draw(Cell(family="convolutional", d=4, outgoing=1.0), stream(0, 3))
    first, second = map(np.linalg.norm, instance.theta0_float)
    assert first == pytest.approx(second)


def test_integer_starts_have_zeros_and_ties_exactly() -> None:
    instance = draw(Cell(width=8, start="integer", scale=0.1), stream(0, 0))
    values = [value for row in instance.theta0 for value in row]
    assert 0 in values
    assert len(set(values)) < len(values)


def test_the_standard_cells_are_those_that_a_claim_speaks_of() -> None:
    assert {cell.depth for cell in cells(["deep-local"])} == {3}
    assert {cell.family for cell in cells(["shared-local"])} == {"convolutional", "circulant", "scalar"}
    assert {cell.data for cell in cells(["sym-floor"])} == {"mirrored"}
    assert 1.0 in {cell.outgoing for cell in cells(["diag2-balanced-orthant"])}
    assert {cell.fixed for cell in cells(["leaky-orthsep"])} == {2}
    assert len(cells([])) > len(cells(["fc-relu-local"])) > 0
    with pytest.raises(FieldError, match="no claim"):
        cells(["no-such-claim"])


@pytest.mark.parametrize(
    "axes",
    [
        {"activation": "leaky_relu", "slope": 0.25, "width": 2},
        {"fixed": 2, "width": 3, "labels": "start"},
        {"fixed": 1, "width": 3, "labels": "network teacher", "outgoing": 1.0},
        {"outputs": 3, "width": 2},
        {"outputs": 3, "width": 2, "labels": "random"},
        {"outputs": 2, "family": "diagonal", "labels": "start"},
        {"outputs": 3, "family": "locally connected", "width": 3, "labels": "network teacher", "fixed": 2},
    ],
)
def test_slopes_fixed_layers_and_classes(axes: dict[str, Any]) -> None:
    cell = Cell(**axes)
    found = [drawn(cell, 3, index)[0] for index in range(30)]
    for instance in found:
        assert instance.network.slope == cell.network.slope
        assert instance.network.trained == cell.network.trained
        assert instance.network.outputs == cell.outputs
    assert len({instance.y for instance in found}) > 1
    if cell.fixed == cell.depth and cell.outputs == 1:
        assert {abs(a) for instance in found for a in instance.theta0[-1]} == {1}


@pytest.mark.parametrize(
    ("axes", "field"),
    [
        ({"width": 2, "activation": "leaky_relu"}, "cell.slope"),
        ({"width": 2, "slope": 0.5}, "cell.slope"),
        ({"width": 2, "fixed": 3}, "cell.fixed"),
        ({"depth": 1, "fixed": 1}, "cell.fixed"),
        ({"width": 2, "outputs": 0}, "cell.outputs"),
    ],
)
def test_what_makes_no_sense_of_them_is_refused(axes: dict[str, Any], field: str) -> None:
    with pytest.raises(FieldError) as caught:
        Cell(**axes)
    assert caught.value.field == field


def test_what_a_cell_is_called() -> None:
    assert Cell(width=2).kind == "fully connected relu, depth 2"
    named = Cell(activation="leaky_relu", slope=0.1, width=2, fixed=2, outputs=3).kind
    assert named == "fully connected leaky_relu (slope 0.1), depth 2, layer 2 fixed, 3 classes"


@pytest.mark.parametrize(
    ("axes", "predicate"),
    [
        ({"data": "orthogonally separable", "labels": "sum", "n": 4, "d": 3}, predicates.orthogonally_separable),
        ({"data": "mirrored", "n": 4, "d": 3}, predicates.mirrored_and_separable),
        ({"data": "hidden bias", "n": 4}, predicates.univariate),
        ({"data": "basis", "n": 3, "d": 3, "labels": "random", "outputs": 3}, predicates.standard_basis),
    ],
)
def test_data_of_a_kind_are(axes: dict[str, Any], predicate: Any) -> None:
    cell = Cell(width=2, **axes)
    assert all(predicate(drawn(cell, 0, index)[0].problem) for index in range(20))


def test_filters_around_the_input() -> None:
    assert predicates.is_circulant(Cell(family="circulant", d=3, activation="linear").network)
    assert predicates.is_scalar(Cell(family="scalar", d=3, activation="linear").network)
    balanced = Cell(family="diagonal", d=3, activation="linear", outgoing=1.0)
    assert all(predicates.balanced(drawn(balanced, 0, index)[0]) for index in range(20))


@pytest.mark.parametrize(
    ("axes", "field"),
    [
        ({"width": 2, "data": "mirrored", "n": 3}, "cell.n"),
        ({"width": 2, "data": "hidden bias", "d": 3}, "cell.d"),
        ({"width": 2, "data": "basis", "n": 3, "d": 2}, "cell.n"),
        ({"width": 2, "labels": "sum", "outputs": 2}, "cell.labels"),
        ({"family": "circulant", "depth": 3}, "cell.depth"),
    ],
)
def test_what_makes_no_sense_of_those_is_refused(axes: dict[str, Any], field: str) -> None:
    with pytest.raises(FieldError) as caught:
        Cell(**axes)
    assert caught.value.field == field
