"""Kinks between any two slopes, fixed layers and several outputs: local proofs by hand, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from harness.certificates import check
from harness.certificates.claims import CLAIMS, require_shape
from harness.certificates.gradients import gradient, sign_gates
from harness.certificates.kkt import residual
from harness.certificates.mechanisms import require_mechanism
from harness.certificates.numbers import Rejected
from harness.certificates.signs import read_signs
from harness.certificates.taylor import Exact, bounds, expand, margin, margin_norms
from harness.oracles.exact import between
from harness.oracles.general import General
from harness.problem.evaluation import evaluate
from harness.problem.fields import FieldError
from harness.problem.networks import Network, diagonal, fully_connected, sparse
from harness.problem.places import Place
from harness.problem.points import Point
from harness.problem.problems import Problem
from tests.certificates.test_balls import ball
from tests.support.certificate_examples import Certificate, changed

MASKS = [[[1, 1, 0], [0, 0, 1]], [[1, 1]]]
HAIR = Fraction(1, 10**12)
# (slope, coefficient of the kink strictly between it and 1)
BETWEEN = [
    (Fraction(0), Fraction(3, 20)),
    (Fraction(1, 10), Fraction(1, 4)),
    (Fraction(1, 2), Fraction(3, 5)),
    (Fraction(9, 10), Fraction(19, 20)),
    (Fraction(-1), Fraction(-1, 2)),
    (Fraction(-1), Fraction(1, 2)),
    (Fraction(2), Fraction(3, 2)),
    (Fraction(-3), Fraction(-2)),
]


def pressed(slope: Fraction, c: Fraction, label: int, fixed: bool = False) -> tuple[Problem, list[list[Any]]]:
    """Neuron 1 is pressed on its kink at sample 1 with the coefficient c; label is the slope of that margin in it.

    w_1 = (4/5, -3/5) is (5/4, 0) + label c x, x the part of sample 1 that it sees, at right angles to w_1.
    """
    theta: list[list[Any]] = [["4/5", "-3/5", 1], [1, label]]
    network = sparse("leaky_relu", MASKS, negative_slope=slope, fixed={2: [1, label]} if fixed else None)
    part = -label * Fraction(3, 20) / c
    zero, one = Fraction(0), Fraction(1)
    x = ((Fraction(5, 4), zero, zero), (3 * part, 4 * part, one))
    return Problem(network, x, (1, label)), theta


def exactly(theta: list[list[Any]]) -> tuple[tuple[Fraction, ...], ...]:
    return tuple(tuple(Fraction(v) for v in u) for u in theta)


def at(problem: Problem, theta: list[list[Any]]) -> Point:
    return Point.at(problem, [[float(v) for v in u] for u in exactly(theta)])


SIGNS = [[[1, 0], [0, 1]]]


# --- kinks ---


@pytest.mark.parametrize(("slope", "c"), BETWEEN)
@pytest.mark.parametrize("label", [1, -1])
def test_a_coefficient_between_the_slopes_is_in_the_hull(slope: Fraction, c: Fraction, label: int) -> None:
    problem, theta = pressed(slope, c, label)

    def of(coefficient: Fraction) -> Any:
        return residual(problem, (((1, 0), (0, 1)),), exactly(theta), (Fraction(1),) * 2, {Place(1, 0, 0): coefficient})

    assert of(c).squared == of(c).slack == 0
    low, high = sorted((slope, Fraction(1)))
    for inside in (low, high):
        assert of(inside).squared > 0
    for outside in (low - HAIR, high + HAIR):
        with pytest.raises(Rejected, match=f"is not between {low} and {high}"):
            of(outside)


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize(("slope", "c"), BETWEEN)
@pytest.mark.parametrize("label", [1, -1])
def test_a_bend_that_lowers_the_margin_is_an_optimum(slope: Fraction, c: Fraction, label: int, fixed: bool) -> None:
    """Convex and pulled down, or concave and pushed up; the other way round one side or the other pays."""
    problem, theta = pressed(slope, c, label, fixed)
    optimal = label * (1 - slope) < 0
    certificate = ball(theta, SIGNS, "1/2000", alpha=[1, 1], mu="1/2", mixed=[[1, 1, 1, str(c), 0]])
    checked = check(problem, certificate)
    if not optimal:
        assert "a mixed kink of sample 1 does not clearly lower the margin" in checked.reason
    else:
        assert checked.accepted, checked.reason
        assert checked.value == (1.0 if fixed else 2.0)
        # The wrong slope, and coefficients that are not between the slopes.
        for beyond in (min(slope, 1) - HAIR, max(slope, 1) + HAIR):
            forged = changed(certificate, ["tree", "mixed", 0, 3], str(beyond))
            assert "a coefficient is not between" in check(problem, forged).reason
        for inside in (slope, Fraction(1)):
            assert not check(problem, changed(certificate, ["tree", "mixed", 0, 3], str(inside))).accepted
    found = General(at(problem, theta), certify=True)
    assert (found.local.status, found.local.certified) == ("optimal" if optimal else "not_optimal", True)
    assert found.mechanism == (None if optimal else "kink")
    if not optimal:
        forged = found.local.certificate
        assert forged is not None
        require_mechanism("kink", problem, exactly(theta), forged)
        for side in range(len(forged["gates"])):
            other = 1 - forged["gates"][side][3]
            assert not check(problem, changed(forged, ["gates", side, 3], other)).accepted


@pytest.mark.parametrize(("slope", "c"), BETWEEN)
def test_both_sides_of_a_kink_are_gone_through(slope: Fraction, c: Fraction) -> None:
    """nu makes up for the rest of the coefficient on either side, as far as it pushes towards the kink."""
    label = -1 if slope < 1 else 1
    problem, theta = pressed(slope, c, label)
    certificate = ball(theta, SIGNS, "1/30000")
    leaf = {"alpha": [1, 1], "rho": 1, "tau": 0, "mu": "1/10"}

    def tree(on: Fraction, off: Fraction) -> Certificate:
        sides = ({**leaf, "nu": [[1, 1, 1, str(nu)]]} for nu in (on, off))
        return {**certificate, "tree": dict(zip(("split", "on", "off"), ([1, 1, 1], *sides), strict=True))}

    # theta = ... + label c x is label a x + nu x on, and label a x - nu x off.
    on, off = label * (c - 1), label * (slope - c)
    assert on > 0
    assert off > 0
    assert check(problem, tree(on, off)).accepted
    for forged in (tree(on, off * Fraction(9, 10)), tree(on * Fraction(9, 10), off), tree(off + 1, on + 1)):
        assert not check(problem, forged).accepted


def test_a_coefficient_in_floats_is_the_slope_or_between() -> None:
    """9/10 has no float: the nearest one is more, that of 1/10 too, and that of 1/3 less."""
    for slope in (Fraction(9, 10), Fraction(1, 10), Fraction(1, 3), Fraction(-7, 10), Fraction(12, 10)):
        network = fully_connected("leaky_relu", [1, 1], negative_slope=slope)
        assert between(network, float(slope)) == slope
        assert between(network, 1.0) == 1
        low, high = sorted((slope, Fraction(1)))
        assert (between(network, float(low) - 1e-15), between(network, float(high) + 1e-15)) == (low, high)


# --- derivatives and their bounds ---

NETWORKS = [
    fully_connected("leaky_relu", [2, 2, 2], negative_slope=Fraction(-3), outputs=2),
    fully_connected(
        "leaky_relu", [2, 2, 2], negative_slope=Fraction(1, 3), outputs=3, fixed={2: [1, Fraction(1, 3), -2, 0]}
    ),
    fully_connected("leaky_relu", [2, 3], negative_slope=Fraction(2), fixed={1: [1, -1, 2, Fraction(1, 7), 0, 1]}),
    fully_connected("relu", [2, 3, 2], outputs=2, fixed={3: [1, -1, 2, 1]}),
    diagonal("linear", 2, 3, outputs=2, fixed={1: [2, 3]}),
]


def drawn(network: Network, rng: np.random.Generator) -> tuple[Problem, tuple[tuple[Fraction, ...], ...]]:
    x = tuple(tuple(Fraction(int(v) * 2 + 1, 7) for v in row) for row in rng.integers(-4, 4, (2, network.widths[0])))
    problem = Problem(network, x, (1, 1) if network.outputs == 1 else (0, 1))
    drawn = [tuple(Fraction(int(v) * 2 + 1, 5) for v in rng.integers(-5, 5, size)) for size in network.sizes]
    return problem, tuple(u if own is None else own for u, own in zip(drawn, network.fixed, strict=True))


@pytest.mark.parametrize("network", NETWORKS)
def test_expansions_gradients_and_bounds_agree(network: Network) -> None:
    """Integers, floats and the gradients of the other pass are one polynomial, within its bounds."""
    rng = np.random.default_rng(0)
    for _ in range(5):
        problem, theta = drawn(network, rng)
        floats = [np.array([float(v) for v in u]) for u in theta]
        at = evaluate(network, floats, problem.inputs)
        exact, norms = Exact(problem, theta), margin_norms(problem)
        limits = bounds(network, theta, Fraction(0))
        for i, (sample, seed) in enumerate(problem.rows):
            hidden = at.preactivations[:-1] if network.kinked else []
            signs = tuple((tuple(np.sign(a[i]).astype(int).tolist()),) for a in hidden)
            gates = sign_gates(network, signs, 0)
            q = margin(exact.sample(i, gates)[-1], seed)
            mine = {place: float(gate) for place, gate in gates.items()}
            same = margin(expand(network, floats, problem.inputs[i], mine, float)[-1], seed)
            value, first, second = exact.factors(i, network.depth)
            assert value * q.value == problem.margins(theta)[i]
            slope = tuple(first * v for v in q.gradient)
            assert slope == gradient(network, theta, problem.x[sample], gates, network.depth - 1, seed)
            assert [float(v) for v in slope] == pytest.approx(at.backward(problem.seeds)[0][i])
            assert same.gradient == pytest.approx(at.backward(problem.seeds)[0][i])
            hessian = np.array([[float(second * v) for v in line] for line in q.hessian])
            assert hessian == pytest.approx(np.array(same.hessian, dtype=float))
            k1, k2, _ = (float(v) for v in limits.of(network.depth, norms[i]))
            assert np.linalg.norm(at.backward(problem.seeds)[0][i]) <= k1 * (1.0 + 1e-12)
            assert np.linalg.norm(hessian, 2) <= k2 * (1.0 + 1e-12)


def test_bounds_count_a_steep_slope_for_every_layer_of_gates() -> None:
    """q = -3 (-3 u) v' on x = -1 at u = 1: one path of which every factor is at its bound."""
    network = diagonal("leaky_relu", 1, 3, negative_slope=Fraction(-3))
    theta = ((Fraction(1),), (Fraction(-1),), (Fraction(1),))
    first = bounds(network, theta, Fraction(0)).of(3, Fraction(1))[0]
    gates: Any = {(0, 0): Fraction(-3), (1, 0): Fraction(-3)}
    slope = gradient(network, theta, (Fraction(-1),), gates, 2, (1,))
    assert [abs(v) for v in slope] == [9, 9, 9]
    # The bound takes the sum over layers of products of norms.
    assert first == pytest.approx(27)


