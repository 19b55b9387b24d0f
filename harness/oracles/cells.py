"""Joint closed cells: a sign and an on/off gate for every sample, neuron by neuron, and the best point in one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from math import comb, prod

import numpy as np
from scipy.optimize import nnls

from harness.oracles.cone import CellNeuron, CellSolution, solve_cell
from harness.oracles.programmes import Programme

Cell = tuple[int, tuple[int, ...]]
"""(sign, gates of the samples)."""
Cells = dict[int, Cell]
"""One cell for every active neuron."""


@dataclass(frozen=True)
class Found:
    """A point in joint cells: u and sign for every neuron of the network (zero where not active)."""

    cells: Cells
    solution: CellSolution
    u: list[np.ndarray]
    sign: np.ndarray


def best_in(problem: Programme, cells: Cells) -> Found | None:
    """The best point of the joint cell, of infinite value if it holds no feasible one; None where the solver failed."""
    apart = problem.apart
    parts = []
    for j, (sign, gates) in cells.items():
        patch = apart.neurons[j].patch
        rows = (apart.y * sign * problem.weight(j) * problem.activity(gates))[:, None] * patch
        walls = (2.0 * np.array(gates) - 1.0)[:, None] * patch if apart.kinked else patch[:0]
        parts.append(CellNeuron(j, sign, gates, rows, walls))
    if not parts:
        return None
    solution = solve_cell(parts, problem.name == "layer 1")
    if solution is None:
        return None
    u = [np.zeros(len(neuron.inputs)) for neuron in apart.neurons]
    sign = np.zeros(apart.k, dtype=int)
    for part, vector in zip(parts, solution.u, strict=True):
        u[part.neuron] = vector
        sign[part.neuron] = part.sign
    return Found(cells, solution, u, sign)


def cell_of(problem: Programme, neuron: int, sign: int, direction: np.ndarray, *, local: bool) -> Cell:
    """The cell that `direction` points into; `local` keeps the limit's own gates where they are not zero."""
    apart = problem.apart
    if not apart.kinked:
        return sign, (1,) * apart.n
    gates = apart.neurons[neuron].patch @ direction > 0.0
    if local and apart.sign[neuron]:
        own = apart.gates[:, neuron]
        gates = np.where(own == 0, gates, own > 0)
    return sign, tuple(gates.astype(int).tolist())


def joint_cells(problem: Programme, scope: str) -> tuple[int, Iterator[Cells]]:
    """How many joint cells there are, and all of them.

    scope "local": those that have the limit in their closure: a kink is on or off, a dead neuron has every cell
    of either sign.  scope "global": every cell of every neuron, in the full problem with either sign.  Neurons with
    the same inputs, weight and choices are interchangeable and are listed in one order only.  Gate patterns
    that only a lower-dimensional cone realises are listed too: they are harmless and not worth the test.
    """
    apart = problem.apart
    groups: dict[object, list[int]] = {}
    options: dict[int, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]] = {}
    for j in problem.active:
        own, s = apart.gates[:, j], int(apart.sign[j])
        anywhere = scope == "global" or not s
        patch = apart.neurons[j].patch
        free = tuple(i for i in range(apart.n) if patch[i].any() and (anywhere or own[i] == 0))
        on = () if anywhere else tuple(np.flatnonzero(own > 0).tolist())
        signs = (1, -1) if anywhere and problem.name == "full" else (s,)
        options[j] = (signs, on, free)
        groups.setdefault((apart.neurons[j].inputs, problem.weight(j), options[j]), []).append(j)
    count = prod(
        comb(len(options[group[0]][0]) * 2 ** len(options[group[0]][2]) + len(group) - 1, len(group))
        for group in groups.values()
    )

    def every(j: int) -> Iterator[Cell]:
        signs, on, free = options[j]
        for sign in signs:
            for choice in itertools.product((0, 1), repeat=len(free)):
                gates = [0] * apart.n
                for i in (*on, *(i for i, taken in zip(free, choice, strict=True) if taken)):
                    gates[i] = 1
                yield sign, tuple(gates)

    def joint() -> Iterator[Cells]:
        members = list(groups.values())
        order = [j for group in members for j in group]
        picks = [itertools.combinations_with_replacement(every(group[0]), len(group)) for group in members]
        for choice in itertools.product(*picks):
            chosen = dict(zip(order, itertools.chain.from_iterable(choice), strict=True))
            yield {j: chosen[j] for j in problem.active}

    return count, joint()


