"""The figure of a counterexample: its points, its neurons in the limit and at the better point, and the way there.

For d = 2 the plane, for other d the coordinates of |v_j| w_j as bars, and where a network cannot be taken apart into
neurons the network as a graph.  Beside them what is gained along the way to the better point.  The same record
gives the same bytes: no date, fixed identifiers.
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

from harness.problem.places import neuron_name
from harness.records.record import Exact, Neuron, Record
from harness.report.drawing import draw_graph, graph_handles, largest_weight
from harness.report.improving import way
from harness.report.look import BLUE, DASHED, FAINT, GREEN, VERMILION, signed
from harness.report.plane import arrow_scale, draw_plane, edge_handles, named, point_handles

# The width of a panel in points, about; of one of the small picture.
PANEL, SMALL = 215.0, 165.0
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
    with matplotlib.rc_context(_STYLE):
        return _saved(draw(record), kind)


def small(record: Record) -> bytes:
    """The networks of the figure alone, as SVG that can be read at the width of a phone."""
    with matplotlib.rc_context(_STYLE):
        shown = thetas(record)
        figure = Figure(figsize=(2.45 * len(shown), 2.75), layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplots(1, len(shown), sharex=True, sharey=True, squeeze=False)[0]
        for axes, theta, title in zip(panels, shown, ("the limit", "a better point"), strict=False):
            _network(axes, record, theta, SMALL)
            axes.set_title(title, fontsize=10)
            axes.set(xlabel="", ylabel="")
        return _saved(figure, "svg")


def draw(record: Record) -> Figure:
    """Three panels side by side: the limit of the flow, the better point, and the way from one to the other.

    Where the claim states something of the limit itself: the limit and its margins.
    """
    shown = thetas(record)
    size, ratios = ((7.0, 4.1), (1.0, 1.0)) if record.stated else ((10.5, 4.1), (1.0, 1.0, 0.95))
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    *panels, last = figure.subplots(1, len(ratios), width_ratios=ratios)
    for axes in panels[1:]:
        axes.sharex(panels[0])
        axes.sharey(panels[0])
    for axes, theta, name in zip(panels, shown, ("(a) the limit", "(b) a better point"), strict=False):
        axes.set_title(f"{name}: {record.objective_text(theta, _short)}{_zero(record, theta)}", fontsize=10)
        _network(axes, record, theta, PANEL)
    for axes in panels[1:]:
        axes.tick_params(labelleft=False)
        axes.set_ylabel("")
    _margins(last, record) if record.stated else _way(last, record)
    handles = _legend(record)
    columns = 2 if record.stated else 4
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), columns), frameon=False)
    return figure


def thetas(record: Record) -> list[Exact]:
    """What it shows: the limit, and the better point if there is one."""
    return [record.limit] if record.stated else [record.limit, record.better]


def _saved(figure: Figure, kind: str) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, metadata=_METADATA[kind], bbox_inches="tight", dpi=150)
    return buffer.getvalue()


def _network(axes: Axes, record: Record, theta: Exact, width: float) -> None:
    """theta, in a panel so many points wide."""
    if not record.apart:
        draw_graph(axes, record.instance.network, theta, largest_weight(thetas(record)))
    elif record.instance.d == 2:
        draw_plane(axes, record, record.neurons(theta), _all_neurons(record), width)
    else:
        _bars(axes, record, record.neurons(theta))


def _all_neurons(record: Record) -> list[Neuron]:
    """Of all panels."""
    return [neuron for theta in thetas(record) for neuron in record.neurons(theta)]


def _zero(record: Record, theta: Exact) -> str:
    """Which neurons are zero, for a title."""
    idle = [neuron for neuron in record.neurons(theta) if neuron.zero] if record.apart else []
    return f"; {named(idle)} zero" if idle else ""


def _margins(axes: Axes, record: Record) -> None:
    """Those of the limit."""
    margins = [float(q) for q in record.data["limit"]["margins"]]
    samples = [record.instance.problem.place(row)[0] for row in range(len(margins))]
    axes.set_title("(b) its margins", fontsize=10)
    axes.bar(range(len(margins)), margins, 0.6, color=GREEN)
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set_xticks(range(len(margins)), [f"$x_{{{sample}}}$" for sample in samples])
    axes.set_ylabel("$q_i$")


def _way(axes: Axes, record: Record) -> None:
    """What is gained from the limit to the better point."""
    found = way(record)
    start = found.values[0]
    assert start is not None
    change = [math.nan if a is None else 100.0 * (a / start - 1.0) for a in found.values]
    axes.axhline(0, color=FAINT, linewidth=0.8, zorder=0)
    axes.plot(found.distance, change, color=GREEN, linewidth=2.0)
    axes.plot(found.distance[:1], change[:1], "o", color="black", markersize=6, zorder=4)
    axes.plot(found.distance[-1:], change[-1:], "D", color=GREEN, markersize=6, zorder=4)
    axes.set_title("(c) the way from (a) to (b)", fontsize=10)
    axes.set_xlabel(r"distance $\|\theta-\tilde\theta\|\,/\,\|\tilde\theta\|$")
    axes.set_ylabel(f"change of the {record.minimised}, in %")


def _bars(axes: Axes, record: Record, neurons: Sequence[Neuron]) -> None:
    d = record.instance.d
    step = 1.0 / (d + 1)
    for neuron in neurons:
        colour, _ = signed(neuron.v)
        for c, height in enumerate(neuron.arrow):
            place = neuron.number + (c - (d - 1) / 2) * step
            hatch = "" if neuron.v >= 0 else "///"
            axes.bar(place, height, 0.85 * step, color=colour, edgecolor="white", hatch=hatch)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_xlim(0.4, len(neurons) + 0.6)
    axes.set_xticks([neuron.number for neuron in neurons], [neuron_name(neuron.index) for neuron in neurons])
    axes.set_xlabel(f"a bar for each of the {d} coordinates" if d > 1 else "one bar: the data have one coordinate")
    axes.set_ylabel("$|v_j|\\,w_j$")


def _legend(record: Record) -> list[Line2D]:
    if not record.apart:
        return graph_handles(record.instance.network, thetas(record))
    neurons, plane = _all_neurons(record), record.instance.d == 2
    scale = arrow_scale(record, neurons) if plane else 1.0
    times = "" if scale == 1.0 else f", drawn {scale:g} times as long"
    looks: tuple[tuple[str, Any, str, bool], ...] = (
        (BLUE, "solid", ">", any(n.v > 0 for n in neurons if not n.zero)),
        (VERMILION, DASHED, "<", any(n.v < 0 for n in neurons if not n.zero)),
    )
    handles = [
        Line2D([], [], color=colour, linewidth=2.2, linestyle=line, label=label)
        for colour, line, sign, some in looks
        if some and (label := f"$|v_j|\\,w_j$ of a neuron with $v_j {sign} 0${times}")
    ]
    return [*point_handles(record), *handles, *edge_handles(record)] if plane else handles


def _short(number: Any) -> str:
    return f"{float(number):.5g}"
