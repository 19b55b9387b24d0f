"""What follows for a limit that has some property, whatever the data and the start.

Fully connected, depth 2, relu or leaky: two live neurons of equal sign of v, with equal gates and no kink on the points
with lambda_i > 0, have one w_j / v_j (pattern-collapse).  If some w_j = 0 and v_j = 0, the limit is a local optimum and
its multipliers are unique, it is a global optimum, at every width (dead-local-global); open is whether it takes the
uniqueness (dead-local-global-any).

Depth 2, no shared weights, relu or leaky: where every w_j is nonzero and every kink (i, j) with lambda_i > 0 has
y_i v_j < 0 the limit is a local optimum (depth2-concave-kinks-local).  The same with fixed outputs 1 and -1, for every
w_j (frozen-concave-kinks-local).

Any network with every layer trained: from the separation on loss^{-1}(L) / prod_l norm(u^l) never falls (multi-margin).

docs/statements.md, section 7.
"""

import pytest
from hypothesis import given

from harness.testing.check import examples
from strategies import instances
from strategies.kinds import FROZEN, KINKED, KINKED_UNSHARED
from strategies.predicates import mirrored_instances, orthogonally_separable_instances


@pytest.mark.claim("pattern-collapse", decided=20)
@examples(300)
@given(instance=mirrored_instances(KINKED) | orthogonally_separable_instances(KINKED))
def test_neurons_of_one_pattern_are_one(check, instance):
    check(instance)


@pytest.mark.claim("depth2-concave-kinks-local", decided=20)
@examples(120)
@given(instance=instances(networks=KINKED_UNSHARED))
def test_concave_kinks_are_locally_optimal(check, instance):
    check(instance)


@pytest.mark.claim("frozen-concave-kinks-local", decided=20)
@examples(40)
@given(instance=instances(networks=FROZEN) | orthogonally_separable_instances(FROZEN, weak=True))
def test_concave_kinks_with_fixed_outputs_are_locally_optimal(check, instance):
    check(instance)


@pytest.mark.claim("dead-local-global", decided=20)
@examples(240)
@given(instance=instances(networks=KINKED) | orthogonally_separable_instances(KINKED))
def test_local_with_a_dead_neuron_is_global(check, instance):
    check(instance)


@pytest.mark.claim("dead-local-global-any", decided=3)
@examples(120)
@given(instance=instances(networks=KINKED))
def test_local_with_a_dead_neuron_is_global_whatever_the_multipliers(check, instance):
    check(instance)


@pytest.mark.claim("multi-margin", decided=20)
@examples(100)
@given(instance=instances())
def test_the_margin_grows_against_the_product_of_norms(check, instance):
    check(instance)
