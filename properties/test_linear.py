"""Linear networks: fully connected of any depth, and the layers of any.

Fully connected: the limit is a global optimum of the margin problem (P); every W^l has rank one, neighbours are
aligned, and the predictor is the hard-margin SVM's direction.  Any linear network, shared weights or not:
every layer's parameters u^l are a global optimum of (P_l), the problem over them with the other layers held fixed.

Vardi, Shamir & Srebro, arXiv:2110.02732, sections 3 and 5; Ji & Telgarsky, arXiv:2006.06657.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import convolutional_networks, diagonal_networks, fully_connected_networks, instances, sparse_networks

LINEAR = {
    "fully connected, depth 2": fully_connected_networks("linear"),
    "fully connected, depth 3": fully_connected_networks("linear", 3),
    "diagonal, depth 2 to 4": diagonal_networks("linear", (2, 3, 4)),
    "sparse": sparse_networks("linear"),
    "convolutional": convolutional_networks("linear"),
}


@pytest.mark.parametrize("family", [name for name in LINEAR if "fully" in name])
@pytest.mark.claim("fc-linear-global", decided=30)
@settings(max_examples=80)
@given(data=st.data())
def test_fully_connected_is_globally_optimal(check, family, data):
    check("fc-linear-global", data.draw(instances(networks=LINEAR[family])))


@pytest.mark.parametrize("family", [name for name in LINEAR if "fully" in name])
@pytest.mark.claim("fc-linear-aligned", decided=30)
@settings(max_examples=80)
@given(data=st.data())
def test_fully_connected_is_aligned(check, family, data):
    check("fc-linear-aligned", data.draw(instances(networks=LINEAR[family])))


@pytest.mark.parametrize("family", LINEAR)
@pytest.mark.claim("linear-layerwise-global", decided=30)
@settings(max_examples=80)
@given(data=st.data())
def test_every_layer_is_globally_optimal(check, family, data):
    check("linear-layerwise-global", data.draw(instances(networks=LINEAR[family])))
