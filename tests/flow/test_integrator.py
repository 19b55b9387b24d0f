"""The integrator's Jacobian against finite differences, and the order of its step against an independent method."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from harness.flow.compiled.by_unit import by_unit_of, linearise
from harness.flow.compiled.field import (
    Cell,
    bends_of,
    field,
    jacobian,
    loss_below,
    no_slides,
    slides_of,
    softmax,
    velocity,
    workspace,
)
from harness.flow.compiled.kernel import SMALL, SMALLEST, unit_sizes, wiring
from harness.flow.compiled.rodas import (
    Frame,
    Linear,
    Stages,
    grade,
    interpolate,
    rosenbrock_step,
    stages_of,
)
from harness.problem.networks import Network, convolutional, diagonal, fully_connected, sparse
from harness.problem.problems import Problem

NETWORKS: dict[str, Network] = {
    "depth 1": fully_connected("linear", (3,)),
    "depth 2": fully_connected("linear", (3, 2)),
    "depth 2, shared": convolutional("linear", 4, 2),
    "depth 3": fully_connected("linear", (2, 2, 2)),
    "depth 3, diagonal": diagonal("linear", 3, 3),
}
# Of every slope, layer that is fixed and number of outputs: each its own degree.
SLOPES = [Fraction(1, 2), Fraction(-1), Fraction(2)]
WIDER: dict[str, Network] = {
    **{f"slope {slope}": fully_connected("leaky_relu", (3, 2), negative_slope=slope) for slope in SLOPES},
    "slope 1/2, depth 3": fully_connected("leaky_relu", (2, 2, 2), negative_slope=SLOPES[0]),
    "last fixed": fully_connected("leaky_relu", (3, 3), negative_slope=SLOPES[0], fixed={2: (1, -1, 1)}),
    "middle fixed": fully_connected("leaky_relu", (2, 2, 2), negative_slope=SLOPES[1], fixed={2: (2, -1, 1, 3)}),
    "three outputs, depth 1": fully_connected("linear", (3,), outputs=3),
    "three outputs": fully_connected("leaky_relu", (3, 2), negative_slope=SLOPES[0], outputs=3),
    "three outputs, last fixed": fully_connected("linear", (2, 2), outputs=3, fixed={2: (1, 2, -1, 0, 3, 1)}),
}


class Setting:
    """A flow at a random theta = c + basis z, with four coordinates or fewer held constant."""

    def __init__(self, network: Network, logistic: bool, seed: int, whole: bool = False) -> None:
        rng = np.random.default_rng(seed)
        net = wiring(network)
        self.size = network.size
        n, slope = 4, float(network.slope)
        x, y = rng.standard_normal((n, network.widths[0])), rng.choice([-1.0, 1.0], n)
        gates = np.ones((n, int(net.uptr[-1])))
        if network.kinked:
            hidden = slice(network.widths[0], -network.outputs)
            gates[:, hidden] = np.where(rng.integers(0, 2, gates[:, hidden].shape), 1.0, slope)
        if network.outputs == 1:
            self.cell = Cell(net, x, y[:, None], gates, logistic, 1.0 - slope, 1)
        else:
            problem = Problem(network, tuple(map(tuple, x)), tuple(rng.integers(0, network.outputs, n)))
            gates = gates[[sample for sample, _ in problem.rows]]
            group = network.outputs - 1
            self.cell = Cell(net, problem.inputs.copy(), problem.seeds.copy(), gates, logistic, 1.0 - slope, group)
        theta = rng.standard_normal(self.size)
        held = np.zeros(self.size, dtype=bool)
        if not whole:
            held[rng.choice(self.size, min(4, self.size // 3), replace=False)] = True
        self.pivots = np.flatnonzero(~held)
        self.basis = np.ascontiguousarray(np.eye(self.size)[:, self.pivots])
        self.c = np.where(held, theta, 0.0)
        self.z = theta[self.pivots].copy()
        self.slides = no_slides(self.size)

    def add_slides(self, curved: bool) -> None:
        """Slides on one flat kink of the first layer, and on one curved one of the second where there is one."""
        net, x, gates, slope = self.cell.net, self.cell.x, self.cell.gates, 1.0 - self.cell.jump
        unit = int(net.uptr[1])
        flat = np.zeros((1, self.size))
        for e in range(int(net.ptr[0]), int(net.ptr[1])):
            if net.row[e] == unit:
                flat[0, net.par[e]] += x[0, net.col[e]]
        gates[0, unit] = slope
        pairs = [(0, unit)]
        if curved:
            pairs.append((1, int(net.uptr[2])))
            gates[pairs[1]] = slope
        normals = np.zeros((len(pairs), self.size))
        length = float(np.linalg.norm(flat))
        normals[0] = flat[0] / length
        sample, owner = (np.array(column) for column in zip(*pairs, strict=True))
        self.slides = slides_of(
            normals, np.array(pairs[1:], dtype=np.int64).reshape(-1, 2), np.arange(len(pairs)), sample, owner,
            np.array([length, 1.0][: len(pairs)]),
        )  # fmt: skip

    def rate(self, z: np.ndarray) -> np.ndarray:
        work = workspace(self.cell)
        velocity(self.cell, self.c + self.basis @ z, self.slides, work)
        return work.v

    def jacobian(self) -> np.ndarray:
        work = workspace(self.cell)
        theta = self.c + self.basis @ self.z
        rho, out = field(self.cell, theta, work), np.empty_like(self.basis)
        bends = bends_of(self.size, len(self.cell.x), len(self.z))
        jacobian(self.cell, theta, self.slides, work, rho, self.basis, self.pivots, bends, out)
        # the basis is one of unit vectors, which may be left out
        rho, again = field(self.cell, theta, work), np.empty_like(out)
        jacobian(self.cell, theta, self.slides, work, rho, self.basis[:, :0].copy(), self.pivots, bends, again)
        np.testing.assert_array_equal(again, out)
        return out

    def step(self, z: np.ndarray, h: float, scales: np.ndarray | None = None) -> tuple[np.ndarray, Stages]:
        """One step of size h from z: its end, and its stages; scales (r,): of graded coordinates."""
        held, self.z = self.z, z
        jac = self.jacobian()[self.pivots]
        self.z = held
        own = by_unit_of(self.cell.net, self.slides, self.size, len(self.cell.x), False)
        graded, scales = scales is not None, np.ones(len(z)) if scales is None else scales
        jac = jac * scales / scales[:, None]
        return self._step(z, h, self.basis, Linear(self.rate(z)[self.pivots], jac, own, scales, graded, 0.0))

    def step_by_unit(self, z: np.ndarray, h: float) -> tuple[np.ndarray, Stages]:
        """The same as a wide network takes it."""
        work, own = workspace(self.cell), by_unit_of(self.cell.net, self.slides, self.size, len(self.cell.x), True)
        field(self.cell, self.c + self.basis @ z, work)
        linearise(self.cell, work, own)
        linear = Linear(self.rate(z)[self.pivots], np.empty((0, 0)), own, np.empty(0), False, 0.0)
        return self._step(z, h, self.basis[:, :0], linear)

    def _step(self, z: np.ndarray, h: float, basis: np.ndarray, linear: Linear) -> tuple[np.ndarray, Stages]:
        wide = not basis.shape[1]
        stages, end = stages_of(len(self.c), len(z), wide), np.empty_like(z)
        frame = Frame(self.cell, self.c, np.ascontiguousarray(basis), self.pivots, self.slides, wide)
        rosenbrock_step(frame, linear, z, h, workspace(self.cell), stages, end)
        return end, stages

    def exact(self, h: float) -> np.ndarray:
        solution = solve_ivp(
            lambda _, z: self.rate(z)[self.pivots], (0.0, h), self.z, method="DOP853", rtol=1e-13, atol=1e-14
        )
        return solution.y[:, -1]


def test_a_graded_step_is_the_step() -> None:
    """In coordinates over their scales the same is solved."""
    rng = np.random.default_rng(3)
    for seed in range(5):
        setting = Setting(fully_connected("relu", (3, 4)), False, seed, whole=True)
        end, stages = setting.step(setting.z, 0.05)
        again, others = setting.step(setting.z, 0.05, 10.0 ** -rng.uniform(0.0, 8.0, len(setting.z)))
        np.testing.assert_allclose(again, end, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(others.k, stages.k, rtol=1e-6, atol=1e-9)


def test_the_scales_are_those_of_small_units() -> None:
    """1 for units that are not small; below, the size over what is small; of a unit beside a fixed layer 1."""
    network = fully_connected("relu", (2, 3))
    w = np.array([3.0, 4.0, 3e-9, 4e-9, 0.0, 0.0])
    theta = np.append(w, [1.0, 0.0, 1e-300])
    rho = float(np.linalg.norm(theta))
    small = 5e-9 / (SMALL * rho)
    expected = np.array([1.0, 1.0, small, small, SMALLEST, SMALLEST, 1.0, small, SMALLEST])
    for fixed in (False, True):
        net = wiring(network.fixing({2: [1, -1, 1]}) if fixed else network)
        size = 6 if fixed else 9
        sizes, room, scales = np.empty(int(net.uptr[-1])), np.empty(size), np.empty(size)
        at = theta[:size].copy()
        unit_sizes(net, at, sizes)
        graded = grade(net, np.arange(size), float(np.linalg.norm(at)), sizes, room, scales)
        assert graded is not fixed
        np.testing.assert_allclose(scales, np.ones(6) if fixed else expected, rtol=1e-6)


@pytest.mark.parametrize("logistic", [False, True])
@pytest.mark.parametrize("name", ["relu", "slope 1/2", "linear", "some weights missing"])
def test_a_step_by_unit_is_the_step(name: str, logistic: bool) -> None:
    """Against the factored Jacobian, with slides on three kinks of one neuron, one of which depends on the others."""
    network = {
        "relu": fully_connected("relu", (4, 6)),
        "slope 1/2": fully_connected("leaky_relu", (4, 6), negative_slope=SLOPES[0]),
        "linear": fully_connected("linear", (3, 5)),
        "some weights missing": sparse("relu", ([[1, 1, 0], [0, 1, 1], [1, 0, 1], [1, 1, 1]], [[1, 1, 0, 1]])),
    }[name]
    for seed in range(5):
        setting = Setting(network, logistic, seed, whole=True)
        net, unit = setting.cell.net, int(setting.cell.net.uptr[1])
        if network.kinked:
            rows = np.zeros((3, setting.size))
            for e in range(int(net.ptr[0]), int(net.ptr[1])):
                if net.row[e] == unit:
                    rows[:2, net.par[e]] = setting.cell.x[:2, net.col[e]]
            rows[2] = rows[0] - rows[1]
            rows /= np.linalg.norm(rows, axis=1)[:, None]
            setting.cell.gates[:2, unit] = float(network.slope)
            places = np.arange(2)
            none = np.zeros((0, 2), dtype=np.int64)
            setting.slides = slides_of(rows, none, places, places, np.array([unit, unit]), np.ones(2))
            setting.slides = setting.slides._replace(
                line=np.arange(3), sample=np.array([0, 1, 1]), unit=np.full(3, unit), scale=np.ones(3)
            )
        for h in (0.01, 0.3):
            (end, stages), (expected, dense) = setting.step_by_unit(setting.z, h), setting.step(setting.z, h)
            scale = np.abs(dense.k).max()
            np.testing.assert_allclose(stages.k, dense.k, rtol=0, atol=1e-10 * scale)
            np.testing.assert_allclose(end, expected, rtol=0, atol=1e-10 * (1.0 + scale))


def assert_jacobian(setting: Setting) -> None:
    step = 1e-5
    columns = [
        (setting.rate(setting.z + step * e) - setting.rate(setting.z - step * e)) / (2 * step)
        for e in np.eye(len(setting.z))
    ]
    numerical = np.array(columns).T
    np.testing.assert_allclose(setting.jacobian(), numerical, rtol=0, atol=2e-8 * (1 + np.abs(numerical).max()))


@pytest.mark.parametrize("logistic", [False, True], ids=["exponential", "logistic"])
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("seed", range(3))
def test_jacobian(name: str, logistic: bool, seed: int) -> None:
    setting = Setting(NETWORKS[name], logistic, seed)
    assert len(setting.z) < setting.size, "some parameters are constant"
    assert_jacobian(setting)


@pytest.mark.parametrize("logistic", [False, True], ids=["exponential", "logistic"])
@pytest.mark.parametrize("name", WIDER)
@pytest.mark.parametrize("seed", range(3))
def test_jacobian_of_wider_networks(name: str, logistic: bool, seed: int) -> None:
    assert_jacobian(Setting(WIDER[name], logistic, seed))


@pytest.mark.parametrize("logistic", [False, True], ids=["exponential", "logistic"])
@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("slope", [Fraction(0), *SLOPES])
@pytest.mark.parametrize("curved", [False, True], ids=["flat", "flat and curved"])
@pytest.mark.parametrize("seed", range(3))
def test_jacobian_on_slides(curved: bool, slope: Fraction, outputs: int, logistic: bool, seed: int) -> None:
    widths = (3, 2, 2) if curved else (3, 2)
    network = fully_connected("leaky_relu", widths, negative_slope=slope, outputs=outputs)
    setting = Setting(network, logistic, seed, whole=True)
    setting.add_slides(curved)
    assert_jacobian(setting)
    rate = setting.rate(setting.z)
    assert np.abs(setting.slides.normals @ rate).max() < 1e-10, "the velocity is tangent to the kinks"


@pytest.mark.parametrize("logistic", [False, True], ids=["exponential", "logistic"])
@pytest.mark.parametrize("name", NETWORKS)
def test_step_has_order_four(name: str, logistic: bool) -> None:
    """The error of one step of an order-4 method falls by 32 when a small step is halved."""
    setting = Setting(NETWORKS[name], logistic, 4)
    errors = []
    for h in 0.4 * 0.5 ** np.arange(8):
        end, _ = setting.step(setting.z, h)
        errors.append(float(np.linalg.norm(end - setting.exact(h))))
    measurable = [e for e in errors if e > 1e-12]
    assert len(measurable) >= 3, f"errors {errors}"
    # one power of h more in a single step than in a whole integration
    assert np.log2(measurable[-2] / measurable[-1]) > 4.6, f"errors {errors}"


def test_the_dense_output_has_order_three() -> None:
    setting = Setting(NETWORKS["depth 3"], False, 1)
    errors = []
    for h in (0.1, 0.05):
        end, stages = setting.step(setting.z, h)
        start, middle, last = np.empty((3, len(end)))
        for s, out in ((0.0, start), (0.5, middle), (1.0, last)):
            interpolate(setting.z, end, stages, s, out)
        errors.append(float(np.linalg.norm(middle - setting.exact(0.5 * h))))
        np.testing.assert_array_equal(last, end)
        np.testing.assert_array_equal(start, setting.z)
    assert np.log2(errors[0] / errors[1]) > 3.4, f"errors {errors}"


@pytest.mark.parametrize("logistic", [False, True], ids=["exponential", "logistic"])
def test_softmax_is_the_normalised_loss_derivative(logistic: bool) -> None:
    q = np.array([-3.0, 0.5, 2.0, 40.0])
    p, slope = np.empty(4), np.empty(4)
    softmax(q, logistic, 1, p, slope)
    weight = 1.0 / (1.0 + np.exp(q)) if logistic else np.exp(-q)
    np.testing.assert_allclose(p, weight / weight.sum(), rtol=1e-13)
    h = 1e-6
    log_weight = (lambda q: -np.logaddexp(0.0, q)) if logistic else (lambda q: -q)
    np.testing.assert_allclose(slope, (log_weight(q - h) - log_weight(q + h)) / (2 * h), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("logistic", [False, True], ids=["exponential", "logistic"])
def test_softmax_does_not_overflow(logistic: bool) -> None:
    for q in (np.array([1e300, 1e300 + 1e285]), np.array([-1e5, 1e5]), np.array([-1e300, 0.0])):
        for group in (1, 2):
            p, slope = np.empty(2), np.empty(2)
            softmax(q, logistic, group, p, slope)
            assert p.sum() == pytest.approx(1.0)
            assert np.isfinite(slope).all()


@pytest.mark.parametrize("logistic", [False, True], ids=["exponential", "logistic"])
def test_softmax_of_classes_is_the_normalised_loss_derivative(logistic: bool) -> None:
    """Two points of three classes; the cross entropy of a point is one logarithm."""
    q = torch.tensor([-3.0, 0.5, 2.0, 9.0], dtype=torch.float64, requires_grad=True)
    losses = torch.log1p(torch.exp(-q.reshape(2, 2)).sum(dim=1)) if logistic else torch.exp(-q)
    (derivative,) = torch.autograd.grad(losses.sum(), q, create_graph=True)
    p, slope = np.empty(4), np.empty(4)
    softmax(q.detach().numpy(), logistic, 2, p, slope)
    np.testing.assert_allclose(p, (derivative / derivative.sum()).detach().numpy(), rtol=1e-13)
    for i in range(4):
        (second,) = torch.autograd.grad(torch.log(-derivative[i]), q, retain_graph=True)
        assert slope[i] == pytest.approx(-float(second[i]), rel=1e-12)


@pytest.mark.parametrize("logistic", [False, True], ids=["exponential", "logistic"])
def test_what_separates_classes(logistic: bool) -> None:
    """Loss below 1, respectively log 2, of the points' losses together."""
    for q in np.random.default_rng(8).normal(1.5, 1.0, (200, 4)):
        terms = np.log1p(np.exp(-q.reshape(2, 2)).sum(axis=1)) if logistic else np.exp(-q)
        assert loss_below(q, logistic, 2) == (terms.sum() < (np.log(2.0) if logistic else 1.0))


def test_the_field_is_homogeneous() -> None:
    """f(theta) = rho^(2-m) sum p_i grad q_i grows like rho for fixed weights p, m the number of trained layers."""
    for name, network in {**NETWORKS, **WIDER}.items():
        setting = Setting(network, False, 5)
        theta = setting.c + setting.basis @ setting.z
        cell = setting.cell
        # one margin alone always has weight 1
        single = cell._replace(x=cell.x[:1].copy(), seeds=cell.seeds[:1].copy(), gates=cell.gates[:1].copy(), group=1)
        assert len(cell.x) > 1
        one, two = workspace(single), workspace(single)
        field(single, theta, one)
        field(single, 2.0 * theta, two)
        np.testing.assert_allclose(two.f, 2.0 * one.f, rtol=1e-13, err_msg=name)
