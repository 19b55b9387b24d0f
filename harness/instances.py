"""Instance: a network, a loss, data and a starting point, all in exact numbers, and its JSON form.

    {"format": 1,
     "network": {"activation": "relu", "patterns": [[[0, 1], [2, 3]], [[0, 1]]]},
     "loss": "exponential",
     "x": [["1", "1/4"], ["-1", "1/4"]],
     "y": [1, 1],
     "theta0": [["0", "3", "0", "-2"], ["3", "0"]]}

A number is a JSON integer or a string ("1/4", "0.25", "-3e2"), both exact, or a JSON float, taken
at its exact binary value.  Ties and zeros are decided on these exact numbers; the flow runs on
their nearest floats, so a number whose nearest float is infinite, or is zero although the number
is not, is refused.  Bad input of every kind raises FieldError, which names the field.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from numbers import Integral
from typing import Any, Literal

import numpy as np

from harness.networks import FieldError, Network, forward

Loss = Literal["exponential", "logistic"]
Rows = tuple[tuple[Fraction, ...], ...]

FORMAT = 1

# Python converts at most 4300 digits between int and text; 14000 bits are 4215 digits.
_MAX_BITS = 14_000
_MAX_DIGITS = 4_300
_NUMBER = re.compile(
    r"(?P<sign>[+-]?)(?:(?P<p>[0-9]+)/(?P<q>[0-9]+)|"
    r"(?P<whole>[0-9]*)(?:\.(?P<part>[0-9]*))?(?:[eE](?P<exponent>[+-]?[0-9]+))?)"
)


@dataclass(frozen=True)
class Instance:
    """One gradient flow problem.

    x: n rows of d numbers, none of them all zero.  y: n labels, 1 or -1.
    theta0: one row a layer, as long as the layer has parameters.
    Integers, Fractions and floats (at their binary value) are taken for numbers, and any sequence
    for a row; they are stored as tuples of Fractions.  Raises FieldError.
    """

    network: Network
    loss: Loss
    x: Rows
    y: tuple[int, ...]
    theta0: Rows

    def __post_init__(self) -> None:
        if self.loss not in ("exponential", "logistic"):
            raise FieldError("loss", 'must be "exponential" or "logistic"')
        if not sum(self.network.sizes):
            raise FieldError("network.patterns", "the network has no parameters")
        x, theta0 = _exact_rows(self.x, "x"), _exact_rows(self.theta0, "theta0")
        y = tuple(_label(_exact(label, f"y[{i}]"), f"y[{i}]") for i, label in enumerate(self.y))
        if not x:
            raise FieldError("x", "no data")
        for i, row in enumerate(x):
            if len(row) != self.network.widths[0]:
                raise FieldError(f"x[{i}]", f"{len(row)} coordinates, but layer 1 has {self.network.widths[0]} columns")
            if not any(row):
                raise FieldError(f"x[{i}]", "the point is zero")
        if len(y) != len(x):
            raise FieldError("y", f"{len(y)} labels for {len(x)} points")
        if len(theta0) != self.network.depth:
            raise FieldError("theta0", f"{len(theta0)} rows for {self.network.depth} layers")
        for depth, (row, size) in enumerate(zip(theta0, self.network.sizes, strict=True)):
            if len(row) != size:
                raise FieldError(f"theta0[{depth}]", f"{len(row)} numbers for {size} parameters")
        # A frozen dataclass is filled this way.
        object.__setattr__(self, "x", x)
        object.__setattr__(self, "y", y)
        object.__setattr__(self, "theta0", theta0)

    @property
    def n(self) -> int:
        """The number of points."""
        return len(self.x)

    @property
    def d(self) -> int:
        """The dimension of the points."""
        return self.network.widths[0]

    @cached_property
    def x_float(self) -> np.ndarray:
        """The points as float64, shape (n, d), read-only."""
        return _frozen([[float(a) for a in row] for row in self.x])

    @cached_property
    def y_float(self) -> np.ndarray:
        """The labels as float64, shape (n,), read-only."""
        return _frozen(self.y)

    @cached_property
    def theta0_float(self) -> list[np.ndarray]:
        """The start as float64, one vector a layer, read-only."""
        return [_frozen([float(a) for a in row]) for row in self.theta0]

    def margins(self, theta: Sequence[Sequence[Fraction]]) -> list[Fraction]:
        """q_i(theta) = y_i Phi(theta; x_i), exactly."""
        return [label * forward(self.network, theta, row) for label, row in zip(self.y, self.x, strict=True)]

    @classmethod
    def from_json(cls, text: str) -> Instance:
        """Read the format at the top of this file.  Raises FieldError."""
        return _read_instance(_parse(text))

    def to_json(self) -> str:
        """The instance as JSON text; from_json gives back an equal instance."""
        patterns = [[list(row) for row in pattern] for pattern in self.network.patterns]
        return "\n".join(
            (
                f'{{"format": {FORMAT},',
                f' "network": {{"activation": "{self.network.activation}", "patterns": {json.dumps(patterns)}}},',
                f' "loss": "{self.loss}",',
                f' "x": {_rows_text(self.x)},',
                f' "y": {json.dumps(list(self.y))},',
                f' "theta0": {_rows_text(self.theta0)}}}',
            )
        )


# --- exact numbers ---


def _exact(value: object, field: str) -> Fraction:
    """An int, float or Fraction as a Fraction in the range of nonzero floats."""
    if isinstance(value, bool) or not isinstance(value, Integral | Fraction | float):
        raise FieldError(field, f"expected a number, found {_kind(value)}")
    if isinstance(value, float) and not math.isfinite(value):
        raise FieldError(field, "NaN and infinities are not allowed")
    number = Fraction(int(value)) if isinstance(value, Integral) else Fraction(value)
    try:
        nearest = float(number)
    except OverflowError:
        raise FieldError(field, "overflow: the nearest float is infinite") from None
    if number and not nearest:
        raise FieldError(field, "underflow: the number is not zero, but its nearest float is")
    if max(number.numerator.bit_length(), number.denominator.bit_length()) > _MAX_BITS:
        raise FieldError(field, "the number has too many digits")
    return number


def _label(number: Fraction, field: str) -> int:
    if number not in (1, -1):
        raise FieldError(field, "a label must be 1 or -1")
    return int(number)


def _exact_rows(rows: Sequence[Sequence[object]], field: str) -> Rows:
    return tuple(tuple(_exact(a, f"{field}[{i}][{j}]") for j, a in enumerate(row)) for i, row in enumerate(rows))


def _frozen(values: object) -> np.ndarray:
    array = np.array(values, dtype=np.float64)
    array.setflags(write=False)
    return array


def _number_from_text(text: str, field: str) -> Fraction:
    """The exact value of "3", "-1/4", "0.25" or "-3e2"."""
    match = _NUMBER.fullmatch(text)
    if match is None or not any(match.group("p", "whole", "part")):
        raise FieldError(field, f"{_quoted(text)} is not a number")
    p, q, whole, part, exponent = match.group("p", "q", "whole", "part", "exponent")
    numerator = p if p is not None else (whole or "") + (part or "")
    if max(len(numerator), len(q or "")) > _MAX_DIGITS:
        raise FieldError(field, "the number has too many digits")
    number = Fraction(int(numerator))
    if p is not None:
        if not int(q):
            raise FieldError(field, "division by zero")
        number /= int(q)
    elif number:
        # An exponent this large decides on its own, and its power must not be computed.
        digits = (exponent or "0").lstrip("+-0") or "0"
        power = min(int(digits[:6]) if len(digits) <= 6 else 10**6, 10**6)
        if power > 3 * _MAX_DIGITS:
            flow = "underflow" if "-" in (exponent or "") else "overflow"
            raise FieldError(field, f"{flow}: {_quoted(text)} is out of the range of floats")
        power = -power if "-" in (exponent or "") else power
        number *= Fraction(10) ** (power - len(part or ""))
    return _exact(-number if match["sign"] == "-" else number, field)


def _number_text(number: Fraction) -> str:
    """One number as JSON: what a person would write, else a float if it is one, else "p/q"."""
    p, q = number.numerator, number.denominator
    if (q == 1 and abs(p) < 10**15) or (abs(p) < 10**4 and q < 10**4):
        return f'"{number}"'
    nearest = float(number)
    return repr(nearest) if Fraction(nearest) == number else f'"{number}"'


def _rows_text(rows: Rows) -> str:
    return "[" + ", ".join("[" + ", ".join(map(_number_text, row)) + "]" for row in rows) + "]"


# --- JSON ---


class _Pairs(list[tuple[str, Any]]):
    """A JSON object before its keys are checked: json alone would drop duplicates in silence."""


class _FloatText(str):
    """A JSON float as written: float() would turn 1e-999 into a zero."""


@dataclass(frozen=True)
class _Refused:
    """Something JSON's grammar lets through and this format does not; its place is known later."""

    message: str


