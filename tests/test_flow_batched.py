"""The batched trainer against the compiled one: two implementations of one specification, each a test of the other."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.families import suite
from harness import drive
from harness.flow.batched.field import field, jacobian
from harness.flow.batched.follow import follow_batch
from harness.flow.batched.kernel import backward, forward, hessian_times, values
from harness.flow.batched.lanes import Shape, build
from harness.flow.compiled.field import field as compiled_field
from harness.flow.compiled.field import jacobian as compiled_jacobian
from harness.flow.compiled.field import velocity as compiled_velocity
from harness.flow.compiled.field import workspace
from harness.flow.compiled.kernel import hessian_times as compiled_hessian_times
from harness.flow.follow import follow
from harness.flow.run import Run, Settings
from harness.flow.undecided import Undecided
from harness.problem.instances import Instance
from harness.problem.limits import Limit
from harness.problem.networks import forward as predict
from harness.problem.networks import fully_connected

# out of the range in which float64 can follow it
FAR = Instance.from_json("""{"format": 1, "network": {"activation": "linear", "patterns": [[[0, 1], [2, 3]], [[0, 1]]]},
 "loss": "exponential", "x": [[1, 2], [2, 1]], "y": [1, 1], "theta0": [[1e150, 2e150, 1, 1], [1e150, 1e-150]]}""")


@lru_cache(maxsize=1)
def both() -> tuple[list[Limit], list[Limit]]:
    """The limits of mixed draws, generic and integer, by the compiled and by the batched trainer."""
    instances = [*suite(2031, 64, "generic"), *suite(2026, 64, "integer")]
    return [follow(instance) for instance in instances], follow_batch(instances)


def deep(seed: int, count: int) -> list[Instance]:
    """Relu networks of depth 3, whose kinks are curved, with data that a line separates."""
    rng = np.random.default_rng(seed)
    network = fully_connected("relu", (2, 3, 2))
    out: list[Instance] = []
    for _ in range(count):
        x = rng.standard_normal((4, 2))
        theta0 = [rng.standard_normal(size) for size in network.sizes]
        y = np.where(x @ rng.standard_normal(2) > 0, 1, -1)
        out.append(
            Instance.of(network, "exponential", x.tolist(), tuple(y.tolist()), tuple(tuple(u.tolist()) for u in theta0))
        )
    return out


def started(instances: Sequence[Instance]) -> list[Run]:
    runs: list[Run] = []
    for instance in instances:
        try:
            runs.append(Run(instance, Settings(), False))
        except Undecided:
            continue
    return runs


def _without_time(event: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in event.items() if key != "log_norm"}


def assert_same(one: Limit, two: Limit) -> None:
    """The same flow to the same limit; margins may be large, so relative to 1 + |q|.

    Flows without a limit agree in their reason: where they shrink towards zero, events come down to rounding.
    """
    assert (one.status, one.reason) == (two.status, two.reason)
    if one.theta is None or two.theta is None:
        return
    assert [_without_time(event) for event in one.events] == [_without_time(event) for event in two.events]
    assert one.value is not None
    assert two.value is not None
    assert abs(one.value - two.value) <= 1e-9 * one.value
    assert one.point is not None
    assert two.point is not None
    np.testing.assert_allclose(two.point.margins, one.point.margins, rtol=1e-9, atol=1e-9)
    assert [(k.sample, k.layer, k.neuron) for k in one.point.kinks] == [
        (k.sample, k.layer, k.neuron) for k in two.point.kinks
    ]
    network = one.instance.network
    size = float(np.sqrt(2.0 * one.value)) ** network.depth
    for x in np.random.default_rng(0).standard_normal((8, one.instance.d)):
        a, b = (predict(network, [list(u) for u in limit.theta or ()], list(x)) for limit in (one, two))
        assert abs(a - b) <= 1e-9 * size * np.linalg.norm(x)


def test_same_limits() -> None:
    """Same status and predictor on mixed draws; only an undecided flow may differ, and on at most one in a hundred."""
    excused = 0
    for one, two in zip(*both(), strict=True):
        if one.status != two.status and "undecided" in (one.status, two.status):
            excused += 1
        else:
            assert_same(one, two)
    assert excused <= 1


def test_the_draws_reach_every_branch() -> None:
    """The comparison is of little worth if its draws meet no kinks, no slides, or never a status."""
    one, _ = both()
    assert set(Counter(limit.status for limit in one)) == {"converged", "never_separates", "undecided"}
    assert {limit.instance.loss for limit in one if limit.status == "converged"} == {"exponential", "logistic"}
    assert {event["gate"] for limit in one for event in limit.events} == {"on", "off", "sliding"}
    assert any(0.0 < kink.coefficient < 1.0 for limit in one if limit.point for kink in limit.point.kinks)
    assert any(len(limit.events) >= 3 for limit in one if limit.status == "converged")


def test_same_limits_on_curved_kinks() -> None:
    """Relu networks of depth 3, some of whose limits lie on a kink of the second layer reached by sliding."""
    instances = deep(0, 12)
    one, two = [follow(instance) for instance in instances], follow_batch(instances)
    converged = [limit for limit in one if limit.status == "converged"]
    assert any(event["gate"] == "sliding" and event["layer"] == 2 for limit in converged for event in limit.events)
    for a, b in zip(one, two, strict=True):
        assert_same(a, b)


def test_neighbours_and_padding_do_not_matter() -> None:
    """A flow alone ends where it ends among larger ones."""
    together = both()[1]
    for place in (0, 1, 4, 5, 66, 69):
        (alone,) = follow_batch([together[place].instance])
        assert_same(together[place], alone)


def test_one_bad_flow_leaves_the_others_alone() -> None:
    good = suite(2031, 8, "generic")
    limits = follow_batch([*good[:4], FAR, *good[4:]])
    assert limits[4].status == follow(FAR).status == "undecided"
    for one, two in zip(both()[1][:8], limits[:4] + limits[5:], strict=True):
        assert_same(one, two)


def test_how_often_the_host_looks_does_not_matter() -> None:
    instances = suite(2031, 8, "generic")
    for one, two in zip(both()[0][:8], follow_batch(instances, look=23), strict=True):
        assert_same(one, two)


def test_recorded_paths_agree() -> None:
    """The recorded steps are the same steps."""
    instances = [limit.instance for limit in both()[0][:12] if limit.status == "converged"]
    assert len(instances) >= 6
    for instance, two in zip(instances, follow_batch(instances, record=True), strict=True):
        one = follow(instance, record=True)
        assert one.path is not None
        assert two.path is not None
        joint = np.searchsorted(one.path["sigma"], two.path["sigma"])
        assert len(two.path["sigma"]) >= 0.9 * len(np.unique(one.path["sigma"]))
        assert joint.max() < len(one.path["sigma"])
        for column in range(one.path["direction"].shape[1]):
            # both are steps of tolerance 1e-5 on the same curve; between steps the compiled path is interpolated
            known = np.interp(two.path["sigma"], one.path["sigma"], one.path["direction"][:, column])
            assert np.abs(known - two.path["direction"][:, column]).max() < 1e-3


def test_the_kernel_agrees() -> None:
    """Margins, gradients and Hessians of a padded batch against the compiled kernel, instance by instance."""
    runs = started([*suite(3, 24, "generic"), *deep(3, 4)])
    for depth in (2, 3):
        chosen = [run for run in runs if run.instance.network.depth == depth]
        assert len(chosen) >= 4
        lanes = build(chosen, Shape.of(chosen), torch.device("cpu"))
        theta = torch.zeros(len(chosen), lanes.basis.shape[1], dtype=torch.float64)
        for b, run in enumerate(chosen):
            theta[b, : len(run.constant)] = torch.from_numpy(run.theta)
        at = forward(lanes.net, theta)
        back = backward(lanes.net, at)
        weights = torch.linspace(0.5, 2.0, lanes.samples, dtype=torch.float64).expand(len(chosen), -1)
        weights = torch.nn.functional.pad(weights, (0, lanes.net.x.shape[1] - lanes.samples))
        second = hessian_times(lanes.net, at, back, weights, lanes.along)
        for b, run in enumerate(chosen):
            cell = run.gates.cell
            n, size = len(cell.x), len(run.constant)
            work = workspace(run.gates.cell)
            compiled_field(run.gates.cell, run.theta, work)
            np.testing.assert_allclose(values(lanes.net, at)[b, :n].numpy(), work.q, rtol=1e-12, atol=1e-12)
            np.testing.assert_allclose(back.grad[b, :n, :size].numpy(), work.grad, rtol=1e-12, atol=1e-12)
            assert not back.grad[b, :, size:].any()
            seeds = np.zeros(cell.gates.shape)
            seeds[:, -cell.seeds.shape[1] :] = cell.seeds * weights[b, :n, None].numpy()
            expected = np.empty(run.subspace.basis.shape)
            compiled_hessian_times(cell.net, run.theta, cell.x, cell.gates, seeds, run.subspace.basis, expected)
            found = second[b, : run.subspace.basis.shape[1], :size].numpy().T
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-11)


def test_the_velocity_and_its_jacobian_agree() -> None:
    """On lanes of both losses, with the gates as they are at the start."""
    runs = [run for run in started(suite(4, 40, "integer")) if run.instance.network.depth == 2]
    assert {run.instance.loss for run in runs} == {"exponential", "logistic"}
    flows = [run for run in runs if not len(run.slides.normals)]
    lanes = build(flows, Shape.of(flows), torch.device("cpu"))
    theta = torch.zeros(len(flows), lanes.basis.shape[1], dtype=torch.float64)
    for b, run in enumerate(flows):
        theta[b, : len(run.constant)] = torch.from_numpy(run.theta)
    now = field(lanes, theta, rows=True)
    changes = jacobian(lanes, theta, now, None)
    compared = 0
    for b, run in enumerate(flows):
        cell, size = run.gates.cell, len(run.constant)
        work = workspace(cell)
        velocity = compiled_velocity(cell, run.theta, run.slides, workspace(cell))[0]
        rho = compiled_field(cell, run.theta, work)
        np.testing.assert_allclose(work.f, velocity, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(now.f[b, :size].numpy(), velocity, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(field(lanes, theta).f[b].numpy(), now.f[b].numpy(), rtol=1e-12, atol=1e-12)
        if rho > 0.0:
            expected = compiled_jacobian(cell, run.theta, run.slides, work, rho, run.subspace.basis)
            found = changes[b, :size, : expected.shape[1]].numpy()
            np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)
            compared += 1
    assert compared >= 10


def test_drive_takes_it_for_other_devices() -> None:
    instances = suite(2031, 3, "generic")
    for one, two in zip(both()[1][:3], drive(instances, device="cpu:0"), strict=True):
        assert_same(one, two)


def test_the_compiled_trainer_does_not_import_torch() -> None:
    code = (
        "import sys, harness; from harness import Instance; from harness.problem.networks import fully_connected;"
        "a = Instance.of(fully_connected('linear', (1, 1)), 'exponential', ((1,),), (1,), ((1,), (1,)));"
        "assert harness.drive([a])[0].status == 'converged'; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_same_limits_on_cuda() -> None:
    one, _ = both()
    for a, b in zip(one, drive([limit.instance for limit in one], device="cuda"), strict=True):
        assert_same(a, b)
