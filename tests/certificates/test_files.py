"""Stored counterexamples: true ones are accepted, and every lie in them is rejected."""

from __future__ import annotations

import copy
import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.certificates import verify, verify_file
from harness.certificates.kkt import require_inner
from harness.certificates.numbers import Rejected
from harness.problem.fields import FieldError
from harness.problem.instances import Instance
from harness.problem.places import Place
from tests.support.certificate_examples import changed

Record = dict[str, Any]
FULL = [[[0, 1], [2, 3]], [[0, 1]]]
DIAGONAL = [[[0, -1], [-1, 1]], [[0, 1]]]


def record(
    claim: str,
    mechanism: str,
    instance: dict[str, Any],
    theta: list[Any],
    structure: dict[str, Any],
    multipliers: list[Any],
    better: list[Any],
    kinks: list[Any] = [],  # noqa: B006 - never changed
) -> Record:
    exact = [[Fraction(a) for a in u] for u in theta]
    n, width = len(instance["x"]), len(structure["outgoing"])
    made = {
        "format": 1,
        "claim": claim,
        "mechanism": mechanism,
        "instance": {"format": 1, "loss": "exponential", **instance},
        "limit": {
            "theta": theta,
            "value": float(sum(a * a for u in exact for a in u) / 2),
            "margins": [1.0] * n,
            "multipliers": multipliers,
            "kkt_residual": 0.0,
            "kinks": [{"layer": 1, "sample": i, "neuron": j, "coefficient": c} for i, j, c in kinks],
            "log_norm": 40.0,
        },
        "structure": structure,
        "certificate": {
            "kind": "better",
            "problem": "full",
            "scope": "global" if mechanism == "global gap" else "local",
            "theta": theta,
            "structure": structure,
            "better": better,
            "face": {"alpha": multipliers, "nu": [[0] * width] * n if structure["gates"] else None},
        },
        "replay": "marginalia check instance.json",
        "seed": 0,
    }
    # What is said twice must be two objects, or a forger would change both.
    return json.loads(json.dumps(made))


TWO_POINTS = {
    "network": {"activation": "relu", "patterns": FULL},
    "x": [["1", "1/4"], ["-1", "1/4"]],
    "y": [1, 1],
    "theta0": [["0", "3", "0", "-2"], ["3", "0"]],
}
DEAD = record(
    "fc-relu-local",
    "dead neuron",
    TWO_POINTS,
    [[0.0, 2.0, 0.0, 0.0], [2.0, 0.0]],
    {"outgoing": [1, 0], "gates": [[1, 0], [1, 0]]},
    [2.0, 2.0],
    [["1/16", "7/4", "-1/2", 0], [2, "1/2"]],
    [(0, 2, 0.0), (1, 2, 0.0)],
)
# The same with a third point, behind the others, and a third neuron for it.
OFF = record(
    "fc-relu-local",
    "dead neuron",
    {
        "network": {"activation": "relu", "patterns": [[[0, 1], [2, 3], [4, 5]], [[0, 1, 2]]]},
        "x": [["1", "1/4"], ["-1", "1/4"], [0, -1]],
        "y": [1, 1, 1],
        "theta0": [[0, 3, 0, 0, 0, -1], [3, 0, 1]],
    },
    [[0.0, 2.0, 0.0, 0.0, 0.0, -1.0], [2.0, 0.0, 1.0]],
    {"outgoing": [1, 0, 1], "gates": [[1, 0, -1], [1, 0, -1], [-1, 0, 1]]},
    [2.0, 2.0, 1.0],
    [["1/16", "7/4", "-1/2", 0, 0, -1], [2, "1/2", 1]],
)
GLOBAL_GAP = record(
    "depth2-relu-active-global",
    "global gap",
    {**TWO_POINTS, "theta0": [["0", "3", "0", "4"], ["3", "4"]]},
    [["0", "6/5", "0", "8/5"], ["6/5", "8/5"]],
    {"outgoing": [1, 1], "gates": [[1, 1], [1, 1]]},
    [2, 2],
    [["24/25", "6/25", "-24/25", "6/25"], [1, 1]],
)
PAIR = record(
    "depth2-local",
    "zero weight",
    {
        "network": {"activation": "linear", "patterns": DIAGONAL},
        "x": [[1, 2]],
        "y": [1],
        "theta0": [[1, 0], [1, 0]],
    },
    [[1.0, 0.0], [1.0, 0.0]],
    {"outgoing": [1, 0], "gates": None},
    [1.0],
    [[0, "3/4"], [0, "3/4"]],
)
# In the limit each neuron's input on the other's point is zero, reached from below: Clarke coefficient 0.
KINK = record(
    "depth2-relu-nonzero-local",
    "kink",
    {
        "network": {"activation": "relu", "patterns": FULL},
        "x": [[1, 0], [0, 1]],
        "y": [1, 1],
        "theta0": [[1, -1, -1, 1], [math.sqrt(2), math.sqrt(2)]],
    },
    [[1.0, -3e-13, 1e-13, 1.0], [1.0, 1.0]],
    {"outgoing": [1, 1], "gates": [[1, 0], [0, 1]]},
    [1.0, 1.0],
    [["5/6", "5/6", 0, 0], ["6/5", 0]],
    [(0, 2, 0.0), (1, 1, 0.0)],
)
RECORDS = {"dead": DEAD, "off": OFF, "global gap": GLOBAL_GAP, "pair": PAIR, "kink": KINK}
names = pytest.mark.parametrize("name", RECORDS)


