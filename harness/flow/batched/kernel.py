"""Many networks with their gates held fixed: margins, gradients and Hessians, as batched dense tensors.

The same mathematics as harness.flow.compiled.kernel in another form, so that each is a test of the other.  All networks
of a batch have one depth m; everything else is padded.  W^l is dense and gathered from theta:

    index (B, E)       entry e of all layers, row by row, is theta[index[e]] + value[e]; the last parameter is a
    value (B, E)       constant zero, and so is the value but in layers that are not trained
    entries (B, N, M)  the entries that share parameter k, and present (B, N, M), 0 where there are fewer than M

A batch has R rows an instance: its samples, which are margins, then virtual rows.  Row values are what gets
differentiated: q_i for a sample, the pre-activation of one hidden unit for a virtual row (a curved kink on which the
flow slides).  A row's value is sum_l seeds^l . pre^l, so both are one formula.  Padded rows have zero seeds.

B instances, R rows, N parameters, E entries, r directions, k_l units of layer l; tensors are float64 on one device.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Networks:
    """x (B, R, d); gates: per hidden layer the slopes (B, R, k_l), empty for linear networks.

    seeds: per layer (B, R, k_l); only the outputs' where there are no virtual rows.  layers: (k_l, k_(l-1)) padded.
    trained (B, m): 1 for the layers that are, 0 for others; power, gain (B, m): up to every layer, how many are, and
    the product of the norms of the others.
    """

    x: Tensor
    gates: tuple[Tensor, ...]
    seeds: tuple[Tensor, ...]
    index: Tensor
    value: Tensor
    entries: Tensor
    present: Tensor
    trained: Tensor
    power: Tensor
    gain: Tensor
    layers: tuple[tuple[int, int], ...]

    @property
    def depth(self) -> int:
        return len(self.layers)

    @property
    def degree(self) -> Tensor:
        """(B, 1)."""
        return self.power[:, -1:]

    @property
    def hidden_seeds(self) -> bool:
        return len(self.seeds) > 1


@dataclass(frozen=True)
class Forward:
    """weights W^l (B, k_l, k_(l-1)), inputs h^(l-1) (B, R, k_(l-1)) and pre-activations (B, R, k_l) of all layers."""

    weights: list[Tensor]
    inputs: list[Tensor]
    pre: list[Tensor]


@dataclass(frozen=True)
class Backward:
    """grad (B, R, N) of the row values.

    deltas: per hidden layer, the derivative by what the unit gives to the layer above, (B, R, k_l).
    backs: per layer, the derivative by the pre-activation, (B, R, k_l).
    """

    grad: Tensor
    deltas: list[Tensor]
    backs: list[Tensor]


@dataclass(frozen=True)
class Directions:
    """A basis (B, N, r) as changes of the weights: per layer (B, k_(l-1), r k_l) and (B, k_l, r k_(l-1))."""

    by_input: tuple[Tensor, ...]
    by_output: tuple[Tensor, ...]


def weights_of(net: Networks, theta: Tensor) -> list[Tensor]:
    return _by_layer(net, theta.gather(1, net.index) + net.value)


def changes_of(net: Networks, change: Tensor) -> list[Tensor]:
    """By how much the weights change with theta: nothing where they are not trained."""
    return _by_layer(net, change.gather(1, net.index))


def _by_layer(net: Networks, flat: Tensor) -> list[Tensor]:
    out, start = [], 0
    for rows, cols in net.layers:
        out.append(flat[:, start : start + rows * cols].reshape(-1, rows, cols))
        start += rows * cols
    return out


def by_parameter(net: Networks, entries: list[Tensor]) -> Tensor:
    """Sum (B, A, k_l, k_(l-1)) over the entries that share a parameter: (B, A, N).

    A gather and a sum, not a scatter: the order of additions is fixed on every device.
    """
    flat = torch.cat([e.flatten(2) for e in entries], dim=2) if len(entries) > 1 else entries[0].flatten(2)
    size, most = net.entries.shape[1:]
    where = net.entries.reshape(-1, 1, size * most).expand(-1, flat.shape[1], -1)
    found = flat.gather(2, where) * net.present.reshape(-1, 1, size * most)
    return found if most == 1 else found.reshape(*found.shape[:2], size, most).sum(3)


def forward(net: Networks, theta: Tensor) -> Forward:
    """One pass at theta (B, N)."""
    weights = weights_of(net, theta)
    inputs, pre = [net.x], []
    for layer, weight in enumerate(weights):
        pre.append(inputs[-1] @ weight.transpose(1, 2))
        if layer < net.depth - 1:
            inputs.append(pre[-1] * net.gates[layer] if net.gates else pre[-1])
    return Forward(weights, inputs, pre)


def values(net: Networks, at: Forward) -> Tensor:
    """The row values (B, R)."""
    out = (at.pre[-1] * net.seeds[-1]).sum(2)
    if net.hidden_seeds:
        for pre, seed in zip(at.pre[:-1], net.seeds[:-1], strict=True):
            out = out + (pre * seed).sum(2)
    return out


def backward(net: Networks, at: Forward) -> Backward:
    """The gradients of the row values."""
    entries: list[Tensor] = []
    deltas: list[Tensor] = []
    backs: list[Tensor] = []
    back = net.seeds[-1]
    for layer in range(net.depth - 1, -1, -1):
        if layer < net.depth - 1:
            deltas.append(back)
            back = back * net.gates[layer] if net.gates else back
            back = back + net.seeds[layer] if net.hidden_seeds else back
        backs.append(back)
        entries.append(back.unsqueeze(3) * at.inputs[layer].unsqueeze(2))
        if layer:
            back = back @ at.weights[layer]
    return Backward(by_parameter(net, entries[::-1]), deltas[::-1], backs[::-1])


def combined(net: Networks, at: Forward, weights: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The gradient (B, N) of the sum of weights (B, R) times row values, and per hidden layer weights times deltas.

    For rows without hidden seeds.  Cheaper than `backward`, which keeps the rows apart.
    """
    entries: list[Tensor] = []
    deltas: list[Tensor] = []
    back = net.seeds[-1] * weights.unsqueeze(2)
    for layer in range(net.depth - 1, -1, -1):
        if layer < net.depth - 1:
            deltas.append(back)
            back = back * net.gates[layer] if net.gates else back
        entries.append((back.transpose(1, 2) @ at.inputs[layer]).unsqueeze(1))
        if layer:
            back = back @ at.weights[layer]
    return by_parameter(net, entries[::-1]).squeeze(1), deltas[::-1]


