"""Starts on kinks: which way the flow leaves, and whether it has a choice (docs/statements.md, section 2).

For a neuron (w, v) with w . x_0 = 0: a is the speed of w . x_0 on the off side, b = a + p_0 y_0 v |x_0|^2 on the
on side.
Both > 0: on.  Both <= 0: off.  a > 0 >= b: slide.  a <= 0 < b: more than one solution.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from scipy.optimize import lsq_linear, nnls

from benchmarks.families import draw
from harness.flow import follow
from harness.flow.kinks import departure
from harness.problem.instances import Instance
from harness.problem.limits import Limit
from harness.problem.networks import convolutional, fully_connected
from tests.flow.test_paths import compare_with_euler, starts_on_a_kink
from tests.support.draws import first

TWO_VELOCITIES = "The flow is not unique: it can leave a kink with two velocities."
# One in twenty-five starts on a kink, is held by no invariance and converges.
DRAWS = 2000


def start(x: Sequence[Sequence[float]], y: Sequence[int], w: Sequence[Sequence[float]], v: Sequence[float]) -> Instance:
    """A fully connected relu network of depth 2: w one row a neuron, v one number a neuron."""
    network = fully_connected("relu", (len(x[0]), len(w)))
    theta0 = (tuple(a for row in w for a in row), tuple(v))
    return Instance.of(network, "exponential", tuple(map(tuple, x)), tuple(y), theta0)


def input_along_the_path(limit: Limit, sample: int, neuron: int) -> np.ndarray:
    """w_j . x_i / norm on the recorded path up to the first later event, (T,)."""
    assert limit.path is not None
    d = limit.instance.d
    end = limit.events[0]["log_norm"] if limit.events else np.inf
    w = limit.path["direction"][limit.path["log_norm"] < end][:, neuron * d : (neuron + 1) * d]
    return w @ limit.instance.x_float[sample]


# One neuron on the kink of sample 0, and one more that can fit sample 0 where the first cannot.
ON = start([(1, 0), (1, 1)], [1, 1], [(0, 1)], [1])
OFF = start([(1, 0), (-1, 1)], [-1, 1], [(0, 1), (1, -1)], [1, -1])
SLIDE = start([(1, 0), (1, 1)], [-1, 1], [(0, 1), (0.25, -0.25)], [1, -0.25])
# Two kinks of one neuron at once, normals at an angle: slide on both.
JOINT = start(
    [(1, 0, 0), (1, 2, 0), (1, 1, 1)], [-1, -1, 1], [(0, 0, 1), (0.25, 0.25, -0.5)], [1, -0.25]
)  # fmt: skip
SIGN = {"on": 1, "off": -1, "slide": 0}


@pytest.mark.parametrize(("instance", "side"), [(ON, "on"), (OFF, "off"), (SLIDE, "slide")], ids=SIGN)
def test_one_kink_with_one_solution(instance: Instance, side: str) -> None:
    limit = follow(instance, record=True)
    assert limit.status == "converged", limit.reason
    inputs = input_along_the_path(limit, 0, 0)
    assert len(inputs) > 5
    assert inputs[0] == 0.0
    if side == "slide":
        assert np.abs(inputs).max() < 1e-12
    else:
        assert (np.sign(inputs[1:]) == SIGN[side]).all()
    compare_with_euler(instance, limit)


def test_two_kinks_at_once_with_one_solution() -> None:
    limit = follow(JOINT, record=True)
    assert limit.path is not None, limit.reason
    assert np.abs(input_along_the_path(limit, 0, 0)).max() < 1e-12
    assert np.abs(input_along_the_path(limit, 1, 0)).max() < 1e-12
    compare_with_euler(JOINT, limit)


NOT_UNIQUE_STARTS = {
    "a < 0 < b": start([(1, 0), (-1, 1)], [1, 1], [(0, 1)], [1]),
    "a = 0 < b": start([(1, 0), (0, 1)], [1, 1], [(0, 1)], [1]),
    "two neurons": start([(1, 0), (-1, 1)], [1, 1], [(0, 1), (0, 2)], [1, 2]),
    "two kinks of one neuron": start([(1, 0, 0), (0, 1, 0), (-1, -1, 1)], [1, 1, 1], [(0, 0, 2)], [1]),
    "w = 0": start([(1, 0), (0, 1)], [1, 1], [(0, 0), (1, 1)], [1, 1]),
    "v = 0": start([(1, -1), (0, 2)], [1, 1], [(1, 0), (0, 1)], [0, 0.25]),
    "parallel inputs": start([(1, 0), (2, 0), (-1, 1)], [1, 1, 1], [(0, 1)], [1]),
    "antiparallel inputs": start([(1,), (-1,)], [1, 1], [(0,), (1,), (-1,)], [1, 1, 1]),
}


@pytest.mark.parametrize("instance", NOT_UNIQUE_STARTS.values(), ids=NOT_UNIQUE_STARTS)
def test_starts_with_more_than_one_solution(instance: Instance) -> None:
    limit = follow(instance)
    assert (limit.status, limit.reason) == ("undecided", TWO_VELOCITIES)


def test_an_outgoing_weight_that_crosses_zero_while_its_neuron_slides() -> None:
    """v_1 = -1/2 grows towards 0 on a kink that attracts while v_1 < 0 and repels once v_1 > 0."""
    instance = start([(1, 0), (-1, 4)], [1, 1], [(0, 1), (-1, 1)], [-0.5, 1])
    limit = follow(instance)
    ended = "The flow is not unique: a slide ends where the two sides of its kink have become alike."
    assert (limit.status, limit.reason) == ("undecided", ended)
    # with the sign of v_1 kept, |v_1| >= |w_1|, the slide goes on for ever
    kept = dataclasses.replace(instance, theta0=(instance.theta0[0], (-1, 1)))
    assert "not unique" not in follow(kept).reason


def test_an_outgoing_weight_of_zero_with_one_solution() -> None:
    """v = 0 grows at once; the incoming weights then leave the kink of sample 1 to its on side."""
    instance = start([(1, 1), (0, 1)], [1, 1], [(1, 0)], [0])
    limit = follow(instance, record=True)
    assert limit.status == "converged", limit.reason
    assert (input_along_the_path(limit, 1, 0)[2:] > 0.0).all()
    compare_with_euler(instance, limit)


def test_both_sides_of_zero_push_the_same_way() -> None:
    """x = (1), (-1), y = +1, -1, w = 0, v = 1 beside a neuron that fits the second point: the flow moves at once."""
    instance = start([(1,), (-1,)], [1, -1], [(0,), (-1,)], [1, -1])
    limit = follow(instance, record=True)
    assert limit.status == "converged", limit.reason
    assert (input_along_the_path(limit, 0, 0)[1:] > 0.0).all()
    assert limit.theta is not None
    np.testing.assert_allclose(np.concatenate(limit.theta), [1, -1, 1, -1], rtol=1e-9)
    compare_with_euler(instance, limit)


def test_a_dead_neuron_on_a_kink_stays() -> None:
    """v = 0 and no input is positive: zero speed is the only solution."""
    instance = start([(1, 0), (0, 1)], [1, 1], [(1, 1), (0, -1)], [1, 0])
    limit = follow(instance, record=True)
    assert limit.status == "converged", limit.reason
    assert limit.theta is not None
    assert (limit.theta[0][2:] == 0.0).all()
    assert limit.theta[1][1] == 0.0
    assert limit.path is not None
    theta = limit.path["direction"] * np.exp(limit.path["log_norm"])[:, None]
    np.testing.assert_allclose(theta[:, [2, 3, 5]], np.tile([0.0, -1.0, 0.0], (len(theta), 1)), rtol=1e-12)


def test_patches_of_opposite_sign_may_have_no_kink() -> None:
    """One filter, patches p and -p, v = (1, -1): relu(w.p) - relu(-w.p) = w.p is smooth at w.p = 0."""
    network = convolutional("relu", 4, 2, stride=2)
    instance = Instance.of(network, "exponential", ((1, 0, -1, 0), (0, 1, 0, -1)), (1, 1), ((0, 1), (1, -1)))
    limit = follow(instance, record=True)
    assert limit.status == "converged", limit.reason
    compare_with_euler(instance, limit)


@pytest.mark.parametrize("family", ["fully connected relu, depth 2", "convolutional relu, depth 2"])
def test_small_changes_of_a_decided_start_on_a_kink_do_not_change_the_limit(family: str) -> None:
    rng = np.random.default_rng([71, len(family)])
    drawn = (draw(rng, family, "integer", largest=2) for _ in range(DRAWS))
    limits = (follow(start) for start in drawn if starts_on_a_kink(start) and not _held_by_an_invariance(start))
    for limit in first(10, (limit for limit in limits if limit.status == "converged")):
        instance = limit.instance
        assert limit.point is not None
        for _ in range(6):
            moved = follow(_moved(instance, rng, 1e-7))
            assert moved.status == "converged", f"{moved.reason}\n{instance.to_json()}"
            assert moved.point is not None
            np.testing.assert_allclose(moved.point.margins, limit.point.margins, atol=1e-3, err_msg=instance.to_json())


def _held_by_an_invariance(instance: Instance) -> bool:
    """A neuron that is balanced or has v = 0: a small change can wake it, or let v change its sign, much later."""
    w, v = instance.theta0
    pattern, outgoing = instance.network.patterns
    norms = [sum(w[k] ** 2 for k in row if k >= 0) for row in pattern]
    return any(v[k] ** 2 in (0, norm) for norm, k in zip(norms, outgoing[0], strict=True))


def _moved(instance: Instance, rng: np.random.Generator, size: float) -> Instance:
    theta0 = np.concatenate(instance.theta0_float)
    change = rng.standard_normal(len(theta0))
    theta0 = theta0 + size * np.linalg.norm(theta0) * change / np.linalg.norm(change)
    parts = instance.network.split(theta0)
    return dataclasses.replace(instance, theta0=tuple(tuple(map(float, part)) for part in parts))


@pytest.mark.parametrize("seed", range(30))
def test_lines_in_one_plane_are_resolved_by_their_sectors(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against all 3^L sign vectors, for three to five lines that span a plane."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(3, 6))
    normals = rng.standard_normal((count, 2)) @ rng.standard_normal((2, 5))
    base = rng.standard_normal(5) * rng.integers(0, 2)
    plus, minus = rng.standard_normal(count) * rng.integers(0, 2, count), rng.standard_normal(count)
    found = departure.depart(normals, base, np.abs(base), plus, minus)
    monkeypatch.setattr(departure, "_faces", lambda _: list(map(np.array, product((-1, 1, 0), repeat=count))))
    may_stay = _distance_from_zero(_velocities_beside(normals, base, plus, minus)[1]) < 1e-9
    monkeypatch.setattr(departure, "_may_stay", lambda sides, **_: any(sides) or may_stay)
    assert found == departure.depart(normals, base, np.abs(base), plus, minus)


def _velocities_beside(
    normals: np.ndarray, base: np.ndarray, plus: np.ndarray, minus: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The rays of lines in a plane in order, (2 L, 2), and the velocity of the sector that begins at each, (2 L, 2)."""
    plane = np.linalg.svd(normals, full_matrices=False)[2][:2]
    normals, base = normals @ plane.T, plane @ base
    angles = np.sort(
        np.concatenate([np.arctan2(normals[:, 0], -normals[:, 1]) + turn for turn in (0.0, np.pi)]) % (2 * np.pi)
    )
    middles = 0.5 * (angles + np.append(angles[1:], angles[0] + 2 * np.pi))
    sides = normals @ np.array([np.cos(middles), np.sin(middles)])
    speeds = base + np.where(sides.T > 0.0, plus, -minus) @ normals
    return np.column_stack([np.cos(angles), np.sin(angles)]), speeds


