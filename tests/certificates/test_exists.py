"""That an exact KKT point lies next to a limit in floats: what is demanded of the point, and of nothing less."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from harness.certificates.exists import kkt_point
from harness.certificates.numbers import Rejected
from harness.oracles.exact import exact_theta, stated
from harness.problem.instances import Instance
from harness.problem.networks import Network, diagonal, fully_connected, sparse
from harness.problem.points import Point
from harness.problem.problems import Problem
from tests.support.certificate_examples import instance_of
from tests.support.kkt_points import kkt_point as descended

ROOT = 0.5 ** (1 / 3)


def point(instance: Instance, theta: Sequence[Sequence[Any]], signs: Any, multipliers: Sequence[Any]) -> float:
    exact = tuple(tuple(Fraction(v) for v in u) for u in theta)
    return float(kkt_point(instance.problem, exact, signs, tuple(Fraction(a) for a in multipliers)))


# --- margins ---

# q = beta_1 + beta_2, twice the margin 1 at (1/2, 1/2): an isolated KKT point of depth 3.
EQUAL = diagonal("linear", 2, 3)
MULTIPLIER = 1 / ROOT


def beside(second: Sequence[Any], label: int = 1) -> float:
    """The radius with a second sample that has no multiplier."""
    instance = instance_of(EQUAL, [[1, 1], list(second)], [1, label])
    return point(instance, [[ROOT, ROOT]] * 3, None, [MULTIPLIER, 0])


def test_a_sample_without_a_multiplier_has_a_margin_of_one() -> None:
    """Of a parallel sample it is at least 1 exactly; of another one only clearly so."""
    assert beside([1, 1]) < 1e-14
    assert beside([-1, -1], -1) < 1e-14
    assert beside([4, -1]) < 1e-14
    # A radius of 1e-15 is beyond such a margin.
    for close in ([2, 0], [1, 1 - 2.0**-52], [1 - 2.0**-52, 1 - 2.0**-52]):
        with pytest.raises(Rejected, match="the margin of sample 1 may be less than 1"):
            beside(close)


def test_parallel_samples_of_other_labels_have_other_gates() -> None:
    """relu: x and -x with the labels 1 and -1 are one sample to a linear network, and not to this one."""
    network = Network("relu", (((0, -1), (-1, 0)), ((0, 1),)))
    less = Fraction(10**12 - 1, 10**12)
    v = 2**-0.25
    signs = (((1, -1), (0, 1), (-1, 1)),)
    instance = instance_of(network, [[1, -less], [0, 1], [-1, less]], [1, -1, -1])
    with pytest.raises(Rejected, match="the margin of sample 2 may be less than 1"):
        point(instance, [[1 / v], [v, -v]], signs, [0.5**0.5, 0.5**0.5, 0])
    # With the margin in full the third sample is the second one again.
    whole = instance_of(network, [[1, -1], [0, 1], [0, 1]], [1, -1, -1])
    signs = (((1, -1), (0, 1), (0, 1)),)
    assert point(whole, [[1 / v], [v, -v]], signs, [0.5**0.5, 0.5**0.5, 0]) < 1e-14


# --- multipliers ---


def test_a_multiplier_of_rounding_is_none() -> None:
    """The second margin is 3/2; with the multiplier it would have to be 1."""
    instance = instance_of(EQUAL, [[1, 1], [4, -1]], [1, 1])
    assert point(instance, [[ROOT, ROOT]] * 3, None, [MULTIPLIER, 1e-9]) < 1e-14
    with pytest.raises(Rejected):
        point(instance, [[ROOT, ROOT]] * 3, None, [MULTIPLIER, 1e-6])


# w = x_1 + b x_2 with the multipliers 1 - b + b^2 and b: a hard-margin SVM.
SVM = fully_connected("linear", [2])


@pytest.mark.parametrize("b", [Fraction(1, 10**6), -Fraction(1, 10**6)])
def test_a_multiplier_is_clearly_positive(b: Fraction) -> None:
    """Where b < 0 there is no KKT point; a point that is off by 1e-5 does not tell."""
    instance = instance_of(SVM, [[1, 0], [1 - b, 1]], [1, 1])
    with pytest.raises(Rejected, match="a multiplier is not clearly positive"):
        point(instance, [[1 + Fraction(1, 10**5), b]], None, [1 - b + b**2, abs(b)])
    if b > 0:
        assert point(instance, [[1, b]], None, [1 - b + b**2, b]) < 1e-14


def test_some_multiplier_is_positive() -> None:
    instance = instance_of(SVM, [[1, 0]], [1])
    for multiplier in (0, -1):
        with pytest.raises(Rejected, match="no multiplier is positive"):
            point(instance, [[1, 0]], None, [multiplier])


# --- signs ---

# Neuron 1 sees x_1 and x_2, neuron 2 sees x_3.
PATCHES = sparse("relu", [[[1, 1, 0], [0, 0, 1]], [[1, 1]]])


@pytest.mark.parametrize("sign", [1, -1])
def test_a_sign_is_clear_of_the_point(sign: int) -> None:
    """The second sample has the input -1e-6 at neuron 1 of the exact point, and 1e-6 at a theta that is 2e-6 off."""
    tiny = Fraction(1, 10**6)
    instance = instance_of(PATCHES, [[1, 0, 0], [-tiny, 1, 1], [0, 0, "1/2"]], [1, 1, 1])
    root = 2**0.5
    signs = (((1, 0), (sign, 1), (0, 1)),)
    theta = [[1, 2 * tiny if sign > 0 else 0, root], [1, root]]
    if sign > 0:
        with pytest.raises(Rejected, match="the sign of neuron 1 of layer 1 on sample 1 is not clear of the KKT point"):
            point(instance, theta, signs, [1, 0, 2])
    else:
        assert point(instance, theta, signs, [1, 0, 2]) < 1e-14


# --- slopes, fixed layers, several outputs ---

KINDS: dict[str, Network] = {
    "leaky": fully_connected("leaky_relu", (2, 2), negative_slope=Fraction(1, 2)),
    "absolute value, depth 3": fully_connected("leaky_relu", (2, 1, 1), negative_slope=-1),
    "steep, last layer fixed": fully_connected("leaky_relu", (2, 3), negative_slope=2, fixed={2: [1, -1, 1]}),
    "relu, first layer fixed": fully_connected("relu", (2, 2, 2), fixed={1: [1, Fraction(1, 4), -1, 1]}),
    "leaky, middle layer fixed": fully_connected(
        "leaky_relu", (2, 2, 2), negative_slope=Fraction(1, 10), fixed={2: [1, Fraction(1, 4), -1, 1]}
    ),
    "linear, 3 classes": fully_connected("linear", (2, 2), outputs=3),
    "leaky, 2 classes": fully_connected("leaky_relu", (2, 2), negative_slope=Fraction(1, 2), outputs=2),
    "3 classes, depth 1": fully_connected("linear", (3,), outputs=3),
}


@pytest.mark.parametrize("name", KINDS)
def test_the_point_is_where_it_is_said_to_be(name: str) -> None:
    """Seen from a point that is moved a little the exact one is farther off, by as much as it was moved."""
    network = KINDS[name]
    rng = np.random.default_rng(7)
    proven = 0
    for _ in range(40):
        x = rng.integers(-3, 4, (2, network.widths[0]))
        x[:, 0] += ~x.any(axis=1)
        labels = (-1, 1) if network.outputs == 1 else range(network.outputs)
        problem = Problem(network, x.tolist(), rng.choice(labels, 2).tolist())
        found = descended(problem, rng.standard_normal(network.size))
        if found is None or found.doubt:
            continue
        signs = tuple(tuple(map(tuple, block.tolist())) for block in found.signs) if network.kinked else None
        multipliers = tuple(Fraction(float(a)) for a in found.multipliers)
        try:
            near = kkt_point(problem, exact_theta(network, found.theta), signs, multipliers)
        except Rejected:
            continue
        proven += 1
        assert near < 1e-12
        for size in (1e-6, 1e-9):
            step = rng.standard_normal(network.size)
            step *= size / np.linalg.norm(step)
            moved = network.split(network.flat(found.theta) + step)
            try:
                far = kkt_point(problem, exact_theta(network, moved), signs, multipliers)
            except Rejected:
                continue
            # Rotations of a point are exact ones too, and one of them may be nearer.
            assert far <= 100 * size
            residual = Point.at(problem, [list(u) for u in stated(network, moved)]).residual
            assert far >= 1e-2 * residual
    assert proven >= 5
