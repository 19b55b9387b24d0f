"""The reparametrised flow's velocity and Jacobian for all lanes, on the kinks that slide, and the distance to events.

The formulas are those of harness.flow.compiled.field; see there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from harness.flow.batched.kernel import (
    Backward,
    Forward,
    backward,
    combined,
    forward,
    gradients_along,
    hessian_times,
    values,
)
from harness.flow.batched.lanes import Lanes
from harness.flow.compiled.events import ENDED
from harness.flow.compiled.field import LARGEST_EXPONENT, RIDGE
from harness.flow.compiled.kernel import SMALL, SMALLEST

_BIG = 1e300  # a violation below all others, and finite, so that sums of it are no NaN


@dataclass(frozen=True)
class Field:
    """q (B, n), infinite at padding; p (B, n) the softmax; rho, factor = rho^(2 - degree) (B, 1); f (B, N).

    drive: per hidden layer p_i dq_i/dh (B, R, k_l).  back: the rows' gradients, None where nobody needs them.
    """

    at: Forward
    back: Backward | None
    q: Tensor
    p: Tensor
    rho: Tensor
    factor: Tensor
    f: Tensor
    drive: list[Tensor]

    @property
    def rows(self) -> Backward:
        assert self.back is not None
        return self.back


@dataclass(frozen=True)
class Tangency:
    """The lines (B, S, N) on which the flow slides at theta, their Gram matrix's LU factors, and omega (B, S)."""

    normals: Tensor
    factors: tuple[Tensor, Tensor]
    omega: Tensor


def margins(lanes: Lanes, at: Forward) -> Tensor:
    """q_i (B, n), infinite at padding."""
    q = (at.pre[-1] * lanes.net.seeds[-1]).sum(2)[:, : lanes.samples]
    return torch.where(lanes.real, q, torch.inf)


def cross_entropy(lanes: Lanes, q: Tensor) -> Tensor:
    """For every margin the loss log(1 + sum exp(-q_k)) of its point, (B, n); of use where there are `mates`."""
    own = torch.where(lanes.mates > 0.0, -q.unsqueeze(1), -torch.inf)
    top = own.amax(2).clamp(min=0.0)
    return top + torch.log(torch.exp(-top) + torch.exp(own - top.unsqueeze(2)).sum(2))


def log_weight(lanes: Lanes, q: Tensor) -> Tensor:
    """log(-loss'(q_i))."""
    if not lanes.any_logistic:
        return -q
    out = torch.where(lanes.logistic, -(q.clamp(min=0.0) + torch.log1p(torch.exp(-q.abs()))), -q)
    return torch.where(lanes.mated, -q - cross_entropy(lanes, q), out) if lanes.any_mates else out


def softmax(lanes: Lanes, q: Tensor) -> Tensor:
    """p_i, the normalised -loss'(q_i)."""
    return torch.softmax(log_weight(lanes, q), dim=1)


def bent(lanes: Lanes, q: Tensor, along: Tensor) -> Tensor:
    """From dq (B, n, r) to -d log(-loss'(q)); the margins of one point answer to each other."""
    if not lanes.any_logistic:
        return along
    out = torch.where(lanes.logistic, torch.sigmoid(q), 1.0).unsqueeze(2) * along
    if not lanes.any_mates:
        return out
    felt = (lanes.mates * torch.exp(log_weight(lanes, q)).unsqueeze(1)) @ along
    return torch.where(lanes.mated.unsqueeze(2), along - felt, out)


def loss_below(lanes: Lanes, q: Tensor) -> Tensor:
    """Whether L is below what separates, (B,)."""
    if not lanes.any_logistic:
        return torch.exp((-q).clamp(max=LARGEST_EXPONENT)).sum(1) < 1.0
    logistic = torch.log1p(torch.exp(-q.abs())) + (-q).clamp(min=0.0)
    exponential = torch.exp((-q).clamp(max=LARGEST_EXPONENT))
    if lanes.any_mates:
        logistic = torch.where(lanes.mated, cross_entropy(lanes, q) / lanes.mates.sum(2).clamp(min=1.0), logistic)
    total = torch.where(lanes.logistic, logistic, exponential).sum(1)
    start = torch.where(lanes.logistic[:, 0], math.log(2.0), torch.ones_like(total))
    return total < start