def _distance_from_zero(speeds: np.ndarray) -> float:
    """Of the hull of velocities (c, k), by nonnegative least squares."""
    rows = np.vstack([speeds.T, 1e3 * np.ones(len(speeds))])
    return float(nnls(rows, np.append(np.zeros(speeds.shape[1]), 1e3))[1])


def _departures(rays: np.ndarray, speeds: np.ndarray) -> int:
    """How many leave the point: into the sector of their velocity, or along a ray, held there from both sides."""
    before, after = np.roll(speeds, 1, axis=0), np.roll(rays, -1, axis=0)
    one, other = _turn(rays, speeds), _turn(rays, before)
    inside = (one > 0.0) & (_turn(speeds, after) > 0.0)
    share = (other / (other - one))[:, None]
    along = ((share * speeds + (1.0 - share) * before) * rays).sum(axis=1)
    return int(inside.sum() + ((one * other < 0.0) & (along > 0.0)).sum())


def _turn(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]


def test_coefficients_that_no_sectors_have_hold_nothing() -> None:
    """Three lines through one point: some coefficients between 0 and 1 stop the flow, but no mean of its velocities."""
    held = 0
    for seed in range(600):
        rng = np.random.default_rng([9, seed])
        normals, base, plus = rng.standard_normal((3, 2)), rng.standard_normal(2), 2.0 * rng.standard_normal(3)
        shares = lsq_linear((plus[:, None] * normals).T, -base, bounds=(0.0, 1.0), method="bvls")
        rays, speeds = _velocities_beside(normals, base, plus, np.zeros(3))
        if shares.cost < 1e-20 and _distance_from_zero(speeds) > 1e-3:
            held += 1
            found = departure.depart(normals, base, np.abs(base), plus, np.zeros(3))
            assert found.status == ("unique" if _departures(rays, speeds) == 1 else "not unique")
    assert held > 5


