"""Verdicts and certificates against code that knows neither: ascent of min q / |theta|^m, and changed numbers.

The ascent draws steps of every size from the limit and follows what pays; it may find no rise where the limit is said
to be a local optimum, and none at all from anywhere where it is said to be a global one.  Where it is said not to be a
local one, what the certificate points to has to be better.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from benchmarks.families import FAMILIES, draw
from harness import decide, drive
from harness.certificates import check
from harness.oracles import Verdict, Verdicts
from harness.oracles.balls import no_better_nearby
from harness.oracles.curves import descending
from harness.oracles.expansion import Expansion
from harness.problem.fields import FieldError
from harness.problem.instances import Instance
from harness.problem.limits import Limit
from tests.support.certificate_examples import changed
from tests.support.draws import first
from tests.support.integrations import margins_and_gradients
from tests.support.points import margins_of

CASES = [*FAMILIES, "diagonal relu, depth 3", "fully connected relu, depth 3"]
# families whose limits no oracle proves globally optimal
LOCAL_ONLY = ["convolutional relu, depth 2", "fully connected relu, depth 3"]
RISE = 1e-7


@cache
def decided(family: str) -> list[tuple[Limit, Verdicts]]:
    """Six limits of a family, of either kind of draws."""
    rng = np.random.default_rng([91, CASES.index(family)])
    limits = (drive([draw(rng, family, "integer" if t % 2 else "generic")])[0] for t in range(120))
    found = first(6, (limit for limit in limits if limit.point is not None and not limit.point.doubt))
    return [(limit, decide(limit)) for limit in found]


def quality(instance: Instance, flat: np.ndarray) -> float:
    """min q / |theta|^m, the normalised margin."""
    size = float(np.linalg.norm(flat))
    return float(margins_of(instance.network, instance, instance.network.split(flat / size)).min()) if size else -np.inf


def ascent(instance: Instance, flat: np.ndarray, rng: np.random.Generator, radius: float) -> float:
    """The best normalised margin within the radius: random steps, then steps along the softmin's gradient."""
    flat = flat / np.linalg.norm(flat)
    best = quality(instance, flat)
    start = best
    for size in radius * np.array([1.0, 0.3, 0.1, 0.01, 1e-3]):
        here, value = flat, start
        for _ in range(40):
            step = size * rng.standard_normal(len(flat)) * rng.integers(0, 2, len(flat))
            trial = quality(instance, here + step)
            if trial > value and np.linalg.norm(here + step - flat) < 2 * radius:
                here, value = here + step, trial
        for sharpness in (1e2, 1e4):
            for _ in range(20):
                q, gradients = margins_and_gradients(instance, here)
                p = np.exp(-sharpness * (q - q.min()) / max(abs(q.min()), 1e-12))
                direction = p @ gradients / p.sum()
                direction = direction - here * float(here @ direction) / float(here @ here)
                moved = here + 0.3 * size * direction / max(float(np.linalg.norm(direction)), 1e-300)
                trial = quality(instance, moved)
                if trial > value and np.linalg.norm(moved - flat) < 2 * radius:
                    here, value = moved, trial
        best = max(best, value)
    return best / start - 1.0


@pytest.mark.parametrize("family", CASES)
def test_ascent_agrees_with_the_local_verdicts(family: str) -> None:
    rng = np.random.default_rng(17)
    optimal = [limit for limit, verdicts in decided(family) if verdicts.local.status == "optimal"]
    assert len(optimal) >= 3
    for limit in optimal:
        assert limit.theta is not None
        rise = ascent(limit.instance, np.concatenate(limit.theta), rng, 1e-4)
        assert rise < RISE, limit.instance.to_json()


@pytest.mark.parametrize("family", [family for family in CASES if family not in LOCAL_ONLY])
def test_ascent_from_anywhere_stays_below_a_global_optimum(family: str) -> None:
    rng = np.random.default_rng(18)
    optimal = [limit for limit, verdicts in decided(family) if verdicts.global_.status == "optimal"]
    assert len(optimal) >= 2
    for limit in optimal:
        assert limit.theta is not None
        top = quality(limit.instance, np.concatenate(limit.theta))
        starts = (rng.standard_normal(sum(limit.instance.network.sizes)) for _ in range(2000))
        for start in first(2, (start for start in starts if quality(limit.instance, start) > 0.0)):
            reached = quality(limit.instance, start) * (1.0 + ascent(limit.instance, start, rng, 1.0))
            assert reached <= top * (1.0 + RISE), limit.instance.to_json()


