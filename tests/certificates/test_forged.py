"""Forged certificates: whatever number of a certificate of any kind is changed, what is still accepted is still true.

The truth is judged by code that knows no proof.  That theta is optimal: by ascent of min q / |theta|^m over all
parameters or over those of one layer.  That it is not: by this quotient at the point that is said to be better, in
exact numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.families import draw
from harness import drive
from harness.certificates import check
from harness.oracles import Verdict, decide
from harness.oracles.layer_tree import decide_layer
from harness.oracles.products import decide_product
from harness.oracles.pulls import decide_pulls
from harness.oracles.vertices import decide_vertices
from harness.problem.fields import FieldError
from harness.problem.instances import Instance
from harness.problem.networks import Network, convolutional, diagonal, fully_connected
from harness.problem.points import Point
from harness.problem.problems import Problem
from tests.certificates.test_stored import ROOT, deep, deep_kink, rotated
from tests.support.certificate_examples import KINK_CELLS, OPPOSITE, changed
from tests.support.points import active_global, margins_of, nonzero_local, point

Certificate = dict[str, Any]
Forgery = tuple[Problem, Certificate]
Theta = list[list[Fraction]]
# What a certificate says; its other fields are the proof.
CLAIM = ("kind", "problem", "scope", "theta", "structure", "signs", "active", "radius")
RISE = 1e-7


def stored(instance: Problem, verdict: Verdict | None) -> Forgery:
    assert verdict is not None
    assert verdict.certificate is not None, verdict.reason
    return instance, verdict.certificate


def of(found: Point, which: str = "local") -> Forgery:
    verdicts = decide(found)
    return stored(found.problem, verdicts.local if which == "local" else verdicts.global_)


def layer_of(found: Point, layer: int, which: str) -> Forgery:
    pair = decide_layer(found, layer, True)
    return stored(found.problem, pair.local if which == "local" else pair.global_)


def drawn(wanted: str) -> Forgery:
    """The first drawn small relu network of depth 3 with a local optimum whose proof has this field."""
    rng = np.random.default_rng(8)
    for _ in range(200):
        instance = draw(rng, "fully connected relu, depth 3", "generic")
        if instance.n > 3 or instance.network.size > 20:
            continue
        (found,) = drive([instance])
        if found.point is not None and not found.point.doubt:
            verdict = decide(found).local
            if verdict.status == "optimal" and verdict.certificate is not None:
                tree = verdict.certificate["tree"]
                if "split" not in tree and tree[wanted]:
                    return found.instance.problem, verdict.certificate
    raise AssertionError("none was drawn")


def product_bound(found: Point) -> Forgery:
    return stored(found.problem, decide_product(found, True))


def of_classes() -> Forgery:
    """A limit of three classes, with a neuron on a kink."""
    network = fully_connected("leaky_relu", (2, 3), outputs=3, negative_slope=Fraction(1, 2))
    rng = np.random.default_rng(0)
    x, w, v = (rng.integers(-3, 4, size).tolist() for size in ((3, 2), 6, 9))
    (found,) = drive([Instance.of(network, "exponential", x, [0, 1, 2], [w, v])])
    assert found.point is not None
    return stored(found.point.problem, decide_pulls(found.point, "local", certify=True))


X = [[2, 1], [-1, 3]]


def convolutional_deep() -> Network:
    """Shared weights in the first layer, and two layers above."""
    return Network("leaky_relu", (((0, 1), (1, 0)), ((0, -1), (-1, 1)), ((0, 1),)), Fraction(1, 4))


def layer_descent() -> Forgery:
    found = point(fully_connected("relu", (2, 2)), X, [1, -1], [[2, 1, -3, 1], [1, -2]])
    return stored(found.problem, decide(found).trained_layers[0].local)


def vertex(depth: int, theta: list[list[float]]) -> Forgery:
    found = point(diagonal("linear", 2, depth), [[1, 1]], [1], theta)
    return stored(found.problem, decide_vertices(found, True))


MAKERS: dict[str, Callable[[], Forgery]] = {
    "bound": lambda: of(active_global()),
    "bound of a layer": lambda: stored(nonzero_local().problem, decide(nonzero_local()).trained_layers[1].global_),
    "cells": lambda: (OPPOSITE.problem, KINK_CELLS),
    "better": lambda: of(nonzero_local()),
    "better elsewhere": lambda: of(active_global(), "global"),
    "layer tree": lambda: layer_of(active_global(), 0, "local"),
    "layer tree anywhere": lambda: layer_of(deep_kink(), 2, "global"),
    "layer better": lambda: layer_of(nonzero_local(), 0, "local"),
    "product bound": lambda: product_bound(point(fully_connected("linear", (2, 1)), [[3, 4]], [1], [[3, 4], [5]])),
    "product bound of depth 3": lambda: product_bound(point(diagonal("linear", 1, 3), [[2]], [1], [[1]] * 3)),
    "cheaper": lambda: vertex(3, [[ROOT, ROOT]] * 3),
    "vertices": lambda: vertex(3, [[1, 0]] * 3),
    "curve of order 1": lambda: of(deep_kink()),
    "curve of order 2": lambda: of(rotated("relu")),
    "curve of depth 3": lambda: of(deep("linear")),
    "descent": lambda: of(point(fully_connected("relu", (2, 2)), X, [1, -1], [[2, 1, -3, 1], [1, -2]])),
    "descent of depth 3": lambda: of(point(convolutional_deep(), X, [1, 1], [[4, 1], [2, 1], [1, 2]])),
    "descent of a layer": lambda: layer_descent(),
    "ball": lambda: of(point(diagonal("relu", 2, 3), [[1, 2]], [1], [[0, 1]] * 3)),
    "ball of shared weights": lambda: of(point(convolutional("relu", 3, 2), [[1, 0, 0]], [1], [[1, 0], [1, 0]])),
    "ball with dead neurons": lambda: drawn("dead"),
    "ball with mixed kinks": lambda: drawn("mixed"),
    "pulls": lambda: of_classes(),
}


@cache
def made(name: str) -> Forgery:
    return MAKERS[name]()


def numbers(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Fraction, type]]:
    """Every number of a JSON value, with its path and how it is written."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            yield from numbers(inner, (*path, key))
    elif not isinstance(value, bool) and isinstance(value, int | float):
        yield path, Fraction(value), type(value)
    elif isinstance(value, str) and value.lstrip("-").replace("/", "").isdigit():
        yield path, Fraction(value), str


