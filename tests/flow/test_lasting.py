"""A small neuron that is a multiple of a live one stays it: the limit has it, and a certificate may say so."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from benchmarks.kinds import KINDS, draws
from harness import Instance, Limit, decide, drive
from harness.certificates import check
from harness.flow.compiled.kernel import wiring
from harness.flow.kinks.gates import Gates
from harness.flow.settling.lasting import Lasting, revived
from harness.problem.networks import fully_connected
from harness.problem.points import Point
from tests.support.certificate_examples import changed

SHARE = Fraction(1, 10**12)


def flow(slope: Fraction, outputs: int, w: Fraction) -> Limit:
    """One point x = 1, a live neuron (1, v) and a small one (w, SHARE v)."""
    v = [1] if outputs == 1 else [Fraction(1, 2), Fraction(-1, 2)]
    network = fully_connected("leaky_relu", (1, 2), negative_slope=slope, outputs=outputs)
    outgoing = [number for a in v for number in (a, SHARE * a)]
    y = 1 if outputs == 1 else 0
    (limit,) = drive([Instance.of(network, "exponential", [[1]], [y], [[1, w], outgoing])])
    return limit


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("slope", [Fraction(0), Fraction(1, 10), Fraction(-1)])
def test_a_multiple_of_a_live_neuron_lasts(slope: Fraction, outputs: int) -> None:
    limit = flow(slope, outputs, SHARE)
    assert limit.point is not None
    assert limit.point.residual < 1e-12
    assert limit.theta is not None
    for u in limit.theta[0], *limit.theta[1].reshape(outputs, 2):
        assert u[1] / u[0] == pytest.approx(float(SHARE), rel=1e-6)
    assert limit.point.signs[0].tolist() == [[1, 1]] * max(outputs - 1, 1)
    if outputs == 1:
        assert decide(limit).local.certified


@pytest.mark.parametrize("slope", [Fraction(0), Fraction(1, 10)])
def test_what_has_other_gates_does_not(slope: Fraction) -> None:
    limit = flow(slope, 1, -SHARE)
    assert limit.theta is not None
    assert [u[1] for u in limit.theta] == [0.0, 0.0]


def test_a_tiny_weight_has_a_sign_only_as_a_part_of_another_neuron() -> None:
    limit = flow(Fraction(1, 10), 1, SHARE)
    verdict = decide(limit).local
    certificate: dict[str, Any] = verdict.certificate or {}
    problem = limit.instance.problem
    assert check(problem, certificate).accepted
    w, v = certificate["theta"][0][1], certificate["theta"][1][1]
    longer = str(Fraction(w) * Fraction(10**6 + 1, 10**6))
    for other in (longer, str(-Fraction(w)), 0):
        assert "outgoing weight of neuron 2" in check(problem, changed(certificate, ["theta", 0, 1], other)).reason
    assert "outgoing weight" in check(problem, changed(certificate, ["theta", 1, 1], str(-Fraction(v)))).reason


def test_small_ones_that_last_may_be_larger_than_the_live_one() -> None:
    """Both are on their way to a small size, and the point that was polished has all of it in one of them."""
    kind = next(kind for kind in KINDS if kind.name == "leaky 9/10, depth 2")
    *_, instance = draws(kind, 5050, 63, integer=False)
    (limit,) = drive([instance])
    assert limit.point is not None
    assert limit.theta is not None
    assert limit.point.residual < 1e-9
    assert min(limit.point.margins) == pytest.approx(1.0, abs=1e-9)
    one, two = limit.theta[0].reshape(-1, 2)[:2]
    assert one[0] / two[0] == pytest.approx(3.17, abs=0.01)


def test_two_that_last_beside_one_keep_their_shares() -> None:
    """All margins stay what they were, and every small neuron its part of the live one, however large."""
    network = fully_connected("relu", (1, 3))
    one = Instance.of(network, "exponential", [[1]], [1], [[1, 2, 3], [1, 2, 3]])
    gates = Gates(one, wiring(network))
    gates.start()
    live = network.split(np.array([1.0, 0.0, 0.0, 1.0, 0.0, 0.0]))
    settled = Point(one.problem, tuple(live), 1.0, np.ones(1), np.ones(1), 0.0, (), (np.array([[1, 0, 0]]),))
    unit = gates.hidden.start
    limit = revived(gates, settled, (Lasting(unit + 1, unit, 2.0), Lasting(unit + 2, unit, 3.0)))
    w, v = limit.theta
    np.testing.assert_allclose(w / w[0], [1.0, 2.0, 3.0])
    assert w @ v == pytest.approx(1.0)
    assert limit.residual < 1e-12
