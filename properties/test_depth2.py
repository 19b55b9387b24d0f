"""Depth 2 without shared weights: when the limit is optimal.

Linear: if every hidden weight vector w_j of the limit is nonzero, the limit is a global optimum of the margin
problem (P). Relu: if every input w_j . x_i^(j) to every hidden neuron is nonzero in the limit, it is a local optimum.

Vardi, Shamir & Srebro, arXiv:2110.02732, section 4.

The assumptions are about the limit and cannot be drawn; an example whose limit does not meet them is outside.
"""

import pytest
from hypothesis import given, settings

from strategies import instances, unshared_networks


@pytest.mark.claim("depth2-linear-nonzero-global", decided=40)
@given(instance=instances(networks=unshared_networks("linear")))
def test_linear_with_nonzero_weight_vectors_is_globally_optimal(check, instance):
    check("depth2-linear-nonzero-global", instance)


@pytest.mark.claim("depth2-relu-active-local", decided=25)
@settings(max_examples=300)
@given(instance=instances(networks=unshared_networks("relu")))
def test_relu_with_nonzero_inputs_is_locally_optimal(check, instance):
    check("depth2-relu-active-local", instance)
