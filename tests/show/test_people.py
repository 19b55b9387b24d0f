"""What print, help, a notebook and plots show of instances, points, limits, verdicts and claims."""

from __future__ import annotations

import pydoc
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest
from matplotlib.figure import Figure

import harness
from harness import Point, decide, drive
from harness.claims.table import CLAIMS
from harness.problem.instances import Instance
from harness.problem.networks import circulant, fully_connected
from harness.problem.problems import with_bias
from harness.report.plots import plot_instance
from tests.support.points import active_global, as_limit, fc_relu_local, point

START = Instance.of(
    fully_connected("relu", (2, 2)), "exponential", [[1, 0.25], [-1, 0.25]], (1, 1), [[0, 3, 0, -2], [3, 0]]
)
SHAPES: dict[str, Point] = {
    "one dimension": point(fully_connected("relu", (1, 2)), [[1], [-2]], [1, 1], [[1, -1], [1, 1]]),
    "two": fc_relu_local(),
    "two and a bias": point(
        fully_connected("relu", (3, 2)), with_bias([[1, 2], [0, -1]]), [1, 1], [[1, 0, 1, 0, -1, 1], [1, 1]]
    ),
    "one and a bias": point(fully_connected("relu", (2, 2)), with_bias([[1], [2]]), [1, 1], [[1, 1, 0, 1], [1, 1]]),
    "three": point(fully_connected("relu", (3, 2)), [[1, 2, 3], [0, -1, 1]], [1, 1], [[1, 0, 1, 0, -1, 1], [1, 1]]),
    "three, of depth 1": point(fully_connected("linear", (3,)), [[1, 2, 3]], [1], [[1, 0, 1]]),
    "many": point(circulant("linear", 5), [[1, 2, 3, 4, 5]], [1], [[1] * 5, [1] * 5]),
    "classes": point(
        fully_connected("relu", (2, 2), outputs=3), [[1, 0], [0, 1]], [0, 1], [[1, 0, 0, 1], [1, 0, 0, 1, 0, 0]]
    ),
}
shaped = pytest.mark.parametrize("name", SHAPES)


SHOWN = "_repr_html_"  # what a notebook calls


def html_of(shown: object) -> str:
    return getattr(shown, SHOWN)()


def svg_of(html: str) -> ElementTree.Element:
    start, end = html.index("<svg"), html.index("</svg>") + len("</svg>")
    return ElementTree.fromstring(html[start:end])


@shaped
def test_a_point_on_some_lines(name: str) -> None:
    lines = str(SHAPES[name]).splitlines()
    assert lines[0].startswith("Point: ")
    assert len(lines) <= 8
    assert max(map(len, lines)) < 200


@shaped
def test_a_point_is_drawn(name: str) -> None:
    found = SHAPES[name]
    figure = found.plot()
    assert isinstance(figure, Figure)
    titles = [axes.get_title() for axes in figure.axes]
    assert ("data and neurons" in titles) == (found.problem.d <= 3)
    assert titles[-1] == "singular values of the layers"
    margins = figure.axes[-2]
    assert len(margins.patches) == len(found.margins)
    assert svg_of(html_of(found)).tag.endswith("svg")


def test_the_lines_at_which_neurons_switch() -> None:
    """w = (1, 0), b = 1: the line x1 = -1; w = (0, -1), b = 1: the line x2 = 1."""
    axes = SHAPES["two and a bias"].plot().axes[0]
    lines = [line for line in axes.lines if line.get_color() == "#8A8A8A"]
    through = [line.get_xy1() for line in lines]
    assert [pytest.approx(xy) for xy in through] == [(-1.0, 0.0), (0.0, 1.0)]


def test_a_limit() -> None:
    (limit,) = drive([START], record=True)
    text = str(limit).splitlines()
    assert text[0] == "Limit: converged: The flow converged in direction to a KKT point."
    assert any(line.startswith("Point: ") for line in text)
    assert [axes.get_title() for axes in limit.plot().axes][-1] == "the path"
    assert svg_of(html_of(limit)).tag.endswith("svg")
    undecided = replace(limit, status="undecided", reason="Who knows <why>.", point=None)
    assert str(undecided).splitlines()[0] == "Limit: undecided: Who knows <why>."
    assert "<svg" not in html_of(undecided)
    assert "&lt;why&gt;" in html_of(undecided)
    with pytest.raises(ValueError, match="converged"):
        undecided.plot()


def test_an_instance() -> None:
    text = str(START)
    assert "2 labelled +1" in text
    assert "6 parameters, |u^l|^2 of the layers 13, 9" in text
    assert svg_of(html_of(START)).tag.endswith("svg")
    wide = Instance.of(circulant("linear", 5), "logistic", [[1, 2, 3, 4, 5]], (1,), [[1] * 5, [1] * 5])
    assert [axes.get_title() for axes in plot_instance(wide).axes] == ["norms of the points"]


def test_verdicts_and_a_claim() -> None:
    verdicts = decide(fc_relu_local())
    lines = str(verdicts).splitlines()
    assert lines[1].startswith("local optimum of (P)     no, certified")
    assert lines[-1] == "why no local optimum: dead neuron"
    assert ElementTree.fromstring(f"<x>{html_of(verdicts)}</x>").find("table") is not None
    assert len(str(decide(active_global())).splitlines()) == 6
    claim = ElementTree.fromstring(html_of(CLAIMS["fc-relu-local"]))
    assert "local optimum of (P)" in ElementTree.tostring(claim, encoding="unicode")


def test_without_matplotlib_a_notebook_shows_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "harness.report.plots", raising=False)
    monkeypatch.delattr("harness.report.plots", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    html = html_of(fc_relu_local())
    assert "<svg" not in html
    assert "KKT residual" in html


def test_a_limit_of_a_point_prints_as_the_point() -> None:
    assert str(fc_relu_local()) in str(as_limit(fc_relu_local()))


@pytest.mark.parametrize("name", list(harness.__all__))
def test_help_says_something_of_every_public_name(name: str) -> None:
    text = pydoc.plain(pydoc.render_doc(getattr(harness, name)))
    public = [line for line in text.splitlines() if line.strip()]
    assert len(public) >= 3
    assert getattr(harness, name).__doc__
    for attribute, value in vars(getattr(harness, name)).items() if isinstance(getattr(harness, name), type) else ():
        if not attribute.startswith("_") and (callable(value) or isinstance(value, property | classmethod)):
            assert value.__doc__, f"{name}.{attribute}"
