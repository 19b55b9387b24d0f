"""Proofs of where a flow ends: accepted where they hold, refused as soon as one fact of them does not."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.certificates import check_flow, verify
from harness.certificates.flow_denial import require_limit
from harness.certificates.flow_gates import require_region
from harness.certificates.flow_ray import require_ray
from harness.certificates.flow_start import End, starts_separated
from harness.certificates.numbers import Rejected
from harness.problem.fields import FieldError
from harness.problem.instances import Instance
from harness.problem.networks import Network, diagonal, fully_connected, sparse
from harness.proofs import predicted, proof_of_flow
from tests.support.certificate_examples import changed

Certificate = dict[str, Any]
Rows = list[list[Any]]
STORED = sorted(Path("reports").glob("*/counterexample.json"))


def relu(x: Rows, y: list[int], w: Rows, v: list[Any], loss: Any = "exponential") -> Instance:
    """Fully connected, depth 2: w one row a neuron."""
    return of(fully_connected("relu", (len(x[0]), len(w))), x, y, [[a for row in w for a in row], v], loss)


def of(network: Network, x: Rows, y: list[int], theta0: Rows, loss: Any = "exponential") -> Instance:
    exact = [[Fraction(a) for a in row] for row in x], [[Fraction(a) for a in row] for row in theta0]
    return Instance.of(network, loss, exact[0], y, exact[1])


def proof(instance: Instance) -> tuple[Certificate, End] | None:
    """Of the end that is predicted."""
    guess = predicted(instance)
    return None if guess is None else proof_of_flow(instance, *guess)


APART: Rows = [[1, -1], [1, 2]]
# Every fact of flow_gates.py is used by one of these: what it says is in the name.
BY_GATES = {
    "growth, on, off": relu(APART, [1, 1], [[0, -1], [0, 1]], [0, 0]),
    "logistic": relu(APART, [1, 1], [[0, -1], [0, 1]], [0, 0], "logistic"),
    "both labels": relu(APART, [1, -1], [[0, -1], [0, 1]], [1, -2]),
    "balance, not learnt from": relu([[2, -1], [-1, 2]], [1, -1], [[3, 2], [-1, 2]], [4, -3]),
    "rest": relu([[-1, 1], [1, 0]], [1, 1], [[0, 0], [1, 2]], [0, 0]),
    "idle, w = 0; alone": relu([[1, 0], [-1, 1]], [1, 1], [[0, 0], [1, 2]], [-1, 0]),
    "idle, by balance": relu([[1, 0], [0, 1]], [1, 1], [[1, 1], [2, 2]], [-2, 0]),
    "off everywhere": relu([[1, 0]], [1], [[-1, 1], [1, 0]], [3, 0]),
    "from a kink": relu([[1, 1], [1, 0]], [1, 1], [[0, 1]], [0]),
    "a margin that does not bind": relu([[1, 0], [3, 0]], [1, 1], [[1, 1]], [0]),
    "patches": of(sparse("relu", ([[1, 0], [0, 1]], [[1, 1]])), [[1, 0], [-1, 2]], [1, 1], [[1, 1], [0, 0]]),
}
BY_GATES["three points"] = relu(
    [[0, 1, 0], [2, -1, 1], [-1, -1, 1]], [1, -1, -1], [[0, 1, 3], [10, -1, 0], [-10, -1, 0]], [4, -11, -11]
)
BY_GATES["one neuron above"] = of(
    fully_connected("relu", (2, 2, 1)), [[-1, 1], [2, 1]], [1, 1], [[1, 0, -1, 0], [1, 1], [0]]
)
BY_GATES["above, and a silent one"] = of(
    fully_connected("relu", (2, 2, 1)), [[2, 1], [-2, 1]], [1, 1], [[0, 1, 0, -1], [1, -2], [3]], "logistic"
)
SHARED = Network("linear", (((1, -1), (0, 1)), ((0, 1),)))
BY_RAY = {
    "diagonal, depth 3": of(diagonal("linear", 2, 3), [[1, 1]], [1], [[1, 1]] * 3),
    "relu, depth 3": of(diagonal("relu", 2, 3), [[1, 1]], [1], [[1, 1]] * 3, "logistic"),
    "shared": of(SHARED, [[2, -3]], [1], [[2, 1], [2, 1]]),
    "frozen weights": of(fully_connected("relu", (1, 2, 2)), [[1], [-1]], [1, 1], [[-1, 1], [-1, 1, 1, -1], [1, 1]]),
    "leaky": of(fully_connected("leaky_relu", (1, 1), negative_slope=Fraction(1, 2)), [[-2]], [-1], [[-1], [-1]]),
    "a fixed layer": of(fully_connected("linear", (2, 1), fixed={2: [2]}), [[1, 2]], [1], [[1, 2], [2]]),
    "classes": of(fully_connected("linear", (2,), outputs=2), [[1, 0], [0, 1]], [0, 1], [[1, -1, -1, 1]]),
    "dead neuron, equal margins": relu([[1, 2], [-1, 2]], [1, 1], [[0, 1], [0, 0]], [1, 0]),
}
CASES = {**BY_GATES, **BY_RAY}
names = pytest.mark.parametrize("name", CASES)


@names
def test_a_proof_is_found_and_says_why(name: str) -> None:
    found = proof(CASES[name])
    assert found is not None
    certificate, end = found
    assert certificate["by"] == ("gates" if name in BY_GATES else "ray")
    assert end.facts
    assert all(math.isfinite(float(end.radius)) for _ in end.facts)
    # it is JSON, and accepted as such
    assert check_flow(CASES[name], json.loads(json.dumps(certificate))).accepted


def numbers(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The place of every number of a certificate."""
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from numbers(part, (*path, key))
    elif path[-1] not in ("kind", "by"):
        yield path


