"""Charts as SVG text, for the site: their colours come from the page, so they follow it into the dark and onto paper.

Everything is drawn for a phone's width, and only ever enlarged.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 380.0, 230.0
LEFT, RIGHT, TOP, BOTTOM = 66.0, 14.0, 12.0, 42.0
ROW = 20.0
# As many as the page has; they are used in turn.
COLOURS = 6


@dataclass(frozen=True)
class Line:
    """name: for the legend, may have HTML.  colour: a number.  dashed: whether it is."""

    name: str
    x: Sequence[float]
    y: Sequence[float | None]
    colour: int
    dashed: bool = False


@dataclass(frozen=True)
class Level:
    """A horizontal line at y."""

    name: str
    y: float
    style: str


def chart(lines: Sequence[Line], *, across: str, up: str, levels: Sequence[Level] = (), cursor: bool = False) -> str:
    """Lines over a common axis.  cursor: whether the page moves an upright line over it."""
    points = [(x, y) for line in lines for x, y in zip(line.x, line.y, strict=True) if _drawn(y)]
    xs, ys = [x for x, _ in points] or [0.0, 1.0], [float(y or 0.0) for _, y in points] or [0.0]
    ys += [level.y for level in levels]
    h, v = Axis(min(xs), max(xs), LEFT, WIDTH - RIGHT), Axis(min(ys), max(ys), HEIGHT - BOTTOM, TOP, room=0.06)
    parts = [*_frame(h, v, across, up)]
    for level in levels:
        y = v.place(level.y)
        parts.append(f'<line class="level {level.style}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
    for line in lines:
        style = f"line c{line.colour}" + (" dashed" if line.dashed else "")
        parts += [f'<path class="{style}" d="{path}"/>' for path in _paths(line, h, v)]
    if cursor:
        parts.append(_cursor(h, TOP, HEIGHT - BOTTOM))
    legend = [(f"c{line.colour}" + (" dashed" if line.dashed else ""), line.name) for line in lines]
    legend += [(f"level {level.style}", level.name) for level in levels]
    return _svg(parts, WIDTH, HEIGHT, up) + _legend(legend)


def strips(rows: Sequence[tuple[str, Sequence[int]]], x: Sequence[float], *, across: str, up: str) -> str:
    """One strip a row, filled where its sign is 1, hatched where it is 0, empty where it is -1."""
    left, height = 92.0, TOP + ROW * len(rows) + BOTTOM
    h = Axis(min(x), max(x), left, WIDTH - RIGHT)
    parts = ['<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse">']
    parts += ['<path class="hatch" d="M0 6 6 0"/></pattern></defs>']
    for number, (name, signs) in enumerate(rows):
        y = TOP + ROW * number
        parts.append(f'<text class="end" x="{left - 6}" y="{y + 14}">{name}</text>')
        parts.append(
            f'<rect class="off" x="{left}" y="{y + 2}" width="{WIDTH - RIGHT - left:.1f}" height="{ROW - 4}"/>'
        )
        for sign, first, last in _runs(signs):
            a, b = h.place(x[first]), h.place(x[min(last + 1, len(x) - 1)])
            if sign >= 0:
                style = "on" if sign else "edge"
                parts.append(
                    f'<rect class="{style}" x="{min(a, b):.1f}" y="{y + 2}" width="{max(abs(b - a), 1.5):.1f}" '
                    f'height="{ROW - 4}"/>'
                )
    bottom = height - BOTTOM
    parts += _ticks_across(h, bottom, across)
    parts.append(_cursor(h, TOP, bottom))
    return _svg(parts, WIDTH, height, up) + _legend([("on", "on"), ("off", "off"), ("edge", "exactly on the edge")])


# --- parts ---


class Axis:
    """From numbers to places in the picture."""

    def __init__(self, low: float, high: float, start: float, end: float, room: float = 0.0) -> None:
        if high - low < 1e-9 * max(1.0, abs(low)):
            low, high = low - 0.5, high + 0.5
        extra = room * (high - low)
        self.low, self.high, self.start, self.end = low - extra, high + extra, start, end

    def place(self, number: float) -> float:
        return self.start + (number - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self) -> list[tuple[float, str]]:
        """Three to six round numbers, with their text."""
        span = self.high - self.low
        power = 10.0 ** math.floor(math.log10(span / 4))
        step = next(m * power for m in (1, 2, 5, 10) if span / (m * power) <= 6)
        digits = max(0, -math.floor(math.log10(step) + 1e-9))
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [(k * step, f"{k * step + 0.0:.{digits}f}".replace("-", "−")) for k in range(first, last + 1)]


def _frame(h: Axis, v: Axis, across: str, up: str) -> list[str]:
    parts = []
    for number, text in v.ticks():
        y = v.place(number)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="end" x="{LEFT - 6}" y="{y + 4:.1f}">{text}</text>')
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(f'<text class="middle" transform="translate(13 {middle}) rotate(-90)">{escape(up)}</text>')
    return [*parts, *_ticks_across(h, HEIGHT - BOTTOM, across)]


def _ticks_across(h: Axis, bottom: float, across: str) -> list[str]:
    parts = [f'<line class="axis" x1="{h.start}" x2="{h.end}" y1="{bottom}" y2="{bottom}"/>']
    for number, text in h.ticks():
        x = h.place(number)
        parts.append(f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{bottom}" y2="{bottom + 4}"/>')
        parts.append(f'<text class="middle" x="{x:.1f}" y="{bottom + 17}">{text}</text>')
    parts.append(f'<text class="middle" x="{(h.start + h.end) / 2:.1f}" y="{bottom + 35}">{escape(across)}</text>')
    return parts


def _cursor(h: Axis, top: float, bottom: float) -> str:
    return (
        f'<line class="cursor" data-low="{h.low:.6g}" data-high="{h.high:.6g}" data-start="{h.start}" '
        f'data-end="{h.end}" x1="{h.end}" x2="{h.end}" y1="{top}" y2="{bottom}"/>'
    )


def _paths(line: Line, h: Axis, v: Axis) -> list[str]:
    """One path for each stretch of points that are drawn."""
    paths, current = [], []
    for x, y in [*zip(line.x, line.y, strict=True), (0.0, None)]:
        if _drawn(y):
            assert y is not None
            current.append(f"{h.place(x):.1f} {v.place(y):.1f}")
        elif current:
            paths.append("M" + "L".join(current if len(current) > 1 else current * 2))
            current = []
    return paths


def _drawn(y: float | None) -> bool:
    return y is not None and math.isfinite(y)


def _runs(signs: Sequence[int]) -> list[tuple[int, int, int]]:
    """(sign, first index, last index) of every stretch with one sign."""
    runs: list[tuple[int, int, int]] = []
    for index, sign in enumerate(signs):
        if runs and runs[-1][0] == sign:
            runs[-1] = (sign, runs[-1][1], index)
        else:
            runs.append((sign, index, index))
    return runs


def _svg(parts: Sequence[str], width: float, height: float, title: str) -> str:
    return f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'


def _legend(entries: Sequence[tuple[str, str]]) -> str:
    items = "".join(
        f'<li><svg class="swatch" viewBox="0 0 24 12" aria-hidden="true">{_swatch(style)}</svg>{name}</li>'
        for style, name in entries
    )
    return f'<ul class="legend">{items}</ul>'


def _swatch(style: str) -> str:
    if style in ("on", "off", "edge"):
        return f'<rect class="{style}" x="2" y="1" width="20" height="10"/>'
    kind = style if style.startswith("level") else f"line {style}"
    return f'<path class="{kind}" d="M1 6H23"/>'
