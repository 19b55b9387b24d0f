"""The independent reference trainer: against values found by hand, and the compiled trainer against it."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import opinions, wider_draws
from benchmarks.hard_draws import LAWS, Law, suite
from benchmarks.kinds import KINDS, draws
from benchmarks.opinions import judged
from harness import drive
from harness.problem.instances import Instance
from harness.problem.limits import Limit
from harness.problem.networks import diagonal, fully_connected
from harness.problem.points import Point
from tests.support.reference import Record, follow

# Inputs on which wrong limits were once believed or true ones refused, and their values, known by hand.
VALUES = {
    "late-kink-1": 4 / 3,
    "late-kink-degenerate-2": 1.4,
    "nine-on-a-kink-8": 1.0 + math.sqrt(2.0),
    "nine-on-a-kink-9": 1.0 + math.sqrt(2.0),
    "not-unique-two-points": 1.0 / math.sqrt(5.0),
    "one-neuron-crossing-start1": math.sqrt(10.0) / 8.0,
    "one-neuron-crossing-start2": math.sqrt(10.0) / 8.0,
    "prime-theta": 0.5,
    "prime-x-diag": 1000000000 / 2147483647,
    "sym-diaglin3-swap": 1.5 * 2.0 ** (1.0 / 3.0),
}
SEPARATES_NEVER = ["not-unique-one-neuron", "moons10-relu-3-4-1-s0"]


def case(name: str) -> Instance:
    return Instance.from_json((Path(__file__).parents[1] / "cases" / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", VALUES)
def test_values_known_by_hand(name: str) -> None:
    record = follow(case(name), 60.0)
    assert (record.status, record.reason) == ("followed", "")
    assert record.value == pytest.approx(VALUES[name], rel=1e-6)


@pytest.mark.parametrize("name", SEPARATES_NEVER)
def test_flows_that_never_separate(name: str) -> None:
    assert follow(case(name)).status == "not separated"


def test_kinks_that_are_multiples_are_put_on_once() -> None:
    """Neuron 2 sees one number, and slides at w = 0 on all four points at once, its outgoing weight fixed."""
    network = fully_connected("leaky_relu", (1, 4), negative_slope=Fraction(1, 2), fixed={2: (1, -1, 1, 1)})
    x = ((Fraction(1, 2),), (-1,), (Fraction(-1, 4),), (1,))
    start = Instance.of(network, "exponential", x, (1,) * 4, ((Fraction(1, 100), Fraction(2, 5), 1, -1), (1, -1, 1, 1)))
    record = follow(start, 20.0)
    assert record.status == "followed", record.reason
    assert record.direction[-1, 1] == 0.0
    assert record.events >= 1


def test_a_weight_whose_input_is_on_its_kink_stays() -> None:
    """w_1 passes zero, and with it the input of the neuron above, whose own weight does not."""
    network = diagonal("leaky_relu", 1, 3, negative_slope=Fraction(1, 2))
    record = follow(Instance.of(network, "exponential", ((1,),), (1,), ((Fraction(-1, 2),), (2,), (2,))), 20.0)
    assert (record.status, record.events) == ("followed", 1)
    np.testing.assert_allclose(record.direction[-1], np.full(3, 3.0**-0.5), rtol=1e-6)


def test_a_symmetry_between_samples_is_kept_to_the_bit() -> None:
    # what is exchanged stands first and last, so that sums in order would not do
    given, order = case("sym-diaglin3-swap"), (0, 2, 1)
    x = tuple(tuple(given.x[i][k] for k in order) for i in order)
    y, theta0 = tuple(given.y[i] for i in order), tuple(tuple(row[k] for k in order) for row in given.theta0)
    parts = np.split(follow(given.changed(x=x, y=y, theta0=theta0), 60.0).direction, 3, axis=1)
    assert all((part[:, 0] == part[:, 2]).all() and part[-1, 0] for part in parts)


def test_a_neuron_of_1e_12_keeps_its_own_direction() -> None:
    # with one sample d sigma is w_k' = x_k v_k, v_k' = x_k w_k: hyperbolic functions, and sigma is known from neuron 1
    size = Fraction(1, 10**12)
    instance = Instance.of(diagonal("linear", 2, 2), "exponential", ((2, 1),), (1,), ((1, 3 * size), (1, -size)))
    record = follow(instance, 20.0, rtol=1e-8)
    theta = record.direction * np.exp(record.log_norm)[:, None]
    sigma = np.log(theta[:, 0]) / 2.0
    w, v = 3e-12 * np.cosh(sigma) - 1e-12 * np.sinh(sigma), 3e-12 * np.sinh(sigma) - 1e-12 * np.cosh(sigma)
    found, known = np.array([theta[:, 1], theta[:, 3]]), np.array([w, v])
    sizes = np.linalg.norm(found, axis=0), np.linalg.norm(known, axis=0)
    assert len(sigma) > 20
    assert np.abs(found / sizes[0] - known / sizes[1]).max() < 1e-6
    assert np.abs(sizes[0] / sizes[1] - 1.0).max() < 2e-5


# --- the compiled trainer against it ---

# The first draws of each law; what differs is what benchmarks/opinions.py calls so.
SEED = 2026
DRAWN = 10


# Slopes, fixed layers and several outputs: fewer, and given up sooner.
WIDER: list[Law] = [law for law in LAWS if law in wider_draws.KINDS]
HARD: list[Law] = [law for law in LAWS if law not in WIDER]
FEWER = 4


@pytest.mark.parametrize("law", WIDER)
def test_limits_of_wider_networks(law: Law, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opinions, "FIRST", replace(opinions.FIRST, budget=100_000))
    monkeypatch.setattr(opinions, "SECOND", replace(opinions.SECOND, budget=300_000, separation=50_000))
    verdicts = {index: (verdict, why) for index, _, verdict, why in judged(law, SEED, range(FEWER))}
    assert not {index: why for index, (verdict, why) in verdicts.items() if verdict == "differs"}
    assert sum(verdict == "agrees" for verdict, _ in verdicts.values()) >= FEWER // 3


# Of benchmarks/kinds.py, seed 16: kinks of two layers are met at once, or slid on.
SEVERAL_LAYERS = (9, 13, 20, 27)


def test_limits_where_kinks_of_several_layers_meet() -> None:
    (kind,) = [kind for kind in KINDS if kind.name == "leaky 1/2, depth 3"]
    drawn = list(draws(kind, 16, max(SEVERAL_LAYERS) + 1, integer=False))
    limits = [drive([drawn[index]])[0] for index in SEVERAL_LAYERS]
    assert [opinions.opinion(limit)[0] for limit in limits] == ["agrees"] * len(limits)


@pytest.mark.parametrize("law", HARD)
def test_limits_of_hard_draws(law: Law) -> None:
    verdicts = {index: (verdict, why) for index, _, verdict, why in judged(law, SEED, range(DRAWN))}
    assert not {index: why for index, (verdict, why) in verdicts.items() if verdict == "differs"}
    assert sum(verdict == "agrees" for verdict, _ in verdicts.values()) >= DRAWN // 3


def test_draws_are_the_same_again() -> None:
    for law in LAWS:
        assert suite(law, SEED, 3) == suite(law, SEED, 3) != suite(law, SEED + 1, 3)


def flow_without_a_sample(instance: Instance, *args: Any, **options: Any) -> Record:
    rest = instance.changed(x=instance.x[:-1], y=instance.y[:-1]) if instance.n > 1 else instance
    return follow(rest, *args, **options)


def flow_of_the_other_start(instance: Instance, *args: Any, **options: Any) -> Record:
    theta0 = tuple(tuple(a * (1 if k else Fraction(3, 2)) for k, a in enumerate(row)) for row in instance.theta0)
    return follow(replace(instance, theta0=theta0), *args, **options)


def test_a_limit_that_is_believed_too_early_is_noticed() -> None:
    # neuron 2 is small for a long time, and then replaces neuron 3
    theta = (np.array([1.0, 0.0, 1.0]), np.array([1.0, 0.0, -1.0]))
    start = case("late-kink-1")
    early = Limit(start, "converged", "", Point.at(start.problem, [u.tolist() for u in theta]))
    assert early.value == pytest.approx(2.0)
    assert opinions.opinion(early)[0] == "differs"


@pytest.mark.parametrize("wrong", [flow_without_a_sample, flow_of_the_other_start])
def test_a_wrong_flow_is_noticed(wrong: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opinions, "follow", wrong)
    monkeypatch.setattr(opinions, "SECOND", opinions.FIRST)
    verdicts = (verdict for law in HARD for _, _, verdict, _ in judged(law, SEED, range(4)))
    assert len(list(islice((verdict for verdict in verdicts if verdict == "differs"), 3))) == 3
