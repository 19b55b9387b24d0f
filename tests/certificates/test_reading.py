"""Reading certificates: malformed ones end in a FieldError that names the field, never in anything else."""

from __future__ import annotations

import math
import subprocess
import sys
from fractions import Fraction
from functools import reduce
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.certificates import check
from harness.certificates.numbers import ROUNDED, float_down, float_up, number, root_down, root_up, sqrt_down
from harness.certificates.taylor import sqrt_up
from harness.problem.fields import FieldError
from harness.problem.instances import Instance
from harness.problem.networks import fully_connected
from tests.support.certificate_examples import changed

SINGLE = Instance.of(
    fully_connected("relu", [2, 2]),
    "exponential",
    ((Fraction(3, 5), Fraction(4, 5)),),
    (1,),
    ((Fraction(0),) * 4, (Fraction(0),) * 2),
)
_COMMON: dict[str, Any] = {
    "problem": "full",
    "scope": "local",
    "theta": [["3/5", "4/5", 0, 0], [1, 0]],
    "structure": {"outgoing": [1, 0], "gates": [[1, 0]]},
}
BOUND: dict[str, Any] = {
    **_COMMON,
    "kind": "bound",
    "alpha": [1],
    "neurons": [
        [{"sign": 1, "cases": [{"on": []}]}],
        [
            {"sign": 1, "cases": [{"on": [], "c": {}}, {"on": [0]}]},
            {"sign": -1, "cases": [{"on": [], "c": {"0": "1/2"}}]},
        ],
    ],
}
CELLS: dict[str, Any] = {
    **_COMMON,
    "kind": "cells",
    "cells": [
        {"alpha": [1], "neurons": [{"sign": 1, "on": [0], "nu": {"0": 0}}, {"sign": sign, "on": on, "nu": [0]}]}
        for sign in (1, -1)
        for on in ([], [0])
    ],
}
BETTER: dict[str, Any] = {
    **_COMMON,
    "kind": "better",
    "better": [["3/5", "4/5", 0, 0], [1, 0]],
    "face": {"alpha": [1], "nu": [[0, 0]]},
}
ALL = {"bound": BOUND, "cells": CELLS, "better": BETTER}


def test_the_examples_are_well_formed() -> None:
    assert check(SINGLE.problem, BOUND).accepted
    assert not check(SINGLE.problem, BETTER).accepted
    # Where neuron 2 acts with sign 1 too, both slopes are 1; with sign -1 its slope is 1 against nothing gained.
    assert check(SINGLE.problem, CELLS).accepted


DEEP: list[Any] = reduce(lambda inner, _: [inner], range(5000), [])


