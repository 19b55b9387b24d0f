"""Certificates of kind "bound" and "cells": hand-made ones are accepted, what is false is rejected."""

from __future__ import annotations

import copy
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harness.certificates import check
from harness.problem.instances import Instance
from tests.support.certificate_examples import (
    ACTIVE,
    DEAD,
    EXAMPLES,
    KINK_CELLS,
    KINKS,
    OPPOSITE,
    PRESSED,
    SINGLE,
    SPLIT,
    TWO_POINTS,
    Certificate,
    case,
    with_false_structure,
)

names = pytest.mark.parametrize("name", EXAMPLES)


@names
def test_hand_made_certificates_are_accepted(name: str) -> None:
    instance, certificate, value = EXAMPLES[name]
    checked = check(instance.problem, certificate)
    assert checked.accepted, checked.reason
    assert (checked.value, checked.bound, checked.gap) == (value, value, 0.0)


# --- the bounds hold ---


def neuron_parts(instance: Instance, certificate: Certificate) -> list[tuple[np.ndarray, np.ndarray, float, int]]:
    """In floats: patches (n, d_j), gates (n,) with 0 free, |t_j|, sign or 0 for either, of every neuron."""
    local, problem = certificate["scope"] == "local", certificate["problem"]
    relu = instance.network.activation == "relu"
    hidden, outgoing = (np.array([float(Fraction(a)) for a in u]) for u in certificate["theta"])
    parts = []
    for j, row in enumerate(instance.network.patterns[0]):
        columns = [c for c, k in enumerate(row) if k >= 0]
        patches, v = instance.x_float[:, columns], outgoing[j]
        sign = certificate["structure"]["outgoing"][j]
        gates = [g[j] for g in certificate["structure"]["gates"]] if relu else [1] * instance.n
        if problem == "layer 2":
            inputs = patches @ hidden[[k for k in row if k >= 0]]
            parts.append(((np.maximum(inputs, 0) if relu else inputs)[:, None], np.ones(instance.n), 1.0, 1))
            continue
        if relu and (not local or sign == 0):
            gates, sign = [0] * instance.n, 0 if problem == "full" else sign
        parts.append((patches, np.array(gates), abs(v) if problem == "layer 1" else 1.0, sign))
    return parts


def best_bound(instance: Instance, certificate: Certificate) -> float:
    """In floats, an upper bound on whatever these alpha can prove: the slopes of psi over a fine grid of the plane."""
    alpha = np.array([float(Fraction(a)) for a in certificate["alpha"]])
    angles = np.linspace(0, 2 * math.pi, 40001)
    plane = np.stack([np.cos(angles), np.sin(angles)])
    slopes = []
    for patches, gates, scale, sign in neuron_parts(instance, certificate):
        grid = plane if patches.shape[1] == 2 else np.array([[1.0, -1.0]])
        inputs = patches @ grid
        if instance.network.activation == "relu" and certificate["problem"] != "layer 2":
            within = np.all(inputs * gates[:, None] >= -1e-12, axis=0)
            inputs = np.maximum(inputs, 0)[:, within]
        signs = [sign] if sign else [1, -1]
        slopes.append(max((scale * s * ((alpha * instance.y_float) @ inputs)).max(initial=0.0) for s in signs))
    if certificate["problem"] == "full":
        return alpha.sum() / max(*slopes, 1e-300)
    return alpha.sum() ** 2 / max(2 * sum(s * s for s in slopes), 1e-300)


def float_value(instance: Instance, certificate: Certificate) -> float:
    """What theta costs, scaled to min q = 1; infinite where it cannot be."""
    theta = [[Fraction(a) for a in u] for u in certificate["theta"]]
    lowest = float(min(instance.problem.margins(theta)))
    if lowest <= 0:
        return math.inf
    layers = {"full": theta, "layer 1": theta[:1], "layer 2": theta[1:]}[certificate["problem"]]
    return float(sum(a * a for u in layers for a in u)) / 2 / lowest ** (1 if certificate["problem"] == "full" else 2)


@pytest.mark.parametrize("name", [name for name in EXAMPLES if "cells" not in name])
def test_the_grid_finds_the_bounds_of_the_examples(name: str) -> None:
    """The test of the tester: the grid comes to the same bounds, and only ever above them (it may miss a kink)."""
    instance, certificate, value = EXAMPLES[name]
    assert value * (1 - 1e-12) <= best_bound(instance, certificate) <= value * (1 + 1e-4)
    assert float_value(instance, certificate) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("name", [name for name in EXAMPLES if "layer" not in name])
