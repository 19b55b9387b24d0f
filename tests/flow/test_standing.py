"""A small neuron whose gates stand for ever: against small steps while the multipliers move, and where it may not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.kinds import KINDS, draws
from harness import drive
from harness.flow.compiled.kernel import evaluate
from harness.flow.kinks.gates import Gates
from harness.flow.settling.group_fate import Beside
from harness.flow.settling.polytope import corners_of, gates_of
from harness.flow.settling.standing import dies_standing
from harness.problem.limits import Limit
from harness.problem.points import Point
from tests.support.reference import follow

ROOM = 1e-3
BY_NAME = {kind.name: kind for kind in KINDS}


def stepped(
    h: np.ndarray, beta: np.ndarray, w: np.ndarray, v: np.ndarray, below: float, step: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """A small step with the sign gate, which creeps along attracting kinks: the neuron at size 1 again, its growth."""
    pull = (beta * np.where(h @ w > 0.0, 1.0, below)[:, None]).T @ h
    w, v = w + step * pull.T @ v, v + step * pull @ w
    size = float(np.sqrt(w @ w + v @ v))
    return w / size, v / size, float(np.log(size))


@pytest.mark.parametrize(
    ("below", "outputs", "slides"), [(0.0, 1, 1), (0.5, 1, 2), (0.5, 3, 1), (2.0, 2, 0), (-0.5, 2, 0)]
)
def test_what_dies_standing_stands_and_dies(below: float, outputs: int, slides: int) -> None:
    """The multipliers wander between two corners at will: the gates stay as they are, and the neuron falls behind."""
    rng = np.random.default_rng(7)
    died = slid = 0
    for _ in range(60):
        n, d = int(rng.integers(1, 5)), int(rng.integers(2, 4))
        h, beta = rng.standard_normal((n, d)), rng.standard_normal((n, outputs))
        betas = np.array([beta, beta + 0.2 * rng.random() * rng.standard_normal((n, outputs))])
        betas *= rng.uniform(0.3, 1.5) / max(float(np.linalg.norm(beta.T @ h, 2)) for beta in betas) / max(below, 1.0)
        w, v = rng.standard_normal(d), rng.standard_normal(outputs)
        for _ in range(1000):
            w, v, _ = stepped(h, betas.mean(axis=0), w, v, below, 0.02)
        gates = np.where(np.abs(h @ w) < 0.05, 2, (h @ w > 0.0).astype(np.int64))
        if not dies_standing(h, betas, gates, w, v, below, ROOM):
            continue
        died += 1
        slid += bool((gates == 2).any())
        growth = 0.0
        for _ in range(20):
            share = rng.random()
            for _ in range(50):
                w, v, grown = stepped(h, share * betas[0] + (1.0 - share) * betas[1], w, v, below, 0.01)
                growth += grown
                pre = h @ w
                assert (np.abs(pre[gates == 2]) < 0.1).all()
                assert (pre[gates == 1] > 0.0).all()
                assert (pre[gates == 0] < 0.0).all()
        assert growth < 20 * 50 * 0.01
    assert died >= 12
    assert slid >= slides


def test_a_neuron_that_some_multipliers_wake_is_not_known_to_die() -> None:
    """One input, off, at a slope of 1/2: |beta| = 1 dies there, 3 does not, and between them nobody knows."""
    h, w, v, gates = np.ones((1, 1)), np.array([-1.0]), np.array([1.0]), np.array([0])
    for strong, dies in ((1.0, True), (1.9, True), (3.0, False)):
        betas = -np.array([[[1.0]], [[strong]]])
        assert dies_standing(h, betas, gates, w, v, 0.5, ROOM) is dies


def test_gates_that_will_not_stand_are_seen() -> None:
    """It dies at present; pulled to its kink it will be on, and then wakes."""
    h, gates = np.ones((1, 1)), np.array([0])
    w, v = np.array([-1.0]), np.array([1.0])
    assert not dies_standing(h, np.array([[[1.5]]]), gates, w, v, 0.5, ROOM)
    assert dies_standing(h, np.array([[[-1.5]]]), gates, w, v, 0.5, ROOM)
    # so near to its kink that a neighbour has passed it
    assert not dies_standing(h, np.array([[[-1.5]]]), gates, np.array([-1e-4]), v, 0.5, 1.0)
    # what other small neurons may add counts
    assert not dies_standing(h, np.array([[[-1.9]]]), gates, w, v, 0.5, ROOM, slack=0.06)


def test_the_corners_of_a_polytope() -> None:
    """z1 + z2 + z3 = 1 and z4 <= z1, all of them >= 0: the simplex, with z4 = 0 or z1."""
    columns = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    found = corners_of(columns, np.array([[-1.0, 0.0, 0.0, 1.0]]), np.array([1.0, 0.0]))
    corners = {tuple(np.round(corner, 9) + 0.0) for corner in found}
    assert corners == {(1, 0, 0, 0), (1, 0, 0, 1), (0, 1, 0, 0), (0, 0, 1, 0)}


def limits(name: str, indices: list[int], integer: bool) -> list[Limit]:
    every = list(draws(BY_NAME[name], 501, max(indices) + 1, integer))
    return drive([every[k] for k in indices])


@pytest.mark.parametrize(
    ("name", "integer", "indices"),
    [
        ("leaky 1/2, depth 2", True, [30]),  # off where a live one is on, multipliers not unique
        ("3 classes, leaky 1/2, depth 2", False, [33, 17]),  # the same; with slides of its own
        ("leaky 1/2, depth 3", False, [35]),  # beside neurons of the second layer that slide
        ("leaky 1/2, depth 3", True, [48, 122]),  # multipliers not unique; nothing answers at first
    ],
)
def test_limits_beside_which_something_small_dies(name: str, integer: bool, indices: list[int]) -> None:
    """They are those of the independent trainer."""
    for limit in limits(name, indices, integer):
        assert limit.status == "converged", limit.reason
        assert limit.value is not None
        record = follow(limit.instance, 40.0)
        assert record.status == "followed"
        assert record.value == pytest.approx(limit.value, rel=1e-3)


def test_a_small_neuron_of_any_layer_lasts() -> None:
    """In three layers, a small neuron that is a multiple of a live one: the limit has it, and is a KKT point."""
    for limit in limits("leaky 1/2, depth 3", [46, 84, 166], integer=True):
        assert limit.status == "converged", limit.reason
        assert limit.theta is not None
        assert limit.point is not None
        assert limit.point.residual < 1e-9
        size = float(np.sqrt(2.0 * limit.point.value))
        smallest = min(float(np.abs(u[u != 0.0]).min()) for u in limit.theta)
        assert 0.0 < smallest < 1e-3 * size


def test_beside_a_limit_the_gates_of_its_slides_are_their_coefficients(monkeypatch: pytest.MonkeyPatch) -> None:
    """With them the KKT conditions hold; with these kinks off they would not."""
    apart: list[tuple[float, float]] = []
    begin = Beside.__init__

    def asked(self: Beside, gates: Gates, theta: np.ndarray, dying: list[int], settled: Point, *others: Any) -> None:
        begin(self, gates, theta, dying, settled, *others)
        limit, own = gates.instance.network.flat(settled.theta), gates_of(gates, settled)
        rest = []
        for opened in (own, np.where(own < 1.0, gates.below, 1.0)):
            gradients = evaluate(gates.net, limit, gates.cell.x, gates.cell.seeds, opened)[1]
            rest.append(float(np.linalg.norm(limit - settled.multipliers @ gradients) / np.linalg.norm(limit)))
        apart.append((rest[0], rest[1]))

    monkeypatch.setattr(Beside, "__init__", asked)
    limits("leaky 1/2, depth 3", [29, 35, 160], integer=False)
    assert len(apart) >= 3
    assert all(own < 1e-8 < 0.1 < off for own, off in apart)


def test_a_neuron_held_on_all_sides_stays() -> None:
    """Three inputs in the plane, all sliding; with a fourth of them turned round it would be pulled away."""
    h = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]])
    w, v, gates = np.zeros(2), np.array([1.0]), np.full(3, 2)
    held = np.array([[[-1.0], [-1.0], [-1.0]], [[-1.2], [-1.0], [-1.1]]])
    assert dies_standing(h, held, gates, w, v, 0.5, 1e-3)
    assert not dies_standing(h, held, gates, w, v, 0.5, 1e-3, slack=0.1)
    # at one corner a point pulls harder than the others can hold
    assert not dies_standing(h, np.vstack([held, [[[-1.0], [-1.0], [-2.5]]]]), gates, w, v, 0.5, 1e-3)
    # or does not attract
    assert not dies_standing(h, np.vstack([held, [[[-1.0], [-1.0], [0.1]]]]), gates, w, v, 0.5, 1e-3)
    assert not dies_standing(h, held, np.array([2, 2, 1]), w, v, 0.5, 1e-3)
    # what it gives out is known too roughly
    assert not dies_standing(h, held, gates, w, v, 0.5, 0.05)


def test_a_neuron_is_not_held_by_a_kink_that_repels() -> None:
    """There are coefficients by which it stands still; along the fourth input it might leave."""
    h = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0], [1.0, 0.5]])
    w, v, gates = np.zeros(2), np.array([1.0]), np.full(4, 2)
    held = np.array([[[-1.0], [-1.0], [-1.0], [-0.05]]])
    assert dies_standing(h, held, gates, w, v, 0.5, 1e-6)
    held[0, 3] = 0.05
    assert not dies_standing(h, held, gates, w, v, 0.5, 1e-6)
