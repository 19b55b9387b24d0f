"""Neurons and points in the plane, d = 2: every point with its label, and every neuron as the arrow |v_j| w_j.

That is all that the network computes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from harness.records.record import Neuron, Record
from harness.report import labels
from harness.report.look import DOTTED, FAINT, GREY, signed

Heads = dict[tuple[float, float], list[Neuron]]


def draw_plane(axes: Axes, record: Record, neurons: Sequence[Neuron], shown: Sequence[Neuron], width: float) -> None:
    """Points and neurons, in the window and at the scale of all that are shown.

    width: that of the panel in points of the page, about.
    """
    _window(axes, record, shown)
    _points(axes, record)
    _labels(axes, record, _arrows(axes, neurons, arrow_scale(record, shown)), width)


def named(neurons: Sequence[Neuron]) -> str:
    """Such as neurons 1, 2; how many they are if they are more than four."""
    if len(neurons) > 4:
        return f"{len(neurons)} neurons"
    numbers = ", ".join(str(neuron.number) for neuron in neurons)
    return f"neuron {numbers}" if len(neurons) == 1 else f"neurons {numbers}"


def arrow_scale(record: Record, neurons: Sequence[Neuron]) -> float:
    """A round factor that makes the longest arrow about as long as the farthest point is far."""
    longest = max((math.hypot(*neuron.arrow) for neuron in neurons), default=0.0)
    farthest = max(math.hypot(*map(float, x)) for x in record.instance.x)
    if not longest:
        return 1.0
    wanted = farthest / longest
    if 0.4 <= wanted <= 1.6:
        return 1.0
    power = 10.0 ** math.floor(math.log10(wanted))
    return max(step * power for step in (1, 2, 5) if step * power <= wanted)


def point_handles(record: Record) -> list[Line2D]:
    """For the legend: the points by label."""
    looks = ((1, "o", "black", "+1"), (-1, "s", "white", "−1"))
    return [
        Line2D([], [], marker=marker, color=colour, markeredgecolor="black", linestyle="", label=f"point, label {said}")
        for label, marker, colour, said in looks
        if label in record.instance.y
    ]


def edge_handles(record: Record) -> list[Line2D]:
    """For the legend: where neurons switch."""
    label = "$w \\cdot x_i = 0$: input zero on $x_i$"
    line = Line2D([], [], color=GREY, linewidth=0.9, linestyle=DOTTED, label=label)
    return [line] if _has_edges(record) else []


def _has_edges(record: Record) -> bool:
    """Whether one line a point tells where every neuron switches: it has a kink, and every neuron sees all of x."""
    return record.instance.network.kinked and record.instance.network.fully_connected


def _points(axes: Axes, record: Record) -> None:
    points = [(float(a), float(b)) for a, b in record.instance.x]
    axes.axhline(0, color=FAINT, linewidth=0.8, zorder=0)
    axes.axvline(0, color=FAINT, linewidth=0.8, zorder=0)
    axes.set_xlabel("first coordinate")
    axes.set_ylabel("second coordinate")
    if _has_edges(record):
        for x, y in points:
            # Where w . x_i = 0, the neuron switches on this point.
            axes.axline((0, 0), (-y, x), color=GREY, linewidth=0.9, linestyle=DOTTED, zorder=1)
    for (x, y), label in zip(points, record.instance.y, strict=True):
        if label > 0:
            axes.plot(x, y, "o", color="black", markersize=9, zorder=4)
        else:
            axes.plot(x, y, "s", color="white", markeredgecolor="black", markersize=8, zorder=4)


def _window(axes: Axes, record: Record, neurons: Sequence[Neuron]) -> None:
    """A square window: the origin, every point and every arrow."""
    scale = arrow_scale(record, neurons)
    shown = [(0.0, 0.0), *((float(a), float(b)) for a, b in record.instance.x)]
    shown += [(scale * n.arrow[0], scale * n.arrow[1]) for n in neurons]
    low = [min(p[c] for p in shown) for c in (0, 1)]
    high = [max(p[c] for p in shown) for c in (0, 1)]
    half = 0.65 * max(high[0] - low[0], high[1] - low[1])
    middle = [(low[c] + high[c]) / 2 for c in (0, 1)]
    axes.set_xlim(middle[0] - half, middle[0] + half)
    axes.set_ylim(middle[1] - half, middle[1] + half)
    axes.set_aspect("equal")


def _arrows(axes: Axes, neurons: Sequence[Neuron], scale: float) -> Heads:
    """Draw them from the origin; the neurons at each tip."""
    heads: Heads = {}
    for neuron in neurons:
        if not neuron.zero:
            a, b = (round(scale * c, 9) for c in neuron.arrow)
            heads.setdefault((a, b), []).append(neuron)
    # The longest first, so that a short arrow along a long one stays visible.
    for tip, group in sorted(heads.items(), key=lambda item: -math.hypot(*item[0])):
        colour, line = signed(group[0].v)
        look = {"arrowstyle": "-|>", "color": colour, "linewidth": 2.2, "linestyle": line, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", xy=tip, xytext=(0, 0), arrowprops=look, zorder=5)
    return heads


def _labels(axes: Axes, record: Record, heads: Heads, width: float) -> None:
    """Names of points and arrows, each where there is room for it."""
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    unit = (right - left) / width
    middle = ((left + right) / 2 / unit, (bottom + top) / 2 / unit)
    points = [(float(x) / unit, float(y) / unit) for x, y in record.instance.x]
    tips = {(a / unit, b / unit): group for (a, b), group in heads.items()}
    taken = [*points, *(point for tip in tips for point in labels.segment(tip))]
    wanted = [(f"$x_{{{i}}}$", labels.around(point, "x0", 8.0), "black") for i, point in enumerate(points)]
    wanted += [
        (named(group), labels.along(tip, named(group), 5.0), signed(group[0].v)[0]) for tip, group in tips.items()
    ]
    for text, places, colour in wanted:
        moved = [(x - middle[0], y - middle[1]) for x, y in places]
        others = [(x - middle[0], y - middle[1]) for x, y in taken]
        found = labels.clearest(moved, text, others, (width / 2, width / 2))
        place = (found[0] + middle[0], found[1] + middle[1])
        taken += labels.box(place, text)
        axes.text(place[0] * unit, place[1] * unit, text, color=colour, ha="center", va="center", zorder=6)
