"""The way from a limit to something better: a curve of weights, and what is gained along it.

Every point on it is scaled, so that values compare: to the least margin of the limit at the beginning, which is 1, to
that of the better point at the end, and in proportion between.  Where only one layer may change, only that is scaled,
and only it counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from harness.records.record import Exact, Record, along

Floats = tuple[tuple[float, ...], ...]

STEPS = 60


@dataclass(frozen=True)
class Way:
    """distance: |theta(s) - theta~| / |theta~| of each point.  values: the value, None where a point is on the wrong
    side.  said: what the curve is, in words.  The last point is the better point."""

    distance: list[float]
    values: list[float | None]
    said: str


def way(record: Record) -> Way:
    """The curve from the limit (s = 0) to the better point (s = 1)."""
    start, end = _floats(record.limit), _floats(record.better)
    # Closer together at the limit, where what is gained may be of second order.
    parts = [(k / STEPS) ** 2 for k in range(STEPS + 1)]
    thetas, said = _thetas(record, start, end, parts[:-1])
    reached = record.instance.problem.least_margin(end)
    points = [_scaled(record, theta, 1.0 + s * (reached - 1.0)) for s, theta in zip(parts, thetas, strict=False)]
    norm = math.hypot(*_trained(record, start))
    shown = [point or theta for point, theta in zip(points, thetas, strict=True)]
    distance = [math.dist(_trained(record, theta), _trained(record, start)) / norm for theta in (*shown, end)]
    return Way(distance, [None if point is None else _objective(record, point) for point in (*points, end)], said)


def scaled_value(record: Record, theta: Floats) -> float | None:
    """The value of theta scaled to least margin 1, of one layer where the certificate is about one."""
    scaled = _scaled(record, theta, 1.0)
    return None if scaled is None else _objective(record, scaled)


def _objective(record: Record, theta: Floats) -> float:
    numbers = _trained(record, theta) if record.layer is None else theta[record.layer]
    return 0.5 * sum(a * a for a in numbers)


def _trained(record: Record, theta: Floats) -> list[float]:
    """The numbers of the layers that are trained, in one list."""
    return [a for u in record.instance.network.of_trained(theta) for a in u]


def _scaled(record: Record, theta: Floats, margin: float) -> Floats | None:
    """The multiple of theta, or of the layer that may change, with this least margin; None if it has none."""
    least = record.instance.problem.least_margin(theta)
    if least <= 0.0 or margin <= 0.0:
        return None
    network = record.instance.network
    scale = (margin / least) ** (1.0 / (network.degree if record.layer is None else 1))
    moves = [own if record.layer is None else layer == record.layer for layer, own in enumerate(network.trained)]
    return tuple(tuple(scale * a for a in u) if move else u for u, move in zip(theta, moves, strict=True))


def _thetas(record: Record, start: Floats, end: Floats, parts: list[float]) -> tuple[list[Floats], str]:
    certificate = record.data["certificate"]
    if certificate["kind"] == "curve":
        d, e, eps = record.curve
        straight = "a straight line" if not any(a for u in e for a in u) else "a parabola"
        thetas = [_floats(along(record.limit, d, e, Fraction(s * eps))) for s in parts]
        return thetas, f"{straight} of weights from the limit on"
    if (
        record.apart
        and record.layer is None
        and certificate["scope"] == "local"
        and all(record.instance.network.trained)
    ):
        return [_in_cell(record, start, end, s) for s in parts], (
            "every |v_j| w_j on a straight line from the limit to the better point"
        )
    said = "a straight line of weights from the limit to the better point"
    return [_mixed(start, end, s) for s in parts], said


def _in_cell(record: Record, start: Floats, end: Floats, s: float) -> Floats:
    """At depth 2: |v_j| w_j moves in a straight line; |v_j| / |w_j| goes from 1, as it is in a limit, to the end's."""
    incoming, (outgoing,) = record.instance.network.patterns
    first, last = [0.0] * len(start[0]), [0.0] * len(start[1])
    for row, k in zip(incoming, outgoing, strict=True):
        if k < 0:
            continue
        moved = {c: (1.0 - s) * abs(start[1][k]) * start[0][c] + s * abs(end[1][k]) * end[0][c] for c in row if c >= 0}
        length, ending = math.hypot(*moved.values()), math.hypot(*(end[0][c] for c in moved))
        share = (abs(end[1][k]) / ending) ** s if ending and end[1][k] else 1.0
        for c, a in moved.items():
            first[c] = a / math.sqrt(length * share) if length else 0.0
        last[k] = math.copysign(math.sqrt(length * share), end[1][k] or start[1][k])
    return tuple(first), tuple(last)


def _mixed(start: Floats, end: Floats, s: float) -> Floats:
    return tuple(
        tuple((1.0 - s) * a + s * b for a, b in zip(u, w, strict=True)) for u, w in zip(start, end, strict=True)
    )


def _floats(theta: Exact) -> Floats:
    return tuple(tuple(float(a) for a in u) for u in theta)