@pytest.mark.parametrize("slow", [1e-6, 1e-8, 5e-10, 1e-12])
def test_two_ways_at_speeds_far_below_a_jump_that_neither_makes(slow: float) -> None:
    found = departure.depart(
        np.array([[1.0, 0.0], [-1.0, 1.0]]), np.zeros(2), np.zeros(2), np.array([-1.0, slow]), np.zeros(2)
    )
    assert found.status == "not unique"


@pytest.mark.parametrize("v", [2, 4, 5, 6])
def test_the_same_of_a_flow_whose_margins_differ_by_thirty(v: int) -> None:
    """Neuron 0 is zero, and x_1, of a weight of exp(-5 v) of that of x_0, may wake it."""
    limit = follow(start([(1, 0), (-1, 1)], [-1, 1], [(0, 0), (0, 5), (1, 0)], [1, v, -1]))
    assert limit.reason == TWO_VELOCITIES


# Neuron 0 is zero, on four or five planes of its three weights, of which some repel.
SPACE = [
    (start([(1, 0, -1), (-1, -1, -2), (-2, -1, 1), (1, 2, 2)], [1, -1, -1, -1],
           [(0, 0, 0), (0, 2, 1), (1, -2, -1), (2, -1, 1)], [1, 0, 0, 0]), 1.6130),
    (start([(-2, 2, 2), (0, 0, 1), (-1, -1, -1), (0, -2, 0), (2, -1, -2)], [-1, -1, 1, 1, 1],
           [(0, 0, 0), (-2, -1, -2), (2, 2, -2), (-2, -1, 2)], [1, 0, 0, 0]), 1.6374),
    (start([(-1, -2, -2), (2, 2, 0), (0, 2, -2), (-1, -2, 2), (2, 0, -2)], [1, -1, -1, 1, -1],
           [(0, 0, 0), (0, -1, 2), (2, 0, -2), (1, 0, 2)], [1, 0, 0, 0]), 0.8802),
]  # fmt: skip