def test_no_feasible_point_of_the_region_costs_less(name: str) -> None:
    """Random points by the forward pass alone: the gates are not in the formulas here."""
    instance, certificate, value = EXAMPLES[name]
    random = np.random.default_rng(1)
    theta = [np.array([float(Fraction(a)) for a in u]) for u in certificate["theta"]]
    step = 1e-3 if certificate["scope"] == "local" else 3.0
    feasible = 0
    for _ in range(400):
        point = [u + step * random.standard_normal(len(u)) for u in theta]
        lowest = min(instance.problem.margins([u.tolist() for u in point]))
        if lowest > 0:
            feasible += 1
            assert sum(float(u @ u) for u in point) / 2 / lowest >= value * (1 - 1e-9)
    assert feasible >= 20


# --- forgeries ---


@names
def test_a_structure_that_contradicts_theta_is_rejected(name: str) -> None:
    instance, certificate, _ = EXAMPLES[name]
    for forged in with_false_structure(certificate):
        assert not check(instance.problem, forged).accepted


numbers = st.one_of(
    st.fractions(-3, 3, max_denominator=7),
    st.integers(-(10**4), 10**4).map(lambda a: Fraction(a, 10**3)),
    st.sampled_from([Fraction(s * 10**a) for s in (1, -1) for a in (-12, -6, -3, 6)]),
)


@given(st.data())
def test_no_changed_number_proves_more_than_there_is(data: st.DataObject) -> None:
    """One number of alpha or theta is changed; whatever the float grid refutes, the checker must reject."""
    name = data.draw(st.sampled_from([name for name in EXAMPLES if "cells" not in name]))
    instance, certificate, _ = EXAMPLES[name]
    forged = copy.deepcopy(certificate)
    row = data.draw(st.sampled_from([forged["alpha"], *forged["theta"]]))
    place = data.draw(st.integers(0, len(row) - 1))
    row[place] = data.draw(st.just(0) | numbers.map(lambda change: str(Fraction(row[place]) + change)))
    if row is forged["alpha"] and Fraction(row[place]) < 0:
        assert not check(instance.problem, forged).accepted
        return
    assume(best_bound(instance, forged) < float_value(instance, forged) * (1 - 1e-6))
    checked = check(instance.problem, forged)
    assert not checked.accepted, checked


@names
def test_without_multipliers_nothing_is_proven(name: str) -> None:
    """With alpha = 0 every slope is 0 too, and 0 / 0 is no bound."""
    instance, certificate, _ = EXAMPLES[name]
    forged = copy.deepcopy(certificate)
    for proof in forged.get("cells", [forged]):
        proof["alpha"] = [0] * instance.n
        for part in proof.get("neurons") or []:
            if isinstance(part, dict):
                part.pop("nu", None)
    checked = check(instance.problem, forged)
    assert not checked.accepted
    if forged["kind"] == "cells" or all(len(cases) == 1 for cases in forged.get("neurons") or [] if cases):
        assert "the bound is 0, less than" in checked.reason


@names
def test_nothing_can_be_left_out(name: str) -> None:
    """Any case, sign or cell removed."""
    instance, certificate, _ = EXAMPLES[name]
    lists = [certificate["cells"]] if "cells" in certificate else []
    for signs in certificate.get("neurons") or []:
        lists += [signs or [], *(entry["cases"] for entry in signs or [])]
    removed = 0
    for entries in lists:
        for k in range(len(entries)):
            copied: dict[str, Any] = copy.deepcopy({"certificate": certificate, "entries": entries})
            del copied["entries"][k]
            assert not check(instance.problem, copied["certificate"]).accepted
            removed += 1
    assert removed or "layer 2" in name or "linear" in name


