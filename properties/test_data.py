"""What follows from the data.  zeta is the largest abs(x_i . x_k) over i != k, R_min and R_max the least and the
largest norm of a point.

Relu, depth 2, fully connected.  Points with positive products within a class and none positive between the classes:
the limit is a global optimum, each class served by one direction (orthsep-global); refuted is that it is a local one if
products within a class may be zero (orthsep-weak-local); open is the value at depth 3 (orthsep-deep).  With n >= 2 and
(2 n - 3) zeta < R_min^2 every q_i = 1 (nearorth-equal), which is refuted beyond (nearorth-beyond); with
3 (n - 1) zeta < R_min^2 one direction turns the output on every point (nearorth-adversarial).  Points with a hidden
bias: in one gap the neurons that face one way switch at one place (univariate-two-breaks).

Linear, fully connected, any depth: the same condition gives q_i = 1 (linear-all-support), and again no longer beyond
(linear-all-support-beyond).

Relu or leaky: data that are their own mirror image with turned labels cost at least 2 norm(w^) / (1 + gamma)
(sym-floor); open is whether relu networks end there (sym-global).

docs/statements.md, section 7.
"""

import pytest
from hypothesis import given

from harness.problem.predicates import attackable, near_orthogonal
from harness.problem.sizes import Sizes
from harness.testing.check import examples
from strategies.kinds import DEEP_RELU, KINKED, LINEAR, RELU
from strategies.predicates import (
    mirrored_instances,
    near_orthogonal_instances,
    orthogonally_separable_instances,
    univariate_instances,
)

# Just beyond what a claim assumes: outside, unless its predicate is wrong.
BEYOND = near_orthogonal_instances(near_orthogonal, RELU, inside=False)
BEYOND_LINEAR = near_orthogonal_instances(near_orthogonal, LINEAR, inside=False)


@pytest.mark.claim("orthsep-global", decided=20)
@examples(40)
@given(instance=orthogonally_separable_instances(RELU))
def test_orthogonally_separable_data_are_served_best(check, instance):
    check(instance)


@pytest.mark.claim("orthsep-weak-local", decided=1)
def test_weakly_orthogonally_separable_data_are_not(refute):
    refute(Sizes(points=2, neurons=2, dimensions=2), patience=(1000, 50))


@pytest.mark.claim("orthsep-deep", decided=5)
@examples(50)
@given(instance=orthogonally_separable_instances(DEEP_RELU))
def test_deep_networks_serve_them_best(check, instance):
    check(instance)


@pytest.mark.claim("nearorth-equal", decided=20)
@examples(110)
@given(instance=near_orthogonal_instances(near_orthogonal, RELU) | BEYOND)
def test_near_orthogonal_points_all_have_the_least_margin(check, instance):
    check(instance)


@pytest.mark.claim("nearorth-beyond", decided=1)
def test_less_orthogonal_points_have_not(refute):
    refute(Sizes(points=2, neurons=1, dimensions=2), patience=(100, 50))


@pytest.mark.claim("nearorth-adversarial", decided=20)
@examples(40)
@given(instance=near_orthogonal_instances(attackable, RELU, classes=True))
def test_one_direction_turns_every_point(check, instance):
    check(instance)


@pytest.mark.claim("linear-all-support", decided=20)
@examples(160)
@given(instance=near_orthogonal_instances(near_orthogonal, LINEAR) | BEYOND_LINEAR)
def test_near_orthogonal_points_all_support(check, instance):
    check(instance)


@pytest.mark.claim("linear-all-support-beyond", decided=1)
def test_less_orthogonal_points_do_not(refute):
    refute(Sizes(points=3, neurons=1, dimensions=3), patience=(100, 50))


@pytest.mark.claim("sym-floor", decided=20)
@examples(120)
@given(instance=mirrored_instances(KINKED) | mirrored_instances(KINKED, inside=False))
def test_mirrored_data_cost_at_least_the_svm(check, instance):
    check(instance)


@pytest.mark.claim("sym-global", decided=20)
@examples(40)
@given(instance=mirrored_instances(RELU))
def test_mirrored_data_cost_the_svm(check, instance):
    check(instance)


@pytest.mark.claim("univariate-two-breaks", decided=20)
@examples(110)
@given(instance=univariate_instances())
def test_neurons_in_one_gap_switch_at_one_place(check, instance):
    check(instance)