def written(number: Fraction, kind: type) -> Any:
    """An integer stays one where it can; other numbers are text."""
    return int(number) if kind is int and number.denominator == 1 else str(number)


CHANGES: tuple[Callable[[Fraction], Fraction], ...] = (
    lambda v: v * Fraction(11, 10) + Fraction(1, 10) * (v == 0),
    lambda v: v * (1 - Fraction(1, 10**6)),
    lambda v: -v,
    lambda v: v + 1,
    lambda v: v - 1,
    lambda v: Fraction(0),
    lambda v: v * 1000,
    lambda v: v / 1000,
)


def judged(instance: Problem, forged: Certificate, original: Certificate) -> bool | None:
    """Whether what the accepted certificate says is true; None where it says what the original says."""
    exact = [[Fraction(str(v)) for v in u] for u in forged["theta"]]
    layer = None if forged["problem"] == "full" else int(forged["problem"].split()[1]) - 1
    if forged["kind"] in ("better", "layer better", "cheaper", "curve", "descent"):
        return any(beats(instance, point, exact, layer) for point in pointed_out(forged, exact, layer))
    if all(forged.get(key) == original.get(key) for key in CLAIM):
        return None
    # Every margin is homogeneous: how much min q rises, relatively, does not depend on the scale.
    largest = max(abs(v) for u in exact for v in u)
    theta = [np.array([float(v / largest) for v in u]) for u in exact]
    radius = 1e-4 if forged["scope"] == "local" else 1.0
    return ascent(instance, theta, layer, radius) < RISE


