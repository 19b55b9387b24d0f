"""Starting points: generic, with zeros, ties, neurons asleep, or balanced norms.

A start is drawn as plain numbers and one style a hidden neuron; `styled` then applies the styles:

- generic: the numbers as drawn;
- zero: every weight into and out of the neuron is zero, which the flow keeps;
- tied: a copy of the neuron before, with the opposite outgoing weights where the drawn one is negative;
- inactive (relu): a negative input on every point, so that no gradient reaches the neuron: it is asleep.

Layers that are fixed are left as they are, and a neuron beside one is never zero: the flow would not keep that.

Balanced means (incoming norm) = (outgoing norm), what gradient flow without shared weights keeps and what its limits
have, for every neuron whose outgoing weight is drawn as not zero. Rows of rational norm are needed for that, and
`pythagorean` makes one of any row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Literal

from hypothesis import strategies as st

from harness.problem.networks import Activation, Network
from strategies.datasets import Row, dot, nonzero_row
from strategies.numbers import Exact, exact_numbers

Style = Literal["generic", "zero", "tied", "inactive"]
Start = list[list[Exact]]


# Half of them are generic.
_STYLES: tuple[Style, ...] = ("generic", "generic", "generic", "zero", "tied")
STYLES: dict[Activation, tuple[Style, ...]] = {
    "linear": _STYLES,
    "relu": (*_STYLES, "inactive"),
    "leaky_relu": _STYLES,
}


def styles(activation: Activation) -> st.SearchStrategy[Style]:
    """The style of one neuron, half of them generic. Shrinks to generic."""
    return st.sampled_from(STYLES[activation])


@st.composite
def initialisations(
    draw: st.DrawFn,
    network: Network,
    x: Sequence[Row],
    *,
    numbers: st.SearchStrategy[Any] | None = None,
    balanced: bool | None = None,
) -> Start:
    """Starts theta0 of a given network, one list a layer.

    x: the points, which inactive neurons need. numbers: the parameters as drawn, exact numbers unless given.
    balanced: None draws it; it concerns neurons with a single outgoing weight. Shrinks to zeros everywhere.
    """
    parameters = exact_numbers() if numbers is None else numbers
    theta = [
        list(draw(st.tuples(*[parameters] * size)) if fixed is None else fixed)
        for size, fixed in zip(network.sizes, network.fixed, strict=True)
    ]
    style = styles(network.activation)
    chosen = [draw(st.tuples(*[style] * width)) for width in network.widths[1:-1]]
    if balanced is None:
        balanced = draw(st.booleans())
    return styled(network, theta, chosen, x, balanced=balanced)


def styled(
    network: Network,
    theta: Sequence[Sequence[Exact]],
    styles: Sequence[Sequence[Style]],
    x: Sequence[Row],
    *,
    balanced: bool = False,
) -> Start:
    """A copy of theta with a style applied to every hidden neuron.

    styles: one row a hidden layer. Shared parameters into a neuron belong to the others as well and are left as they
    are. Balanced takes exact numbers of few digits: it squares them.
    """
    new = [list(u) for u in theta]
    for layer, row in enumerate(styles):
        own_in, own_out = _own(network, layer), _own(network, layer + 1)
        for neuron, style in enumerate(row):
            incoming = [(k, c) for c, k in enumerate(network.patterns[layer][neuron]) if k in own_in]
            outgoing = [r[neuron] for r in network.patterns[layer + 1] if r[neuron] in own_out]
            if balanced and len(outgoing) == 1 and incoming:
                _balance(new, layer, [k for k, _ in incoming], outgoing[0])
            if style == "zero" and network.trained[layer] and network.trained[layer + 1]:
                for k, _ in incoming:
                    new[layer][k] = 0
                for k in outgoing:
                    new[layer + 1][k] = 0
            elif style == "tied" and neuron:
                _tie(network, new, layer, neuron, [k for k, _ in incoming], outgoing, own_in, own_out)
            elif style == "inactive" and layer == 0 and network.activation == "relu":
                patch = [[p[c] for _, c in incoming] for p in x]
                for (k, _), a in zip(incoming, _inactive([new[0][k] for k, _ in incoming], patch), strict=True):
                    new[0][k] = a
    return new


def pythagorean(row: Sequence[Exact]) -> list[Exact]:
    """A row of rational norm: e_1 mirrored at the line through the given row, as coprime integers.

    (1, 2) becomes (-3, 4). Every direction of rational norm is reached; the zero row becomes e_1.
    """
    r = nonzero_row(row)
    square = dot(r, r)
    image = [2 * r[0] * a for a in r]
    image[0] -= square
    scale = math.lcm(*(Fraction(a).denominator for a in image))
    whole = [int(a * scale) for a in image]
    common = math.gcd(*whole)
    return [a // common for a in whole]


def _own(network: Network, layer: int) -> set[int]:
    """The parameters of a layer that occur once in it; none where it is fixed."""
    if not network.trained[layer]:
        return set()
    indices = [k for row in network.patterns[layer] for k in row if k >= 0]
    return {k for k in indices if indices.count(k) == 1}


def _balance(theta: Start, layer: int, incoming: list[int], outgoing: int) -> None:
    """Give the outgoing weight, whose sign stays, the norm of the incoming ones.

    Where that norm is irrational the incoming row is replaced, in the scale of the drawn outgoing weight. What needs
    no change is left alone, zeros too: so a start looks the same with and without this where it shrinks to.
    """
    v, w = theta[layer + 1][outgoing], [theta[layer][k] for k in incoming]
    if not v:
        return
    norm = _norm(w)
    if norm is None:
        if layer:
            # The row is also what the layer below was balanced with.
            return
        w = [a * abs(v) for a in pythagorean(w)]
        norm = _norm(w)
        assert norm is not None
        for k, a in zip(incoming, w, strict=True):
            theta[layer][k] = a
    theta[layer + 1][outgoing] = -norm if v < 0 else norm


def _norm(row: Sequence[Exact]) -> Exact | None:
    """The Euclidean norm, None where it is irrational."""
    square = Fraction(dot(row, row))
    norm = Fraction(math.isqrt(square.numerator), math.isqrt(square.denominator))
    if norm * norm != square:
        return None
    return int(norm) if norm.denominator == 1 else norm


def _tie(
    network: Network,
    theta: Start,
    layer: int,
    neuron: int,
    incoming: list[int],
    outgoing: list[int],
    own_in: set[int],
    own_out: set[int],
) -> None:
    """Copy the neuron before, if it has as many weights of its own."""
    before_in = [k for k in network.patterns[layer][neuron - 1] if k in own_in]
    before_out = [r[neuron - 1] for r in network.patterns[layer + 1] if r[neuron - 1] in own_out]
    if len(before_in) != len(incoming) or len(before_out) != len(outgoing):
        return
    sign = -1 if outgoing and theta[layer + 1][outgoing[0]] < 0 else 1
    for k, source in zip(incoming, before_in, strict=True):
        theta[layer][k] = theta[layer][source]
    for k, source in zip(outgoing, before_out, strict=True):
        theta[layer + 1][k] = sign * theta[layer + 1][source]


def _inactive(w: list[Exact], patch: Sequence[Sequence[Exact]]) -> list[Exact]:
    """A row with a negative input on every point: w, -w, or minus the points' sum; zeros where none of them is."""
    mean = [-sum(column, start=Fraction(0)) for column in zip(*patch, strict=True)]
    whole: list[Exact] = [int(a) if a.denominator == 1 else a for a in mean]
    for candidate in (w, [-a for a in w], whole):
        if all(dot(candidate, p) < 0 for p in patch):
            return candidate
    return [0] * len(w)
