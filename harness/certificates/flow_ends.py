"""The limit of a flow whose gates are known for ever (flow_gates.py), by a convex problem.

Let S_j be the samples on which neuron j is on.  Replace relu(z_ij) by z_ij where the gate is on and by 0 where it is
off: the margins stay homogeneous, locally Lipschitz and definable, and the flow is one of theirs, since these gates
are strict for t > 0.  (A neuron that rests has no part in a margin, whatever its coefficients, and does not move: it is
left out.)  So (LL) the limit is a KKT point of theirs: with multipliers lambda >= 0 and s_j y_k = 1 on S_j, for every
live neuron, none of which is zero in it,

    w_j = v_j P,  v_j = w_j . P,   s_j P = sum_{k in S_j} lambda_k p_k - sum_{gates 0} c_k lambda_k p_k,   |P| = 1.

The second sum is zero: if c_i lambda_i > 0 there, then z_i = 0, for z_i <= 0 in the limit and c_i = 0 where z_i <
0.  But z_i / |v| is a sum of terms lambda_k c_k push(k, i) <= 0, of which that of k = i is negative.  Idle neurons are
zero.  So u_j = |v_j| w_j is a KKT point, hence a solution, of the convex problem

    minimise sum_j |u_j|   subject to   M_i(u) = sum_{j: i in S_j} u_j . p_i >= 1   for all i,

and |v_j|^2 = |u_j|.  Let t_j > 0 be the "sizes", alpha >= 0, D_j = sum_{S_j} alpha_k p_k, with |D_j| <= 1.  Then no
feasible point costs less than L = sum alpha, and t_j D_j / min_i M_i(t_j D_j) is feasible: a solution costs at most
U = sum t / min M.  So

    sum_j (|u_j| - u_j . D_j) + sum_i alpha_i (M_i(u) - 1) <= U - L =: delta,

all terms being >= 0.  Hence |u_j - |u_j| D_j|^2 <= 2 U delta =: epsilon^2, M_i(u) <= 1 + delta/alpha_i, and, with
B_ij = D_j . p_i where i is in S_j,

    |sum_j B_ij |u_j| - 1| <= delta/alpha_i + epsilon sum_{j: i in S_j} |p_i|.

Some rows of B, with alpha_i > 0, have an inverse C: |u_j| is within tau_j = sum_i |C_ji| (that + |sum_j B_ij t_j - 1|)
of t_j.

In deeper networks (see "above" in flow_gates.py) q_i = c sum_j v_j w_j . p_i, c the product of the weights c_l.  At a
KKT point w_j = c v_j P, |v_j| = |w_j|, c_l^2 = sum_i lambda_i q_i = sum_j v_j^2.  So c |v_j| w_j is the u_j of the
problem above, whose value is T, between L and U: c_l^m = T with m the depth, c = T^((m - 2)/m), and v_j^2 = |u_j| / c.

With |v| = sqrt(|u| / c) and w = |v| u / |u| all of this bounds the distance of the limit from theta.
"""

from __future__ import annotations

from fractions import Fraction

from harness.certificates.flow_gates import Region, Unit
from harness.certificates.flow_start import End
from harness.certificates.numbers import Rejected, root_down, root_up
from harness.certificates.parameters import flat
from harness.certificates.signs import Theta
from harness.certificates.taylor import sqrt_up
from harness.problem.elimination import echelon
from harness.problem.numbers import Vector, dot, squared_norm
from harness.problem.problems import Problem


def require_end(given: Problem, region: Region, theta: Theta, alpha: Vector, sizes: Vector) -> End:
    """Raises Rejected."""
    live = region.live
    directions = [_sum([alpha[i] for i in unit.on], [unit.neuron.patches[i] for i in unit.on]) for unit in live]
    t = [sizes[unit.neuron.index] for unit in live]
    if min(alpha) < 0 or any(squared_norm(d) > 1 for d in directions) or min(t) <= 0:
        raise Rejected("alpha and the sizes are no bound: one is negative, or a neuron's vector is longer than 1")
    b = [
        [
            dot(d, unit.neuron.patches[i]) if i in unit.on else Fraction(0)
            for unit, d in zip(live, directions, strict=True)
        ]
        for i in range(given.n)
    ]
    margins = [dot(row, t) for row in b]
    if min(margins) <= 0:
        raise Rejected("the sizes leave a margin that is not positive")
    low, high = sum(alpha, Fraction(0)), sum(t, Fraction(0)) / min(margins)
    delta = high - low
    epsilon = sqrt_up(2 * high * delta)
    spread = [
        delta / a + epsilon * sum((sqrt_up(unit.gram[i][i]) for unit in live if i in unit.on), Fraction(0)) + abs(m - 1)
        if a
        else None
        for i, (a, m) in enumerate(zip(alpha, margins, strict=True))
    ]
    tau = _apart(b, spread)
    m = given.network.depth
    # One over c, and every c_l: exactly 1 and none at depth 2.
    share = (1 / root_up(high ** (m - 2), m), 1 / root_down(low ** (m - 2), m)) if m > 2 else (Fraction(1), Fraction(1))
    radius = sqrt_up(squared_norm(flat(given.network, _dead(theta, live))))
    for unit, d, size, error in zip(live, directions, t, tau, strict=True):
        radius += distance(unit, theta, d, (size - error, size + error), share, epsilon)
    for (weight,) in theta[2:]:
        radius += max(root_up(high, m) - weight, weight - root_down(low, m))
    values = ", ".join(
        f"{'c ' * (m > 2)}|v_{unit.neuron.index + 1}|^2 = {float(a):.10g}" for unit, a in zip(live, t, strict=True)
    )
    last = (
        f"with these gates the limit solves a convex problem: {values}, multipliers "
        f"{', '.join(f'{float(a):.10g}' for a in alpha)}. It is within {float(radius):.1e} of the stored numbers"
    )
    above = (((1,),) * given.n,) * (m - 2)
    return End(radius, (_signs(given, live, theta, radius), *above), _zeros(given, live), (*region.facts, last))


