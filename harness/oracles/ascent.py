"""The search for a better point nearby: batched ascent of the least margin at fixed norm, in torch, on any device.

A point is no local optimum of (P) where min_i q_i / |theta|^m grows next to it.  Many starts at once, theta itself and
points around it, climb a soft minimum of the margins on the sphere, each with a step and a sharpness of its own: a
step that does not raise the soft minimum is taken back and halved, and where steps have become short it is made
sharper.  The point of the largest true minimum on the way is kept.  What is found is only a guess; certificates prove
it.  That nothing is found proves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.problem.points import Point

STARTS, STEPS = 8, 300
# Distances of the starts from theta, relative to its norm.
RADII = (0.0, 1e-4, 1e-3, 1e-2, 3e-2)
# Steps relative to the norm, and inverse temperatures relative to the least margin.
FIRST_STEP, SHORT, SOFTEST, SHARPEST = 1e-2, 1e-5, 10.0, 1e5
SEED = 0
# Fewer starts where a batch had more numbers, or, on a CPU, all steps took more products: some ten seconds.
MOST_NUMBERS, MOST_PRODUCTS = 2**25, 5 * 10**10
TINY = 1e-300


@dataclass(frozen=True)
class Search:
    """What was found.

    theta: the best point, one float64 vector a layer, its trained part of the norm of the point's.
    gain: by which share its min q is larger, at least 0.  distance: of the best from the point, relative to the norm.
    starts, steps: how hard it looked.
    """

    theta: tuple[np.ndarray, ...]
    gain: float
    distance: float
    starts: int
    steps: int

    @property
    def told(self) -> str:
        """How hard it looked."""
        around = f"{self.starts} starts within {RADII[-1]:g} of it" if self.starts > 1 else "from it"
        return f"{around}, {self.steps} steps of ascent"


def search(point: Point, *, starts: int = STARTS, steps: int = STEPS) -> Search:
    """Climb from the point and from points around it, on the device of the point."""
    import torch

    margins = _Margins(point)
    network = point.problem.network
    begin = torch.as_tensor(network.flat(point.theta), device=point.device)
    starts = min(starts, MOST_NUMBERS // margins.numbers)
    if begin.device.type == "cpu":
        starts = min(starts, MOST_PRODUCTS // (steps * margins.products))
    starts = max(1, starts)
    with torch.no_grad():
        climb = _Climb(margins, begin, starts)
    for _ in range(steps):
        climb.step()
    winner = int(climb.best.argmax())
    gain = max(0.0, float(climb.best[winner] / climb.here) - 1.0)
    found = climb.found[winner] if gain else begin
    distance = float((found - begin).norm() / begin.norm())
    trained = iter(network.split(found.cpu().numpy()))
    theta = tuple(part if own else u for u, part, own in zip(point.theta, trained, network.trained, strict=True))
    return Search(theta, gain, distance, starts, steps)


class _Climb:
    """Where every start is: z (B, N) on the sphere; found, best: the largest min q on its way, and where that was."""

    def __init__(self, margins: _Margins, begin: Any, starts: int) -> None:
        import torch

        self.margins, self.size = margins, begin.norm()
        generator = torch.Generator().manual_seed(SEED)
        noise = torch.randn((starts, len(begin)), dtype=torch.float64, generator=generator).to(begin.device)
        radii = torch.tensor([RADII[k % len(RADII)] for k in range(starts)], dtype=torch.float64, device=begin.device)
        self.z = self._on_sphere(begin + (radii * self.size / noise.norm(dim=1))[:, None] * noise)
        self.here = margins(begin[None]).min()
        self.best, self.found = margins(self.z).min(dim=1).values, self.z
        self.pace = torch.full_like(radii, FIRST_STEP)
        self.beta = torch.full_like(radii, SOFTEST) / self.here

    def step(self) -> None:
        """One step of every start, taken back where it does not raise the soft minimum."""
        import torch

        at = self.z.clone().requires_grad_(True)
        soft = self._soft(self.margins(at))
        (slope,) = torch.autograd.grad(soft.sum(), at)
        with torch.no_grad():
            slope = slope - (slope * self.z).sum(dim=1, keepdim=True) / self.size**2 * self.z
            length = slope.norm(dim=1).clamp_min(TINY)
            trial = self._on_sphere(self.z + (self.pace * self.size / length)[:, None] * slope)
            q = self.margins(trial)
            least = q.min(dim=1).values
            higher = self._soft(q) > soft
            better = higher & (least > self.best)
            self.z = torch.where(higher[:, None], trial, self.z)
            self.best = torch.where(better, least, self.best)
            self.found = torch.where(better[:, None], trial, self.found)
            self.pace = torch.where(higher, self.pace * 1.5, self.pace * 0.5)
            short = (self.pace < SHORT) & (self.beta * self.here < SHARPEST)
            self.beta = torch.where(short, self.beta * 10.0, self.beta)
            self.pace = torch.where(short, FIRST_STEP, self.pace)

    def _soft(self, q: Any) -> Any:
        """The soft minimum of every start, (B,)."""
        import torch

        return -torch.logsumexp(-self.beta[:, None] * q, dim=1) / self.beta

    def _on_sphere(self, z: Any) -> Any:
        return z * (self.size / z.norm(dim=1))[:, None]


class _Margins:
    """The margins of a batch of parameters, in torch.

    numbers: of the largest array of one start.  products: of its forward pass.
    """

    def __init__(self, point: Point) -> None:
        import torch

        def moved(array: np.ndarray) -> Any:
            return torch.as_tensor(np.array(array), device=point.device)

        problem = point.problem
        self.network = network = problem.network
        self.x, self.seeds = moved(problem.x_float), moved(problem.seeds)
        self.samples = moved(np.array([sample for sample, _ in problem.rows]))
        self.fixed = [None if own is None else moved(own)[None] for own in network.fixed_float]
        self.tables = [moved(table) for table in network.tables]
        self.numbers = max(max(table.size, problem.n * len(table)) for table in network.tables)
        self.products = problem.n * sum(table.size for table in network.tables)

    def __call__(self, z: Any) -> Any:
        """(B, R) of z (B, N)."""
        import torch

        h, network = self.x[None].expand(len(z), -1, -1), self.network
        for layer, fixed in enumerate(self.fixed):
            if layer and network.kinked:
                h = h.where(h > 0, float(network.slope) * h)
            u = z[:, network.offsets[layer] : network.offsets[layer + 1]] if fixed is None else fixed
            # index -1 takes the appended zero
            matrix = torch.cat([u, u.new_zeros((len(u), 1))], dim=1)[:, self.tables[layer]]
            h = h @ matrix.transpose(1, 2)
        return (h[:, self.samples] * self.seeds).sum(dim=2)
