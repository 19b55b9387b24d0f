"""What is shown, stored and drawn of slopes, fixed layers and several outputs; the limits are those of small steps."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import pytest

import harness
from harness.harvest.robustness import starts
from harness.harvest.shrink import neighbours
from harness.oracles import Verdict
from harness.oracles.verdict import LayerVerdicts
from harness.problem.fields import FieldError
from harness.problem.instances import Instance
from harness.problem.networks import fully_connected
from harness.records.record import Record
from harness.report import figure_svg, page
from harness.report.film import film
from harness.report.improving import way
from harness.report.scene import scene
from harness.report.site import build
from harness.report.words import activated, activation
from harness.show.answers import check_object, check_text, described
from strategies import instances
from tests.claims.test_retrace_beyond import CASES, recorded
from tests.strategies.test_beyond import KINDS
from tests.strategies.test_draws import drawn

every = pytest.mark.parametrize("case", CASES)


def verdicts(case: str) -> Any:
    """Stands for Verdicts: everything is undecided, and a fixed layer has no verdict."""
    open_ = Verdict("undecided", 1.0, None, "Nothing was asked.")
    trained = recorded(case).instance.network.trained
    return SimpleNamespace(
        global_=open_,
        local=open_,
        layers=tuple(LayerVerdicts(open_, open_) if own else None for own in trained),
        assumptions={"nonzero_weights": None, "nonzero_weight_vectors": None, "nonzero_inputs": None},
        mechanism=None,
    )


@every
def test_the_json_is_by_points_and_layers(case: str) -> None:
    limit = recorded(case)
    network, n = limit.instance.network, limit.instance.n
    found = json.loads(json.dumps(check_object(limit, verdicts(case)), allow_nan=False))
    assert [layer is None for layer in found["verdicts"]["layers"]] == [not own for own in network.trained]
    assert all(not zeros for zeros, own in zip(found["limit"]["zeros"], network.trained, strict=True) if not own)
    for numbers in (found["limit"]["margins"], found["kkt"]["multipliers"]):
        assert len(numbers) == n
        assert all(isinstance(a, float) if network.outputs == 1 else len(a) == network.outputs - 1 for a in numbers)
    for kink in found["limit"]["kinks"]:
        assert 0 <= kink["sample"] < n
        assert ("class" in kink) == (network.outputs > 1)
        assert network.outputs == 1 or kink["class"] != limit.instance.y[kink["sample"]]
    assert [len(u) for u in found["limit"]["theta"]] == list(network.sizes)


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("leaky", "leaky relu (slope 1/10) network, fully connected, widths 2-2-1; 2 points"),
        ("outputs fixed", "leaky relu (slope 1/2) network, fully connected, widths 2-2-1, layer 2 fixed; 2 points"),
        ("three classes", "leaky relu (slope 1/2) network, fully connected, widths 2-3-3, 3 classes; 3 points"),
        ("circulant", "linear network, shared weights, widths 3-3-1; 2 points"),
    ],
)
def test_the_text_says_what_the_network_is(case: str, said: str) -> None:
    assert check_text(recorded(case), verdicts(case)).startswith(said)


@pytest.mark.parametrize(("slope", "said"), [(Fraction(-3, 7), "-3/7"), (Fraction(0.1), "0.1"), (Fraction(2), "2")])
def test_a_slope_that_is_a_float_is_shown_as_one(slope: Fraction, said: str) -> None:
    network = fully_connected("leaky_relu", (1, 1), negative_slope=slope)
    assert described(network).startswith(f"leaky relu (slope {said}) network")
    assert activation(network) == f"leaky ReLU (slope {said})"


@every
def test_the_text_has_a_line_for_every_margin(case: str) -> None:
    limit = recorded(case)
    lines = check_text(limit, verdicts(case)).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("point  x"))
    rows = lines[start + 1 : start + 1 + len(limit.instance.problem.rows)]
    assert all(row.split()[0].isdigit() for row in rows)
    assert "relu network" not in lines[0] or limit.instance.network.activation == "relu"
    for layer, own in enumerate(limit.instance.network.trained, start=1):
        assert any(line.startswith(f"global optimum of (P_{layer})") for line in lines) == own


def record(case: str) -> Record:
    """Something to show: the limit, and the same a little larger for a better point."""
    limit = recorded(case)
    point, instance = limit.point, limit.instance
    assert point is not None
    larger = instance.network.scaled(point.theta, 1.0 + 1e-3)
    data: dict[str, Any] = {
        "format": 1,
        "claim": "depth2-local",
        "mechanism": "kink",
        "instance": json.loads(instance.to_json()),
        "limit": {
            "theta": [u.tolist() for u in point.theta],
            "value": point.value,
            "margins": point.margins.tolist(),
            "multipliers": point.multipliers.tolist(),
            "kkt_residual": point.residual,
            "kinks": [kink.as_json() for kink in point.kinks],
            "evidence": [],
        },
        "structure": {"signs": None},
        "certificate": {
            "kind": "cheaper",
            "problem": "full",
            "scope": "global",
            "better": [u.tolist() for u in larger],
        },
        "replay": "",
    }
    return Record(data)


@every
def test_pages_and_figures_are_made(case: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    made = record(case)
    network = made.instance.network
    text = page(made)
    assert activation(network) in text
    assert ("Not trained: layer" in text) == (network.degree < network.depth)
    assert ("class 1" in text) == (network.outputs > 1)
    ElementTree.fromstring(figure_svg(made))
    assert way(made).distance[0] == pytest.approx(0.0, abs=1e-12)
    monkeypatch.setattr(harness, "drive", lambda instances, **_: [recorded(case)])
    moving = film(made)
    assert moving.direction.shape[1] == network.size
    assert moving.margins.shape[1] == len(made.instance.problem.rows)
    assert moving.gates.shape[1:] == (sum(network.widths[1:-1]) if network.kinked else 0, made.instance.n)
    picture, _, _ = scene(made, moving)
    ElementTree.fromstring(picture.replace("&", "&amp;"))
    build([made], "", tmp_path)


@every
def test_what_a_record_costs_is_over_trained_layers(case: str) -> None:
    made, limit = record(case), recorded(case)
    assert float(made.value(made.limit)) == pytest.approx(limit.value)


def test_what_an_activation_is_called() -> None:
    leaky = fully_connected("leaky_relu", (2, 2), negative_slope=Fraction(1, 10))
    assert activation(leaky) == "leaky ReLU (slope 1/10)"
    assert activated(leaky, "a") == "max(1/10 a, a)"
    assert activated(fully_connected("leaky_relu", (2, 2), negative_slope=2), "a") == "min(2 a, a)"
    assert activated(fully_connected("relu", (2, 2)), "a") == "max(0, a)"
    assert activated(fully_connected("linear", (2, 2)), "a") == "a"


@pytest.mark.parametrize("kind", KINDS)
def test_neighbours_and_moved_starts_are_of_the_same_kind(kind: str) -> None:
    for instance in drawn(instances(networks=KINDS[kind][0]), 15):
        network = instance.network
        for other in neighbours(instance):
            assert (other.network.slope, other.network.trained) == (network.slope, network.trained)
            assert other.network.outputs == network.outputs
        for moved in starts(instance, 0, 2):
            assert moved.network == network


def test_a_fixed_layer_is_not_moved() -> None:
    network = fully_connected("relu", (2, 2), fixed={2: (Fraction(1, 3), -1)})
    start = Instance.of(network, "exponential", ((1, 0),), (1,), ((1, 0, 0, 1), network.fixed[1] or ()))
    assert all(
        moved.theta0[1] == start.theta0[1] and moved.theta0[0] != start.theta0[0] for moved in starts(start, 0, 3)
    )
    with pytest.raises(FieldError, match="fixed"):
        Instance.of(network, "exponential", ((1, 0),), (1,), ((1, 0, 0, 1), (1, -1)))
