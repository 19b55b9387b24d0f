"""The field of the reparametrised flow, its Jacobian, and what slides on kinks, compiled.

Along the path of the gradient flow, with p = softmax(-q) (logistic: p_i ~ 1 / (1 + exp(q_i)), and with several outputs
p_i ~ exp(-q_i) / (1 + sum of exp(-q) over the margins of the same point)), of degree m,

    d theta / d sigma = f(theta) = rho^(2-m) sum_i p_i grad q_i,      rho = ||theta||,

is valid before the data are fit and turns the norm's growth into exp(sigma).  On sliding kinks the velocity is f plus
the multiples of their normals that keep it tangent to all of them (docs/statements.md, section 2).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from harness.flow.compiled.compiling import compiled, inlined
from harness.flow.compiled.kernel import (
    Wiring,
    dot,
    entries_of,
    evaluate,
    hessian_times,
    lu_factor,
    lu_solve,
    margin_of,
    unit_gradient,
    unit_sizes,
)
from harness.problem.instances import Instance

RIDGE = 1e-14  # of the trace: above rounding, and what it takes from a velocity is below every other error
LARGEST_EXPONENT = 700.0  # exp of it is a float, and its inverse a normal one


class Cell(NamedTuple):
    """What the flow follows while no gate changes: x (n, d), seeds (n, K), gates (n, units) as of `kernel`.

    jump: by how much the slope on a kink's positive side exceeds that on its negative one.  group: how many margins a
    point has; they follow each other.
    """

    net: Wiring
    x: np.ndarray
    seeds: np.ndarray
    gates: np.ndarray
    logistic: bool
    jump: float
    group: int


def cell_of(instance: Instance, net: Wiring) -> Cell:
    """That of an instance, with every gate on."""
    problem, below = instance.problem, float(instance.network.slope)
    x, seeds = problem.inputs.copy(), problem.seeds.copy()
    gates = np.ones((len(x), int(net.uptr[-1])))
    return Cell(net, x, seeds, gates, instance.loss == "logistic", 1.0 - below, problem.group)


class Work(NamedTuple):
    """What the field fills: margins q, their gradients, pre-activations and delta = dq/dpre as of `evaluate`.

    p (n,): the softmax; slope (n,): -d log(-loss'(q)) / dq, by the margin itself; f (N,): the field.
    """

    q: np.ndarray
    grad: np.ndarray
    pre: np.ndarray
    delta: np.ndarray
    p: np.ndarray
    slope: np.ndarray
    f: np.ndarray


@compiled
def workspace(cell):
    """Room for the field."""
    n, units = cell.gates.shape
    size = max(int(cell.net.par.max()) + 1, 0)
    # zeros: the field leaves the columns of the inputs alone
    return Work(
        np.zeros(n),
        np.zeros((n, size)),
        np.zeros((n, units)),
        np.zeros((n, units)),
        np.zeros(n),
        np.zeros(n),
        np.zeros(size),
    )


class Slides(NamedTuple):
    """Kinks on which the flow slides: lines n_h, and the (sample, unit) pairs that belong to each.

    normals (s, N): the flat ones, of the first layer, come first and are fixed; the curved ones, of deeper layers, are
    refilled at every theta, and `curved` (t, 2) holds their (sample, unit) pairs.
    line, sample, unit, scale: members; the pair's own normal is scale * normals[line] (on curved ones the scale
    is found anew at every theta).
    gram (s, s), piv (s,): the factored Gram matrix of the normals (`factor_gram`), refilled with them.
    """

    normals: np.ndarray
    curved: np.ndarray
    line: np.ndarray
    sample: np.ndarray
    unit: np.ndarray
    scale: np.ndarray
    gram: np.ndarray
    piv: np.ndarray


def slides_of(normals, curved, line, sample, unit, scale) -> Slides:
    """The same with the Gram matrix factored."""
    count = len(normals)
    slides = Slides(
        normals, curved, line, sample, unit, scale, np.zeros((count, count)), np.zeros(count, dtype=np.int64)
    )
    factor_gram(slides)
    return slides


def no_slides(size: int) -> Slides:
    """None, among `size` parameters."""
    none = np.zeros(0, dtype=np.int64)
    return slides_of(np.zeros((0, size)), np.zeros((0, 2), dtype=np.int64), none, none, none, np.zeros(0))


@inlined
def log_weight(q, logistic):
    """log(-loss'(q)), without overflow."""
    return -(max(q, 0.0) + np.log1p(np.exp(-abs(q)))) if logistic else -q


@compiled
def cross_entropy(q):
    """log(1 + sum_k exp(-q_k)) of the margins of one point."""
    top = max(-q.min(), 0.0)
    total = np.exp(-top)
    for k in range(q.shape[0]):
        total += np.exp(-q[k] - top)
    return top + np.log(total)


@inlined
def softmax(q, logistic, group, p, slope):
    """p_i, the normalised -loss'(q_i), and slope_i = -d log(-loss'(q_i)) / dq_i."""
    n = q.shape[0]
    if logistic and group > 1:
        for first in range(0, n, group):
            loss = cross_entropy(q[first : first + group])
            for i in range(first, first + group):
                p[i] = -q[i] - loss
                slope[i] = -np.expm1(p[i])
    else:
        for i in range(n):
            p[i] = log_weight(q[i], logistic)
            slope[i] = 1.0 / (1.0 + np.exp(min(-q[i], LARGEST_EXPONENT))) if logistic else 1.0
    top = p.max()
    total = 0.0
    for i in range(n):
        p[i] = np.exp(p[i] - top)
        total += p[i]
    for i in range(n):
        p[i] /= total


@compiled
def loss_below(q, logistic, group):
    """Whether L(theta) is below what separates."""
    total = 0.0
    if logistic and group > 1:
        for first in range(0, q.shape[0], group):
            total += cross_entropy(q[first : first + group])
    else:
        for i in range(q.shape[0]):
            if logistic:
                total += np.log1p(np.exp(-abs(q[i]))) + max(-q[i], 0.0)
            else:
                total += np.exp(min(-q[i], LARGEST_EXPONENT))
    return total < (np.log(2.0) if logistic else 1.0)


@inlined
def growth(rho, degree):
    """rho^(2 - degree), and 0 at rho = 0."""
    if degree == 2:
        return 1.0
    if rho == 0.0 or degree == 1:
        return rho
    out = 1.0
    for _ in range(degree - 2):
        out /= rho
    return out


@inlined
def field(cell, theta, work):
    """The field f (N,) with every sliding gate off, and everything on the way to it; returns rho."""
    net, x, seeds, gates, logistic, jump, group = cell
    q, grad, pre, delta, p, slope, f = work
    evaluate(net, theta, x, seeds, gates, q, grad, pre, delta)
    softmax(q, logistic, group, p, slope)
    rho = np.sqrt(dot(theta, theta))
    factor = growth(rho, net.degree)
    f[:] = 0.0
    for i in range(x.shape[0]):
        weight = factor * p[i]
        for k in range(theta.shape[0]):
            f[k] += weight * grad[i, k]
    return rho


@inlined
def rate(cell, theta, work):
    """The same f by one backward pass over the weighted samples, without their gradients; returns rho.

    Fills q, p, slope and f of work, leaves grad, and needs pre and delta for itself; samples with the same gates
    everywhere are one sample to the backward pass.
    """
    net, x, seeds, gates, logistic, jump, group = cell
    row, col, par, value, ptr, uptr, trained, power, gain, degree = net
    q, grad, pre, delta, p, slope, f = work
    n, d = x.shape
    units = gates.shape[1]
    outputs = seeds.shape[1]
    h, back = pre, delta[0]
    m = ptr.shape[0] - 1
    w = entries_of(net, theta)
    for i in range(n):
        for u in range(units):
            h[i, u] = x[i, u] if u < d else 0.0
        for layer in range(m):
            for e in range(ptr[layer], ptr[layer + 1]):
                h[i, row[e]] += w[e] * h[i, col[e]]
            if layer < m - 1:
                for u in range(uptr[layer + 1], uptr[layer + 2]):
                    h[i, u] *= gates[i, u]
        q[i] = margin_of(seeds, h, i)
    softmax(q, logistic, group, p, slope)
    rho = np.sqrt(dot(theta, theta))
    factor = growth(rho, degree)
    f[:] = 0.0
    alike = outputs == 1 and same_gates(gates)
    if alike:
        for u in range(units):
            total = 0.0
            for i in range(n):
                total += p[i] * seeds[i, 0] * h[i, u]
            h[0, u] = total
    for i in range(1 if alike else n):
        if factor == 0.0 or (p[i] == 0.0 and not alike):
            continue
        back[:] = 0.0
        for k in range(outputs):
            back[units - outputs + k] = factor * (1.0 if alike else p[i] * seeds[i, k])
        for layer in range(m - 1, -1, -1):
            if layer < m - 1:
                for u in range(uptr[layer + 1], uptr[layer + 2]):
                    back[u] *= gates[i, u]
            if trained[layer]:
                for e in range(ptr[layer], ptr[layer + 1]):
                    b = back[row[e]]
                    f[par[e]] += b * h[i, col[e]]
                    back[col[e]] += b * w[e]
            else:
                for e in range(ptr[layer], ptr[layer + 1]):
                    back[col[e]] += back[row[e]] * w[e]
    return rho


@inlined
def same_gates(gates):
    """Whether all samples have the same gates, as they do in a linear network."""
    for i in range(1, gates.shape[0]):
        for u in range(gates.shape[1]):
            if gates[i, u] != gates[0, u]:
                return False
    return True


@compiled
def weighted_point(x, seeds, p):
    """sum_i p_i y_i x_i, shape (1, d): with one output and the same gates everywhere the samples are one."""
    out = np.zeros((1, x.shape[1]))
    for i in range(x.shape[0]):
        for c in range(x.shape[1]):
            out[0, c] += p[i] * seeds[i, 0] * x[i, c]
    return out


@compiled
def pull(slides, cell, theta, f):
    """omega (s,) with f + sum_h omega_h n_h tangent to all sliding kinks; refills the curved normals at theta."""
    flat = slides.normals.shape[0] - slides.curved.shape[0]
    for t in range(slides.curved.shape[0]):
        i, u = slides.curved[t]
        unit_gradient(cell.net, theta, cell.x[i], cell.gates[i], u, slides.normals[flat + t])
    s = slides.normals.shape[0]
    if flat < s:
        factor_gram(slides)
    omega = np.empty(s)
    for h in range(s):
        omega[h] = -dot(slides.normals[h], f)
    lu_solve(slides.gram, slides.piv, omega)
    return omega


@compiled
def factor_gram(slides):
    """Fill and factor the Gram matrix of the normals; dependent ones leave its solutions the same velocity."""
    normals, gram, piv = slides.normals, slides.gram, slides.piv
    s = normals.shape[0]
    trace = 0.0
    for h in range(s):
        for j in range(h + 1):
            gram[h, j] = gram[j, h] = dot(normals[h], normals[j])
        trace += gram[h, h]
    # a tiny ridge picks one of the solutions
    for h in range(s):
        gram[h, h] += RIDGE * trace
    lu_factor(gram, piv)


@compiled
def add_multiples(normals, omega, v):
    """v (N,) += sum_h omega_h normals_h, in place."""
    for h in range(normals.shape[0]):
        for a in range(v.shape[0]):
            v[a] += omega[h] * normals[h, a]
    return v


@inlined
def velocity(cell, theta, slides, work):
    """dtheta/dsigma (N,), on the sliding kinks if there are any, and rho; without slides it is the f of work itself."""
    rho = rate(cell, theta, work)
    f = work.f
    if slides.normals.shape[0] > 0:
        return add_multiples(slides.normals, pull(slides, cell, theta, f), f.copy()), rho
    return f, rho


@compiled
def jacobian(cell, theta, slides, work, rho, basis):
    """(d velocity / d theta) @ basis, shape (N, r), from the state that `field` left in work."""
    net, x, seeds, gates, logistic, jump, group = cell
    q, grad, pre, delta, p, slope, f = work
    n, units = gates.shape
    size, r = basis.shape
    outputs = seeds.shape[1]
    factor = growth(rho, net.degree)
    s = slides.normals.shape[0]
    flat = s - slides.curved.shape[0]
    points = x
    weighted = np.zeros((n, units))
    for i in range(n):
        for k in range(outputs):
            weighted[i, units - outputs + k] = p[i] * seeds[i, k]
    if s == flat and outputs == 1 and same_gates(gates):
        points = weighted_point(x, seeds, p)
        weighted[0, units - 1] = 1.0
    omega = np.zeros(s)
    if s > 0:
        omega = pull(slides, cell, theta, f)
        for t in range(s - flat):
            i, u = slides.curved[t]
            weighted[i, u] += omega[flat + t] / factor
    out = np.empty((size, r))
    hessian_times(net, theta, points, gates, weighted, basis, out)
    gb = np.zeros((n, r))
    mean = np.zeros(r)
    tb = np.zeros(r)
    # so small products cost less by hand than a library call each
    for i in range(n):
        for a in range(size):
            if grad[i, a] != 0.0:
                for k in range(r):
                    gb[i, k] += grad[i, a] * basis[a, k]
    bend(slope, group, gb)
    for i in range(n):
        for k in range(r):
            mean[k] += p[i] * gb[i, k]
    for a in range(size):
        for k in range(r):
            tb[k] += theta[a] * basis[a, k]
    for i in range(n):
        if p[i] > 0.0:
            for a in range(size):
                g = p[i] * grad[i, a]
                if g != 0.0:
                    for k in range(r):
                        out[a, k] -= g * (gb[i, k] - mean[k])
    for a in range(size):
        radial = (2 - net.degree) * f[a] / (rho * rho)
        for k in range(r):
            out[a, k] = factor * out[a, k] + radial * tb[k]
    if s > 0:
        _keep_tangent(cell, theta, slides, f + slides.normals.T @ omega, basis, out)
    return out


@compiled
def bend(slope, group, gb):
    """From dq (n, r) to -d log(-loss'(q)) in place; the margins of one point answer to each other."""
    n, r = gb.shape
    for k in range(r):
        for first in range(0, n, group):
            felt = 0.0
            for i in range(first, first + group):
                felt += (1.0 - slope[i]) * gb[i, k]
            for i in range(first, first + group):
                gb[i, k] = slope[i] * gb[i, k] if group == 1 else gb[i, k] - felt


@compiled
def _keep_tangent(cell, theta, slides, v, basis, out):
    """Take from the derivative out (N, r) of the velocity v (N,) what would leave the slides.

    Tangency n_h . v = 0, differentiated: n_h . dv = -(d n_h) . v.
    """
    size, r = basis.shape
    s = slides.normals.shape[0]
    flat = s - slides.curved.shape[0]
    right = slides.normals @ out
    for t in range(s - flat):
        i, u = slides.curved[t]
        seeds = np.zeros(cell.gates.shape)
        seeds[i, u] = 1.0
        turn = np.empty((size, 1))
        hessian_times(cell.net, theta, cell.x, cell.gates, seeds, v.reshape(size, 1), turn)
        for k in range(r):
            for a in range(size):
                right[flat + t, k] += turn[a, 0] * basis[a, k]
    for k in range(r):
        column = right[:, k].copy()
        lu_solve(slides.gram, slides.piv, column)
        for h in range(s):
            for a in range(size):
                out[a, k] -= slides.normals[h, a] * column[h]


@compiled
def slide_coefficients(slides, cell, theta, work, rho, coefficients, jumps):
    """Clarke coefficients that keep the flow on its sliding kinks, and the jumps across them.

    work is the state that `field` left at theta.  The jumps are relative to what their pairs can contribute:
    p_i ||n|| times the sizes of their units.  A slide persists while every coefficient is in [0, 1] and every jump is
    negative.  The coefficients are shares of the positive side.
    """
    s = slides.normals.shape[0]
    omega = pull(slides, cell, theta, work.f)
    _shares(slides, cell, theta, work.p, work.delta, rho, omega, coefficients, jumps)
    flat = s - slides.curved.shape[0]
    if 0 < flat < s:
        # what a kink of the first layer adds depends on how far those above it are on
        gates = cell.gates.copy()
        for e in range(slides.line.shape[0]):
            if slides.line[e] >= flat:
                share = min(max(coefficients[slides.line[e]], 0.0), 1.0)
                along = slides.scale[e] > 0.0
                gates[slides.sample[e], slides.unit[e]] += cell.jump * (share if along else 1.0 - share)
        above = Cell(cell.net, cell.x, cell.seeds, gates, cell.logistic, cell.jump, cell.group)
        beyond = workspace(above)
        field(above, theta, beyond)
        others = np.empty(s), np.empty(s)
        omega = pull(slides, above, theta, beyond.f)
        _shares(slides, above, theta, beyond.p, beyond.delta, rho, omega, others[0], others[1])
        coefficients[:flat] = others[0][:flat]
        jumps[:flat] = others[1][:flat]


@compiled
def _shares(slides, cell, theta, p, delta, rho, omega, coefficients, jumps):
    """The same from the factors omega (s,) of the normals, with delta (n, units) as it is."""
    factor = growth(rho, cell.net.degree)
    s = slides.normals.shape[0]
    plus = np.zeros(s)
    minus = np.zeros(s)
    bound = np.zeros(s)
    sizes = unit_sizes(cell.net, theta, np.empty(delta.shape[1]))
    flat = s - slides.curved.shape[0]
    own = np.empty(theta.shape[0])
    for e in range(slides.line.shape[0]):
        i, u = slides.sample[e], slides.unit[e]
        scale = slides.scale[e]
        if slides.line[e] >= flat:
            normal = slides.normals[slides.line[e]]
            unit_gradient(cell.net, theta, cell.x[i], cell.gates[i], u, own)
            scale = dot(own, normal) / dot(normal, normal)
        weight = factor * p[i] * delta[i, u] * scale * cell.jump
        # what leads from the unit to the output is bounded by its own size and ||theta||^(m - 2)
        bound[slides.line[e]] += p[i] * abs(scale * cell.jump) * sizes[u]
        if scale > 0.0:
            plus[slides.line[e]] += weight
        else:
            minus[slides.line[e]] -= weight
    for h in range(s):
        jump = plus[h] + minus[h]
        rest = omega[h] + minus[h]
        if bound[h] > 0.0:
            coefficients[h] = rest / jump if jump != 0.0 else 0.5
            jumps[h] = jump / bound[h]
        else:
            # what is beyond the floats stays as it is
            coefficients[h] = 0.5
            jumps[h] = -1.0