@pytest.mark.parametrize(
    ("kind", "path", "value", "message"),
    [
        ("bound", ("kind",), "proof", "certificate.kind: must be one of bound, cells, better"),
        ("bound", ("kind",), ["bound"], "certificate.kind: must be one of bound, cells, better"),
        ("bound", ("problem",), "layer 3", "certificate.problem: must be one of full, layer 1, layer 2"),
        ("bound", ("scope",), 1, "certificate.scope: must be one of local, global"),
        ("bound", ("note",), 1, "certificate: unknown key 'note'"),
        ("bound", ("theta",), None, "certificate.theta: expected an array, found null"),
        ("bound", ("theta",), [[1, 1, 0, 0]], "certificate.theta: 1 entries where 2 are needed"),
        ("bound", ("theta", 0), [1, 1, 0], "certificate.theta[0]: 3 entries where 4 are needed"),
        ("bound", ("theta", 0, 1), True, "certificate.theta[0][1]: expected a number, found a boolean"),
        ("bound", ("theta", 0, 1), None, "certificate.theta[0][1]: expected a number, found null"),
        ("bound", ("theta", 0, 1), "1/0", "certificate.theta[0][1]: division by zero"),
        ("bound", ("theta", 0, 1), "0x1", 'certificate.theta[0][1]: expected a number or a string "p/q"'),
        ("bound", ("theta", 0, 1), "1e999999999", 'certificate.theta[0][1]: expected a number or a string "p/q"'),
        ("bound", ("theta", 0, 1), "\u0661", 'certificate.theta[0][1]: expected a number or a string "p/q"'),
        ("bound", ("theta", 0, 1), "1" * 401, "certificate.theta[0][1]: more than 400 digits"),
        ("bound", ("theta", 0, 1), "1" * 10**6, "certificate.theta[0][1]: more than 400 digits"),
        ("bound", ("theta", 0, 1), 10**500, "certificate.theta[0][1]: more than 400 digits"),
        ("bound", ("theta", 0, 1), math.nan, "certificate.theta[0][1]: NaN and infinities are not allowed"),
        ("bound", ("theta", 0, 1), math.inf, "certificate.theta[0][1]: NaN and infinities are not allowed"),
        ("bound", ("theta", 0, 1), DEEP, "certificate.theta[0][1]: expected a number, found an array"),
        ("bound", ("structure",), [1], "certificate.structure: expected an object, found an array"),
        ("bound", ("structure", "outgoing"), [1], "certificate.structure.outgoing: 1 entries where 2 are needed"),
        ("bound", ("structure", "outgoing", 0), True, "certificate.structure.outgoing[0]: must be one of -1, 0, 1"),
        ("bound", ("structure", "outgoing", 0), 1.0, "certificate.structure.outgoing[0]: must be one of -1, 0, 1"),
        ("bound", ("structure", "gates"), None, "certificate.structure.gates: expected an array, found null"),
        ("bound", ("structure", "gates", 0, 1), 2, "certificate.structure.gates[0][1]: must be one of -1, 0, 1"),
        ("bound", ("alpha",), [], "certificate.alpha: 0 entries where 1 are needed"),
        ("bound", ("neurons",), [[]], "certificate.neurons: 1 entries where 2 are needed"),
        ("bound", ("neurons", 0), {}, "certificate.neurons[0]: expected an array, found an object"),
        ("bound", ("neurons", 0, 0, "sign"), 0, "certificate.neurons[0][0].sign: must be one of -1, 1"),
        ("bound", ("neurons", 1, 1, "sign"), 1, "certificate.neurons[1][1].sign: occurs twice"),
        ("bound", ("neurons", 0, 0, "cases"), 1, "certificate.neurons[0][0].cases: expected an array, found a number"),
        ("bound", ("neurons", 0, 0, "cases", 0), {}, "certificate.neurons[0][0].cases[0].on: missing"),
        (
            "bound",
            ("neurons", 1, 0, "cases", 1, "on"),
            [0, 0],
            "certificate.neurons[1][0].cases[1].on: a sample occurs twice",
        ),
        (
            "bound",
            ("neurons", 1, 0, "cases", 1, "on", 0),
            1,
            "certificate.neurons[1][0].cases[1].on[0]: expected a sample from 0 to 0",
        ),
        (
            "bound",
            ("neurons", 1, 0, "cases", 1, "on", 0),
            False,
            "certificate.neurons[1][0].cases[1].on[0]: expected a sample from 0 to 0",
        ),
        (
            "bound",
            ("neurons", 1, 1, "cases", 0, "c"),
            {"1": 0},
            "certificate.neurons[1][1].cases[0].c: '1' is not a sample",
        ),
        (
            "bound",
            ("neurons", 1, 1, "cases", 0, "c"),
            {"00": 0},
            "certificate.neurons[1][1].cases[0].c: '00' is not a sample",
        ),
        ("cells", ("cells",), {}, "certificate.cells: expected an array, found an object"),
        ("cells", ("cells", 0, "alpha"), 1, "certificate.cells[0].alpha: expected an array, found a number"),
        (
            "cells",
            ("cells", 0, "neurons", 1, "nu"),
            [],
            "certificate.cells[0].neurons[1].nu: 0 entries where 1 are needed",
        ),
        ("cells", ("cells", 0, "neurons", 1, "sign"), 2, "certificate.cells[0].neurons[1].sign: must be one of -1, 1"),
        ("better", ("better",), [[], []], "certificate.better[0]: 0 entries where 4 are needed"),
        ("better", ("face",), [], "certificate.face: expected an object, found an array"),
        ("better", ("face", "nu"), [[0]], "certificate.face.nu[0]: 1 entries where 2 are needed"),
        ("better", ("face", "beta"), 1, "certificate.face: unknown key 'beta'"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 60 else "-",
)
def test_what_is_malformed_is_named(kind: str, path: tuple[Any, ...], value: Any, message: str) -> None:
    with pytest.raises(FieldError) as error:
        check(SINGLE.problem, changed(ALL[kind], path, value))
    assert str(error.value) == message


@pytest.mark.parametrize("kind", ALL)
def test_no_field_can_be_left_out(kind: str) -> None:
    for key in ALL[kind]:
        forged = {k: v for k, v in ALL[kind].items() if k != key}
        if (kind, key) == ("bound", "neurons"):
            assert "gives no cases" in check(SINGLE.problem, forged).reason
            continue
        with pytest.raises(FieldError, match=f"^certificate.{key}: missing$"):
            check(SINGLE.problem, forged)


@pytest.mark.parametrize("value", [None, [], "x", 3, {}])
def test_not_even_a_certificate(value: Any) -> None:
    with pytest.raises(FieldError, match=r"^certificate"):
        check(SINGLE.problem, value)


def paths(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in JSON data but the top."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return [path for key, entry in items for path in [(*here, key), *paths(entry, (*here, key))]]
    return []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def answer(forged: dict[str, Any]) -> tuple[str, str]:
    """What the checker says, and of which field."""
    try:
        return check(SINGLE.problem, forged).reason, "certificate"
    except FieldError as error:
        return str(error), error.field


@given(st.sampled_from(sorted(ALL)), st.data())
def test_garbage_anywhere_is_refused_in_one_line_or_judged(kind: str, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(paths(ALL[kind])))
    forged = changed(ALL[kind], path, data.draw(json_values))
    reason, field = answer(forged)
    assert field.startswith("certificate")
    assert reason
    assert "\n" not in reason


@given(st.fractions(), st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_exact(a: Fraction, b: float) -> None:
    assert number(f"{a.numerator}/{a.denominator}", "") == a
    assert number(a.numerator, "") == a.numerator
    assert number(b, "") == Fraction(b)
    assert number(str(Fraction(b)), "") == Fraction(b)


@given(st.fractions(min_value=0) | st.floats(0, allow_infinity=False).map(Fraction))
def test_floats_are_rounded_to_the_safe_side(a: Fraction) -> None:
    assert Fraction(float_down(a)) <= a <= Fraction(float_up(a))
    assert math.nextafter(float_down(a), math.inf) >= float_up(a)
    root = sqrt_down(a)
    assert Fraction(root) ** 2 <= a
    assert Fraction(math.nextafter(math.nextafter(root, math.inf), math.inf)) ** 2 > a


POSITIVE = st.fractions(min_value=0) | st.floats(0, allow_infinity=False).map(Fraction) | st.just(Fraction(10**700))


@given(POSITIVE)
def test_short_roots_are_at_least_the_root(a: Fraction) -> None:
    root = sqrt_up(a)
    assert a <= root**2 <= a * (1 + Fraction(1, 10**18))
    assert root.denominator.bit_count() == 1


@given(POSITIVE, st.integers(1, 8))
def test_roots_of_any_degree_lie_between_their_bounds(a: Fraction, m: int) -> None:
    below, above = root_down(a, m), root_up(a, m)
    assert below**m <= a <= above**m
    assert above - below <= 8 * ROUNDED * above
    # A square is its own test: the bounds are as close to a known root.
    assert root_down(a**m, m) <= a <= root_up(a**m, m)


def test_the_checker_stands_alone() -> None:
    """Neither the trainer, nor the oracles, nor their solvers come with it."""
    program = (
        "import sys, harness.certificates\n"
        "banned = ('harness.flow', 'harness.oracles', 'harness.harvest', 'numba', 'clarabel', 'torch', 'scipy')\n"
        "print([name for name in banned if name in sys.modules])\n"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


# --- places in a network of the widths 2, 3, 1, 1 with two samples ---

DEPTH_THREE = Instance.of(
    fully_connected("relu", [2, 3, 1]),
    "exponential",
    ((Fraction(1), Fraction(1)), (Fraction(1), Fraction(2))),
    (1, 1),
    ((Fraction(0),) * 6, (Fraction(0),) * 3, (Fraction(0),)),
)
_PLACED: dict[str, Any] = {
    "problem": "full",
    "scope": "local",
    "theta": [[1, 0, 0, 1, 1, 1], [1, 1, 1], ["1/4"]],
    "signs": [[[1, 1, 1]] * 2, [[1]] * 2],
}
_LEAF: dict[str, Any] = {"alpha": [1, 1], "nu": [], "rho": 1, "tau": 0, "mu": 1}
_BALL: dict[str, Any] = {**_PLACED, "kind": "ball", "radius": "1/1000", "rotations": [], "tree": _LEAF}
_CURVE: dict[str, Any] = {
    **_PLACED,
    "kind": "curve",
    "order": 1,
    "active": [0],
    "gates": [],
    "e": None,
    "implied": {},
    "d": [[0] * 6, [0] * 3, [0]],
}
_LAYER: dict[str, Any] = {**_PLACED, "kind": "layer tree", "problem": "layer 1", "tree": {"alpha": [1, 1]}}


def placed(kind: str, place: list[int]) -> dict[str, Any]:
    """A certificate that speaks of this place."""
    _, layer, neuron = place
    match kind:
        case "split":
            return {**_BALL, "tree": {"split": place, "on": _LEAF, "off": _LEAF}}
        case "nu":
            return {**_BALL, "tree": {**_LEAF, "nu": [[*place, 1]]}}
        case "mixed":
            return {**_BALL, "tree": {**_LEAF, "mixed": [[*place, "1/2", 0]]}}
        case "dead":
            return {**_BALL, "tree": {**_LEAF, "dead": [[layer, neuron, {"turn": None, "kappa": []}]]}}
        case "rotation":
            return {**_BALL, "rotations": [[layer, neuron, 1 if neuron != 1 else 2]]}
        case "curve":
            return {**_CURVE, "gates": [[*place, 1]]}
        case _:
            return {**_LAYER, "tree": {"split": place, "on": _LAYER["tree"], "off": _LAYER["tree"]}}


@pytest.mark.parametrize("kind", ["split", "nu", "mixed", "dead", "rotation", "curve", "layer"])
def test_places_are_within_the_network(kind: str) -> None:
    """Nothing counts from the other end, as an index of -1 would."""
    for place in ([0, 0, 1], [0, 3, 1], [0, 1, 0], [0, 1, 4], [0, 2, 2], [-1, 1, 1], [2, 1, 1]):
        if kind in ("dead", "rotation") and not 0 <= place[0] < 2:
            continue
        with pytest.raises(FieldError, match="expected an integer from"):
            check(DEPTH_THREE.problem, placed(kind, place))
    # The last ones that there are; what is wrong with them is something else.
    for place in ([1, 2, 1], [0, 1, 3], [1, 1, 3]):
        if kind == "rotation" and place[1] == 2:
            continue
        assert not check(DEPTH_THREE.problem, placed(kind, place)).accepted


@pytest.mark.parametrize("kind", ["nu", "mixed", "dead", "curve"])
def test_no_place_occurs_twice(kind: str) -> None:
    forged = placed(kind, [0, 1, 1])
    entries = forged["gates"] if kind == "curve" else forged["tree"][kind]
    entries.append(entries[0])
    with pytest.raises(FieldError, match="occurs twice"):
        check(DEPTH_THREE.problem, forged)