@pytest.mark.parametrize(("instance", "value"), SPACE)
def test_in_space_no_mean_of_the_velocities_is_zero(instance: Instance, value: float) -> None:
    """Coefficients between 0 and 1 stop the flow at the start, but are of no sides that a direction has: it leaves."""
    limit = follow(instance)
    assert limit.value == pytest.approx(value, abs=1e-4)
    moved = follow(_moved(instance, np.random.default_rng(0), 1e-6))
    assert moved.point is not None
    assert limit.point is not None
    np.testing.assert_allclose(moved.point.margins, limit.point.margins, atol=1e-3)


def _signs_of_directions(normals: np.ndarray) -> np.ndarray:
    """The sides (c, L) that lines have of directions drawn at random."""
    directions = np.random.default_rng(0).standard_normal((40000, normals.shape[1]))
    return np.unique(np.sign(directions @ normals.T), axis=0).astype(int)


def test_the_parts_into_which_lines_cut_the_space() -> None:
    for seed in range(12):
        rng = np.random.default_rng([10, seed])
        normals = rng.integers(-2, 3, (int(rng.integers(4, 7)), 3)).astype(float)
        normals = np.unique(normals[normals.any(axis=1)], axis=0)
        if np.linalg.matrix_rank(normals) == 3:
            found = departure.sectors(normals)
            assert len(found) == len(np.unique(found, axis=0))
            # a line that occurs twice has one side
            assert np.array_equal(np.unique(found, axis=0), _signs_of_directions(normals))


