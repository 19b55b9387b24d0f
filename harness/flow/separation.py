"""Proofs that a flow never separates its data.

Three are known.  The start is stationary: every gradient vanishes exactly, or every parameter is held still by the
gates.  The network is linear and the data are not separable, by Gordan's theorem: alpha >= 0, not 0, with
sum alpha_i y_i x_i = 0 on every coordinate that reaches the output (with several outputs, over the margins,
sum alpha_ik (e_y - e_k) (x) x_i = 0 on every coordinate that reaches each).  Or, for relu of depth 2 with one output
and without shared weights, no outgoing weight can take the sign that some sample needs: v_j keeps its sign where
|v_j(0)| >= ||w_j(0)|| (docs/statements.md, section 2), or where it is not trained, so that q_i <= 0 for ever.
"""

from __future__ import annotations

from fractions import Fraction
from math import lcm

import numpy as np
from scipy.optimize import linprog

from harness.problem.elimination import echelon
from harness.problem.instances import Instance
from harness.problem.networks import Network, preactivations
from harness.problem.numbers import in_integers

EXACT = 2000  # weights times points: beyond that rays in fractions take too long
RAYS, FARTHEST = 100, 9  # directions that are tried, of integers up to this size
_SUPPORT = 1e-9  # of weights that sum to 1: what the linear program means by zero; the proof itself is exact
_TINY = 1e-300  # keeps a divisor from zero


def proof_of_no_separation(instance: Instance) -> str | None:
    """A sentence that proves from the instance alone that the flow never separates, or None."""
    network = instance.network
    if not network.kinked:
        alpha = gordan(instance)
        if alpha is not None:
            weights = ", ".join(str(a) for a in alpha)
            sums = "sum alpha_i y_i x_i = 0" if network.outputs == 1 else "sum alpha_ik (e_y - e_k) (x) x_i = 0"
            return f"The data are not separable: alpha = ({weights}) gives {sums} exactly."
    elif network.depth == 2 and not network.shared and network.outputs == 1 and not network.slope:
        stuck = _wrong_for_ever(instance)
        if stuck is not None:
            return f"No outgoing weight that sample {stuck} can reach is or becomes of its label's sign."
    return None


def stationary_start(instance: Instance) -> bool:
    """Whether grad q_i(theta0) = 0 exactly for all i, with every gate at zero pre-activations off."""
    network, theta0 = instance.network, instance.theta0
    off = [[[a > 0 for a in layer] for layer in preactivations(network, theta0, x)] for x in instance.x]
    return _vanish(instance, off)


def may_rest(instance: Instance) -> bool:
    """Whether one solution stays at the start for ever, beside others that there may be.

    One does where 0 is in the Clarke subdifferential of the loss.  It is where all grad q_i(theta0) vanish with the
    gates of points as near to the start as one likes: then it is a limit of gradients.  Some rays from the start are
    tried for such points.
    """
    if instance.network.size * instance.n > EXACT:
        return False
    rng = np.random.default_rng(instance.network.size)
    # signs are those of multiples
    points, start = in_integers(instance.x), in_integers(instance.theta0)
    tried = list[list[list[list[bool]]]]()
    for _ in range(RAYS):
        ray = [rng.integers(-FARTHEST, FARTHEST + 1, size).tolist() for size in instance.network.sizes]
        gates = [_gates_along(instance.network, start, x, ray) for x in points]
        known = [on for on in gates if on]
        if len(known) < len(points) or known in tried:
            continue
        if _vanish(instance, known):
            return True
        tried.append(known)
    return False


def _gates_along(
    network: Network, start: list[list[int]], x: list[int], ray: list[list[int]]
) -> list[list[bool]] | None:
    """The gates on a point just beside the start in a direction, and around there; None where they are not known.

    Along the ray a pre-activation is a polynomial, and has the sign of its first coefficient that is not zero.
    """
    above, below = network.slope.denominator, network.slope.numerator
    h, gates = [[v] for v in x], list[list[bool]]()
    for trained, pattern, u, d in zip(network.trained, network.patterns, start, ray, strict=True):
        pre = [[0] * (len(h[0]) + 1) for _ in pattern]
        for row, total in zip(pattern, pre, strict=True):
            heard = [(k, given) for k, given in zip(row, h, strict=True) if k >= 0 and any(given)]
            for k, given in heard:
                for power, value in enumerate(given):
                    total[power] += u[k] * value
                    total[power + 1] += d[k] * value if trained else 0
            if heard and not any(total):
                return None
        gates.append([next((value for value in total if value), 0) > 0 for total in pre])
        sides = [above if on else below for on in gates[-1]]
        h = [[side * value for value in total] for side, total in zip(sides, pre, strict=True)]
    return gates


