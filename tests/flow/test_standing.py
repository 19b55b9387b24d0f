"""A small neuron whose gates stand for ever: against small steps while the multipliers move, and where it may not."""

from __future__ import annotations

from fractions import Fraction
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
from harness.problem.instances import Instance
from harness.problem.limits import Limit
from harness.problem.networks import fully_connected
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
    ("below", "outputs", "parallel", "slides"),
    [
        (0.0, 1, 0.0, 1),
        (0.5, 1, 0.0, 2),
        (0.5, 3, 0.0, 1),
        (2.0, 2, 0.0, 0),
        (-0.5, 2, 0.0, 0),
        (0.5, 1, -1.5, 2),
        (0.0, 2, -0.7, 1),
        (0.0, 1, 2.0, 1),
    ],
)
def test_what_dies_standing_stands_and_dies(below: float, outputs: int, parallel: float, slides: int) -> None:
    """The multipliers wander between two corners at will: the gates stay as they are, and the neuron falls behind.

    parallel: a multiple of the first input, which is another one, and slides with it; 0 for none.
    """
    rng = np.random.default_rng(7)
    died = slid = 0
    for _ in range(60):
        n, d = int(rng.integers(1, 5)), int(rng.integers(2, 4))
        h = rng.standard_normal((n, d))
        if parallel:
            h, n = np.vstack([h, parallel * h[:1]]), n + 1
        beta = rng.standard_normal((n, outputs))
        betas = np.array([beta, beta + 0.2 * rng.random() * rng.standard_normal((n, outputs))])
        betas *= rng.uniform(0.3, 1.5) / max(float(np.linalg.norm(beta.T @ h, 2)) for beta in betas) / max(below, 1.0)
        w, v = rng.standard_normal(d), rng.standard_normal(outputs)
        for _ in range(1000):
            w, v, _ = stepped(h, betas.mean(axis=0), w, v, below, 0.02)
        gates = np.where(np.abs(h @ w) < 0.05, 2, (h @ w > 0.0).astype(np.int64))
        if not dies_standing(h, betas, gates, w, v, below, ROOM):
            continue
        died += 1
        slid += bool(gates[0] == gates[-1] == 2) if parallel else bool((gates == 2).any())
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


def test_points_of_a_line_slide_together() -> None:
    """x and -2 x, the neuron on their kink, going down: the sum of what they pull decides on either side."""
    h, gates = np.array([[1.0, 0.0], [-2.0, 0.0], [0.3, 1.0]]), np.array([2, 2, 1])
    w, v = np.array([0.0, 1.0]), np.array([1.0])

    def dies(first: float, second: float, third: float) -> bool:
        return dies_standing(h, np.array([[[first], [second], [third]]]), gates, w, v, 0.5, ROOM)

    # positive: first - second + 0.3 third < 0; negative: 0.5 first - 2 second + 0.3 third > 0
    assert dies(-0.6, -0.4, 0.4)
    # both sides push to the one side, and to the other
    assert not dies(-0.2, -0.4, 0.4)
    assert not dies(-1.0, -0.1, 0.4)
    # they pull apart
    assert not dies(0.5, 0.4, 0.4)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_slide_beside_which_nothing_moves(sign: float) -> None:
    """A relu neuron on the kink of its only heard input, on which it is pushed back: off, it would stand still."""
    h, w, v, gates = np.array([[1.0, -1.0], [0.0, 1.0]]), -np.ones(2), np.array([sign]), np.array([2, 0])
    betas = sign * np.array([[[-1.0], [5.0]]])
    assert dies_standing(h, betas, gates, w, v, 0.0, ROOM)
    assert not dies_standing(h, -betas, gates, w, v, 0.0, ROOM)
    # a leaky one is moved by the other
    assert not dies_standing(h, betas, gates, w, v, 0.1, ROOM)


def test_a_balanced_neuron_on_a_line_keeps_its_ray() -> None:
    """It shrinks along the line that a slide leaves it, where any other would turn round."""
    h, gates = np.array([[1.0, 0.0], [-1.5, 1.0]]), np.array([2, 1])
    w, v, betas = np.array([0.0, 1.0]), np.array([-1.0]), np.array([[[1.0], [0.4]], [[1.0], [0.6]]])
    assert not dies_standing(h, betas, gates, w, v, 0.5, ROOM, balanced=False)
    assert dies_standing(h, betas, gates, w, v, 0.5, ROOM, balanced=True)
    # too fast; not one line; a kink that repels
    assert not dies_standing(h, 2.5 * betas, gates, w, v, 0.5, ROOM, balanced=True)
    assert not dies_standing(h, betas, np.array([1, 1]), np.array([0.5, 1.0]), v, 0.5, ROOM, balanced=True)
    assert not dies_standing(h, -betas, gates, w, v, 0.5, ROOM, balanced=True)