def test_lines_in_space_are_resolved_by_the_parts_beside_them() -> None:
    """Four random lines: a velocity leaves by a face if it is a mean of those beside the face, and points into it."""
    seen: Counter[tuple[bool, str]] = Counter()
    for seed in range(120):
        rng = np.random.default_rng([11, seed])
        normals, base = rng.standard_normal((4, 3)), rng.standard_normal(3) * rng.integers(0, 2)
        plus, minus = 2.0 * rng.standard_normal(4), rng.standard_normal(4) * rng.integers(0, 2, 4)
        sides = _signs_of_directions(normals)
        speeds = base + np.where(sides > 0, plus, -minus) @ normals
        stays = _distance_from_zero(speeds)
        if 1e-9 < stays < 1e-3:
            continue
        ways = [face for face in product((-1, 1, 0), repeat=4) if _leaves(np.array(face), normals, sides, speeds)]
        found = departure.depart(normals, base, np.abs(base), plus, minus)
        assert found.status == ("unique" if len(ways) + (stays <= 1e-9) == 1 else "not unique")
        assert found.sides == ((ways[0] if ways else (0, 0, 0, 0)) if found.status == "unique" else ())
        seen[stays <= 1e-9, found.status] += 1
    assert min(seen[case] for case in ((True, "unique"), (True, "not unique"), (False, "unique"))) > 5


def _leaves(face: np.ndarray, normals: np.ndarray, sides: np.ndarray, speeds: np.ndarray) -> bool:
    """Whether a velocity other than zero leaves by a face: on two lines at most, which in space are independent."""
    on, beside = face == 0, (sides == face)[:, face != 0].all(axis=1)
    if on.sum() > 2 or not beside.any():
        return False
    shares, off = nnls(
        np.vstack([normals[on] @ speeds[beside].T, np.ones(beside.sum())]), np.append(np.zeros(on.sum()), 1.0)
    )
    velocity = shares @ speeds[beside]
    return off < 1e-9 and bool((face * (normals @ velocity) > 1e-9)[~on].all())


