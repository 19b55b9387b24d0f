"""Wide networks of two layers: what is computed unit by unit is what is computed of the whole."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from benchmarks.wide import draw
from harness.flow import follow, run
from harness.flow.compiled.kernel import wiring
from harness.flow.invariants import subspaces
from harness.flow.invariants.coordinates import Subspace
from harness.flow.invariants.subspaces import Invariants
from harness.flow.kinks.gates import Gates
from harness.flow.settling.by_unit import curvature_by_unit
from harness.flow.settling.directions import keep_within, wide_along
from harness.flow.settling.lagrangian import evaluate_rows, fill_hessian, rows_of
from harness.problem.instances import Instance
from harness.problem.networks import fully_connected
from tests.support import reference

SIZE = (3, 12, 7)
NEVER = 10**9  # coordinates: no network is as wide


@pytest.mark.parametrize("seed", range(8))
def test_limits_are_those_of_the_whole_jacobian(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = follow(draw(SIZE, seed))
    monkeypatch.setattr(run, "WIDE", NEVER)
    whole = follow(draw(SIZE, seed))
    assert (limit.status, limit.reason, len(limit.events)) == (whole.status, whole.reason, len(whole.events))
    if limit.point is not None:
        assert whole.point is not None
        assert limit.value == pytest.approx(whole.value, rel=1e-10)
        np.testing.assert_allclose(limit.point.margins, whole.point.margins, rtol=1e-7)
        assert limit.point.kinks == whole.point.kinks or len(limit.point.kinks) == len(whole.point.kinks)


def test_limits_are_those_of_the_reference() -> None:
    """By explicit small steps, which share nothing with this, where these resolve all kinks."""
    limits = [limit for limit in (follow(draw((2, 14, 5), seed)) for seed in range(8)) if limit.status == "converged"]
    compared = 0
    for limit in limits:
        record = reference.follow(limit.instance, 12.0, budget=30_000)
        if record.status == "followed":
            assert record.value == pytest.approx(limit.value, rel=0.02)
            compared += 1
    assert compared >= 2


@pytest.mark.parametrize("seed", range(10))
def test_the_reduced_curvature_has_the_sign_of_the_whole(seed: int) -> None:
    """At multipliers of every size, beside slides: definite on the critical subspace or not."""
    rng = np.random.default_rng([3, seed])
    instance = draw((3, 6, 5), seed)
    gates = Gates(instance, wiring(instance.network))
    gates.start()
    cell, net, size, n = gates.cell, gates.net, gates.size, len(gates.gates)
    theta, none = rng.standard_normal(size), np.zeros((0, 2), dtype=np.int64)
    owner = np.array([int(net.uptr[1]), int(net.uptr[1]) + 2])
    normals = np.array([gates.normals.float_normal(0, u) for u in owner])
    directions = wide_along(net, np.ones(size, dtype=bool), normals, owner)
    wide, dense = rows_of(cell, size, n, True), rows_of(cell, size, n, False)
    evaluate_rows(cell, theta, none, wide)
    evaluate_rows(cell, theta, none, dense)
    span = np.array([row.copy() for row in wide.grad[:2]])
    for row in span:
        keep_within(net, directions, row)
    span = np.linalg.qr(span.T)[0].T.copy()
    projection = np.eye(size) - span.T @ span
    projection -= projection @ np.linalg.pinv(normals @ projection) @ (normals @ projection)
    signs: set[bool] = set()
    for scale in (0.01, 0.1, 0.3, 1.0, 10.0):
        lam = scale * np.abs(rng.standard_normal(n))
        fill_hessian(cell, none, lam, dense)
        whole = projection @ dense.second @ projection
        reduced = curvature_by_unit(cell, directions, lam, span, 1e-6, wide)
        definite = bool(np.linalg.eigvalsh(whole).max() < 1.0 + 1e-6)
        assert bool((np.linalg.eigvalsh(reduced) > 0.0).all()) == definite
        signs.add(definite)
    assert len(signs) == 2


def _subspace(instance: Instance) -> tuple[Subspace, Gates]:
    gates = Gates(instance, wiring(instance.network))
    gates.start()
    exact = [v for row in instance.theta0 for v in row]
    return Invariants(instance, gates.net, gates.normals.normal).start(exact, gates.gates, [], []), gates


def _starts() -> list[Instance]:
    """Floats; small integers; two neurons that are multiples of each other; one that is zero."""
    rng = np.random.default_rng(5)
    out = [draw((4, 6, 5), seed) for seed in range(4)]
    network = fully_connected("relu", (2, 4))
    for kind in range(8):
        x = [tuple(map(Fraction, row)) for row in rng.integers(1, 9, (3, 2)).tolist()]
        w, v = rng.integers(-9, 10, (4, 2)).tolist(), rng.integers(1, 9, 4).tolist()
        if kind % 2:
            w[1], v[1] = [2 * a for a in w[0]], 2 * v[0]
        if kind % 4 == 3:
            w[2], v[2] = [0, 0], 0
        theta0 = (tuple(Fraction(a) for row in w for a in row), tuple(map(Fraction, v)))
        out.append(Instance.of(network, "exponential", x, (1, 1, -1), theta0))
    return out


def test_the_subspace_of_a_start_is_that_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subspaces, "_WIDE", 0)
    starts = [instance for instance in _starts() if all(any(map(bool, row)) for row in instance.x)]
    found = [_subspace(instance)[0] for instance in starts]
    monkeypatch.setattr(Invariants, "_started_by_unit", lambda *_: None)
    for one, instance in zip(found, starts, strict=True):
        other = _subspace(instance)[0]
        assert (one.whole, len(one.pivots)) == (other.whole, len(other.pivots))
        np.testing.assert_array_equal(one.constant, other.constant)
        np.testing.assert_array_equal(one.blocks, other.blocks)
    assert {one.whole for one in found} == {True, False}


def test_the_subspaces_along_a_flow_are_those_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every event, with what slides."""
    monkeypatch.setattr(subspaces, "_WIDE", 0)
    compared = 0
    by_unit = vars(Invariants)["_opened_by_unit"]

    def both(self: Invariants, old: Subspace, theta: np.ndarray, *rest: Any) -> Subspace | None:
        nonlocal compared
        found = by_unit(self, old, theta, *rest)
        monkeypatch.setattr(Invariants, "_opened", lambda *_: None)
        gates, kinks, slides = rest[:3]
        whole = self.after(old, theta, gates, kinks, slides, [])
        monkeypatch.setattr(Invariants, "_opened", opened)
        assert found is None or (found.whole and whole.whole)
        compared += found is not None
        return found

    opened = vars(Invariants)["_opened"]
    monkeypatch.setattr(Invariants, "_opened_by_unit", both)
    for seed in range(6):
        follow(draw((4, 5, 6), seed))
    assert compared >= 20
