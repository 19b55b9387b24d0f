"""Global verdicts from halves of the data, and on circulant networks: against the general oracle, and their proofs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings

import harness
from harness.certificates import check
from harness.oracles import decide
from harness.oracles.apart import Apart
from harness.oracles.circulant import decide_circulant
from harness.oracles.cone import solve_spectrum
from harness.oracles.halves import decide_halves
from harness.oracles.optimality import decide_global, decide_local
from harness.oracles.programmes import full_problem
from harness.problem.fields import FieldError
from harness.problem.instances import Instance
from harness.problem.networks import Network, circulant, fully_connected
from harness.problem.points import Point
from harness.problem.problems import Problem
from strategies import instances
from strategies.kinds import CIRCULANT, KINKED, RELU
from strategies.predicates import mirrored_instances, orthogonally_separable_instances

FEW = settings(
    max_examples=25, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip


def problem(network: Network, x: Any, y: tuple[int, ...]) -> Problem:
    return Problem(network, x, y)


PLANE = fully_connected("relu", (2, 2))
TWO = problem(PLANE, ((1, 0), (-1, 0)), (1, -1))
BEST = [[1.0, 0.0, -1.0, 0.0], [1.0, -1.0]]


def general(point: Point) -> Any:
    whole = full_problem(Apart(point))
    return decide_global(whole, decide_local(whole, certify=False), certify=False)


@pytest.mark.parametrize(
    "drawn", [mirrored_instances(KINKED), orthogonally_separable_instances(RELU), instances(networks=RELU)]
)
def test_halves_agree_with_the_cells(drawn: Any) -> None:
    decided: list[str] = []

    @FEW
    @given(drawn)
    def compare(instance: Instance) -> None:
        point = harness.drive([instance])[0].point
        found = None if point is None or point.doubt else decide_halves(point, certify=True)
        if point is None or found is None:
            return
        other = general(point)
        assert found.certified
        assert other.status in (found.status, "undecided")
        if found.status == other.status == "optimal":
            assert found.bound == pytest.approx(other.bound, rel=1e-8)
        decided.append(found.status)

    compare()
    assert len(decided) >= 5


def test_they_are_asked_first() -> None:
    verdict = decide(Point.at(TWO, BEST)).global_
    assert (verdict.status, verdict.bound) == ("optimal", pytest.approx(2.0, rel=1e-8))
    assert verdict.certificate is not None
    assert verdict.certificate["kind"] == "mirrored"


def test_what_costs_more_than_the_halves_is_not_optimal() -> None:
    """Two points of a right angle's sum, served by two neurons apart: one along both is cheaper."""
    apart = problem(fully_connected("relu", (2, 2)), ((1, 0), (0, 1)), (1, 1))
    verdict = decide(Point.at(apart, [[1.0, 0.0, 0.0, 1.0], [1.0, 1.0]])).global_
    assert verdict.status == "not_optimal"
    assert verdict.certified
    # a point of short numbers that keeps nine tenths of the gain
    assert verdict.bound == pytest.approx(2.0**0.5, rel=0.03)


def proof(kind: str, alpha: list[Any], theta: Any = BEST) -> dict[str, Any]:
    return {"kind": kind, "problem": "full", "scope": "global", "theta": theta, "alpha": alpha}


@pytest.mark.parametrize("kind", ["classes", "mirrored"])
def test_proofs(kind: str) -> None:
    assert check(TWO, proof(kind, [1, 1])).accepted
    assert not check(TWO, proof(kind, [-1, 1])).accepted
    assert not check(TWO, proof(kind, [0, 0])).accepted
    assert not check(TWO, proof(kind, [1, 1], [[2.0, 0.0, -1.0, 0.0], [1.0, -1.0]])).accepted
    with pytest.raises(FieldError):
        check(TWO, proof(kind, [1]))


def test_the_bounds_need_what_they_assume() -> None:
    """Two opposite points of one class: the partial sums are longer than the whole one, which is short."""
    bent = problem(PLANE, ((1, 1), (-1, 1)), (1, 1))
    across = [[0.0, 1.0, 0.0, 0.0], [1.0, 0.0]]
    assert check(bent, proof("classes", [1, 1], across)).accepted
    obtuse = problem(PLANE, ((4, 1), (-4, 1)), (1, 1))
    assert "negative product" in check(obtuse, proof("classes", [1, 1], across)).reason
    assert not check(bent, proof("mirrored", [1, 1], across)).accepted
    leaky = Problem(fully_connected("leaky_relu", (2, 2), negative_slope=0.5), TWO.x, TWO.y)
    assert "relu alone" in check(leaky, proof("classes", [1, 1])).reason
    # a third of what relu needs will do: 2 / (1 + 1/2) is 4/3 of it
    half = [[(2 / 3) ** 0.5, 0.0, -((2 / 3) ** 0.5), 0.0], [(2 / 3) ** 0.5, -((2 / 3) ** 0.5)]]
    assert check(leaky, proof("mirrored", [1, 1], half)).accepted
    three = Problem(fully_connected("relu", (2, 2), outputs=2), TWO.x, (0, 1))
    assert not check(three, proof("mirrored", [1, 1], [*BEST[:1], [1.0, 0.0, 0.0, 1.0]])).accepted


# --- circulant networks ---


def test_the_example_of_one_point_in_two_dimensions() -> None:
    """Only the sum of u = v = (1, 1) moves; the other coefficient is as large, and would be cheaper."""
    instance = Instance.of(circulant("linear", 2), "exponential", ((1, -2),), (-1,), ((1, 1), (1, 1)))
    (limit,) = harness.drive([instance])
    assert limit.point is not None
    verdict = decide(limit).global_
    assert (verdict.status, verdict.certified) == ("not_optimal", True)
    assert limit.value == pytest.approx(1.0)
    # norm_1(F beta) / sqrt(2) is the larger of |b_1| and |b_2|: 1/3 at (-1/3, 1/3)
    assert 1 / 3 <= (verdict.bound or 0.0) <= 0.4


def test_the_spectrum_of_least_sum_is_as_cheap_as_its_multipliers_say() -> None:
    rng = np.random.default_rng(0)
    for _ in range(10):
        z = rng.integers(-3, 4, (2, 3)).astype(float)
        solved = solve_spectrum(z)
        assert solved is not None
        beta, alpha = solved
        cost = np.abs(np.fft.fft(beta)).sum() / 3
        bound = alpha.sum() / np.abs(np.fft.fft(alpha @ z)).max()
        assert bound <= cost * (1.0 + 1e-9)
        if (z @ beta).min() > 0.99:
            assert bound == pytest.approx(cost, rel=1e-7)


def test_circulant_limits_are_decided() -> None:
    found = find(
        instances(networks=CIRCULANT),
        lambda i: i.d == 3 and _decided(i) == "optimal",
        settings=settings(max_examples=300, database=None, derandomize=True),
    )
    assert _decided(found) == "optimal"


def _decided(instance: Instance) -> str | None:
    point = harness.drive([instance])[0].point
    verdict = None if point is None else decide_circulant(point, certify=True)
    assert verdict is None or verdict.certified or verdict.status == "undecided"
    return verdict and verdict.status