def _parse(text: str) -> object:
    def integer(digits: str) -> int | _Refused:
        # JSON allows no leading zeros, so this many digits are beyond every float.
        return int(digits) if len(digits) <= 400 else _Refused("overflow: the nearest float is infinite")

    try:
        return json.loads(
            text,
            object_pairs_hook=_Pairs,
            parse_int=integer,
            parse_float=_FloatText,
            parse_constant=lambda name: _Refused(f"{name} is not allowed"),
        )
    except json.JSONDecodeError as error:
        raise FieldError("instance", f"not JSON: {error.msg} at line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise FieldError("instance", "not an instance: nested too deeply") from None


def _read_instance(value: object) -> Instance:
    # First: what a document of another format lacks, or has besides, is no fault of it.
    for key, number in value if isinstance(value, _Pairs) else ():
        if key == "format" and _integer(number, "format") != FORMAT:
            raise FieldError("format", f"format {number} is not known; this version reads format {FORMAT}")
    top = _object(value, "", ("format", "network", "loss", "x", "y", "theta0"))
    network = _object(top["network"], "network", ("activation", "patterns"))
    patterns = tuple(
        tuple(
            tuple(
                _integer(k, f"network.patterns[{depth}][{r}][{c}]")
                for c, k in enumerate(_array(row, f"network.patterns[{depth}][{r}]"))
            )
            for r, row in enumerate(_array(pattern, f"network.patterns[{depth}]"))
        )
        for depth, pattern in enumerate(_array(network["patterns"], "network.patterns"))
    )
    activation: Any = _string(network["activation"], "network.activation")
    loss: Any = _string(top["loss"], "loss")
    return Instance(
        Network(activation, patterns),
        loss,
        _number_rows(top["x"], "x"),
        tuple(_label(a, f"y[{i}]") for i, a in enumerate(_numbers(top["y"], "y"))),
        _number_rows(top["theta0"], "theta0"),
    )


def _object(value: object, field: str, keys: tuple[str, ...]) -> dict[str, Any]:
    """A JSON object with exactly these keys, each once."""
    if not isinstance(value, _Pairs):
        raise FieldError(field or "instance", f"expected an object, found {_kind(value)}")
    found: dict[str, Any] = {}
    for key, item in value:
        place = f"{field}.{_name(key)}" if field else _name(key)
        if key not in keys:
            raise FieldError(place, "unknown key")
        if key in found:
            raise FieldError(place, "duplicate key")
        found[key] = item
    for key in keys:
        if key not in found:
            raise FieldError(f"{field}.{key}" if field else key, "missing")
    return found


def _array(value: object, field: str) -> list[Any]:
    if not isinstance(value, list) or isinstance(value, _Pairs):
        raise FieldError(field, f"expected an array, found {_kind(value)}")
    return value


def _string(value: object, field: str) -> str:
    if not isinstance(value, str) or isinstance(value, _FloatText):
        raise FieldError(field, f"expected a string, found {_kind(value)}")
    return value


def _integer(value: object, field: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise FieldError(field, f"expected an integer, found {_kind(value)}")
    return value


def _number(value: object, field: str) -> Fraction:
    if isinstance(value, _Refused):
        raise FieldError(field, value.message)
    if isinstance(value, _FloatText):
        nearest = float(value)
        if math.isinf(nearest):
            raise FieldError(field, "overflow: the nearest float is infinite")
        if not nearest and any(digit in "123456789" for digit in re.split("[eE]", value)[0]):
            raise FieldError(field, "underflow: the number is not zero, but its nearest float is")
        return Fraction(nearest)
    if isinstance(value, str):
        return _number_from_text(value, field)
    return _exact(value, field)


def _numbers(value: object, field: str) -> tuple[Fraction, ...]:
    return tuple(_number(a, f"{field}[{i}]") for i, a in enumerate(_array(value, field)))


def _number_rows(value: object, field: str) -> Rows:
    return tuple(_numbers(row, f"{field}[{i}]") for i, row in enumerate(_array(value, field)))


def _kind(value: object) -> str:
    """What a value is called in JSON, for messages."""
    match value:
        case _Refused():
            return value.message.split()[0]
        case None:
            return "null"
        case bool():
            return "a boolean"
        case _Pairs():
            return "an object"
        case _FloatText() | int() | float():
            return "a number"
        case str():
            return "a string"
        case list() | tuple():
            return "an array"
        case _:
            return type(value).__name__


def _quoted(text: str) -> str:
    """Text from the input, on one line and not too long."""
    return json.dumps(text if len(text) <= 40 else text[:40] + "...")


def _name(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_]{1,40}", key) else _quoted(key)
