"""Kinds "product bound" and "cheaper": the whole margin problem of a network of any depth m.

"product bound", linear networks.  If sum_i alpha_i q_i <= D |u^1| ... |u^m| for all theta, then every feasible theta
has sum(alpha) <= D |u^1| ... |u^m| <= D (|theta|^2 / m)^(m/2), so that it costs

    1/2 |theta|^2 >= (m/2) (sum(alpha) / D)^(2/m).

What D is:
- depth 1: |sum_i alpha_i y_i f_i| with q_i = y_i f_i . u^1;
- depth 2: the largest singular value of M, sum_i alpha_i q_i = u^2 . M u^1; the certificate gives "square" = D^2, and
  D^2 - M'M is shown to be positive semidefinite;
- depth 3 and more: |sum_i alpha_i y_i x_i| on the coordinates that reach the output, times sqrt(c_l) for every layer,
  where c_l is how often the most used parameter of the layer occurs: |W^l| <= sqrt(c_l) |u^l|.

    {"kind": "product bound", "problem": "full", "scope": S, "theta": ..., "alpha": [n], "square": number}   (depth 2)

Accepted where the bound is at least (1 - 1e-9) of theta's cost at min q = 1; m-th powers are compared, without roots.

"cheaper", any network: a feasible point that costs less than every point within 1e-9 (relative) of theta, so that none
of these is a global optimum.

    {"kind": "cheaper", "problem": "full", "scope": "global", "theta": ..., "better": [one array a layer]}

Source: docs/statements.md, section 5; Vardi, Shamir & Srebro, arXiv:2110.02732, section 3.
"""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

from harness.certificates.answer import Checked
from harness.certificates.definite import positive_semidefinite
from harness.certificates.numbers import (
    GAP,
    Rejected,
    Vector,
    choice,
    dot,
    fields,
    float_down,
    float_up,
    number,
    root_down,
    root_up,
    rows,
    squared_norm,
    vector,
)
from harness.certificates.signs import Theta
from harness.problem.networks import Network
from harness.problem.problems import Problem

# A cheaper point must undercut theta by more than points within 1e-9 of theta can.
CLEAR = Fraction(1, 10**8)


def check_product(given: Problem, certificate: object) -> Checked:
    """Raises FieldError on a wrong shape; Rejected where it proves nothing."""
    network = given.network
    own = ("alpha", "square") if network.depth == 2 else ("alpha",)
    found = fields(certificate, "certificate", ("kind", "problem", "scope", "theta", *own))
    choice(found["problem"], "certificate.problem", ("full",))
    scope = choice(found["scope"], "certificate.scope", ("local", "global"))
    theta = rows(found["theta"], "certificate.theta", network.sizes)
    alpha = vector(found["alpha"], "certificate.alpha", given.n)
    if network.activation != "linear" and network.depth > 1:
        raise Rejected("a product bound is for linear networks")
    if any(a < 0 for a in alpha):
        raise Rejected("alpha is negative")
    if network.depth == 2:
        square = number(found["square"], "certificate.square")
        _require_square(form(given, alpha), square)
    else:
        square = squared_norm(_predictor(given, alpha)) * _repeats(network)
    weight, m = sum(alpha, start=Fraction(0)), network.depth
    if not square:
        raise Rejected("the bound is infinite or nothing")
    worth, lowest = _worth(given, theta)
    bound = Fraction(m, 2) ** m * weight**2 / square
    value, below = float_up(root_up(worth / lowest**2, m)), float_down(root_down(bound, m))
    if bound * lowest**2 < (1 - GAP) ** m * worth:
        raise Rejected(f"the bound is {below:.12g}, less than (1 - 1e-9) times the value {value:.12g}")
    # 1 - r^(1/m) is at most 1 - r for 0 <= r <= 1.
    gap = max(0.0, float_up(1 - bound * lowest**2 / worth))
    reason = f"no feasible point {'at all' if scope == 'global' else 'nearby'} costs less than {below:.12g}"
    return Checked(True, reason, value, below, gap)


