"""What holds of every flow that separates the data, for every network and either loss: every slope of the activation,
layers that are fixed, several outputs.  theta, norm, value and direction are of the trained layers, and m is their
number.

kkt: the limit theta~ of its direction, scaled to least margin 1, is a KKT point of the margin problem (P): there
are lambda_r >= 0 and g_r in the Clarke subdifferential of the margin q_r with theta~ = sum_r lambda_r g_r and
lambda_r (q_r - 1) = 0.

Along the flow: the loss vanishes and the norm diverges (loss-vanishes). Once the loss is below that of the zero
network, loss^{-1}(L) / norm^m never falls (margin-grows), grows at least as d log(it) / d log(norm) = m |d
direction / d log(norm)|^2 (margin-rate), and so is nowhere larger than in the limit, (2 value)^(-m/2)
(margin-floor). The differences of the trained layers' squared norms are conserved, and with no shared weights those of
each hidden neuron between two of them (balance). At depth 2, linear or relu, one output, all trained: no v_j with
|v_j(0)| >= |w_j(0)| changes its sign (sign-kept).

follows-flow checks the trainer: an independent integrator finds the record again, from theta0 on and to the tolerance
of each neuron, in the subspace that the flow keeps, and comes within 1e-3 of the limit from its end on. It,
margin-floor and sign-kept see a trainer that jumps to a KKT point which the flow does not go to.

Lyu & Li, arXiv:1906.05890; Ji & Telgarsky, arXiv:2006.06657; Du, Hu & Lee, arXiv:1806.00900.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.testing.check import examples
from strategies import instances

# Fewer of their flows separate the data, and fewer of those are followed to the end.
HARDER = (
    "fully connected relu, depth 3",
    "diagonal relu, depth 3 and 4",
    "convolutional relu, depth 3",
    *(f"{kind}, depth 3" for kind in ("leaky", "fixed", "classes")),
    "biased, depth 2 and 3",
)
FEWER = dict.fromkeys(HARDER, 2)


@pytest.mark.claim("kkt", decided=10, fewer=FEWER)
@examples(60)
@given(data=st.data())
def test_the_limit_is_a_kkt_point(check, family, data):
    check(data.draw(instances(networks=family)))


@pytest.mark.claim("loss-vanishes", decided=8, fewer=FEWER)
@examples(40)
@given(data=st.data())
def test_the_loss_vanishes(check, family, data):
    check(data.draw(instances(networks=family)))


@pytest.mark.claim("margin-grows", decided=8, fewer=FEWER)
@examples(40)
@given(data=st.data())
def test_the_margin_grows(check, family, data):
    check(data.draw(instances(networks=family)))


@pytest.mark.claim("margin-rate", decided=8, fewer=FEWER)
@examples(40)
@given(data=st.data())
def test_the_margin_grows_at_its_rate(check, family, data):
    check(data.draw(instances(networks=family)))


@pytest.mark.claim("margin-floor", decided=8, fewer=FEWER)
@examples(40)
@given(data=st.data())
def test_the_limit_has_the_largest_margin(check, family, data):
    check(data.draw(instances(networks=family)))


@pytest.mark.claim("balance", decided=8, fewer=FEWER)
@examples(40)
@given(data=st.data())
def test_layers_and_neurons_stay_balanced(check, family, data):
    check(data.draw(instances(networks=family)))


@pytest.mark.claim("sign-kept", decided=8)
@examples(80)
@given(data=st.data())
def test_outgoing_signs_are_kept(check, family, data):
    check(data.draw(instances(networks=family)))


@pytest.mark.claim("follows-flow", decided=6, fewer=dict.fromkeys(HARDER, 1))
@examples(26)
@given(data=st.data())
def test_the_record_is_of_the_flow(check, family, data):
    check(data.draw(instances(networks=family)))
