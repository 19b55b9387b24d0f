"""torch modules as points: what is read computes what the module does, and what cannot be read is one clear line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import nnls
from torch import nn

from harness import FieldError, Instance, Point
from harness.problem.evaluation import evaluate
from harness.problem.modules import read_module
from harness.problem.points import NotSeparating

FLAT, LONG, SQUARE = (3,), (2, 7), (2, 5, 4)
MODULES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "linear": (lambda: nn.Linear(3, 1), FLAT),
    "two layers": (lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1, bias=False)), FLAT),
    "leaky": (lambda: nn.Sequential(nn.Linear(3, 4), nn.LeakyReLU(0.25), nn.Linear(4, 1, bias=False)), FLAT),
    "deep linear": (
        lambda: nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2, bias=False), nn.Linear(2, 1, bias=False)),
        FLAT,
    ),
    "nested, with what does nothing": (
        lambda: nn.Sequential(
            nn.Sequential(nn.Flatten(), nn.Linear(14, 5), nn.ReLU()),
            nn.Identity(),
            nn.Dropout(0.5).eval(),
            nn.Linear(5, 4, bias=False),
            nn.ReLU(),
            nn.Linear(4, 1, bias=False),
        ),
        LONG,
    ),
    "classes": (lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 3, bias=False)), FLAT),
    "convolution": (
        lambda: nn.Sequential(nn.Conv1d(2, 3, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(21, 1, bias=False)),
        LONG,
    ),
    "convolutions": (
        lambda: nn.Sequential(
            nn.Conv1d(2, 4, 4, stride=2, padding="valid"),
            nn.ReLU(),
            nn.Conv1d(4, 2, 2, groups=2, bias=False),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(2, 1, bias=False),
        ),
        LONG,
    ),
    "same, dilated": (
        lambda: nn.Sequential(
            nn.Conv1d(2, 2, 2, padding="same", dilation=3), nn.ReLU(), nn.Flatten(), nn.Linear(14, 1, bias=False)
        ),
        LONG,
    ),
    "two dimensions": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 3, (2, 3), stride=(2, 1), padding=(0, 1)),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(24, 2, bias=False),
        ),
        SQUARE,
    ),
}


def made(name: str, seed: int = 0) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(seed)
    module, shape = MODULES[name]
    return module().double(), torch.randn(6, *shape, dtype=torch.float64)


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("name", MODULES)
def test_what_is_read_computes_what_the_module_does(name: str) -> None:
    module, x = made(name)
    outputs = module(x)
    y = np.zeros(6, dtype=int) if outputs.shape[1] > 1 else np.ones(6, dtype=int)
    brought = read_module(module, x, y)
    found = evaluate(brought.problem.network, brought.theta, brought.problem.x_float).outputs
    np.testing.assert_allclose(found, outputs.detach().numpy(), rtol=1e-12, atol=1e-12)
    assert sum(map(len, brought.theta)) == sum(p.numel() for p in module.parameters())


def labelled(name: str, seed: int) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """Labels that the module gets right, so that it separates."""
    module, x = made(name, seed)
    with torch.no_grad():
        outputs = module(x)
    # a point on which all neurons are off has an output of zero, and is left out
    kept = outputs.abs().max(dim=1).values > 0.0
    x, outputs = x[kept], outputs[kept]
    return module, x, outputs.argmax(dim=1) if outputs.shape[1] > 1 else outputs[:, 0].sign()


def gradients(module: nn.Module, x: torch.Tensor, y: torch.Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Margins, their gradients and theta, by autograd, in the module's own order of parameters."""
    outputs = module(x)
    if outputs.shape[1] == 1:
        q = [y[i] * outputs[i, 0] for i in range(len(x))]
    else:
        q = [outputs[i, y[i]] - outputs[i, k] for i in range(len(x)) for k in range(outputs.shape[1]) if k != y[i]]
    rows = [torch.autograd.grad(a, list(module.parameters()), retain_graph=True) for a in q]
    flat = [torch.cat([g.ravel() for g in row]).numpy() for row in rows]
    theta = torch.cat([p.detach().ravel() for p in module.parameters()]).numpy()
    return np.array([a.item() for a in q]), np.array(flat), theta


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("many", [False, True])
def test_the_residual_is_never_above_that_of_least_squares(
    name: str, many: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the margins that tie with the least, and on those that its multipliers use; also by a triangle."""
    if many:
        monkeypatch.setattr("harness.problem.kkt._MANY", 1)
        monkeypatch.setattr("harness.problem.kkt._PART", 50)
    for seed in range(3):
        module, x, y = labelled(name, seed)
        point = Point.from_torch(module, x, y)
        q, rows, theta = gradients(module, x, y)
        degree = point.problem.network.degree
        np.testing.assert_allclose(point.margins, q / q.min(), rtol=1e-9)
        scale = q.min() ** (-1.0 / degree)
        target, columns = scale * theta, scale ** (degree - 1) * rows.T
        excess, norm = q / q.min() - 1.0, float(np.linalg.norm(target))
        for allowed in (excess <= 1e-9, point.multipliers > 0.0):
            weights, gap = nnls(columns[:, allowed], target)
            assert point.residual <= gap / norm + float(weights @ excess[allowed]) / norm**2 + 1e-12
        # it is attained by its own multipliers
        attained = np.linalg.norm(target - columns @ point.multipliers) / norm + point.multipliers @ excess / norm**2
        assert point.residual == pytest.approx(attained, abs=1e-9)


def test_a_layer_without_gradients_is_fixed() -> None:
    module, x, y = labelled("two layers", 0)
    list(module.children())[2].requires_grad_(False)
    point = Point.from_torch(module, x, y)
    assert point.problem.network.trained == (True, False)
    assert point.value == pytest.approx(0.5 * float(point.theta[0] @ point.theta[0]))


def test_single_precision_and_other_containers_of_numbers() -> None:
    module, x, y = labelled("two layers", 1)
    module, x = module.float(), x.float()
    first = Point.from_torch(module, x, y)
    for points, labels in ((x.numpy(), y.numpy()), (x.tolist(), y.int().tolist()), (x, y[:, None])):
        assert Point.from_torch(module, points, labels).margins == pytest.approx(first.margins)
    again = Point.from_json(first.to_json())
    assert again.problem == first.problem
    assert again.residual == pytest.approx(first.residual, abs=1e-12)


def test_the_flow_starts_at_the_module() -> None:
    module, x, y = labelled("two layers", 1)
    instance = Instance.from_torch(module, x, y, "exponential")
    assert instance.loss == "exponential"
    weights = next(module.parameters())
    assert list(instance.theta0_float[0][: weights.numel()]) == weights.detach().ravel().tolist()


def test_a_module_that_does_not_separate() -> None:
    module, x, y = labelled("two layers", 1)
    with pytest.raises(NotSeparating, match="the least margin is -"):
        Point.from_torch(module, x, -y)


# --- what cannot be read: one line that names the layer ---

Change = Callable[[], Any]


def dense(*between: nn.Module, **options: Any) -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), *(between or (nn.ReLU(),)), nn.Linear(4, 1, **{"bias": False, **options}))


def with_nan() -> nn.Module:
    module = dense()
    with torch.no_grad():
        next(module.parameters())[0, 0] = torch.nan
    return module


def twice() -> nn.Module:
    layer = nn.Linear(3, 3, bias=False)
    return nn.Sequential(layer, nn.ReLU(), layer, nn.ReLU(), nn.Linear(3, 1, bias=False))


def hooked() -> nn.Module:
    module = dense()
    next(module.children()).register_forward_hook(lambda *_: None)
    return module


def half_frozen() -> nn.Module:
    module = dense()
    next(module.parameters()).requires_grad_(False)
    return module


class Own(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


LONE = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
LENGTHS = torch.randn(6, 2, 7, generator=torch.Generator().manual_seed(0))
BAD: dict[str, tuple[Change, Any, str, str]] = {
    "batch norm": (lambda: dense(nn.BatchNorm1d(4), nn.ReLU()), LONE, "module[1] (BatchNorm1d)", "normalisation"),
    "layer norm": (lambda: dense(nn.LayerNorm(4), nn.ReLU()), LONE, "module[1] (LayerNorm)", "normalisation"),
    "a deeper bias": (lambda: dense(bias=True), LONE, "module[2] (Linear)", "use bias=False"),
    "tanh": (lambda: dense(nn.Tanh()), LONE, "module[1] (Tanh)", "not homogeneous"),
    "float16": (lambda: dense().half(), LONE, "module[0] (Linear)", "float16; use module.float()"),
    "bfloat16": (lambda: dense().bfloat16(), LONE, "module[0] (Linear)", "bfloat16"),
    "another device": (lambda: dense().to("meta"), LONE, "module[0] (Linear)", "device meta"),
    "points on another device": (dense, LONE.to("meta"), "x", "device meta"),
    "train mode": (lambda: dense(nn.ReLU(), nn.Dropout(0.5)), LONE, "module[2] (Dropout)", "call module.eval()"),
    "NaN": (with_nan, LONE, "module[0] (Linear)", "NaN"),
    "NaN in the points": (dense, LONE * torch.nan, "x", "NaN"),
    "points of another dimension": (dense, LONE[:, :2], "module[0] (Linear)", "takes 3 inputs, and gets 2"),
    "one point without rows": (dense, LONE[0], "x", "in rows"),
    "points too coarse": (dense, LONE.half(), "x", "float16 is too coarse"),
    "points of text": (dense, [["a", "b", "c"]] * 6, "x", "expected numbers"),
    "ragged points": (dense, [[1.0, 2.0, 3.0], [1.0]], "x", "rows differ in length"),
    "a point that is zero": (lambda: nn.Linear(3, 1, bias=False), LONE * 0.0, "x[0]", "the point is zero"),
    "layers that do not chain": (
        lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(5, 1, bias=False)),
        LONE,
        "module[2] (Linear)",
        "takes 5 inputs, and gets 4",
    ),
    "no Flatten": (
        lambda: nn.Sequential(nn.Conv1d(2, 3, 3), nn.ReLU(), nn.Linear(5, 1, bias=False)),
        LENGTHS,
        "module[2] (Linear)",
        "put a Flatten before it",
    ),
    "images without channels": (lambda: nn.Conv1d(2, 3, 3), LONE, "module (Conv1d)", "(channels, 1 lengths)"),
    "other channels": (lambda: nn.Conv1d(3, 3, 3), LENGTHS, "module (Conv1d)", "takes 3 channels"),
    "circular padding": (
        lambda: nn.Conv1d(2, 3, 3, padding=1, padding_mode="circular"),
        LENGTHS,
        "module (Conv1d)",
        "'circular'",
    ),
    "a kernel that is too long": (lambda: nn.Conv1d(2, 3, 8), LENGTHS, "module (Conv1d)", "longer than its inputs"),
    "weights that only padding meets": (
        lambda: nn.Conv1d(2, 3, 9, stride=9, padding=1),
        LENGTHS,
        "module (Conv1d)",
        "nothing but the padding",
    ),
    "outputs with lengths": (lambda: nn.Conv1d(2, 1, 3), LENGTHS, "module (Conv1d)", "end with Flatten"),
    "pooling": (
        lambda: nn.Sequential(nn.Conv1d(2, 3, 3), nn.MaxPool1d(2)),
        LENGTHS,
        "module[1] (MaxPool1d)",
        "not a layer that is read",
    ),
    "two kinds of activation": (
        lambda: nn.Sequential(
            nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4, bias=False), nn.LeakyReLU(), nn.Linear(4, 1, bias=False)
        ),
        LONE,
        "module[3] (LeakyReLU)",
        "the same activation",
    ),
    "an activation that is missing": (
        lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4, bias=False), nn.Linear(4, 1, bias=False)),
        LONE,
        "module[1] (ReLU)",
        "the same activation",
    ),
    "two activations in a row": (lambda: dense(nn.ReLU(), nn.ReLU()), LONE, "module[2] (ReLU)", "in a row"),
    "an activation at the start": (
        lambda: nn.Sequential(nn.ReLU(), nn.Linear(3, 1)),
        LONE,
        "module[0] (ReLU)",
        "before the first",
    ),
    "an activation at the end": (
        lambda: nn.Sequential(nn.Linear(3, 1), nn.ReLU()),
        LONE,
        "module[1] (ReLU)",
        "has no activation",
    ),
    "a layer twice": (twice, torch.randn(6, 3), "module[2] (Linear)", "from an earlier layer"),
    "hooks": (hooked, LONE, "module[0] (Linear)", "hooks"),
    "half a layer frozen": (half_frozen, LONE, "module[0] (Linear)", "the bias"),
    "all frozen": (lambda: dense().requires_grad_(False), LONE, "network.fixed", "every layer is fixed"),
    "weight norm": (
        lambda: nn.Sequential(torch.nn.utils.parametrizations.weight_norm(nn.Linear(3, 1))),
        LONE,
        "module[0] (ParametrizedLinear)",
        "parametrised",
    ),
    "a module of one's own": (Own, LONE, "module (Own)", "not a layer that is read"),
    "part of a module of one's own": (lambda: nn.Sequential(Own()), LONE, "module[0] (Own)", "not a layer"),
    "no points": (dense, LONE[:0], "x", "there is no data"),
    "no layers": (nn.Sequential, LONE, "module", "no Linear"),
    "no module": (lambda: [1.0], LONE, "module", "expected a torch module, found list"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_read_is_one_line_that_names_the_layer(name: str) -> None:
    module, x, field, said = BAD[name]
    with pytest.raises(FieldError) as caught:
        Point.from_torch(module(), x, [1, -1, 1, 1, -1, 1][: len(x)] if len(x) != 3 else [1, 1, 1])
    assert caught.value.field == field
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("y", "field", "said"),
    [
        ([1, 1], "y", "expected 6 labels"),
        ([[1, 1]] * 6, "y", "expected 6 labels"),
        ([0, 1, 0, 1, 0, 1], "y[0]", "1 or -1"),
        ([1.5, 1, 1, 1, 1, 1], "y[0]", "1 or -1"),
        ([True] * 6, "y", "expected numbers"),
        (torch.full((6,), torch.nan), "y", "NaN"),
    ],
)
def test_labels_that_are_none(y: Any, field: str, said: str) -> None:
    with pytest.raises(FieldError, match=said) as caught:
        Point.from_torch(dense(), LONE, y)
    assert caught.value.field == field


def test_a_class_that_there_is_not() -> None:
    module = nn.Linear(3, 2)
    with pytest.raises(FieldError, match="one of 0"):
        Point.from_torch(module, LONE, [0, 1, 2, 0, 0, 0])
