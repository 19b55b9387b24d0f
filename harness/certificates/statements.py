"""Kind "statement": what a claim says of the limit itself is false of every point next to theta.

    {"kind": "statement", "problem": "full", "scope": "limit", "theta": ..., "says": NAME, "witness": {...}}

theta has a least margin of 1 up to rounding, and the points meant are all within r = 1e-9 |theta| of it in the trained
parameters.  A pre-activation or a margin moves by at most its Lipschitz constant on that ball times r (taylor.py).

    slack margin      not every q_i is 1.  "sample": one with q_i > 1
    other gates       y_i v_j (w_j . x_i) is not positive everywhere.  "sample", "neuron": where it is negative
    unequal neurons   neurons with v_j of one sign, none zero, do not all have one w_j / v_j; where v is fixed, one w_j.
                      "neurons": two that have not
    unequal patterns  the same of neurons with equal gates, clear of kinks, on all points of least margin
    small value       the value 1/2 |theta|^2 is less than what is said, which a witness of values.py bounds from below
    large value       it is more: one that bounds it from above
    left orthant      u_k v_k of a diagonal network has another sign than is said.  "coordinate", "sign": what is said
    no attack         t -> y_i Phi(x_i - t y_i s), s = sum_k y_k x_k, increases, or is above -1 at the step that the
                      claim states.  "sample"; "steps": t_1 < t_2 with a larger value at t_2, or null
    breaks            two live neurons that face one way switch at two places in one gap between points of least margin,
                      or outside the outermost.  "neurons": the two
    no linear margin  of z = m_1 w_+ - m_2 w_-, w_+ and w_- being the rows of one neuron each with v_j = 1 and v_j = -1:
                      "sample": one with y_i z . x_i < 1; or "point": a w with z_i . w >= 1 that shows the norm of z to
                      be more than norm(w) m / ((1 + gamma) sqrt(m_1 m_2))

Neurons and samples count from 0.  Everything is shown for whole balls, so that rounding in theta does not matter.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from harness.certificates.answer import Checked
from harness.certificates.numbers import Rejected, array, choice, fields, float_up, integer, root_up, sqrt_down, vector
from harness.certificates.parameters import objective, read_theta
from harness.certificates.signs import Theta, weights
from harness.certificates.taylor import bounds, margin_norms, sqrt_up
from harness.certificates.values import bounded
from harness.problem.networks import preactivations
from harness.problem.numbers import Vector, dot, squared_norm
from harness.problem.places import neuron_name
from harness.problem.predicates import is_diagonal, spread
from harness.problem.problems import Problem

NEAR = Fraction(1, 10**9)


class Ball:
    """The points within r of theta, of a network of one output."""

    def __init__(self, given: Problem, theta: Theta) -> None:
        self.given, self.theta = given, theta
        self.network = given.network
        self.norm = sqrt_up(2 * objective(self.network, theta))
        self.radius = NEAR * self.norm
        self._steep = bounds(self.network, theta, self.radius)

    @property
    def value(self) -> tuple[Fraction, Fraction]:
        """Bounds of 1/2 |theta|^2."""
        middle, moved = objective(self.network, self.theta), self.norm * self.radius
        return middle - moved, middle + moved + self.radius**2 / 2

    def margins(self) -> list[tuple[Fraction, Fraction]]:
        """Bounds of every q_i."""
        moved = [self._steep.of(self.network.depth, norm)[0] * self.radius for norm in margin_norms(self.given)]
        return [(q - m, q + m) for q, m in zip(self.given.margins(self.theta), moved, strict=True)]

    def output(self, x: Vector) -> tuple[Fraction, Fraction]:
        """Bounds of Phi(x)."""
        value = preactivations(self.network, self.theta, x)[-1][0]
        moved = self._steep.of(self.network.depth, sqrt_up(squared_norm(x)))[0] * self.radius
        return value - moved, value + moved

    def clear_sign(self, sample: int, neuron: int) -> int:
        """The sign of w_j . x_i, 0 where it is not the same on the whole ball."""
        x = self.given.x[sample]
        return self._sign(dot(self.row(neuron), x), sqrt_up(squared_norm(x)) * self.radius)

    def outgoing_sign(self, neuron: int) -> int:
        """The sign of v_j, likewise."""
        return self._sign(self.outgoing(neuron), self.radius if self.network.trained[1] else Fraction(0))

    @staticmethod
    def _sign(value: Fraction, moved: Fraction) -> int:
        return 0 if abs(value) <= moved else 1 if value > 0 else -1

    def row(self, neuron: int) -> Vector:
        """w_j."""
        return weights(self.network, self.theta, 0)[neuron]

    def outgoing(self, neuron: int) -> Fraction:
        """v_j."""
        return weights(self.network, self.theta, 1)[0][neuron]

    def tight(self) -> list[int]:
        """The samples whose margin may be the least one."""
        found = self.margins()
        least = min(high for _, high in found)
        return [i for i, (low, _) in enumerate(found) if low <= least]


Statement = Callable[[Ball, dict[str, Any]], str]


def check_statement(given: Problem, certificate: object) -> Checked:
    """Raises FieldError on a wrong shape; Rejected where it proves nothing."""
    network = given.network
    found = fields(certificate, "certificate", ("kind", "problem", "scope", "theta", "says", "witness"))
    choice(found["problem"], "certificate.problem", ("full",))
    choice(found["scope"], "certificate.scope", ("limit",))
    says = choice(found["says"], "certificate.says", tuple(STATEMENTS))
    theta = read_theta(found["theta"], "certificate.theta", network)
    if says not in ANY_NETWORK and (network.depth != 2 or network.outputs > 1):
        raise Rejected("the statement is about networks of depth 2 with one output")
    lowest = min(given.margins(theta))
    if abs(lowest - 1) > NEAR:
        raise Rejected("theta is not scaled to a least margin of 1")
    witness = fields(found["witness"], "certificate.witness", (), None)
    reason = STATEMENTS[says](Ball(given, theta), witness)
    m = network.degree
    return Checked(True, reason, float_up(root_up(objective(network, theta) ** m / lowest**2, m)))


# --- the statements: each raises Rejected unless it is false on the whole ball ---


def _slack_margin(ball: Ball, witness: dict[str, Any]) -> str:
    sample = _sample(ball, fields(witness, "witness", ("sample",))["sample"])
    low, _ = ball.margins()[sample]
    if low <= 1:
        raise Rejected(f"the margin of sample {sample} may be 1")
    return f"the margin of sample {sample} is at least {float(low):.9g}, and not 1"


def _other_gates(ball: Ball, witness: dict[str, Any]) -> str:
    found = fields(witness, "witness", ("sample", "neuron"))
    i, j = _sample(ball, found["sample"]), _neuron(ball, found["neuron"])
    if ball.given.y[i] * ball.outgoing_sign(j) * ball.clear_sign(i, j) != -1:
        raise Rejected(f"the input of {neuron_name(j)} on sample {i} may have the sign that is said")
    return f"{neuron_name(j)} has an input on sample {i} of the other sign than y_i v_j"


def _unequal(ball: Ball, witness: dict[str, Any]) -> str:
    j, k = _pair(ball, fields(witness, "witness", ("neurons",)))
    if ball.outgoing_sign(j) * ball.outgoing_sign(k) != 1:
        raise Rejected(f"{neuron_name(j, k)} have not clearly outgoing weights of one sign")
    if not _differ(ball, j, k):
        raise Rejected(f"{neuron_name(j, k)} may be equal")
    return f"{neuron_name(j, k)} have outgoing weights of one sign and are not equal"


def _differ(ball: Ball, j: int, k: int) -> bool:
    """Whether w_j / v_j and w_k / v_k, or w_j and w_k where v is fixed, differ in some coordinate."""
    r, first, second = ball.radius, ball.row(j), ball.row(k)
    if not ball.network.trained[1]:
        return any(abs(a - b) > 2 * r for a, b in zip(first, second, strict=True))
    v, u = ball.outgoing(j), ball.outgoing(k)
    return any(
        abs(a * u - b * v) > r * (abs(a) + abs(u) + abs(b) + abs(v)) + 2 * r * r
        for a, b in zip(first, second, strict=True)
    )


def _unequal_patterns(ball: Ball, witness: dict[str, Any]) -> str:
    said = _unequal(ball, witness)
    j, k = _pair(ball, witness)
    for i in ball.tight():
        if not ball.clear_sign(i, j) == ball.clear_sign(i, k) != 0:
            raise Rejected(f"the gates of {neuron_name(j, k)} on sample {i} may differ, or may be kinks")
    return f"{said}, though their gates are"


def _small_value(ball: Ball, witness: dict[str, Any]) -> str:
    (_, high), said = ball.value, bounded(ball.given, witness)
    if said.below is None or high >= said.below:
        raise Rejected("the value is not shown to be too small")
    return f"the value is at most {float(high):.9g}, and is said to be at least {float(said.below):.9g}"


def _large_value(ball: Ball, witness: dict[str, Any]) -> str:
    (low, _), said = ball.value, bounded(ball.given, witness)
    if said.above is None or low <= said.above:
        raise Rejected("the value is not shown to be too large")
    return f"the value is at least {float(low):.9g}, and is said to be at most {float(said.above):.9g}"


def _left_orthant(ball: Ball, witness: dict[str, Any]) -> str:
    if not is_diagonal(ball.network) or ball.network.degree < 2:
        raise Rejected("the statement is about diagonal networks, trained everywhere")
    found = fields(witness, "witness", ("coordinate", "sign"))
    k = integer(found["coordinate"], "witness.coordinate", 0, ball.given.d - 1)
    u, v = (layer[k] for layer in ball.theta)
    if choice(found["sign"], "witness.sign", (-1, 1)) * u * v >= -ball.radius * (abs(u) + abs(v) + ball.radius):
        raise Rejected(f"the product of coordinate {k} may have its sign")
    return f"the product of coordinate {k} is {float(u * v):.9g}"


def _no_attack(ball: Ball, witness: dict[str, Any]) -> str:
    found = fields(witness, "witness", ("sample", "steps"))
    i = _sample(ball, found["sample"])
    if found["steps"] is None:
        step = stated_step(ball.given, i)
        low, _ = _attacked(ball, i, step)
        if low <= -1:
            raise Rejected(f"at the step {float(step):.6g} the output on sample {i} may be turned")
        return f"at the step {float(step):.6g} y_i Phi is at least {float(low):.6g} on sample {i}, and not -1"
    first, second = vector(found["steps"], "witness.steps", 2)
    if first >= second or _attacked(ball, i, first)[1] >= _attacked(ball, i, second)[0]:
        raise Rejected(f"y_i Phi on sample {i} is not shown to increase")
    return f"y_i Phi on sample {i} increases from the step {float(first):.6g} to {float(second):.6g}"


def stated_step(given: Problem, sample: int) -> Fraction:
    """R (2 - delta) / (n_opp (1 - delta) (1 - 3 delta)), n_opp the points of the other class.  Raises Rejected."""
    s, opposite = spread(given), sum(label != given.y[sample] for label in given.y)
    if not opposite or 3 * s.delta >= 1:
        raise Rejected("the claim states no step here")
    return s.ratio * (2 - s.delta) / (opposite * (1 - s.delta) * (1 - 3 * s.delta))


def attack(given: Problem, sample: int, step: Fraction) -> Vector:
    """x_i - t y_i s with s = sum_k y_k x_k."""
    total = [
        sum((label * x[c] for label, x in zip(given.y, given.x, strict=True)), Fraction(0)) for c in range(given.d)
    ]
    return tuple(a - step * given.y[sample] * b for a, b in zip(given.x[sample], total, strict=True))


def _attacked(ball: Ball, sample: int, step: Fraction) -> tuple[Fraction, Fraction]:
    """Bounds of y_i Phi there."""
    low, high = ball.output(attack(ball.given, sample, step))
    return (low, high) if ball.given.y[sample] > 0 else (-high, -low)


def _breaks(ball: Ball, witness: dict[str, Any]) -> str:
    j, k = _pair(ball, fields(witness, "witness", ("neurons",)))
    if ball.given.d != 2 or any(x[1] != 1 for x in ball.given.x):
        raise Rejected("the data have not a second coordinate of 1")
    for neuron in (j, k):
        if not ball.outgoing_sign(neuron):
            raise Rejected(f"{neuron_name(neuron)} may be dead")
    (a, b), (c, d) = ball.row(j), ball.row(k)
    r = ball.radius
    if abs(a) <= r or abs(c) <= r or a * c < 0:
        raise Rejected(f"{neuron_name(j, k)} may face different ways")
    # The places are -b / a and -d / c.
    if abs(b * c - d * a) <= r * (abs(a) + abs(b) + abs(c) + abs(d)) + 2 * r * r:
        raise Rejected(f"{neuron_name(j, k)} may switch at one place")
    for i in ball.tight():
        if not ball.clear_sign(i, j) == ball.clear_sign(i, k) != 0:
            raise Rejected(f"{neuron_name(j, k)} may switch in different gaps, beside sample {i}")
    return f"{neuron_name(j, k)} face one way and switch at two places of one gap"


def _no_linear_margin(ball: Ball, witness: dict[str, Any]) -> str:
    given, r = ball.given, ball.radius
    signs = [ball.outgoing_sign(j) for j in range(ball.network.widths[1])]
    if ball.network.trained[1] or not {1, -1} <= {*signs}:
        raise Rejected("the claim is about fixed outputs of either sign")
    positive, negative = signs.count(1), signs.count(-1)
    plus, minus = ball.row(signs.index(1)), ball.row(signs.index(-1))
    z = [positive * a - negative * b for a, b in zip(plus, minus, strict=True)]
    moved = (positive + negative) * r
    if "sample" in witness:
        i = _sample(ball, fields(witness, "witness", ("sample",))["sample"])
        x = given.x[i]
        most = given.y[i] * dot(z, x) + moved * sqrt_up(squared_norm(x))
        if most >= 1:
            raise Rejected(f"z may have a margin of 1 on sample {i}")
        return f"y_i z . x_i is at most {float(most):.9g} on sample {i}"
    w = vector(fields(witness, "witness", ("point",))["point"], "witness.point", given.d)
    if any(label * dot(x, w) < 1 for x, label in zip(given.x, given.y, strict=True)):
        raise Rejected("the point is not feasible")
    width, slope = positive + negative, 1 + given.network.slope
    above = sqrt_up(squared_norm(w) / (positive * negative)) * width / slope
    low = Fraction(sqrt_down(squared_norm(z))) - moved
    if low <= above:
        raise Rejected("the norm of z is not shown to be too large")
    return f"the norm of z is at least {float(low):.9g}, more than {float(above):.9g}"


# Of networks of any depth and number of outputs; the others are about hidden neurons.
ANY_NETWORK = ("slack margin", "small value", "large value")
STATEMENTS: dict[str, Statement] = {
    "slack margin": _slack_margin,
    "other gates": _other_gates,
    "unequal neurons": _unequal,
    "unequal patterns": _unequal_patterns,
    "small value": _small_value,
    "large value": _large_value,
    "left orthant": _left_orthant,
    "no attack": _no_attack,
    "breaks": _breaks,
    "no linear margin": _no_linear_margin,
}


# --- reading ---


def _sample(ball: Ball, value: object) -> int:
    return integer(value, "witness.sample", 0, len(ball.given.rows) - 1)


def _neuron(ball: Ball, value: object) -> int:
    return integer(value, "witness.neuron", 0, ball.network.widths[1] - 1)


def _pair(ball: Ball, witness: dict[str, Any]) -> tuple[int, int]:
    j, k = (_neuron(ball, value) for value in array(witness["neurons"], "witness.neurons", 2))
    if j == k:
        raise Rejected("one neuron is no two")
    return j, k
