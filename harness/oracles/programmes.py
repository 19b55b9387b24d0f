"""The margin problem and the problem of the first layer, over regions, in one shape.

    "full"     min sum_j ||u_j||            weight 1 for every neuron
    "layer 1"  min 1/2 sum_j ||w_j||^2      v_j fixed, weight |v_j|: q_i = y_i sum_j s_j sigma(|v_j| w_j . x_i^(j))

With D_j the slope of neuron j on its region (regions.py), every feasible point of the regions costs at least

    full: sum(alpha) / max_j D_j            layer 1: 1/2 sum(alpha)^2 / sum_j (|v_j| D_j)^2.

Both follow from sum(alpha) <= sum_i alpha_i q_i <= sum_j D_j weight_j ||u_j||.  Where the network's last layer is fixed
"layer 1" is the margin problem itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from harness.oracles.apart import Apart
from harness.oracles.regions import Region, Slope, slope

Name = Literal["full", "layer 1"]


@dataclass(frozen=True)
class Programme:
    """name: which of the two.  point: the limit.  value: its own.  active: the neurons that can move."""

    name: Name
    apart: Apart
    value: float
    active: tuple[int, ...]

    def weight(self, neuron: int) -> float:
        """What multiplies u_j in the margins."""
        return 1.0 if self.name == "full" else abs(float(self.apart.v[neuron]))

    def activity(self, gates: Sequence[int]) -> np.ndarray:
        """What sigma multiplies arguments by on these sides, (n,)."""
        return np.where(gates, 1.0, self.apart.slope)

    def bound(self, alpha: np.ndarray, slopes: Iterable[tuple[Region, Slope]]) -> float:
        """The lower bound that the slopes prove, up to rounding."""
        total = float(alpha.sum())
        if self.name == "full":
            largest = max((s.largest for _, s in slopes), default=0.0)
            return total / largest if largest > 0.0 else (np.inf if total > 0.0 else 0.0)
        squares = sum((self.weight(j) * s.largest) ** 2 for r, s in slopes for j in r.owners)
        return 0.5 * total**2 / squares if squares > 0.0 else (np.inf if total > 0.0 else 0.0)

    def slopes(self, regions: list[Region], alpha: np.ndarray) -> list[tuple[Region, Slope]] | None:
        """The slope of every region at alpha; None where a region has too many cases."""
        out = []
        for region in regions:
            found = slope(region, alpha, self.apart.y)
            if found is None:
                return None
            out.append((region, found))
        return out


def full_problem(apart: Apart, *, dead: bool = True) -> Programme:
    """The margin problem; without `dead` the dead neurons are held at zero."""
    value = 0.5 * sum(float(u @ u) for u in apart.theta)
    return Programme("full", apart, value, tuple(j for j in _heard(apart) if dead or apart.sign[j]))


def layer_problem(apart: Apart) -> Programme:
    """The problem of the first layer; a neuron with v_j = 0 cannot contribute."""
    value = 0.5 * float(apart.theta[0] @ apart.theta[0])
    return Programme("layer 1", apart, value, tuple(j for j in _heard(apart) if apart.sign[j]))


def _heard(apart: Apart) -> list[int]:
    """The live neurons that see something of some point; the others have no cells."""
    return [j for j in apart.live if apart.neurons[j].patch.any()]


def local_regions(problem: Programme) -> list[Region]:
    """Near the limit: gates as they are, kinks free, dead neurons free with either sign."""
    apart, out = problem.apart, []
    everything = tuple(range(apart.n))
    for j in problem.active:
        patch = apart.neurons[j].patch
        if not apart.kinked:
            out.append(Region(int(apart.sign[j]) or 1, everything, (), (j,), patch, apart.slope))
        elif apart.sign[j]:
            gate = apart.gates[:, j]
            on = tuple(np.flatnonzero(gate > 0).tolist())
            free = tuple(np.flatnonzero(gate == 0).tolist())
            out.append(Region(int(apart.sign[j]), on, free, (j,), patch, apart.slope))
    dead = [j for j in problem.active if not apart.sign[j]] if apart.kinked else []
    return out + _anywhere(apart, dead, (1, -1))


def global_regions(problem: Programme) -> list[Region]:
    """The whole space of every neuron; for networks with kinks.  In the full problem with either sign."""
    apart = problem.apart
    if problem.name == "full":
        return _anywhere(apart, list(problem.active), (1, -1))
    out = []
    for sign in (1, -1):
        out += _anywhere(apart, [j for j in problem.active if apart.sign[j] == sign], (sign,))
    return out


def _anywhere(apart: Apart, neurons: list[int], signs: tuple[int, ...]) -> list[Region]:
    """Free regions; neurons with the same patch share them."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for j in neurons:
        groups.setdefault(apart.neurons[j].inputs, []).append(j)
    everything = tuple(range(apart.n))
    return [
        Region(sign, (), everything, tuple(owners), apart.neurons[owners[0]].patch, apart.slope)
        for owners in groups.values()
        for sign in signs
    ]
