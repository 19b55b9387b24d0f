"""Kind "curve" by hand: what has to grow and fall along it, and which samples others stand for."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from harness.certificates import check
from harness.certificates.curves import RADIUS
from harness.certificates.definite import least_eigenvalue
from harness.certificates.numbers import sqrt_down
from harness.certificates.taylor import bounds, sqrt_up
from harness.problem.instances import Instance
from harness.problem.networks import diagonal, sparse
from tests.support.certificate_examples import Certificate, instance_of

SLIGHT, CLEAR = Fraction(1, 10**12), Fraction(1, 10**6)
TINY = Fraction(1, 10**5)


def curve(theta: Any, d: Any, e: Any = None, **changed: Any) -> Certificate:
    common: Certificate = {"kind": "curve", "problem": "full", "scope": "local", "theta": theta, "signs": None}
    own = {"order": 2 if e else 1, "active": [0], "gates": [], "d": d, "e": e, "implied": {}}
    return {**common, **own, **changed}


# --- order 1: q = u v at (2, 1/2), with the gradient (1/2, 2) ---

PRODUCT = instance_of(diagonal("linear", 1, 2), [[1]], [1])


def along(first: Any, second: Any) -> str:
    return check(PRODUCT.problem, curve([[2], ["1/2"]], [[str(first)], [str(second)]])).reason


def test_the_margin_grows_clearly() -> None:
    for rise in (Fraction(0), SLIGHT, -CLEAR):
        assert along(-1, Fraction(1, 4) + rise) == "the margin of sample 0 does not clearly grow along d"
    assert "costs less" in along(-1, Fraction(1, 4) + CLEAR)


def test_the_norm_falls_clearly() -> None:
    for fall in (Fraction(0), SLIGHT, -CLEAR):
        assert along(-1, 4 - fall) == "the norm does not clearly fall along d"
    assert "costs less" in along(-1, 4 - CLEAR)


# --- order 2: q = 4 (a b c + a' b' c') at 1/2 everywhere, with the gradient (1, 1, 1, 1, 1, 1) ---

DEEP = diagonal("linear", 2, 3)
HALVES = [["1/2", "1/2"]] * 3
ONE = instance_of(DEEP, [[4, 4]], [1])


def bent(shrinking: Any = "3/2", tilt: Any = 0, **changed: Any) -> Certificate:
    """From one product to the other, less `shrinking` everywhere to second order; tilt: a part along the gradient.

    1/2 d'Hd = 12 and |d|^2 = 6, so that the margin grows up to 2 and the norm falls from 1 on.
    """
    d, e = [str(1 + Fraction(tilt)), str(-1 + Fraction(tilt))], [str(-Fraction(shrinking))] * 2
    return curve(HALVES, [d] * 3, [e] * 3, **changed)


def test_it_grows_and_falls_to_second_order() -> None:
    assert check(ONE.problem, bent()).accepted
    for shrinking, reason in (
        (2 - CLEAR, "costs less"),
        (2 - SLIGHT, "the margin of sample 0 does not clearly grow to second order"),
        (2 + CLEAR, "the margin of sample 0 does not clearly grow to second order"),
        (1 + CLEAR, "costs less"),
        (1 + SLIGHT, "the norm does not clearly fall to second order"),
        (1 - CLEAR, "the norm does not clearly fall to second order"),
    ):
        assert reason in check(ONE.problem, bent(shrinking)).reason, shrinking


def test_what_is_taken_from_d_counts() -> None:
    """d is cut down to what is orthogonal to the gradient: the rest must not matter."""
    assert check(ONE.problem, bent(tilt=Fraction(1, 10**4))).accepted
    for tilt in (Fraction(1, 2), -Fraction(1, 2)):
        assert not check(ONE.problem, bent(tilt=tilt)).accepted
    # Shrinking as far as the margin allows leaves no room for it.
    assert check(ONE.problem, bent(2 - 2 * CLEAR)).accepted
    assert "does not clearly grow" in check(ONE.problem, bent(2 - 2 * CLEAR, tilt=CLEAR)).reason
    assert check(ONE.problem, bent(1 + 2 * CLEAR)).accepted
    assert "does not clearly fall" in check(ONE.problem, bent(1 + 2 * CLEAR, tilt=CLEAR)).reason


# --- active samples, and those that others stand for ---


def two(second: Any, label: int = 1, **changed: Any) -> str:
    instance = instance_of(DEEP, [[4, 4], second], [1, label])
    return check(instance.problem, bent(**{"active": [0, 1], "implied": {"1": {"0": 1}}, **changed})).reason


def test_a_sample_stands_for_another() -> None:
    assert "costs less" in two([4, 4])
    assert "costs less" in two([-4, -4], -1)
    assert "costs less" in two([8, 8], active=[0], implied={})
    assert "are not clearly independent" in two([4, 4], implied={})


def test_a_coordinate_that_nothing_sees_does_not_count() -> None:
    network = sparse("linear", [[[1, 0, 0], [0, 1, 0]], [[1, 0], [0, 1]], [[1, 1]]])
    instance = instance_of(network, [[4, 4, 7], [4, 4, 9]], [1, 1])
    assert check(instance.problem, bent(active=[0, 1], implied={"1": {"0": 1}})).accepted


def test_a_coordinate_with_a_weight_of_zero_counts() -> None:
    """Neuron 1 sees x_3 too, which no gradient of sample 0 knows."""
    network = sparse("linear", [[[1, 0, 1], [0, 1, 0]], [[1, 0], [0, 1]], [[1, 1]]])
    forged = bent(active=[0, 1], implied={"1": {"0": 1}})
    forged["theta"] = [["1/2", 0, "1/2"], *HALVES[1:]]
    for key in ("d", "e"):
        forged[key] = [[forged[key][0][0], 0, forged[key][0][1]], *forged[key][1:]]
    assert check(instance_of(network, [[4, 4, 0], [4, 4, 0]], [1, 1]).problem, forged).accepted
    other = check(instance_of(network, [[4, 4, 0], [4, 4, 1]], [1, 1]).problem, forged)
    assert other.reason == "the inputs of sample 1 are not the combination of others that is given"


@pytest.mark.parametrize(
    ("second", "changed", "reason"),
    [
        ([4, 4], {"implied": {"1": {"0": 2}}}, "the inputs of sample 1 are not the combination of others"),
        ([4, 4], {"implied": {"1": {}}}, "the inputs of sample 1 are not the combination of others"),
        ([4, 4], {"implied": {"1": {"1": 1}}}, "sample 1 is not implied by active samples"),
        ([4, 4], {"implied": {"0": {"1": 1}, "1": {"0": 1}}}, "is not implied by active samples"),
        ([8, 8], {"active": [0], "implied": {"1": {"0": 2}}}, "sample 1 is not implied by active samples"),
        ([8, 8], {"active": [0], "implied": {"0": {"1": "1/2"}}}, "sample 0 is not implied by active samples"),
        ([5, 3], {"implied": {"1": {"0": "3/4"}}}, "the inputs of sample 1 are not the combination of others"),
        ([5, 3], {"implied": {"1": {"0": "5/4"}}}, "the inputs of sample 1 are not the combination of others"),
        ([5, 3], {}, "the inputs of sample 1 are not the combination of others"),
        ([4, 4], {"active": [0], "implied": {}}, "on exactly the active samples: sample 1"),
        ([8, 8], {"implied": {}}, "on exactly the active samples: sample 1"),
        ([4, 4], {"active": [], "implied": {}}, "on exactly the active samples: sample 0"),
    ],
)
def test_nothing_else_stands_for_a_sample(second: Any, changed: dict[str, Any], reason: str) -> None:
    assert reason in two(second, **changed)


def test_labels_count() -> None:
    assert "the inputs of sample 1 are not the combination" in two([-4, -4], -1, implied={"1": {"0": -1}})


def test_samples_with_other_gates_do_not_stand_for_one() -> None:
    """x_2 = 4/5 x_0 + 2/5 x_1 has the margin 1 as they have, but the second path is off on x_1."""
    points = [[4, 4], [8, -4], ["32/5", "8/5"]]
    instance = instance_of(diagonal("relu", 2, 3), points, [1, 1, 1])
    signs = [[[1, 1], [1, -1], [1, 1]], [[1, 1], [1, 0], [1, 1]]]
    forged = bent(signs=signs, active=[0, 1, 2], implied={"2": {"0": "4/5", "1": "2/5"}})
    assert check(instance.problem, forged).reason == "samples 2 and 1 do not have the same gates"


def unheard(third: list[Any]) -> str:
    """Two paths as in `bent`, and a third one that ends before the output; the third point is a mean of two."""
    points = [[4, 4, third[0]], [2, 6, third[1]], ["7/2", "9/2", third[2]]]
    instance = instance_of(diagonal("relu", 3, 3), points, [1, 1, 1])
    signs = [[[1, 1, 1 if v > 0 else off] for v in third] for off in (-1, 0)]
    theta, d, e = [*[["1/2", "1/2", 1]] * 2, ["1/2", "1/2", 0]], [[0, 0, 0]] * 3, [["-1", "-1", "-9"]] * 3
    implied = {"2": {"0": "3/4", "1": "1/4"}}
    return check(instance.problem, curve(theta, d, e, signs=signs, active=[0, 1, 2], implied=implied)).reason


def test_gates_that_nobody_hears_count_for_the_weights_above_them() -> None:
    """The gradient in a weight of zero is what its neuron passes on."""
    assert "do not have" not in unheard([2, 2, 2])
    assert unheard([2, -2, 1]) == "samples 2 and 1 do not have the same gates"


def relu_instance() -> tuple[Instance, Certificate]:
    signs = [[[1, 1]], [[1, 1]]]
    return instance_of(diagonal("relu", 2, 3), [[4, 4]], [1]), bent(signs=signs)


def test_gates_are_chosen_at_kinks() -> None:
    instance, certificate = relu_instance()
    assert check(instance.problem, certificate).accepted
    for gate in (0, 1):
        forged = {**certificate, "gates": [[0, 1, 2, gate]]}
        assert check(instance.problem, forged).reason == "sample 0 has no kink at neuron 2 of layer 1"
    assert check(ONE.problem, bent(gates=[[0, 1, 2, 1]])).reason == "sample 0 has no kink at neuron 2 of layer 1"


def waking(step: Any, gate: int) -> str:
    """The deep curve with a third path of zeros, whose first neuron moves by `step`: a kink that nobody hears."""
    instance = instance_of(diagonal("relu", 3, 3), [[4, 4, 4]], [1])
    d, e = [[1, -1, str(step)], [1, -1, 0], [1, -1, 0]], [["-3/2", "-3/2", 0]] * 3
    theta, signs = [["1/2", "1/2", 0]] * 3, [[[1, 1, 0]]] * 2
    return check(instance.problem, curve(theta, d, e, signs=signs, gates=[[0, 1, 3, gate]])).reason


@pytest.mark.parametrize(("side", "gate"), [(1, 1), (-1, 0)])
def test_a_kink_leaves_clearly_to_its_side(side: int, gate: int) -> None:
    for step, leaves in ((Fraction(1, 10), True), (CLEAR, True), (SLIGHT, False), (Fraction(0), False)):
        assert ("costs less" in waking(side * step, gate)) == leaves
        assert leaves or waking(side * step, gate) == "a kink does not clearly leave to its side along d"
    assert waking(-side * Fraction(1, 10), gate) == "a kink does not clearly leave to its side along d"


# --- how clearly ---


def test_what_grows_has_room_for_every_point_next_to_theta() -> None:
    """The bounds of the docstring, on either side of equality: 12 - 6 s for the margin and 6 - 6 s for the norm."""
    theta = ((Fraction(1, 2), Fraction(1, 2)),) * 3
    length = sqrt_up(Fraction(6))
    radius = RADIUS * sqrt_up(Fraction(6, 4))
    _, second, third = bounds(DEEP, theta, radius).of(3, sqrt_up(Fraction(32)))
    moved = radius * sqrt_up(second**2)
    change = moved * length / (Fraction(sqrt_down(least_eigenvalue([[Fraction(6)]]))) - moved)
    cross = 2 * length * change + change**2
    for hair, accepted in ((1 + TINY, True), (1 - TINY, False)):
        # |e| is close to 2 sqrt(6) and sqrt(6) there; `hair` is much more than the difference.
        margin = second * radius * 2 * length + (third * radius * length**2 + second * cross) / 2
        assert check(ONE.problem, bent(2 - hair * margin / 6)).accepted == accepted
        norm = cross + 2 * radius * length
        assert check(ONE.problem, bent(1 + hair * norm / 6)).accepted == accepted
