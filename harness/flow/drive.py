"""The only door to the trainer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.flow.follow import follow
from harness.flow.run import Settings
from harness.flow.several import follow_all
from harness.problem.fields import FieldError
from harness.problem.instances import Instance
from harness.problem.limits import Limit


def drive(
    instances: Sequence[Instance],
    *,
    device: str = "cpu",
    dtype: type = np.float64,
    record: bool = False,
    settings: Settings | None = None,
    workers: int = 1,
) -> list[Limit]:
    """Follow the gradient flow of every instance to its limit.

    Returns one Limit an instance, in order; an instance whose flow cannot be followed is "undecided" with a
    reason and takes no other down.  record keeps the path of each flow.  device: "cpu" for the compiled trainer, one
    flow after the other; any other device of torch ("cuda", "cuda:1"; "cpu:0" is torch's own name of the CPU) for
    the batched one.  workers: processes that share the list, on the CPU; the limits are those that one finds, and a
    script that asks for more than one has to guard its main module, as for every process that is spawned.  Raises
    FieldError for a device, a dtype or a number of workers that is not supported.
    """
    if np.dtype(dtype) != np.float64:
        raise FieldError("dtype", "the trainer runs in float64")
    if workers < 1 or (workers > 1 and device != "cpu"):
        raise FieldError("workers", "at least one, and exactly one on another device than the CPU")
    if device == "cpu" and workers > 1:
        return follow_all(instances, settings or Settings(), record, workers)
    if device == "cpu":
        settings = settings or Settings()
        return [follow(instance, settings, record=record) for instance in instances]
    check_device(device)
    # torch takes a second to import, and the compiled trainer does without
    from harness.flow.batched.follow import follow_batch

    return follow_batch(instances, settings, device, record=record)


def check_device(device: str) -> None:
    """Raises FieldError unless torch can compute with float64 there."""
    import torch

    try:
        # the sum is read back: some devices of torch take tensors but compute nothing
        works = float(torch.ones(2, dtype=torch.float64, device=device).sum()) == 2.0
    except (RuntimeError, TypeError, AssertionError, NotImplementedError) as why:
        # the first sentence: some messages go on to list every backend of torch
        reason = str(why).split(". ")[0].split("\n")[0] or type(why).__name__
        raise FieldError("device", f"{device!r} is not available: {reason}") from None
    if not works:
        raise FieldError("device", f"{device!r} is not available: it does not compute")
