"""The picture that moves: neurons in the plane, weights as bars, or a network as a graph, at one moment of the flow.

Every frame's numbers are places in the picture, so that the page only has to put them there.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from harness.problem.places import layer_name
from harness.records.record import Record
from harness.report.charts import COLOURS
from harness.report.film import Film, arrows
from harness.report.graph import edges, ends, level_text, narrowing, node_text, place

SIZE = 380.0
_MIDDLE = SIZE / 2
# How far the farthest point is from the middle, and how long the longest arrow or bar.
_FAR, _LONG = 155.0, 110.0
# Widths of the lines of a graph.
_THIN, _THICK = 1.2, 9.0


def scene(record: Record, film: Film) -> tuple[str, dict[str, Any], str]:
    """The SVG at the last frame, the frames' numbers, and a caption."""
    if record.apart and record.instance.d == 2:
        return _plane(record, film)
    if not record.apart:
        return _graph(record, film)
    return _bars(record, film)


def _plane(record: Record, film: Film) -> tuple[str, dict[str, Any], str]:
    instance = record.instance
    moving = arrows(record, film.direction)
    longest = float(np.linalg.norm(moving, axis=2).max()) or 1.0
    farthest = max(math.hypot(*map(float, x)) for x in instance.x)
    tips = np.round(moving * (_LONG / longest) * np.array([1.0, -1.0]) + _MIDDLE, 1)
    parts = ["<defs>"]
    parts += [
        f'<marker id="head{k}" class="head c{k}" viewBox="0 0 10 10" refX="8" refY="5" markerWidth="5" '
        'markerHeight="5" orient="auto-start-reverse"><path d="M0 0 10 5 0 10z"/></marker>'
        for k in range(COLOURS)
    ]
    parts += [
        "</defs>",
        f'<line class="grid" x1="0" x2="{SIZE:g}" y1="{_MIDDLE}" y2="{_MIDDLE}"/>',
        f'<line class="grid" y1="0" y2="{SIZE:g}" x1="{_MIDDLE}" x2="{_MIDDLE}"/>',
    ]
    edges = instance.network.kinked and instance.network.fully_connected
    for x in instance.x:
        a, b = (float(c) / math.hypot(*map(float, x)) * SIZE for c in x)
        if edges:
            parts.append(
                f'<line class="level dotted" x1="{_MIDDLE - b:.1f}" y1="{_MIDDLE - a:.1f}" x2="{_MIDDLE + b:.1f}" '
                f'y2="{_MIDDLE + a:.1f}"/>'
            )
    for i, (x, y) in enumerate(zip(instance.x, instance.y, strict=True)):
        a, b = (_MIDDLE + sign * _FAR * float(c) / farthest for sign, c in zip((1, -1), x, strict=True))
        shape = (
            f'<circle class="plus" cx="{a:.1f}" cy="{b:.1f}" r="6"/>'
            if y > 0
            else f'<rect class="minus" x="{a - 5.5:.1f}" y="{b - 5.5:.1f}" width="11" height="11"/>'
        )
        length = math.hypot(a - _MIDDLE, b - _MIDDLE)
        out = [place + 18 * (place - _MIDDLE) / length for place in (a, b)]
        parts.append(f'{shape}<text class="middle" x="{out[0]:.1f}" y="{out[1] + 4:.1f}">{subscript("x", i)}</text>')
    negative = [neuron.v < 0 for neuron in record.neurons(instance.theta0)]
    for j, (x, y) in enumerate(tips[-1]):
        k = j % COLOURS
        parts.append(
            f'<line class="arrow c{k}{" dashed" if negative[j] else ""}" data-arrow="{j}" x1="{_MIDDLE}" '
            f'y1="{_MIDDLE}" x2="{x}" y2="{y}" marker-end="url(#head{k})"/>'
        )
        parts.append(f'<text class="middle name c{k}" data-name="{j}" x="{x}" y="{y}">{j + 1}</text>')
    caption = (
        "Arrows: |v_j| w_j of theta / ||theta||, each with the number of its neuron"
        f"{', dashed where v_j < 0' if any(negative) else ''}. Dots: the points, on a scale of their own"
        f"{', squares where the label is −1' if -1 in instance.y else ''}."
        + (" Dotted: where the input of a neuron is zero on a point." if edges else "")
    )
    return _picture(parts), {"arrows": tips.tolist(), "middle": _MIDDLE}, caption


