"""The layers of relu networks of any depth.

If every input to every hidden neuron is nonzero in the limit, every layer's parameters u^l are a local optimum of
(P_l), the problem over them with the other layers held fixed.

Vardi, Shamir & Srebro, arXiv:2110.02732, section 5.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import convolutional_networks, diagonal_networks, fully_connected_networks, instances, sparse_networks

DEEP = "fully connected, depth 3"
RELU = {
    "fully connected, depth 2": fully_connected_networks("relu"),
    DEEP: fully_connected_networks("relu", 3),
    "diagonal, depth 2 and 3": diagonal_networks("relu", (2, 3)),
    "sparse": sparse_networks("relu"),
    "convolutional": convolutional_networks("relu"),
}


@pytest.mark.parametrize("family", [name for name in RELU if name != DEEP])
@pytest.mark.claim("relu-active-layerwise-local", decided=4)
@settings(max_examples=250)
@given(data=st.data())
def test_every_layer_is_locally_optimal(check, family, data):
    check("relu-active-layerwise-local", data.draw(instances(networks=RELU[family])))


# Few of these flows separate the data with every neuron active on every point.
@pytest.mark.claim("relu-active-layerwise-local", decided=3)
@settings(max_examples=300)
@given(instance=instances(networks=RELU[DEEP]))
def test_every_layer_of_a_deep_network_is_locally_optimal(check, instance):
    check("relu-active-layerwise-local", instance)
