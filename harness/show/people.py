"""What `print` says of an instance, a point, a limit and verdicts: some lines each, whatever their size."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from harness.problem.instances import Instance
from harness.problem.limits import Limit
from harness.problem.points import Point
from harness.show.answers import problem_line, verdict_lines
from harness.show.lines import count, margin_name, short

if TYPE_CHECKING:
    from harness.oracles import Verdicts

# Of what there may be many, the first ones are named.
SOME = 5
# A pre-activation this near to zero is worth a line.
NEAR = 1e-2


def instance_text(instance: Instance) -> str:
    """The network, the data, the loss and the start."""
    counts = Counter(instance.y)
    classes = ", ".join(f"{number} of class {label}" for label, number in sorted(counts.items()))
    if instance.network.outputs == 1:
        classes = ", ".join(f"{number} labelled {label:+d}" for label, number in sorted(counts.items()))
    norms = ", ".join(short(float(u @ u)) for u in instance.theta0_float)
    return "\n".join(
        (
            f"Instance: {problem_line(instance.problem)}; {instance.loss} loss",
            f"points in {instance.d} dimensions: {classes}",
            f"start: {count(instance.network.size, 'parameter')}, |u^l|^2 of the layers {norms}",
        )
    )


def point_text(point: Point) -> str:
    """Value, margins, residual and what carries it, balance, idle neurons, near kinks."""
    problem = point.problem
    network = problem.network
    lines = [
        f"Point: {problem_line(problem)}; {count(network.size, 'parameter')}",
        f"value 1/2 |theta|^2 = {short(point.value)} at a least margin of 1; {_margins(point)}",
        f"KKT residual {point.residual:.1e}; {_carried(point)}",
        f"|u^l|^2 of the layers: {', '.join(map(short, point.norms))}",
    ]
    if network.depth > 1:
        idle = point.idle
        named = ", ".join(f"neuron {neuron.short(network.depth)}" for neuron in idle[:SOME]) + (
            ", ..." if len(idle) > SOME else ""
        )
        lines.append(f"dead neurons: {len(idle)} of {sum(network.widths[1:-1])}{f' ({named})' if idle else ''}")
    near = [each for each in point.close_kinks(SOME) if each[0] < NEAR]
    if near:
        named = ", ".join(
            f"neuron {place.hidden.short(network.depth)} on point {place.sample} ({size:.1e})" for size, place in near
        )
        lines.append(f"inputs of neurons near zero: {named}")
    return "\n".join([*lines, *([f"in doubt: {point.doubt}"] if point.doubt else [])])


def limit_text(limit: Limit) -> str:
    """How the flow ended, and the point where it converged."""
    lines = [f"Limit: {limit.status.replace('_', ' ')}: {limit.reason}"]
    if limit.log_norm is not None:
        lines.append(f"followed to log-norm {short(limit.log_norm)}, {count(len(limit.events), 'event')} at kinks")
    return "\n".join([*lines, str(limit.point)] if limit.point else lines)


def verdicts_text(verdicts: Verdicts) -> str:
    """One line a question, and why it is no local optimum."""
    lines = verdict_lines(verdicts)
    mechanism = verdicts.mechanism
    return "\n".join([*lines, f"why no local optimum: {mechanism}"] if mechanism else lines)


def _margins(point: Point) -> str:
    least, largest = int((point.margins <= 1.0 + 1e-9).sum()), short(float(point.margins.max()))
    return f"{count(least, 'margin')} of {len(point.margins)} within 1e-9 of it, the largest {largest}"


def _carried(point: Point) -> str:
    """The margins with the largest multipliers."""
    used = int((point.multipliers > 0.0).sum())
    if not used:
        return "no multipliers"
    order = np.argsort(-point.multipliers, kind="stable")[: min(used, SOME)]
    named = ", ".join(f"{margin_name(point.problem, int(i))} ({short(float(point.multipliers[i]))})" for i in order)
    return f"multipliers on {used} of {len(point.margins)} margins, the largest on point {named}"