def _sum(weights: list[Fraction], vectors: list[Vector]) -> Vector:
    return tuple(dot(weights, column) for column in zip(*vectors, strict=True))


def _apart(b: list[list[Fraction]], spread: list[Fraction | None]) -> list[Fraction]:
    """tau: how far the |u_j| are from the sizes at most.  Raises Rejected."""
    rows = [i for i, error in enumerate(spread) if error is not None]
    _, chosen = echelon(list(zip(*(b[i] for i in rows), strict=True)))
    width = len(b[0])
    if len(chosen) < width:
        raise Rejected("the sizes of the neurons are not determined by the margins")
    rows = [rows[c] for c in chosen]
    unit = [[Fraction(r == c) for c in range(width)] for r in range(width)]
    table, _ = echelon([[*b[i], *line] for i, line in zip(rows, unit, strict=True)])
    return [
        sum((abs(c) * (spread[i] or 0) for c, i in zip(line[width:], rows, strict=True)), Fraction(0)) for line in table
    ]


def distance(
    unit: Unit,
    theta: Theta,
    d: Vector,
    length: tuple[Fraction, Fraction],
    share: tuple[Fraction, Fraction],
    epsilon: Fraction,
) -> Fraction:
    """How far the neuron's weights are from those of theta at most.  length: bounds on |u|.  share: on 1/c.

    Raises Rejected.
    """
    v, w = unit.neuron.v(theta), unit.neuron.w(theta)
    if v * unit.s <= 0 or length[0] <= 0:
        raise Rejected(f"the size of {unit.name} is not known, or its sign in theta is another")
    size = abs(v)
    low, high = length[0] * share[0], length[1] * share[1]
    # | sqrt(|u|/c) - |v| | = | |u|/c - v^2 | / (sqrt(|u|/c) + |v|)
    root = max(abs(low - v * v), abs(high - v * v)) / size
    # w = sqrt(|u|/c) D + sqrt(|u|/c) / |u| (u - |u| D)
    aside = epsilon * sqrt_up(high) / length[0]
    turned = sqrt_up(squared_norm([a - size * p for a, p in zip(w, d, strict=True)]))
    return root + root + aside + turned


def _dead(theta: Theta, live: list[Unit]) -> Theta:
    """theta without the weights of the live neurons: what should be zero."""
    hidden, outgoing = list(theta[0]), list(theta[1])
    for unit in live:
        outgoing[unit.neuron.outgoing] = Fraction(0)
        for k in unit.neuron.incoming:
            hidden[k] = Fraction(0)
    return (tuple(hidden), tuple(outgoing), *((Fraction(0),) for _ in theta[2:]))


def _zeros(given: Problem, live: list[Unit]) -> frozenset[tuple[int, int]]:
    """Parameters that are zero in the limit: of idle neurons, and coordinates that no sample of S_j has."""
    zeros = {(layer, k) for layer, size in enumerate(given.network.sizes[:2]) for k in range(size)}
    for unit in live:
        zeros.discard((1, unit.neuron.outgoing))
        for c, k in enumerate(unit.neuron.incoming):
            if any(unit.neuron.patches[i][c] for i in unit.on):
                zeros.discard((0, k))
    return frozenset(zeros)


def _signs(given: Problem, live: list[Unit], theta: Theta, radius: Fraction) -> tuple[tuple[int, ...], ...]:
    """The signs of the limit's inputs: clear of the radius, or zero since p_i is orthogonal to all of S_j."""
    signs = [[0] * given.network.widths[1] for _ in range(given.n)]
    for unit in live:
        for i, patch in enumerate(unit.neuron.patches):
            if any(unit.gram[k][i] for k in unit.on):
                z = dot(unit.neuron.w(theta), patch)
                if z * z <= radius**2 * unit.gram[i][i]:
                    raise Rejected(f"the sign of the input of {unit.name} on sample {i} is not known in the limit")
                signs[i][unit.neuron.index] = 1 if z > 0 else -1
    return tuple(map(tuple, signs))
