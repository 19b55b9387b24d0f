"""Instance and its JSON: exact numbers in and out, and every kind of bad input names its field."""

from __future__ import annotations

import copy
import json
import math
import pickle
import re
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.problem.fields import FieldError
from harness.problem.instances import Instance
from harness.problem.networks import Network, convolutional, diagonal, fully_connected, sparse
from tests.support.bad_inputs import BAD_NUMBERS, BAD_TEXTS, good_object

EXAMPLE = """{"format": 1,
 "network": {"activation": "relu", "patterns": [[[0, 1], [2, 3]], [[0, 1]]]},
 "loss": "exponential",
 "x": [["1", "1/4"], ["-1", "1/4"]],
 "y": [1, 1],
 "theta0": [["0", "3", "0", "-2"], ["3", "0"]]}"""


def number(text: str) -> Fraction:
    """The value that one number in JSON notation gets."""
    data = json.dumps(good_object()).replace('"7/3"', text)
    return Instance.from_json(data).x[1][0]


# --- reading ---


def test_the_documented_example_is_read_and_written_back_to_the_letter() -> None:
    instance = Instance.from_json(EXAMPLE)
    assert instance.network == fully_connected("relu", [2, 2])
    assert instance.x == ((Fraction(1), Fraction(1, 4)), (Fraction(-1), Fraction(1, 4)))
    assert instance.y == (1, 1)
    assert instance.theta0 == ((0, 3, 0, -2), (3, 0))
    assert (instance.n, instance.d, instance.loss) == (2, 2, "exponential")
    assert instance.to_json() == EXAMPLE


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", Fraction(3)),
        ("-3", Fraction(-3)),
        ('"3"', Fraction(3)),
        ('"+3"', Fraction(3)),
        ('"1/4"', Fraction(1, 4)),
        ('"-6/4"', Fraction(-3, 2)),
        ('"0.25"', Fraction(1, 4)),
        ('"-3e2"', Fraction(-300)),
        ('"2.5E-1"', Fraction(1, 4)),
        ('".5"', Fraction(1, 2)),
        ('"5."', Fraction(5)),
        ('"0.1"', Fraction(1, 10)),
        ("0.1", Fraction(3602879701896397, 2**55)),
        ("5e-324", Fraction(1, 2**1074)),
        ("1e308", Fraction(1e308)),
        ('"1e308"', Fraction(10**308)),
        ("0.0", Fraction(0)),
        ("-0.0", Fraction(0)),
        ("0e999", Fraction(0)),
        ('"0e99999999999999"', Fraction(0)),
        ('"3e000000000000000000001"', Fraction(30)),
        ('"3e-000000000000000000001"', Fraction(3, 10)),
        (str(10**308), Fraction(10**308)),
    ],
)
def test_a_number_has_its_exact_value(text: str, value: Fraction) -> None:
    assert number(text) == value


def test_labels_may_be_written_like_any_number() -> None:
    data = good_object() | {"y": ["1", -1.0]}
    assert Instance.from_json(json.dumps(data)).y == (1, -1)


def test_rows_and_columns_of_structural_zeros_are_allowed() -> None:
    data = good_object()
    data["network"]["patterns"] = [[[0, -1], [-1, -1]], [[0, 1]]]
    data["theta0"] = [["1"], ["1", "2"]]
    assert Instance.from_json(json.dumps(data)).network.sizes == (1, 2)


# --- bad input ---


@pytest.mark.timeout(60)  # long numbers and large exponents must not be computed
@pytest.mark.parametrize(("text", "field"), BAD_TEXTS.values(), ids=BAD_TEXTS.keys())
def test_bad_input_names_its_field_on_one_line(text: str, field: str) -> None:
    with pytest.raises(FieldError) as caught:
        Instance.from_json(text)
    assert caught.value.field == field
    assert str(caught.value).startswith(f"{field}: ")
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(("text", "word"), BAD_NUMBERS.values(), ids=BAD_NUMBERS.keys())
def test_a_bad_number_is_named_wherever_it_stands(text: str, word: str) -> None:
    for marker, field in (('"7/3"', "x[1][0]"), ('"11/3"', "theta0[0][2]")):
        with pytest.raises(FieldError, match=word) as caught:
            Instance.from_json(json.dumps(good_object()).replace(marker, text))
        assert caught.value.field == field


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(value=json_values, data=st.data())
@settings(derandomize=True, database=None, deadline=None)
def test_anything_put_anywhere_is_read_or_refused_by_name(value: Any, data: st.DataObject) -> None:
    document = good_object()
    place: Any = document
    while True:
        key = data.draw(st.sampled_from(list(place) if isinstance(place, dict) else range(len(place))))
        if not isinstance(place[key], dict | list) or data.draw(st.booleans()):
            place[key] = value
            break
        place = place[key]
    instance, message = None, ""
    try:
        instance = Instance.from_json(json.dumps(document))
    except FieldError as error:
        message = str(error)
    # A field, the message, one line.
    assert instance is not None or re.fullmatch(r"\S.*: \S.*", message)
    if instance is not None:
        assert Instance.from_json(instance.to_json()) == instance


@given(st.text())
@settings(derandomize=True, database=None, deadline=None)
def test_any_text_is_refused_by_name(text: str) -> None:
    with pytest.raises(FieldError):
        Instance.from_json(text)


# --- writing ---

WEIRD = [5e-324, -5e-324, 2.2250738585072014e-308, 0.1, 1e308, math.nextafter(math.inf, 0), 1e16, 2.0**53 + 2, -0.0]
exact_numbers = st.one_of(
    st.integers(-5, 5).map(Fraction),
    st.fractions(-5, 5, max_denominator=12),
    st.sampled_from(WEIRD).map(Fraction),
    st.floats(allow_nan=False, allow_infinity=False).map(Fraction),
    st.fractions(-(10**40), 10**40).filter(lambda a: not a or float(a) != 0),
    st.integers(-(10**300), 10**300).map(Fraction),
)


