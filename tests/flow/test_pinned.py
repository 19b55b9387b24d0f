"""A neuron at w = 0, on the kinks of all points, of which some push it back and others away."""

from __future__ import annotations

import re
from fractions import Fraction
from itertools import product
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from scipy.optimize import nnls

from benchmarks.wide import draw as wide
from harness import drive
from harness.flow.compiled.field import look
from harness.flow.compiled.kernel import wiring
from harness.flow.follow import follow
from harness.flow.kinks import pinned
from harness.flow.kinks.departure import gather
from harness.flow.kinks.gates import Gates
from harness.flow.kinks.pinned import Pull, Pulls, can_be_pinned, pull
from harness.flow.run import STANDS_STILL
from harness.flow.undecided import GRAZES, HELD, PINNED, Undecided
from harness.problem.instances import Instance
from harness.problem.networks import fully_connected
from tests.support.integrations import margins_and_gradients

H = Fraction(1, 2)
# A point of label 1 in the midst of points of label -1, and one of these opposite to it.
AMONG: Any = ((1, 0), (1, 1), (1, -1), (-2, 1))
LABELS = (1, -1, -1, -1)
# What separates them: a neuron for the first, and one for each of the others.
OTHERS: Any = ((H, 0), (-H, 3 * H), (-H, -3 * H), (-2 * H, H))
OUT: Any = (H, -H, -H, -H)


def among(neurons: tuple[Any, ...], out: tuple[Any, ...]) -> Instance:
    network = fully_connected("relu", (2, len(neurons)))
    return Instance.of(network, "exponential", AMONG, LABELS, (tuple(v for row in neurons for v in row), out))


def test_the_pull_is_the_greatest_of_all_directions() -> None:
    signs = set[tuple[bool, bool]]()
    for seed, slope in product(range(60), ("0", "1/10", "2", "-1")):
        rng = np.random.default_rng([3, seed])
        n = int(rng.integers(3, 9))
        network = fully_connected("leaky_relu", (2, 2), negative_slope=Fraction(slope))
        x, y = rng.standard_normal((n, 2)), rng.choice([-1, 1], n)
        if seed % 2:
            # several on one line
            x = x[rng.integers(3, size=n)] * rng.integers(1, 4, (n, 1)) * rng.choice([-1, 1], (n, 1))
        weights = (0.0, 0.0, *rng.standard_normal(2)), tuple(rng.standard_normal(2).tolist())
        instance = Instance.of(network, "exponential", x.tolist(), y.tolist(), weights)
        gates = Gates(instance, wiring(network))
        gates.start()
        theta = network.flat(instance.theta0_float)
        found = pull(gates, theta, gates.first.start)
        drive_of = look(gates.cell, theta).p * y * weights[1][0]
        angles = np.linspace(0.0, 2.0 * np.pi, 20000)
        ways = np.column_stack([np.cos(angles), np.sin(angles)])
        inputs = ways @ x.T
        terms = np.abs(drive_of) @ np.linalg.norm(x, axis=1)
        greatest = (np.maximum(inputs, 0.0) + float(Fraction(slope)) * np.minimum(inputs, 0.0)) @ drive_of / terms
        # on unit vectors G, relative to its terms, changes by less than they do
        dead = slope == "0" and bool((inputs <= 1e-3 * np.linalg.norm(x, axis=1)).all(axis=1).any())
        most = max(found.greatest, 0.0) if dead else found.greatest
        assert 0.0 <= most - greatest.max() + 1e-12 <= np.pi / len(angles) * 2.0
        speeds = (np.where(inputs > 0.0, 1.0, float(Fraction(slope))) * drive_of) @ x / terms
        distance = nnls(np.vstack([speeds.T, 1e3 * np.ones(len(speeds))]), np.array([0.0, 0.0, 1e3]))[1]
        assert found.mean == (distance < 1e-9)
        signs.add((found.greatest > 0.0, found.mean))
    # where all lead back zero is a mean
    assert signs == {(True, True), (True, False), (False, True)}


def test_points_of_one_line_have_one_kink() -> None:
    """To rounding: between two copies of it zero would seem to be a mean."""
    x: Any = ((2, 4), (-2, -4), (-3, -12), (6, 1), (6, 6), (-18, -18), (-12, -2))
    start: Any = ((0,) * 4, (1, 1))
    instance = Instance.of(fully_connected("relu", (2, 2)), "exponential", x, (-1, 1, -1, -1, 1, 1, 1), start)
    gates = Gates(instance, wiring(instance.network))
    gates.start()
    assert not pull(gates, instance.network.flat(instance.theta0_float), gates.first.start).mean


def test_where_it_is_off_on_all_points_nothing_pulls() -> None:
    """Without the last point: there G is 0, and elsewhere it leads back."""
    instance = Instance.of(fully_connected("relu", (2, 1)), "exponential", AMONG[:3], LABELS[:3], ((0, 0), (1,)))
    gates = Gates(instance, wiring(instance.network))
    gates.start()
    assert pull(gates, instance.network.flat(instance.theta0_float), gates.first.start).greatest < -0.1


