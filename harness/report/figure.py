"""The figure of a counterexample: its points, its neurons in the limit and at the better point, and the way there.

For d = 2 the plane: every point with its label, and every neuron as the arrow |v_j| w_j, which is all
that the network computes.  For other d the coordinates of |v_j| w_j as bars, and where a network cannot be taken
apart into neurons its weights as bars.  Beside them what is gained along the way to the better point.  The same record
gives the same bytes: no date, fixed identifiers.  The two colours are told apart by every common form of colour
blindness (Okabe & Ito), and the line style says the same once more.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.records.record import Exact, Neuron, Record
from harness.report import labels
from harness.report.improving import way

BLUE, VERMILION, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#8A8A8A"
Heads = dict[tuple[float, float], list[Neuron]]
# The width of a panel in points, about.
PANEL = 215.0
_DOTTED, _DASHED = (0, (1, 3)), (0, (4, 1.5))
# The hash salt fixes the identifiers inside the SVG; text is drawn as paths, since a reader's fonts may differ.  A PDF
# has its fonts with it, as TrueType, which publishers ask for.
_STYLE: Any = {
    "svg.hashsalt": "marginalia",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
    "font.size": 10.0,
    "mathtext.fontset": "stix",
    "axes.spines.top": False,
    "axes.spines.right": False,
}
# Fixed, or without a date, so that the same record gives the same bytes.
_METADATA: dict[str, dict[str, str | None]] = {
    "svg": {"Date": None, "Creator": "marginalia"},
    "pdf": {"CreationDate": None, "Creator": "marginalia", "Producer": None},
    "png": {"Software": "marginalia"},
}


KINDS = tuple(_METADATA)


def figure_svg(record: Record) -> bytes:
    """The figure as SVG."""
    return figure(record, "svg")


def figure(record: Record, kind: str) -> bytes:
    """The figure as "svg", "pdf" or "png"."""
    buffer = io.BytesIO()
    with matplotlib.rc_context(_STYLE):
        draw(record).savefig(buffer, format=kind, metadata=_METADATA[kind], bbox_inches="tight", dpi=150)
    return buffer.getvalue()


def draw(record: Record) -> Figure:
    """Three panels side by side: the limit of the flow, the better point, and the way from one to the other.

    Where the claim states something of the limit itself: the limit and its margins.
    """
    if record.stated:
        return _draw_limit(record)
    figure = Figure(figsize=(10.5, 4.1), layout="constrained")
    FigureCanvasAgg(figure)
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.0, 1.0, 0.95))
    middle.sharex(left)
    middle.sharey(left)
    titles = (
        f"(a) the limit: {record.objective_text(record.limit, _short)}",
        f"(b) a better point: {record.objective_text(record.better, _short)}",
    )
    handles: list[Line2D] = []
    if record.apart:
        limit, better = record.neurons(record.limit), record.neurons(record.better)
        for axes, neurons, title in zip((left, middle), (limit, better), titles, strict=True):
            idle = [neuron for neuron in neurons if neuron.zero]
            axes.set_title(title + (f"; {_names(idle)} zero" if idle else ""), fontsize=10)
            if record.instance.d == 2:
                _window(axes, record, [*limit, *better])
                _points(axes, record)
                _labels(axes, record, _arrows(axes, neurons, _arrow_scale(record, [*limit, *better])))
            else:
                _bars(axes, record, neurons)
        handles = _legend(record, [*limit, *better])
    else:
        for axes, theta, title in zip((left, middle), (record.limit, record.better), titles, strict=True):
            axes.set_title(title, fontsize=10)
            _weight_bars(axes, theta)
    middle.tick_params(labelleft=False)
    middle.set_ylabel("")
    _way(right, record)
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 4), frameon=False)
    return figure


def _draw_limit(record: Record) -> Figure:
    figure = Figure(figsize=(7.0, 4.1), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    left.set_title(f"(a) the limit: {record.objective_text(record.limit, _short)}", fontsize=10)
    handles: list[Line2D] = []
    if record.apart:
        neurons = record.neurons(record.limit)
        if record.instance.d == 2:
            _window(left, record, neurons)
            _points(left, record)
            _labels(left, record, _arrows(left, neurons, _arrow_scale(record, neurons)))
        else:
            _bars(left, record, neurons)
        handles = _legend(record, neurons)
    else:
        _weight_bars(left, record.limit)
    margins = [float(q) for q in record.data["limit"]["margins"]]
    right.set_title("(b) its margins", fontsize=10)
    right.bar(range(len(margins)), margins, 0.6, color=GREEN)
    right.axhline(1, color="black", linewidth=0.8)
    right.set_xticks(
        range(len(margins)), [f"$x_{{{record.instance.problem.place(i)[0]}}}$" for i in range(len(margins))]
    )
    right.set_ylabel("$q_i$")
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 2), frameon=False)
    return figure


def _way(axes: Axes, record: Record) -> None:
    """What is gained from the limit to the better point."""
    found = way(record)
    start = found.values[0]
    assert start is not None
    change = [math.nan if a is None else 100.0 * (a / start - 1.0) for a in found.values]
    axes.axhline(0, color="#DDDDDD", linewidth=0.8, zorder=0)
    axes.plot(found.distance, change, color=GREEN, linewidth=2.0)
    axes.plot(found.distance[:1], change[:1], "o", color="black", markersize=6, zorder=4)
    axes.plot(found.distance[-1:], change[-1:], "D", color=GREEN, markersize=6, zorder=4)
    axes.set_title("(c) the way from (a) to (b)", fontsize=10)
    axes.set_xlabel(r"distance $\|\theta-\tilde\theta\|\,/\,\|\tilde\theta\|$")
    axes.set_ylabel(f"change of the {record.minimised}, in %")


# --- d = 2 ---


def _points(axes: Axes, record: Record) -> None:
    points = [(float(a), float(b)) for a, b in record.instance.x]
    axes.axhline(0, color="#DDDDDD", linewidth=0.8, zorder=0)
    axes.axvline(0, color="#DDDDDD", linewidth=0.8, zorder=0)
    axes.set_xlabel("first coordinate")
    axes.set_ylabel("second coordinate")
    if _has_boundaries(record):
        for x, y in points:
            # Where w . x_i = 0, the neuron switches on this point.
            axes.axline((0, 0), (-y, x), color=GREY, linewidth=0.9, linestyle=_DOTTED, zorder=1)
    for (x, y), label in zip(points, record.instance.y, strict=True):
        if label > 0:
            axes.plot(x, y, "o", color="black", markersize=9, zorder=4)
        else:
            axes.plot(x, y, "s", color="white", markeredgecolor="black", markersize=8, zorder=4)


def _window(axes: Axes, record: Record, neurons: Sequence[Neuron]) -> None:
    """The same square window for both panels: the origin, every point and every arrow of both."""
    scale = _arrow_scale(record, neurons)
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
    for (a, b), group in sorted(heads.items(), key=lambda item: -math.hypot(*item[0])):
        colour, line = _look(group[0])
        axes.annotate(
            "",
            xy=(a, b),
            xytext=(0, 0),
            arrowprops={
                "arrowstyle": "-|>",
                "color": colour,
                "linewidth": 2.2,
                "linestyle": line,
                "shrinkA": 0,
                "shrinkB": 0,
            },
            zorder=5,
        )
    return heads


def _labels(axes: Axes, record: Record, heads: Heads) -> None:
    """Names of points and arrows, each where there is room for it."""
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    unit = (right - left) / PANEL
    middle = ((left + right) / 2 / unit, (bottom + top) / 2 / unit)
    points = [(float(x) / unit, float(y) / unit) for x, y in record.instance.x]
    tips = {(a / unit, b / unit): group for (a, b), group in heads.items()}
    taken = [*points, *(point for tip in tips for point in labels.segment(tip))]
    wanted = [(f"$x_{{{i}}}$", labels.around(point, "x0", 8.0), "black") for i, point in enumerate(points)]
    wanted += [
        (_names(group), labels.along(tip, _names(group), 5.0), _look(group[0])[0]) for tip, group in tips.items()
    ]
    for text, places, colour in wanted:
        moved = [(x - middle[0], y - middle[1]) for x, y in places]
        others = [(x - middle[0], y - middle[1]) for x, y in taken]
        found = labels.clearest(moved, text, others, (PANEL / 2, PANEL / 2))
        place = (found[0] + middle[0], found[1] + middle[1])
        taken += labels.box(place, text)
        axes.text(place[0] * unit, place[1] * unit, text, color=colour, ha="center", va="center", zorder=6)


def _arrow_scale(record: Record, neurons: Sequence[Neuron]) -> float:
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


# --- other d ---


def _bars(axes: Axes, record: Record, neurons: Sequence[Neuron]) -> None:
    d = record.instance.d
    step = 1.0 / (d + 1)
    for neuron in neurons:
        colour, _ = _look(neuron)
        for c, height in enumerate(neuron.arrow):
            place = neuron.number + (c - (d - 1) / 2) * step
            hatch = "" if neuron.v >= 0 else "///"
            axes.bar(place, height, 0.85 * step, color=colour, edgecolor="white", hatch=hatch)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_xticks([neuron.number for neuron in neurons], [f"neuron {neuron.number}" for neuron in neurons])
    axes.set_xlabel(f"a bar for each of the {d} coordinates" if d > 1 else "one bar: the data have one coordinate")
    axes.set_ylabel("$|v_j|\\,w_j$")


def _weight_bars(axes: Axes, theta: Exact) -> None:
    numbers = [(layer, k, float(a)) for layer, u in enumerate(theta, start=1) for k, a in enumerate(u)]
    for place, (_, _, height) in enumerate(numbers):
        colour, hatch = (BLUE, "") if height >= 0 else (VERMILION, "///")
        axes.bar(place, height, 0.8, color=colour, edgecolor="white", hatch=hatch)
    axes.axhline(0, color="black", linewidth=0.8)
    for place, (_, k, _) in enumerate(numbers):
        if place and not k:
            axes.axvline(place - 0.5, color=GREY, linewidth=0.9, linestyle=_DOTTED)
    labels = [f"$u^{{{layer}}}_{{{k}}}$" for layer, k, _ in numbers]
    axes.set_xticks(range(len(numbers)), labels, fontsize=10 if len(numbers) < 12 else 7)
    axes.set_ylabel("weight")


# --- both ---


def _look(neuron: Neuron) -> tuple[str, Any]:
    return (BLUE, "solid") if neuron.v >= 0 else (VERMILION, _DASHED)


def _names(neurons: Sequence[Neuron]) -> str:
    numbers = ", ".join(str(neuron.number) for neuron in neurons)
    return f"neuron {numbers}" if len(neurons) == 1 else f"neurons {numbers}"


def _has_boundaries(record: Record) -> bool:
    """Whether one line a point tells where every neuron switches: it has a kink, and every neuron sees all of x."""
    return record.instance.network.kinked and record.instance.network.fully_connected


def _legend(record: Record, neurons: Sequence[Neuron]) -> list[Line2D]:
    handles: list[Line2D] = []
    alive = [neuron for neuron in neurons if not neuron.zero]
    plane = record.instance.d == 2
    if plane:
        if 1 in record.instance.y:
            handles.append(Line2D([], [], marker="o", color="black", linestyle="", label="point, label +1"))
        if -1 in record.instance.y:
            handles.append(
                Line2D(
                    [], [], marker="s", color="white", markeredgecolor="black", linestyle="", label="point, label −1"
                )
            )
    scale = _arrow_scale(record, neurons) if plane else 1.0
    times = "" if scale == 1.0 else f", drawn {scale:g} times as long"
    looks: tuple[tuple[str, Any, str, bool], ...] = (
        (BLUE, "solid", ">", any(neuron.v > 0 for neuron in alive)),
        (VERMILION, _DASHED, "<", any(neuron.v < 0 for neuron in alive)),
    )
    for colour, line, sign, some in looks:
        if some:
            label = f"$|v_j|\\,w_j$ of a neuron with $v_j {sign} 0${times}"
            handles.append(Line2D([], [], color=colour, linewidth=2.2, linestyle=line, label=label))
    if plane and _has_boundaries(record):
        handles.append(
            Line2D(
                [],
                [],
                color=GREY,
                linewidth=0.9,
                linestyle=_DOTTED,
                label="$w \\cdot x_i = 0$: input zero on $x_i$",
            )
        )
    return handles


def _short(number: Any) -> str:
    return f"{float(number):.5g}"