def directions(net: Networks, basis: Tensor) -> Directions:
    """Columns of basis (B, N, r) in the form that the Hessian takes."""
    batch, _, r = basis.shape
    flat = basis.gather(1, net.index.unsqueeze(2).expand(-1, -1, r))
    by_input, by_output, start = [], [], 0
    for rows, cols in net.layers:
        part = flat[:, start : start + rows * cols].reshape(batch, rows, cols, r)
        by_input.append(part.permute(0, 2, 3, 1).reshape(batch, cols, r * rows))
        by_output.append(part.permute(0, 1, 3, 2).reshape(batch, rows, r * cols))
        start += rows * cols
    return Directions(tuple(by_input), tuple(by_output))


def hessian_times(net: Networks, at: Forward, back: Backward, weights: Tensor, along: Directions) -> Tensor:
    """(sum over rows of weights (B, R) times Hessian of the row's value) times the directions: (B, r, N).

    Forward-over-reverse; the derivatives of all directions are one tensor.
    """
    batch, rows = weights.shape
    r = along.by_input[0].shape[2] // net.layers[0][0]
    tangents: list[Tensor | None] = [None]
    for layer, (units, _) in enumerate(net.layers[:-1]):
        pre = (at.inputs[layer] @ along.by_input[layer]).reshape(batch, rows, r, units)
        below = tangents[-1]
        if below is not None:
            pre = pre + (below.reshape(batch, rows * r, -1) @ at.weights[layer].transpose(1, 2)).reshape(pre.shape)
        tangents.append(pre * net.gates[layer].unsqueeze(2) if net.gates else pre)
    entries: list[Tensor] = []
    back_t: Tensor | None = None
    for layer in range(net.depth - 1, -1, -1):
        units, cols = net.layers[layer]
        if back_t is not None and net.gates:
            back_t = back_t * net.gates[layer].unsqueeze(2)
        weighted = weights.unsqueeze(2) * back.backs[layer]
        out: Tensor | None = None
        tangent = tangents[layer]
        if tangent is not None:
            mixed = weighted.transpose(1, 2) @ tangent.reshape(batch, rows, r * cols)
            out = mixed.reshape(batch, units, r, cols).transpose(1, 2)
        if back_t is not None:
            own = back_t.reshape(batch, rows, r * units).transpose(1, 2) @ at.inputs[layer]
            own = own.reshape(batch, r, units, cols)
            out = own if out is None else out + own
        entries.append(weights.new_zeros(batch, r, units, cols) if out is None else out)
        if layer:
            next_t = (weighted @ along.by_output[layer]).reshape(batch, rows, r, cols)
            if back_t is not None:
                next_t = next_t + (back_t.reshape(batch, rows * r, units) @ at.weights[layer]).reshape(next_t.shape)
            back_t = next_t
    return by_parameter(net, entries[::-1])


def gradients_along(net: Networks, at: Forward, back: Backward, direction: Tensor) -> Tensor:
    """The derivative of every row's gradient along one direction (B, N): (B, R, N)."""
    changes = changes_of(net, direction)
    tangent: Tensor | None = None
    tangents: list[Tensor | None] = [None]
    for layer in range(net.depth - 1):
        pre = at.inputs[layer] @ changes[layer].transpose(1, 2)
        if tangent is not None:
            pre = pre + tangent @ at.weights[layer].transpose(1, 2)
        tangent = pre * net.gates[layer] if net.gates else pre
        tangents.append(tangent)
    entries: list[Tensor] = []
    back_t = torch.zeros_like(net.seeds[-1])
    for layer in range(net.depth - 1, -1, -1):
        if layer < net.depth - 1 and net.gates:
            back_t = back_t * net.gates[layer]
        out = back_t.unsqueeze(3) * at.inputs[layer].unsqueeze(2)
        below = tangents[layer]
        if below is not None:
            out = out + back.backs[layer].unsqueeze(3) * below.unsqueeze(2)
        entries.append(out)
        if layer:
            back_t = back_t @ at.weights[layer] + back.backs[layer] @ changes[layer]
    return by_parameter(net, entries[::-1])
