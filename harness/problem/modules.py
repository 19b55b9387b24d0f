"""A torch module as a network, points and parameters: the bridge that `Point.from_torch` and `Instance.from_torch` use.

Read are Sequentials of Linear, Conv1d, Conv2d, Flatten and one activation (ReLU, or LeakyReLU of one slope, or none)
between every two layers with weights.  Identity, and Dropout in eval mode, do nothing and are passed over.  A bias of
the first layer becomes weights on a constant coordinate that is appended to every point; a deeper one is not
homogeneous.
Layers whose parameters do not require a gradient are fixed ones of the network.

Everything else is refused in one line that names the layer.  Numbers are taken at their exact values.
torch is imported here and only when a module is read.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from harness.problem.fields import FieldError
from harness.problem.networks import Activation, Network
from harness.problem.problems import Problem


@dataclass(frozen=True)
class Brought:
    """What a module says.  theta: one float64 vector a layer.  device: the torch device of its parameters."""

    problem: Problem
    theta: tuple[np.ndarray, ...]
    device: str


@dataclass(frozen=True)
class _Weights:
    """A layer with weights.  pattern: (units, inputs).  numbers: (size,), the weights and then the biases.

    biased: whether the last column of the pattern is that of the constant coordinate.
    """

    place: str
    pattern: np.ndarray
    numbers: np.ndarray
    biased: bool
    trained: bool
    device: str


def read_module(module: Any, x: Any, y: Any) -> Brought:
    """The problem and the parameters of a module on points x (n, ...) with labels y (n,).

    x, y: torch tensors, arrays or lists; labels 1 and -1 with one output, else classes 0 .. K - 1.  Raises FieldError.
    """
    import torch

    if not isinstance(module, torch.nn.Module):
        raise FieldError("module", f"expected a torch module, found {type(module).__name__}")
    points, labels = _numbers(x, "x"), _numbers(y, "y")
    if not points.size:
        raise FieldError("x", "there is no data")
    if points.ndim < 2:
        raise FieldError("x", f"expected points in rows, (n, ...), found the shape {points.shape}")
    if labels.shape not in ((len(points),), (len(points), 1)):
        raise FieldError("y", f"expected {len(points)} labels, one a point, found the shape {labels.shape}")
    layers, activations = _layers(module, points.shape[1:])
    device = _device(layers, x)
    flat = points.reshape(len(points), -1)
    if layers[0].biased:
        flat = np.hstack([flat, np.ones((len(flat), 1))])
    activation, slope = _activation(activations)
    network = Network(activation, tuple(_rows(layer.pattern) for layer in layers), slope)
    fixed = {number: layer.numbers.tolist() for number, layer in enumerate(layers, start=1) if not layer.trained}
    if fixed:
        network = network.fixing(fixed)
    rows: Any = flat.tolist()
    problem = Problem(network, rows, tuple(_label(a) for a in labels.ravel()))
    return Brought(problem, tuple(layer.numbers for layer in layers), device)


def _rows(pattern: np.ndarray) -> tuple[tuple[int, ...], ...]:
    return tuple(map(tuple, pattern.tolist()))


def _label(value: Any) -> Any:
    """An integer where it is one; the problem says what is wrong with others."""
    number = value.item()
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _numbers(values: Any, field: str) -> np.ndarray:
    """A tensor, an array or lists as an array on the CPU.  Raises FieldError."""
    import torch

    if isinstance(values, torch.Tensor):
        if values.device.type == "meta":
            raise FieldError(field, "on the device meta, which holds no numbers")
        if values.dtype in (torch.float16, torch.bfloat16):
            raise FieldError(field, f"{_name(values.dtype)} is too coarse; use float32 or float64")
        array = values.detach().cpu().numpy()
    else:
        try:
            array = np.asarray(values)
        except ValueError:
            raise FieldError(field, "rows differ in length") from None
    if array.dtype.kind not in "iuf":
        raise FieldError(field, f"expected numbers, found {array.dtype}")
    if not np.isfinite(array).all():
        raise FieldError(field, "NaN and infinities are not allowed")
    return array if array.dtype.kind in "iu" and field == "y" else array.astype(np.float64)


def _name(dtype: Any) -> str:
    return str(dtype).removeprefix("torch.")


def _device(layers: Sequence[_Weights], x: Any) -> str:
    """The device of all parameters.  Raises FieldError where the module could not be run on x."""
    device = layers[0].device
    for layer in layers[1:]:
        if layer.device != device:
            raise FieldError(layer.place, f"on the device {layer.device}, but {layers[0].place} is on {device}")
    import torch

    if isinstance(x, torch.Tensor) and str(x.device) != device:
        raise FieldError("x", f"on the device {x.device}, but the module is on {device}")
    return device


def _activation(activations: Sequence[tuple[str, Fraction] | None]) -> tuple[Activation, Fraction | None]:
    """The one activation between the layers.  Raises FieldError."""
    first = activations[0] if activations else None
    for own in activations[1:]:
        if (own and own[1]) != (first and first[1]):
            place = own[0] if own else first[0] if first else "module"
            raise FieldError(place, "every two layers with weights need the same activation between them")
    return ("linear", None) if first is None else ("leaky_relu", first[1])


def _layers(module: Any, shape: tuple[int, ...]) -> tuple[list[_Weights], list[tuple[str, Fraction] | None]]:
    """The layers with weights, and what stands between them: (place, slope), None for nothing.  Raises FieldError."""
    from torch import nn

    layers: list[_Weights] = []
    between: list[tuple[str, Fraction] | None] = []
    waiting: tuple[str, Fraction] | None = None
    seen: set[int] = set()
    for place, layer in _modules(module, "module"):
        kind = type(layer)
        if kind in (nn.Linear, nn.Conv1d, nn.Conv2d):
            if id(layer.weight) in seen:
                raise FieldError(place, "has its weights from an earlier layer")
            seen.add(id(layer.weight))
            read, shape = _weights(place, layer, shape, first=not layers)
            if layers:
                between.append(waiting)
            layers.append(read)
            waiting = None
        elif kind in (nn.ReLU, nn.LeakyReLU):
            if not layers:
                raise FieldError(place, "an activation before the first layer")
            if waiting is not None:
                raise FieldError(place, "two activations in a row")
            waiting = place, Fraction(0) if kind is nn.ReLU else Fraction(layer.negative_slope)
        elif kind is nn.Flatten:
            if layer.start_dim != 1 or layer.end_dim != -1:
                raise FieldError(place, "only Flatten(1, -1) is read")
            shape = (math.prod(shape),)
        elif kind in (nn.Dropout, nn.Dropout1d, nn.Dropout2d):
            if layer.training and layer.p:
                raise FieldError(place, "in train mode, where its outputs are random; call module.eval()")
        elif kind is not nn.Identity:
            raise FieldError(place, _refusal(layer))
    if not layers:
        raise FieldError("module", "no Linear, Conv1d or Conv2d in it")
    if waiting is not None:
        raise FieldError(waiting[0], "the last layer has no activation in a homogeneous network with margins")
    if len(shape) != 1:
        raise FieldError(layers[-1].place, f"the outputs have the shape {shape}; end with Flatten or Linear")
    return layers, between


def _modules(module: Any, place: str) -> Iterator[tuple[str, Any]]:
    """The parts of nested Sequentials in order, each with its place in words."""
    from torch import nn

    if type(module) is nn.Sequential:
        _require_no_hooks(place, module)
        # not named_children: that leaves out a part that occurs a second time
        for number, part in enumerate(module):
            yield from _modules(part, f"{place}[{number}]")
    else:
        place = f"{place} ({type(module).__name__})"
        _require_no_hooks(place, module)
        yield place, module


def _require_no_hooks(place: str, module: Any) -> None:
    """Raises FieldError where a hook may change what the module computes."""
    if any(getattr(module, name) for name in ("_forward_hooks", "_forward_pre_hooks")):
        raise FieldError(place, "has hooks, so that what it computes is not known")


def _refusal(layer: Any) -> str:
    """Why a layer that is not read is none of ours."""
    kind = type(layer).__name__
    if "Norm" in kind:
        return "normalisation is not homogeneous in the weights; only layers without it are read"
    if kind.startswith("Parametrized"):
        return "a parametrised layer has other weights than parameters; remove the parametrisation"
    if kind in ("Tanh", "Sigmoid", "GELU", "SiLU", "ELU", "SELU", "Softplus", "Mish", "Hardtanh", "ReLU6"):
        return "the activation is not homogeneous; use ReLU or LeakyReLU"
    known = "Linear, Conv1d, Conv2d, ReLU, LeakyReLU, Flatten"
    return f"not a layer that is read ({known}, in Sequentials)"


def _weights(place: str, layer: Any, shape: tuple[int, ...], first: bool) -> tuple[_Weights, tuple[int, ...]]:
    """A layer with weights on inputs of this shape, and the shape of its outputs.  Raises FieldError."""
    from torch import nn

    parameters = [layer.weight] if layer.bias is None else [layer.weight, layer.bias]
    for parameter in parameters:
        if parameter.device.type == "meta":
            raise FieldError(place, "on the device meta, which holds no numbers")
        if _name(parameter.dtype) not in ("float32", "float64"):
            raise FieldError(place, f"{_name(parameter.dtype)}; use module.float() or module.double()")
    if layer.bias is not None and not first:
        raise FieldError(place, "a bias of a layer that is not the first is not homogeneous; use bias=False")
    numbers = np.concatenate([p.detach().cpu().numpy().astype(np.float64).ravel() for p in parameters])
    if not np.isfinite(numbers).all():
        raise FieldError(place, "a parameter is NaN or infinite")
    trained = {bool(parameter.requires_grad) for parameter in parameters}
    if len(trained) > 1:
        raise FieldError(place, "the weights are trained and the bias is not, or the other way round")
    if type(layer) is nn.Linear:
        if len(shape) != 1:
            raise FieldError(place, f"its inputs have the shape {shape}; put a Flatten before it")
        if shape[0] != layer.in_features:
            raise FieldError(place, f"takes {layer.in_features} inputs, and gets {shape[0]}")
        pattern = np.arange(layer.weight.numel()).reshape(tuple(layer.weight.shape))
        channels, positions = np.arange(layer.out_features), (layer.out_features,)
    else:
        pattern, positions = _convolution(place, layer, shape)
        channels = np.arange(layer.out_channels).repeat(math.prod(positions[1:]))
    if layer.bias is not None:
        pattern = np.hstack([pattern, layer.weight.numel() + channels[:, None]])
    if len(np.unique(pattern[pattern >= 0])) < len(numbers):
        raise FieldError(place, "some of its weights meet nothing but the padding")
    device = str(layer.weight.device)
    return _Weights(place, pattern, numbers, layer.bias is not None, trained == {True}, device), positions


def _convolution(place: str, layer: Any, shape: tuple[int, ...]) -> tuple[np.ndarray, tuple[int, ...]]:
    """The pattern of a convolution in any number of dimensions, and the shape of its outputs.  Raises FieldError."""
    dimensions = len(layer.kernel_size)
    if len(shape) != dimensions + 1:
        raise FieldError(place, f"takes (channels, {dimensions} lengths) a point, and gets the shape {shape}")
    if shape[0] != layer.in_channels:
        raise FieldError(place, f"takes {layer.in_channels} channels, and gets {shape[0]}")
    if layer.padding_mode != "zeros":
        raise FieldError(place, f"the padding {layer.padding_mode!r} is not read, only zeros")
    reach = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
    if isinstance(layer.padding, str):
        # torch puts the odd one of "same" behind
        before = [r // 2 if layer.padding == "same" else 0 for r in reach]
        behind = [r - b if layer.padding == "same" else 0 for r, b in zip(reach, before, strict=True)]
    else:
        before = behind = list(layer.padding)
    lengths = [
        (size + low + high - r - 1) // step + 1
        for size, low, high, r, step in zip(shape[1:], before, behind, reach, layer.stride, strict=True)
    ]
    if min(lengths) < 1:
        raise FieldError(place, f"the kernel is longer than its inputs, of the shape {shape}")
    weight = np.arange(layer.weight.numel()).reshape(tuple(layer.weight.shape))
    out, inputs = (layer.out_channels, *lengths), np.arange(math.prod(shape)).reshape(shape)
    pattern = np.full((math.prod(out), inputs.size), -1)
    rows = np.arange(math.prod(out)).reshape(out)
    share = layer.in_channels // layer.groups
    for position in itertools.product(*map(range, lengths)):
        for offset in itertools.product(*map(range, layer.kernel_size)):
            at = tuple(
                p * s + o * d - b
                for p, s, o, d, b in zip(position, layer.stride, offset, layer.dilation, before, strict=True)
            )
            if not all(0 <= a < size for a, size in zip(at, shape[1:], strict=True)):
                continue
            for channel in range(layer.out_channels):
                group = channel // (layer.out_channels // layer.groups)
                columns = inputs[(slice(group * share, (group + 1) * share), *at)]
                pattern[rows[(channel, *position)], columns] = weight[(channel, slice(None), *offset)]
    return pattern, out
