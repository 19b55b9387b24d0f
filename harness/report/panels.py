"""The panels of a page of the site: the picture that moves, and charts of the flow against log-norm."""

from __future__ import annotations

from typing import Any

import numpy as np
from markupsafe import Markup

from harness.problem.places import HiddenNeuron, Place, neuron_name
from harness.records.record import Record
from harness.report.charts import COLOURS, Level, Line, chart, strips
from harness.report.film import Film, angles, inputs
from harness.report.improving import scaled_value, way
from harness.report.markdown import typeset
from harness.report.mechanism import live_kinks
from harness.report.scene import scene, subscript

_CLOCK = "log ‖θ‖"
# More strips than this would be a wall.
MAX_STRIPS = 24


def panels(record: Record, moving: Film) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Title, picture and caption of each, as markup, and the numbers of the frames of the picture that moves."""
    picture, numbers, caption = scene(record, moving)
    shown = [
        _panel("The neurons" if record.apart else "The network", picture, caption),
        _directions(record, moving),
        _margins(record, moving),
        *_gates(record, moving),
        *_kinks(record, moving),
        *([] if record.stated else [_gain(record)]),
    ]
    return shown, numbers


def _panel(heading: str, picture: str, caption: str) -> dict[str, Any]:
    return {"title": Markup(typeset(heading)), "picture": Markup(picture), "caption": Markup(typeset(caption))}


def _directions(record: Record, moving: Film) -> dict[str, Any]:
    clock = moving.log_norm.tolist()
    if record.apart and record.instance.d == 2 and record.instance.network.fully_connected:
        found = angles(record, moving.direction).T
        lines = [
            Line(neuron_name(j), clock, angle.tolist(), j % COLOURS)
            for j, angle in enumerate(found)
            if not np.isnan(angle).all()
        ]
        picture = chart(lines, across=_CLOCK, up="angle of w in degrees", cursor=True)
        nowhere = " A neuron with w_j = 0 points nowhere." if len(lines) < len(found) else ""
        return _panel("Where each neuron points", picture, f"The angle of w_j from the first axis.{nowhere}")
    network = record.instance.network
    names = [(layer, k) for layer, size in enumerate(network.sizes) if network.trained[layer] for k in range(size)]
    lines = [
        Line(
            f"<i>u</i><sup>{layer + 1}</sup><sub>{k}</sub>",
            clock,
            moving.direction[:, number].tolist(),
            number % COLOURS,
            number // COLOURS % 2 == 1,
        )
        for number, (layer, k) in enumerate(names)
    ]
    picture = chart(lines, across=_CLOCK, up="weight of θ / ‖θ‖", cursor=True)
    return _panel("Every weight", picture, "The weights of theta / ||theta||: u^l are the parameters of layer l.")


def _margins(record: Record, moving: Film) -> dict[str, Any]:
    clock = moving.log_norm.tolist()
    problem = record.instance.problem
    lines = []
    for row, (sample, other) in enumerate(map(problem.place, range(len(problem.rows)))):
        name = f"<i>x</i><sub>{sample}</sub>" + ("" if other is None else f" over {other}")
        lines.append(Line(name, clock, moving.margins[:, row].tolist(), row % COLOURS, row % 2 == 1))
    reached, possible = (_normalised(record, theta) for theta in (record.limit, record.better))
    levels = [Level("in the limit", reached, "limit")]
    better = record.layer is None and not record.stated
    if better:
        levels.append(Level("at the better point", possible, "dotted"))
    picture = chart(lines, across=_CLOCK, up="margin at norm 1", levels=levels, cursor=True)
    rises = " The flow tends to less than what the better point has." if better else ""
    if record.instance.network.outputs > 1:
        said = "Phi_(y_i) - Phi_k of theta / ||theta||, one line a point and other class."
    else:
        said = "y_i Phi(theta; x_i) of theta / ||theta||, one line a point."
    return _panel("Margins", picture, f"{said}{rises}")


def _normalised(record: Record, theta: Any) -> float:
    """min q_i / |theta|^m."""
    found = scaled_value(record, tuple(tuple(float(a) for a in u) for u in theta)) if record.layer is None else None
    if found is not None:
        return (2.0 * found) ** (-0.5 * record.instance.network.degree)
    norm = (2.0 * float(record.value(theta))) ** 0.5
    return float(min(record.instance.problem.margins(theta))) / norm**record.instance.network.degree


def _gates(record: Record, moving: Film) -> list[dict[str, Any]]:
    hidden, n = moving.gates.shape[1:]
    if not hidden:
        return []
    network = record.instance.network
    names = [
        HiddenNeuron(layer, j).short(network.depth)
        for layer, width in enumerate(network.widths[1:-1])
        for j in range(width)
    ]
    rows = [
        (f"neuron {names[j]}, {subscript('x', i)}", moving.gates[:, j, i].astype(int).tolist())
        for j in range(hidden)
        for i in range(n)
    ][:MAX_STRIPS]
    left_out = f" The first {MAX_STRIPS} of {hidden * n} are shown." if hidden * n > MAX_STRIPS else ""
    numbered = " Neurons are numbered layer by layer." if network.depth > 2 else ""
    picture = strips(rows, moving.log_norm.tolist(), across=_CLOCK, up="gates")
    caption = f"Which neuron acts on which point: its input there is positive.{numbered}{left_out}"
    return [_panel("Gates", picture, caption)]


def _kinks(record: Record, moving: Film) -> list[dict[str, Any]]:
    """The inputs that tend to zero."""
    found, problem = live_kinks(record), record.instance.problem
    if not found:
        return []
    places = [Place(problem.place(sample)[0], layer, neuron) for sample, layer, neuron in (k.place for k in found)]
    places = list(dict.fromkeys(places))
    lines = [
        Line(
            f"neuron {place.hidden.short(record.instance.network.depth)} on <i>x</i><sub>{place.sample}</sub>",
            moving.log_norm.tolist(),
            column.tolist(),
            number % COLOURS,
            # inputs that mirror each other are one line
            number % 2 == 1,
        )
        for number, (place, column) in enumerate(zip(places, inputs(record, moving.direction, places).T, strict=True))
    ]
    picture = chart(lines, across=_CLOCK, up="input at norm 1", levels=[Level("zero", 0.0, "dotted")], cursor=True)
    caption = (
        "The inputs of neurons that are zero in the limit, of theta / ||theta||: each tends to zero, or stays there."
    )
    return [_panel("Inputs that tend to zero", picture, caption)]


def _gain(record: Record) -> dict[str, Any]:
    found = way(record)
    start = found.values[0]
    assert start is not None
    change = [None if a is None else 100.0 * (a / start - 1.0) for a in found.values]
    picture = chart(
        [Line("along the way", found.distance, change, 2)],
        across="distance from the limit, relative",
        up="change, in %",
        levels=[Level("the limit", 0.0, "limit")],
    )
    caption = (
        f"The {record.minimised}, from the limit to the better point: {found.said}; each point scaled to be feasible, "
        "as the better point is."
    )
    return _panel("What leaving the limit gains", picture, caption)
