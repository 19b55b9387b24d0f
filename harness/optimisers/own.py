"""A user's own optimiser: any class of torch.optim, one object an instance, so that no instance sees another."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from harness.optimisers.batch import Slope
from harness.optimisers.steps import Steps
from harness.problem.fields import FieldError
from harness.problem.networks import Network


@dataclass(frozen=True)
class Own:
    """An optimiser class of torch and its options, for example Own(torch.optim.RMSprop, {"lr": 0.01}).

    Its parameters are the trained layers: the matrix where every entry is a parameter of its own, else the vector.  It
    is given the gradients of the loss, and its steps are its own.  Raises FieldError for options that the class does
    not take, and for a class that evaluates the loss itself.
    """

    optimiser: type[torch.optim.Optimizer]
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        closure = inspect.signature(self.optimiser.step).parameters.get("closure")
        if closure is not None and closure.default is inspect.Parameter.empty:
            raise FieldError("optimiser", f"{self.optimiser.__name__} evaluates the loss itself, and cannot be stepped")
        self._made([torch.zeros(1, 1, dtype=torch.float64)])

    @property
    def steps(self) -> Steps:
        """The learning rate that it starts with."""
        made = self._made([torch.zeros(1, 1, dtype=torch.float64)])
        return Steps(float(made.defaults.get("lr", 1.0)))

    def begin(self, network: Network, theta: Tensor) -> list[tuple[list[Tensor], torch.optim.Optimizer]]:
        """For every instance its parameters and its optimiser."""
        state: list[tuple[list[Tensor], torch.optim.Optimizer]] = []
        for own in theta:
            parameters = _layers(network, own)
            state.append((parameters, self._made(parameters)))
        return state

    def move(
        self,
        theta: Tensor,
        slope: Slope,
        eta: float,
        t: int,
        state: list[tuple[list[Tensor], torch.optim.Optimizer]],
    ) -> tuple[Tensor, list[tuple[list[Tensor], torch.optim.Optimizer]]]:
        """One step of every optimiser."""
        for descent, (parameters, optimiser) in zip(slope.of_loss, state, strict=True):
            for parameter, push in zip(parameters, descent.split([p.numel() for p in parameters]), strict=True):
                parameter.grad = -push.reshape(parameter.shape)
            optimiser.step()
        return torch.stack([torch.cat([p.flatten() for p in parameters]) for parameters, _ in state]), state

    def _made(self, parameters: list[Tensor]) -> torch.optim.Optimizer:
        make: Any = self.optimiser
        try:
            return make(parameters, **self.options)
        except (TypeError, ValueError) as why:
            raise FieldError("optimiser", f"{self.optimiser.__name__}: {str(why).splitlines()[0]}") from None


def _layers(network: Network, theta: Tensor) -> list[Tensor]:
    """The trained layers of theta (N,), copies, as parameters."""
    shapes = network.of_trained([table.shape for table in network.tables])
    plain = network.of_trained([(table.ravel() == range(table.size)).all() for table in network.tables])
    parts = theta.split(network.of_trained(network.sizes))
    return [
        (part.reshape(shape) if own else part).clone() for part, shape, own in zip(parts, shapes, plain, strict=True)
    ]