@pytest.mark.parametrize("family", CASES)
def test_two_oracles_never_contradict_each_other(family: str) -> None:
    """Balls and curves are for every network; at depth 2 without shared weights cells decide the same independently."""
    agreed = 0
    for limit, verdicts in decided(family):
        assert limit.point is not None
        near = Expansion(limit.point)
        if near.unclear:
            continue
        ball, curve = no_better_nearby(near, certify=True), descending(near, certify=True)
        assert ball.status != "optimal" or curve is None, limit.instance.to_json()
        if verdicts.local.status != "undecided":
            assert ball.status in ("undecided", verdicts.local.status), limit.instance.to_json()
            assert curve is None or verdicts.local.status == "not_optimal", limit.instance.to_json()
            agreed += ball.status == "optimal" or curve is not None
    assert agreed >= 2


def test_what_is_not_optimal_can_be_left() -> None:
    """A point far better than the limit's own gives a start from which the rise is plain; a curve is followed."""
    seen: Counter[str] = Counter()
    for family in CASES:
        for limit, verdicts in decided(family):
            if verdicts.local.status != "not_optimal":
                continue
            certificate = verdicts.local.certificate
            assert certificate is not None
            assert limit.theta is not None
            flat = np.concatenate(limit.theta)
            top = quality(limit.instance, flat)
            seen[certificate["kind"]] += 1
            if certificate["kind"] == "better":
                better = np.concatenate([[float(Fraction(str(a))) for a in u] for u in certificate["better"]])
                assert quality(limit.instance, better) > top * (1 + RISE)
                continue
            d, e = (
                np.concatenate([[float(Fraction(str(a))) for a in u] for u in certificate[key] or [[0.0] * len(flat)]])
                for key in ("d", "e")
            )
            along = [quality(limit.instance, flat + s * d + s * s * e) for s in 2.0 ** -np.arange(3, 20)]
            assert max(along) > top * (1 + 1e-12)
    assert seen["better"] >= 3
    assert seen["curve"] >= 1


def numbers(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every number of a JSON value, with its path."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from numbers(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from numbers(inner, (*path, index))
    elif not isinstance(value, bool) and isinstance(value, int | float):
        yield path, value
    elif isinstance(value, str) and value.replace("/", "").replace("-", "").replace(".", "").isdigit():
        yield path, Fraction(value)


def cost(instance: Instance, theta: Any) -> float:
    """1/2 |theta|^2 once theta is scaled to min q = 1."""
    flat = np.concatenate([[float(Fraction(str(a))) for a in u] for u in theta])
    value = quality(instance, flat)
    return 0.5 * value ** (-2.0 / instance.network.depth) if value > 0.0 else np.inf


def stored(verdicts: Verdicts) -> list[Verdict]:
    return [verdicts.local, verdicts.global_]


@pytest.mark.parametrize("family", CASES)
def test_no_changed_number_makes_a_dearer_point_optimal(family: str) -> None:
    """Whatever the checker still accepts after a change must be about a point that costs no more."""
    kinds: Counter[str] = Counter()
    rng = np.random.default_rng(3)
    for limit, verdicts in decided(family):
        for verdict in stored(verdicts):
            if verdict.status != "optimal" or verdict.certificate is None:
                continue
            own = cost(limit.instance, verdict.certificate["theta"])
            found = list(numbers(verdict.certificate))
            for at in rng.permutation(len(found))[:12]:
                path, old = found[at]
                number = isinstance(old, Fraction)
                for new in (old * Fraction(11, 10) + Fraction(1, 10) * (old == 0), -old - Fraction(1, 3)):
                    value = str(new) if number else int(new) if isinstance(old, int) else float(new)
                    forged = changed(verdict.certificate, path, value)
                    try:
                        checked = check(limit.instance.problem, forged)
                    except FieldError:
                        kinds["shape"] += 1
                        continue
                    kinds[f"{forged['kind']} {checked.accepted}"] += 1
                    if checked.accepted:
                        assert cost(limit.instance, forged["theta"]) <= own * (1.0 + 3e-9), (path, new)
    # of either many are compared
    assert sum(count for kind, count in kinds.items() if kind.endswith("False")) >= 30, kinds
    assert sum(count for kind, count in kinds.items() if kind.endswith("True")) >= 30, kinds


@pytest.mark.parametrize("seed", range(10))
def test_the_hard_margin_svm_agrees_with_slsqp(seed: int) -> None:
    rng = np.random.default_rng([5, seed])
    limits = (drive([draw(rng, "fully connected linear, depth 2", "generic")])[0] for _ in range(20))
    (limit,) = first(1, (limit for limit in limits if limit.status == "converged"))
    instance = limit.instance
    signed = instance.y_float[:, None] * instance.x_float
    solved = minimize(
        lambda w: 0.5 * w @ w, np.zeros(instance.d), jac=lambda w: w, method="SLSQP",
        constraints={"type": "ineq", "fun": lambda w: signed @ w - 1.0, "jac": lambda w: signed},
        options={"ftol": 1e-14, "maxiter": 500},
    )  # fmt: skip
    verdict = decide(limit).global_
    assert verdict.status == "optimal"
    assert verdict.value == pytest.approx(float(np.linalg.norm(solved.x)), rel=1e-5)
