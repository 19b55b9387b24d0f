"""Which families a claim is checked on."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.claims.conclusions import Decision, Networks, locally_optimal
from harness.claims.table import CLAIMS, Claim
from strategies import FAMILIES, families, instances

RELU = {name for name in FAMILIES if " relu" in name}
BEYOND = {name for name in FAMILIES if name.split(",")[0] in ("leaky", "fixed", "classes", "biased")}
FULLY_CONNECTED = {"fully connected linear, depth 2", "fully connected linear, depth 3"}


def test_a_claim_about_any_network_is_checked_on_all() -> None:
    assert families(CLAIMS["kkt"]).keys() == FAMILIES.keys()
    assert len(FAMILIES) == 23


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        ("fc-linear-global", {"depth 1", *FULLY_CONNECTED}),
        ("depth2-relu-active-local", {f"{kind} relu, depth 2" for kind in ("fully connected", "diagonal", "sparse")}),
        ("shared-local", {"convolutional linear, depth 2", "convolutional relu, depth 2"}),
        ("relu-active-layerwise-local", RELU),
        ("linear-layerwise-global", FAMILIES.keys() - RELU - BEYOND),
    ],
)
def test_others_on_those_that_they_speak_of(claim: str, expected: set[str]) -> None:
    assert families(CLAIMS[claim]).keys() == expected


@pytest.mark.parametrize(
    ("depths", "expected"),
    [
        ((3, 3), {"diagonal linear, depth 3": {3}, "fully connected linear, depth 3": {3}}),
        ((4, None), {"diagonal linear, depth 4": {4}, "fully connected linear, depth 4": {4}}),
        ((2, 3), {f"{kind} linear, depth {m}": {m} for kind in ("diagonal", "fully connected") for m in (2, 3)}),
        ((4, 5), {f"{kind} linear, depth 4 and 5": {4, 5} for kind in ("diagonal", "fully connected")}),
    ],
)
def test_a_claim_is_checked_at_the_depths_that_it_speaks_of(
    depths: tuple[int, int | None], expected: dict[str, set[int]]
) -> None:
    """No family is left out because another of its depths is not meant, nor because it is deeper than usual."""
    networks = Networks("linear", "unshared", depths)
    claim = Claim("mine", "", "", "", "open", "", Decision(networks, locally_optimal))
    spoken_of = families(claim)
    drawn = {
        name: {member.depth for member in family.elements}  # pyright: ignore[reportAttributeAccessIssue]
        for name, family in spoken_of.items()
        if not name.startswith("sparse")
    }
    assert drawn == expected


@pytest.mark.parametrize("claim", [name for name, claim in CLAIMS.items() if families(claim)])
@settings(max_examples=15, derandomize=True, database=None, deadline=None)
@given(data=st.data())
def test_what_is_drawn_is_what_the_claim_speaks_of(claim: str, data: st.DataObject) -> None:
    family = data.draw(st.sampled_from(list(families(CLAIMS[claim]).values())))
    instance = data.draw(instances(networks=family))
    # a filter as long as the input, or a single neuron, shares nothing
    alone = claim == "shared-local" and not instance.network.shared
    assert CLAIMS[claim].applies(instance.network) or alone