def pointed_out(forged: Certificate, theta: Theta, layer: int | None) -> Iterator[Theta]:
    """What the certificate gives as better than theta: a point, or some points on a curve."""
    if forged["kind"] in ("curve", "descent"):
        zeros = [[0] * len(u) for u in theta]
        d, e = ([[Fraction(str(v)) for v in u] for u in forged.get(key) or zeros] for key in ("d", "e"))
        for s in (Fraction(1, 2**k) for k in range(3, 40)):
            yield [[a + s * b + s**2 * c for a, b, c in zip(*u, strict=True)] for u in zip(theta, d, e, strict=True)]
    elif layer is None:
        yield [[Fraction(str(v)) for v in u] for u in forged["better"]]
    else:
        better = [Fraction(str(v)) for v in forged["better"]]
        yield [better if k == layer else u for k, u in enumerate(theta)]


def beats(instance: Problem, point: Theta, theta: Theta, layer: int | None) -> bool:
    """Whether min q / |.|^degree is greater at the point than at theta, exactly; of a layer or of all parameters."""
    degree = instance.network.depth if layer is None else 1
    moving = range(instance.network.depth) if layer is None else [layer]
    best, here = (min(instance.margins(u)) for u in (point, theta))
    new, old = (sum(v * v for k in moving for v in u[k]) for u in (point, theta))
    return best > 0 < here and best**2 * old**degree > here**2 * new**degree


def ascent(instance: Problem, theta: list[np.ndarray], layer: int | None, radius: float) -> float:
    """How much min q / |.|^degree rises from theta at most, relatively, by random steps of a layer or of all."""
    rng = np.random.default_rng(2)
    network = instance.network
    start = [u.copy() for u in theta]
    moving = range(network.depth) if layer is None else [layer]
    degree = network.depth if layer is None else 1

    def quality(point: list[np.ndarray]) -> float:
        size = np.sqrt(sum(float(point[k] @ point[k]) for k in moving))
        return float(margins_of(network, instance, point).min()) / size**degree if size else -np.inf

    here = quality(start)
    if not here > 0.0:
        return np.inf
    size = np.sqrt(sum(float(start[k] @ start[k]) for k in moving))
    best = here
    for scale in radius * size * np.array([1.0, 0.3, 0.1, 0.01]):
        point, value = start, here
        for _ in range(150):
            trial = [
                u + (scale * rng.standard_normal(len(u)) * rng.integers(0, 2, len(u)) if k in moving else 0.0)
                for k, u in enumerate(point)
            ]
            found = quality(trial)
            if found > value:
                point, value = trial, found
        best = max(best, value)
    return best / here - 1.0


@pytest.mark.parametrize("name", MAKERS)
def test_the_originals_are_accepted(name: str) -> None:
    instance, certificate = made(name)
    checked = check(instance, certificate)
    assert checked.accepted, checked.reason
    # An oracle whose proof is refused tries another kind.
    assert name.startswith(certificate["kind"])


@pytest.mark.parametrize("name", MAKERS)
@given(data=st.data())
def test_no_changed_number_makes_a_false_claim_accepted(name: str, data: st.DataObject) -> None:
    instance, certificate = made(name)
    path, old, kind = data.draw(st.sampled_from(list(numbers(certificate))))
    new = data.draw(st.sampled_from(CHANGES))(old)
    forged = changed(certificate, path, written(new, kind))
    try:
        checked = check(instance, forged)
    except FieldError:
        return
    if checked.accepted and new != old:
        assert judged(instance, forged, certificate) is not False, (path, str(old), str(new))


@pytest.mark.parametrize("name", MAKERS)
def test_some_change_of_every_kind_of_field_is_noticed(name: str) -> None:
    """The test of the tester: a proof in which nothing matters would pass the one above.

    Nothing but kappas, small multipliers and the like may be changed to zero and to its negative unnoticed.
    """
    instance, certificate = made(name)
    noticed: dict[str, bool] = {}
    for path, old, kind in numbers(certificate):
        field = next(str(key) for key in reversed(path) if isinstance(key, str))
        if noticed.get(field):
            continue
        noticed[field] = any(
            refused(instance, changed(certificate, path, written(change(old), kind))) for change in CHANGES
        )
    assert all(seen for field, seen in noticed.items() if field not in HARMLESS), noticed