def field(lanes: Lanes, theta: Tensor, at: Forward | None = None, q: Tensor | None = None, rows: bool = False) -> Field:
    """The field at theta (B, N) with every sliding gate off; rows: whether each row's own gradient is wanted."""
    at = at if at is not None else forward(lanes.net, theta)
    q = q if q is not None else margins(lanes, at)
    p = softmax(lanes, q)
    rho = torch.linalg.vector_norm(theta, dim=1, keepdim=True)
    factor = torch.where(rho > 0.0, rho ** (2 - lanes.net.degree), 0.0)
    virtual = lanes.places.shape[1]
    if not (rows or virtual):
        gradient, drive = combined(lanes.net, at, p)
        return Field(at, None, q, p, rho, factor, factor * gradient, drive)
    back = backward(lanes.net, at)
    weights = torch.nn.functional.pad(p, (0, virtual)).unsqueeze(1)
    f = factor * (weights @ back.grad).squeeze(1)
    return Field(at, back, q, p, rho, factor, f, [d * weights.transpose(1, 2) for d in back.deltas])


def tangency(lanes: Lanes, now: Field) -> Tangency:
    """omega with f + sum_h omega_h n_h tangent to all sliding kinks."""
    normals = torch.cat([lanes.normals, now.rows.grad[:, lanes.kinks]], dim=1) if lanes.curves else lanes.normals
    gram = normals @ normals.transpose(1, 2)
    trace = gram.diagonal(dim1=1, dim2=2).sum(1, keepdim=True)
    # dependent normals: any solution gives the same velocity, a tiny ridge picks one
    gram = gram + torch.diag_embed(torch.where(lanes.line, RIDGE * trace, 1.0))
    lu, pivots, _ = torch.linalg.lu_factor_ex(gram)
    omega = -torch.linalg.lu_solve(lu, pivots, normals @ now.f.unsqueeze(2)).squeeze(2)
    return Tangency(normals, (lu, pivots), omega)


def velocity(now: Field, sliding: Tangency | None) -> Tensor:
    """d theta / d sigma (B, N)."""
    if sliding is None:
        return now.f
    return now.f + (sliding.omega.unsqueeze(1) @ sliding.normals).squeeze(1)


def jacobian(lanes: Lanes, theta: Tensor, now: Field, sliding: Tangency | None) -> Tensor:
    """(d velocity / d theta) times the basis: (B, N, r)."""
    flat, virtual = lanes.normals.shape[1], lanes.places.shape[1]
    weights = torch.nn.functional.pad(now.p, (0, virtual))
    if sliding is not None:
        weights[:, lanes.kinks] = sliding.omega[:, flat:] / _nonzero(now.factor)
    out = hessian_times(lanes.net, now.at, now.rows, weights, lanes.along).transpose(1, 2)
    grad = now.rows.grad[:, : lanes.samples]
    weighted = now.p.unsqueeze(2) * grad
    along = bent(lanes, now.q, grad @ lanes.basis)
    mean = now.p.unsqueeze(1) @ along
    out = out - weighted.transpose(1, 2) @ (along - mean)
    radial = (2 - lanes.net.degree) * now.f / _nonzero(now.rho) ** 2
    out = now.factor.unsqueeze(2) * out + radial.unsqueeze(2) * (theta.unsqueeze(1) @ lanes.basis)
    if sliding is None:
        return out
    # tangency n_h . v = 0, differentiated: n_h . dv = -(d n_h) . v
    right = sliding.normals @ out
    if lanes.curves:
        bend = gradients_along(lanes.net, now.at, now.rows, velocity(now, sliding))[:, lanes.kinks]
        right = torch.cat([right[:, :flat], right[:, flat:] + bend @ lanes.basis], dim=1)
    return out - sliding.normals.transpose(1, 2) @ torch.linalg.lu_solve(*sliding.factors, right)


def slide_coefficients(lanes: Lanes, now: Field, sliding: Tangency) -> tuple[Tensor, Tensor]:
    """Clarke coefficients that keep the flow on its sliding kinks, and the jumps across them, (B, S).

    As harness.flow.compiled.field.slide_coefficients, the jumps relative to what their pairs can contribute.
    """
    drive = (now.factor * lanes.jump * torch.cat(now.drive, dim=2)[:, : lanes.samples].flatten(1)).unsqueeze(2)
    sizes = torch.cat(hidden_sizes(lanes, now.at.weights, now.rho), dim=1).unsqueeze(1)
    most = (lanes.jump.abs() * (now.p.unsqueeze(2) * sizes).flatten(1)).unsqueeze(2)
    up, down = lanes.up @ drive, lanes.down @ drive
    bound = (lanes.up + lanes.down) @ most
    if lanes.curves:
        own = now.rows.grad[:, lanes.samples :]
        normals = own[:, : lanes.curves]
        lengths = (normals * normals).sum(2, keepdim=True)
        scale = lanes.joins * (normals @ own.transpose(1, 2)) / _nonzero(lengths)
        parts = drive.gather(1, lanes.places.unsqueeze(2))
        up = torch.cat([up, scale.clamp(min=0.0) @ parts], dim=1)
        down = torch.cat([down, (-scale).clamp(min=0.0) @ parts], dim=1)
        bound = torch.cat([bound, scale.abs() @ most.gather(1, lanes.places.unsqueeze(2))], dim=1)
    plus, minus, bound = up.squeeze(2), down.squeeze(2), bound.squeeze(2)
    jumps = plus + minus
    seen = bound > 0.0
    coefficients = torch.where(seen & (jumps != 0.0), (sliding.omega + minus) / _nonzero(jumps), 0.5)
    return coefficients, torch.where(seen, jumps / _nonzero(bound), -1.0)


