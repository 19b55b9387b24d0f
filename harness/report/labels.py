"""Where labels go in a picture: beside what they name, and clear of everything else.

All in points of the page, x to the right and y up.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

Point = tuple[float, float]

# Half of the height of a line of text, and of the width of a character.
_HEIGHT, _CHARACTER = 6.0, 3.1
_ENOUGH = 1.25


def around(point: Point, text: str, radius: float) -> list[Point]:
    """Centres for a label beside a point, outward from the origin first."""
    outward = math.atan2(point[1], point[0])
    turns = (0.0, 0.25, -0.25, 0.5, -0.5, 0.75, -0.75, 1.0)
    return [_beside(point, outward + turn * math.pi, text, radius) for turn in turns]


def along(tip: Point, text: str, gap: float) -> list[Point]:
    """Centres for a label of the arrow from the origin to tip: on both sides of the shaft, and beyond the tip."""
    direction = math.atan2(tip[1], tip[0])
    places = [
        _beside((part * tip[0], part * tip[1]), direction + side * math.pi / 2, text, gap)
        for part in (0.6, 0.8, 0.4, 1.0)
        for side in (1, -1)
    ]
    return [*places, _beside(tip, direction, text, gap)]


def clearest(places: Sequence[Point], text: str, obstacles: Iterable[Point], window: tuple[float, float]) -> Point:
    """The first place that is far enough from every obstacle, else the one that is farthest.

    window: half of the width and of the height of the picture around the origin of the points given here.
    """
    width = _width(text)
    taken = list(obstacles)

    def room(place: Point) -> float:
        edges = (window[0] - abs(place[0])) / width, (window[1] - abs(place[1])) / _HEIGHT
        # As far as the box of the text is concerned, a step sideways counts for less than a step up.
        apart = (max(abs(place[0] - x) / width, abs(place[1] - y) / _HEIGHT) for x, y in taken)
        return min(_ENOUGH, *edges, *apart) if taken else min(_ENOUGH, *edges)

    return max(places, key=room)


def segment(tip: Point, step: float = 4.0) -> list[Point]:
    """Points along the arrow from the origin to tip."""
    count = max(1, round(math.hypot(*tip) / step))
    return [(k / count * tip[0], k / count * tip[1]) for k in range(count + 1)]


def box(place: Point, text: str) -> list[Point]:
    """Points all over a label's box."""
    width = _width(text)
    return [(place[0] + a * width, place[1] + b * _HEIGHT) for a in (-1.0, -0.5, 0.0, 0.5, 1.0) for b in (-1.0, 1.0)]


def _beside(point: Point, angle: float, text: str, gap: float) -> Point:
    """The centre of a label whose box is this far from the point in this direction."""
    x, y = math.cos(angle), math.sin(angle)
    return point[0] + x * (gap + _width(text)), point[1] + y * (gap + _HEIGHT)


def _width(text: str) -> float:
    """Half of the width; marks of mathematics are not drawn."""
    return _CHARACTER * max(2, len([c for c in text if c not in "$_{}"]))
