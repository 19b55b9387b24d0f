"""The figure of a counterexample: its points, and its neurons in the limit and at the better point.

For d = 2 the plane: every point with its label, and every neuron as the arrow |v_j| w_j, which is all
that the network computes.  For other d the coordinates of |v_j| w_j as bars.  The same record gives
the same bytes: no date, fixed identifiers.  The two colours are told apart by every common form of
colour blindness (Okabe & Ito), and the line style says the same once more.
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

from harness.report.reading import Neuron, Record, value

BLUE, VERMILION, GREY = "#0072B2", "#D55E00", "#8A8A8A"
_DOTTED, _DASHED = (0, (1, 3)), (0, (4, 1.5))
# The hash salt fixes the identifiers inside the SVG; text is drawn as paths, since a reader's fonts may differ.
_STYLE: Any = {"svg.hashsalt": "marginalia", "svg.fonttype": "path", "font.size": 10.0}


def figure_svg(record: Record) -> bytes:
    """The figure as SVG."""
    return _render(record, "svg", {"Date": None, "Creator": "marginalia"})


def figure_png(record: Record) -> bytes:
    """The figure as PNG, for looking at."""
    return _render(record, "png", {"Software": "marginalia"})


def _render(record: Record, kind: str, metadata: dict[str, str | None]) -> bytes:
    buffer = io.BytesIO()
    with matplotlib.rc_context(_STYLE):
        draw(record).savefig(buffer, format=kind, metadata=metadata, bbox_inches="tight", dpi=120)
    return buffer.getvalue()


def draw(record: Record) -> Figure:
    """Two panels side by side: the limit of the flow, and the better point."""
    figure = Figure(figsize=(9.0, 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    limit, better = record.neurons(record.limit), record.neurons(record.better)
    titles = (
        f"limit of the flow: value {_short(value(record.limit))}",
        f"a better point: value {_short(value(record.better))}",
    )
    for axes, neurons, title in zip(panels, (limit, better), titles, strict=True):
        idle = [neuron for neuron in neurons if neuron.zero]
        axes.set_title(title + (f"; {_names(idle)} zero" if idle else ""), fontsize=11)
        if record.instance.d == 2:
            _window(axes, record, [*limit, *better])
            _points(axes, record)
            _arrows(axes, neurons, _arrow_scale(record, [*limit, *better]))
        else:
            _bars(axes, record, neurons)
    handles = _legend(record, [*limit, *better])
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 3), frameon=False)
    return figure


# --- d = 2 ---


def _points(axes: Axes, record: Record) -> None:
    points = [(float(a), float(b)) for a, b in record.instance.x]
    axes.axhline(0, color="#DDDDDD", linewidth=0.8, zorder=0)
    axes.axvline(0, color="#DDDDDD", linewidth=0.8, zorder=0)
    axes.set_xlabel("first coordinate")
    axes.set_ylabel("second coordinate")
    axes.label_outer()
    if _has_boundaries(record):
        for x, y in points:
            # Where w . x_i = 0, the neuron switches on this point.
            axes.axline((0, 0), (-y, x), color=GREY, linewidth=0.9, linestyle=_DOTTED, zorder=1)
    for index, ((x, y), label) in enumerate(zip(points, record.instance.y, strict=True)):
        if label > 0:
            axes.plot(x, y, "o", color="black", markersize=9, zorder=4)
        else:
            axes.plot(x, y, "s", color="white", markeredgecolor="black", markersize=8, zorder=4)
        _outward(axes, (x, y), f"$x_{{{index}}}$", 13)


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


def _arrows(axes: Axes, neurons: Sequence[Neuron], scale: float) -> None:
    heads: dict[tuple[float, float], list[Neuron]] = {}
    for neuron in neurons:
        if not neuron.zero:
            a, b = (round(scale * c, 9) for c in neuron.arrow)
            heads.setdefault((a, b), []).append(neuron)
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
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
        length = math.hypot(a, b)
        # Beside the shaft, for beyond the tip there is often a point; on the side where the panel has more room.
        side = 1 if a * (bottom + top) - b * (left + right) >= 0 else -1
        across = (-side * b / length, side * a / length)
        axes.annotate(
            _names(group),
            xy=(0.62 * a, 0.62 * b),
            xytext=(8 * across[0], 8 * across[1]),
            textcoords="offset points",
            color=colour,
            ha="left" if across[0] > 0.3 else "right" if across[0] < -0.3 else "center",
            va="bottom" if across[1] > 0.3 else "top" if across[1] < -0.3 else "center",
            zorder=6,
        )


def _outward(axes: Axes, point: tuple[float, float], text: str, distance: float) -> None:
    x, y = point
    length = math.hypot(x, y)
    axes.annotate(
        text,
        xy=point,
        xytext=(distance * x / length, distance * y / length),
        textcoords="offset points",
        ha="center",
        va="center",
        zorder=5,
    )


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
    axes.label_outer()


# --- both ---


def _look(neuron: Neuron) -> tuple[str, Any]:
    return (BLUE, "solid") if neuron.v >= 0 else (VERMILION, _DASHED)


def _names(neurons: Sequence[Neuron]) -> str:
    numbers = ", ".join(str(neuron.number) for neuron in neurons)
    return f"neuron {numbers}" if len(neurons) == 1 else f"neurons {numbers}"


def _has_boundaries(record: Record) -> bool:
    """Whether one line a point tells where every neuron switches: relu, and every neuron sees all of x."""
    return record.instance.network.activation == "relu" and record.instance.network.fully_connected


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
