"""The stiff integrator for all lanes at once, without looking at what happens in any of them.

The method is that of harness.flow.compiled.integrator: RODAS4, the freeze by powers of two, events and grazed kinks
seen in the dense output, located on the step size.  Here one masked step is a fixed list of tensor operations.  Every
lane is in one of three states: it flows (a step is accepted or its size reduced), it locates an event in a step that
passed one (a trial step from the same point), or it waits for the host, with a code.  The host looks every few steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.flow.batched.field import (
    Field,
    field,
    hidden_sizes,
    jacobian,
    loss_below,
    margins,
    return_to_kinks,
    tangency,
    velocity,
    violation,
    violations,
)
from harness.flow.batched.kernel import Forward, by_parameter, changes_of, forward, weights_of
from harness.flow.batched.lanes import Lanes, State, put, take, theta_of
from harness.flow.compiled import integrator as rules
from harness.flow.compiled.events import GRAZE, LANDED, OFF, SHORTEST, TRIALS
from harness.flow.compiled.kernel import SMALL, SMALLEST
from harness.flow.compiled.rodas import DENSE, FLOOR, GAMMA, SOFTMAX_ERROR, STAGE, STEP, UNIT_ERROR, WEIGHTY

RUNNING = -1
_MOST_HALVINGS = 60
_LARGEST_EXCESS = 1e300  # so that an infinite margin has a logarithm


@dataclass(frozen=True)
class Limits:
    """rtol; freeze: as in Settings; polish_from: min q from which DUE is told."""

    rtol: float
    freeze: float
    polish_from: float


@dataclass(frozen=True)
class Batch:
    """The lanes, and each of them three times for the looks for events; None where nothing is watched."""

    lanes: Lanes
    looks: Lanes | None

    @classmethod
    def of(cls, lanes: Lanes) -> Batch:
        eventful = lanes.slides or any(bool((w != 0).any()) for w in lanes.watch)
        count = lanes.real.shape[0]
        three = torch.arange(count, device=lanes.real.device).repeat_interleave(3)
        return cls(lanes, take(lanes, three) if eventful else None)

    def replaced(self, where: Tensor, new: Lanes) -> Batch:
        """With the lanes `where` (B',) written anew."""
        put(self.lanes, where, new)
        if self.looks is None:
            return Batch.of(self.lanes)
        three = torch.arange(3, device=where.device)
        put(
            self.looks,
            (3 * where.unsqueeze(1) + three).flatten(),
            take(new, torch.arange(len(where), device=where.device).repeat_interleave(3)),
        )
        return self


def masked_step(batch: Batch, state: State, limits: Limits, record: list[Tensor] | None = None) -> None:
    """One step of every lane that does not wait, in place; nothing is copied to the host."""
    lanes = batch.lanes
    flowing = (state.code == RUNNING) & ~state.locating
    theta = theta_of(lanes, state.constant, state.z)
    at = forward(lanes.net, theta)
    q = margins(lanes, at)
    state.separated |= flowing & loss_below(lanes, q)
    theta, at, q = _freeze(lanes, state, limits, flowing, theta, at, q)
    now = field(lanes, theta, at, q, rows=True)
    sliding = tangency(lanes, now) if lanes.slides else None
    f0 = _pivots(lanes, velocity(now, sliding))
    _stop_before(state, limits, flowing, now, f0)
    flowing &= state.code == RUNNING
    if record is not None:
        record.append(torch.cat([torch.stack([flowing.double(), state.booked, state.sigma], 1), theta], 1))
    jac = jacobian(lanes, theta, now, sliding)
    jac = jac.gather(1, lanes.pivots.unsqueeze(2).expand(-1, -1, jac.shape[2])) * lanes.pivoted.unsqueeze(2)
    shift = torch.where(now.q.amin(1) > limits.freeze, (now.f * theta).sum(1) / now.rho[:, 0] ** 2, 0.0)
    f0 = f0 - shift.unsqueeze(1) * state.z
    jac = jac - torch.diag_embed(shift.unsqueeze(1).expand_as(f0) * lanes.pivoted)
    trial = _trial(state)
    _give_up_locating(state, shift, trial)
    locating = (state.code == RUNNING) & state.locating
    state.attempts += flowing
    h = torch.where(locating, trial, state.h)
    scales = _scales(lanes, theta, now.rho)
    jac = jac * scales.unsqueeze(1) / scales.unsqueeze(2)
    stages, z_new = _rosenbrock_step(lanes, state, h, f0, jac, scales, shift)
    error = _error(lanes, state, limits, theta, now, stages[5], z_new)
    if len(lanes.net.layers) > 1:
        error = torch.maximum(error, _unit_error(lanes, state, stages[5], z_new, state.booked + shift * h))
    accepted = flowing & (error <= 1.0)
    _resize(state, flowing, accepted, error)
    if batch.looks is not None:
        place, end, grazed = _first_event(batch, state, limits, now, stages, z_new, shift * h)
        state.grazed = torch.where(accepted & (grazed > -torch.inf), grazed, state.grazed)
        accepted = _begin_locating(state, accepted, place, h)
        accepted |= _locate(lanes, state, locating, shift, h, z_new, end)
    _go(state, accepted, z_new, h, shift)
    if lanes.balances:
        _keep_balance(lanes, state, flowing | locating)


def _unit_error(lanes: Lanes, state: State, last: Tensor, z_new: Tensor, booked: Tensor) -> Tensor:
    """As harness.flow.compiled.rodas.unit_error and balance_gaps, (B,)."""
    theta = theta_of(lanes, state.constant, z_new)
    rho = torch.linalg.vector_norm(theta, dim=1, keepdim=True)
    change = (lanes.basis @ last.unsqueeze(2)).squeeze(2)
    sizes = hidden_sizes(lanes, weights_of(lanes.net, theta), rho)
    errors = hidden_sizes(lanes, changes_of(lanes.net, change), torch.linalg.vector_norm(change, dim=1, keepdim=True))
    parts = [e / torch.where(s > 0.0, s, torch.inf) for s, e in zip(sizes, errors, strict=True)]
    if lanes.balances:
        parts.append(balance_gaps(lanes, theta, booked).abs())
    return torch.cat(parts, dim=1).amax(1) / UNIT_ERROR


def balance_gaps(lanes: Lanes, theta: Tensor, booked: Tensor) -> Tensor:
    """As harness.flow.compiled.rodas.balance_gaps, (B, k_1)."""
    below, above = weights_of(lanes.net, theta)
    rho = torch.linalg.vector_norm(theta, dim=1, keepdim=True)
    (size,) = hidden_sizes(lanes, [below, above], rho)
    gap = (above * above).sum(1) - (below * below).sum(2) - torch.exp(-2.0 * booked).unsqueeze(1) * lanes.balance
    return torch.where((size > 0.0) & torch.isfinite(gap), gap / torch.where(size > 0.0, size, 1.0) ** 2, 0.0)


def _keep_balance(lanes: Lanes, state: State, moved: Tensor) -> None:
    """As harness.flow.compiled.integrator._keep_balance, for lanes that may have moved."""
    theta = theta_of(lanes, state.constant, state.z)
    half = 0.5 * balance_gaps(lanes, theta, state.booked)
    below, above = weights_of(lanes.net, torch.ones_like(theta))
    factors = [below * (1.0 + half).unsqueeze(2), above * (1.0 - half).unsqueeze(1)]
    theta = theta * by_parameter(lanes.net, [f.unsqueeze(1) for f in factors]).squeeze(1)
    # where nothing is conserved parameters may be shared, and belong to several entries
    moved = moved.unsqueeze(1) & torch.isfinite(lanes.balance).any(1, keepdim=True)
    state.z = torch.where(moved, _pivots(lanes, theta), state.z)


def _go(state: State, going: Tensor, z_new: Tensor, h: Tensor, shift: Tensor) -> None:
    """Take a step of size h; what was taken from the norm's growth is booked."""
    state.z = torch.where(going.unsqueeze(1), z_new, state.z)
    state.sigma = torch.where(going, state.sigma + h, state.sigma)
    gone = torch.where(going, shift * h, 0.0)
    state.booked = state.booked + gone
    state.constant = state.constant * torch.exp(-gone).unsqueeze(1)


def marks(lanes: Lanes, state: State) -> tuple[list[Tensor], Tensor | None]:
    """What a lane that stopped with EVENT has landed on: per hidden layer (B, n, k_l) and lines (B, S), bool."""
    units, lines, _ = violations(lanes, theta_of(lanes, state.constant, state.z))
    return [u >= -LANDED for u in units], None if lines is None else lines >= -LANDED


def _freeze(
    lanes: Lanes, state: State, limits: Limits, flowing: Tensor, theta: Tensor, at: Forward, q: Tensor
) -> tuple[Tensor, Forward, Tensor]:
    """Halve theta, exactly, until min q <= HALVED * freeze; what is already evaluated is scaled, not evaluated anew."""
    net = lanes.net
    excess = (q.amin(1) / (rules.HALVED * limits.freeze)).clamp(min=1.0, max=_LARGEST_EXCESS)
    count = torch.ceil(torch.log2(excess) / net.degree.squeeze(1)).clamp(max=_MOST_HALVINGS)
    count = torch.where(flowing & torch.isfinite(count), count, 0.0)
    powers = 0.5 ** torch.arange(_MOST_HALVINGS * net.depth + 1, dtype=theta.dtype, device=theta.device)
    halvings = count.to(torch.int64).unsqueeze(1)
    scale = powers[halvings]
    state.z = state.z * scale
    state.constant = state.constant * scale
    state.booked = state.booked + count * math.log(2.0)
    own = torch.where(net.trained > 0.0, scale, 1.0)[:, :, None, None].unbind(1)
    reached = powers[halvings * net.power][:, :, None, None].unbind(1)
    scaled = Forward(
        [w * s for w, s in zip(at.weights, own, strict=True)],
        [at.inputs[0], *(h * s for h, s in zip(at.inputs[1:], reached, strict=False))],
        [p * s for p, s in zip(at.pre, reached, strict=True)],
    )
    return theta * scale, scaled, q * reached[-1].squeeze(2)


def _stop_before(state: State, limits: Limits, flowing: Tensor, now: Field, f0: Tensor) -> None:
    """DUE, STATIONARY and OUT_OF_STEPS, in this order."""
    rho = now.rho[:, 0]
    due = (now.q.amin(1) >= limits.polish_from) & (state.booked + torch.log(rho) >= state.target)
    still = f0.abs().amax(1) <= torch.where(state.separated, 0.0, rules.AT_REST * rho)
    still |= rho < rules.VANISHED * state.first_norm
    out = state.attempts >= state.steps
    code = torch.where(out, rules.OUT_OF_STEPS, RUNNING)
    code = torch.where(due, rules.DUE, torch.where(still, rules.STATIONARY, code))
    state.code = torch.where(flowing, code, state.code)


def _pivots(lanes: Lanes, v: Tensor) -> Tensor:
    return v.gather(1, lanes.pivots) * lanes.pivoted


def _scales(lanes: Lanes, theta: Tensor, rho: Tensor) -> Tensor:
    """As harness.flow.compiled.rodas.grade, (B, r); rho (B, 1)."""
    sizes = hidden_sizes(lanes, weights_of(lanes.net, theta), rho)
    own = [w * rho.unsqueeze(2) for w in weights_of(lanes.net, torch.ones_like(theta))]
    for layer, size in enumerate(sizes):
        own[layer] = torch.minimum(own[layer], size.unsqueeze(2))
        own[layer + 1] = torch.minimum(own[layer + 1], size.unsqueeze(1))
    scales = by_parameter(lanes.net, [w.unsqueeze(1) for w in own]).squeeze(1) / (SMALL * rho)
    return torch.where(lanes.pivoted > 0.0, scales.clamp(SMALLEST, 1.0).gather(1, lanes.pivots), 1.0)


def _rosenbrock_step(
    lanes: Lanes, state: State, h: Tensor, f0: Tensor, jac: Tensor, scales: Tensor, shift: Tensor
) -> tuple[list[Tensor], Tensor]:
    """The six stages (B, r) of a RODAS4 step of size h (B,), and its end; NaN where the matrix is singular.

    f0, jac: of the field less shift (B,) times theta, jac in coordinates over their scales (B, r).
    """
    h, shift = h.unsqueeze(1), shift.unsqueeze(1)
    lhs = torch.diag_embed((1.0 / (h * GAMMA)).expand_as(f0)) - jac
    lu, pivots, _ = torch.linalg.lu_factor_ex(lhs)
    stages: list[Tensor] = []
    stage = state.z
    rhs = f0
    for s in range(6):
        if s > 0:
            if s < 5:
                stage = state.z
                for j in range(s):
                    stage = torch.add(stage, stages[j], alpha=float(STAGE[s, j]))
            else:
                stage = stage + stages[4]
            now = field(lanes, theta_of(lanes, state.constant, stage))
            rhs = _pivots(lanes, velocity(now, tangency(lanes, now) if lanes.slides else None))
            terms = stages[0] * float(STEP[s, 0])
            for j in range(1, s):
                terms = torch.add(terms, stages[j], alpha=float(STEP[s, j]))
            rhs = rhs - shift * stage + terms / h
        stages.append(scales * torch.linalg.lu_solve(lu, pivots, (rhs / scales).unsqueeze(2)).squeeze(2))
    z_new = stage + stages[5]
    if lanes.slides:
        for _ in range(3 if lanes.curves else 1):
            back = _pivots(lanes, return_to_kinks(lanes, theta_of(lanes, state.constant, z_new)))
            # what brings a step back moves the margins as well, and counts among its errors
            z_new, stages[5] = z_new + back, stages[5] + back
    return stages, z_new


def _error(
    lanes: Lanes, state: State, limits: Limits, theta: Tensor, now: Field, last: Tensor, z_new: Tensor
) -> Tensor:
    """The error of the step relative to its tolerance, (B,)."""
    theta_new = theta_of(lanes, state.constant, z_new)
    change = lanes.basis @ last.unsqueeze(2)
    scaled = change.squeeze(2) / (torch.maximum(theta.abs(), theta_new.abs()) + FLOOR * now.rho)
    error = torch.sqrt((scaled * scaled).sum(1) / lanes.size) / limits.rtol
    margin = (now.rows.grad[:, : lanes.samples] @ change).squeeze(2).abs() / SOFTMAX_ERROR
    return torch.maximum(error, torch.where(now.p > WEIGHTY, margin, 0.0).amax(1))


def _resize(state: State, flowing: Tensor, accepted: Tensor, error: Tensor) -> None:
    smaller = torch.where(torch.isfinite(error), (rules.SAFETY * error**-0.25).clamp(min=rules.SHRINK), rules.SHRINK)
    larger = (rules.SAFETY * error.clamp(min=rules.LEAST_ERROR) ** -0.25).clamp(max=rules.GROW)
    state.h = torch.where(flowing, state.h * torch.where(accepted, larger, smaller), state.h)
    state.code = torch.where(flowing & ~accepted & (state.h < rules.LEAST_STEP), rules.STUCK, state.code)


def _first_event(
    batch: Batch, state: State, limits: Limits, now: Field, stages: list[Tensor], z_new: Tensor, booked: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Where in the step an event is first seen, 2 if nowhere; the violation and the log-norm at its end.

    The log-norm is -inf where no kink is grazed.

    As harness.flow.compiled.events.first_event: looks at thirds of the dense output, and cubics through them.
    booked (B,): the growth that the step books.
    """
    lanes, looks = batch.lanes, batch.looks
    assert looks is not None
    theta = _thirds(looks, state, stages, z_new, booked)
    units, lines, later = violations(looks, theta)
    past = torch.cat([u.flatten(1) for u in units] + ([lines] if lines is not None else []), dim=1).amax(1)
    past = past.reshape(-1, 3)
    thirds = torch.arange(1, 4, dtype=past.dtype, device=past.device) / 3.0
    place = torch.where(past > LANDED, thirds, 2.0).amin(1)
    touched = torch.full_like(place, 2.0)
    norms = torch.linalg.vector_norm(theta, dim=1).reshape(-1, 3)
    sizes = hidden_sizes(lanes, now.at.weights, now.rho)
    for layer, (watch, size) in enumerate(zip(lanes.watch, sizes, strict=True)):
        power, gain = (part[:, layer : layer + 1] for part in (lanes.net.power, lanes.net.gain))
        scale = watch / (lanes.reach * (gain * now.rho**power).unsqueeze(2))
        a = scale * now.at.pre[layer][:, : lanes.samples]
        ahead = later.pre[layer][:, : lanes.samples].unflatten(0, (-1, 3))
        b, c, d = (scale.unsqueeze(1) * ahead).unbind(1)
        where, value = lowest(a, b, c, d)
        own = (size / now.rho).unsqueeze(1)  # of the unit, to which its kinks are compared
        dips = (where < 1.0) & (watch != 0.0) & (own > 0.0)
        crosses = dips & (a > OFF * own) & (value < -LANDED * own)
        dips = dips & (a > OFF)
        near = GRAZE * limits.rtol * (_sway(lanes, now) if layer == 0 else 1.0)
        deep = a - value > torch.where(booked[:, None, None] == 0.0, OFF, near)
        touches = dips & deep & (value.abs() < near)
        touched = torch.minimum(touched, torch.where(touches, where, 2.0).flatten(1).amin(1))
        place = torch.minimum(place, torch.where(crosses, where, 2.0).flatten(1).amin(1))
    grazes = (touched < 1.0) & (touched <= place)
    return place, past[:, 2], torch.where(grazes, state.booked + booked + torch.log(norms[:, 2]), -torch.inf)


def lowest(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    """As harness.flow.compiled.events.lowest, entry by entry."""
    first = 0.5 * (-11.0 * a + 18.0 * b - 9.0 * c + 2.0 * d)
    second = 4.5 * (2.0 * a - 5.0 * b + 4.0 * c - d)
    third = 4.5 * (-a + 3.0 * b - 3.0 * c + d)
    square = second * second - 3.0 * first * third
    s = -first / (second + torch.sqrt(square.clamp(min=0.0)))
    inside = (square > 0.0) & (s > 0.0) & (s < 1.0)
    s = torch.where(inside, s, 2.0)
    return s, a + s * (first + s * (second + s * third))


def _sway(lanes: Lanes, now: Field) -> Tensor:
    """As harness.flow.compiled.events.sway, for the first layer (B, n, k_1), which is trained."""
    weights = now.at.weights[0]
    there = lanes.net.index[:, : weights[0].numel()].reshape(weights.shape) != lanes.basis.shape[1] - 1
    room = (weights.abs() + FLOOR * now.rho.unsqueeze(2)) * there
    moved = lanes.net.x[:, : lanes.samples].abs() @ room.transpose(1, 2)
    return moved / (now.rho.unsqueeze(2) * lanes.reach)


def _thirds(looks: Lanes, state: State, stages: list[Tensor], z_new: Tensor, booked: Tensor) -> Tensor:
    """theta (3 B, N) at the thirds of the dense output, the last one at the step's end."""
    d1 = torch.zeros_like(z_new)
    d2 = torch.zeros_like(z_new)
    for j in range(5):
        d1 = torch.add(d1, stages[j], alpha=float(DENSE[0, j]))
        d2 = torch.add(d2, stages[j], alpha=float(DENSE[1, j]))
    points = [state.z * (1 - s) + s * (z_new + (1 - s) * (d1 + s * d2)) for s in (1.0 / 3.0, 2.0 / 3.0)]
    z = torch.stack([*points, z_new], dim=1).flatten(0, 1)
    parts = torch.arange(1, 4, dtype=z.dtype, device=z.device) / 3.0
    constant = state.constant.unsqueeze(1) * torch.exp(-booked.unsqueeze(1) * parts).unsqueeze(2)
    return theta_of(looks, constant.flatten(0, 1), z)


def _begin_locating(state: State, accepted: Tensor, place: Tensor, h: Tensor) -> Tensor:
    """Lanes whose step passed an event, seen at a place in it, start to locate it; the steps that stay accepted."""
    begins = accepted & (place <= 1.0)
    span = h * place.clamp(max=1.0)
    state.locating = state.locating | begins
    state.trial = torch.where(begins, -1, state.trial)
    state.span = torch.where(begins, span, state.span)
    state.hi = torch.where(begins, span, state.hi)
    return accepted & ~begins


def _trial(state: State) -> Tensor:
    """The next step size of lanes that locate: regula falsi (Illinois) on the step size, with bisections between."""
    a, b = state.weight_lo * state.g_lo, state.weight_hi * state.g_hi
    secant = (state.lo * b - state.hi * a) / (b - a)
    middle = 0.5 * (state.lo + state.hi)
    trial = torch.where((state.g_lo < -LANDED) & (state.trial % 4 != 3), secant, middle)
    return torch.where(state.trial < 0, state.hi, trial)


def _give_up_locating(state: State, shift: Tensor, trial: Tensor) -> None:
    """Lanes that cannot come closer take the upper end of their interval for the event."""
    closed = ~((state.lo < trial) & (trial < state.hi)) | (state.hi - state.lo < SHORTEST * state.span)
    closed |= state.trial >= TRIALS
    _land(state, (state.code == RUNNING) & state.locating & (state.trial >= 0) & closed, shift)


def _land(state: State, landed: Tensor, shift: Tensor) -> None:
    _go(state, landed, state.z_hi, state.hi, shift)
    state.code = torch.where(landed, rules.EVENT, state.code)
    state.locating = state.locating & ~landed


def _locate(lanes: Lanes, state: State, locating: Tensor, shift: Tensor, h: Tensor, z_new: Tensor, g: Tensor) -> Tensor:
    """Take in what the trial steps found; returns the lanes whose step meets no event after all."""
    opening = locating & (state.trial < 0)
    start = violation(lanes, theta_of(lanes, state.constant, state.z))
    # a start that has landed a hair beyond a kink has to come back to where it is
    level = start.clamp(min=0.0, max=OFF)
    start, g = start - level, g - level
    missed = opening & (g <= LANDED)
    opening = opening & ~missed
    beyond = locating & ~missed & ((g > 0.0) | opening)
    before = locating & ~missed & ~beyond
    state.weight_lo = torch.where(opening | before, 1.0, torch.where(beyond, 0.5 * state.weight_lo, state.weight_lo))
    state.weight_hi = torch.where(opening | beyond, 1.0, torch.where(before, 0.5 * state.weight_hi, state.weight_hi))
    state.lo = torch.where(opening, 0.0, torch.where(before, h, state.lo))
    state.g_lo = torch.where(opening, start, torch.where(before, g, state.g_lo))
    state.hi = torch.where(beyond, h, state.hi)
    state.g_hi = torch.where(beyond, g, state.g_hi)
    state.z_hi = torch.where(beyond.unsqueeze(1), z_new, state.z_hi)
    state.trial = torch.where(locating, state.trial + 1, state.trial)
    state.locating = state.locating & ~missed
    _land(state, beyond & ~opening & (g <= LANDED), shift)
    return missed
