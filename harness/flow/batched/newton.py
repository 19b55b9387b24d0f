"""The damped Newton method on the KKT system of many flows, with changes of the active set.

The system and the rules are those of harness.flow.settling.newton.  One pass of the loop here is one trial step of
every open lane; a lane whose active set changes spends a pass on starting again.  The host looks every few passes and
closes up the batch when half of it is done.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.flow.batched.kernel import (
    Backward,
    Directions,
    Forward,
    Networks,
    backward,
    directions,
    forward,
    hessian_times,
    values,
)
from harness.flow.batched.lanes import put, take
from harness.flow.settling import newton as rules
from harness.flow.settling.multipliers import REFINED, RIDGE
from harness.flow.settling.polish import ACTIVE

_EXACT = 1e-15  # of the residual relative to ||theta||: rounding, of sums in another order than there
_LOOK = 4
_ROUNDS, _STEPS, _TRIES = 6, 40, 8


@dataclass(frozen=True)
class System:
    """One KKT system a lane.

    samples, curved (B, R): which rows are data (q >= 1), which are curved kinks (= 0).  part (B, N, r): orthonormal
    columns, padded with zeros; along: its Directions.
    """

    net: Networks
    samples: Tensor
    curved: Tensor
    part: Tensor
    along: Directions

    @classmethod
    def of(cls, net: Networks, samples: Tensor, curved: Tensor, part: Tensor) -> System:
        return cls(net, samples, curved, part, directions(net, part))


@dataclass(frozen=True)
class Evaluation:
    """Row values (B, R), their gradients in coordinates of the part, and the passes they come from."""

    at: Forward
    back: Backward
    value: Tensor


@dataclass
class _Search:
    """State of every lane: the point theta = part z with multipliers lam (B, R), its residual and matrix.

    start, first: where a round begins.  opening: the next pass evaluates the start instead of a step.
    steps, stalled, tries, rounds: counts.  status: 0 open, 1 solved, -1 failed.
    """

    z: Tensor
    lam: Tensor
    start: Tensor
    first: Tensor
    active: Tensor
    value: Tensor
    residual: Tensor
    matrix: Tensor
    error: Tensor
    damping: Tensor
    steps: Tensor
    stalled: Tensor
    tries: Tensor
    rounds: Tensor
    opening: Tensor
    status: Tensor


def evaluation(net: Networks, theta: Tensor) -> Evaluation:
    at = forward(net, theta)
    return Evaluation(at, backward(net, at), values(net, at))


def times(matrix: Tensor, vector: Tensor) -> Tensor:
    """Batched matrix (B, a, b) times vector (B, b)."""
    return (matrix @ vector.unsqueeze(2)).squeeze(2)


def newton(system: System, theta: Tensor, p: Tensor, *, weighted: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """From theta (B, N), in the parts, with softmax weights p (B, R), which are the first multipliers if weighted.

    Returns theta, the multipliers (B, R) and the residual relative to ||theta||, infinite where the method failed.
    """
    down = system.part.transpose(1, 2)
    z = times(down, theta)
    theta = times(system.part, z)
    low = torch.where(system.samples, evaluation(system.net, theta).value, torch.inf).amin(1)
    usable = (low > 0.0) & torch.isfinite(low)
    z = z * torch.where(usable, low, 1.0).unsqueeze(1) ** (-1.0 / system.net.degree)
    active = (system.samples & (p > ACTIVE)) | system.curved
    if weighted:
        size = (z * z).sum(1, keepdim=True) / system.net.degree
        first = torch.where(active & system.samples, p * size, 0.0)
    else:
        first = _first_multipliers(system, z, active)
    batch, rows = p.shape
    size = z.shape[1] + rows
    zero = torch.zeros(batch, dtype=torch.int64, device=z.device)
    search = _Search(
        z=z.clone(), lam=first.clone(), start=z, first=first, active=active, value=torch.zeros_like(p),
        residual=z.new_zeros(batch, size), matrix=z.new_zeros(batch, size, size),
        error=z.new_zeros(batch), damping=z.new_ones(batch),
        steps=zero.clone(), stalled=zero.clone(), tries=zero.clone(), rounds=zero.clone(),
        opening=torch.ones_like(usable), status=torch.where(usable, 0, -1),
    )  # fmt: skip
    done = take(search, torch.arange(batch, device=z.device))
    where = torch.arange(batch, device=z.device)
    open_system = system
    for count in range(_ROUNDS * (_STEPS * _TRIES + 1)):
        if count % _LOOK == 0:
            is_open = search.status == 0
            left = int(is_open.sum())
            if not left:
                break
            if 2 * left <= len(where):
                put(done, where, search)
                keep = torch.nonzero(is_open).squeeze(1)
                where, search, open_system = where[keep], take(search, keep), take(open_system, keep)
        _pass(open_system, search)
    put(done, where, search)
    norm = torch.linalg.vector_norm(done.z, dim=1)
    error = torch.where(done.status == 1, done.error / norm, torch.inf)
    return times(system.part, done.z), torch.where(done.active, done.lam, 0.0), error


def _first_multipliers(system: System, z: Tensor, active: Tensor) -> Tensor:
    """Ridge least squares of z over the active gradients, (B, R).

    The softmax weights would do in exact arithmetic, but at a large inverse temperature they carry the
    integrator's error.
    """
    grad = evaluation(system.net, times(system.part, z)).back.grad @ system.part
    gram = grad @ grad.transpose(1, 2)
    top = gram.diagonal(dim1=1, dim2=2).amax(1, keepdim=True)
    both = active.unsqueeze(1) & active.unsqueeze(2)
    gram = torch.where(both, gram, 0.0)
    lu, pivots, _ = torch.linalg.lu_factor_ex(gram + torch.diag_embed((RIDGE * top).expand_as(active)))
    right = torch.where(active, times(grad, z), 0.0).unsqueeze(2)
    found = torch.zeros_like(right)
    for _ in range(REFINED):
        found = found + torch.linalg.lu_solve(lu, pivots, right - gram @ found)
    return found.squeeze(2)


def _kkt(system: System, theta: Tensor, active: Tensor, lam: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Row values, the residual (B, r + R) and its symmetric matrix; rows of inactive samples are the identity."""
    now = evaluation(system.net, theta)
    weights = torch.where(active, lam, 0.0)
    down = system.part.transpose(1, 2)
    stationary = times(down, theta - (weights.unsqueeze(1) @ now.back.grad).squeeze(1))
    curvature = hessian_times(system.net, now.at, now.back, weights, system.along) @ system.part
    r, rows = curvature.shape[1], weights.shape[1]
    grad = torch.where(active.unsqueeze(2), now.back.grad @ system.part, 0.0)
    gap = torch.where(active, system.samples.to(theta.dtype) - now.value, 0.0)
    matrix = theta.new_zeros(len(theta), r + rows, r + rows)
    matrix[:, :r, :r] = torch.eye(r, dtype=theta.dtype, device=theta.device) - curvature
    matrix[:, r:, :r] = -grad
    matrix[:, :r, r:] = -grad.transpose(1, 2)
    matrix[:, r:, r:] = torch.diag_embed((~active).to(theta.dtype))
    return now.value, torch.cat([stationary, gap], dim=1), matrix