def _vanish(instance: Instance, gates: list[list[list[bool]]]) -> bool:
    """Whether grad q_i(theta0) = 0 exactly for all i with the gates that every point has in every layer."""
    network, slope = instance.network, instance.network.slope
    for sample, seed in instance.problem.rows:
        x, on = instance.x[sample], gates[sample]
        pre = preactivations(network, instance.theta0, x)
        inputs = [list(x), *([a if a > 0 else slope * a for a in layer] for layer in pre[:-1])]
        back = [Fraction(s) for s in seed]
        for depth in range(network.depth - 1, -1, -1):
            pattern, u = network.patterns[depth], instance.theta0[depth]
            grad = [Fraction(0)] * network.sizes[depth]
            below = [Fraction(0)] * len(pattern[0])
            for r, row in enumerate(pattern):
                for c, k in enumerate(row):
                    if k >= 0:
                        grad[k] += back[r] * inputs[depth][c]
                        below[c] += back[r] * u[k]
            if network.trained[depth] and any(grad):
                return False
            if depth:
                back = [b if gate else slope * b for b, gate in zip(below, on[depth - 1], strict=True)]
    return True


def _wrong_for_ever(instance: Instance) -> int | None:
    """A sample all of whose outgoing weights have, and keep, the wrong sign or are zero and stay so."""
    network = instance.network
    hidden, output = network.patterns
    w, v = instance.theta0
    helpers: list[tuple[Fraction, list[tuple[int, int]]]] = []
    for row, k in zip(hidden, output[0], strict=True):
        if k < 0:
            continue
        kept = not network.trained[1] or (
            network.trained[0] and v[k] != 0 and _outweighs(v[k], [w[p] for p in row if p >= 0])
        )
        helpers.append((v[k] if kept else Fraction(0), [(c, p) for c, p in enumerate(row) if p >= 0]))
    for i, (x, y) in enumerate(zip(instance.x, instance.y, strict=True)):
        if all(
            sign * y < 0 or (sign == 0 and not network.trained[1]) or not any(x[c] for c, _ in patch)
            for sign, patch in helpers
        ):
            return i
    return None


def _outweighs(v: Fraction, w: list[Fraction]) -> bool:
    """Whether |v| >= ||w||, in integers: fractions would look for common divisors after every sum."""
    common = lcm(v.denominator, *(a.denominator for a in w))
    squares = [(a.numerator * (common // a.denominator)) ** 2 for a in (v, *w)]
    return squares[0] >= sum(squares[1:])


def gordan(instance: Instance) -> tuple[Fraction, ...] | None:
    """alpha >= 0, not 0, with sum alpha_i y_i x_i = 0 exactly on what reaches an output, if there is one."""
    seen, margins = instance.network.reaching, instance.problem.rows
    rows = [[seed[k] * instance.x[i][c] for k, c in seen] for i, seed in margins]
    count = len(rows)
    if not seen:
        return (Fraction(1),) + (Fraction(0),) * (count - 1)
    matrix = np.array([[float(v) for v in row] for row in rows])
    matrix = matrix / np.maximum(np.abs(matrix).max(axis=1, keepdims=True), _TINY)
    solution = linprog(
        np.zeros(count),
        A_eq=np.vstack([matrix.T, np.ones(count)]),
        b_eq=np.append(np.zeros(matrix.shape[1]), 1.0),
    )
    if not solution.success:
        return None
    support = [i for i in range(count) if solution.x[i] > _SUPPORT]
    alpha = _null_vector([rows[i] for i in support])
    if alpha is None or any(a < 0 for a in alpha):
        return None
    out = [Fraction(0)] * count
    for i, a in zip(support, alpha, strict=True):
        out[i] = a
    return tuple(out)


def _null_vector(rows: list[list[Fraction]]) -> tuple[Fraction, ...] | None:
    """alpha with sum alpha_i rows_i = 0 and sum |alpha| = 1, if it is unique up to scale."""
    table, pivots = echelon(list(zip(*rows, strict=True)))
    free = [i for i in range(len(rows)) if i not in pivots]
    if len(free) != 1:
        return None
    alpha = [Fraction(0)] * len(rows)
    alpha[free[0]] = Fraction(1)
    for row, i in zip(table, pivots, strict=True):
        alpha[i] = -row[free[0]]
    total = sum(abs(a) for a in alpha)
    return tuple(a / total for a in alpha)
