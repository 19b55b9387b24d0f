"""A limit for a person at a terminal: neuron by neuron, the active points, the cell, and what improves it and how."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.problem.evaluation import evaluate
from harness.problem.networks import Network, preactivations
from harness.problem.places import HiddenNeuron, layer_name
from harness.problem.points import Point
from harness.problem.problems import Problem

if TYPE_CHECKING:
    from harness.oracles import Verdict, Verdicts

Theta = Sequence[Sequence[float]]
# Steps along a curve that are tried, to show how much it gains.
STEPS = [2.0**-k for k in range(12)]
LONG = 12  # characters of a fraction that is shown as it is


def limit_lines(point: Point) -> list[str]:
    """The limit, its gates and its points."""
    problem = point.problem
    # the margins of a point have the same gates
    first = {sample: row for row, (sample, _) in reversed([*enumerate(problem.rows)])}
    signs = [np.asarray(block)[[first[i] for i in range(problem.n)]].tolist() for block in point.signs]
    lines = neuron_table(problem, [u.tolist() for u in point.theta], signs)
    lines += ["", *_points(point)]
    off = float(problem.network.slope)
    shown = [k for k in point.kinks if point.multipliers[k.place.sample] > 0.0 and k.coefficient != off]
    for kink in shown:
        lines.append(
            f"{kink.place.hidden} is on the edge on point {margin_name(problem, kink.place.sample)}: "
            f"Clarke coefficient {short(kink.coefficient)}"
        )
    if problem.network.kinked:
        lines.append(_cells(point, signs))
    return lines


def _points(point: Point) -> list[str]:
    problem = point.problem
    several = problem.network.outputs > 1
    said = ("class", "over") if several else ("label",)
    rows: list[tuple[str, ...]] = [("point", "x", *said, "margin", "multiplier", "")]
    for row, x in enumerate(problem.inputs.tolist()):
        sample, other = problem.place(row)
        margin, weight = float(point.margins[row]), float(point.multipliers[row])
        active = "active" if margin <= 1.0 + 1e-9 else ""
        label = (str(problem.y[sample]), str(other)) if several else (f"{problem.y[sample]:+d}",)
        rows.append((str(sample), vector(x), *label, short(margin), short(weight), active))
    return table(rows)


def margin_name(problem: Problem, row: int) -> str:
    """The point of a margin, and the class that it is over."""
    sample, other = problem.place(row)
    return str(sample) if other is None else f"{sample} over class {other}"


def _cells(point: Point, signs: Sequence[Sequence[Sequence[int]]]) -> str:
    """How many choices of gates are next to the limit."""
    theta = [u.tolist() for u in point.theta]
    kinks, zero = 0, 0
    for layer, block in enumerate(signs):
        for j in range(len(block[0])):
            if _is_idle(point.problem, theta, layer, j):
                zero += 1
            else:
                kinks += sum(row[j] == 0 for row in block)
    if not kinks and not zero:
        return "No input is zero: next to the limit the gates do not change."
    parts = []
    if kinks:
        parts.append(f"{count(kinks, 'kink')} of live neurons, with {2**kinks} choices of gates next to the limit")
    if zero:
        parts.append(f"{count(zero, 'zero neuron')}, which could wake with any gates")
    return "; ".join(parts) + "."


def _is_idle(problem: Problem, theta: Theta, layer: int, neuron: int) -> bool:
    network = problem.network
    incoming, outgoing = network.incoming(layer, neuron), network.outgoing(layer, neuron)
    return not any(theta[layer][k] for k in incoming) or not any(theta[layer + 1][k] for k in outgoing)


def neuron_table(problem: Problem, theta: Theta, signs: Sequence[Sequence[Sequence[int]]] | None = None) -> list[str]:
    """One line a hidden neuron: weights in and out, and its input's sign on every point (+ on, - off, 0).

    signs: by layer, sample and neuron, where rounding hides them in theta.
    """
    network = problem.network
    inputs = [preactivations(network, [list(u) for u in theta], x) for x in problem.x_float.tolist()]
    rows = [("neuron", "incoming weights", "outgoing weights", f"inputs on points 0..{problem.n - 1}")]
    for layer, pattern in enumerate(network.patterns[:-1]):
        for j, row in enumerate(pattern):
            if _is_idle(problem, theta, layer, j):
                marks = "zero"
            elif signs is not None:
                marks = " ".join(_mark(block[j]) for block in signs[layer])
            else:
                marks = " ".join(_mark(sample[layer][j]) for sample in inputs)
            above = [theta[layer + 1][r[j]] if r[j] >= 0 else None for r in network.patterns[layer + 1]]
            own = [theta[layer][k] if k >= 0 else None for k in row]
            name = HiddenNeuron(layer, j).short(network.depth)
            rows.append((name, _weights(own), _weights(above), marks))
    if network.depth == 1:
        weights = [_weights([theta[0][k] if k >= 0 else None for k in row]) for row in network.patterns[0]]
        named = [f"weights of class {k} {row}" for k, row in enumerate(weights)]
        return named if network.outputs > 1 else [f"weights {weights[0]}"]
    return table(rows)


def improvement_lines(point: Point, verdicts: Verdicts) -> list[str]:
    """What is better than the limit, where that is known: nearby, elsewhere, or in one layer."""
    local, everywhere = verdicts.local, verdicts.global_
    if local.status == "not_optimal":
        mechanism = f" ({verdicts.mechanism})" if verdicts.mechanism else ""
        return [f"What improves it nearby{mechanism}:", *_certificate(point, local)]
    if everywhere.status == "not_optimal":
        return ["What is better elsewhere:", *_certificate(point, everywhere)]
    for layer, pair in enumerate(verdicts.layers):
        for verdict, where in ((pair.local, "nearby"), (pair.global_, "elsewhere")) if pair else ():
            if verdict.status == "not_optimal":
                return [f"What improves {layer_name(layer)} alone, {where}:", *_certificate(point, verdict)]
    return []


def _certificate(point: Point, verdict: Verdict) -> list[str]:
    certificate = verdict.certificate
    if certificate is None:
        return [verdict.reason]
    if certificate["kind"] == "curve":
        return _curve(point, certificate)
    assert verdict.bound is not None
    if certificate["kind"] == "descent":
        return _descent(point, verdict, certificate)
    saved = f"{100.0 * (1.0 - verdict.bound / verdict.value):.3g} %"
    near = certificate["scope"] == "local"
    how = "in one closed cell with the limit; the cost falls all the way to it" if near else "with gates of its own"
    lines = [f"a feasible point at {short(verdict.bound)} instead of {short(verdict.value)}, {saved} less, {how}"]
    if isinstance(certificate["better"][0], list):
        better = [floats(u) for u in certificate["better"]]
    else:
        only = certificate["problem"] == "full"
        trained = point.problem.network.trained
        layer = trained.index(True) if only else int(str(certificate["problem"]).split()[1]) - 1
        better = [u.tolist() for u in point.theta]
        better[layer] = floats(certificate["better"])
    return lines + neuron_table(point.problem, better)


def _descent(point: Point, verdict: Verdict, certificate: dict[str, Any]) -> list[str]:
    """The straight way, and its end where that is small enough to be read."""
    assert verdict.bound is not None
    d = [np.array(floats(u)) for u in certificate["d"]]
    network = point.problem.network
    flat, step = network.flat(point.theta), network.flat(d)
    length = float(np.linalg.norm(step) / np.linalg.norm(flat))
    saved = f"{100.0 * (1.0 - verdict.bound / verdict.value):.3g} %"
    lines = [
        f"the straight way theta + s d, |d| = {short(length)} |theta|, along which min q / |theta|^{network.degree} "
        f"grows for small s > 0; at s = 1, scaled to a least margin of 1, the value is {short(verdict.bound)} instead "
        f"of {short(verdict.value)}, {saved} less"
    ]
    moved = network.split(flat + step)
    least = float(evaluate(network, moved, point.problem.inputs).margins(point.problem.seeds).min())
    scaled = network.scaled(moved, least ** (-1.0 / network.degree))
    return lines + neuron_table(point.problem, [u.tolist() for u in scaled]) if is_small(point.problem) else lines


def is_small(problem: Problem) -> bool:
    """Whether every neuron and every point has a line that can be read."""
    return problem.n <= 20 and max(problem.network.widths[:-1]) <= 12


def _curve(point: Point, certificate: dict[str, Any]) -> list[str]:
    """The curve, and the best of some points on it."""
    d = [np.array(floats(u)) for u in certificate["d"]]
    e = [np.array(floats(u)) for u in certificate["e"]] if certificate["e"] else [np.zeros_like(u) for u in d]
    terms = "theta + s d" + (" + s^2 e" if certificate["e"] else "")
    lines = [f"the curve {terms}, along which the margins hold and the norm falls for small s > 0"]
    best = (point.value, 0.0, point.theta)
    problem, network = point.problem, point.problem.network
    for s in STEPS:
        moved = tuple(u + s * a + s * s * b for u, a, b in zip(point.theta, d, e, strict=True))
        q = problem.least_margin([u.tolist() for u in moved])
        if q > 0.0:
            scaled = tuple(network.scaled(moved, q ** (-1.0 / network.degree)))
            value = network.value(scaled)
            if value < best[0]:
                best = value, s, scaled
    for name, layers in (("d", d), ("e", e if certificate["e"] else [])):
        lines += [f"  {name}^{layer} = {vector(u)}" for layer, u in enumerate(layers, start=1)]
    for i, layer, neuron, gate in certificate["gates"]:
        hidden, side = HiddenNeuron.of_numbers(layer, neuron), "on" if gate else "off"
        lines.append(f"  {hidden} is {side} along it on point {problem.place(i)[0]}")
    if best[1]:
        lines.append(f"at s = {short(best[1])}, scaled to a least margin of 1, the value is {short(best[0])}:")
        lines += neuron_table(point.problem, [u.tolist() for u in best[2]])
    return lines


# --- small parts ---


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns aligned, two blanks between them."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def floats(values: Iterable[Any]) -> list[float]:
    """Numbers of a certificate: integers, floats or "p/q"."""
    return [float(Fraction(v)) for v in values]


def vector(values: Iterable[float]) -> str:
    return "(" + ", ".join(map(short, values)) + ")"


def _weights(values: Iterable[float | None]) -> str:
    return "(" + ", ".join("." if v is None else short(v) for v in values) + ")"


def _mark(value: float) -> str:
    return "+" if value > 0 else "-" if value < 0 else "0"


def short(value: float) -> str:
    return f"{value:.6g}"


def count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def slope(network: Network) -> str:
    """The negative slope; one that is a float, and no short fraction, as the float."""
    text = str(network.negative_slope)
    return text if len(text) <= LONG else repr(float(network.slope))
