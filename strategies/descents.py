"""Instances with an optimiser: linear classifiers, and networks for the steepest flows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from hypothesis import strategies as st

from harness.optimisers.descents import Descent
from harness.optimisers.setups import Setup
from harness.problem.instances import Instance
from harness.problem.networks import fully_connected
from strategies.architectures import Architecture
from strategies.datasets import LABELS, linearly_separable_datasets, points
from strategies.instances import instances
from strategies.numbers import exact_numbers

NORMS = ("linf", "l1", "l2")
# Large and small, simplest first; powers of two are exact.
_SIZES = (1.0, 0.5, 0.25, 2.0, 0.0625, 0.015625)
_DECAYS = (0.0, 0.0, 0.5, 1.0, 0.25)


@st.composite
def classifiers(draw: st.DrawFn, max_dimension: int = 3, *, separable: bool = True) -> Instance:
    """Depth 1, one output, exponential loss, and any start.

    separable: by a vector; else in most draws.  Shrinks to x = (1), y = 1, w = 0.
    """
    dimension = draw(st.integers(1, max_dimension))
    if separable or draw(st.sampled_from((True, True, True, False))):
        x, y = draw(linearly_separable_datasets(dimension))
    else:
        x = draw(points(dimension))
        y = [draw(st.sampled_from(LABELS)) for _ in x]
    start = draw(st.tuples(*[exact_numbers(2)] * dimension))
    return Instance.of(fully_connected("linear", (dimension,)), "exponential", x, y, [start])


@st.composite
def steepest_descents(draw: st.DrawFn, max_steps: int = 24) -> Descent:
    """Of classifiers, by normalised steepest descent in l_infinity, l_1 or l_2, with any steps."""
    name, size, decay = draw(st.sampled_from(NORMS)), draw(st.sampled_from(_SIZES)), draw(st.sampled_from(_DECAYS))
    setup = Setup(name, draw(st.integers(1, max_steps)), size, decay)
    return Descent.by(setup, draw(classifiers(separable=False)))


@st.composite
def mirror_descents(draw: st.DrawFn, steps: int = 512) -> Descent:
    """Of classifiers, by mirror descent on log L with steps of about a tenth of what moves a margin by one."""
    instance, p = draw(classifiers()), draw(st.sampled_from((2.0, 3.0, 1.5, 4.0, 1.25)))
    size = _below(0.25 / _reach(instance, 2.0) ** 2)
    return Descent.by(Setup("mirror", steps, size, options={"p": p}), instance)


@st.composite
def gradient_descents(draw: st.DrawFn, steps: int = 1024) -> Descent:
    """Of classifiers, by gradient descent with one step size, the largest power of two that gd-svm allows, or less."""
    instance = draw(classifiers())
    loss = math.fsum(math.exp(-q) for q in map(float, instance.problem.margins(instance.theta0)))
    size = _below(1.0 / (_reach(instance, 2.0) ** 2 * loss)) * draw(st.sampled_from((1.0, 1.0, 0.5)))
    return Descent.by(Setup("gd", steps, size), instance)


@st.composite
def adam_descents(draw: st.DrawFn, *, eps: bool, steps: int = 1024) -> Descent:
    """Of classifiers, by Adam; eps: some, and steps of one size, else none, and steps that shrink.

    The more it remembers the smaller are the steps from which its floor tells anything: both betas are mostly small.
    """
    instance = draw(classifiers())
    beta1 = draw(st.sampled_from((0.0, 0.25, 0.0, 0.5, 0.9)))
    beta2 = draw(st.sampled_from([b for b in (0.5, 0.5, 0.75, 0.999) if b >= beta1]))
    options = {"beta1": beta1, "beta2": beta2, "eps": draw(st.sampled_from((1.0, 0.25))) if eps else 0.0}
    share = draw(st.sampled_from((1.0, 0.25) if eps else (0.25, 0.0625)))
    size = _below(share / _reach(instance, 2.0 if eps else 1.0))
    return Descent.by(Setup("adam", steps, size, 0.0 if eps else 0.25, options), instance)


@st.composite
def steepest_flows(draw: st.DrawFn, networks: st.SearchStrategy[Architecture], names: Sequence[str] = NORMS) -> Descent:
    """Of networks, from a start of at most 1/2, which is soon left behind.

    With m trained layers a margin moves by norm^(m-1) eta in a step.  So it moves by as much in all of them where the
    sizes fall as t^(1/m - 1), and the norm grows as t^(1/m).
    """
    instance = draw(instances(networks=networks, floats=False))
    largest = max((abs(a) for u in instance.network.of_trained(instance.theta0) for a in u), default=0) or 1
    trained = zip(instance.theta0, instance.network.trained, strict=True)
    near = [[a / Fraction(2 * largest) for a in u] if own else u for u, own in trained]
    setup = Setup(draw(st.sampled_from(names)), 256, 0.5, 1.0 - 1.0 / instance.network.degree)
    return Descent.by(setup, instance.changed(theta0=near))


def _reach(instance: Instance, power: float) -> float:
    """The largest norm of a point in l_1 or l_2."""
    return max(math.fsum(abs(float(a)) ** power for a in row) ** (1.0 / power) for row in instance.x)


def _below(size: float) -> float:
    """The largest power of two that is not above it."""
    return 2.0 ** math.floor(math.log2(size))