@names
def test_true_counterexamples_are_accepted(name: str, tmp_path: Path) -> None:
    file = tmp_path / "counterexample.json"
    file.write_text(json.dumps(RECORDS[name]), encoding="utf-8")
    verified = verify_file(file)
    assert verified.accepted, verified.reason
    assert (verified.path, verified.claim) == (str(file), RECORDS[name]["claim"])
    assert verified.residual is not None
    assert verified.residual <= 1e-12
    assert verified.checked is not None
    assert verified.checked.accepted


def test_the_same_point_denies_the_weaker_claims_too() -> None:
    assert verify({**DEAD, "claim": "depth2-local"}).accepted
    assert verify({**KINK, "claim": "depth2-local"}).accepted
    assert verify({**KINK, "claim": "fc-relu-local"}).accepted


@pytest.mark.parametrize(
    ("name", "path", "value", "reason"),
    [
        ("dead", ("claim",), "depth2-relu-nonzero-local", "that of neuron 2 of layer 1 is zero"),
        ("dead", ("claim",), "depth2-relu-active-global", "takes a global certificate of the full problem"),
        (
            "pair",
            ("claim",),
            "fc-relu-local",
            "the claim speaks of fully connected relu networks of depth 2 and more only",
        ),
        ("global gap", ("claim",), "depth2-local", "takes a local certificate of the full problem"),
        ("dead", ("certificate", "scope"), "global", "takes a local certificate of the full problem"),
        ("dead", ("certificate", "problem"), "layer 1", "takes a local certificate of the full problem"),
        ("dead", ("structure", "gates"), [[1, 0], [0, 0]], "another structure than the file"),
        ("dead", ("certificate", "theta", 1, 0), 2.5, "another theta than the limit"),
        ("dead", ("limit", "theta", 1, 0), 2.5, "another theta than the limit"),
        ("dead", ("limit", "value"), 4.1, "the stored value is not that of theta"),
        ("dead", ("limit", "margins", 1), 1.1, "the stored margins are not those of theta"),
        ("dead", ("limit", "multipliers", 0), 2.1, "the KKT residual can only be shown to be at most"),
        ("dead", ("limit", "multipliers", 0), -2.0, "the multiplier of sample 0 is negative"),
        ("dead", ("limit", "kkt_residual"), 1e-7, "the stored KKT residual is more than 1e-8"),
        ("kink", ("limit", "kinks", 0, "coefficient"), 1e-7, "the KKT residual can only be shown to be at most"),
        ("kink", ("limit", "kinks", 0, "coefficient"), -1e-9, "is not between 0 and 1"),
        ("kink", ("limit", "kinks", 0, "neuron"), 1, "neuron 1 of layer 1 has no kink on sample 0"),
        ("dead", ("mechanism",), "kink", "a zero neuron is woken"),
        ("kink", ("mechanism",), "dead neuron", "no zero neuron is woken"),
        ("kink", ("mechanism",), "saddle", "is a saddle within its own gates"),
        ("kink", ("mechanism",), "global gap", "is not the mechanism of a local certificate"),
        ("dead", ("mechanism",), "zero weight", "zero weight is not a mechanism of relu networks"),
        ("dead", ("instance", "network", "activation"), "linear", "the claim speaks of fully connected relu networks"),
        ("dead", ("instance", "x", 0), ["1", "1/2"], "the stored margins are not those of theta"),
        ("dead", ("instance", "y", 0), -1, "the limit is not scaled to a least margin of 1"),
        ("pair", ("instance", "network", "patterns"), [[[0, 0], [-1, 1]], [[0, 1]]], "without shared weights"),
        ("pair", ("instance", "network", "patterns"), [[[0, -1], [1, -1]], [[0, 1]]], "better point is not feasible"),
    ],
)
def test_lies_are_rejected(name: str, path: tuple[Any, ...], value: Any, reason: str) -> None:
    forged = changed(RECORDS[name], path, value)
    verified = verify(forged)
    assert not verified.accepted
    assert reason in verified.reason


