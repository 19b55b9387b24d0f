"""What is seen of the invariant subspace without the elimination of a basis, and the numbers that are drawn for it."""

from __future__ import annotations

import numpy as np
import pytest

from harness.flow.compiled.kernel import wiring
from harness.flow.invariants.lifting import prime_below
from harness.flow.invariants.modular import Residues, closure, flat_normals, intersect, opened, still
from harness.problem.networks import Network, fully_connected

NONE = np.zeros((0, 2), dtype=np.int64)


def cell_of(network: Network, n: int, prime: int, rng: np.random.Generator) -> Residues:
    net = wiring(network)
    x = rng.integers(1, prime, (n, network.widths[0]))
    return Residues(net, np.zeros(len(net.par), dtype=np.int64), x, np.ones((n, 1), dtype=np.int64), 1, prime)


@pytest.mark.parametrize("which", [0, 1])
def test_a_closure_is_the_same_from_any_partition_of_the_samples(which: int) -> None:
    """The first prime was the modulus of a generator once: random elements were all of one plane, 79 rows enough."""
    rng, prime = np.random.default_rng(3), prime_below(which)
    network, n = fully_connected("relu", (10, 20)), 20
    cell = cell_of(network, n, prime, rng)
    gates = np.ones((n, 31), dtype=np.int64)
    gates[:, 10:30] = rng.integers(0, 2, (n, 20))
    start, none = rng.integers(1, prime, (1, network.size)), np.zeros((0, network.size), dtype=np.int64)
    constant = np.zeros(network.size, dtype=np.bool_)
    found = [
        len(closure(cell, start, gates, none, NONE, blocks, constant, 5)[1])
        for blocks in (np.zeros(n, dtype=np.int64), np.arange(n))
    ]
    # w_j moves in the span of the points that it is on for, and what is left of all w_j is one vector
    spans = [min(10, int(gates[:, 10 + j].sum())) + 1 for j in range(20)]
    assert found == [sum(spans) + (sum(spans) < network.size)] * 2


def test_what_is_opened_is_so_by_the_closure() -> None:
    rng, prime = np.random.default_rng(4), prime_below(0)
    network, n = fully_connected("relu", (3, 2)), 3
    net, size = wiring(network), network.size
    outcomes: list[bool] = []
    for _ in range(200):
        cell = cell_of(network, n, prime, rng)
        gates = np.ones((n, 6), dtype=np.int64)
        gates[:, 3:5] = rng.integers(0, 2, (n, 2))
        every = rng.permutation([(i, 3 + j) for i in range(n) for j in range(2)])[: int(rng.integers(1, 5))]
        slides = int(rng.integers(0, len(every) + 1))
        lines = flat_normals(net, cell.x, every, size, prime)
        constant = still(net, np.ones((n, 3), dtype=np.bool_), gates.astype(float), NONE, size, 1)
        constant &= ~(lines[:slides] != 0).any(axis=0)
        if (lines != 0)[:, constant].any():
            continue
        spanned = intersect(np.eye(size, dtype=np.int64)[~constant], lines, prime)
        basis, _, blocks = closure(cell, spanned, gates, lines[:slides], NONE, np.arange(n), constant, 7)
        found, also = opened(cell, gates, lines, slides, np.arange(n), constant, 7)
        # one look is enough to see it, not to see that it is not so
        assert not found or len(basis) == int((~constant).sum()) - slides
        assert not found or np.array_equal(blocks, also)
        outcomes.append(bool(found))
    assert min(outcomes.count(True), outcomes.count(False)) >= 20
