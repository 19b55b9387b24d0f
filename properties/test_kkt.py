"""The limit is a KKT point.

For every network and either loss: if the flow separates the data, then the limit theta~ of its direction, scaled to
least margin 1, is a KKT point of the margin problem (P): there are lambda_i >= 0 and g_i in the Clarke subdifferential
of Phi(.; x_i) with theta~ = sum_i lambda_i y_i g_i and lambda_i (q_i - 1) = 0.

Lyu & Li, arXiv:1906.05890; Ji & Telgarsky, arXiv:2006.06657; Vardi, Shamir & Srebro, arXiv:2110.02732, section 2.

Checked at depth 2 without shared weights: the residual is computed anew from the limit, holds to 1e-8, and is a
violation above 1e-6.
"""

import pytest
from hypothesis import given

from strategies import instances, unshared_networks


@pytest.mark.claim("kkt", decided=75)
@given(instance=instances(networks=unshared_networks()))
def test_the_limit_is_a_kkt_point(check, instance):
    check("kkt", instance)
