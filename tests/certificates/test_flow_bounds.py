"""Bounds that a proof of the flow's end rests on, against points within what they are bounds of."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from harness.certificates.flow_denial import Interval, activated, inner_product
from harness.certificates.flow_ends import distance


@pytest.mark.parametrize("slope", [Fraction(0), Fraction(1, 3), Fraction(-1), Fraction(2), Fraction(-1, 2)])
def test_an_activation_of_an_interval_is_all_that_its_numbers_become(slope: Fraction) -> None:
    ends = [Fraction(k, 2) for k in range(-4, 5)]
    for low in ends:
        for high in (end for end in ends if end >= low):
            inside = [a for a in ends if low <= a <= high]
            became = [a if a > 0 else slope * a for a in inside]
            assert activated((low, high), slope) == (min(became), max(became))


def test_a_product_of_intervals_is_all_that_products_are() -> None:
    ends = ((-2, 1), (1, 3), (-3, -1), (2, 2))
    spans: list[Interval] = [(Fraction(low), Fraction(high)) for low, high in ends]
    for p in spans:
        for q in spans:
            products = [a * b for a in p for b in q]
            assert inner_product([p], [q]) == (min(products), max(products))
            assert inner_product([p, p], [q, q]) == (2 * min(products), 2 * max(products))


def test_a_neuron_is_no_farther_from_its_limit_than_is_said() -> None:
    """Limits within the bounds of |u|, of 1/c and of |u - |u| D|, beside weights that are near and not so near."""
    rng = np.random.default_rng(20261129)
    closest = 1.0
    for _ in range(2000):
        d = rng.standard_normal(2)
        d /= (np.linalg.norm(d) if rng.random() < 0.7 else max(1.0, np.linalg.norm(d))) * (1.0 + 1e-12)
        length = np.sort(rng.uniform(0.5, 1.5, 2)) if rng.random() < 0.5 else np.full(2, rng.uniform(0.5, 1.5))
        share = np.sort(rng.uniform(0.8, 1.2, 2)) if rng.random() < 0.5 else np.ones(2)
        u_size, over_c = (rng.choice([*ends, rng.uniform(ends[0], ends[1])]) for ends in (length, share))
        # along D, where the multipliers are known exactly
        angle = np.arctan2(d[1], d[0]) if rng.random() < 0.5 else rng.uniform(0.0, 2.0 * np.pi)
        u = u_size * np.array([np.cos(angle), np.sin(angle)])
        epsilon = float(np.linalg.norm(u - u_size * d)) * (1.0 + 1e-9)
        sign = int(rng.choice([-1, 1]))
        v = np.sqrt(u_size * over_c)
        w = v * u / u_size
        near = rng.choice([0.0, 1e-3, 0.3, 30.0])
        stored = float(rng.choice([v, *np.sqrt(length * share)])) + near * abs(rng.standard_normal())
        weights = rng.choice([1.0, 0.0]) * near * rng.standard_normal(2) + (w if rng.random() < 0.5 else stored * d)
        at = SimpleNamespace(
            v=lambda _, v=stored: Fraction(sign * v),  # noqa: B023
            w=lambda _, w=weights: tuple(map(Fraction, w)),
        )
        unit: Any = SimpleNamespace(neuron=at, s=sign, name="a neuron")
        said = distance(unit, (), _exact(d), _exact(length), _exact(share), Fraction(epsilon))
        apart = float(np.hypot(v - stored, np.linalg.norm(w - weights)))
        assert apart <= float(said) * (1.0 + 1e-9) + 1e-12
        if apart > 1e-6:
            closest = min(closest, float(said) / apart - 1.0)
    # and it is not far from what can be
    assert closest < 0.5


def _exact(numbers: np.ndarray) -> Any:
    return tuple(map(Fraction, numbers.tolist()))
