"""The convex problems, solved by Clarabel, and their answers re-evaluated: no solver is believed.

`solve_cell`: one closed cell for every neuron (a sign and a gate for every sample, a_ij the activity of that gate),

    min sum_j ||u_j||  or  1/2 sum_j ||u_j||^2   s.t.   y_i sum_j s_j a_ij weight_j u_j . x_i >= 1,   G_j u_j >= 0.

`solve_multipliers`: the best multipliers for given regions (regions.py),

    max sum(alpha)  (layer 1: - 1/2 sum_j (weight_j D_j)^2)   s.t.   every listed case has norm <= 1 (<= D_j),
    sum(alpha) <= cap.

`solve_products`: products of inputs, taken from a matrix, that leave it positive semidefinite.

`solve_least_norm`: the point of least norm of a polyhedron.  `solve_spectrum`: that of least sum of the moduli of its
discrete Fourier transform.

Clarabel: min 1/2 x'Px + q'x  s.t.  Ax + s = b, s in a product of cones; the dual z has the sign of A'z + Px + q = 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import clarabel as _clarabel
import numpy as np
from scipy.sparse import csc_matrix

# The compiled module carries no types.
clarabel: Any = _clarabel

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class CellNeuron:
    """neuron: index.  sign: s_j.  gates: (n,) of 0 and 1.  rows: y_i s_j a_ij weight_j x_i, shape (n, d_j).
    walls: G_j, shape (m_j, d_j)."""

    neuron: int
    sign: int
    gates: tuple[int, ...]
    rows: np.ndarray
    walls: np.ndarray


@dataclass(frozen=True)
class CellSolution:
    """u: a vector a neuron, as found.  alpha: (n,), nu: (m_j,) a neuron, clipped at 0.  value: of u scaled to feasible
    margins, in floats; infinite where it has none.  bound: the lower bound that alpha and nu prove on the cell."""

    u: list[np.ndarray]
    alpha: np.ndarray
    nu: list[np.ndarray]
    value: float
    bound: float


def solve_cell(neurons: list[CellNeuron], quadratic: bool) -> CellSolution | None:
    """The best point of one joint closed cell; None where the solver finds none.  `quadratic` is layer 1."""
    n = len(neurons[0].rows)
    dims = [neuron.rows.shape[1] for neuron in neurons]
    walls = [len(neuron.walls) for neuron in neurons]
    lifts = 0 if quadratic else len(neurons)
    width, height = lifts + sum(dims), n + sum(walls)
    a = np.zeros((height + (lifts + sum(dims) if lifts else 0), width))
    b = np.zeros(len(a))
    b[:n] = -1.0
    column, row, cone_row = lifts, n, height
    for j, neuron in enumerate(neurons):
        span = slice(column, column + dims[j])
        a[:n, span] = -neuron.rows
        a[row : row + walls[j], span] = -neuron.walls
        if lifts:
            a[cone_row, j] = -1.0
            np.fill_diagonal(a[cone_row + 1 : cone_row + 1 + dims[j], span], -1.0)
            cone_row += 1 + dims[j]
        column += dims[j]
        row += walls[j]
    cones = [clarabel.NonnegativeConeT(height)]
    if lifts:
        cones += [clarabel.SecondOrderConeT(1 + dim) for dim in dims]
    p = np.zeros((width, width))
    q = np.zeros(width)
    if quadratic:
        np.fill_diagonal(p, 1.0)
    else:
        q[:lifts] = 1.0

    def measure(x: np.ndarray, z: np.ndarray) -> tuple[float, CellSolution]:
        u = np.split(x[lifts:], np.cumsum(dims)[:-1])
        alpha = np.maximum(z[:n], 0.0)
        nu = np.split(np.maximum(z[n:height], 0.0), np.cumsum(walls)[:-1])
        lowest = float(np.sum([m.rows @ part for m, part in zip(neurons, u, strict=True)], axis=0).min())
        pulls = [m.rows.T @ alpha + m.walls.T @ v for m, v in zip(neurons, nu, strict=True)]
        total = alpha.sum()
        if quadratic:
            value = 0.5 * sum(float(part @ part) for part in u)
            square = sum(float(g @ g) for g in pulls)
            bound = 0.5 * total**2 / max(square, 1e-300)
        else:
            value = sum(float(np.linalg.norm(part)) for part in u)
            largest = max(float(np.linalg.norm(g)) for g in pulls)
            bound = total / max(largest, 1e-300)
        if not lowest > 0.0:
            # Where the cell is infeasible, alpha and nu prove a bound as large as rounding allows.
            return 1.0 / max(bound, 1e-300), CellSolution(u, alpha, nu, np.inf, float(bound))
        value /= lowest**2 if quadratic else lowest
        return abs(value - bound) / max(value, 1e-300), CellSolution(u, alpha, nu, float(value), float(bound))

    return _solve(p, q, a, b, cones, measure)


@dataclass(frozen=True)
class Case:
    """One subset A of one region as a constraint on the multipliers.

    owner: which region.  weight: sqrt of the sum of weight_j^2 over its owners.  fixed: the coefficients
    y_i s x_i for on samples and A, else these times the slope of the off side, (n, d).  concave: samples; loose: what
    their on side adds to that, (m, d).
    """

    owner: int
    weight: float
    fixed: np.ndarray
    concave: list[int]
    loose: np.ndarray


@dataclass(frozen=True)
class Multipliers:
    """alpha: (n,).  atoms: per case the vector u that the case's dual carries (the relaxation's own neurons)."""

    alpha: np.ndarray
    atoms: list[np.ndarray]


def solve_multipliers(cases: list[Case], owners: int, n: int, cap: float, quadratic: bool) -> Multipliers | None:
    """The best alpha for the listed cases with sum(alpha) <= cap.  `owners` is the number of regions."""
    loose = [len(case.concave) for case in cases]
    lifts = owners if quadratic else 0
    width = lifts + n + sum(loose)
    plain = 1 + n + 2 * sum(loose)
    a = np.zeros((plain + sum(1 + case.fixed.shape[1] for case in cases), width))
    b = np.zeros(len(a))
    np.fill_diagonal(a[:n, lifts : lifts + n], -1.0)
    a[n, lifts : lifts + n], b[n] = 1.0, cap
    column, row, cone_row = lifts + n, n + 1, plain
    cones: list[Any] = [clarabel.NonnegativeConeT(plain)]
    for case, count in zip(cases, loose, strict=True):
        for m, sample in enumerate(case.concave):
            a[row, column + m] = -1.0
            a[row + 1, column + m] = 1.0
            a[row + 1, lifts + sample] = -1.0
            row += 2
        dim = case.fixed.shape[1]
        if quadratic:
            a[cone_row, case.owner] = -1.0
        else:
            b[cone_row] = 1.0
        span = slice(cone_row + 1, cone_row + 1 + dim)
        a[span, lifts : lifts + n] = -case.weight * case.fixed.T
        if count:
            a[span, column : column + count] = -case.weight * case.loose.T
        cones.append(clarabel.SecondOrderConeT(1 + dim))
        cone_row += 1 + dim
        column += count
    p = np.zeros((width, width))
    np.fill_diagonal(p[:lifts, :lifts], 1.0)
    q = np.zeros(width)
    q[lifts : lifts + n] = -1.0

    def measure(x: np.ndarray, z: np.ndarray) -> tuple[float, Multipliers]:
        alpha = np.maximum(x[lifts : lifts + n], 0.0)
        atoms, at = [], plain
        for case in cases:
            dim = case.fixed.shape[1]
            # (1, p) is complementary to z, so z is a multiple of (1, -p).
            atoms.append(-case.weight * z[at + 1 : at + 1 + dim])
            at += 1 + dim
        return float(np.abs(a.T @ z + p @ x + q).max()), Multipliers(alpha, atoms)

    return _solve(p, q, a, b, cones, measure)


def solve_least_norm(a: np.ndarray, b: np.ndarray) -> np.ndarray | None:
    """Multipliers y >= 0 of min 1/2 |z|^2 s.t. A z >= b, for a: (rows, columns), b: (rows,); None if none are found."""

    def measure(x: np.ndarray, z: np.ndarray) -> tuple[float, np.ndarray]:
        y = np.maximum(z, 0.0)
        pull = a.T @ y
        # The dual value is b'y - 1/2 |A'y|^2; for an infeasible problem y is its proof and of any length.
        gap = abs(float(b @ y) - float(pull @ pull)) / max(float(pull @ pull), 1e-300)
        return gap + float(np.maximum(b - a @ pull, 0.0).max(initial=0.0)), y

    cones = [clarabel.NonnegativeConeT(len(a))]
    return _solve(np.eye(a.shape[1]), np.zeros(a.shape[1]), -a, -b, cones, measure)


def solve_spectrum(z: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """beta (d,) of least sum of |fft(beta)|/d with z beta >= 1, and its multipliers alpha (n,); None if not found."""
    n, d = z.shape
    rows = np.fft.fft(np.eye(d))
    a, b = np.zeros((n + 3 * d, 2 * d)), np.zeros(n + 3 * d)
    a[:n, d:], b[:n] = -z, -1.0
    for k in range(d):
        a[n + 3 * k, k] = -1.0
        a[n + 3 * k + 1, d:], a[n + 3 * k + 2, d:] = -rows[k].real, -rows[k].imag
    cones = [clarabel.NonnegativeConeT(n), *[clarabel.SecondOrderConeT(3)] * d]
    q = np.append(np.full(d, 1.0 / d), np.zeros(d))

    def measure(x: np.ndarray, y: np.ndarray) -> tuple[float, tuple[np.ndarray, np.ndarray]]:
        beta, alpha = x[d:], np.maximum(y[:n], 0.0)
        lowest = float((z @ beta).min())
        value = float(np.abs(np.fft.fft(beta)).sum()) / d
        spectrum = float(np.abs(np.fft.fft(alpha @ z)).max())
        if not lowest > 0.0 or not spectrum > 0.0:
            return np.inf, (beta, alpha)
        value, bound = value / lowest, float(alpha.sum()) / spectrum
        return abs(value - bound) / value, (beta / lowest, alpha)

    return _solve(np.zeros((2 * d, 2 * d)), q, a, b, cones, measure)


def solve_products(q: np.ndarray, products: list[np.ndarray]) -> np.ndarray | None:
    """kappa >= 0 with the least eigenvalue of Q - sum kappa_e products_e as large as may be, up to 1.

    q and products (d, d), symmetric; None if the solver finds nothing.
    """
    d, count = len(q), len(products)
    lower = np.tril_indices(d)
    # clarabel takes the upper triangle by columns, with the entries beside the diagonal times sqrt 2
    scale = np.where(lower[0] == lower[1], 1.0, np.sqrt(2.0))
    a = np.zeros((count + 1 + len(scale), count + 1))
    b = np.zeros(len(a))
    a[:count, :count] = -np.eye(count)
    a[count, count], b[count] = 1.0, 1.0
    for e, one in enumerate(products):
        a[count + 1 :, e] = scale * one[lower]
    a[count + 1 :, count] = scale * np.eye(d)[lower]
    b[count + 1 :] = scale * q[lower]
    cones = [clarabel.NonnegativeConeT(count + 1), clarabel.PSDTriangleConeT(d)]
    goal = np.append(np.zeros(count), -1.0)

    def measure(x: np.ndarray, _: np.ndarray) -> tuple[float, np.ndarray]:
        kappa = np.maximum(x[:count], 0.0)
        rest = q - sum((k * one for k, one in zip(kappa, products, strict=True)), start=np.zeros_like(q))
        return max(float(-np.linalg.eigvalsh(rest)[0]), 0.0), kappa

    return _solve(np.zeros((count + 1, count + 1)), goal, a, b, cones, measure)


def _solve(
    p: np.ndarray,
    q: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    cones: list[Any],
    measure: Callable[[np.ndarray, np.ndarray], tuple[float, Answer]],
) -> Answer | None:
    """min 1/2 x'p x + q'x subject to b - a x in the cones; measure(x, z) gives an error and the answer.

    Run Clarabel, without equilibration if the first answer is poor, and keep the better of the two."""
    best: Answer | None = None
    best_error = np.inf
    sparse_p, sparse_a = csc_matrix(p), csc_matrix(a)
    for equilibrate in (True, False):
        settings = clarabel.DefaultSettings()
        settings.verbose = False
        settings.equilibrate_enable = equilibrate
        settings.max_iter = 60
        settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-12
        solution = clarabel.DefaultSolver(sparse_p, q, sparse_a, b, cones, settings).solve()
        # For an infeasible problem z is the proof of it and x means nothing.
        x, z = np.array(solution.x), np.array(solution.z)
        if "Infeasible" in str(solution.status):
            x = np.zeros_like(x)
        if not (np.isfinite(x).all() and np.isfinite(z).all()):
            continue
        error, answer = measure(x, z)
        if error < best_error:
            best, best_error = answer, error
        if error < 1e-9:
            break
    return best
