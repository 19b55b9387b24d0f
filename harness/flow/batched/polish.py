"""The polish of many flows at once: to the KKT point that each points at, and the second-order test there.

The rules are those of harness.flow.settling.polish: Newton's method, where it fails Newton's method with small units
removed, then the largest curvature of the Lagrangian on the critical subspace.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from harness.flow.batched.field import field
from harness.flow.batched.kernel import hessian_times
from harness.flow.batched.lanes import Lanes, take
from harness.flow.batched.newton import System, evaluation, newton, times
from harness.flow.compiled.kernel import Wiring
from harness.flow.settling.newton import SOLVED_AT
from harness.flow.settling.polish import FAILED, LATE, LEADING, SADDLE, SOLVED
from harness.flow.settling.removals import removals, weights_of, where_zero
from harness.flow.settling.second_order import FLAT, INDEPENDENT, POSITIVE, PUSHED


def polish(
    lanes: Lanes, theta: Tensor, wirings: Sequence[Wiring], tangents: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The codes (B,) of harness.flow.settling.polish, the points (B, N), their margins and their multipliers (B, n).

    theta (B, N): where the flows are; tangents: for each the orthonormal basis (N, r) of the directions it can take.
    """
    batch = len(tangents)
    now = field(lanes, theta)
    rows = lanes.net.x.shape[1]
    p = torch.nn.functional.pad(now.p, (0, rows - lanes.samples))
    late = torch.where(lanes.real, now.q, torch.inf).amin(1) > LATE
    host = theta.cpu().numpy()
    trials = [removals(net, row[: len(t)].copy()) for net, row, t in zip(wirings, host, tangents, strict=True)]
    codes = np.full(batch, FAILED)
    points, margins = host.copy(), np.zeros((batch, lanes.samples))
    multipliers = np.zeros_like(margins)
    whole = _stack(list(tangents), theta)
    left = list(range(batch))
    trial = 0
    while left:
        parts = [tangents[b] if trial == 0 else _without(wirings[b], tangents[b], trials[b][trial]) for b in left]
        used = [k for k, part in enumerate(parts) if part.shape[1]]
        if used:
            chosen = torch.tensor([left[k] for k in used], device=theta.device)
            found = _within(
                take(lanes, chosen), theta[chosen], p[chosen], late[chosen] & (trial == 0),
                _stack([parts[k] for k in used], theta), whole[chosen],
            )  # fmt: skip
            for k, code, point, q, lam in zip(used, *found, strict=True):
                b = left[k]
                # a saddle of the whole is final, one with units removed is not: others may be removed
                if code == SOLVED or (code == SADDLE and codes[b] != SOLVED):
                    codes[b], points[b], margins[b], multipliers[b] = code, point, q, lam
        final = {b for b in left if codes[b] == SOLVED or (trial == 0 and codes[b] == SADDLE)}
        trial += 1
        left = [b for b in left if b not in final and trial < len(trials[b])]
    return codes, points, margins, multipliers


def _within(
    lanes: Lanes, theta: Tensor, p: Tensor, late: Tensor, part: Tensor, whole: Tensor
) -> tuple[np.ndarray, ...]:
    """One trial: Newton's method within the part, residual and second-order test within the whole.

    late (B,): which to try with the LEADING samples alone.
    """
    curved = torch.zeros_like(p, dtype=torch.bool)
    curved[:, lanes.kinks] = lanes.line[:, lanes.normals.shape[1] :]
    samples = torch.nn.functional.pad(lanes.real, (0, p.shape[1] - lanes.samples))
    inside = System.of(lanes.net, samples, curved, part)
    point, lam, error = newton(inside, theta, p)
    leading = torch.where(p >= LEADING * p.amax(1, keepdim=True), p, 0.0)
    for weights, tried in ((p, torch.ones_like(late)), (leading, late)):
        again = torch.nonzero(~(error < SOLVED_AT) & tried).squeeze(1)
        if len(again):
            second = newton(take(inside, again), theta[again], weights[again], weighted=True)
            for every, found in zip((point, lam, error), second, strict=True):
                every[again] = found
    lam = torch.where(samples, lam.clamp(min=0.0), lam)
    system = System.of(lanes.net, samples, curved, whole)
    now = evaluation(lanes.net, point)
    rest = times(whole.transpose(1, 2), point - (lam.unsqueeze(1) @ now.back.grad).squeeze(1))
    norm = torch.linalg.vector_norm(point, dim=1)
    error = torch.maximum(error, torch.linalg.vector_norm(rest, dim=1) / norm)
    solved = torch.isfinite(error) & (error < SOLVED_AT)
    curvature = _largest_curvature(system, point, torch.where(solved.unsqueeze(1), lam, 0.0))
    code = torch.where(solved, torch.where(curvature <= FLAT, SOLVED, SADDLE), FAILED)
    margins, multipliers = now.value[:, : lanes.samples], lam[:, : lanes.samples]
    return tuple(part.cpu().numpy() for part in (code, point, margins, multipliers))


def _largest_curvature(system: System, theta: Tensor, lam: Tensor) -> Tensor:
    """The largest eigenvalue of the Lagrangian's Hessian - I on the critical subspace inside the part, (B,).

    -1 where the critical subspace is zero.  Lanes that are not finite give nonsense, but no error.
    """
    now = evaluation(system.net, theta)
    grad = now.back.grad @ system.part
    top = torch.where(system.samples, lam, 0.0).amax(1, keepdim=True)
    tight = system.curved | (system.samples & (lam > POSITIVE * top))
    lengths = torch.linalg.vector_norm(grad, dim=2, keepdim=True)
    rows = torch.where(tight.unsqueeze(2) & (lengths > 0.0), grad / torch.where(lengths > 0.0, lengths, 1.0), 0.0)
    _, sizes, right = torch.linalg.svd(torch.nan_to_num(rows), full_matrices=False)
    right = right * (sizes > INDEPENDENT).unsqueeze(2)
    r = grad.shape[2]
    identity = torch.eye(r, dtype=theta.dtype, device=theta.device)
    columns = torch.diag_embed((system.part.abs().amax(1) > 0.0).to(theta.dtype))
    # padded columns are no directions
    projector = columns - right.transpose(1, 2) @ right
    curvature = hessian_times(system.net, now.at, now.back, lam, system.along) @ system.part - identity
    curvature = torch.nan_to_num(0.5 * (curvature + curvature.transpose(1, 2)), posinf=0.0, neginf=0.0)
    shift = PUSHED * (curvature.abs().amax((1, 2)) + 1.0)
    reduced = projector @ curvature @ projector - shift[:, None, None] * (identity - projector)
    free = projector.diagonal(dim1=1, dim2=2).sum(1).round()
    return torch.where(free > 0.5, torch.linalg.eigvalsh(reduced).amax(1), -1.0)


def _without(net: Wiring, basis: np.ndarray, units: np.ndarray) -> np.ndarray:
    """The part of the span of a basis in which the weights of these units are zero."""
    small = weights_of(net, units, len(basis))
    return where_zero(basis, small) if small.any() else np.zeros((len(basis), 0))


def _stack(bases: list[np.ndarray], like: Tensor) -> Tensor:
    """Bases (N_b, r_b) as one tensor (B, N, r), padded with zeros."""
    out = np.zeros((len(bases), like.shape[1], max(1, *(b.shape[1] for b in bases), 1)))
    for b, basis in enumerate(bases):
        out[b, : basis.shape[0], : basis.shape[1]] = basis
    return torch.from_numpy(out).to(like.device)
