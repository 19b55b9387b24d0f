"""That a certificate which denies a claim for theta denies it for the limit itself, once that is proven to be near.

"better" speaks of every feasible point with its structure, wherever; "curve" of every feasible point within 1e-9
|theta| that has the signs and the zeros of theta (curves.py checks that the other margins are above 1 there); "cheaper"
and "statement" of every point within 1e-9 |theta|.  The limit is feasible, its least margin being 1, and that near.  So
it is enough that it has the signs and the zeros, exactly.

A certificate about one layer has the others as they are in theta, while those of the limit are only near.  So it is
checked again, with each of their numbers anywhere within the radius: the better row of the layer, made longer by a
millionth, is feasible (and, for "local", in the closed cell of the limit's signs, where the layer's problem is convex),
and it costs less than the limit's own row can.  Intervals [low, high] are carried through the network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from harness.certificates.flow_start import End
from harness.certificates.numbers import Rejected, vector
from harness.certificates.parameters import read_theta
from harness.certificates.problems import neurons_of
from harness.certificates.signs import Signs, Theta, read_signs
from harness.certificates.structures import read_structure
from harness.problem.numbers import Vector, squared_norm
from harness.problem.places import layer_of
from harness.problem.problems import Problem

LONGER = 1 + Fraction(1, 10**6)
Interval = tuple[Fraction, Fraction]


def require_limit(given: Problem, theta: Theta, certificate: Mapping[str, Any], end: End) -> None:
    """Whether an accepted certificate about theta speaks of the limit that is proven, too.  Raises Rejected."""
    if certificate["kind"] == "better":
        signs = _require_structure(given, theta, certificate, end)
    else:
        signs = read_signs(certificate["signs"], "certificate.signs", given) if "signs" in certificate else end.signs
        if signs != end.signs:
            raise Rejected("the limit that is proven has other signs")
    zeros = {
        (layer, k) for layer, u in enumerate(theta) if given.network.trained[layer] for k, a in enumerate(u) if not a
    }
    if certificate["kind"] == "curve" and not zeros <= end.zeros:
        raise Rejected("a weight is zero in theta, and not shown to be zero in the limit")
    if certificate["problem"] != "full":
        _require_layer(given, theta, certificate, signs, end.radius)


def _require_structure(given: Problem, theta: Theta, certificate: Mapping[str, Any], end: End) -> Signs | None:
    structure = read_structure(certificate["structure"], "certificate.structure", given)
    signs = None if structure.gates is None else (structure.gates,)
    neurons = neurons_of(given)
    looked_at = [[row[n.index] for n in neurons] for row in structure.gates or ()]
    if signs is not None and looked_at != [[row[n.index] for n in neurons] for row in (end.signs or ((),))[0]]:
        raise Rejected("the limit that is proven has other gates")
    for neuron in neurons:
        own = {(0, k) for k in neuron.incoming} | {(1, neuron.outgoing)}
        trained = {place for place in own if given.network.trained[place[0]]}
        if structure.dead(neuron):
            if not trained <= end.zeros:
                raise Rejected(f"{neuron.name} is not shown to be zero in the limit")
        elif given.network.trained[1] and abs(neuron.v(theta)) <= end.radius:
            raise Rejected(f"{neuron.name} is not shown to be nonzero in the limit")
    return end.signs


def _require_layer(
    given: Problem, theta: Theta, certificate: Mapping[str, Any], signs: Signs | None, radius: Fraction
) -> None:
    network = given.network
    layer = layer_of(str(certificate["problem"]))
    if certificate["kind"] == "better":
        row = read_theta(certificate["better"], "certificate.better", network)[layer]
    else:
        row = vector(certificate["better"], "certificate.better", network.sizes[layer])
    row = tuple(LONGER * a for a in row)
    own = squared_norm(theta[layer])
    # (|u| - radius)^2 >= |u|^2 - 2 radius |u|, and |u| <= (1 + |u|^2) / 2.
    if squared_norm(row) >= own - radius * (1 + own):
        raise Rejected("the better row of the layer is not shown to cost less than the limit's own")
    rows = [
        [(a, a) for a in (row if at == layer else u)]
        if at == layer or not network.trained[at]
        else [(a - radius, a + radius) for a in u]
        for at, u in enumerate(theta)
    ]
    gates = signs if certificate["scope"] == "local" else None
    for i, (sample, seed) in enumerate(given.rows):
        inputs = _forward(given, rows, given.x[sample])
        margin = inner_product([(Fraction(s), Fraction(s)) for s in seed], inputs[-1])
        if margin[0] < 1:
            raise Rejected(f"the better row of the layer is not shown to be feasible for the limit on sample {sample}")
        for at, block in enumerate(gates or ()):
            for sign, (low, high) in zip(block[i], inputs[at] if at >= layer else (), strict=False):
                if (sign > 0 and low < 0) or (sign < 0 and high > 0):
                    raise Rejected(f"the better row of the layer may leave the limit's cell on sample {sample}")


def _forward(given: Problem, rows: Sequence[Sequence[Interval]], x: Vector) -> list[list[Interval]]:
    """Bounds on the pre-activations of every layer."""
    network = given.network
    h: list[Interval] = [(a, a) for a in x]
    found: list[list[Interval]] = []
    for layer, pattern in enumerate(network.patterns):
        if layer and network.kinked:
            h = [activated(a, network.slope) for a in h]
        h = [
            inner_product([rows[layer][k] for k in line if k >= 0], [a for k, a in zip(line, h, strict=True) if k >= 0])
            for line in pattern
        ]
        found.append(h)
    return found


def activated(a: Interval, slope: Fraction) -> Interval:
    """What an activation makes of the numbers between two bounds."""
    ends = [b if b > 0 else slope * b for b in a]
    if a[0] < 0 < a[1]:
        ends.append(Fraction(0))
    return min(ends), max(ends)


def inner_product(a: Sequence[Interval], b: Sequence[Interval]) -> Interval:
    """Bounds on a sum of products."""
    low = high = Fraction(0)
    for p, q in zip(a, b, strict=True):
        ends = [s * t for s in p for t in q]
        low, high = low + min(ends), high + max(ends)
    return low, high