def hidden_sizes(lanes: Lanes, weights: tuple[Tensor, ...] | list[Tensor], rho: Tensor) -> list[Tensor]:
    """As harness.flow.compiled.kernel.unit_sizes, per hidden layer (B, k_l)."""
    out: list[Tensor] = []
    trained = lanes.net.trained.split(1, dim=1)
    for (below, above), (into, out_of) in zip(pairwise(weights), pairwise(trained), strict=True):
        size = torch.sqrt(into * (below * below).sum(2) + out_of * (above * above).sum(1))
        size = torch.where(size >= SMALLEST * rho, size, 0.0)
        size = torch.where(out_of > 0.0, size, torch.maximum(size, SMALL * rho))
        out.append(torch.where(into > 0.0, size, rho))
    return out


def violations(lanes: Lanes, theta: Tensor) -> tuple[list[Tensor], Tensor | None, Forward]:
    """How far theta is past every event, negative before it: per hidden layer (B, n, k_l), and lines (B, S).

    With them comes what was evaluated on the way.

    As harness.flow.compiled.events.violation; what is not watched is far before it.
    """
    if lanes.slides:
        now = field(lanes, theta)
        at, rho = now.at, now.rho
    else:
        now = None
        at, rho = forward(lanes.net, theta), torch.linalg.vector_norm(theta, dim=1, keepdim=True)
    units = unit_violations(lanes, at, rho)
    if now is None:
        return units, None, at
    coefficients, jumps = slide_coefficients(lanes, now, tangency(lanes, now))
    past = ENDED * torch.maximum(torch.maximum(-coefficients, coefficients - 1.0), jumps)
    return units, torch.where(lanes.line, past, -_BIG), at


def unit_violations(lanes: Lanes, at: Forward, rho: Tensor) -> list[Tensor]:
    """The part of `violations` that is about pre-activations; rho (B, 1): what they are compared with."""
    units: list[Tensor] = []
    for layer, (watch, size) in enumerate(zip(lanes.watch, hidden_sizes(lanes, at.weights, rho), strict=True)):
        power, gain = (part[:, layer : layer + 1] for part in (lanes.net.power, lanes.net.gain))
        scale = lanes.reach * (gain * rho ** (power - 1) * size).unsqueeze(1)
        past = -watch * at.pre[layer][:, : lanes.samples] / _nonzero(scale)
        units.append(torch.where((watch != 0.0) & (scale > 0.0), past, -_BIG))
    return units


def violation(lanes: Lanes, theta: Tensor) -> Tensor:
    """The largest of them, (B,)."""
    units, lines, _ = violations(lanes, theta)
    worst = torch.cat([u.flatten(1) for u in units] + ([lines] if lines is not None else []), dim=1)
    return worst.amax(1)


def return_to_kinks(lanes: Lanes, theta: Tensor) -> Tensor:
    """A Newton step (B, N) towards the kinks that an integrator's step has left by its error, flat ones by rounding."""
    normals = lanes.normals
    gap = (normals @ theta.unsqueeze(2)).squeeze(2)
    if lanes.curves:
        at = forward(lanes.net, theta)
        normals = torch.cat([normals, backward(lanes.net, at).grad[:, lanes.kinks]], dim=1)
        gap = torch.cat([gap, values(lanes.net, at)[:, lanes.kinks]], dim=1)
    gram = normals @ normals.transpose(1, 2)
    ridge = RIDGE * gram.diagonal(dim1=1, dim2=2).sum(1, keepdim=True)
    gram = gram + torch.diag_embed(torch.where(lanes.line, ridge, 1.0))
    solution, _ = torch.linalg.solve_ex(gram, gap.unsqueeze(2))
    step = -(normals.transpose(1, 2) @ solution).squeeze(2)
    return torch.where(torch.isfinite(step), step, 0.0)


def _nonzero(values_: Tensor) -> Tensor:
    """The values with ones for zeros, to divide by."""
    return torch.where(values_ != 0.0, values_, 1.0)
