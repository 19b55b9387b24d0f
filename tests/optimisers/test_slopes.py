"""The loss and its gradient in the log domain, beside what is evaluated plainly, and where nothing can be."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from harness.optimisers import Adam, GradientDescent, Momentum, Steepest, Steps, train
from harness.optimisers.batch import Batch, shape
from harness.optimisers.losses import weights
from harness.problem.evaluation import evaluate
from harness.problem.instances import Instance
from harness.problem.networks import fully_connected
from tests.support.varied import KINDS, varied


def test_as_it_is_evaluated_plainly() -> None:
    """L, its gradient and that of log L, of every kind of network and loss, one instance at a time in numpy."""
    instances = varied(3, 2 * len(KINDS))
    assert {one.loss for one in instances} == {"exponential", "logistic"}
    assert {one.network.outputs for one in instances} >= {1, 3}
    for instance in instances:
        network, problem = instance.network, instance.problem
        batch = Batch.of([instance])
        found = batch.slope(batch.start)
        at = evaluate(network, instance.theta0_float, problem.inputs)
        q = at.margins(problem.seeds).reshape(problem.n, -1)
        if not np.abs(q).max() < 300.0:
            continue
        e = np.exp(-q)
        if instance.loss == "exponential":
            loss, push = e.sum(), e
        else:
            total = e.sum(axis=1, keepdims=True)
            loss, push = np.log1p(total).sum(), e / (1.0 + total)
        pull = push.ravel() @ at.backward(problem.seeds)[0]
        tolerance = 1e-13 * push.sum() * np.abs(at.backward(problem.seeds)[0]).max()
        np.testing.assert_allclose(found.log_loss.numpy(), [np.log(loss)], rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(found.of_loss.numpy()[0], pull, rtol=1e-11, atol=10.0 * tolerance)
        np.testing.assert_allclose(found.of_log_loss.numpy()[0], pull / loss, rtol=1e-11, atol=10.0 * tolerance / loss)
        np.testing.assert_allclose(found.margins.numpy()[0], q.ravel(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("logistic", "group"), [(False, 1), (True, 1), (True, 2)])
@pytest.mark.parametrize("size", [-1e6, -800.0, -3.0, 0.0, 29.9, 30.1, 800.0, 1e6])
def test_beyond_the_floats(size: float, logistic: bool, group: int) -> None:
    """Margins whose exponentials are no floats; where both can be had, the exact numbers to rounding."""
    gaps = np.array([[0.0, 0.5, 1.0, 2.0]])
    q = torch.from_numpy(size + gaps)
    found = weights(q, logistic, group)
    assert torch.isfinite(found.log_loss).all()
    torch.testing.assert_close(found.p.sum(1), torch.ones(1, dtype=torch.float64))
    if size >= 30.0 or not logistic:
        # every loss is then exp(-q), up to a relative exp(-30)
        powers = np.exp(-gaps[0])
        expected = -size + np.log(powers.sum())
        np.testing.assert_allclose(found.log_loss, [expected], rtol=1e-13)
        np.testing.assert_allclose(found.log_size, [expected], rtol=1e-13)
        np.testing.assert_allclose(found.p[0], powers / powers.sum(), atol=1e-12 * max(1.0, abs(size) * 1e-3))
    elif size <= -800.0:
        # a line: the largest -q of each point, each pushed by 1
        lines = (-(size + gaps)).reshape(-1, group).max(axis=1)
        np.testing.assert_allclose(found.log_loss.exp(), [lines.sum()], rtol=1e-3)
        np.testing.assert_allclose(found.log_size.exp(), [4 / group], rtol=1e-15 * max(abs(size), 1e3))


ONE = Instance.of(fully_connected("linear", (1,)), "exponential", [[Fraction(1)]], (1,), [[0]])


def test_what_is_tiny_does_not_stop_a_method_that_is_normalised() -> None:
    """L falls far below the smallest float; what is of the loss's own size then stands still, honestly."""
    for method in (Steepest("l2", Steps(1.0)), GradientDescent(Steps(1.0), normalised=True)):
        (end,) = train([ONE], method, steps=3000)
        np.testing.assert_allclose(end.theta[-1], 3000.0, rtol=1e-12)
        np.testing.assert_allclose(end.log_loss[-1], -3000.0, rtol=1e-12)
    (start,) = train([ONE.changed(theta0=[[2000]])], GradientDescent(), steps=5)
    assert (start.theta == 2000.0).all()
    (start,) = train([ONE.changed(theta0=[[2000]])], Momentum(), steps=5)
    assert (start.theta == 2000.0).all()
    # without eps Adam sees no size: its step is the same at a loss of e^-2000
    near, far = (train([ONE.changed(theta0=[[at]])], Adam(eps=0.0), steps=50)[0] for at in (0, 2000))
    np.testing.assert_allclose(far.theta - 2000.0, near.theta, atol=1e-9)
    (held,) = train([ONE.changed(theta0=[[2000]])], Adam(), steps=50)
    assert (held.theta == 2000.0).all()


def test_what_leaves_the_floats_ends_alone() -> None:
    """A step that is far too large for one instance of a batch; the other goes on as alone."""
    network = fully_connected("linear", (1, 1))
    calm = Instance.of(network, "exponential", [[1]], (1,), [[1], [1]])
    wild = Instance.of(network, "exponential", [[1]], (-1,), [[9], [9]])
    assert shape(calm) == shape(wild)
    one, other = train([calm, wild], GradientDescent(Steps(0.1)), steps=100)
    assert other.step[-1] < other.steps == 100
    assert np.isfinite(other.theta).all()
    (alone,) = train([calm], GradientDescent(Steps(0.1)), steps=100)
    np.testing.assert_array_equal(one.theta, alone.theta)
    assert one.step[-1] == 100
