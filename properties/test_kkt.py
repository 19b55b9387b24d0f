"""The limit is a KKT point.

For every network and either loss: if the flow separates the data, then the limit theta~ of its direction, scaled to
least margin 1, is a KKT point of the margin problem (P): there are lambda_i >= 0 and g_i in the Clarke subdifferential
of Phi(.; x_i) with theta~ = sum_i lambda_i y_i g_i and lambda_i (q_i - 1) = 0.

Lyu & Li, arXiv:1906.05890; Ji & Telgarsky, arXiv:2006.06657; Vardi, Shamir & Srebro, arXiv:2110.02732, section 2.

The residual is computed anew from the limit, holds to 1e-8, and is a violation above 1e-6.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import convolutional_networks, diagonal_networks, fully_connected_networks, instances, sparse_networks

FAMILIES = {
    "fully connected, depth 2": fully_connected_networks(),
    "fully connected, depth 3 and 4": fully_connected_networks(depth=(3, 4)),
    "diagonal": diagonal_networks(depth=(2, 3, 4)),
    "sparse": sparse_networks(),
    "convolutional": convolutional_networks(),
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.claim("kkt", decided=15)
@settings(max_examples=80)
@given(data=st.data())
def test_the_limit_is_a_kkt_point(check, family, data):
    check("kkt", data.draw(instances(networks=FAMILIES[family])))