# kappa beyond what is needed, the penalty of rotations where there are none, and e of a curve with room to spare.
HARMLESS = ("kappa", "tau")


def refused(instance: Problem, forged: Certificate) -> bool:
    try:
        return not check(instance, forged).accepted
    except FieldError:
        return True


@pytest.mark.parametrize("name", MAKERS)
@given(data=st.data())
def test_a_certificate_for_other_data_is_not_accepted_where_it_is_false(name: str, data: st.DataObject) -> None:
    instance, certificate = made(name)
    i = data.draw(st.integers(0, instance.n - 1))
    c = data.draw(st.integers(0, instance.d - 1))
    x = [list(row) for row in instance.x]
    x[i][c] = data.draw(st.sampled_from(CHANGES))(x[i][c])
    if x[i][c] == instance.x[i][c] or not any(x[i]):
        return
    other = Problem(instance.network, tuple(map(tuple, x)), instance.y)
    checked = check(other, certificate)
    if checked.accepted:
        assert judged(other, certificate, {}) is not False


@pytest.mark.parametrize("name", MAKERS)
def test_huge_numbers_do_not_hang_it(name: str) -> None:
    """Nor do they make a false claim accepted; most of them are refused."""
    instance, certificate = made(name)
    noticed: list[bool] = []
    for path, _, kind in list(numbers(certificate))[::7]:
        for huge in (10**390, -(10**390), f"{10**390 - 1}/{10**390}", f"1/{10**390}"):
            forged = changed(certificate, path, huge if kind is int else str(huge))
            noticed.append(refused(instance, forged))
            assert noticed[-1] or judged(instance, forged, certificate) is not False, (path, str(huge)[:9])
    assert sum(noticed) >= len(noticed) / 2


@pytest.mark.parametrize("name", ["layer tree", "ball", "ball with dead neurons"])
def test_deep_trees_do_not_hang_it(name: str) -> None:
    instance, certificate = made(name)
    for key in ("tree", "dead"):
        deep_tree: Any = {"alpha": [1] * instance.n}
        for _ in range(3000):
            deep_tree = {"split": [0, 1, 1], "gate": 0, "on": deep_tree, "off": deep_tree}
        forged = {**certificate, "tree": deep_tree}
        if key == "dead" and certificate["kind"] == "ball" and certificate["tree"].get("dead"):
            forged = {**certificate, "tree": {**certificate["tree"], "dead": [[1, 1, deep_tree]]}}
        assert refused(instance, forged)


def test_a_bound_by_pulls_is_the_sum_of_its_multipliers() -> None:
    """Smaller ones pull no neuron further, and bound less: every condition but the value holds."""
    instance, certificate = made("pulls")
    less = {**certificate, "alpha": [str(Fraction(a) * Fraction(9, 10)) for a in certificate["alpha"]]}
    found = check(instance, less)
    assert not found.accepted
    assert "times the value" in found.reason


def test_large_networks_do_not_hang_it() -> None:
    """Exact Hessians of thousands of parameters are refused, not computed."""
    found = point(diagonal("linear", 100, 3), [[1] * 100], [1], [[1.0] + [0.0] * 99] * 3)
    theta = [[1] + [0] * 99] * 3
    zeros = [[0] * 100] * 3
    leaf = {"alpha": [1], "nu": [], "rho": 1, "tau": 1, "mu": "1/2"}
    common = {"problem": "full", "scope": "local", "theta": theta, "signs": None}
    ball = {**common, "kind": "ball", "radius": "1/100", "rotations": [], "tree": leaf}
    curve = {**common, "kind": "curve", "order": 2, "active": [0], "gates": [], "d": zeros, "e": zeros, "implied": {}}
    for forged in (ball, curve):
        assert "300 parameters are more than 200" in check(found.problem, forged).reason
