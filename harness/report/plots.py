"""Figures of an instance, a point and a limit, with matplotlib.

Where the points have at most three coordinates: the data by label, and the neurons of the first layer, as arrows |v| w
(d <= 3), or, where the last coordinate is constant (a bias), as the lines at which they switch.  Of every point:
margins with their multipliers, and the singular values of the layers.  Of a limit that was recorded: the path.
The two colours are told apart by every common form of colour blindness (Okabe & Ito).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from harness.problem.instances import Instance
from harness.problem.limits import Limit
from harness.problem.places import layer_name
from harness.problem.points import Point
from harness.problem.problems import Problem
from harness.report.look import BLUE, GREY, VERMILION

_OTHERS = ("#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_WIDTH, _HEIGHT = 4.2, 3.6


def plot_instance(instance: Instance) -> Figure:
    """The data and the neurons of the start where d <= 3, else the norms of the points."""
    figure, (axes,) = _panels(instance.problem, 1)
    if instance.d <= 3:
        _plane(axes, instance.problem, list(instance.theta0_float))
    else:
        lengths = np.linalg.norm(instance.x_float, axis=1)
        axes.bar(range(instance.n), lengths, color=[_colour(instance.problem, i) for i in range(instance.n)])
        axes.set(title="norms of the points", xlabel="point")
    return figure


def plot_point(point: Point) -> Figure:
    """Data and neurons where d <= 3; margins with multipliers; the spectra of the layers."""
    return _drawn(point, None)


def plot_limit(limit: Limit) -> Figure:
    """That of the point, and the distance to it along the path where it was recorded.

    Raises ValueError for a limit that is not converged.
    """
    if limit.point is None:
        raise ValueError("only a converged limit can be plotted, and this one is not")
    return _drawn(limit.point, limit.path)


def _drawn(point: Point, path: dict[str, np.ndarray] | None) -> Figure:
    flat = point.problem.d <= 3
    figure, axes = _panels(point.problem, 2 + flat + (path is not None), flat)
    if flat:
        _plane(axes[0], point.problem, list(point.theta))
        axes = axes[1:]
    _margins(axes[0], point)
    _spectra(axes[1], point)
    if path is not None:
        _path(axes[2], point, path)
    return figure


def _panels(problem: Problem, count: int, plane: bool = True) -> tuple[Figure, list[Any]]:
    """So many axes side by side; the first in three dimensions where the data have them."""
    figure = Figure(figsize=(_WIDTH * count, _HEIGHT), layout="constrained")
    FigureCanvasAgg(figure)
    solid = plane and problem.d == 3 and not _biased(problem)
    axes = [
        figure.add_subplot(1, count, k + 1, **({"projection": "3d"} if solid and not k else {})) for k in range(count)
    ]
    return figure, axes


def _biased(problem: Problem) -> bool:
    """Whether the last coordinate is 1 on every point: a bias."""
    return problem.d > 1 and all(row[-1] == 1 for row in problem.x)


def _colour(problem: Problem, sample: int) -> str:
    label = problem.y[sample]
    if problem.network.outputs == 1:
        return BLUE if label > 0 else VERMILION
    return (BLUE, VERMILION, *_OTHERS)[label % 6]


def _plane(axes: Any, problem: Problem, theta: list[np.ndarray]) -> None:
    """The data in one, two or three dimensions, and the neurons of the first layer."""
    biased = _biased(problem)
    shown = problem.x_float[:, :-1] if biased else problem.x_float
    if shown.shape[1] == 1:
        shown = np.hstack([shown, np.zeros((len(shown), 1))])
    for i, x in enumerate(shown):
        axes.plot(*([v] for v in x), "o" if problem.y[i] > 0 else "s", color=_colour(problem, i), zorder=3)
    axes.set(title="data and neurons", xlabel="x1", ylabel="x2" if problem.d > 1 else "")
    if problem.network.depth == 1:
        return
    first, second = problem.network.matrices(theta)[:2]
    strength = np.linalg.norm(second, axis=0)
    if biased:
        _switches(axes, shown, first, strength)
        return
    arrows = strength[:, None] * first
    if problem.d == 1:
        arrows = np.hstack([arrows, np.zeros((len(arrows), 1))])
    longest = float(np.linalg.norm(arrows, axis=1).max()) or 1.0
    arrows = arrows * float(np.linalg.norm(shown, axis=1).max()) / longest
    sign = second.sum(axis=0)
    for arrow, side in zip(arrows, sign, strict=True):
        axes.plot(*([0.0, v] for v in arrow), color=BLUE if side > 0 else VERMILION, linewidth=1.2, alpha=0.8)


def _switches(axes: Any, shown: np.ndarray, first: np.ndarray, strength: np.ndarray) -> None:
    """The lines w . x + b = 0; where the data are on a line, the places on it."""
    low, high = shown.min(axis=0), shown.max(axis=0)
    room = 0.1 * np.maximum(high - low, 1e-9)
    wide = 0.3 + 1.5 * strength / (float(strength.max()) or 1.0)
    for row, width in zip(first, wide, strict=True):
        *w, b = row.tolist()
        if len(w) == 1:
            if w[0]:
                axes.axvline(-b / w[0], color=GREY, linewidth=width)
        elif any(w):
            square = w[0] ** 2 + w[1] ** 2
            foot = (-b * w[0] / square, -b * w[1] / square)
            axes.axline(foot, (foot[0] - w[1], foot[1] + w[0]), color=GREY, linewidth=width)
    axes.set_xlim(low[0] - room[0], high[0] + room[0])
    if first.shape[1] == 3:
        axes.set_ylim(low[1] - room[1], high[1] + room[1])


def _margins(axes: Any, point: Point) -> None:
    """The margins in growing order, and the multiplier of each."""
    order = np.argsort(point.margins, kind="stable")
    colours = [_colour(point.problem, point.problem.rows[i][0]) for i in order.tolist()]
    largest = float(point.multipliers.max()) or 1.0
    axes.bar(range(len(order)), point.multipliers[order] / largest, color=GREY, label="multiplier / largest")
    axes.scatter(range(len(order)), point.margins[order], c=colours, s=12, zorder=3)
    axes.axhline(1.0, color=GREY, linewidth=0.8)
    axes.set(title=f"margins and multipliers, residual {point.residual:.1e}", xlabel="margins, smallest first")
    axes.legend(frameon=False, fontsize=8)


def _spectra(axes: Any, point: Point) -> None:
    for layer, matrix in enumerate(point.problem.network.matrices(point.theta)):
        values = np.linalg.svd(matrix, compute_uv=False)
        axes.plot(range(1, len(values) + 1), values, "o-", markersize=3, label=layer_name(layer))
    axes.set(title="singular values of the layers", xlabel="number", ylim=(0.0, None))
    axes.legend(frameon=False, fontsize=8)


def _path(axes: Any, point: Point, path: dict[str, np.ndarray]) -> None:
    flat = point.problem.network.flat(point.theta)
    distance = np.linalg.norm(path["direction"] - flat / np.linalg.norm(flat), axis=1)
    seen = distance > 0.0
    axes.semilogy(path["log_norm"][seen], distance[seen], color=BLUE)
    axes.set(title="the path", xlabel="log of the norm", ylabel="distance of the direction to the limit")
