"""Refuted claims: the harness finds its own counterexample to each, shrinks it and certifies it.

    fc-relu-local              fully connected, relu: the limit is a local optimum of (P)            VSS, section 3
    depth2-local               depth 2, no shared weights: the limit is a local optimum of (P)       VSS, section 4
    depth2-relu-nonzero-local  depth 2, relu, every w_j nonzero in the limit: the same               VSS, section 4
    depth2-relu-active-global  depth 2, relu, every input nonzero in the limit: a global optimum    VSS, section 4
    relu-layerwise-local       relu, depth 2: every layer is a local optimum of (P_l)                VSS, section 5
    relu-active-layerwise-global  relu, every input nonzero in the limit: every layer is a global    VSS, section 5

Each is proven false in VSS (Vardi, Shamir & Srebro, arXiv:2110.02732).  A test fails when nothing is found, when the
exact checker does not accept the proof, or when what is found is larger than what one would write by hand.
"""

from __future__ import annotations

import pytest

from harness.certificates import verify
from harness.harvest import hunt
from harness.harvest.spaces import Sizes

# Points, neurons and dimensions of the counterexamples made by hand.
BY_HAND = {
    "fc-relu-local": Sizes(2, 2, 2),
    "depth2-local": Sizes(1, 2, 2),
    "depth2-relu-nonzero-local": Sizes(2, 2, 2),
    "depth2-relu-active-global": Sizes(2, 2, 2),
    "relu-layerwise-local": Sizes(2, 2, 2),
    "relu-active-layerwise-global": Sizes(2, 2, 2),
}


@pytest.mark.parametrize("claim", BY_HAND)
def test_a_counterexample_is_found_shrunk_and_certified(claim: str) -> None:
    finding = hunt(claim, seed=0)
    assert finding is not None, f"no counterexample to {claim} was found"
    verified = verify(finding.record().data)
    assert verified.accepted, verified.reason
    instance = finding.instance
    assert BY_HAND[claim].holds(instance), instance.to_json()
    assert all(a.denominator == 1 for rows in (instance.x, instance.theta0) for row in rows for a in row)
