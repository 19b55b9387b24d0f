"""Deep networks, and the layers of networks of any depth.

The layer problem (P_l) at the limit is the margin problem over the parameters u^l of one layer, the others held
fixed. Linear, shared weights or not: every u^l is a global optimum of (P_l) (linear-layerwise-global). Relu: if
every input to every hidden neuron is nonzero in the limit, every u^l is a local optimum of (P_l)
(relu-active-layerwise-local).

Refuted is, without shared weights and with every weight and every input nonzero, that the limit is a local optimum of
the whole problem (P) (deep-local). So is, for relu of depth 2, that the layers are local optima without any assumption
(relu-layerwise-local), and with every input nonzero that they are global ones (relu-active-layerwise-global).

Vardi, Shamir & Srebro, arXiv:2110.02732, section 5.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.problem.sizes import Sizes
from harness.testing.check import examples
from strategies import instances


@pytest.mark.claim("linear-layerwise-global", decided=15)
@examples(60)
@given(data=st.data())
def test_linear_layers_are_globally_optimal(check, family, data):
    check(data.draw(instances(networks=family)))


@pytest.mark.claim("relu-active-layerwise-local", decided=4)
@examples(200)
@given(data=st.data())
def test_relu_layers_with_nonzero_inputs_are_locally_optimal(check, family, data):
    check(data.draw(instances(networks=family)))


@pytest.mark.claim("deep-local", decided=1)
def test_it_is_not_locally_optimal(refute):
    refute(Sizes(points=1, neurons=2, dimensions=2))


@pytest.mark.claim("relu-layerwise-local", decided=1)
def test_relu_layers_are_not_locally_optimal(refute):
    refute(Sizes(points=2, neurons=2, dimensions=2))


@pytest.mark.claim("relu-active-layerwise-global", decided=1)
def test_relu_layers_with_nonzero_inputs_are_not_globally_optimal(refute):
    refute(Sizes(points=2, neurons=2, dimensions=2))