# --- fixed layers ---


def test_a_fixed_layer_has_the_networks_numbers() -> None:
    problem, theta = pressed(Fraction(1, 10), Fraction(1, 4), -1, fixed=True)
    certificate = ball(theta, SIGNS, "1/2000", alpha=[1, 1], mu="1/2", mixed=[[1, 1, 1, "1/4", 0]])
    assert check(problem, certificate).accepted
    forged = changed(certificate, ["theta", 1, 0], 2)
    assert check(problem, forged).reason == "certificate.theta has other numbers for layer 2, which is fixed"


def test_a_curve_leaves_fixed_layers_alone() -> None:
    problem, theta = pressed(Fraction(1, 10), Fraction(1, 4), 1, fixed=True)
    found = General(at(problem, theta), certify=True).local.certificate
    assert found is not None
    assert check(problem, found).accepted
    forged = changed(found, ["d", 1, 0], 1)
    assert check(problem, forged).reason == "certificate.d moves layer 2, which is fixed"


def test_signs_below_fixed_layers_are_exact() -> None:
    """An input of 1e-12 is zero to rounding where its weights are trained, and not where they are given."""
    x = ((Fraction(1), Fraction(0)), (Fraction(1, 10**12), Fraction(1)))
    trained = sparse("relu", [[[1, 0], [0, 1]], [[1, 1]]])
    signs = [[[1, 0], [0, 1]]]
    for network, accepted in ((trained, True), (trained.fixing({1: [1, 1]}), False)):
        problem = Problem(network, x, (1, 1))
        certificate = ball([[1, 1], [1, 1]], signs, "1/1000", alpha=[1, 1], mu="1/2")
        reason = check(problem, certificate).reason
        assert ("does not have the sign 0" in reason) != accepted, reason