@st.composite
def exact_instances(draw: st.DrawFn) -> Instance:
    network: Network = draw(
        st.sampled_from(
            [
                fully_connected("relu", [1]),
                fully_connected("linear", [2, 2]),
                diagonal("relu", 2, 3),
                sparse("linear", [[[1, 0], [0, 0]], [[1, 1]]]),
                convolutional("relu", 3, 2),
            ]
        )
    )
    point = st.lists(exact_numbers, min_size=network.widths[0], max_size=network.widths[0]).map(tuple)
    x = tuple(draw(st.lists(point.filter(any), min_size=1, max_size=3)))
    return Instance.of(
        network,
        draw(st.sampled_from(["exponential", "logistic"])),
        x,
        tuple(draw(st.sampled_from([1, -1])) for _ in x),
        tuple(tuple(draw(exact_numbers) for _ in range(size)) for size in network.sizes),
    )


@given(exact_instances())
@settings(derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_writing_and_reading_gives_the_same_instance(instance: Instance) -> None:
    text = instance.to_json()
    again = Instance.from_json(text)
    assert again == instance
    assert hash(again) == hash(instance)
    assert again.to_json() == text
    # Also by way of Python's own reader and writer, as when it is part of a larger document.
    assert Instance.from_json(json.dumps(json.loads(text))) == instance
    np.testing.assert_array_equal(again.x_float, [[float(a) for a in row] for row in instance.x])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Fraction(0), '"0"'),
        (Fraction(-3), '"-3"'),
        (Fraction(1, 4), '"1/4"'),
        (Fraction(7, 3), '"7/3"'),
        (Fraction(0.1), "0.1"),
        (Fraction(5e-324), "5e-324"),
        (Fraction(1e308), "1e+308"),
        (Fraction(1, 10**5), '"1/100000"'),
    ],
)
def test_a_number_is_written_as_a_person_would(value: Fraction, text: str) -> None:
    instance = Instance.of(fully_connected("linear", [1, 1]), "logistic", ((Fraction(1),),), (1,), ((value,), (value,)))
    assert f'"theta0": [[{text}], [{text}]]}}' in instance.to_json()


# --- the constructor ---


def test_the_constructor_takes_integers_and_floats_at_their_exact_value() -> None:
    rows: Any = [[1, 0.1], [np.int64(3), np.float64(0.5)]]
    theta0: Any = [[0, 3, 0, -2], np.array([3.0, 0.0])]
    labels: Any = [1, np.int64(-1)]
    instance = Instance.of(fully_connected("relu", [2, 2]), "logistic", rows, labels, theta0)
    assert instance.x == ((Fraction(1), Fraction(0.1)), (Fraction(3), Fraction(1, 2)))
    assert all(type(a) is Fraction and type(a.numerator) is int for row in instance.x for a in row)
    assert instance.y == (1, -1)
    assert all(type(a) is int for a in instance.y)
    assert hash(instance) == hash(pickle.loads(pickle.dumps(instance)))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"loss": "hinge"}, "loss"),
        ({"x": ()}, "x"),
        ({"x": ((Fraction(1),), (Fraction(1),))}, "x[0]"),
        ({"x": ((Fraction(0), Fraction(0)), (Fraction(1), Fraction(1)))}, "x[0]"),
        ({"x": ((math.nan, 1), (1, 1))}, "x[0][0]"),
        ({"x": ((1, math.inf), (1, 1))}, "x[0][1]"),
        ({"x": ((1, 10**309), (1, 1))}, "x[0][1]"),
        ({"x": ((1, Fraction(1, 10**400)), (1, 1))}, "x[0][1]"),
        ({"x": ((1, Fraction(10**5000, 10**5000 + 1)), (1, 1))}, "x[0][1]"),
        ({"x": ((1, True), (1, 1))}, "x[0][1]"),
        ({"x": (("1", 1), (1, 1))}, "x[0][0]"),
        ({"y": (1,)}, "y"),
        ({"y": (1, 0)}, "y[1]"),
        ({"y": (True, 1)}, "y[0]"),
        ({"theta0": ((1, 2, 3, 4),)}, "theta0"),
        ({"theta0": ((1, 2, 3), (1, 2))}, "theta0[0]"),
        ({"network": Network("linear", (((-1, -1),),))}, "network.patterns"),
    ],
)
def test_the_constructor_refuses_what_the_reader_refuses(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(FieldError) as caught:
        Instance.from_json(EXAMPLE).changed(**changes)
    assert caught.value.field == field


def test_floats_are_the_nearest_and_cannot_be_written_to() -> None:
    instance = Instance.from_json(EXAMPLE.replace('"1/4"', '"1/3"'))
    assert instance.x_float.tolist() == [[1.0, 1 / 3], [-1.0, 1 / 3]]
    assert instance.y_float.tolist() == [1.0, 1.0]
    assert [u.tolist() for u in instance.theta0_float] == [[0.0, 3.0, 0.0, -2.0], [3.0, 0.0]]
    with pytest.raises(ValueError, match="read-only"):
        instance.x_float[0, 0] = 2.0
    assert copy.deepcopy(instance) == instance


def test_margins_are_exact() -> None:
    instance = Instance.from_json(EXAMPLE)
    assert instance.problem.margins(instance.theta0) == [Fraction(9, 4), Fraction(9, 4)]
    opposite = instance.changed(y=(1, -1))
    assert opposite.problem.margins(instance.theta0) == [Fraction(9, 4), Fraction(-9, 4)]
