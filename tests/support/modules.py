"""torch modules that have been trained a little, many at once."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import softplus


def moons(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two moons: n points in the plane, and labels 1 and -1."""
    generator = torch.Generator().manual_seed(seed)
    turn = torch.rand(n, generator=generator) * torch.pi
    y = torch.ones(n)
    y[n // 2 :] = -1.0
    x = torch.stack([turn.cos(), turn.sin()], dim=1)
    x[n // 2 :] = torch.tensor([1.0, 0.5]) - x[n // 2 :]
    return x + 0.05 * torch.randn(n, 2, generator=generator), y


def trained(module: nn.Module, x: torch.Tensor, y: torch.Tensor, steps: int, lr: float = 1e-2) -> nn.Module:
    """The module after so many steps of Adam on the logistic loss."""
    optimiser = torch.optim.Adam(module.parameters(), lr=lr)
    for _ in range(steps):
        optimiser.zero_grad()
        softplus(-y * module(x)[:, 0]).mean().backward()
        optimiser.step()
    return module


def trained_together(count: int, n: int, width: int, steps: int) -> list[tuple[nn.Module, torch.Tensor, torch.Tensor]]:
    """So many modules 2-width-1 with a bias in the first layer, each on moons of its own, trained in one batch."""
    torch.manual_seed(0)
    data = [moons(n, seed) for seed in range(count)]
    x, y = torch.stack([x for x, _ in data]), torch.stack([y for _, y in data])
    weights = [torch.randn(count, width, 2), torch.zeros(count, width, 1), torch.randn(count, width, 1) / width**0.5]
    weights = [w.requires_grad_(True) for w in weights]
    optimiser = torch.optim.Adam(weights, lr=3e-2)
    for _ in range(steps):
        optimiser.zero_grad()
        hidden = torch.relu(x @ weights[0].transpose(1, 2) + weights[1].transpose(1, 2))
        softplus(-y * (hidden @ weights[2])[..., 0]).sum().backward()
        optimiser.step()
    out = []
    for k in range(count):
        first, second = nn.Linear(2, width), nn.Linear(width, 1, bias=False)
        with torch.no_grad():
            first.weight[:], first.bias[:] = weights[0][k], weights[1][k, :, 0]
            second.weight[:] = weights[2][k].T
        out.append((nn.Sequential(first, nn.ReLU(), second), *data[k]))
    return out