def _bars(record: Record, film: Film) -> tuple[str, dict[str, Any], str]:
    network = record.instance.network
    sizes = {layer: size for layer, size in enumerate(network.sizes) if network.trained[layer]}
    count, half = network.size, _FAR
    top = float(np.abs(film.direction).max())
    heights = np.round(film.direction * (half / top), 1)
    step = (SIZE - 20) / (count + len(sizes) - 1)
    parts, place = [f'<line class="axis" x1="0" x2="{SIZE:g}" y1="{_MIDDLE}" y2="{_MIDDLE}"/>'], 10.0
    number = 0
    for layer, size in sizes.items():
        parts.append(
            f'<text class="middle" x="{place + step * size / 2:.1f}" y="{SIZE - 4:g}">{layer_name(layer)}</text>'
        )
        for _ in range(size):
            height = float(heights[-1][number])
            parts.append(
                f'<rect class="bar c{(layer - 1) % COLOURS}" data-bar="{number}" x="{place + 0.1 * step:.1f}" '
                f'y="{_MIDDLE - max(height, 0):.1f}" width="{0.8 * step:.1f}" height="{abs(height):.1f}"/>'
            )
            number, place = number + 1, place + step
        place += step
    caption = f"Bars: the weights of theta / ||theta||, layer by layer in their order; the longest is {top:.3g}."
    return _picture(parts), {"bars": heights.tolist(), "middle": _MIDDLE}, caption


def _graph(record: Record, film: Film) -> tuple[str, dict[str, Any], str]:
    network = record.instance.network
    weights = np.round(film.direction / np.abs(film.direction).max(), 4)
    last = network.split(weights[-1])
    parts, thick = [], _THICK * narrowing(network)
    for edge in edges(network):
        (a, b), (c, d) = (_spot(*end) for end in ends(network, edge))
        own = network.trained[edge.layer]
        number = network.offsets[edge.layer] + edge.parameter
        weight = float(last[edge.layer][edge.parameter])
        style, width = (_style(weight), max(_THIN, thick * abs(weight))) if own else ("fixed", _THIN)
        moving = f' data-weight="{number}"' if own else ""
        parts.append(
            f'<line class="weight {style}"{moving} x1="{a:.1f}" y1="{b:.1f}" x2="{c:.1f}" y2="{d:.1f}" '
            f'stroke-width="{width:.2f}"/>'
        )
    for level, size in enumerate(network.widths):
        for node in range(size):
            x, y = _spot(*place(network, level, node))
            text = node_text(network, level, node)
            parts.append(f'<circle class="node" cx="{x:.1f}" cy="{y:.1f}" r="13"/>')
            parts.append(f'<text class="middle" x="{x:.1f}" y="{y + 4:.1f}">{text}</text>')
        x, _ = _spot(level / network.depth, 0.0)
        parts.append(f'<text class="middle" x="{x:.1f}" y="{SIZE - 8:g}">{level_text(network, level)}</text>')
    caption = (
        "A line for each weight of theta / ||theta||, as wide as it is large, dashed where it is negative, dotted "
        "where it is zero."
        + (" Weights that are shared are drawn wherever they stand." if network.shared else "")
        + ("" if all(network.trained) else " Grey: weights that are not trained.")
    )
    return _picture(parts), {"weights": weights.tolist(), "thin": _THIN, "thick": thick}, caption


def _spot(a: float, b: float) -> tuple[float, float]:
    """From the unit square, upwards, to the picture."""
    return 34 + a * (SIZE - 68), 8 + (1 - b) * (SIZE - 40)


def _style(weight: float) -> str:
    """As flow.js has it."""
    return "none" if not weight else "c0" if weight > 0 else "c1 dashed"


def _picture(parts: list[str]) -> str:
    size = f"0 0 {SIZE:g} {SIZE:g}"
    return f'<svg class="scene" viewBox="{size}" role="img" aria-label="The flow">{"".join(parts)}</svg>'


def subscript(letter: str, index: int) -> str:
    """As SVG text."""
    return f'<tspan class="italic">{letter}</tspan><tspan class="sub" dy="3">{index}</tspan>'
