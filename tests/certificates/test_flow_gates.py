"""What a neuron's start says of it for ever, one condition at a time."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from harness.certificates.flow_gates import Unit


def unit(gates: tuple[int, ...], z: tuple[int, ...], gram: Any, *, s: int = 1, v: int = 1, w: Any = (1, 0)) -> Unit:
    """A neuron with these inputs and products of patches; only what is asked of it matters.  All labels are 1."""
    exact: Any = [tuple(map(Fraction, row)) for row in gram]
    none: Any = None
    return Unit(
        none, s, gates, tuple(map(Fraction, w)), Fraction(v), tuple(map(Fraction, z)), (1,) * len(z), tuple(exact)
    )


APART = ((1, -1), (-1, 1))
ALONG = ((1, 1), (1, 1))
RIGHT = ((1, 0), (0, 1))


@pytest.mark.parametrize(
    ("of", "silent"),
    [
        (unit((1, 0), (1, -1), APART), True),
        (unit((1, 0), (1, 0), APART), True),
        (unit((1, 0), (1, 1), APART), False),
        (unit((1, 1), (1, -1), APART), False),
        (unit((1, -1), (1, 1), APART), True),
        (unit((1, 0), (1, 1), APART, s=0), True),
        # its patch is zero
        (unit((1, 0), (1, 1), ((1, 0), (0, 0))), True),
        # on nowhere: its own sample would push it up
        (unit((0, 0), (-1, -1), APART), False),
        (unit((0, 0), (-1, -1), APART, s=-1), False),
        (unit((0, 0), (-1, -1), ALONG, s=-1), True),
        (unit((0, 0), (-1, 1), ALONG, s=-1), False),
        (unit((0, 0), (0, 0), ALONG, w=(0, 0)), True),
    ],
)
def test_a_sample_that_is_never_heard(of: Unit, silent: bool) -> None:
    assert of.silent(1) is silent


@pytest.mark.parametrize(
    ("of", "grows"),
    [
        (unit((1, 1), (1, 1), ALONG), True),
        (unit((1, 1), (1, 1), ALONG, s=-1), False),
        (unit((1, 1), (1, 1), ALONG, s=-1, v=-1), True),
        # no weight out yet: an input that is on gives it its sign
        (unit((1, 1), (1, 1), ALONG, v=0), True),
        (unit((1, 1), (0, 0), ALONG, v=0), False),
        # a gate that is to stay off, beside a sample that pushes its input up or does not
        (unit((1, 0), (1, -1), APART), False),
        (unit((1, 0), (1, -1), APART, s=-1, v=-1), False),
        (unit((1, 0), (1, -1), ALONG, s=-1, v=-1), True),
        (unit((1, 0), (1, 1), ALONG, s=-1, v=-1), False),
    ],
)
def test_a_weight_out_that_never_loses_its_sign(of: Unit, grows: bool) -> None:
    assert of.grows is grows


def test_pushes() -> None:
    mixed = unit((1, 1), (1, 1), ((1, -2), (-2, 3)))
    assert [mixed.push(k, 1) for k in range(2)] == [-2, 3]
    assert not mixed.never_grows(1)
    assert not mixed.never_falls(1)
    assert unit((1, 1), (1, 1), RIGHT).never_falls(1)
    assert not unit((1, 1), (1, 1), RIGHT).never_grows(1)
    assert unit((1, 1), (1, 1), RIGHT, s=-1).never_grows(1)
    assert not unit((1, 1), (1, 1), RIGHT, s=-1).never_falls(1)
