"""Stored counterexamples of every network: curves, layers, cheaper points; and exact KKT points next to floats."""

from __future__ import annotations

import json
from fractions import Fraction
from functools import cache
from typing import Any

import pytest

from harness import decide
from harness.certificates import verify
from harness.certificates.exists import kkt_point
from harness.certificates.numbers import Rejected
from harness.harvest import Finding
from harness.problem.networks import Network, diagonal, fully_connected
from harness.problem.points import Point
from tests.support.certificate_examples import changed
from tests.support.points import as_limit, nonzero_local, point

ROOT = 0.5 ** (1 / 3)
PATCHES = (((0, 1, -1, -1), (-1, -1, 0, 1)), ((0, 1),))


def rotated(activation: Any) -> Point:
    """docs/statements.md, section 6, shared-local, rotated."""
    w, v = [5**-0.5, 2 * 5**-0.5], [0.6, 0.8]
    return point(Network(activation, PATCHES), [[27, -6, -14, 17]], [1], [w, v])


def deep(activation: Any) -> Point:
    """docs/statements.md, section 6, deep-local."""
    return point(diagonal(activation, 2, 3), [[1, 1]], [1], [[ROOT, ROOT]] * 3)


def deep_kink() -> Point:
    """nonzero_local on top of a layer that passes the points on."""
    return point(fully_connected("relu", (2, 2, 2)), [[1, 0], [0, 1]], [1, 1], [[1, 0, 0, 1], [1, 0, 0, 1], [1, 1]])


def deep_gap() -> Point:
    """Two points, one direction for both, on top of a layer that passes them on: one neuron a point is cheaper."""
    root = 2 ** (1 / 3)
    network = fully_connected("relu", (2, 2, 1))
    return point(network, [["1", "1/4"], ["-1", "1/4"]], [1, 1], [[0, root, 0, root], [root, root], [root * 2**0.5]])


# name -> (claim, the limit, which verdict denies the claim)
CASES: dict[str, tuple[str, Any, str]] = {
    "shared, linear": ("shared-local", lambda: rotated("linear"), "local"),
    "shared, relu": ("shared-local", lambda: rotated("relu"), "local"),
    "deep, linear": ("deep-local", lambda: deep("linear"), "local"),
    "deep, relu": ("deep-local", lambda: deep("relu"), "local"),
    "deep kink": ("fc-relu-local", deep_kink, "local"),
    "layer kink": ("relu-layerwise-local", nonzero_local, "layer local"),
    "deep layer": ("relu-active-layerwise-global", deep_gap, "layer global"),
}
names = pytest.mark.parametrize("name", CASES)


@cache
def _stored(name: str) -> str:
    claim, make, which = CASES[name]
    found = make()
    verdicts = decide(found)
    if which.startswith("layer"):
        verdict = verdicts.trained_layers[0].local if which == "layer local" else verdicts.trained_layers[0].global_
        mechanism = "layer"
    else:
        verdict, mechanism = verdicts.local, verdicts.mechanism
    assert verdict.status == "not_optimal", verdict.reason
    assert verdict.certificate is not None
    assert mechanism is not None
    return json.dumps(Finding(claim, mechanism, as_limit(found), verdict.certificate, 0, 1).record().data)


def stored(name: str) -> dict[str, Any]:
    return json.loads(_stored(name))


@names
def test_they_are_accepted(name: str) -> None:
    verified = verify(stored(name))
    assert verified.accepted, verified.reason
    assert verified.residual is not None
    assert verified.residual <= 1e-12
    curved = stored(name)["certificate"].get("order") == 2
    assert (verified.exact is not None) == curved
    assert verified.exact is None or verified.exact <= 1e-14


@pytest.mark.parametrize(
    ("name", "path", "value", "reason"),
    [
        ("shared, relu", ("claim",), "depth2-local", "networks of depth 2 without shared weights only"),
        ("deep, relu", ("claim",), "shared-local", "networks of depth 2 with shared weights only"),
        ("deep, relu", ("claim",), "fc-relu-local", "fully connected relu networks of depth 2 and more only"),
        (
            "deep kink",
            ("claim",),
            "deep-local",
            "the claim assumes nonzero weights, and parameter 1 of layer 1 is zero",
        ),
        ("deep, relu", ("mechanism",), "kink", "the curve chooses no gates"),
        ("deep, relu", ("mechanism",), "dead neuron", "no zero neuron is woken"),
        ("deep, linear", ("mechanism",), "zero weight", "no zero neuron is woken"),
        ("deep, relu", ("limit", "multipliers", 0), 1.0, "the KKT residual can only be shown to be at most"),
        ("deep, relu", ("structure", "signs", 0, 0, 0), 0, "about another structure than the file"),
        ("shared, linear", ("certificate", "scope"), "global", "takes a local certificate of the full problem"),
        ("shared, linear", ("certificate", "theta", 0, 0), 0.25, "about another theta"),
        ("shared, linear", ("instance", "x", 0, 0), 26, "the limit is not scaled"),
        ("deep layer", ("certificate", "scope"), "local", "takes a global certificate of a layer problem"),
        ("deep layer", ("certificate", "problem"), "full", "takes a global certificate of a layer problem"),
        ("deep layer", ("mechanism",), "global gap", "is not the mechanism of a global certificate of the layer 1"),
        ("layer kink", ("claim",), "relu-active-layerwise-global", "takes a global certificate of a layer problem"),
    ],
)
def test_lies_are_rejected(name: str, path: tuple[Any, ...], value: Any, reason: str) -> None:
    verified = verify(changed(stored(name), path, value))
    assert not verified.accepted
    assert reason in verified.reason