@names
def test_every_number_of_a_proof_counts(name: str) -> None:
    instance, found = CASES[name], proof(CASES[name])
    assert found is not None
    certificate, end = found
    limit = np.concatenate([np.array(u) for u in certificate["theta"]])
    refused = 0
    for path in numbers(certificate):
        old = certificate[path[0]]
        for key in path[1:]:
            old = old[key]
        exact = path[0] in ("outgoing", "gates")
        others = sorted({-1, 0, 1} - {old}) if exact else [float(Fraction(old)) + 1, float(Fraction(old)) + 1e-6]
        for new in others:
            forged = check_flow(instance, changed(certificate, path, new))
            refused += not forged.accepted
            # what is accepted all the same is as true
            if forged.end is not None:
                assert path[0] in ("gates", "sizes", "alpha")
                assert forged.end.signs == end.signs
                moved = np.concatenate([np.array(u) for u in changed(certificate, path, new)["theta"]])
                assert np.array_equal(moved, limit)
    assert refused >= len(limit)


def test_a_wrong_shape_is_named() -> None:
    instance = BY_GATES["rest"]
    certificate = proof(instance)[0]  # type: ignore[index]
    for path, new, field in [
        (("kind",), "better", "flow.kind"),
        (("by",), "faith", "flow.by"),
        (("gates", 0), [1], "flow.gates[0]"),
        (("gates", 1, 1), 2, "flow.gates[1][1]"),
        (("outgoing", 0), True, "flow.outgoing[0]"),
        (("alpha",), [1], "flow.alpha"),
        (("sizes", 0), "1/0", "flow.sizes[0]"),
        (("theta", 0, 0), math.nan, "flow.theta[0][0]"),
    ]:
        with pytest.raises(FieldError) as refused:
            check_flow(instance, changed(certificate, path, new))
        assert refused.value.field == field
    with pytest.raises(FieldError, match="unknown key"):
        check_flow(instance, {**certificate, "trust": 1})
    with pytest.raises(FieldError):
        check_flow(instance, [])