def test_a_multiplier_on_a_point_that_is_not_a_support_vector_counts() -> None:
    """theta = 1/3 grad q_2 as well as grad q_1, but q_2 = 3: the second term of the residual is 1/3."""
    loose = changed(changed(PAIR, ("instance", "x"), [[1, 2], [3, 6]]), ("instance", "y"), [1, 1])
    loose["limit"].update(margins=[1, 3], multipliers=[1, 0])
    loose["certificate"]["face"]["alpha"] = [1, 0]
    assert verify(loose).accepted
    loose["limit"]["multipliers"] = [0, "1/3"]
    assert "KKT residual can only be shown to be at most 3.3e-01" in verify(loose).reason


def test_fully_connected_means_every_weight() -> None:
    relu = changed(PAIR, ("instance", "network", "activation"), "relu")
    relu["structure"]["gates"] = relu["certificate"]["structure"]["gates"] = [[1, 0]]
    relu["mechanism"] = "dead neuron"
    assert verify(relu).accepted
    assert (
        verify({**relu, "claim": "fc-relu-local"}).reason
        == "the claim speaks of fully connected relu networks of depth 2 and more only"
    )


def test_a_neuron_without_outgoing_weights_is_not_among_nonzero_weight_vectors() -> None:
    wider = changed(KINK, ("instance", "network", "patterns"), [[[0, 1], [2, 3], [4, 5]], [[0, 1, -1]]])
    wider["instance"]["theta0"][0] += [0, 0]
    for theta in (wider["limit"]["theta"], wider["certificate"]["theta"], wider["certificate"]["better"]):
        theta[0] += [0, 0]
    for structure in (wider["structure"], wider["certificate"]["structure"]):
        structure["outgoing"].append(0)
        structure["gates"] = [[*row, 0] for row in structure["gates"]]
    wider["certificate"]["face"]["nu"] = None
    assert verify({**wider, "claim": "depth2-local"}).accepted
    assert "every hidden neuron has incoming and outgoing weights" in verify(wider).reason


def test_a_kink_is_not_a_nonzero_input() -> None:
    forged = changed(KINK, ("certificate", "scope"), "global")
    forged.update(claim="depth2-relu-active-global", mechanism="global gap")
    assert "the claim assumes nonzero inputs" in verify(forged).reason


def test_a_coefficient_at_an_end_is_no_inner_kink() -> None:
    """KINK has its kinks from the off side.  What no file shows is said to be computed."""
    forged = verify({**KINK, "claim": "depth2-inner-kinks-local"})
    assert forged.reason == "the coefficient of neuron 2 of layer 1 on sample 0 is at an end"
    loose = verify({**PAIR, "claim": "linear-generic-local"})
    assert loose.accepted
    assert loose.sentence.endswith("; no exact invariance holds the flow: computed")
    assert "exact invariance" not in verify(PAIR).sentence


def test_inner_coefficients_are_clear_of_both_slopes() -> None:
    given = Instance.from_json(json.dumps(KINK["instance"])).problem
    place, signs = Place(0, 0, 1), (((1, 0), (1, 1)),)
    for c, inner in ((0, False), (Fraction(1, 10**7), False), (Fraction(1, 2), True), (1 - Fraction(1, 10**7), False)):
        for multiplier in (0, 1):
            try:
                require_inner(given, signs, (Fraction(multiplier), Fraction(1)), {place: Fraction(c)})
                accepted = True
            except Rejected:
                accepted = False
            assert accepted == (inner or not multiplier)
    with pytest.raises(Rejected):
        require_inner(given, signs, (Fraction(1), Fraction(1)), {})


