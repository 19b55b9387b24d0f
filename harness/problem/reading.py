"""The strict reader of JSON: no key twice, none unknown, every number exact; FieldError names the place."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from harness.problem import numbers as exact_numbers
from harness.problem.fields import FieldError
from harness.problem.numbers import Rows, exact, number_from_text, quoted


class Pairs(list[tuple[str, Any]]):
    """A JSON object before its keys are checked: json alone would drop duplicates in silence."""


class _FloatText(str):
    """A JSON float as written: float() would turn 1e-999 into a zero."""


@dataclass(frozen=True)
class _Refused:
    """Something JSON's grammar lets through and this format does not; its place is known later."""

    message: str


def parse(text: str) -> object:
    def integer(digits: str) -> int | _Refused:
        # JSON allows no leading zeros, so this many digits are beyond every float.
        return int(digits) if len(digits) <= 400 else _Refused("overflow: the nearest float is infinite")

    try:
        return json.loads(
            text,
            object_pairs_hook=Pairs,
            parse_int=integer,
            parse_float=_FloatText,
            parse_constant=lambda name: _Refused(f"{name} is not allowed"),
        )
    except json.JSONDecodeError as error:
        raise FieldError("instance", f"not JSON: {error.msg} at line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise FieldError("instance", "not an instance: nested too deeply") from None


def object_of(value: object, field: str, keys: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, Any]:
    """A JSON object with exactly these keys, each once, and some of the optional ones."""
    if not isinstance(value, Pairs):
        raise FieldError(field or "instance", f"expected an object, found {kind(value)}")
    found: dict[str, Any] = {}
    for key, item in value:
        place = f"{field}.{_name(key)}" if field else _name(key)
        if key not in keys and key not in optional:
            raise FieldError(place, "unknown key")
        if key in found:
            raise FieldError(place, "duplicate key")
        found[key] = item
    for key in keys:
        if key not in found:
            raise FieldError(f"{field}.{key}" if field else key, "missing")
    return found


def array(value: object, field: str) -> list[Any]:
    if not isinstance(value, list) or isinstance(value, Pairs):
        raise FieldError(field, f"expected an array, found {kind(value)}")
    return value


def string(value: object, field: str) -> str:
    if not isinstance(value, str) or isinstance(value, _FloatText):
        raise FieldError(field, f"expected a string, found {kind(value)}")
    return value


def integer(value: object, field: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise FieldError(field, f"expected an integer, found {kind(value)}")
    return value


def number(value: object, field: str) -> Fraction:
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
        return number_from_text(value, field)
    if isinstance(value, Pairs):
        raise FieldError(field, f"expected a number, found {kind(value)}")
    return exact(value, field)


def numbers(value: object, field: str) -> tuple[Fraction, ...]:
    return tuple(number(a, f"{field}[{i}]") for i, a in enumerate(array(value, field)))


def number_rows(value: object, field: str) -> Rows:
    return tuple(numbers(row, f"{field}[{i}]") for i, row in enumerate(array(value, field)))


def kind(value: object) -> str:
    """What a value is called in JSON, for messages."""
    match value:
        case _Refused():
            return value.message.split()[0]
        case Pairs():
            return "an object"
        case _FloatText():
            return "a number"
        case _:
            return exact_numbers.kind(value)


def _name(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_]{1,40}", key) else quoted(key)