def test_only_what_is_on_all_kinks_is_pinned() -> None:
    instance = among(((0, 0),), (1,))
    gates = Gates(instance, wiring(instance.network))
    lines = gather(gates.start(), gates.normals.line)
    assert len(lines) == 4
    assert can_be_pinned(gates, lines)
    assert not can_be_pinned(gates, lines[1:])


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        # by how much it is pulled at every look, and whether zero is a mean
        ([(-0.1, True), (-0.09, True), (-0.2, True), (5e-5, True)], None),
        ([(-0.1, True), (2e-4, True)], PINNED),
        ([(-0.1, True), (2e-4, False)], HELD),
        # on its way up it may have been pulled between two looks
        ([(-0.1, True), (-0.04, True), (-0.03, True), (-0.06, True)], HELD),
    ],
)
def test_what_is_seen_of_a_pull(
    seen: list[tuple[float, bool]], reason: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = iter(seen)
    monkeypatch.setattr(pinned, "pull", lambda *_: Pull(*next(looks)))
    pulls, gates = Pulls(), cast(Gates, SimpleNamespace(pinned_units=[2]))
    for _ in seen[:-1]:
        pulls.look(gates, np.zeros(0))
    if reason is None:
        pulls.look(gates, np.zeros(0))
    else:
        with pytest.raises(Undecided, match=f"^{re.escape(reason)}$"):
            pulls.look(gates, np.zeros(0))


def test_it_stays_as_long_as_all_directions_lead_back() -> None:
    """Until then the flow is that without it, and then point 0 weighs as much as its neighbours: v p_0 = v (p_1 + p_2)
    at w = (1, 0). There it may stay or leave.
    """
    limit = follow(among((*OTHERS, (0, 0)), (*OUT, H)))
    assert limit.reason[1:-1] == PINNED[1:]
    without = among(OTHERS, OUT)
    path = follow(without, record=True).path
    assert path is not None
    assert limit.log_norm is not None
    norms = np.exp(path["log_norm"])
    margins = np.array(
        [margins_and_gradients(without, r * d)[0] for r, d in zip(norms, path["direction"], strict=True)]
    )
    p = np.exp(margins.min(axis=1, keepdims=True) - margins)
    left = int(np.argmax(p[:, 0] > p[:, 1] + p[:, 2]))
    assert left > 3
    with_it = np.sqrt(norms**2 + 0.25)
    assert with_it[left - 1] <= np.exp(limit.log_norm) <= with_it[left + 1]


def test_where_nothing_else_moves_it_stays_for_ever() -> None:
    limit = follow(among(((0, 0),), (1,)))
    assert limit.status == "never_separates", limit.reason
    # without the last point it may also be off on all of them, and has no speed there
    start: Any = ((0, 0), (1,))
    limit = follow(Instance.of(fully_connected("relu", (2, 1)), "exponential", AMONG[:3], LABELS[:3], start))
    assert limit.status == "never_separates", limit.reason


def test_a_pull_that_tends_to_nothing_is_none() -> None:
    """The other neurons come to a stationary point, and at the w of one that lives G tends to zero, from below: what is
    above is the error of the weights of the samples.
    """
    x = [
        (0.16726457264601347, -0.8519454755020606),
        (-0.20036562512758826, 1.0298710644115179),
        (-1.136493615828651, -0.26054608258265705),
        (1.1008846075077503, -0.666596775715447),
        (0.7657213303062645, -0.16772876642393578),
        (1.512993891266147, -0.6074002916750236),
        (0.42194383776421046, -0.7233496350886109),
    ]
    w = (
        *(0.11857842469314628, -0.04842869470765266, -0.04237253140067717, -0.00784759997554872),
        *(-0.10024555188354418, -0.04343065862393921, 0.10417762978489348, -0.24391660030910303),
    )
    v = (-0.16325957755139092, -0.04588232248602014, 0.1351347443784529, -0.2838731589161772)
    network = fully_connected("leaky_relu", (2, 4), negative_slope=Fraction(1, 2))
    limit = follow(Instance.of(network, "logistic", x, (-1,) * 6 + (1,), (w, v)))
    assert limit.reason[1:-1] == STANDS_STILL[1:]


def test_a_kink_that_is_only_touched_does_not_make_a_flow_not_unique() -> None:
    """The flow comes up to a kink that repels, as far as its speed of 5e-6 of its terms tells, and turns back."""
    assert follow(wide((5, 10, 20), 522)).reason[1:-1] == GRAZES[1:]


@pytest.mark.parametrize("seed", [510, 1114])
def test_wide_networks_may_leave(seed: int) -> None:
    assert follow(wide((2, 20, 20), seed)).reason[1:-1] == PINNED[1:]


def test_batches_do_not_look_and_say_so() -> None:
    (limit,) = drive([among((*OTHERS, (0, 0)), (*OUT, H))], device="cpu:0")
    assert limit.reason.endswith("such are not followed in batches.")