@given(st.fractions(Fraction(1, 10**4), 2), st.sampled_from([0, 1]), st.sampled_from([1, -1]))
def test_a_wrong_kink_coefficient_is_rejected(c: Fraction, neuron: int, sign: int) -> None:
    forged = copy.deepcopy(KINKS)
    forged["neurons"][neuron][0]["cases"][0]["c"] = {str(1 - neuron): str(sign * c)}
    checked = check(OPPOSITE.problem, forged)
    assert not checked.accepted
    assert ("is not between 0 and 1" in checked.reason) == (not 0 <= sign * c <= 1)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"on": [], "c": {"0": "1/2", "1": "3/20"}}, "neuron 1: sample 0 may not have a coefficient c"),
        ({"on": [0], "c": {"1": "3/20"}}, "neuron 1: a case turns on a sample that is not free to choose"),
        ({"on": [1], "c": {"1": "3/20"}}, "neuron 1: a case turns on a sample that is not free to choose"),
    ],
)
def test_gates_that_are_not_free_stay_as_they_are(changed: dict[str, Any], reason: str) -> None:
    forged = copy.deepcopy(PRESSED)
    forged["neurons"][0][0]["cases"][0] = changed
    assert check(SPLIT.problem, forged).reason == reason


def test_the_gate_of_a_zero_patch_may_be_anything() -> None:
    """Neuron 2 sees nothing of sample 0."""
    certificate = copy.deepcopy(PRESSED)
    certificate["neurons"][1][0]["cases"][0] = {"on": [0], "c": {"0": "1/2"}}
    assert check(SPLIT.problem, certificate).accepted


@given(st.integers(0, 3), st.integers(0, 1), st.integers(0, 1), st.fractions(-2, 2))
def test_a_wrong_cone_multiplier_is_rejected(entry: int, neuron: int, sample: int, change: Fraction) -> None:
    assume(abs(change) > Fraction(1, 10**4))
    forged = copy.deepcopy(KINK_CELLS)
    nu = forged["cells"][entry]["neurons"][neuron]["nu"]
    found = dict(nu) if isinstance(nu, dict) else {str(i): a for i, a in enumerate(nu)}
    found[str(sample)] = str(Fraction(found.get(str(sample), 0)) + change)
    forged["cells"][entry]["neurons"][neuron]["nu"] = found
    assert not check(OPPOSITE.problem, forged).accepted


def every_case(n: int, alpha: list[Any], y: list[int]) -> list[dict[str, Any]]:
    """All signs and subsets of samples with nothing but free gates; c = 1 where it helps or not."""
    entries = []
    for sign in (1, -1):
        either = [i for i in range(n) if alpha[i] and y[i] * sign > 0]
        subsets = [[i for b, i in enumerate(either) if code >> b & 1] for code in range(1 << len(either))]
        entries.append({"sign": sign, "cases": [case(on) for on in subsets]})
    return entries


def test_a_local_optimum_is_not_a_global_one() -> None:
    """Well formed and complete: only the bound, 8/sqrt(17), is too low."""
    everywhere = every_case(2, ACTIVE["alpha"], [1, 1])
    checked = check(TWO_POINTS.problem, {**ACTIVE, "scope": "global", "neurons": [everywhere, everywhere]})
    assert not checked.accepted
    assert checked.reason == "the bound is 1.94028500029, less than (1 - 1e-9) times the value 4"


def test_a_limit_with_a_dead_neuron_worth_waking_is_no_local_optimum() -> None:
    theta = [[0, 2, 0, 0], [2, 0]]
    structure = {"outgoing": [1, 0], "gates": [[1, 0], [1, 0]]}
    neurons = [[{"sign": 1, "cases": [case()]}], every_case(2, [2, 2], [1, 1])]
    checked = check(TWO_POINTS.problem, {**ACTIVE, "theta": theta, "structure": structure, "neurons": neurons})
    assert "the bound is 1.94" in checked.reason


def test_a_rounded_limit_is_taken_for_the_structure_it_is_next_to() -> None:
    tilted = {**KINKS, "theta": [[1, 1e-12, -1e-12, 1], [1, -1]]}
    checked = check(OPPOSITE.problem, tilted)
    assert checked.accepted
    assert checked.gap is not None
    assert 0 < checked.gap <= 1e-9
    assert not check(OPPOSITE.problem, {**KINKS, "theta": [[1, 1e-6, -1e-6, 1], [1, -1]]}).accepted


def test_a_bound_below_the_value_by_more_than_the_gap_is_rejected() -> None:
    """An outgoing weight of 1 + e puts the cost e^2 / 2 above the bound: 2e-10, then 5e-9."""
    assert check(SINGLE.problem, {**DEAD, "theta": [["3/5", "4/5", 0, 0], ["50001/50000", 0]]}).accepted
    assert not check(SINGLE.problem, {**DEAD, "theta": [["3/5", "4/5", 0, 0], ["10001/10000", 0]]}).accepted