@pytest.mark.parametrize("fixed", [{1: [1, 1]}, {2: [1, 1]}])
def test_neurons_beside_a_fixed_layer_are_not_rotated(fixed: Any) -> None:
    problem = Problem(fully_connected("linear", [1, 2], fixed=fixed), ((Fraction(1),),), (1,))
    half = [Fraction(1, 2)] * 2
    theta = [half, [1, 1]] if 2 in fixed else [[1, 1], half]
    certificate = ball([[str(v) for v in u] for u in theta], None, "1/50", alpha=["1/2"], mu="1/2")
    assert check(problem, certificate).accepted
    forged = {**certificate, "rotations": [[1, 1, 2]]}
    assert check(problem, forged).reason == "neurons 1 and 2 of layer 1 cannot be rotated"


def test_a_neuron_beside_a_fixed_layer_is_not_dead() -> None:
    """w_2 = 0 with v_2 = 1 given: sample 2 pulls at its kink, which is no dead neuron."""
    network = diagonal("relu", 2, 2, fixed={2: [1, 1]})
    problem = Problem(network, ((Fraction(1), Fraction(1)),), (1,))
    tree = {"turn": None, "kappa": []}
    forged = ball([[1, 0], [1, 1]], [[[1, 0]]], "1/1000", alpha=[1], mu="2/5", dead=[[1, 2, tree]])
    assert "neuron 2 of layer 1 is not a zero neuron" in check(problem, forged).reason
    found = General(Point.at(problem, [[1, 0], [1, 1]]), certify=True)
    assert (found.local.status, found.mechanism) == ("not_optimal", "kink")


