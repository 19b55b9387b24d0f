"""Whether a small neuron beside a limit dies: its own flow against small steps, and limits that rest on it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, cached_property

import numpy as np
import pytest
from scipy.optimize import linprog

from harness.flow import follow, run
from harness.flow.settling.decoupled import rate_of
from harness.flow.settling.fate import Fates
from harness.flow.settling.group_fate import EVEN, Beside, followed_rate, of_rates
from harness.flow.settling.polytope import ends_of_segment
from harness.problem.instances import Instance
from harness.problem.networks import diagonal, fully_connected
from tests.flow.test_reference import VALUES, case

ON, OFF, SLIDING = 1, 0, 2


# Slopes below zero, and how many neurons are drawn with each.
DRAWS = {0.0: 150, 0.1: 40, 0.5: 40, -1.0: 40, 2.0: 40}


@dataclass(frozen=True)
class Small:
    """A small neuron beside n <= 4 samples of weights mu, in d <= 3 dimensions, and the rate that is told of it."""

    x: np.ndarray
    mu: np.ndarray
    w: np.ndarray
    v: float
    below: float

    @cached_property
    def gates(self) -> np.ndarray:
        return (self.x @ self.w > 0.0).astype(np.int64)

    @cached_property
    def rate(self) -> float:
        return rate_of(self.x, self.mu, self.w, self.v, self.gates, self.below)

    @property
    def scale(self) -> float:
        """What the samples can pull; a neuron that dies stands still in the end, so rates are compared with it."""
        return float(np.abs(self.mu) @ np.linalg.norm(self.x, axis=1)) * max(abs(self.below), 1.0)


def drawn(below: float) -> list[Small]:
    rng = np.random.default_rng(20261128)
    out: list[Small] = []
    for _ in range(DRAWS[below]):
        n, d = int(rng.integers(1, 5)), int(rng.integers(1, 4))
        x, mu = rng.standard_normal((n, d)), rng.standard_normal(n)
        out.append(Small(x, mu, rng.standard_normal(d), float(rng.standard_normal()), below))
    return out


def stepped(neurons: Sequence[Small], clock: float) -> np.ndarray:
    """The rates at the end of small steps with the sign gate, which creep along kinks that attract from both sides.

    NaN where it is not steady yet.  All at once: a sample more at zero pulls at nothing.
    """
    x, mu, w = np.zeros((len(neurons), 4, 3)), np.zeros((len(neurons), 4)), np.zeros((len(neurons), 3))
    for b, one in enumerate(neurons):
        (n, d) = one.x.shape
        x[b, :n, :d], mu[b, :n], w[b, :d] = one.x, one.mu, one.w
    v, below = np.array([one.v for one in neurons]), np.array([[one.below] for one in neurons])
    step, steps = 2e-3 / np.array([one.scale for one in neurons]), round(clock / 2e-3)
    grown = np.zeros((steps + 1, len(neurons)))
    for k in range(steps):
        pre = (x @ w[:, :, None])[:, :, 0]
        push = mu * np.where(pre > 0.0, 1.0, below)
        pull = (push[:, None, :] @ x)[:, 0, :]
        w, v = w + (step * v)[:, None] * pull, v + step * (push * pre).sum(axis=1)
        size = np.sqrt((w * w).sum(axis=1) + v * v)
        w, v = w / size[:, None], v / size
        grown[k + 1] = grown[k] + np.log(size)
    last = (steps + 1) // 4
    late, later = (grown[-last] - grown[-2 * last]) / (step * last), (grown[-1] - grown[-last]) / (step * last)
    return np.where(np.abs(late - later) < 0.02 * np.abs(mu).max(axis=1), later, np.nan)


@cache
def rates_of_small_steps() -> dict[float, list[tuple[Small, float]]]:
    """Beside every neuron whose rate is known, by slope."""
    known = [one for below in DRAWS for one in drawn(below) if not math.isnan(one.rate)]
    beside = stepped(known, 40.0)
    # steady for a while, they may have left a balance late: they are followed further
    far = [k for k, one in enumerate(known) if abs(one.rate - beside[k]) > 0.02 * one.scale]
    beside[far] = stepped([known[k] for k in far], 200.0)
    pairs = list(zip(known, beside.tolist(), strict=True))
    return {below: [pair for pair in pairs if pair[0].below == below] for below in DRAWS}


@pytest.mark.parametrize("below", DRAWS)
def test_the_rate_of_a_small_neuron_is_that_of_small_steps(below: float) -> None:
    pairs, draws = rates_of_small_steps()[below], DRAWS[below]
    steady = [(one, beside) for one, beside in pairs if not math.isnan(beside)]
    for one, beside in steady:
        assert one.rate == pytest.approx(beside, abs=0.02 * one.scale), one
    starts = [float(np.linalg.norm((one.mu * np.where(one.gates, 1.0, below)) @ one.x)) for one, _ in pairs]
    crossed = sum(abs(one.rate - start) > 1e-9 for (one, _), start in zip(pairs, starts, strict=True))
    assert len(steady) >= 0.73 * draws
    assert crossed >= (0.2 if below < 1.0 else 0.1) * draws
    assert len(pairs) >= 0.9 * draws
    assert len(pairs) - len(steady) <= 0.17 * draws


@pytest.mark.parametrize(
    ("x", "mu", "w", "v", "gates", "below", "rate"),
    [
        # on, and pulled along: |mu x|
        ([[2.0]], [0.75], [1.0], 1.0, [ON], 0.0, 1.5),
        # off for ever: nothing moves
        ([[2.0]], [0.75], [-1.0], 1.0, [OFF], 0.0, 0.0),
        # balanced, and driven to w = 0, where it stops
        ([[1.0]], [1.0], [1.0], -1.0, [ON], 0.0, 0.0),
        # through w = 0 it meets the other sample, which pulls further
        ([[1.0], [-2.0]], [1.0, -3.0], [0.5], -1.0, [ON, OFF], 0.0, 6.0),
        # a kink that attracts: along it what is left of the pull
        ([[1.0, 0.0], [3.0, 2.0]], [-1.0, 0.25], [0.0, 1.0], 1.0, [SLIDING, ON], 0.0, 0.5),
        # off, and pulled along by the slope's share
        ([[2.0]], [-0.75], [-1.0], 1.0, [OFF], 0.5, 0.75),
        # balanced, off, and driven to w = 0, where it stops
        ([[1.0]], [1.0], [-1.0], 1.0, [OFF], 0.25, 0.0),
        # the absolute value: off is on with the other sign
        ([[2.0]], [0.75], [-1.0], 1.0, [OFF], -1.0, 1.5),
        # the kink attracts with a slope of 1/4, too: of x_1 what cancels the other's part, which is between
        ([[1.0, 0.0], [1.0, 2.0]], [-1.0, 0.5], [0.0, 1.0], 1.0, [SLIDING, ON], 0.25, 1.0),
    ],
)
def test_rates_by_hand(
    x: list[list[float]], mu: list[float], w: list[float], v: float, gates: list[int], below: float, rate: float
) -> None:
    found = rate_of(np.array(x), np.array(mu), np.array(w), v, np.array(gates), below)
    assert found == pytest.approx(rate, abs=1e-12)


def test_a_slide_on_which_the_outgoing_weight_passes_zero_has_no_one_rate() -> None:
    """There three solutions depart."""
    x, mu = np.array([[1.0, 0.0], [-3.0, 2.0]]), np.array([-1.0, -0.25])
    assert math.isnan(rate_of(x, mu, np.array([0.0, 3.0]), 1.0, np.array([SLIDING, ON]), 0.0))


def test_where_all_kinks_meet_no_rate_is_known() -> None:
    """w slides along one kink into the origin, while v is left."""
    x, mu = np.array([[1.0, 0.0], [-3.0, 2.0]]), np.array([1.0, 0.25])
    assert math.isnan(rate_of(x, mu, np.array([0.0, 1.0]), -2.0, np.array([SLIDING, ON]), 0.0))


def test_the_rate_of_a_deeper_neuron_is_that_of_small_steps() -> None:
    """w' = A^T v, v' = A w, A of the samples that are on; where they stay on it is the largest singular value."""
    rng = np.random.default_rng(3)
    compared = 0
    for _ in range(12):
        h, matrices = rng.standard_normal((3, 2)), rng.standard_normal((3, 2, 2))
        start = rng.standard_normal(4)
        found = followed_rate(h, matrices, start[:2], start[2:], 0.0)
        if math.isnan(found):
            continue
        state, step, grown = start / np.linalg.norm(start), 2e-2 / np.abs(matrices).sum(), 0.0
        steps = round(40.0 / step)
        for now in range(steps):
            a = matrices[h @ state[:2] > 0.0].sum(axis=0)
            state = state + step * np.append(a.T @ state[2:], a @ state[:2])
            size = math.sqrt(state @ state)
            grown += math.log(size) if now >= steps // 2 else 0.0
            state = state / size
        assert grown / (step * (steps - steps // 2)) == pytest.approx(found, rel=0.02, abs=0.02)
        if (h @ state[:2] > 0.0).all():
            assert found == pytest.approx(np.linalg.norm(matrices.sum(axis=0), 2), rel=1e-6)
        compared += 1
    assert compared >= 6


def test_a_rate_of_one_is_neither() -> None:
    assert of_rates([0.5, 1.0 - 2.0 * EVEN]) == "dies"
    assert of_rates([1.5, 1.0 + 2.0 * EVEN]) == "wakes"
    assert of_rates([0.5, 1.0]) == of_rates([0.5, 1.5]) == of_rates([float("nan")]) == "unknown"


def test_a_neuron_that_wakes_late_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    instance = case("late-kink-1")
    assert follow(instance).value == pytest.approx(VALUES["late-kink-1"], rel=1e-9)
    # without the question what becomes of it, it is taken for dead
    monkeypatch.setattr(run, "fate", lambda *_: Fates("dies"))
    assert follow(instance).value == pytest.approx(2.0)


@pytest.mark.parametrize("power", range(1, 13))
@pytest.mark.parametrize("late", [Fraction(1, 10), Fraction(1, 3)])
def test_neurons_of_every_size_wake(power: int, late: Fraction) -> None:
    """The second neuron falls to its kink first, wakes on the other sample, and is three times as good there."""
    small = Fraction(1, 10**power)
    limit = follow(
        Instance.of(
            diagonal("relu", 3, 2), "exponential", ((1, late, 0), (0, -3, 1)), (1, -1),
            ((1, small * 9 / 10, 1), (1, -small, -1)),
        )
    )  # fmt: skip
    assert limit.status == "converged", limit.reason
    assert limit.value == pytest.approx(4 / 3, rel=1e-9)


def test_a_small_path_of_three_weights_dies_when_it_is_small_enough() -> None:
    """The path grows by the square of its size: beside the limit (1, 0) it dies, by x it would have won if larger."""
    network = diagonal("linear", 2, 3)
    for start, value in ((Fraction(1, 10**6), 1.5), (Fraction(1, 10), 1.5 * 1e-2 ** (2 / 3))):
        theta0 = ((1, start),) * 3
        limit = follow(Instance.of(network, "exponential", ((1, 100),), (1,), theta0))
        assert limit.status == "converged", limit.reason
        assert limit.value == pytest.approx(value, rel=1e-9)


def test_a_small_unit_that_two_others_hear_wakes() -> None:
    """Its weights occur twice, which doubles its pull."""
    limit = follow(case("small-shared-unit"))
    assert limit.status == "converged", limit.reason
    assert limit.value == pytest.approx(1.2721389132732, rel=1e-9)


def test_a_small_neuron_that_hears_no_active_sample_dies() -> None:
    assert follow(case("deaf-neuron")).value == pytest.approx(2.0, rel=1e-9)


def test_a_small_pair_of_weights_in_a_linear_network_keeps_its_sign() -> None:
    """u and -v stay on the side of u + v, from 1e-10 of the norm on."""
    x = ((0, 2), (-1, -3), (2, -1), (-1, -1))
    small = Fraction(1, 10**10)
    theta0 = ((Fraction(-22, 5), -36 * small / 10), (Fraction(28, 5), 4 * small))
    limit = follow(Instance.of(diagonal("linear", 2, 2), "exponential", x, (-1, 1, -1, 1), theta0))
    assert limit.value == pytest.approx(1.25, rel=1e-9)
    assert limit.theta is not None
    assert limit.theta[1][1] == pytest.approx(math.sqrt(0.5), rel=1e-9)


def test_an_input_that_falls_back_against_the_norm_is_waited_for() -> None:
    """An input of the third layer shrinks to nothing beyond its kink: a sum of two small weights that grows decides."""
    w = (0, 2, 1, 2, 0, 1)
    x = ((-3, Fraction(1, 3), 0), (Fraction(1, 3), -3, 0), (Fraction(1, 3), 3, 3), (3, Fraction(1, 3), 3))
    network = fully_connected("relu", (3, 2, 2, 2))
    theta0 = (w, (1, 3, 3, 1), (2, -1, -1, 2), (1, 1))
    limit = follow(Instance.of(network, "exponential", x, (1, 1, 1, 1), theta0))
    assert limit.status == "undecided", limit.value
    assert limit.reason.startswith("An input of a neuron is still on its way to zero")


def test_what_turns_an_input_is_the_flow_along_its_slides() -> None:
    """One input slides, another is zero in the limit as well: without the slide the kinks would seem to come nearer."""
    x, y = ((2, 2, 1), (2, -2, 0), (0, 3, 1), (1, 1, 2)), (2, 2, 0, 0)
    theta0 = ((0, -3, -1, 0, -1, 1, 0, -2, -3, 0, 1, -1), (0, -2, 1, 1, -1, 0, 2, -1, 1, -1, -2, 2))
    network = fully_connected("leaky_relu", (3, 4), outputs=3, negative_slope=Fraction(1, 2))
    limit = follow(Instance.of(network, "exponential", x, y, theta0))
    assert limit.value == pytest.approx(1.5755404417877, rel=1e-9)


def test_what_dies_beside_a_limit_of_three_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second neuron in either layer, small and against the label: it is asked about, and dies."""
    asked: list[str] = []
    fate = Beside.fate
    monkeypatch.setattr(Beside, "fate", lambda *given: asked.append(fate(*given)) or asked[-1])
    network = fully_connected("relu", (1, 2, 2))
    small = Fraction(1, 1000)
    limit = follow(
        Instance.of(network, "exponential", ((1,),), (1,), ((1, small), (1, -small, -small, -small), (1, -small)))
    )
    assert limit.status == "converged", limit.reason
    assert limit.value == pytest.approx(1.5, rel=1e-9)
    assert "dies" in asked


def test_the_ends_of_a_segment_of_multipliers_are_those_of_the_linear_programme() -> None:
    """Where a multiplier or a kink that does not change along it lies on its bound, rounding must not cut it."""
    rng = np.random.default_rng(12)
    compared = 0
    for _ in range(300):
        first, second, third = rng.standard_normal((3, 5)) * 10.0 ** rng.integers(-2, 3, (3, 1))
        columns = np.array([first, second, first + second, third, rng.standard_normal(5)])
        below = np.array([[0.0, 0.0, 0.0, -1.0, 1.0]])  # the last is a kink of the fourth
        weights = np.array([*rng.integers(0, 3, 3), 1.0, float(rng.integers(0, 2))])
        limit = weights @ columns
        found = ends_of_segment(columns, below, limit)
        if found is None:
            continue
        compared += 1
        for k in range(4):
            ends = [linprog(sign * np.eye(5)[k], below, [0.0], columns.T, limit).fun * sign for sign in (1.0, -1.0)]
            own = sorted(end[k] for end in found)
            np.testing.assert_allclose(own, sorted(ends), atol=1e-6 * (1.0 + max(map(abs, ends))))
    assert compared > 200
