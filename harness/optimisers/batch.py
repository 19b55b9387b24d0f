"""Many instances of one shape as tensors: their margins, and the slope of the loss, at theta (B, N).

Where the margins are linear in theta it lies in memory with the batch last, as what a step makes of it then does: a
step is a few long loops, not many short ones.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from harness.flow.batched.kernel import Forward, Networks, combined, values, weights_of
from harness.flow.batched.lanes import padded_wiring, sharing_of
from harness.optimisers.losses import weights
from harness.problem.evaluation import evaluate
from harness.problem.instances import Instance
from harness.problem.networks import Network


@dataclass(frozen=True)
class Slope:
    """The loss L at theta: log_loss (B,), and -grad L = exp(log_size) ascent, log_size (B,), ascent (B, N).

    ascent is the mean of the margins' gradients under weights of sum 1: of moderate size however small L is.
    margins: (B, R).
    """

    log_loss: Tensor
    log_size: Tensor
    ascent: Tensor
    margins: Tensor

    @property
    def of_loss(self) -> Tensor:
        """-grad L (B, N); what is too small for the floats is zero."""
        return torch.exp(self.log_size).unsqueeze(1) * self.ascent

    @property
    def of_log_loss(self) -> Tensor:
        """-grad log L (B, N)."""
        return torch.exp(self.log_size - self.log_loss).unsqueeze(1) * self.ascent


@dataclass(frozen=True)
class Batch:
    """B instances of one shape, on one device.

    network: that of the first; the others differ from it in the numbers of fixed layers at most.  start: theta0 (B, N).
    lines: the gradients of the margins (N, R, B) where these are linear in theta, else None, and net is there.
    group: how many margins a point has.
    """

    network: Network
    logistic: bool
    group: int
    start: Tensor
    lines: Tensor | None
    net: Networks | None

    @classmethod
    def of(cls, instances: Sequence[Instance], device: str | torch.device = "cpu") -> Batch:
        """Of instances with one `shape`."""
        network = instances[0].network
        start = torch.from_numpy(np.stack([one.network.flat(one.theta0_float) for one in instances])).to(device)
        logistic, group = instances[0].loss == "logistic", instances[0].problem.group
        if network.degree > 1 or (network.kinked and not network.trained[-1]):
            return cls(network, logistic, group, start, None, _net(instances, device))
        lines = torch.from_numpy(np.stack([_lines(one) for one in instances], axis=-1)).to(device)
        return cls(network, logistic, group, start.T.contiguous().T, lines, None)

    def slope(self, theta: Tensor) -> Slope:
        """The loss and its gradient at theta (B, N); a neuron with the input zero is off, as in torch."""
        if self.lines is not None:
            # sums over the first axis leave the batch last
            q = (self.lines * theta.T.unsqueeze(1)).sum(0).T
            found = weights(q, self.logistic, self.group)
            return Slope(found.log_loss, found.log_size, (self.lines * found.p.T).sum(1).T, q)
        assert self.net is not None
        net, at = _gated(self.net, torch.nn.functional.pad(theta, (0, 1)), float(self.network.slope))
        q = values(net, at)
        found = weights(q, self.logistic, self.group)
        ascent, _ = combined(net, at, found.p)
        return Slope(found.log_loss, found.log_size, ascent[:, :-1], q)


def shape(instance: Instance) -> Hashable:
    """What instances of one batch have in common."""
    network = instance.network
    return network.patterns, network.slope, network.trained, instance.n, instance.loss


def _lines(instance: Instance) -> np.ndarray:
    """The gradients (N, R) of margins that are linear in theta."""
    at = evaluate(instance.network, instance.theta0_float, instance.problem.inputs)
    return at.backward(instance.problem.seeds)[0].T


def _net(instances: Sequence[Instance], device: str | torch.device) -> Networks:
    """The networks; their gates are those of each step, and stand here only for whether there are any."""
    network = instances[0].network
    layers = tuple((len(pattern), len(pattern[0])) for pattern in network.patterns)
    batch = len(instances)
    wires = [padded_wiring(one.network, layers, network.size + 1, sharing_of(network)) for one in instances]
    index, value, entries, present = (torch.from_numpy(np.stack(part)).to(device) for part in zip(*wires, strict=True))
    unread = torch.empty(batch, 0, dtype=torch.float64, device=device)
    return Networks(
        x=torch.from_numpy(np.stack([one.problem.inputs for one in instances])).to(device),
        gates=(unread,) if network.kinked else (),
        seeds=(torch.from_numpy(np.stack([one.problem.seeds for one in instances])).to(device),),
        index=index,
        value=value,
        entries=entries,
        present=present,
        trained=unread,
        power=unread,
        gain=unread,
        layers=layers,
    )


def _gated(net: Networks, theta: Tensor, slope: float) -> tuple[Networks, Forward]:
    """One pass at theta (B, N + 1) with the gates that it meets, and the networks with these gates."""
    matrices = weights_of(net, theta)
    inputs, pre, gates = [net.x], list[Tensor](), list[Tensor]()
    # in the numbers of theta: a plain number would be rounded to float32
    on, off = theta.new_tensor(1.0), theta.new_tensor(slope)
    for layer, matrix in enumerate(matrices):
        pre.append(inputs[-1] @ matrix.transpose(1, 2))
        if layer == net.depth - 1:
            break
        if net.gates:
            gates.append(torch.where(pre[-1] > 0.0, on, off))
        inputs.append(pre[-1] * gates[-1] if net.gates else pre[-1])
    return replace(net, gates=tuple(gates)), Forward(matrices, inputs, pre)
