"""Depth 2: when the limit is an optimum of the margin problem (P).

No shared weights, linear: if every hidden weight vector w_j of the limit is nonzero, the limit is a global optimum
(depth2-linear-nonzero-global). Relu: if every input w_j . x_i^(j) to every hidden neuron is nonzero in the limit,
it is a local optimum (depth2-relu-active-local). The assumptions are about the limit and cannot be drawn; an
example whose limit does not meet them is outside.

Refuted is that the limit is a local optimum without these assumptions (depth2-local), for relu with nonzero weight
vectors only (depth2-relu-nonzero-local), and, with shared weights, whatever is nonzero (shared-local); and that for
relu it is a global optimum if every input is nonzero (depth2-relu-active-global).

Vardi, Shamir & Srebro, arXiv:2110.02732, section 4.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.problem.sizes import Sizes
from harness.testing.check import examples
from strategies import instances


@pytest.mark.claim("depth2-linear-nonzero-global", decided=15)
@examples(180)
@given(data=st.data())
def test_linear_with_nonzero_weight_vectors_is_globally_optimal(check, family, data):
    check(data.draw(instances(networks=family)))


@pytest.mark.claim("depth2-relu-active-local", decided=6)
@examples(150)
@given(data=st.data())
def test_relu_with_nonzero_inputs_is_locally_optimal(check, family, data):
    check(data.draw(instances(networks=family)))


@pytest.mark.claim("depth2-local", decided=1)
def test_it_is_not_locally_optimal(refute):
    refute(Sizes(points=1, neurons=2, dimensions=2))


@pytest.mark.claim("depth2-relu-nonzero-local", decided=1)
def test_relu_with_nonzero_weight_vectors_is_not_locally_optimal(refute):
    refute(Sizes(points=2, neurons=2, dimensions=2))


@pytest.mark.claim("depth2-relu-active-global", decided=1)
def test_relu_with_nonzero_inputs_is_not_globally_optimal(refute):
    refute(Sizes(points=2, neurons=2, dimensions=2))


@pytest.mark.claim("shared-local", decided=1)
def test_shared_weights_are_not_locally_optimal(refute):
    refute(Sizes(points=1, neurons=2, dimensions=4))
