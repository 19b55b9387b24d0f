"""The compiled kernel against automatic differentiation, on random pattern networks with random gates."""

from __future__ import annotations

from collections.abc import Generator
from fractions import Fraction

import numpy as np
import pytest
import torch

from harness.flow.compiled.kernel import (
    backward,
    columns_of,
    entries_of,
    evaluate,
    forward,
    gradient,
    hessian,
    lu_factor,
    lu_solve,
    unit_gradient,
    wiring,
)
from harness.problem.networks import Network

KINDS = ("relu", "slope 1/2", "slope -1", "slope 2", "last fixed", "middle fixed", "classes", "all")
CASES = [(kind, depth, shared, seed) for kind in KINDS for depth in (1, 2, 3, 4) for shared in (False, True)
         for seed in range(4 if kind == "relu" else 2)
         if depth > 1 or kind in ("relu", "classes")]  # fmt: skip


class Case:
    """A random network of a kind and a depth, data, gates on either side and parameters.

    middle: the last layer but one.  all: slope 1/2, that layer fixed, and three outputs.
    """

    def __init__(self, kind: str, depth: int, shared: bool, seed: int) -> None:
        rng = np.random.default_rng([depth, shared, seed])
        self.rng = rng
        outputs = 3 if kind in ("classes", "all") else 1
        widths = [int(w) for w in rng.integers(1, 4, depth)] + [outputs]
        slope = Fraction(kind.removeprefix("slope ")) if kind.startswith("slope") else Fraction(1, 2) * (kind == "all")
        network = Network(
            "leaky_relu", tuple(_pattern(rng, *s, shared) for s in zip(widths[1:], widths, strict=False)), slope
        )
        layer = {"last fixed": depth, "middle fixed": depth - 1, "all": depth - 1}.get(kind)
        if layer:
            network = network.fixing({layer: rng.standard_normal(network.sizes[layer - 1]).tolist()})
        self.network = network
        self.net = wiring(network)
        n, units = 3, int(self.net.uptr[-1])
        self.x = rng.standard_normal((n, widths[0]))
        self.seeds = rng.choice([-1.0, 1.0], (n, outputs))
        self.gates = np.ones((n, units))
        hidden = slice(widths[0], units - outputs)
        self.gates[:, hidden] = np.where(rng.integers(0, 2, self.gates[:, hidden].shape), 1.0, float(slope))
        self.theta = rng.standard_normal(network.size)

    def torch_preactivations(self, theta: torch.Tensor) -> torch.Tensor:
        """All units (n, units), inputs first, as the kernel numbers them; the gates multiply the activations."""
        h = torch.tensor(self.x)
        columns, start, unit = [h], 0, self.x.shape[1]
        for layer, (pattern, size) in enumerate(zip(self.network.patterns, self.network.sizes, strict=True)):
            fixed = self.network.fixed[layer]
            own = theta[start : start + size] if fixed is None else torch.tensor([float(a) for a in fixed])
            padded = torch.cat([own, torch.zeros(1)])
            pre = h @ padded[torch.tensor(pattern)].T
            columns.append(pre)
            if layer < self.network.depth - 1:
                h = pre * torch.tensor(self.gates[:, unit : unit + len(pattern)])
            start, unit = start + size * (fixed is None), unit + len(pattern)
        return torch.cat(columns, dim=1)

    def evaluate(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        return evaluate(self.net, self.theta, self.x, self.seeds, self.gates)


@pytest.fixture(autouse=True)
def in_float64() -> Generator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def _pattern(rng: np.random.Generator, rows: int, cols: int, shared: bool) -> tuple[tuple[int, ...], ...]:
    """Entries dropped at random; shared: parameters drawn from few, else each its own."""
    present = rng.random((rows, cols)) < 0.8
    present[rng.integers(rows), rng.integers(cols)] = True
    count = int(present.sum())
    labels = rng.integers(0, max(1, (count + 1) // 2), count) if shared else rng.permutation(count)
    out = np.full((rows, cols), -1)
    out[present] = np.unique(labels, return_inverse=True)[1]
    return tuple(tuple(int(k) for k in row) for row in out)


@pytest.mark.parametrize(("kind", "depth", "shared", "seed"), CASES)
def test_margins_and_gradients(kind: str, depth: int, shared: bool, seed: int) -> None:
    case = Case(kind, depth, shared, seed)
    q, grad, pre, _ = case.evaluate()
    theta = torch.tensor(case.theta, requires_grad=True)
    units = case.torch_preactivations(theta)
    np.testing.assert_allclose(pre, units.detach().numpy(), rtol=1e-12, atol=1e-13)
    outputs = case.network.outputs
    np.testing.assert_allclose(q, (case.seeds * pre[:, -outputs:]).sum(axis=1), rtol=1e-15 if outputs > 1 else 0)
    for i in range(len(q)):
        (expected,) = torch.autograd.grad(torch.tensor(case.seeds[i]) @ units[i, -outputs:], theta, retain_graph=True)
        np.testing.assert_allclose(grad[i], expected.numpy(), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("kind", "depth", "shared", "seed"), CASES)
def test_delta_is_the_derivative_by_the_preactivation(kind: str, depth: int, shared: bool, seed: int) -> None:
    """An amount added to one pre-activation, behind its gate, changes q_i by delta times it: q is multilinear."""
    case = Case(kind, depth, shared, seed)
    q, _, pre, delta = case.evaluate()
    w = entries_of(case.net, case.theta)
    for layer in range(1, depth):
        for unit in range(int(case.net.uptr[layer]), int(case.net.uptr[layer + 1])):
            for i in range(len(q)):
                h = pre[i].copy()
                h[: case.x.shape[1]] = case.x[i]
                h[unit] = pre[i, unit] + 1.0
                for above in range(layer, depth):
                    if above == layer:
                        h[case.net.uptr[above] : case.net.uptr[above + 1]] *= case.gates[
                            i, case.net.uptr[above] : case.net.uptr[above + 1]
                        ]
                        h[unit] = case.gates[i, unit] * pre[i, unit] + 1.0
                    rows = slice(int(case.net.uptr[above + 1]), int(case.net.uptr[above + 2]))
                    h[rows] = 0.0
                    for e in range(int(case.net.ptr[above]), int(case.net.ptr[above + 1])):
                        h[case.net.row[e]] += w[e] * h[case.net.col[e]]
                    h[rows] *= case.gates[i, rows]
                moved = float(case.seeds[i] @ h[-case.network.outputs :])
                assert moved - q[i] == pytest.approx(delta[i, unit], rel=1e-9, abs=1e-11)


@pytest.mark.parametrize(("kind", "depth", "shared", "seed"), CASES)
def test_unit_gradients(kind: str, depth: int, shared: bool, seed: int) -> None:
    case = Case(kind, depth, shared, seed)
    theta = torch.tensor(case.theta, requires_grad=True)
    units = case.torch_preactivations(theta)
    out = np.empty(len(case.theta))
    for i in range(len(case.x)):
        for unit in range(case.x.shape[1], units.shape[1]):
            unit_gradient(case.net, case.theta, case.x[i], case.gates[i], unit, out)
            # what is fixed all the way down has no gradient
            total = units[i, unit] + 0.0 * theta.sum()
            (expected,) = torch.autograd.grad(total, theta, retain_graph=True)
            np.testing.assert_allclose(out, expected.numpy(), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("kind", "depth", "shared", "seed"), CASES)
def test_gradients_and_hessians_of_weighted_sums(kind: str, depth: int, shared: bool, seed: int) -> None:
    """Of the pre-activations of all units on all samples."""
    case = Case(kind, depth, shared, seed)
    seeds = np.zeros_like(case.gates)
    seeds[:, case.x.shape[1] :] = case.rng.standard_normal(seeds[:, case.x.shape[1] :].shape)
    at = columns_of(case.net, case.x, case.gates)
    at.seeds[:, : len(case.x)] = seeds.T
    first, second = np.empty(len(case.theta)), np.empty((len(case.theta), len(case.theta)))
    forward(case.net, case.theta, at)
    backward(case.net, at)
    gradient(case.net, at, first)
    hessian(case.net, at, second)

    def total(theta: torch.Tensor) -> torch.Tensor:
        return (torch.tensor(seeds) * case.torch_preactivations(theta)).sum()

    expected = torch.autograd.functional.hessian(total, torch.tensor(case.theta))
    assert isinstance(expected, torch.Tensor)
    np.testing.assert_allclose(second, expected.numpy(), rtol=1e-11, atol=1e-12)
    expected = torch.autograd.functional.jacobian(total, torch.tensor(case.theta))
    assert isinstance(expected, torch.Tensor)
    np.testing.assert_allclose(first, expected.numpy(), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("size", [1, 2, 5, 12])
def test_lu_solves(size: int) -> None:
    rng = np.random.default_rng(size)
    matrix = rng.standard_normal((size, size))
    matrix[0, 0] = 0.0 if size > 1 else 2.0  # needs a pivot
    right = rng.standard_normal(size)
    factors, piv, solution = matrix.copy(), np.empty(size, dtype=np.int64), right.copy()
    assert lu_factor(factors, piv)
    lu_solve(factors, piv, solution)
    np.testing.assert_allclose(matrix @ solution, right, rtol=0, atol=1e-11)


def test_lu_refuses_a_singular_matrix() -> None:
    matrix = np.array([[1.0, 2.0, 0.0], [2.0, 4.0, 0.0], [0.0, 0.0, 1.0]])
    piv, right = np.empty(3, dtype=np.int64), np.ones(3)
    assert not lu_factor(matrix, piv)
    lu_solve(matrix, piv, right)
    assert np.isnan(right).all(), "nobody takes it for a solution"
    assert not lu_factor(np.array([[np.nan]]), np.empty(1, dtype=np.int64))
