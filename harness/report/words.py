"""Numbers, lists and tables as Markdown that a person reads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

from harness.problem.networks import Network
from harness.records.record import Record
from harness.show.lines import slope

# What Markdown could take for more than a letter. A dot or a hyphen inside a line is none.
_SPECIAL = re.compile(r"[\\`*_{}\[\]()<>#!|~&:@]|(?<=www)\.")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def plain(text: object) -> str:
    """What a file says, as text and nothing else: no link, picture, heading or HTML comes of it."""
    return _SPECIAL.sub(r"\\\g<0>", " ".join(str(text).split()))


def vector(numbers: Iterable[Any]) -> str:
    return "(" + ", ".join(map(short, numbers)) + ")"


def short(number: Any, digits: int = 6) -> str:
    """A number as a person would write it: exact if it is short, else rounded to so many digits."""
    exact_number = Fraction(number)
    if max(abs(exact_number.numerator), exact_number.denominator) < 1000:
        return str(exact_number)
    return f"{float(exact_number):.{digits}g}"


def activation(network: Network) -> str:
    """What the activation is called."""
    if network.negative_slope is not None:
        return f"leaky ReLU (slope {slope(network)})"
    return "ReLU" if network.activation == "relu" else "linear"


def activated(network: Network, inputs: str) -> str:
    """What a hidden neuron makes of its inputs, as a formula."""
    if not network.kinked:
        return inputs
    below = "0" if not network.slope else f"{slope(network)} {inputs}"
    return f"max({below}, {inputs})" if network.slope < 1 else f"min({below}, {inputs})"


def margin_of(record: Record, row: int) -> str:
    """The point of a margin, and with several outputs the class that it is over."""
    sample, other = record.instance.problem.place(row)
    return f"x_{sample}" if other is None else f"x_{sample} over class {other}"
