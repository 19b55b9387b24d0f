"""The way from a limit to something better: a curve of weights, and what is gained along it.

What a point is worth is its value once it is scaled to least margin 1: 1/2 |theta|^2 / (min_i q_i)^(2/m), m the depth;
where only one layer may be scaled, 1/2 |u^l|^2 / (min_i q_i)^2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from harness.networks import forward
from harness.report.reading import Exact, Record, along

Floats = tuple[tuple[float, ...], ...]

STEPS = 60


@dataclass(frozen=True)
class Way:
    """distance: |theta(s) - theta~| / |theta~| of each point.  worth: its value at least margin 1, None where a point
    is on the wrong side.  said: what the curve is, in words."""

    distance: list[float]
    worth: list[float | None]
    said: str


def way(record: Record) -> Way:
    """The curve from the limit (s = 0) to the better point (s = 1)."""
    start = _floats(record.limit)
    thetas, said = _thetas(record, start, _floats(record.better))
    norm = math.hypot(*(a for u in start for a in u))
    distance = [math.dist([a for u in theta for a in u], [a for u in start for a in u]) / norm for theta in thetas]
    return Way(distance, [worth(record, theta) for theta in thetas], said)


def worth(record: Record, theta: Floats) -> float | None:
    """The value of theta scaled to least margin 1, of one layer where the certificate is about one."""
    network, layer = record.instance.network, record.layer
    least = min(
        y * forward(network, theta, [float(a) for a in x])
        for x, y in zip(record.instance.x, record.instance.y, strict=True)
    )
    if least <= 0.0:
        return None
    weights = theta if layer is None else theta[layer : layer + 1]
    degree = network.depth if layer is None else 1
    return 0.5 * sum(a * a for u in weights for a in u) * least ** (-2.0 / degree)


def _thetas(record: Record, start: Floats, end: Floats) -> tuple[list[Floats], str]:
    # Closer together at the limit, where what is gained may be of second order.
    parts = [(k / STEPS) ** 2 for k in range(STEPS + 1)]
    certificate = record.data["certificate"]
    if certificate["kind"] == "curve":
        d, e, eps = record.curve
        straight = "a straight line" if not any(a for u in e for a in u) else "a parabola"
        thetas = [_floats(along(record.limit, d, e, Fraction(s * eps))) for s in parts]
        return thetas, f"{straight} of weights from the limit on"
    if record.apart and record.layer is None and certificate["scope"] == "local":
        return [_balanced(record, start, end, s) for s in parts], (
            "every |v_j| w_j on a straight line from the limit to the better point"
        )
    said = "a straight line of weights from the limit to the better point"
    return [_mixed(start, end, s) for s in parts], said


def _balanced(record: Record, start: Floats, end: Floats, s: float) -> Floats:
    """At depth 2: |v_j| w_j moves in a straight line, shared out so that |v_j| = |w_j|."""
    incoming, (outgoing,) = record.instance.network.patterns
    first, last = [0.0] * len(start[0]), [0.0] * len(start[1])
    for row, k in zip(incoming, outgoing, strict=True):
        if k < 0:
            continue
        moved = {c: (1.0 - s) * abs(start[1][k]) * start[0][c] + s * abs(end[1][k]) * end[0][c] for c in row if c >= 0}
        length = math.hypot(*moved.values())
        for c, a in moved.items():
            first[c] = a / math.sqrt(length) if length else 0.0
        last[k] = math.copysign(math.sqrt(length), end[1][k] or start[1][k])
    return tuple(first), tuple(last)


def _mixed(start: Floats, end: Floats, s: float) -> Floats:
    return tuple(
        tuple((1.0 - s) * a + s * b for a, b in zip(u, w, strict=True)) for u, w in zip(start, end, strict=True)
    )


def _floats(theta: Exact) -> Floats:
    return tuple(tuple(float(a) for a in u) for u in theta)
