"""What people train with: small objects that move theta by one step.

A method reads the slope of the loss (batch.Slope) and keeps what it remembers in a state of its own.  theta is (B, N),
all lanes at once.  Sources: steepest descent in a norm, S. Boyd & L. Vandenberghe, Convex Optimization, 9.4; Adam,
D. P. Kingma & J. Ba, arXiv:1412.6980, as torch.optim.Adam has it; momentum, as torch.optim.SGD has it; mirror descent
with p-norm potentials, C. Sun et al., arXiv:2306.13853.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from harness.optimisers.batch import Slope
from harness.optimisers.steps import Steps
from harness.problem.fields import FieldError
from harness.problem.networks import Network

Norm = Literal["l2", "linf", "l1", "spectral"]
STEADY = Steps()
NORMS: tuple[Norm, ...] = ("l2", "linf", "l1", "spectral")


class Method(Protocol):
    """A rule for one step after the other.

    begin: what is remembered at the start theta0 (B, N); raises FieldError for a network that the method is not for.
    move: theta after step t = 0, 1, ... of size eta, and what is remembered then.  No lane is to depend on another, and
    one that has left the floats is to take no other down.
    """

    @property
    def steps(self) -> Steps: ...

    def begin(self, network: Network, theta: Tensor) -> Any: ...

    def move(self, theta: Tensor, slope: Slope, eta: float, t: int, state: Any) -> tuple[Tensor, Any]: ...


@dataclass(frozen=True)
class GradientDescent:
    """theta - eta grad L, or theta - eta grad log L where it is normalised by the loss."""

    steps: Steps = STEADY
    normalised: bool = False

    def begin(self, network: Network, theta: Tensor) -> None:
        return None

    def move(self, theta: Tensor, slope: Slope, eta: float, t: int, state: None) -> tuple[Tensor, None]:
        return theta + eta * (slope.of_log_loss if self.normalised else slope.of_loss), None


@dataclass(frozen=True)
class Steepest:
    """Normalised steepest descent: theta + eta D with N(D) = 1 and <-grad L, D> = N*(grad L); D = 0 where grad L is.

    l2: the unit gradient.  linf: its signs, sign(0) = 0.  l1: the sign of its largest coordinate, the first of several.
    spectral: U V^T of each layer's gradient U S V^T; N is the largest of the layers' spectral norms, and every entry of
    every layer has to be a parameter of its own.
    """

    norm: Norm = "l2"
    steps: Steps = STEADY

    def __post_init__(self) -> None:
        if self.norm not in NORMS:
            raise FieldError("norm", f"must be one of {', '.join(NORMS)}")

    def begin(self, network: Network, theta: Tensor) -> Callable[[Tensor], Tensor]:
        return _spectral(network) if self.norm == "spectral" else _DIRECTIONS[self.norm]

    def move(
        self, theta: Tensor, slope: Slope, eta: float, t: int, state: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        return theta + eta * state(slope.ascent), state


@dataclass(frozen=True)
class Momentum:
    """Heavy ball: b <- beta b + grad L, theta - eta b."""

    beta: float = 0.9
    steps: Steps = STEADY

    def __post_init__(self) -> None:
        _fraction(self.beta, "beta")

    def begin(self, network: Network, theta: Tensor) -> Tensor:
        return torch.zeros_like(theta)

    def move(self, theta: Tensor, slope: Slope, eta: float, t: int, state: Tensor) -> tuple[Tensor, Tensor]:
        push = self.beta * state + slope.of_loss
        return theta + eta * push, push


@dataclass(frozen=True)
class Adam:
    """Adam, full batch, with torch's places of eps and of the corrections; eps may be 0, and then 0 / 0 is 0.

    The two means of a coordinate are kept relative to the largest gradient that it remembers, so that without eps the
    size of the loss does not matter.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    steps: Steps = STEADY

    def __post_init__(self) -> None:
        _fraction(self.beta1, "beta1")
        _fraction(self.beta2, "beta2")
        if not (math.isfinite(self.eps) and self.eps >= 0.0):
            raise FieldError("eps", "expected a number that is not negative")

    def begin(self, network: Network, theta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The means of gradients and of squares over e^scale and its square, and scale (B, N)."""
        return torch.zeros_like(theta), torch.zeros_like(theta), torch.full_like(theta, -torch.inf)

    def move(
        self, theta: Tensor, slope: Slope, eta: float, t: int, state: tuple[Tensor, Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
        first, second, scale = state
        size = torch.log(slope.ascent.abs()) + slope.log_size.unsqueeze(1)
        # what is remembered fades at least so fast: the scale goes down with it
        fading = math.log(max(self.beta1, math.sqrt(self.beta2))) if max(self.beta1, self.beta2) else -math.inf
        now = torch.maximum(scale + fading, size)
        some = now > -torch.inf
        kept = torch.where(some, torch.exp(scale - now), 0.0)
        own = torch.where(some, torch.sign(slope.ascent) * torch.exp(size - now), 0.0)
        first = self.beta1 * kept * first + (1.0 - self.beta1) * own
        second = self.beta2 * kept * kept * second + (1.0 - self.beta2) * own * own
        root = torch.sqrt(second / (1.0 - self.beta2 ** (t + 1)))
        below = root + self.eps * torch.exp(-now) if self.eps else root
        change = torch.where(some & (below > 0.0), first / (1.0 - self.beta1 ** (t + 1)) / below, 0.0)
        return theta + eta * change, (first, second, now)


@dataclass(frozen=True)
class Mirror:
    """Mirror descent on log L with the potential norm_p^p / p.

    z - eta grad log L, theta = sign(z) |z|^(1 / (p - 1)).
    """

    p: float = 2.0
    steps: Steps = STEADY

    def __post_init__(self) -> None:
        if not (math.isfinite(self.p) and self.p > 1.0):
            raise FieldError("p", "expected a number above 1")

    def begin(self, network: Network, theta: Tensor) -> Tensor:
        return torch.sign(theta) * theta.abs() ** (self.p - 1.0)

    def move(self, theta: Tensor, slope: Slope, eta: float, t: int, state: Tensor) -> tuple[Tensor, Tensor]:
        z = state + eta * slope.of_log_loss
        return torch.sign(z) * z.abs() ** (1.0 / (self.p - 1.0)), z


def _fraction(value: float, field: str) -> None:
    if not 0.0 <= value < 1.0:
        raise FieldError(field, "expected a number from 0 on and below 1")


def _unit(ascent: Tensor) -> Tensor:
    # a square may be below the floats where the entry is not
    largest = ascent.abs().amax(1, keepdim=True)
    scaled = ascent / torch.where(largest > 0.0, largest, 1.0)
    return scaled / torch.linalg.vector_norm(scaled, dim=1, keepdim=True).clamp(min=1.0)


def _largest(ascent: Tensor) -> Tensor:
    place = ascent.abs().argmax(1, keepdim=True)
    return torch.zeros_like(ascent).scatter_(1, place, torch.sign(ascent.gather(1, place)))


def _spectral(network: Network) -> Callable[[Tensor], Tensor]:
    if not network.fully_connected:
        raise FieldError(
            "norm", "spectral needs a network in which every entry of every layer is a parameter of its own"
        )
    shapes = network.of_trained([table.shape for table in network.tables])
    orders = network.of_trained([torch.from_numpy(table.ravel().copy()) for table in network.tables])

    def direction(ascent: Tensor) -> Tensor:
        parts: list[Tensor] = []
        for part, (rows, columns), order in zip(ascent.split([len(o) for o in orders], 1), shapes, orders, strict=True):
            places = order.to(ascent.device)
            if 1 in (rows, columns):
                parts.append(_unit(part))
                continue
            # a lane that has left the floats would stop all others
            matrix = torch.nan_to_num(part[:, places], posinf=0.0, neginf=0.0).reshape(-1, rows, columns)
            u, s, v = torch.linalg.svd(matrix, full_matrices=False)
            # singular values that are rounding have no directions
            there = s > torch.finfo(s.dtype).eps * max(rows, columns) * s[:, :1]
            polar = (u * there.unsqueeze(1)) @ v
            parts.append(torch.empty_like(part).index_copy_(1, places, polar.flatten(1)))
        return torch.cat(parts, 1)

    return direction


_DIRECTIONS: dict[str, Callable[[Tensor], Tensor]] = {"l2": _unit, "linf": torch.sign, "l1": _largest}
