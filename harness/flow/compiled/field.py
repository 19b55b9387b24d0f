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

from harness.flow.compiled.compiling import bare, bare_sums, compiled, inlined, part
from harness.flow.compiled.kernel import (
    Columns,
    Wiring,
    backward,
    columns_of,
    dot,
    forward,
    gradient,
    gradients,
    hessian,
    lu_factor,
    lu_solve,
    margins,
    put,
    seed_outputs,
    unit_gradient,
    unit_sizes,
    weigh_outputs,
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
    """What the field fills: margins q (n,), their gradients grad (N, columns), what is evaluated on the way.

    p (n,): the softmax; slope (n,): -d log(-loss'(q)) / dq, by the margin itself.  f (N,): the field, v (N,): the same
    on the kinks that slide.
    """

    q: np.ndarray
    grad: np.ndarray
    p: np.ndarray
    slope: np.ndarray
    f: np.ndarray
    v: np.ndarray
    at: Columns


@compiled
def workspace(cell):
    """Room for the field of a cell, with its gates as they are now."""
    n = cell.x.shape[0]
    size = max(int(cell.net.par.max()) + 1, 0)
    at = columns_of(cell.net, cell.x, cell.gates)
    return Work(
        np.zeros(n),
        np.zeros((size, at.h.shape[1])),
        np.zeros(n),
        np.zeros(n),
        np.zeros(size),
        np.zeros(size),
        at,
    )


class Bends(NamedTuple):
    """Room for a Jacobian of r columns: the Hessian of a sum of margins (N, N), and n + 2 rows (n + 2, r)."""

    second: np.ndarray
    rows: np.ndarray


@compiled
def bends_of(size, n, r):
    """Room for the Jacobian of so many parameters, samples and columns."""
    return Bends(np.zeros((size, size)), np.zeros((n + 2, r)))


class Seen(NamedTuple):
    """The field at a point with a row a sample: rho, q and p (n,), f (N,), grad (n, N), pre and delta (n, units)."""

    rho: float
    q: np.ndarray
    p: np.ndarray
    f: np.ndarray
    grad: np.ndarray
    pre: np.ndarray
    delta: np.ndarray


@compiled
def look(cell, theta):
    """The field of a cell, with its gates as they are now, at theta (N,): a `Seen`."""
    work, n = workspace(cell), cell.x.shape[0]
    rho = field(cell, theta, work)
    at = work.at
    grad, pre, delta = work.grad[:, :n].T.copy(), at.pre[:, :n].T.copy(), at.delta[:, :n].T.copy()
    return Seen(rho, work.q, work.p, work.f, grad, pre, delta)


class Slides(NamedTuple):
    """Kinks on which the flow slides: lines n_h, and the (sample, unit) pairs that belong to each.

    normals (s, N): the flat ones, of the first layer, come first and are fixed; the curved ones, of deeper layers, are
    refilled at every theta, and `curved` (t, 2) holds their (sample, unit) pairs.  Outside begin..end (s,) they are 0.
    line, sample, unit, scale: members; the pair's own normal is scale * normals[line] (on curved ones the scale
    is found anew at every theta).
    blocks (b + 1,): lines blocks[t] .. blocks[t + 1] have parameters in common with no others.
    gram (s, s), piv (s,): the Gram matrix of the normals, factored block by block (`factor_gram`), refilled with them.
    omega, shares, jumps (s,): room, for `pull` and `slide_coefficients`.
    """

    normals: np.ndarray
    begin: np.ndarray
    end: np.ndarray
    curved: np.ndarray
    line: np.ndarray
    sample: np.ndarray
    unit: np.ndarray
    scale: np.ndarray
    blocks: np.ndarray
    gram: np.ndarray
    piv: np.ndarray
    omega: np.ndarray
    shares: np.ndarray
    jumps: np.ndarray


def slides_of(normals, curved, line, sample, unit, scale) -> Slides:
    """The same with the Gram matrix factored."""
    (count, size), flat = normals.shape, len(normals) - len(curved)
    begin, end = np.zeros(count, dtype=np.int64), np.full(count, size)
    if flat:
        there = normals[:flat] != 0.0
        begin[:flat], end[:flat] = there.argmax(axis=1), size - there[:, ::-1].argmax(axis=1)
    gram, piv, room = np.zeros((count, count)), np.zeros(count, dtype=np.int64), np.zeros((3, count))
    slides = Slides(normals, begin, end, curved, line, sample, unit, scale, _blocks(begin, end), gram, piv, *room)
    factor_gram(slides)
    return slides


def _blocks(begin: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Where lines with entries in begin..end (s,) are cut into blocks, (b + 1,)."""
    count = len(begin)
    meet = (begin[:, None] < end) & (begin < end[:, None])
    last = np.maximum.accumulate(count - 1 - meet[:, ::-1].argmax(axis=1)) if count else begin
    return np.append(0, np.flatnonzero(last == np.arange(count)) + 1)


def no_slides(size: int) -> Slides:
    """None, among `size` parameters."""
    none = np.zeros(0, dtype=np.int64)
    return slides_of(np.zeros((0, size)), np.zeros((0, 2), dtype=np.int64), none, none, none, np.zeros(0))


@inlined
def log_weight(q, logistic):
    """log(-loss'(q)), without overflow."""
    return -(max(q, 0.0) + np.log1p(np.exp(-abs(q)))) if logistic else -q


@bare
def cross_entropy(q):
    """log(1 + sum_k exp(-q_k)) of the margins of one point."""
    top = 0.0
    for k in range(q.shape[0]):
        top = max(top, -q[k])
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
    top, total = -np.inf, 0.0
    for i in range(n):
        top = max(top, p[i])
    for i in range(n):
        p[i] = np.exp(p[i] - top)
        total += p[i]
    for i in range(n):
        p[i] /= total


@part
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
    q, p, f, at = work.q, work.p, work.f, work.at
    forward(cell.net, theta, at)
    margins(cell.seeds, at, q)
    softmax(q, cell.logistic, cell.group, p, work.slope)
    seed_outputs(cell.seeds, at)
    backward(cell.net, at)
    gradients(cell.net, at, work.grad)
    rho = np.sqrt(dot(theta, theta))
    factor = growth(rho, cell.net.degree)
    for k in range(theta.shape[0]):
        total = 0.0
        for i in range(q.shape[0]):
            total += p[i] * work.grad[k, i]
        f[k] = factor * total
    return rho


@part
def rate(cell, theta, work):
    """The same f by one backward pass over the weighted samples, without their gradients; returns rho.

    Fills q, p, slope and f of work.
    """
    q, p, at = work.q, work.p, work.at
    forward(cell.net, theta, at)
    margins(cell.seeds, at, q)
    softmax(q, cell.logistic, cell.group, p, work.slope)
    rho = np.sqrt(dot(theta, theta))
    weigh_outputs(cell.seeds, p, growth(rho, cell.net.degree), at)
    backward(cell.net, at)
    gradient(cell.net, at, work.f)
    return rho


@bare
def pull(slides, cell, theta, f):
    """Fill omega with f + sum_h omega_h n_h tangent to all sliding kinks; refills the curved normals at theta."""
    flat = slides.normals.shape[0] - slides.curved.shape[0]
    for t in range(slides.curved.shape[0]):
        i, u = slides.curved[t]
        unit_gradient(cell.net, theta, cell.x[i], cell.gates[i], u, slides.normals[flat + t])
    s = slides.normals.shape[0]
    if flat < s:
        factor_gram(slides)
    for h in range(s):
        slides.omega[h] = -along(slides, h, f)
    solve_gram(slides, slides.omega)


@bare
def factor_gram(slides):
    """Fill and factor the Gram matrix of the normals; dependent ones leave its solutions the same velocity."""
    normals, gram, blocks = slides.normals, slides.gram, slides.blocks
    trace = 0.0
    for t in range(blocks.shape[0] - 1):
        for h in range(blocks[t], blocks[t + 1]):
            for j in range(blocks[t], h + 1):
                apart = slides.begin[h] >= slides.end[j] or slides.begin[j] >= slides.end[h]
                gram[h, j] = gram[j, h] = 0.0 if apart else along(slides, h, normals[j])
            trace += gram[h, h]
    for t in range(blocks.shape[0] - 1):
        a, b = blocks[t], blocks[t + 1]
        # a tiny ridge picks one of the solutions
        for h in range(a, b):
            gram[h, h] += RIDGE * trace
        lu_factor(gram[a:b, a:b], slides.piv[a:b])


@bare
def solve_gram(slides, right):
    """Solve in place with the factored Gram matrix."""
    for t in range(slides.blocks.shape[0] - 1):
        a, b = slides.blocks[t], slides.blocks[t + 1]
        lu_solve(slides.gram[a:b, a:b], slides.piv[a:b], right[a:b])


@bare_sums
def along(slides, h, vector):
    """The inner product of a normal and a vector (N,)."""
    total = 0.0
    for a in range(slides.begin[h], slides.end[h]):
        total += slides.normals[h, a] * vector[a]
    return total


@bare
def add_multiples(slides, omega, v):
    """v (N,) += sum_h omega_h normals_h, in place."""
    for h in range(slides.normals.shape[0]):
        for a in range(slides.begin[h], slides.end[h]):
            v[a] += omega[h] * slides.normals[h, a]


@part
def velocity(cell, theta, slides, work):
    """Fill v of work, dtheta/dsigma (N,), on the sliding kinks if there are any; returns rho."""
    rho = rate(cell, theta, work)
    put(work.v, work.f)
    if slides.normals.shape[0] > 0:
        pull(slides, cell, theta, work.f)
        add_multiples(slides, slides.omega, work.v)
    return rho


@part
def jacobian(cell, theta, slides, work, rho, basis, pivots, bends, out):
    """out (N, r) = (d velocity / d theta) @ basis, from the state that `field` left in work, of which delta is lost.

    A basis without columns is the identity in the rows `pivots` (r,).
    """
    net, at = cell.net, work.at
    grad, p, f, second, bent = work.grad, work.p, work.f, bends.second, bends.rows
    n = p.shape[0]
    size, r = out.shape
    units = basis.shape[1] < r
    factor = growth(rho, net.degree)
    s = slides.normals.shape[0]
    flat = s - slides.curved.shape[0]
    weigh_outputs(cell.seeds, p, 1.0, at)
    if s > 0:
        pull(slides, cell, theta, f)
        for t in range(s - flat):
            at.seeds[slides.curved[t, 1], slides.curved[t, 0]] += slides.omega[flat + t] / factor
    backward(net, at)
    hessian(net, at, second)
    for t in range(s - flat):
        at.seeds[slides.curved[t, 1], slides.curved[t, 0]] = 0.0
    # so small products cost less by hand than a library call each
    bent[:, :] = 0.0
    for k in range(r if units else 0):
        for i in range(n):
            bent[i, k] = grad[pivots[k], i]
        bent[n + 1, k] = theta[pivots[k]]
    for a in range(0 if units else size):
        for i in range(n):
            g = grad[a, i]
            if g != 0.0:
                for k in range(r):
                    bent[i, k] += g * basis[a, k]
        for k in range(r):
            bent[n + 1, k] += theta[a] * basis[a, k]
    if cell.logistic:
        _bend(work.slope, cell.group, bent, n, r)
    for i in range(n):
        for k in range(r):
            bent[n, k] += p[i] * bent[i, k]
    for i in range(n):
        for k in range(r):
            bent[i, k] -= bent[n, k]
    for a in range(size):
        radial = (2 - net.degree) * f[a] / (rho * rho)
        for k in range(r):
            out[a, k] = radial * bent[n + 1, k]
        for k in range(r if units else 0):
            out[a, k] += factor * second[a, pivots[k]]
        for b in range(0 if units else size):
            g = factor * second[a, b]
            if g != 0.0:
                for k in range(r):
                    out[a, k] += g * basis[b, k]
        for i in range(n):
            g = factor * p[i] * grad[a, i]
            if g != 0.0:
                for k in range(r):
                    out[a, k] -= g * bent[i, k]
    if s > 0:
        _keep_tangent(cell, slides, f, basis, pivots, work, second, out)


@part
def _bend(slope, group, gb, n, r):
    """From dq, the first n rows and r columns of gb, to -d log(-loss'(q)) in place.

    The margins of one point answer to each other.
    """
    for k in range(r):
        for first in range(0, n, group):
            felt = 0.0
            for i in range(first, first + group):
                felt += (1.0 - slope[i]) * gb[i, k]
            for i in range(first, first + group):
                gb[i, k] = slope[i] * gb[i, k] if group == 1 else gb[i, k] - felt


@compiled
def _keep_tangent(cell, slides, f, basis, pivots, work, second, out):
    """Take from the derivative out (N, r) of the velocity what would leave the slides; f (N,) and `pull` as there.

    Tangency n_h . v = 0, differentiated: n_h . dv = -(d n_h) . v.
    """
    size, r = out.shape
    at = work.at
    s = slides.normals.shape[0]
    flat = s - slides.curved.shape[0]
    v = f + slides.normals.T @ slides.omega
    right = slides.normals @ out
    for t in range(s - flat):
        i, u = slides.curved[t]
        at.seeds[:, :] = 0.0
        at.seeds[u, i] = 1.0
        backward(cell.net, at)
        hessian(cell.net, at, second)
        at.seeds[u, i] = 0.0
        turn = second @ v
        for k in range(r):
            if basis.shape[1] < r:
                right[flat + t, k] += turn[pivots[k]]
                continue
            for a in range(size):
                right[flat + t, k] += turn[a] * basis[a, k]
    for k in range(r):
        column = right[:, k].copy()
        solve_gram(slides, column)
        for h in range(s):
            for a in range(size):
                out[a, k] -= slides.normals[h, a] * column[h]


@compiled
def slide_coefficients(slides, cell, theta, work, coefficients, jumps):
    """Clarke coefficients that keep the flow on its sliding kinks, and the jumps across them.

    work is the state that `rate` left at theta.  The jumps are relative to what their pairs can contribute:
    p_i ||n|| times the sizes of their units.  A slide persists while every coefficient is in [0, 1] and every jump is
    negative.  The coefficients are shares of the positive side.
    """
    pull(slides, cell, theta, work.f)
    _shares(slides, cell, theta, work, coefficients, jumps)
    highest, lowest = 0, cell.net.uptr.shape[0]
    for u in slides.unit:
        highest, lowest = max(highest, layer_of(cell.net, u)), min(lowest, layer_of(cell.net, u))
    if lowest >= highest:
        return
    # what a kink adds depends on how far those above it are on: from the deepest layer down
    gates = cell.gates.copy()
    others = np.empty_like(coefficients), np.empty_like(jumps)
    for layer in range(highest, lowest, -1):
        for e in range(slides.line.shape[0]):
            i, u = slides.sample[e], slides.unit[e]
            if layer_of(cell.net, u) == layer:
                share = min(max(coefficients[slides.line[e]], 0.0), 1.0)
                along = slides.scale[e] > 0.0
                gates[i, u] += cell.jump * (share if along else 1.0 - share)
        above = Cell(cell.net, cell.x, cell.seeds, gates, cell.logistic, cell.jump, cell.group)
        beyond = workspace(above)
        rate(above, theta, beyond)
        pull(slides, above, theta, beyond.f)
        _shares(slides, above, theta, beyond, others[0], others[1])
        for e in range(slides.line.shape[0]):
            if layer_of(cell.net, slides.unit[e]) < layer:
                h = slides.line[e]
                coefficients[h], jumps[h] = others[0][h], others[1][h]


@bare
def layer_of(net, unit):
    """The layer of a unit, 0 that of the inputs."""
    layer = 0
    while net.uptr[layer + 1] <= unit:
        layer += 1
    return layer


@compiled
def _shares(slides, cell, theta, work, coefficients, jumps):
    """The same from the factors omega of the normals."""
    p, delta = work.p, work.at.delta
    s = slides.normals.shape[0]
    plus = np.zeros(s)
    minus = np.zeros(s)
    bound = np.zeros(s)
    sizes = np.empty(delta.shape[0])
    unit_sizes(cell.net, theta, sizes)
    flat = s - slides.curved.shape[0]
    own = np.empty(theta.shape[0])
    for e in range(slides.line.shape[0]):
        i, u = slides.sample[e], slides.unit[e]
        scale = slides.scale[e]
        if slides.line[e] >= flat:
            normal = slides.normals[slides.line[e]]
            unit_gradient(cell.net, theta, cell.x[i], cell.gates[i], u, own)
            scale = dot(own, normal) / dot(normal, normal)
        weight = delta[u, i] * scale * cell.jump
        # what leads from the unit to the output is bounded by its own size and ||theta||^(m - 2)
        bound[slides.line[e]] += p[i] * abs(scale * cell.jump) * sizes[u]
        if scale > 0.0:
            plus[slides.line[e]] += weight
        else:
            minus[slides.line[e]] -= weight
    for h in range(s):
        jump = plus[h] + minus[h]
        rest = slides.omega[h] + minus[h]
        if bound[h] > 0.0:
            coefficients[h] = rest / jump if jump != 0.0 else 0.5
            jumps[h] = jump / bound[h]
        else:
            # what is beyond the floats stays as it is
            coefficients[h] = 0.5
            jumps[h] = -1.0