def check_cheaper(given: Problem, certificate: object) -> Checked:
    """Raises FieldError on a wrong shape; Rejected where it proves nothing."""
    sizes = given.network.sizes
    found = fields(certificate, "certificate", ("kind", "problem", "scope", "theta", "better"))
    choice(found["problem"], "certificate.problem", ("full",))
    choice(found["scope"], "certificate.scope", ("global",))
    theta = rows(found["theta"], "certificate.theta", sizes)
    better = rows(found["better"], "certificate.better", sizes)
    for i, q in enumerate(given.margins(better)):
        if q < 1:
            raise Rejected(f"the better point is not feasible: its margin on sample {i} is below 1")
    worth, lowest = _worth(given, theta)
    m = given.network.depth
    cheaper = _half(better)
    if cheaper**m * lowest**2 >= (1 - CLEAR) ** m * worth:
        raise Rejected("the better point does not cost clearly less than theta")
    value, above = float_up(root_up(worth / lowest**2, m)), float_up(cheaper)
    reason = f"a feasible point costs {above:.9g}, the limit {value:.9g}"
    return Checked(True, reason, value, above, max(0.0, 1.0 - above / value))


def form(given: Problem, alpha: Vector) -> list[list[Fraction]]:
    """M of a network of depth 2: sum_i alpha_i q_i = u^2 . M u^1."""
    network = given.network
    hidden, (output,) = network.patterns
    matrix = [[Fraction(0)] * network.sizes[0] for _ in range(network.sizes[1])]
    total = _pull(given, alpha)
    for row, outgoing in zip(hidden, output, strict=True):
        for c, k in enumerate(row):
            if k >= 0 and outgoing >= 0:
                matrix[outgoing][k] += total[c]
    return matrix


def _pull(given: Problem, alpha: Vector) -> list[Fraction]:
    """sum_i alpha_i y_i x_i."""
    total = [Fraction(0)] * given.d
    for a, label, x in zip(alpha, given.y, given.x, strict=True):
        if a:
            total = [t + a * label * v for t, v in zip(total, x, strict=True)]
    return total


def _predictor(given: Problem, alpha: Vector) -> Vector:
    """The vector whose norm, times the factors sqrt(c_l), is D, for depths other than 2."""
    network, total = given.network, _pull(given, alpha)
    if network.depth == 1:
        folded = [Fraction(0)] * network.sizes[0]
        for c, k in enumerate(network.patterns[0][0]):
            if k >= 0:
                folded[k] += total[c]
        return tuple(folded)
    return tuple(total[c] for c in reaching(network))


def _repeats(network: Network) -> int:
    """The product of the c_l; 1 for depth 1, where sharing is in the vector."""
    product = 1
    for pattern in network.patterns if network.depth > 1 else ():
        product *= max(Counter(k for row in pattern for k in row if k >= 0).values(), default=0)
    return product


def reaching(network: Network) -> list[int]:
    """The coordinates of x from which a path leads to the output."""
    live = {0}
    for pattern in reversed(network.patterns):
        live = {c for r in live for c, k in enumerate(pattern[r]) if k >= 0}
    return sorted(live)


def _require_square(matrix: list[list[Fraction]], square: Fraction) -> None:
    """D^2 - M'M positive semidefinite, on the smaller side."""
    if len(matrix) > len(matrix[0]):
        matrix = [list(column) for column in zip(*matrix, strict=True)]
    gram = [
        [(square if r == c else Fraction(0)) - dot(a, b) for c, b in enumerate(matrix)] for r, a in enumerate(matrix)
    ]
    if not positive_semidefinite(gram):
        raise Rejected("D^2 - M'M is not positive semidefinite")


def _half(theta: Theta) -> Fraction:
    return sum((squared_norm(u) for u in theta), start=Fraction(0)) / 2


def _worth(given: Problem, theta: Theta) -> tuple[Fraction, Fraction]:
    """The m-th power of theta's cost, and its least margin.  Raises Rejected where that is not positive."""
    lowest = min(given.margins(theta))
    if lowest <= 0:
        raise Rejected("theta has a margin that is not positive")
    return _half(theta) ** given.network.depth, lowest
