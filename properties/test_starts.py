"""What follows from the start, and for single families of patterns.

Diagonal, linear, depth 2.  Data separable by a vector, abs(u_k) != abs(v_k) for every k at the start: the flow
separates them, and its limit is a global optimum (diag2-unbalanced-global).  abs(u_k) = abs(v_k) > 0 for every k: it
never leaves the orthant of the u_k v_k, and finds the least norm_1 there (diag2-balanced-orthant).

Linear, depth 2.  A filter as wide as the input, moved around it: a global optimum if no Fourier coefficient of the
filter is zero in the limit (conv-full-nonzero-global), and refuted without that (conv-full-global).  A filter of one
number: a global optimum (conv-scalar-global).

Open are claims on almost all starts, of limits that no exact invariance holds: local optima of linear networks
(linear-generic-local), and of relu and leaky networks of depth 2 without zeros whose multipliers are unique and whose
kinks have coefficients strictly between the slopes (depth2-inner-kinks-local).  Relu, depth 2: refuted is that no
right angles are enough for that (depth2-relu-generic-local), and that a small balanced start with a neuron in every
cell, of either sign, ends at a global optimum (cover-small-global).

docs/statements.md, section 7.
"""

import pytest
from hypothesis import given

from harness.problem.sizes import Sizes
from harness.testing.check import examples
from strategies import instances, unshared_networks
from strategies.kinds import ANY_LINEAR, CIRCULANT, LEAKY, SCALAR
from strategies.predicates import diagonal_instances


@pytest.mark.claim("diag2-unbalanced-global", decided=20)
@examples(40)
@given(instance=diagonal_instances(balanced=False))
def test_unbalanced_diagonal_networks_are_globally_optimal(check, instance):
    check(instance)


@pytest.mark.claim("diag2-balanced-orthant", decided=20)
@examples(80)
@given(instance=diagonal_instances(balanced=True))
def test_balanced_diagonal_networks_stay_in_their_orthant(check, instance):
    check(instance)


@pytest.mark.claim("conv-full-nonzero-global", decided=20)
@examples(180)
@given(instance=instances(networks=CIRCULANT))
def test_full_filters_of_full_spectrum_are_globally_optimal(check, instance):
    check(instance)


@pytest.mark.claim("conv-full-global", decided=1)
def test_full_filters_are_not(refute):
    refute(Sizes(points=1, neurons=2, dimensions=2), patience=(100, 50))


@pytest.mark.claim("conv-scalar-global", decided=20)
@examples(80)
@given(instance=instances(networks=SCALAR))
def test_a_filter_of_one_number_is_globally_optimal(check, instance):
    check(instance)


@pytest.mark.claim("linear-generic-local", decided=10)
@examples(40)
@given(instance=instances(networks=ANY_LINEAR))
def test_linear_limits_that_are_not_held_are_locally_optimal(check, instance):
    check(instance)


@pytest.mark.claim("depth2-relu-generic-local", decided=1)
def test_relu_limits_that_are_not_held_are_not(refute):
    refute(Sizes(points=3, neurons=2, dimensions=2), patience=(8000, 50))


@pytest.mark.claim("depth2-inner-kinks-local", decided=8)
@examples(200)
@given(instance=instances(networks=unshared_networks("relu") | LEAKY))
def test_limits_with_kinks_inside_are_locally_optimal(check, instance):
    check(instance)
