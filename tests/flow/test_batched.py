"""The batched trainer against the compiled one: two implementations of one specification, each a test of the other."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.families import suite
from harness import drive
from harness.flow.batched.field import field, jacobian, loss_below, margins, slide_coefficients, tangency, velocity
from harness.flow.batched.follow import follow_batch
from harness.flow.batched.kernel import backward, forward, hessian_times, values
from harness.flow.batched.lanes import Lanes, Shape, build
from harness.flow.compiled import field as compiled
from harness.flow.compiled import kernel
from harness.flow.compiled.field import workspace
from harness.flow.compiled.integrator import EVENT
from harness.flow.crossing import cross
from harness.flow.folding import fold
from harness.flow.follow import NeverSeparates, follow
from harness.flow.follow import started as instance_of
from harness.flow.run import Run, Settings
from harness.flow.undecided import LAYERED, RESTING, Undecided
from harness.problem.instances import Instance
from harness.problem.limits import Limit
from harness.problem.networks import Network, fully_connected, preactivations
from tests.support.varied import KINDS, SLOPES, varied

# out of the range in which float64 can follow it
FAR = Instance.from_json("""{"format": 1, "network": {"activation": "linear", "patterns": [[[0, 1], [2, 3]], [[0, 1]]]},
 "loss": "exponential", "x": [[1, 2], [2, 1]], "y": [1, 1], "theta0": [[1e150, 2e150, 1, 1], [1e150, 1e-150]]}""")


@lru_cache(maxsize=1)
def both() -> tuple[list[Limit], list[Limit]]:
    """The limits of mixed draws, generic and integer, by the compiled and by the batched trainer."""
    instances = [*suite(2031, 64, "generic"), *suite(2026, 64, "integer")]
    return [follow(instance) for instance in instances], follow_batch(instances)


@lru_cache(maxsize=1)
def wider() -> tuple[list[Limit], list[Limit]]:
    """The same of every slope, choice of fixed layers and number of outputs, all in one batch."""
    # a lone lane is slow, so what takes long is given up
    instances, few = varied(5, 2 * len(KINDS)), Settings(steps=350, kink_events=5)
    return [follow(instance, few) for instance in instances], follow_batch(instances, few)


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
    for folded in map(fold, instances):
        try:
            runs.append(Run(instance_of(folded), Settings(), False))
        except (Undecided, NeverSeparates):
            continue
    return runs


def sliding(runs: Sequence[Run]) -> list[Run]:
    """The runs that come to slide on a kink within a few events, there."""
    found: list[Run] = []
    for run in runs:
        try:
            for _ in range(8):
                if len(run.slides.normals) or run.advance(-np.inf, run.cap(0)) != EVENT:
                    break
                cross(run)
        except Undecided:
            continue
        if len(run.slides.normals):
            found.append(run)
    return found


def laned(runs: Sequence[Run]) -> tuple[Lanes, torch.Tensor]:
    """The lanes of runs of one depth, and their theta."""
    lanes = build(runs, Shape.of(runs), torch.device("cpu"))
    theta = torch.zeros(len(runs), lanes.basis.shape[1], dtype=torch.float64)
    for b, run in enumerate(runs):
        theta[b, : len(run.constant)] = torch.from_numpy(run.theta)
    return lanes, theta


def _without_time(event: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in event.items() if key != "log_norm"}


def assert_same(one: Limit, two: Limit) -> None:
    """The same flow to the same limit; margins may be large, so relative to 1 + |q|.

    Flows without a limit agree in their reason: where they shrink towards zero, events come down to rounding.  Which
    count is used up first, of steps or of events, is the integrator's.
    """
    assert (one.status, one.reason.split(" after ")[0]) == (two.status, two.reason.split(" after ")[0])
    if one.theta is None or two.theta is None:
        return
    assert [_without_time(event) for event in one.events] == [_without_time(event) for event in two.events]
    assert one.value is not None
    assert two.value is not None
    assert abs(one.value - two.value) <= 1e-9 * one.value
    assert one.point is not None
    assert two.point is not None
    np.testing.assert_allclose(two.point.margins, one.point.margins, rtol=1e-9, atol=1e-9)
    assert [kink.place for kink in one.point.kinks] == [kink.place for kink in two.point.kinks]
    network = one.instance.network
    size = float(np.sqrt(2.0 * one.value)) ** network.degree
    size *= np.prod([np.linalg.norm(numbers) for numbers in network.fixed_float if numbers is not None])
    for x in np.random.default_rng(0).standard_normal((8, one.instance.d)):
        a, b = (preactivations(network, [list(u) for u in limit.theta or ()], list(x))[-1] for limit in (one, two))
        assert np.abs(np.subtract(a, b)).max() <= 1e-9 * size * np.linalg.norm(x)


@pytest.mark.parametrize("limits", [both, wider])
def test_same_limits(limits: Callable[[], tuple[list[Limit], list[Limit]]]) -> None:
    """Same status and predictor on mixed draws; only an undecided flow may differ, and on at most one in a hundred.

    A few more slide on kinks of several layers.
    """
    excused = layered = 0
    for one, two in zip(*limits(), strict=True):
        if two.reason[1:] == LAYERED[1:] + ".":
            layered += 1
        elif one.status != two.status and "undecided" in (one.status, two.status):
            excused += 1
        else:
            assert_same(one, two)
    assert excused <= 1
    assert layered <= 3


def test_the_draws_reach_every_branch() -> None:
    """The comparison is of little worth if its draws meet no kinks, no slides, or never a status."""
    one, _ = both()
    assert set(Counter(limit.status for limit in one)) == {"converged", "never_separates", "undecided"}
    assert {limit.instance.loss for limit in one if limit.status == "converged"} == {"exponential", "logistic"}
    assert {event["gate"] for limit in one for event in limit.events} == {"on", "off", "sliding"}
    assert any(0.0 < kink.coefficient < 1.0 for limit in one if limit.point for kink in limit.point.kinks)
    assert any(len(limit.events) >= 3 for limit in one if limit.status == "converged")


def test_the_wider_draws_reach_every_branch() -> None:
    """Every choice of fixed layers, outputs and loss converges somewhere, every slope, and slides of slopes too."""
    converged = [limit for limit in wider()[0] if limit.status == "converged"]
    networks = [limit.instance.network for limit in converged]
    kinds = {(n.depth, _fixed(n), n.outputs, limit.instance.loss) for n, limit in zip(networks, converged, strict=True)}
    assert len(kinds & set(KINDS)) >= 0.9 * len(KINDS)
    assert {kind[:3] for kind in kinds} == {kind[:3] for kind in KINDS}
    assert {n.slope for n in networks} == set(SLOPES)
    slides = [(limit, e) for limit in converged for e in limit.events if e["gate"] == "sliding"]
    slid = {(e["layer"], limit.instance.network.slope) for limit, e in slides}
    assert {layer for layer, slope in slid if slope} == {1, 2}
    assert any(slope < 0 for _, slope in slid)
    assert any(
        n.outputs > 1 and limit.point and limit.point.kinks for n, limit in zip(networks, converged, strict=True)
    )


def _fixed(network: Network) -> tuple[int, ...]:
    return tuple(layer for layer, own in enumerate(network.trained, start=1) if not own)


def test_same_limits_on_curved_kinks() -> None:
    """Relu networks of depth 3, some of whose limits lie on a kink of the second layer reached by sliding.

    In a batch nothing is looked at after every step, so that an input at rest ends a flow, and so do slides of several
    layers.
    """
    instances, ended = deep(0, 12), 0
    one, two = [follow(instance) for instance in instances], follow_batch(instances)
    converged = [limit for limit in one if limit.status == "converged"]
    assert any(event["gate"] == "sliding" and event["layer"] == 2 for limit in converged for event in limit.events)
    for a, b in zip(one, two, strict=True):
        if b.reason[1:-1] in (RESTING[1:], LAYERED[1:]):
            ended += 1
        else:
            assert_same(a, b)
    assert ended <= 2


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
    runs = started([*suite(3, 24, "generic"), *deep(3, 4), *varied(3, 2 * len(KINDS))])
    for depth in (1, 2, 3):
        chosen = [run for run in runs if run.instance.network.depth == depth]
        assert len(chosen) >= 12
        lanes, theta = laned(chosen)
        at = forward(lanes.net, theta)
        back = backward(lanes.net, at)
        weights = torch.linspace(0.5, 2.0, lanes.samples, dtype=torch.float64).expand(len(chosen), -1)
        weights = torch.nn.functional.pad(weights, (0, lanes.net.x.shape[1] - lanes.samples))
        second = hessian_times(lanes.net, at, back, weights, lanes.along)
        for b, run in enumerate(chosen):
            cell = run.gates.cell
            n, size = len(cell.x), len(run.constant)
            now = compiled.look(cell, run.theta)
            np.testing.assert_allclose(values(lanes.net, at)[b, :n].numpy(), now.q, rtol=1e-12, atol=1e-11)
            np.testing.assert_allclose(back.grad[b, :n, :size].numpy(), now.grad, rtol=1e-12, atol=1e-11)
            assert not back.grad[b, :, size:].any()
            own = kernel.columns_of(cell.net, cell.x, cell.gates)
            own.seeds[-cell.seeds.shape[1] :, :n] = (cell.seeds * weights[b, :n, None].numpy()).T
            whole = np.empty((size, size))
            kernel.forward(cell.net, run.theta, own)
            kernel.backward(cell.net, own)
            kernel.hessian(cell.net, own, whole)
            expected = whole @ run.subspace.basis
            found = second[b, : run.subspace.basis.shape[1], :size].numpy().T
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-11)


def test_the_velocity_and_its_jacobian_agree() -> None:
    """On lanes of both losses, with the gates as they are at the start, and where flows slide."""
    runs = started([*suite(4, 40, "integer"), *varied(4, 3 * len(KINDS))])
    still = [run for run in runs if not len(run.slides.normals)]
    slid = sliding(started([*varied(4, 3 * len(KINDS)), *deep(0, 12)]))
    assert any(len(run.slides.curved) for run in slid)
    assert {run.gates.cell.jump > 0 for run in slid} == {True, False}
    compared = 0
    for chosen in (still, slid):
        for depth in (1, 2, 3):
            flows = [run for run in chosen if run.instance.network.depth == depth]
            if flows:
                compared += _velocities(flows)
    assert compared >= 100


def _velocities(flows: list[Run]) -> int:
    """Compares them on flows of one depth; how many had a Jacobian."""
    lanes, theta = laned(flows)
    now = field(lanes, theta, rows=True)
    lines = tangency(lanes, now) if lanes.slides else None
    speeds, changes = velocity(now, lines), jacobian(lanes, theta, now, lines)
    coefficients, jumps = slide_coefficients(lanes, now, lines) if lines else (theta[:, :0], theta[:, :0])
    alone = None if lanes.curves else field(lanes, theta)
    flat = lanes.normals.shape[1]
    compared = 0
    for b, run in enumerate(flows):
        cell, size = run.gates.cell, len(run.constant)
        work = workspace(cell)
        compiled.velocity(cell, run.theta, run.slides, work)
        expected = work.v.copy()
        rho = compiled.field(cell, run.theta, work)
        scale = float(np.abs(work.f).max()) + 1.0
        np.testing.assert_allclose(now.p[b, : len(cell.x)].numpy(), work.p, rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(now.f[b, :size].numpy(), work.f, rtol=1e-12, atol=1e-12 * scale)
        np.testing.assert_allclose(speeds[b, :size].numpy(), expected, rtol=1e-10, atol=1e-10 * scale)
        if alone:
            np.testing.assert_allclose(alone.f[b].numpy(), now.f[b].numpy(), rtol=1e-12, atol=1e-12 * scale)
        if rho > 0.0:
            expected = np.empty_like(run.subspace.basis)
            bends = compiled.bends_of(size, len(cell.x), expected.shape[1])
            basis, pivots = run.subspace.basis, run.subspace.pivots
            compiled.jacobian(cell, run.theta, run.slides, work, rho, basis, pivots, bends, expected)
            found = changes[b, :size, : expected.shape[1]].numpy()
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max(initial=1.0))
            compared += 1
        s, curved = len(run.slides.normals), len(run.slides.curved)
        compiled.rate(cell, run.theta, work)  # the Jacobian leaves other derivatives in it
        own, sizes = np.empty(s), np.empty(s)
        compiled.slide_coefficients(run.slides, cell, run.theta, work, own, sizes)
        places = [*range(s - curved), *range(flat, flat + curved)]
        np.testing.assert_allclose(coefficients[b, places].numpy(), own, rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(jumps[b, places].numpy(), sizes, rtol=1e-10, atol=1e-10)
    return compared


def test_both_losses_separate_at_the_same_scale() -> None:
    """Whether the loss is below what separates, beside the compiled one, from small parameters to large ones."""
    runs = started(varied(6, 2 * len(KINDS)))
    told: Counter[tuple[bool, bool]] = Counter()
    for depth in (1, 2, 3):
        flows = [run for run in runs if run.instance.network.depth == depth]
        lanes, theta = laned(flows)
        for factor in (0.0, 0.3, 1.0, 3.0, 30.0):
            below = loss_below(lanes, margins(lanes, forward(lanes.net, factor * theta)))
            for b, run in enumerate(flows):
                cell, work = run.gates.cell, workspace(run.gates.cell)
                compiled.field(cell, factor * run.theta, work)
                assert bool(below[b]) == compiled.loss_below(work.q, cell.logistic, cell.group)
                told[cell.logistic and cell.group > 1, bool(below[b])] += 1
    assert min(told.values()) >= 20
    assert len(told) == 4


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
