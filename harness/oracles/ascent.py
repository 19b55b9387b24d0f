"""The search for a better point nearby: batched ascent of the least margin at fixed norm, in torch, on any device.

A point is no local optimum of (P) where min_i q_i / |theta|^m grows next to it.  Many starts at once, theta itself and
points around it, climb a soft minimum of the margins on the sphere, each with a step and a sharpness of its own: a
step that does not raise the soft minimum is taken back and halved, and where steps have become short it is made
sharper.  The point of the largest true minimum on the way is kept.  What is found is only a guess; certificates prove
it.  That nothing is found proves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.problem.networks import Network
from harness.problem.points import Point

STARTS, STEPS = 8, 300
# Distances of the starts from theta, relative to its norm.
RADII = (0.0, 1e-4, 1e-3, 1e-2, 3e-2)
# Steps relative to the norm, and inverse temperatures relative to the least margin.
FIRST_STEP, SHORT, SOFTEST, SHARPEST = 1e-2, 1e-5, 10.0, 1e5
SEED = 0
# Numbers of a batch: fewer starts where they are more.
MOST_NUMBERS = 2**25


@dataclass(frozen=True)
class Search:
    """What was found.  theta: the best point, one float64 vector a layer, of the norm of the point's own.

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
        return f"{self.starts} starts within {RADII[-1]:g} of it, {self.steps} steps of ascent each"


def search(point: Point, *, starts: int = STARTS, steps: int = STEPS, layer: int | None = None) -> Search:
    """Climb from the point and from points around it; layer, from 0: move that one alone."""
    import torch

    network = point.problem.network
    moving = [own if layer is None else k == layer for k, own in enumerate(network.trained)]
    degree = sum(moving)
    device = torch.device(point.device)
    climb = _Climb(point, device)
    starts = max(1, min(starts, MOST_NUMBERS // max(1, climb.numbers)))
    generator = torch.Generator().manual_seed(SEED)
    begin = torch.as_tensor(
        np.concatenate([u for u, own in zip(point.theta, moving, strict=True) if own]), device=device
    )
    size = begin.norm()
    noise = torch.randn((starts, len(begin)), dtype=torch.float64, generator=generator).to(device)
    radii = torch.tensor([RADII[k % len(RADII)] for k in range(starts)], dtype=torch.float64, device=device)
    noise *= (radii * size / noise.norm(dim=1))[:, None]
    z = _on_sphere(begin + noise, size)
    with torch.no_grad():
        here = climb.margins(begin[None], moving).min()
        best, found = climb.margins(z, moving).min(dim=1).values, z
    pace = torch.full((starts,), FIRST_STEP, dtype=torch.float64, device=device)
    beta = torch.full_like(pace, SOFTEST) / here
    for _ in range(steps):
        at = z.clone().requires_grad_(True)
        soft = _soft(climb.margins(at, moving), beta)
        (slope,) = torch.autograd.grad(soft.sum(), at)
        slope = slope - (slope * z).sum(dim=1, keepdim=True) / size**2 * z
        with torch.no_grad():
            trial = _on_sphere(z + (pace * size / slope.norm(dim=1).clamp_min(1e-300))[:, None] * slope, size)
            q = climb.margins(trial, moving)
            higher = _soft(q, beta) > soft
            z = torch.where(higher[:, None], trial, z)
            better = higher & (q.min(dim=1).values > best)
            best, found = torch.where(better, q.min(dim=1).values, best), torch.where(better[:, None], trial, found)
            pace = torch.where(higher, pace * 1.5, pace * 0.5)
            short = (pace < SHORT) & (beta * here < SHARPEST)
            beta = torch.where(short, beta * 10.0, beta)
            pace = torch.where(short, FIRST_STEP, pace)
    # A gain is a rate of min q at fixed norm; the value then falls by the power 2 / degree of it.
    winner = int(best.argmax())
    gain = max(0.0, float(best[winner] / here) - 1.0)
    distance = float((found[winner] - begin).norm() / size)
    return Search(
        _layers(network, point, found[winner].cpu().numpy(), moving), gain if degree else 0.0, distance, starts, steps
    )


def _soft(q: Any, beta: Any) -> Any:
    """The soft minimum of every start, (B,)."""
    import torch

    return -torch.logsumexp(-beta[:, None] * q, dim=1) / beta


def _on_sphere(z: Any, size: Any) -> Any:
    return z * (size / z.norm(dim=1))[:, None]


def _layers(network: Network, point: Point, z: np.ndarray, moving: Sequence[bool]) -> tuple[np.ndarray, ...]:
    """The moving layers from one vector, the others as the point has them."""
    out, start = [], 0
    for u, own, size in zip(point.theta, moving, network.sizes, strict=True):
        out.append(z[start : start + size] if own else u)
        start += size if own else 0
    return tuple(out)


class _Climb:
    """The margins of a batch of parameters, in torch."""

    def __init__(self, point: Point, device: Any) -> None:
        import torch

        problem = point.problem
        self.network = problem.network
        self.x = torch.as_tensor(problem.x_float.copy(), device=device)
        self.samples = torch.as_tensor([sample for sample, _ in problem.rows], device=device)
        self.seeds = torch.as_tensor(problem.seeds.copy(), device=device)
        self.theta = [torch.as_tensor(u, device=device) for u in point.theta]
        self.tables = [torch.as_tensor(table.copy(), device=device) for table in self.network.tables]
        self.slope = float(self.network.slope)
        # of the largest arrays: weights and activations of one start
        self.numbers = max(table.numel() + len(self.x) * len(table) for table in self.tables)

    def margins(self, z: Any, moving: Sequence[bool]) -> Any:
        """(B, R) of z (B, .), the layers that move."""
        import torch

        h, start = self.x[None], 0
        for layer, (table, size) in enumerate(zip(self.tables, self.network.sizes, strict=True)):
            if layer and self.network.kinked:
                h = torch.where(h > 0, h, self.slope * h)
            if moving[layer]:
                u = z[:, start : start + size]
                start += size
            else:
                u = self.theta[layer][None]
            # index -1 takes the appended zero
            matrix = torch.cat([u, u.new_zeros((len(u), 1))], dim=1)[:, table]
            h = h @ matrix.transpose(1, 2)
        return (h[:, self.samples] * self.seeds).sum(dim=2)
