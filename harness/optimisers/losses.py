"""The losses and their weights in the log domain, so that no loss is too small to be told from zero.

exponential: L = sum of exp(-q) over all margins.  logistic: L = sum over points of log(1 + sum of exp(-q) over the
margins of the point), the cross entropy.  What is added to a margin's gradient is p_i = -dL/dq_i / S, with
S = sum_i -dL/dq_i, so that -grad L = S sum_i p_i grad q_i.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

FAINT = -30.0  # s, below which log(log(1 + e^s)) is s - e^s / 2 to more digits than there are


@dataclass(frozen=True)
class Weights:
    """log_loss: log L (B,).  log_size: log S (B,).  p (B, R), of sum 1."""

    log_loss: Tensor
    log_size: Tensor
    p: Tensor


def weights(q: Tensor, logistic: bool, group: int) -> Weights:
    """Of margins q (B, R), in which `group` margins of one point follow each other."""
    if not logistic:
        log_size, p = _softmax(-q)
        return Weights(log_size, log_size, p)
    points = (-q).unflatten(1, (-1, group))
    s = points.squeeze(2) if group == 1 else torch.logsumexp(points, 2)
    tail = torch.log1p(torch.exp(-s.abs()))
    softplus = s.clamp(min=0.0) + tail
    losses = torch.where(s < FAINT, s - 0.5 * torch.exp(s), torch.log(softplus))
    # the log of a sigmoid, shared among the margins of a point
    shares = (points - s.unsqueeze(2)) - (tail - s.clamp(max=0.0)).unsqueeze(2)
    log_size, p = _softmax(shares.flatten(1))
    return Weights(_softmax(losses)[0], log_size, p)


def _softmax(a: Tensor) -> tuple[Tensor, Tensor]:
    """log sum exp (B,) and softmax (B, R) of a (B, R)."""
    top = a.amax(1, keepdim=True)
    e = torch.exp(a - top)
    total = e.sum(1, keepdim=True)
    return (top + torch.log(total)).squeeze(1), e / total
