"""Why, in one inequality: what stands at the top of a page.

Depth 2, one output, no shared weights: 1/2 ||theta||^2 is at least the sum of |v_j| norm(w_j), and equal to it where
the norms balance. With the multipliers lambda of the limit, sum_i lambda_i q_i of a point is the sum over its neurons
of |v_j| norm(w_j) s_j, where s_j = sum_i lambda_i y_i sign(v_j) sigma(w_j . x_i) / norm(w_j) is what a unit of neuron j
saves. In the limit both sums are sum_i lambda_i, and every live neuron has s_j = 1. So a feasible point that costs less
has a neuron with s_j > 1.
"""

from __future__ import annotations

import math

from harness.problem.places import layer_name, neuron_name
from harness.records.record import Neuron, Record
from harness.report.words import short


def inequality(record: Record) -> str | None:
    """What a unit of the best neuron of the better point saves and costs, else the two costs; None without that point.

    The multipliers are the floats of the record, so this explains, and proves nothing.
    """
    parts = _parts(record)
    return parts and f"In one inequality: {''.join(parts)}"


def formula(record: Record) -> str | None:
    """The inequality without words."""
    parts = _parts(record)
    return parts and parts[0]


def _parts(record: Record) -> tuple[str, str] | None:
    """The inequality, and what it says."""
    if record.stated:
        return None
    network = record.instance.network
    if record.apart and record.layer is None and all(network.trained):
        best = max((n for n in record.neurons(record.better) if not n.zero), key=lambda n: sum(saved(record, n)))
        parts = saved(record, best)
        if (gain := sum(parts)) > 1.0:
            terms = " + ".join(f"{a:.3g}" for a in parts if a).replace("+ -", "- ")
            total = f" = {gain:.3g}" if " " in terms else ""
            return f"{terms}{total} > 1", (
                f". Letting |v| norm(w) of {neuron_name(best.index)} grow by eps, towards its w at the better point, "
                "costs eps and saves eps times so much: lambda_i y_i sign(v) sigma(w . x_i) / norm(w) on each point."
            )
    before, after = record.objective(record.limit), record.objective(record.better)
    where = "the limit" if record.layer is None else f"{layer_name(record.layer)} in the limit"
    what = "a feasible point on a curve from the limit" if record.kind == "curve" else "a feasible point"
    return f"{short(after)} < {short(before)}", f", what {what} costs and what {where} costs."


def saved(record: Record, neuron: Neuron) -> list[float]:
    """What a unit of the neuron saves on each point."""
    multipliers = map(float, record.data["limit"]["multipliers"])
    slope = float(record.instance.network.slope)
    size, sign = math.hypot(*map(float, neuron.w)), math.copysign(1.0, neuron.v)
    return [
        a * y * sign * float(u if u > 0 else slope * u) / size
        for a, y, u in zip(multipliers, record.instance.y, map(float, neuron.inputs), strict=True)
    ]
