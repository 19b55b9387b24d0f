"""Which families a claim is checked on."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.claims import CLAIMS
from strategies import FAMILIES, families, instances

RELU = {name for name in FAMILIES if " relu" in name}
FULLY_CONNECTED = {"fully connected linear, depth 2", "fully connected linear, depth 3"}


def test_a_claim_about_any_network_is_checked_on_all() -> None:
    assert families(CLAIMS["kkt"]).keys() == FAMILIES.keys()
    assert len(FAMILIES) == 15


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        ("fc-linear-global", {"depth 1", *FULLY_CONNECTED}),
        ("depth2-relu-active-local", {f"{kind} relu, depth 2" for kind in ("fully connected", "diagonal", "sparse")}),
        ("shared-local", {"convolutional linear, depth 2", "convolutional relu, depth 2"}),
        ("relu-active-layerwise-local", RELU),
        ("linear-layerwise-global", FAMILIES.keys() - RELU),
    ],
)
def test_others_on_those_that_they_speak_of(claim: str, expected: set[str]) -> None:
    assert families(CLAIMS[claim]).keys() == expected


@pytest.mark.parametrize("claim", CLAIMS)
@settings(max_examples=15, derandomize=True, database=None, deadline=None)
@given(data=st.data())
def test_what_is_drawn_is_what_the_claim_speaks_of(claim: str, data: st.DataObject) -> None:
    family = data.draw(st.sampled_from(list(families(CLAIMS[claim]).values())))
    instance = data.draw(instances(networks=family))
    # a filter as long as the input, or a single neuron, shares nothing
    assert CLAIMS[claim].applies(instance.network) or claim == "shared-local"