def test_weights_zero_in_a_fixed_layer_do_not_move() -> None:
    """Neuron 2 is cut off for ever; with that weight trained it is only asleep, and waking it pays."""
    x = ((Fraction(1), Fraction(2)),)
    for network, status in (
        (diagonal("linear", 2, 2), "not_optimal"),
        (diagonal("linear", 2, 2, fixed={2: [1, 0]}), "optimal"),
    ):
        found = General(Point.at(Problem(network, x, (1,)), [[1, 0], [1, 0]]), certify=True)
        assert (found.local.status, found.local.certified) == (status, True)


# --- several outputs ---


@pytest.mark.parametrize("classes", [2, 3])
def test_a_support_vector_machine_of_several_classes(classes: int) -> None:
    """One unit vector a class: columns of W are e_k less the mean, and every lambda is 1/K."""
    network = fully_connected("linear", [classes], outputs=classes)
    one = [[Fraction(int(r == c)) for c in range(classes)] for r in range(classes)]
    problem = Problem(network, tuple(map(tuple, one)), tuple(range(classes)))
    theta = [[str(v - Fraction(1, classes)) for row in one for v in row]]
    share = str(Fraction(1, classes))
    certificate = ball(theta, None, "1/1000", alpha=[share] * len(problem.rows), mu="1/2")
    checked = check(problem, certificate)
    assert checked.accepted, checked.reason
    assert checked.value == pytest.approx(classes * (1 - 1 / classes) / 2)
    assert not check(problem, changed(certificate, ["tree", "alpha", 0], 0)).accepted
    found = General(Point.at(problem, [[float(Fraction(v)) for v in theta[0]]]), certify=True).local
    assert (found.status, found.certified) == ("optimal", True)


def test_the_margins_of_a_sample_have_one_sign_and_one_gate() -> None:
    network = fully_connected("relu", [2, 2], outputs=3)
    problem = Problem(network, ((Fraction(1), Fraction(0)),), (0,))
    with pytest.raises(Rejected, match="the margins of one sample have different signs"):
        read_signs([[[1, 0], [1, -1]]], "signs", problem)
    theta = [[1, 0, 0, 0], [1, 0, 0, 0, 0, 0]]
    curve = {"kind": "curve", "problem": "full", "scope": "local", "theta": theta, "signs": [[[1, 0], [1, 0]]]}
    motion = [[0, 0, 1, 0], [0, 0, 0, 0, 0, 0]]
    own = {"order": 1, "active": [0, 1], "d": motion, "e": None, "implied": {}}
    with pytest.raises(FieldError, match="a gate is named by the first margin of its sample"):
        check(problem, {**curve, **own, "gates": [[1, 1, 2, 1]]})


@pytest.mark.parametrize("slope", [Fraction(0), Fraction(1, 2), Fraction(2), Fraction(1)])
def test_a_zero_pair_of_several_outputs(slope: Fraction) -> None:
    """Diagonal, x = (1, 2): the second neuron would do at half the cost."""
    network = diagonal("leaky_relu", 2, 2, negative_slope=slope, outputs=2)
    point = Point.at(Problem(network, ((Fraction(1), Fraction(2)),), (0,)), [[2**0.5, 0], [1, 0, -1, 0]])
    assert point.residual < 1e-12
    found = General(point, certify=True)
    assert (found.local.status, found.local.certified) == ("not_optimal", True)
    assert found.mechanism == ("dead neuron" if network.kinked else "zero weight")
    # The other way round it sleeps well.
    rest = Point.at(Problem(network, ((Fraction(2), Fraction(1, 4)),), (0,)), [[2**0.5, 0], [1, 0, -1, 0]])
    assert General(rest, certify=True).local.status == "optimal"


# --- claims ---


def test_the_first_claims_are_about_one_output_and_every_layer_trained() -> None:
    relu = fully_connected("relu", [2, 2])
    require_shape(CLAIMS["fc-relu-local"], relu)
    for other in (
        relu.fixing({2: [1, 1]}),
        fully_connected("relu", [2, 2], outputs=2),
        replace(relu, activation="leaky_relu", negative_slope=Fraction(1, 2)),
    ):
        for claim in ("fc-relu-local", "depth2-local", "depth2-relu-nonzero-local"):
            with pytest.raises(Rejected, match="the claim speaks of"):
                require_shape(CLAIMS[claim], other)
