"""A network that cannot be taken apart into neurons, as a graph on paper: width by size, colour and dashes by sign."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from harness.problem.networks import Network
from harness.records.record import Exact
from harness.report.graph import (
    MAX_NUMBERED,
    Edge,
    edge_text,
    edges,
    ends,
    level_text,
    narrowing,
    node_text,
    number_place,
    place,
)
from harness.report.look import BLUE, DOTTED, GREY, VERMILION

# Widths of lines in points: of the largest weight, and the least.
_WIDEST, _THINNEST = 6.0, 0.9
# Short ones, since a wide edge is short.
_DASHED = (0, (1.6, 0.6))


def draw_graph(axes: Axes, network: Network, theta: Exact, largest: float) -> None:
    """The weights theta as edges.  largest: the size of the weight whose line is the widest."""
    found = edges(network)
    for edge in found:
        _edge(axes, network, edge, float(theta[edge.layer][edge.parameter]), largest)
        if len(found) <= MAX_NUMBERED:
            _number(axes, network, edge, theta)
    for level, width in enumerate(network.widths):
        for node in range(width):
            _node(axes, network, level, node, theta)
    levels = range(network.depth + 1)
    axes.set_xticks([level / network.depth for level in levels], [level_text(network, level) for level in levels])
    axes.tick_params(bottom=False, left=False, labelleft=False)
    axes.spines[["bottom", "left"]].set_visible(False)
    room = 0.17 - 0.5 / max(network.widths)
    axes.set(xlim=(-0.12, 1.12), ylim=(-room, 1.0 + room))


def largest_weight(thetas: Sequence[Exact]) -> float:
    """Of them all, by size."""
    return max(abs(float(a)) for theta in thetas for u in theta for a in u)


def graph_handles(network: Network, thetas: Sequence[Exact]) -> list[Line2D]:
    """For the legend: those of the three kinds of edges that there are."""
    weights = [theta[edge.layer][edge.parameter] for theta in thetas for edge in edges(network)]
    looks: tuple[tuple[str, Any, float, str, bool], ...] = (
        (BLUE, "solid", 3.0, "positive weight", any(a > 0 for a in weights)),
        (VERMILION, _DASHED, 3.0, "negative weight", any(a < 0 for a in weights)),
        (GREY, DOTTED, _THINNEST, "zero weight", any(not a for a in weights)),
    )
    return [
        Line2D([], [], color=colour, linestyle=line, linewidth=width, label=label)
        for colour, line, width, label, some in looks
        if some
    ]


def _look(weight: Any) -> tuple[str, Any]:
    if not weight:
        return GREY, DOTTED
    return (BLUE, "solid") if weight > 0 else (VERMILION, _DASHED)


def _edge(axes: Axes, network: Network, edge: Edge, weight: float, largest: float) -> None:
    (a, b), (c, d) = ends(network, edge)
    colour, line = _look(weight)
    width = max(_THINNEST, _WIDEST * narrowing(network) * abs(weight) / (largest or 1.0))
    axes.plot([a, c], [b, d], color=colour, linestyle=line, linewidth=width, zorder=2, solid_capstyle="butt")


def _number(axes: Axes, network: Network, edge: Edge, theta: Exact) -> None:
    (_, start), (_, end) = ends(network, edge)
    weight = theta[edge.layer][edge.parameter]
    colour, _ = _look(weight)
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.5}
    axes.annotate(
        edge_text(network, edge, weight),
        number_place(network, edge),
        (0, 9 if start == end else 0),
        textcoords="offset points",
        color=colour,
        fontsize=9,
        ha="center",
        va="center",
        bbox=box,
        zorder=3,
    )


def _node(axes: Axes, network: Network, level: int, node: int, theta: Exact) -> None:
    """Grey where nothing comes in or nothing goes out."""
    into = [theta[level - 1][k] for k in network.patterns[level - 1][node] if k >= 0] if level else [1]
    out = (
        [theta[level][row[node]] for row in network.patterns[level] if row[node] >= 0] if level < network.depth else [1]
    )
    colour = "black" if any(into) and any(out) else GREY
    x, y = place(network, level, node)
    size = 17 if max(network.widths) <= 8 else 8
    axes.plot(x, y, "o", color="white", markeredgecolor=colour, markersize=size, clip_on=False, zorder=4)
    if size > 8:
        text = node_text(network, level, node)
        axes.text(x, y, text, color=colour, fontsize=9, ha="center", va="center_baseline", zorder=5)
