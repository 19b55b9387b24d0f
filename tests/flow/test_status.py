"""The door to the trainer: bad input before any work, one instance at a time, the same bits twice."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import harness
from benchmarks.families import suite
from harness.flow import Settings, follow
from harness.problem.fields import FieldError
from harness.problem.instances import Instance
from harness.problem.limits import Limit
from harness.problem.networks import Network, diagonal, fully_connected

TINY = fully_connected("linear", (1, 1))


def point(theta0: Any, x: Any = ((1,),), y: Any = (1,), network: Network = TINY) -> Instance:
    return Instance.of(network, "exponential", x, y, theta0)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("place", ["x", "theta0"])
def test_numbers_that_are_not_finite(value: float, place: str) -> None:
    with pytest.raises(FieldError) as error:
        point(((value,), (1,))) if place == "theta0" else point(((1,), (1,)), x=((value,),))
    assert error.value.field.startswith(place)


@pytest.mark.parametrize("device", ["cuda:99", "toaster", ""])
def test_a_device_that_is_not_there(device: str) -> None:
    with pytest.raises(FieldError, match="device"):
        harness.drive([point(((1,), (1,)))], device=device)


@pytest.mark.parametrize("dtype", [np.float32, np.int64, complex])
def test_a_dtype_that_is_not_supported(dtype: Any) -> None:
    with pytest.raises(FieldError, match="dtype"):
        harness.drive([point(((1,), (1,)))], dtype=dtype)


def test_bad_arguments_are_refused_without_instances_too() -> None:
    with pytest.raises(FieldError, match="device"):
        harness.drive([], device="toaster")
    assert harness.drive([]) == []


def test_an_instance_without_parameters() -> None:
    with pytest.raises(FieldError, match="parameters"):
        point((), network=Network("linear", (((-1,),),)))


AWKWARD = {
    "all weights zero": point(((0,), (0,))),
    "one weight zero": point(((0,), (1,))),
    "flow into the zero network": point(((1,), (1,)), y=(-1,)),
    "no path to the output": point(
        ((1, 2), (3,)), ((1, 1),), network=Network("relu", (((0, 1), (-1, -1)), ((-1, 0),)))
    ),
    "a huge margin": point(((10**9,), (10**9,))),
    "a huge negative margin": point(((10**9,), (10**8,)), y=(-1,)),
    "a tiny start": point(((Fraction(1, 10**12),), (Fraction(2, 10**12),))),
    "large data": point(((1,), (2,)), x=((10**8,), (-(10**8),)), y=(1, -1)),
    "points of very different size": point(((1,), (2,)), x=((10**6,), (Fraction(1, 10**6),)), y=(1, 1)),
    "depth 1": point(((1,),), network=fully_connected("linear", (1,))),
    "depth 6": point(((1,),) * 6, network=fully_connected("linear", (1,) * 6)),
    "relu, depth 3": point(((1,), (1,), (1,)), network=fully_connected("relu", (1, 1, 1))),
    "relu on zero": point(((0,), (1,)), ((1,), (-1,)), (1, 1), fully_connected("relu", (1, 1))),
}


@pytest.mark.parametrize("record", [False, True])
def test_one_instance_takes_no_other_down(record: bool) -> None:
    instances = list(AWKWARD.values())
    limits = harness.drive(instances, record=record)
    assert [limit.instance for limit in limits] == instances
    for name, limit in zip(AWKWARD, limits, strict=True):
        assert limit.status in ("converged", "never_separates", "undecided"), name
        assert limit.reason.endswith("."), name
        assert (limit.theta is not None) == (limit.status == "converged"), name
        if limit.path is not None:
            assert all(len(rows) for rows in limit.path.values()), name
    # and alone they come out the same
    for name, limit in zip(AWKWARD, limits, strict=True):
        (alone,) = harness.drive([limit.instance], record=record)
        assert_same(alone, limit, name)


@pytest.mark.parametrize("name", ["a huge margin", "depth 1", "depth 6", "relu, depth 3", "a tiny start"])
def test_awkward_instances_that_have_a_limit(name: str) -> None:
    (limit,) = harness.drive([AWKWARD[name]])
    assert limit.status == "converged", limit.reason
    assert limit.theta is not None
    # one path of equal weights with margin 1
    np.testing.assert_allclose(np.concatenate(limit.theta), 1.0, rtol=1e-9)


@pytest.mark.parametrize("kind", ["generic", "integer"])
def test_the_same_input_gives_the_same_bits(kind: Any) -> None:
    instances = suite(5, 40, kind)
    for first, second in zip(harness.drive(instances), harness.drive(instances[::-1])[::-1], strict=True):
        assert_same(first, second, first.instance.to_json())


@pytest.mark.parametrize("kind", ["generic", "integer"])
def test_a_limit_is_what_it_says(kind: Any) -> None:
    """Scaled to the smallest margin 1, its value and zeros from theta, its KKT residual at 1e-9 at most."""
    converged = [limit for limit in harness.drive(suite(6, 80, kind)) if limit.status == "converged"]
    assert len(converged) >= 20
    for limit in converged:
        assert limit.theta is not None
        assert limit.point is not None
        assert limit.point is not None
        assert limit.log_norm is not None
        flat = np.concatenate(limit.theta)
        assert [len(u) for u in limit.theta] == list(limit.instance.network.sizes)
        assert limit.value == pytest.approx(0.5 * float(flat @ flat), rel=1e-12)
        assert limit.point.margins.min() == pytest.approx(1.0, rel=1e-12)
        assert limit.point.residual <= 1e-9, limit.instance.to_json()
        # balance: every layer has the same norm
        squares = [float(u @ u) for u in limit.theta]
        np.testing.assert_allclose(squares, np.mean(squares), rtol=1e-8)


def assert_same(first: Limit, second: Limit, name: str) -> None:
    assert (first.status, first.reason) == (second.status, second.reason), name
    assert first.events == second.events, name
    assert first.evidence == second.evidence, name
    if first.theta is not None:
        assert second.theta is not None
        for a, b in zip(first.theta, second.theta, strict=True):
            assert a.tobytes() == b.tobytes(), name


@pytest.mark.parametrize("device", ["cpu", "cpu:0"])
def test_margins_that_no_temperature_tells_apart(device: str) -> None:
    """Diagonal, depth 3: at the vertex the two margins differ by 5e-5, and only the smaller one is active."""
    start = ((1, 2), (1, 2), (1, 2))
    instance = point(start, x=((1, 20001), (1, 20000)), y=(1, 1), network=diagonal("linear", 2, 3))
    (limit,) = harness.drive([instance], device=device)
    assert limit.point is not None
    assert limit.point.zeros == [[0], [0], [0]]
    assert limit.point.multipliers[0] == 0.0 < limit.point.multipliers[1]
    assert limit.value == pytest.approx(1.5 * 20000.0 ** (-2 / 3), rel=1e-12)


def test_events_beyond_the_cap_say_whether_the_data_were_separated() -> None:
    """One neuron of the wrong sign comes to its kink."""
    instance = point(((-1,), (-2,)), x=((-1,),), network=fully_connected("relu", (1, 1)))
    assert follow(instance, Settings(kink_events=0)).reason == "Not separated after 0 events at kinks."


@pytest.mark.parametrize("device", ["cpu", "cpu:0"])
@pytest.mark.parametrize("size", [1e300, 1e200, 1e-200, 1e-300])
def test_what_floats_cannot_square_is_undecided_before_any_work(device: str, size: float) -> None:
    """Norms of infinity made every input of a neuron look like zero, and warned."""
    relu, others = fully_connected("relu", (2, 2)), ((size, size), (1, 1))
    huge = [
        point([[0, size, 0, -size], [size, 0]], ((1, 0), (0, 1)), (1, 1), relu),
        point(((1, 1, 1, 1), (1, 1)), others, (1, 1), relu),
        point(((1, 0.5),) * 8, others, (1, 1), diagonal("linear", 2, 8)),
    ]
    for limit in harness.drive(huge, device=device):
        assert limit.status == "undecided"
        assert "beyond the floats" in limit.reason
