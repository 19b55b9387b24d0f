"""Kinds "product bound" and "cheaper": the whole margin problem of a network with m trained layers.

"product bound", linear networks.  Let u^1 .. u^m be the trained layers.  If sum_i alpha_i q_i <= D |u^1| ... |u^m| for
all theta, then every feasible theta has sum(alpha) <= D |u^1| ... |u^m| <= D (|theta|^2 / m)^(m/2), so that it costs

    1/2 |theta|^2 >= (m/2) (sum(alpha) / D)^(2/m).

With G = sum_i alpha_i s_i x_i', s_i what the outputs are multiplied by in q_i, sum_i alpha_i q_i is the scalar product
of G and the product of all W^l.  What D is:
- one layer: |f|, sum_i alpha_i q_i = f . u^1; for one output and unshared weights that is |sum_i alpha_i y_i x_i|;
- two trained layers, at any depth: the largest singular value of M, sum_i alpha_i q_i = u^2 . M u^1;
- three layers and more, all trained: the largest singular value of G on the coordinates that reach the outputs (its
  length, for one output), times sqrt(c_l) for every layer, where c_l is how often the most used parameter of the layer
  occurs: |W^l| <= sqrt(c_l) |u^l|, and the nuclear norm of a product is at most the product of the norms.

Where there is a singular value the certificate gives its "square", and square - M'M is shown to be positive
semidefinite:

    {"kind": "product bound", "problem": "full", "scope": S, "theta": ..., "alpha": [one a margin], "square": number}

Accepted where the bound is at least (1 - 1e-9) of theta's value; m-th powers are compared, without roots.

"cheaper", any network: a feasible point that costs less than every point within 1e-9 (relative) of theta, so that none
of these is a global optimum.

    {"kind": "cheaper", "problem": "full", "scope": "global", "theta": ..., "better": [one array a layer]}

Source: docs/statements.md, section 5; Vardi, Shamir & Srebro, arXiv:2110.02732, section 3.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

from harness.certificates.answer import Checked
from harness.certificates.definite import positive_semidefinite
from harness.certificates.integers import margins
from harness.certificates.numbers import (
    GAP,
    Rejected,
    choice,
    fields,
    float_down,
    float_up,
    least_positive,
    number,
    root_down,
    root_up,
    vector,
)
from harness.certificates.parameters import objective, read_theta
from harness.certificates.signs import Theta, weights
from harness.problem.networks import Network
from harness.problem.numbers import Vector, dot, squared_norm
from harness.problem.problems import Problem

Matrix = list[list[Fraction]]

# A cheaper point must undercut theta by more than points within 1e-9 of theta can.
CLEAR = Fraction(1, 10**8)


def check_product(given: Problem, certificate: object) -> Checked:
    """Raises FieldError on a wrong shape; Rejected where it proves nothing."""
    network = given.network
    if network.kinked:
        raise Rejected("a product bound is for linear networks")
    if not takes_bound(network):
        raise Rejected("a product bound takes one layer, two trained layers, or layers that are all trained")
    own = ("alpha", "square") if has_square(network) else ("alpha",)
    found = fields(certificate, "certificate", ("kind", "problem", "scope", "theta", *own))
    choice(found["problem"], "certificate.problem", ("full",))
    scope = choice(found["scope"], "certificate.scope", ("local", "global"))
    theta = read_theta(found["theta"], "certificate.theta", network)
    alpha = vector(found["alpha"], "certificate.alpha", len(given.rows))
    if any(a < 0 for a in alpha):
        raise Rejected("alpha is negative")
    pull = _pull(given, alpha)
    if network.depth == 1:
        square = squared_norm(_folded(network, pull))
    elif network.degree == 2:
        square = number(found["square"], "certificate.square")
        _require_square(_form(network, theta, pull), square)
    else:
        reached = [[row[c] for c in network.seen] for row in pull]
        if has_square(network):
            square = number(found["square"], "certificate.square")
            _require_square(reached, square)
        else:
            square = squared_norm(reached[0])
        square *= _repeats(network)
    weight, m = sum(alpha, start=Fraction(0)), network.degree
    if not square:
        raise Rejected("the bound is infinite or nothing")
    power, lowest = _power(given, theta)
    bound = Fraction(m, 2) ** m * weight**2 / square
    value, below = float_up(root_up(power / lowest**2, m)), float_down(root_down(bound, m))
    if bound * lowest**2 < (1 - GAP) ** m * power:
        raise Rejected(f"the bound is {below:.12g}, less than (1 - 1e-9) times the value {value:.12g}")
    # 1 - r^(1/m) is at most 1 - r for 0 <= r <= 1.
    gap = max(0.0, float_up(1 - bound * lowest**2 / power))
    reason = f"no feasible point {'at all' if scope == 'global' else 'nearby'} costs less than {below:.12g}"
    return Checked(True, reason, value, below, gap)


def check_cheaper(given: Problem, certificate: object) -> Checked:
    """Raises FieldError on a wrong shape; Rejected where it proves nothing."""
    network = given.network
    found = fields(certificate, "certificate", ("kind", "problem", "scope", "theta", "better"))
    choice(found["problem"], "certificate.problem", ("full",))
    choice(found["scope"], "certificate.scope", ("global",))
    theta = read_theta(found["theta"], "certificate.theta", network)
    better = read_theta(found["better"], "certificate.better", network)
    for (sample, _), q in zip(given.rows, margins(given, better), strict=True):
        if q < 1:
            raise Rejected(f"the better point is not feasible: its margin on sample {sample} is below 1")
    power, lowest = _power(given, theta)
    m = network.degree
    cheaper = objective(network, better)
    if cheaper**m * lowest**2 >= (1 - CLEAR) ** m * power:
        raise Rejected("the better point does not cost clearly less than theta")
    value, above = float_up(root_up(power / lowest**2, m)), float_up(cheaper)
    reason = f"a feasible point costs {above:.9g}, the limit {value:.9g}"
    return Checked(True, reason, value, above, max(0.0, 1.0 - above / value))


def takes_bound(network: Network) -> bool:
    """Whether there is a product bound for the trained layers of a linear network."""
    return network.depth == 1 or network.degree in (2, network.depth)


def has_square(network: Network) -> bool:
    """Whether the bound has a singular value of a matrix in it, and not only the length of a vector."""
    return network.depth > 1 and (network.degree == 2 or network.outputs > 1)


def _pull(given: Problem, alpha: Vector) -> Matrix:
    """G, one row an output."""
    total = [[Fraction(0)] * given.d for _ in range(given.network.outputs)]
    for a, (sample, seed) in zip(alpha, given.rows, strict=True):
        for k, s in enumerate(seed):
            if a and s:
                total[k] = [t + a * s * v for t, v in zip(total[k], given.x[sample], strict=True)]
    return total


def _folded(network: Network, pull: Matrix) -> Vector:
    """f of depth 1: what the entries that share a parameter have in G, summed."""
    folded = [Fraction(0)] * network.sizes[0]
    for pattern, row in zip(network.patterns[0], pull, strict=True):
        for k, value in zip(pattern, row, strict=True):
            if k >= 0:
                folded[k] += value
    return tuple(folded)


def _form(network: Network, theta: Theta, pull: Matrix) -> Matrix:
    """M, from the weights of the fixed layers, for two trained layers.

    With L, N, R the products of the fixed W^l above, between and below the trained ones, sum_i alpha_i q_i is the
    scalar product of L'G R' and U N V, U and V the matrices of the trained layers.
    """
    low, high = (layer for layer, own in enumerate(network.trained) if own)
    widths = network.widths
    left = _product(network, theta, range(high + 1, network.depth), widths[high + 1])
    between = _product(network, theta, range(low + 1, high), widths[low + 1])
    right = _product(network, theta, range(low), widths[0])
    outer = [[dot(row, side) for side in right] for row in (_row(column, pull) for column in zip(*left, strict=True))]
    matrix = [[Fraction(0)] * network.sizes[low] for _ in range(network.sizes[high])]
    for above, weights_above in zip(network.patterns[high], outer, strict=True):
        for b, link in zip(above, between, strict=True):
            for below, linked in zip(network.patterns[low], link, strict=True):
                if b >= 0 and linked:
                    for a, weight in zip(below, weights_above, strict=True):
                        if a >= 0:
                            matrix[b][a] += linked * weight
    return matrix


def _product(network: Network, theta: Theta, layers: range, width: int) -> Matrix:
    """The product of the W^l of these layers, the highest first; for none the identity of this width."""
    product: Matrix = [[Fraction(int(r == c)) for c in range(width)] for r in range(width)]
    for layer in layers:
        product = [_row(row, product) for row in weights(network, theta, layer)]
    return product


def _row(row: Sequence[Fraction], matrix: Matrix) -> list[Fraction]:
    """row . matrix."""
    return [dot(row, column) for column in zip(*matrix, strict=True)]


def _repeats(network: Network) -> int:
    """The product of the c_l."""
    product = 1
    for pattern in network.patterns:
        product *= max(Counter(k for row in pattern for k in row if k >= 0).values(), default=0)
    return product


def _require_square(matrix: Matrix, square: Fraction) -> None:
    """D^2 - M'M positive semidefinite, on the smaller side."""
    if len(matrix) > len(matrix[0]):
        matrix = [list(column) for column in zip(*matrix, strict=True)]
    gram = [
        [(square if r == c else Fraction(0)) - dot(a, b) for c, b in enumerate(matrix)] for r, a in enumerate(matrix)
    ]
    if not positive_semidefinite(gram):
        raise Rejected("D^2 - M'M is not positive semidefinite")


def _power(given: Problem, theta: Theta) -> tuple[Fraction, Fraction]:
    """The m-th power of theta's objective, and its least margin.  Raises Rejected where that is not positive."""
    lowest = least_positive(margins(given, theta))
    return objective(given.network, theta) ** given.network.degree, lowest