# name -> an instance that a single fact of one above does not hold for, and what is said of its proof
OUTSIDE: dict[str, tuple[str, dict[str, Any], str | None]] = {
    "off: pushed up": ("growth, on, off", {"x": [[1, -1], [1, "1/2"]]}, "stay off"),
    "on: pushed down, and not alone": ("both labels", {"x": [["1", -1], [1, 2]], "y": [1, 1]}, ""),
    "on: no longer strict": ("growth, on, off", {"theta0": [[0, 0, 0, 1], [0, 0]]}, ""),
    "balance: one digit less": ("balance, not learnt from", {"theta0": [[3, 2, -1, 2], ["3.605", -3]]}, "sign"),
    "rest: an input that is positive": ("rest", {"theta0": [[0, "1/9", 1, 2], [0, 0]]}, "rest"),
    "alone: too far apart": ("idle, w = 0; alone", {"x": [[1, 0], ["-3/2", 1]]}, "stay on"),
    "alone: heard": ("idle, w = 0; alone", {"theta0": [["1/2", 1, 1, 2], [-2, 0]]}, "stay on"),
    "idle: the sign turns": ("idle, by balance", {"theta0": [[1, 1, 2, 2], ["-7/5", 0]]}, "sign"),
    "from a kink: nothing lifts": ("from a kink", {"x": [[1, 1], [0, 1]], "theta0": [[1, 0], [0]]}, None),
    "served: by two": ("growth, on, off", {"theta0": [[1, 0, 1, 0], [0, 0]]}, ""),
    "not learnt from: pushed up": ("three points", {"x": [[0, 1, 0], [2, -1, 1], [-2, -1, 1]]}, "may grow"),
    "above: a weight that is not positive": (
        "one neuron above",
        {"theta0": [[1, 0, -1, 0], [1, 1], ["-1/9"]]},
        "above the second",
    ),
    "above: an input that is zero": ("one neuron above", {"theta0": [[1, 0, -1, 0], [1, 0], [1]]}, "at the start"),
    "above: both labels": ("one neuron above", {"y": [1, -1], "theta0": [[1, 0, -1, 0], [1, -1], [1]]}, ""),
    "above: one that lowers": ("above, and a silent one", {"theta0": [[0, 1, 2, -1], [1, -4], [3]]}, ""),
    "not separated": ("balance, not learnt from", {"theta0": [[3, 2, -1, 2], [4, "-1/9"]]}, ""),
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_an_instance_just_outside_has_no_proof(name: str) -> None:
    inside, change, why = OUTSIDE[name]
    instance = BY_GATES[inside]
    fields: dict[str, Any] = {
        key: [[Fraction(a) for a in row] for row in value] if key != "y" else value for key, value in change.items()
    }
    outside = instance.changed(**fields)
    if why is not None:
        assert proof(outside) is None
    certificate = proof(instance)[0]  # type: ignore[index]
    found = check_flow(outside, certificate)
    assert not found.accepted or why is None
    assert (why or "") in found.reason


def test_a_ray_is_left_by_the_least_tilt() -> None:
    for name in BY_RAY:
        instance = BY_RAY[name]
        certificate = proof(instance)[0]  # type: ignore[index]
        layer = 0
        tilted = [list(u) for u in instance.theta0]
        place = next(k for k, a in enumerate(tilted[layer]) if a)
        tilted[layer][place] += Fraction(1, 10**12)
        if instance.network.size > 1:
            assert not check_flow(instance.changed(theta0=tilted), certificate).accepted, name


X01: Rows = [[1, 0], [0, 1]]
# What the search never proposes: instance, outgoing, gates, and why they prove nothing.
PROPOSED: list[tuple[Instance, Any, Any, str]] = [
    (relu(X01, [1, 1], [[1, 1], [-1, 1]], [0, 0]), (1, 1), ((1, -1), (1, 1)), "not needed"),
    (relu([[0, 1], [1, 0]], [1, 1], [[0, 1]], [0]), (1,), ((1,), (1,)), "kink of sample 1"),
    (relu([[1, 0]], [-1], [[1, 0]], [1]), (1,), ((1,),), "lowers its margin"),
    (relu(X01, [1, 1], [[1, -1]], [0]), (1,), ((1,), (1,)), "not on for sample 1"),
    (relu([[1, 0]], [1], [[1, 0], [1, 0]], [1, 1]), (1, 1), ((1, 0),), "learns from sample 0"),
    (relu([[1, 0]], [1], [[1, 0]], [1]), (1,), ((-1,),), "stay off"),
    (relu(X01, [1, 1], [[1, -1]], [0]), (1,), ((1,), (-1,)), "no neuron is shown to be on for sample 1"),
    (
        of(fully_connected("relu", (2, 2, 1)), [[1, 0], [1, 1]], [1, 1], [[1, 1, 1, 1], [1, -4], [1]]),
        (1, -1),
        ((1, 0), (1, 0)),
        "may lower",
    ),
    (of(fully_connected("relu", (2, 1), fixed={2: [1]}), [[1, 0]], [1], [[1, 0], [1]]), (1,), ((1,),), "every layer"),
    (
        of(fully_connected("leaky_relu", (2, 1), negative_slope=Fraction(1, 9)), [[1, 0]], [1], [[1, 0], [1]]),
        (1,),
        ((1,),),
        "relu networks",
    ),
]


@pytest.mark.parametrize("case", PROPOSED, ids=[case[3] for case in PROPOSED])
def test_what_does_not_hold_is_refused(case: tuple[Instance, Any, Any, str]) -> None:
    instance, outgoing, gates, why = case
    with pytest.raises(Rejected, match=why):
        require_region(instance, outgoing, gates)


def test_neurons_that_move_together_are_not_near() -> None:
    """w and v longer by a millionth: the direction is the same, the size is not."""
    instance = BY_GATES["rest"]
    certificate = proof(instance)[0]  # type: ignore[index]
    longer = [[a * (1 + 1e-6) for a in u] for u in certificate["theta"]]
    assert "only known to be within" in check_flow(instance, {**certificate, "theta": longer}).reason


def test_an_input_that_may_be_zero_in_the_limit_has_no_sign() -> None:
    for small, known in [("-1/1000", True), ("-1/100000000000000000000", False)]:
        instance = relu([[1, 0], [small, 1]], [1, 1], [[1, -1], [-1, 1]], [0, 0])
        assert (proof(instance) is not None) == known


def test_margins_that_are_not_equal_do_not_share_a_ray() -> None:
    """The gradients of both sum to a multiple of the start, but their factors differ."""
    line = fully_connected("linear", (2,))
    assert proof(of(line, [[1, 2], [2, 1]], [1, 1], [[1, 1]])) is not None
    assert proof(of(line, [[1, 2], [1, 0]], [1, 1], [[1, 1]])) is None
    two = fully_connected("linear", (2,), outputs=2)
    assert proof(of(two, [[1, 0], [0, 1]], [0, 1], [[1, -1, -1, 2]])) is None


def test_what_is_no_ray() -> None:
    # the second weight of neuron 1 gets no gradient, and its input on x_1 is r - 2
    turning = of(sparse("relu", ([[1, 1], [0, 1]], [[1, 1]])), [[1, 0], [1, 1]], [1, 1], [[1, -2, 1], [1, 1]])
    with pytest.raises(Rejected, match="may change on sample 1"):
        require_ray(turning)
    with pytest.raises(Rejected, match="kink"):
        require_ray(relu(X01, [1, 1], [[1, 0], [0, 1]], [1, 1]))
    with pytest.raises(Rejected, match="not positive"):
        require_ray(of(fully_connected("linear", (2,)), [[1, 1]], [1], [[-1, -1]]))


def test_a_gate_that_turns_along_the_ray() -> None:
    # the second neuron's input on x = 1 is 2 r - 3, off at the start and on for r > 3/2: its first weight grows
    network = fully_connected("relu", (1, 1, 1))
    good = of(network, [[1]], [1], [[1], [1], [1]])
    assert proof(good) is not None
    two = Network("relu", (((0,), (1,)), ((0, 1), (2, 3)), ((0, 1),)))
    turning = of(two, [[1], [-1]], [1, 1], [[1, -1], [1, "-1/2", "-1/2", 1], [1, 1]])
    assert proof(turning) is not None
    mixed = of(two, [[1], ["-1/2"]], [1, 1], [[1, -1], [1, "-1/2", "-1/2", 1], [1, 1]])
    assert proof(mixed) is None


def test_what_is_not_covered_is_refused() -> None:
    leaky = fully_connected("leaky_relu", (2, 2), negative_slope=Fraction(1, 9))
    fixed = fully_connected("relu", (2, 2), fixed={2: [1, 1]})
    deep = fully_connected("relu", (2, 2, 2))
    classes = fully_connected("relu", (2, 2), outputs=2)
    for network, tops in [
        (leaky, [[0, 0]]),
        (fixed, [[1, 1]]),
        (deep, [[1, 1, 1, 1], [1, 1]]),
        (classes, [[0, 0, 0, 0]]),
    ]:
        instance = of(network, APART, [1, 1], [[0, -1, 0, 1], *tops])
        zeros = [[0] * size for size in network.sizes]
        certificate = {
            "kind": "flow",
            "by": "gates",
            "theta": [list(map(str, u)) for u in instance.theta0] if network is fixed else zeros,
            "outgoing": [1, 1],
            "gates": [[1, -1], [-1, 1]],
            "alpha": [1, 1],
            "sizes": [1, 1],
        }
        assert not check_flow(instance, certificate).accepted
        assert proof(instance) is None


@given(st.lists(st.fractions(Fraction(-1, 9), 4, max_denominator=50), min_size=1, max_size=4), st.booleans())
@settings(max_examples=80)
def test_the_loss_at_the_start_is_bounded_from_above(q: list[Fraction], logistic: bool) -> None:
    network = fully_connected("linear", (len(q),))
    points = [[Fraction(i == k) for k in range(len(q))] for i in range(len(q))]
    instance = Instance.of(network, "logistic" if logistic else "exponential", points, [1] * len(q), [q])
    losses = [math.log1p(math.exp(-float(a))) if logistic else math.exp(-float(a)) for a in q]
    below = sum(losses) - (math.log(2) if logistic else 1.0)
    if abs(below) > 1e-9:
        assert starts_separated(instance) == (below < 0 and min(q) > 0)


# --- in a stored counterexample ---


def stored(folder: str) -> dict[str, Any]:
    return json.loads((Path("reports") / folder / "counterexample.json").read_text(encoding="utf-8"))


def test_a_stored_proof_is_of_its_own_limit() -> None:
    record = stored("depth2-relu-active-global--global-gap--robust")
    found = verify(record)
    assert found.accepted
    assert found.end is not None
    assert found.sentence.endswith("the flow ends there: proven")
    without = verify({key: part for key, part in record.items() if key != "flow"})
    assert without.accepted
    assert without.sentence.endswith("the flow ends there: computed")
    elsewhere = changed(record, ("flow", "theta", 0, 0), record["flow"]["theta"][0][0] * (1 + 1e-15))
    assert "another theta" in verify(elsewhere).reason
    false = changed(record, ("flow", "gates", 0, 0), -1)
    assert "does not hold" in verify(false).reason


def test_a_proof_of_another_structure_denies_nothing() -> None:
    record = stored("depth2-relu-nonzero-local--kink--fragile")
    instance = Instance.from_json(json.dumps(record["instance"]))
    end = check_flow(instance, record["flow"]).end
    assert end is not None
    assert end.signs is not None
    certificate = record["certificate"]
    theta = tuple(tuple(Fraction(a) for a in u) for u in certificate["theta"])
    require_limit(instance.problem, theta, certificate, end)
    other = End(end.radius, (((1, 1), (1, 1)),), end.zeros, ())
    with pytest.raises(Rejected, match="other gates"):
        require_limit(instance.problem, theta, certificate, other)
    with pytest.raises(Rejected, match="nonzero"):
        require_limit(instance.problem, theta, certificate, End(Fraction(1), end.signs, end.zeros, ()))
    dead = stored("fc-relu-local--dead-neuron--fragile")
    instance = Instance.from_json(json.dumps(dead["instance"]))
    end = check_flow(instance, dead["flow"]).end
    assert end is not None
    theta = tuple(tuple(Fraction(a) for a in u) for u in dead["certificate"]["theta"])
    require_limit(instance.problem, theta, dead["certificate"], end)
    with pytest.raises(Rejected, match="zero in the limit"):
        require_limit(instance.problem, theta, dead["certificate"], End(end.radius, end.signs, frozenset(), ()))


@pytest.mark.parametrize(
    ("folder", "radius"),
    [("relu-layerwise-local--layer--fragile", 10), ("relu-active-layerwise-global--layer--robust", 100)],
)
def test_a_layer_is_denied_for_the_limit_itself(folder: str, radius: int) -> None:
    """With the other layer anywhere within the radius: a large one leaves the better row too short."""
    record = stored(folder)
    instance = Instance.from_json(json.dumps(record["instance"]))
    end = check_flow(instance, record["flow"]).end
    assert end is not None
    certificate = record["certificate"]
    theta = tuple(tuple(Fraction(a) for a in u) for u in certificate["theta"])
    require_limit(instance.problem, theta, certificate, end)
    with pytest.raises(Rejected, match="feasible"):
        require_limit(instance.problem, theta, certificate, End(Fraction(1, radius), end.signs, end.zeros, ()))
    with pytest.raises(Rejected, match="cost less"):
        require_limit(instance.problem, theta, {**certificate, "better": certificate["theta"]}, end)


def test_the_signs_of_a_proof_are_those_of_the_file() -> None:
    record = stored("fc-relu-local--depth-3--kink--robust")
    instance = Instance.from_json(json.dumps(record["instance"]))
    end = check_flow(instance, record["flow"]).end
    assert end is not None
    assert end.signs is not None
    theta = tuple(tuple(Fraction(a) for a in u) for u in record["certificate"]["theta"])
    require_limit(instance.problem, theta, record["certificate"], end)
    with pytest.raises(Rejected, match="other signs"):
        require_limit(instance.problem, theta, record["certificate"], End(end.radius, end.signs[:1], end.zeros, ()))
    # of a layer, the better row stays in the cell
    layer = stored("relu-layerwise-local--layer--fragile")
    instance = Instance.from_json(json.dumps(layer["instance"]))
    gates = [[-1, -1], [-1, -1]]
    certificate = changed(layer["certificate"], ("structure", "gates"), gates)
    theta = tuple(tuple(Fraction(a) for a in u) for u in certificate["theta"])
    other = End(Fraction(1, 10**12), (tuple(map(tuple, gates)),), frozenset(), ())
    with pytest.raises(Rejected, match="leave the limit's cell"):
        require_limit(instance.problem, theta, certificate, other)


def test_a_curve_needs_the_zeros_of_its_limit() -> None:
    record = stored("shared-local--linear--zero-weight--fragile")
    instance = Instance.from_json(json.dumps(record["instance"]))
    end = check_flow(instance, record["flow"]).end
    assert end is not None
    theta = tuple(tuple(Fraction(a) for a in u) for u in record["certificate"]["theta"])
    require_limit(instance.problem, theta, record["certificate"], end)
    with pytest.raises(Rejected, match="a weight is zero"):
        require_limit(instance.problem, theta, record["certificate"], End(end.radius, end.signs, frozenset(), ()))