def numbers_in(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return [path for key, entry in items for path in numbers_in(entry, (*here, key))]
    return [here] if isinstance(value, float) else []


@given(st.sampled_from(sorted(RECORDS)), st.data(), st.floats(1e-6, 1e6), st.sampled_from([1, -1]))
def test_every_stored_float_is_checked(name: str, data: st.DataObject, change: float, sign: int) -> None:
    """Any float of the limit that is off by a millionth is noticed; coefficients of dead neurons make no difference."""
    original = RECORDS[name]
    limit = {key: value for key, value in original["limit"].items() if key not in ("log_norm", "kkt_residual")}
    path = ("limit", *data.draw(st.sampled_from(numbers_in(limit))))
    found = original["limit"]
    for key in path[1:]:
        found = found[key]
    forged = changed(original, path, found + sign * change)
    if path[1] == "theta":
        forged["certificate"]["theta"] = forged["limit"]["theta"]
    harmless = path[1] == "kinks" and name == "dead" and 0 <= found + sign * change <= 1
    assert verify(forged).accepted == harmless


@given(st.sampled_from(sorted(RECORDS)), st.data())
def test_nothing_can_be_left_out(name: str, data: st.DataObject) -> None:
    original = RECORDS[name]
    place = data.draw(st.sampled_from([(), ("limit",), ("structure",), ("instance",), ("certificate",)]))
    forged: Any = copy.deepcopy(original)
    inner = forged[place[0]] if place else forged
    key = data.draw(st.sampled_from(sorted(set(inner) - {"seed", "log_norm"})))
    del inner[key]
    with pytest.raises(FieldError, match=key):
        verify(forged)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON: Expecting value at line 1 column 1"),
        ("{} x", "not JSON: Extra data at line 1 column 4"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a": 1, "a": 2}', "an object has a duplicate key"),
        ('{"a": NaN}', "NaN is not allowed"),
        ('{"a": 1e400}', "1e400 is out of the range of floats"),
        ('{"a": 1e-400}', "1e-400 is out of the range of floats"),
        ('{"a": ' + "1" * 5000 + "}", "an integer of more than 400 digits"),
        ("[]", "counterexample: expected an object, found an array"),
        ("{}", "counterexample.format: missing"),
    ],
    ids=range(10),
)
def test_unreadable_files_are_named(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "counterexample.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(FieldError) as error:
        verify_file(file)
    assert str(error.value) == f"{file}: {message}"


def test_files_that_are_not_there_or_not_text_are_named(tmp_path: Path) -> None:
    with pytest.raises(FieldError, match="No such file"):
        verify_file(tmp_path / "none.json")
    with pytest.raises(FieldError, match="directory"):
        verify_file(tmp_path)
    (tmp_path / "latin.json").write_bytes(b"\xff{}")
    with pytest.raises(FieldError, match="not UTF-8 text"):
        verify_file(tmp_path / "latin.json")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("format",), 2, "format: must be 1"),
        (("claim",), "kkt", "claim: must be one of fc-relu-local, "),
        (("mechanism",), "luck", "mechanism: must be one of saddle, "),
        (("instance",), [], "instance: expected an object"),
        (("instance", "x", 0, 0), "a", 'instance.x[0][0]: "a" is not a number'),
        (("limit", "theta", 0), [], "limit.theta[0]: 0 entries where 4 are needed"),
        (("limit", "kinks", 0, "layer"), 2, "limit.kinks[0].layer: expected an integer from 1 to 1"),
        (("limit", "kinks", 1, "sample"), 0, "limit.kinks[1]: this kink occurs twice"),
        (("certificate", "better", 1, 0), None, "certificate.better[1][0]: expected a number, found null"),
    ],
)
def test_malformed_records_are_named(path: tuple[Any, ...], value: Any, message: str) -> None:
    with pytest.raises(FieldError) as error:
        verify(changed(DEAD, path, value))
    assert str(error.value).startswith(message)