def _pass(system: System, search: _Search) -> None:
    """One trial step of every open lane, in place."""
    s = search
    is_open = s.status == 0
    r = s.z.shape[1]
    damped = s.matrix @ s.matrix + torch.diag_embed(s.damping.unsqueeze(1).expand_as(s.residual))
    step, _ = torch.linalg.solve_ex(damped, -times(s.matrix, s.residual).unsqueeze(2))
    step = torch.where(s.opening.unsqueeze(1), 0.0, step.squeeze(2))
    z_new = s.z + step[:, :r]
    lam_new = s.lam + torch.where(s.active, step[:, r:], 0.0)
    value, residual, matrix = _kkt(system, times(system.part, z_new), s.active, lam_new)
    error = torch.linalg.vector_norm(residual, dim=1)
    taken = is_open & (s.opening | (error < s.error))
    refused = is_open & ~taken
    old = s.error
    scale_old = torch.linalg.vector_norm(s.z, dim=1)
    for name, new in (("z", z_new), ("lam", lam_new), ("value", value), ("residual", residual)):
        setattr(s, name, torch.where(taken.unsqueeze(1), new, getattr(s, name)))
    s.matrix = torch.where(taken[:, None, None], matrix, s.matrix)
    s.error = torch.where(taken, error, s.error)
    s.stalled = torch.where(taken, torch.where(~s.opening & (error > 0.5 * old), s.stalled + 1, 0), s.stalled)
    s.steps = torch.where(taken, torch.where(s.opening, 0, s.steps + 1), s.steps)
    s.tries = torch.where(taken, 0, s.tries + refused)
    scale = torch.linalg.vector_norm(s.z, dim=1)
    fresh = (s.error * s.error / (scale * scale)).clamp(min=rules.DAMPING, max=1.0)
    s.damping = torch.where(
        taken, fresh, torch.where(refused, (rules.MORE_DAMPING * s.damping).clamp(min=rules.DAMPED_AT_LEAST), s.damping)
    )
    s.opening = s.opening & ~taken
    settled = (s.error <= _EXACT * scale) | (s.stalled >= 2) | (s.steps >= _STEPS)
    given_up = (s.tries >= _TRIES) | (old < rules.LAST_TRY * scale_old)
    broken = ~torch.isfinite(s.error) | (scale == 0.0)
    ended = is_open & (broken | (taken & settled) | (refused & given_up))
    _change_active_set(system, s, ended & (broken | ~(s.error < rules.SOLVED_AT * scale)), ended)


def _change_active_set(system: System, s: _Search, failed: Tensor, ended: Tensor) -> None:
    """Where Newton's method has ended: drop the most negative multiplier, else add the most violated sample."""
    samples = system.samples
    largest = torch.where(samples, s.lam.abs(), 0.0).amax(1, keepdim=True)
    negative = samples & s.active & (s.lam < -rules.NEGATIVE * largest)
    violated = samples & ~s.active & (s.value < 1.0 - rules.VIOLATED)
    drop = negative.any(1)
    add = ~drop & violated.any(1)
    worst_drop = torch.where(negative, s.lam, torch.inf).argmin(1)
    worst_add = torch.where(violated, s.value, torch.inf).argmin(1)
    changing = ended & ~failed & (drop | add)
    worst = torch.nn.functional.one_hot(torch.where(drop, worst_drop, worst_add), samples.shape[1]).to(torch.bool)
    s.active = torch.where((changing.unsqueeze(1) & worst), ~s.active, s.active)
    s.rounds = s.rounds + changing
    status = torch.where(failed | (s.rounds >= _ROUNDS), -1, torch.where(changing, 0, 1))
    s.status = torch.where(ended, status, s.status)
    floor = rules.JOINING * torch.where(samples, s.first, -torch.inf).amax(1, keepdim=True)
    again = torch.where(samples, torch.where(s.active, torch.maximum(s.first, floor), 0.0), s.first)
    s.z = torch.where(changing.unsqueeze(1), s.start, s.z)
    s.lam = torch.where(changing.unsqueeze(1), again, s.lam)
    s.opening = s.opening | changing
