"""An active margin of a proven limit that the stored numbers, within 1e-9 of it, show as inactive."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import pytest

from harness.certificates import verify
from harness.problem.networks import preactivations
from tests.proofs.test_ends import Instance, fully_connected, of, proof, sparse

# name -> claim, instance, the weights of the neuron that serves point 1, by how much they are too long.  Of both the
# limit is a global optimum.
HIDDEN: dict[str, tuple[str, Instance, list[tuple[int, int]], float]] = {
    "ray": (
        "depth2-local",
        of(sparse("linear", ([[1, 0], [0, 1]], [[1, 1]])), [[1, 0], [0, 1]], [1, 1], [[1, 1], [1, 1]]),
        [(0, 1), (1, 1)],
        9e-10,
    ),
    "gates": (
        "fc-relu-local",
        of(fully_connected("relu", (2, 2)), [[1, 0], [-1, 1]], [1, 1], [[1, 0, -1, 1], [0, 0]]),
        [(0, 2), (0, 3), (1, 1)],
        5.2e-10,
    ),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_no_curve_lets_a_margin_of_the_limit_fall(name: str) -> None:
    claim, instance, neuron, longer = HIDDEN[name]
    network = instance.network
    found = proof(instance)
    assert found is not None
    theta = [list(map(float, u)) for u in found[0]["theta"]]
    for layer, k in neuron:
        theta[layer][k] *= 1.0 + longer
    exact = tuple(tuple(Fraction(a) for a in u) for u in theta)
    signs = None
    if network.kinked:
        signs = [[[1 if a > 0 else -1 for a in preactivations(network, exact, x)[0]] for x in instance.x]]
    # the neuron of point 0 grows, that of point 1 shrinks
    d: list[list[Any]] = [
        [-Fraction(a) if (layer, k) in neuron else Fraction(a) / 10 for k, a in enumerate(u)]
        for layer, u in enumerate(theta)
    ]
    certificate = {
        "kind": "curve", "problem": "full", "scope": "local", "theta": theta, "signs": signs, "order": 1,
        "active": [0], "gates": [], "d": [[str(a) for a in u] for u in d], "e": None, "implied": {},
    }  # fmt: skip
    multipliers = [1.0, 1.0 if name == "ray" else 0.5**0.5]
    margins = [float(q) for q in instance.problem.margins(exact)]
    record = {
        "format": 1,
        "claim": claim,
        "mechanism": "saddle",
        "instance": json.loads(instance.to_json()),
        "limit": {
            "theta": theta,
            "value": 0.5 * sum(a * a for u in theta for a in u),
            "margins": margins,
            "multipliers": multipliers,
            "kkt_residual": 1e-9,
            "kinks": [],
        },
        "structure": {"signs": signs},
        "certificate": certificate,
        "flow": {**found[0], "theta": theta},
        "replay": {},
    }
    assert not verify(record).accepted, verify(record).sentence