@pytest.mark.parametrize(
    ("name", "seed", "index", "integer"),
    [
        ("leaky 1/2, depth 2", 3030, 40, True),  # on the line of two opposite points
        ("leaky 1/2, depth 2", 3030, 102, True),  # balanced, on a line
        # weights at 1e-31 of the norm were rounding of larger ones: steps that shrink, kinks that are none
        ("3 classes, relu, depth 2", 3030, 46, True),
        ("leaky 1/2, depth 2", 4242, 18, True),
        ("3 classes, leaky 1/2, depth 2, cross entropy", 1201, 88, True),
        # of which the subspace made differences of larger ones
        ("3 classes, leaky 1/2, depth 2", 5050, 48, True),
        # an input on the other side of a kink than the softmax, held early, would have it
        ("leaky -1, depth 2", 3030, 104, True),
        ("3 classes, relu, depth 2", 3030, 28, False),
    ],
)
def test_limits_of_slow_and_small_ones(name: str, seed: int, index: int, integer: bool) -> None:
    """They are those of the independent trainer, too."""
    *_, instance = draws(BY_NAME[name], seed, index + 1, integer)
    (limit,) = drive([instance])
    assert limit.status == "converged", limit.reason
    assert limit.value is not None
    record = follow(instance, 40.0)
    assert record.status == "followed"
    assert record.value == pytest.approx(limit.value, rel=1e-3)


def test_a_neuron_to_which_no_margin_answers_is_none() -> None:
    """At w = 0 with one weight to every class: the limit is that of the network without it."""
    *_, instance = draws(BY_NAME["3 classes, leaky 1/2, depth 2, cross entropy"], 3030, 64, integer=True)
    w, v = (
        np.array(row, dtype=float).reshape(shape) for row, shape in zip(instance.theta0, ((4, 2), (3, 4)), strict=True)
    )
    assert not w[0].any()
    assert len(set(v[:, 0].tolist())) == 1
    network = fully_connected("leaky_relu", (2, 3), outputs=3, negative_slope=Fraction(1, 2))
    rows = [w[1:].flatten().tolist(), v[:, 1:].flatten().tolist()]
    limits = drive([instance, Instance.of(network, "logistic", instance.x, instance.y, rows)])
    assert [limit.status for limit in limits] == ["converged"] * 2
    values = [limit.value for limit in limits]
    assert values[0] == pytest.approx(values[1], rel=1e-9)


def test_kinks_of_the_smallest_neurons_are_met() -> None:
    """At log-norm 465, where it is 1e-101 of the norm, a neuron comes to its kink; then it lasts."""
    *_, instance = draws(BY_NAME["leaky 2, depth 2"], 3030, 198, integer=False)
    (limit,) = drive([instance])
    assert limit.status == "converged", limit.reason
    assert [event["gate"] for event in limit.events if event["neuron"] == 3] == ["off", "sliding"]


def test_a_limit_by_exact_balance_is_held() -> None:
    """A neuron that only keeps its ray by ||w|| = |v|: unbalanced by a millionth it turns round, and is not small."""
    network = fully_connected("leaky_relu", (2, 3), negative_slope=Fraction(1, 10))
    x, y, v = ((1, -2), (1, 0), (2, -1), (-2, 4)), (-1, 1, 1, 1), (-2, 1, 2)
    w = (0, 2, 1, 0, 0, 2)
    (limit,) = drive([Instance.of(network, "exponential", x, y, (w, v))])
    assert limit.status == "converged", limit.reason
    assert limit.held
    assert limit.value is not None
    assert limit.value == pytest.approx(5.79136, rel=1e-5)
    near = Instance.of(network, "exponential", x, y, ((0, 2 + 2e-6, 1, 0, 0, 2), v))
    (other,) = drive([near])
    assert other.value is None or abs(other.value - limit.value) > 1.0


@pytest.mark.parametrize(("index", "separates"), [(194, True), (67, False)])
def test_a_neuron_beside_a_fixed_layer_comes_to_zero_in_finite_time(index: int, separates: bool) -> None:
    """It does not feed on itself: on the way to w = 0 steps need not become ever smaller."""
    *_, instance = draws(BY_NAME["leaky 0, last layer fixed"], 6060, index + 1, integer=False)
    (limit,) = drive([instance])
    record = follow(instance, 20.0)
    assert (limit.status, record.status) == (("converged", "followed") if separates else ("undecided", "not separated"))
    assert "underflow" not in limit.reason
    if separates:
        assert record.value == pytest.approx(limit.value, rel=1e-3)


def test_a_deeper_neuron_that_may_wake_is_not_asleep() -> None:
    """Off at the start, no weight out of it, and switched on by what it hears."""
    theta0 = ((-1, 2, -1, 1), (2, -1, -1, 1), (1, 0))
    instance = Instance.of(fully_connected("relu", (2, 2, 2)), "exponential", ((-1, 0), (0, 1)), (1, -1), theta0)
    (limit,) = drive([instance])
    assert limit.status == "converged"
    assert any((event["layer"], event["neuron"], event["gate"]) == (2, 2, "on") for event in limit.events)
    assert not limit.held


@pytest.mark.parametrize(("w", "held"), [((-1, 0, -1), True), ((-2, 0, -1), False)])
def test_a_neuron_asleep_on_a_kink_holds_the_limit(w: tuple[int, ...], held: bool) -> None:
    """w . x_1 = 0, v = 0, off on x_0: it stays so, but some starts beside it, with w . x_1 > 0, have another limit."""
    theta0 = ((-1, -1, 0, 0, 0, 1, *w), (1, 0, 0))
    instance = Instance.of(fully_connected("relu", (3, 3)), "logistic", ((2, -1, 1), (2, -1, -2)), (1, 1), theta0)
    (limit,) = drive([instance])
    assert limit.status == "converged"
    assert limit.held == held
    assert limit.value == pytest.approx(0.447, abs=1e-3)