def test_lines_of_a_plane_are_resolved_alike_where_another_crosses_it() -> None:
    """The fourth adds nothing and is left at once: only the three of the plane depend on each other."""
    told = 0
    for seed in range(200):
        rng = np.random.default_rng([9, seed])
        normals, base, plus = rng.standard_normal((3, 2)), rng.standard_normal(2), 2.0 * rng.standard_normal(3)
        plane = departure.depart(normals, base, np.abs(base), plus, np.zeros(3))
        lines = np.block([[normals, np.zeros((3, 1))], [np.array([[0.0, 0.0, 1.0]])]])
        up = np.append(base, 1.0)
        found = departure.depart(lines, up, np.abs(up), np.append(plus, 0.0), np.zeros(4))
        assert found.status == plane.status
        assert found.sides == ((*plane.sides, 1) if plane.sides else ())
        told += plane.status == "unique"
    assert told > 100


@pytest.mark.parametrize("seed", range(30))
def test_lines_that_attract_are_settled_as_all_faces_say(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against all 3^L sign vectors, for three to six independent lines, of which some repel."""
    rng = np.random.default_rng([7, seed])
    count = int(rng.integers(3, 7))
    normals, base = rng.standard_normal((count, 8)), rng.standard_normal(8)
    minus = rng.standard_normal(count)
    plus = -minus + np.abs(rng.standard_normal(count)) * rng.choice([-1.0, -1.0, -1.0, 0.1], count)
    found = departure.depart(normals, base, np.abs(base), plus, minus)
    monkeypatch.setattr(departure, "_independent", lambda gram: False)
    assert found == departure.depart(normals, base, np.abs(base), plus, minus)


@pytest.mark.parametrize("seed", range(10))
def test_more_lines_than_have_faces_that_can_be_tried(seed: int) -> None:
    """Twelve lines that attract: the velocity is the shortest that coefficients give, by bounded least squares."""
    rng = np.random.default_rng([8, seed])
    normals, base, width = rng.standard_normal((12, 20)), rng.standard_normal(20), np.abs(rng.standard_normal(12))
    found = departure.depart(normals, base, np.abs(base), np.zeros(12), -width)
    omega = lsq_linear(normals.T, -base, bounds=(0.0, width), method="bvls").x
    slope = normals @ (base + omega @ normals)
    assert found.status == "unique"
    assert list(found.sides) == np.where((omega > 1e-9) & (omega < width - 1e-9), 0, np.sign(slope)).tolist()
    repelling = departure.depart(normals, base, np.abs(base), np.ones(12), np.zeros(12))
    assert repelling.status == "crowded"


def test_a_filter_that_reaches_zero_switches_all_its_patches() -> None:
    """Ten lines through one point: more than can be listed as sign vectors, but all in one plane."""
    angles = np.linspace(0.1, 3.0, 10)
    normals = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    base = np.array([-10.0, 1.0])
    found = departure.depart(normals, base, np.abs(base), np.full(10, 0.01), np.full(10, 0.01))
    assert found.status == "unique"
    assert list(found.sides) == np.sign(normals @ base).tolist()
    assert departure.depart(normals, np.zeros(2), np.zeros(2), np.ones(10), np.zeros(10)).status == "not unique"


def test_a_neuron_below_a_weight_that_only_starts_at_zero_is_not_dead() -> None:
    """Depth 3: v is zero at first and grows, and then the neurons with w = 0 may be on or off."""
    theta0 = tuple(tuple(map(Fraction, layer)) for layer in ((0, 0, 1), (0, 1, 1), (0,)))
    limit = follow(Instance.of(fully_connected("relu", (1, 3, 1)), "exponential", ((Fraction(1),),), (1,), theta0))
    assert limit.status == "undecided"
    assert "not unique" in limit.reason


def test_a_neuron_that_is_on_elsewhere_is_not_proven_dead() -> None:
    """v = 0 and v' = 0, but only because the pushes of two samples cancel at the start."""
    limit = follow(start([(1, 0), (2, 1), (1, 1)], [1, 1, -1], [(0, 1), (1, -3)], [0, 1]))
    assert limit.status == "undecided"
    assert limit.reason.startswith("A kink is degenerate: nothing answers to its neuron")