@pytest.mark.parametrize(("share", "assumed"), [(0.9, False), (1.1, True)])
def test_what_a_claim_assumes_holds_next_to_theta(share: float, assumed: bool) -> None:
    """A third path with weights of about 1e-9 of the norm: as good a KKT point, and they are nonzero or not."""
    norm = 6**0.5 * ROOT
    thin = share * 1e-9 * norm
    found = point(diagonal("linear", 3, 3), [[1, 1, 1]], [1], [[ROOT, ROOT, thin]] * 3)
    assert found.theta is not None
    theta = [u.tolist() for u in found.theta]
    proof = {"kind": "curve", "problem": "full", "scope": "local", "theta": theta, "signs": None, "active": [0]}
    zeros = {"order": 2, "gates": [], "d": [[0] * 3] * 3, "e": [[0] * 3] * 3, "implied": {}}
    record = json.loads(
        json.dumps(Finding("deep-local", "saddle", as_limit(found), {**proof, **zeros}, 0, 1).record().data)
    )
    reason = verify(record).reason
    assert ("the claim assumes nonzero weights" in reason) != assumed
    # The inputs are to be clear of zero by more, |x| times as much.
    assert ("the claim assumes nonzero inputs" in reason) == assumed


@pytest.mark.parametrize("name", ["shared, linear", "deep, relu", "deep kink"])
def test_a_curve_that_turns_back_is_rejected(name: str) -> None:
    record = stored(name)
    d = record["certificate"]["d"]
    assert not verify(changed(record, ("certificate", "d"), [[0] * len(u) for u in d])).accepted
    if record["certificate"]["order"] == 2:
        e = [[str(-Fraction(v)) for v in u] for u in record["certificate"]["e"]]
        assert not verify(changed(record, ("certificate", "e"), e)).accepted


# --- exact KKT points ---


def exact(found: Point) -> float:
    theta = tuple(tuple(Fraction(float(v)) for v in u) for u in found.theta)
    relu = found.problem.network.activation == "relu"
    signs = tuple(tuple(tuple(row) for row in block.tolist()) for block in found.signs) if relu else None
    return float(kkt_point(found.problem, theta, signs, tuple(Fraction(float(a)) for a in found.multipliers)))


def test_a_point_with_a_dead_neuron() -> None:
    """Two points, and a neuron at zero, which the conditions do not move."""
    network = fully_connected("relu", (2, 2))
    assert exact(point(network, [[2, 1], [1, 2]], [1, 1], [[1, 1, 0, 0], [2**0.5, 0]])) < 1e-12


def test_points_in_orbits_of_rotations() -> None:
    """Three neurons share one direction: the limit is one of a sphere of KKT points."""
    network = fully_connected("linear", (2, 3))
    a = 3**-0.5
    assert exact(point(network, [[1, 0]], [1], [[a, 0, a, 0, a, 0], [a, a, a]])) < 1e-14


def test_a_point_without_the_conditions_has_no_proof() -> None:
    found = point(diagonal("linear", 2, 3), [[1, 1]], [1], [[ROOT, 0.9 * ROOT], [ROOT, ROOT], [ROOT, ROOT]])
    with pytest.raises(Rejected):
        exact(found)


def test_a_flat_direction_has_no_proof() -> None:
    """Depth 2, diagonal, x = (1, 1): every (a, 1 - a) costs the same, and no rotation connects them."""
    root = 0.5**0.5
    with pytest.raises(Rejected, match="singular"):
        exact(point(diagonal("linear", 2, 2), [[1, 1]], [1], [[root, root], [root, root]]))


def test_kinks_that_are_heard_have_no_proof() -> None:
    with pytest.raises(Rejected, match="may not be zero in the KKT point"):
        exact(deep_kink())
    turned = point(fully_connected("relu", (2, 2)), [[1, 2], [2, -1]], [1, 1], [[1, 2, 2, -1], [5**0.5, 5**0.5]])
    with pytest.raises(Rejected, match="a kink is heard"):
        exact(turned)
