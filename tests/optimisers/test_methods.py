"""The methods step as torch's own do, as their definitions say, and alone as in a batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from harness.optimisers import (
    NAMES,
    Adam,
    GradientDescent,
    Method,
    Mirror,
    Momentum,
    Own,
    Steepest,
    Steps,
    named,
    train,
)
from harness.optimisers.batch import Batch
from harness.problem.fields import FieldError
from harness.problem.instances import Instance
from harness.survey.laws import Cell, draw, stream
from tests.support.varied import KINDS, varied

SMALL = Cell(width=3, n=4, scale=0.5)
LINEAR = Cell(depth=1, n=3, d=3)


def drawn(cell: Cell, count: int, seed: int = 5) -> list[Instance]:
    return [draw(cell, stream(seed, index)) for index in range(count)]


def torch_path(instance: Instance, make: Any, steps: int, off: float = 0.0) -> np.ndarray:
    """theta (steps + 1, N) by torch: its optimiser, its autograd, and a loss written down here.

    off: the start is changed by as much of every weight, up and down in turn.
    """
    network, problem = instance.network, instance.problem
    start = network.flat(instance.theta0_float)
    theta = torch.tensor(start * (1.0 + off * (-1.0) ** np.arange(len(start))), requires_grad=True)
    optimiser = make([theta])
    path = [theta.detach().numpy().copy()]
    tables = [torch.from_numpy(table.copy()) for table in network.tables]
    inputs, seeds = torch.from_numpy(problem.inputs.copy()), torch.from_numpy(problem.seeds.copy())
    for _ in range(steps):
        h, parts = inputs, iter(theta.split(network.of_trained(network.sizes)))
        for layer, (table, fixed) in enumerate(zip(tables, network.fixed_float, strict=True)):
            own = next(parts) if fixed is None else torch.from_numpy(fixed.copy())
            matrix = torch.where(table >= 0, own[table.clamp(min=0)], 0.0)
            h = h @ matrix.T
            if layer < network.depth - 1:
                h = torch.nn.functional.leaky_relu(h, float(network.slope))
        q = (h * seeds).sum(1).reshape(problem.n, -1)
        exponential = torch.exp(-q).sum(1)
        loss = (exponential if instance.loss == "exponential" else torch.log1p(exponential)).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        path.append(theta.detach().numpy().copy())
    return np.array(path)


TORCH: dict[str, tuple[Method, Any]] = {
    "gd": (GradientDescent(Steps(0.01)), lambda p: torch.optim.SGD(p, lr=0.01)),
    "momentum": (Momentum(0.9, Steps(0.01)), lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9)),
    "adam": (Adam(steps=Steps(0.01)), lambda p: torch.optim.Adam(p, lr=0.01)),
    "own": (Own(torch.optim.RMSprop, {"lr": 0.01}), lambda p: torch.optim.RMSprop(p, lr=0.01)),
}


@pytest.mark.parametrize("name", TORCH)
def test_as_torch_steps(name: str) -> None:
    """Every step of 64 instances: all choices of fixed layers, outputs and losses, slopes, and some of one shape."""
    ours, theirs = TORCH[name]
    instances = [*varied(7, len(KINDS)), *drawn(SMALL, 10)]
    steps = 25
    compared = 0
    for training in train(instances, ours, steps=steps, at=range(steps + 1)):
        expected = torch_path(training.instance, theirs, steps)
        # where steps leave the floats, or a change in the last places grows, two ways to round are no comparison
        beside = torch_path(training.instance, theirs, steps, off=1e-15)
        if np.isfinite(expected).all() and np.abs(beside - expected).max() < 1e-13:
            scale = 1.0 + np.abs(expected).max()
            np.testing.assert_allclose(training.theta, expected, rtol=0.0, atol=1e-12 * scale)
            compared += 1
    assert compared >= 52, compared


def test_steepest_directions_attain_the_dual_norm() -> None:
    """N(D) = 1 and <ascent, D> = N*(ascent), for each norm by its own definition."""
    instances = drawn(SMALL, 20)
    batch = Batch.of(instances)
    ascent = batch.slope(batch.start).ascent

    def matrices(flat: torch.Tensor) -> list[torch.Tensor]:
        return [flat[:, :6].reshape(-1, 3, 2), flat[:, 6:].reshape(-1, 1, 3)]

    norms: dict[str, tuple[Any, Any]] = {
        "l2": (lambda u: u.norm(dim=1), lambda g: g.norm(dim=1)),
        "linf": (lambda u: u.abs().amax(1), lambda g: g.abs().sum(1)),
        "l1": (lambda u: u.abs().sum(1), lambda g: g.abs().amax(1)),
        "spectral": (
            lambda u: torch.stack([torch.linalg.matrix_norm(w, 2) for w in matrices(u)]).amax(0),
            lambda g: sum(torch.linalg.matrix_norm(w, "nuc") for w in matrices(g)),
        ),
    }
    live = ascent.abs().amax(1) > 0.0
    assert live.sum() >= 15
    for name, (norm, dual) in norms.items():
        method = Steepest(name, Steps(1.0))  # type: ignore[arg-type]
        moved, _ = method.move(batch.start, batch.slope(batch.start), 1.0, 0, method.begin(batch.network, batch.start))
        direction = moved - batch.start
        torch.testing.assert_close(norm(direction)[live], torch.ones(int(live.sum()), dtype=torch.float64))
        torch.testing.assert_close((direction * ascent).sum(1)[live], dual(ascent)[live])
        assert not direction[~live].any()


def test_mirror_descent_keeps_its_mirror() -> None:
    """p = 2 is gradient descent on log L; for p = 3 the signed squares of theta are what moves by the gradient."""
    instances = drawn(LINEAR, 10)
    plain, two, three = (
        train(instances, method, steps=30, at=range(31))
        for method in (
            GradientDescent(Steps(0.05), normalised=True),
            Mirror(2.0, Steps(0.05)),
            Mirror(3.0, Steps(0.05)),
        )
    )
    for one, other in zip(plain, two, strict=True):
        np.testing.assert_allclose(one.theta, other.theta, rtol=0.0, atol=1e-12)
    for training in three:
        z = np.sign(training.theta) * training.theta**2
        lines = training.instance.x_float * training.instance.y_float[:, None]
        weights = np.exp(-training.theta @ lines.T)
        if training.instance.loss == "exponential":
            pull = (weights / weights.sum(axis=1, keepdims=True)) @ lines
            np.testing.assert_allclose(np.diff(z, axis=0), 0.05 * pull[:-1], atol=1e-12)


def test_adam_without_eps_does_not_see_the_size_of_the_loss() -> None:
    """A point that is copied doubles the loss and no step; with eps it changes them."""
    instances = drawn(LINEAR, 10)
    doubled = [one.changed(x=one.x * 2, y=one.y * 2) for one in instances]
    for eps, same in ((0.0, True), (1e-2, False)):
        method = Adam(eps=eps, steps=Steps(0.05))
        pairs = zip(train(instances, method, steps=100), train(doubled, method, steps=100), strict=True)
        gaps = [float(np.abs(a.theta - b.theta).max()) for a, b in pairs]
        assert (max(gaps) < 1e-10) == same


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_is_its_instances(name: str) -> None:
    """Up to the order of sums: in a batch, alone, and in another order."""
    instances = [*drawn(SMALL, 6), *drawn(LINEAR, 6), *drawn(SMALL, 2, seed=6)]
    method = named(name)
    together = train(instances, method, steps=50)
    backwards = train(instances[::-1], method, steps=50)[::-1]
    for k, one in enumerate(together):
        (alone,) = train([instances[k]], method, steps=50)
        for other in (alone, backwards[k]):
            np.testing.assert_array_equal(one.step, other.step)
            np.testing.assert_allclose(one.theta, other.theta, rtol=1e-9, atol=1e-9)
            np.testing.assert_allclose(one.log_loss, other.log_loss, rtol=1e-9, atol=1e-9)
        assert one.instance is instances[k]


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: named("gd", step_size=0.0), "step-size"),
        (lambda: named("gd", step_size=float("nan")), "step-size"),
        (lambda: named("gd", decay=-1.0), "decay"),
        (lambda: named("gradient"), "optimiser"),
        (lambda: named("gd", beta=0.5), "beta"),
        (lambda: named("momentum", beta=1.0), "beta"),
        (lambda: named("adam", beta1=-0.1), "beta1"),
        (lambda: named("adam", beta2=1.0), "beta2"),
        (lambda: named("adam", eps=-1e-8), "eps"),
        (lambda: named("mirror", p=1.0), "p"),
        (lambda: Steepest("l3"), "norm"),  # type: ignore[arg-type]
        (lambda: Own(torch.optim.SGD, {"lr": -1.0}), "optimiser"),
        (lambda: Own(torch.optim.SGD, {"rate": 1.0}), "optimiser"),
        (lambda: Own(torch.optim.LBFGS), "optimiser"),
        (lambda: train(drawn(LINEAR, 1), GradientDescent(), steps=0), "steps"),
        (lambda: train(drawn(LINEAR, 1), GradientDescent(), device="abacus"), "device"),
        (lambda: train(drawn(Cell("diagonal", n=2), 1), Steepest("spectral")), "norm"),
    ],
)
def test_bad_input_names_its_field(make: Any, field: str) -> None:
    with pytest.raises(FieldError) as caught:
        make()
    assert caught.value.field == field
    assert len(str(caught.value).splitlines()) == 1


def test_own_optimisers_see_matrices_and_no_neighbour() -> None:
    """Muon takes matrices alone; RMSprop with a clipped neighbour would see it."""
    instances = drawn(SMALL, 4)
    method = Own(torch.optim.Muon, {"lr": 0.01})
    together = train(instances, method, steps=10)
    (alone,) = train(instances[:1], method, steps=10)
    np.testing.assert_array_equal(together[0].theta, alone.theta)
    assert np.abs(np.diff(alone.theta, axis=0)).max() > 0.0