def hopeless(problem: Programme, cells: Cells) -> tuple[np.ndarray, dict[int, dict[int, float]]] | None:
    """alpha and nu (by neuron and sample) that show the joint cell to be infeasible at a glance, if they do.

    In a cell every neuron's part of q_i has a sign; where none is positive, q_i <= 0.
    """
    apart = problem.apart
    for i in range(apart.n):
        parts = {
            j: problem.weight(j) * apart.y[i] * sign * (1.0 if gates[i] else -apart.slope)
            for j, (sign, gates) in cells.items()
        }
        if all(part <= 0.0 for part in parts.values()):
            alpha = np.zeros(apart.n)
            alpha[i] = 1.0
            return alpha, {j: {i: -part} for j, part in parts.items() if part}
    return None


class Pool:
    """Multipliers that proved one joint cell, tried on others: each neuron's slope in each of its cells is kept."""

    def __init__(self, problem: Programme) -> None:
        self.problem = problem
        self.alphas: list[np.ndarray] = []
        self._slopes: dict[tuple[int, int, Cell], tuple[float, np.ndarray]] = {}
        self._latest = 0

    def add(self, alpha: np.ndarray) -> None:
        self.alphas.append(alpha)
        self._latest = len(self.alphas) - 1

    def proof(self, cells: Cells, value: float) -> tuple[np.ndarray, dict[int, dict[int, float]]] | None:
        """alpha and nu (by neuron and sample) that bound the joint cell by the value, if some in the pool do."""
        order = [self._latest, *(a for a in range(len(self.alphas)) if a != self._latest)] if self.alphas else []
        for at in order:
            nu: dict[int, dict[int, float]] = {}
            total, largest, squares = float(self.alphas[at].sum()), 0.0, 0.0
            for j, cell in cells.items():
                slope, walls = self._slope(at, j, cell)
                largest, squares = max(largest, slope), squares + slope**2
                nu[j] = {i: v for i, v in enumerate(walls.tolist()) if v}
                if self._bound(total, largest, squares) < value:
                    break
            else:
                self._latest = at
                return self.alphas[at], nu
        return None

    def _bound(self, total: float, largest: float, squares: float) -> float:
        if self.problem.name == "full":
            return total / max(largest, 1e-300)
        return 0.5 * total**2 / max(squares, 1e-300)

    def _slope(self, at: int, neuron: int, cell: Cell) -> tuple[float, np.ndarray]:
        """The least norm of the pull on a neuron over the multipliers of its cell's walls, and these."""
        key = (at, neuron, cell)
        if key not in self._slopes:
            apart, (sign, gates) = self.problem.apart, cell
            patch, activity = apart.neurons[neuron].patch, self.problem.activity(gates)
            pull = (self.alphas[at] * apart.y * sign * self.problem.weight(neuron) * activity) @ patch
            walls = (2.0 * np.array(gates) - 1.0)[:, None] * patch
            nu, slope = nnls(walls.T, -pull)
            self._slopes[key] = float(slope), nu
        return self._slopes[key]


def descend(problem: Programme, start: Found, most: int = 40) -> Found:
    """From cell to neighbouring cell while the value falls: across the walls that hold the point back.

    Crosses all of one neuron's walls with a positive multiplier at once, then one at a time.
    At most so many convex problems are solved.
    """
    best, left = start, most
    improved = True
    while improved and left > 0:
        improved = False
        for cells in _across(best):
            left -= 1
            found = best_in(problem, cells)
            if found is not None and found.solution.value < best.solution.value * (1.0 - 1e-7):
                best, improved = found, True
                break
            if left <= 0:
                break
    return best


def _across(found: Found) -> Iterator[Cells]:
    """The joint cells across the pressed walls of `found`."""
    scale = float(found.solution.alpha.max(initial=0.0))
    for (j, (sign, gates)), nu in zip(found.cells.items(), found.solution.nu, strict=True):
        pressed = np.flatnonzero(nu > 1e-6 * scale).tolist()
        flips = [pressed, *([i] for i in pressed)] if len(pressed) > 1 else [pressed] if pressed else []
        for flip in flips:
            turned = tuple(1 - g if i in flip else g for i, g in enumerate(gates))
            yield {**found.cells, j: (sign, turned)}
