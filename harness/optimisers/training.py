"""Many instances trained by one method, and the rows that are kept of each on its way."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from harness.flow.drive import check_device
from harness.optimisers.batch import Batch, Slope, shape
from harness.optimisers.methods import Method
from harness.problem.fields import FieldError
from harness.problem.instances import Instance

LARGEST = 1e150  # of ||theta||: beyond it squares leave the floats
EACH = 8  # rows that are kept a doubling of the steps, where none are asked for
PART = 2**18  # numbers of a margin's gradients, about what a core's cache holds


@dataclass(frozen=True)
class Training:
    """What a method made of an instance: T rows, of the start first.

    steps: how many were asked for.  step (T,): after how many.  theta (T, N): the trained layers.  log_loss (T,):
    log L.  margin (T,): the least q_i.  travelled, squares (T,): the sums of eta_t and of eta_t^2 so far.
    A training whose theta leaves the floats ends with the last row before.
    """

    instance: Instance
    method: Method
    steps: int
    step: np.ndarray
    theta: np.ndarray
    log_loss: np.ndarray
    margin: np.ndarray
    travelled: np.ndarray
    squares: np.ndarray

    @cached_property
    def log_norm(self) -> np.ndarray:
        """log ||theta||, (T,); -inf at theta = 0."""
        with np.errstate(divide="ignore"):
            return np.log(np.linalg.norm(self.theta, axis=1))

    @cached_property
    def direction(self) -> np.ndarray:
        """theta / ||theta||, (T, N); 0 at theta = 0."""
        norms = np.linalg.norm(self.theta, axis=1, keepdims=True)
        return self.theta / np.where(norms > 0.0, norms, 1.0)

    @property
    def layers(self) -> list[np.ndarray]:
        """theta at the end, a vector a layer."""
        return self.instance.network.split(self.theta[-1])

    @property
    def path(self) -> dict[str, np.ndarray]:
        """As that of a recorded flow: log_norm, sigma, direction, booked; and step, log_loss besides.

        For the time sigma stands the sum of the step sizes.  No softmax is ever held: booked is 0.
        """
        return {
            "log_norm": self.log_norm,
            "sigma": self.travelled,
            "direction": self.direction,
            "booked": np.zeros(len(self.step)),
            "step": self.step,
            "log_loss": self.log_loss,
        }


def train(
    instances: Sequence[Instance],
    method: Method,
    *,
    steps: int = 10_000,
    device: str | torch.device = "cpu",
    at: Iterable[int] | None = None,
) -> list[Training]:
    """Train every instance; one Training each, in order.

    Those of one shape are trained together, in float64.  at: the steps after which a row is kept, besides 0 and the
    last; None keeps some in every doubling.  Raises FieldError for a number of steps below 1, a device that is not
    there, and what the method raises.
    """
    if steps < 1:
        raise FieldError("steps", "expected a number above 0")
    check_device(str(device))
    kept = doublings(steps) if at is None else sorted({0, steps, *(t for t in at if 0 < t < steps)})
    alike: dict[Hashable, list[int]] = defaultdict(list)
    for place, instance in enumerate(instances):
        alike[shape(instance)].append(place)
    found: dict[int, Training] = {}
    for places in alike.values():
        one = instances[places[0]]
        together = max(1, PART // (len(one.problem.rows) * one.network.size)) if device == "cpu" else len(places)
        for first in range(0, len(places), together):
            part = places[first : first + together]
            found.update(zip(part, _trained([instances[k] for k in part], method, kept, device), strict=True))
    return [found[place] for place in range(len(instances))]


def doublings(steps: int) -> list[int]:
    """0, and steps 2^(-k / EACH) for k = 0, 1, ..., rounded, in order."""
    found, k = {0, steps}, 1
    while (t := steps * 2.0 ** (-k / EACH)) >= 1.0:
        found.add(int(t))
        k += 1
    return sorted(found)


@torch.no_grad()
def _trained(
    instances: Sequence[Instance], method: Method, kept: Sequence[int], device: str | torch.device
) -> list[Training]:
    batch = Batch.of(instances, device)
    theta, travelled, squares = batch.start, 0.0, 0.0
    state = method.begin(batch.network, theta)
    rows, sums = list[tuple[Tensor, Tensor, Tensor]](), list[tuple[float, float]]()
    wanted = set(kept)
    for t in range(kept[-1] + 1):
        slope = batch.slope(theta)
        if t in wanted:
            rows.append(_row(theta, slope))
            sums.append((travelled, squares))
        if t < kept[-1]:
            eta = method.steps(t)
            theta, state = method.move(theta, slope, eta, t, state)
            travelled, squares = travelled + eta, squares + eta * eta
    thetas, losses, margins = (torch.stack(part, 1).cpu().numpy() for part in zip(*rows, strict=True))
    step, so_far = np.array(kept), np.array(sums)
    found: list[Training] = []
    for b, instance in enumerate(instances):
        good = np.isfinite(losses[b]) & (np.abs(thetas[b]).max(axis=1) < LARGEST)
        ends = len(good) if good.all() else int(np.argmin(good))
        last = max(ends, 1)
        found.append(
            Training(
                instance,
                method,
                kept[-1],
                step[:last],
                thetas[b, :last],
                losses[b, :last],
                margins[b, :last],
                so_far[:last, 0],
                so_far[:last, 1],
            )
        )
    return found


def _row(theta: Tensor, slope: Slope) -> tuple[Tensor, Tensor, Tensor]:
    """theta, in the order of its axes also in memory, log L and the least margin."""
    return theta.clone(memory_format=torch.contiguous_format), slope.log_loss, slope.margins.amin(1)
