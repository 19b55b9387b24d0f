"""What holds along every flow that separates the data.

loss-vanishes: the loss goes to 0 and the norm diverges.  margin-grows: once the loss is below that of the zero
network, loss^{-1}(L) / norm^m never falls.  margin-rate: it grows at least as d log(it) / d log(norm) =
m |d direction / d log(norm)|^2.  margin-floor: so no point on the way has a larger one than the limit,
(2 value)^(-m/2).  balance: the differences of the layers' squared norms are conserved, and with no shared weights each
hidden neuron's.  sign-kept: at depth 2, no v_j with |v_j(0)| >= |w_j(0)| changes its sign.  follows-flow: an
independent integrator finds every recorded step again, and the record comes within 1e-3 of the limit.

These see a trainer that stops at a KKT point which the flow does not go to.  Lyu & Li, arXiv:1906.05890; Du, Hu & Lee,
arXiv:1806.00900.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import convolutional_networks, instances, unshared_networks

FAMILIES = {
    "depth 2": unshared_networks(),
    "depth 3": unshared_networks(depth=3),
    "convolutional": convolutional_networks(),
}
CLAIMS = ("loss-vanishes", "margin-grows", "margin-rate", "margin-floor", "balance")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("claim", [pytest.param(claim, marks=pytest.mark.claim(claim, decided=10)) for claim in CLAIMS])
@settings(max_examples=60)
@given(data=st.data())
def test_along_the_flow(check, claim, family, data):
    check(claim, data.draw(instances(networks=FAMILIES[family])))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.claim("follows-flow", decided=8)
@settings(max_examples=40)
@given(data=st.data())
def test_the_record_is_of_the_flow(check, family, data):
    check("follows-flow", data.draw(instances(networks=FAMILIES[family])))


@pytest.mark.claim("sign-kept", decided=15)
@given(instance=instances(networks=FAMILIES["depth 2"]))
def test_signs_are_kept(check, instance):
    check("sign-kept", instance)
