"""Whether a certificate can show the mechanism that is said of it: what has to move for the better points nearby.

    saddle        no neuron or weight that is zero in the limit moves; never of kind "better", since at depth 2
                  without shared weights the problem within the limit's own gates and zeros is convex
    kink          the same, and a gate of a kink is chosen
    zero weight   weights that are zero move (linear networks)
    dead neuron   a neuron that is zero moves, from weights in and out that are trained (networks with kinks)
    layer         the problem of one layer
    global gap    a better point anywhere

or the name of a statement about the limit that is false (statements.py).

That no simpler mechanism would do is not proven.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.certificates.numbers import Rejected, rows
from harness.certificates.signs import Theta
from harness.certificates.statements import STATEMENTS
from harness.problem.problems import Problem

MECHANISMS = ("saddle", "kink", "zero weight", "dead neuron", "layer", "global gap", *STATEMENTS)


def require_mechanism(mechanism: str, given: Problem, theta: Theta, certificate: Mapping[str, Any]) -> None:
    """certificate: accepted, for theta.  Raises Rejected."""
    kind, problem, scope = (certificate[key] for key in ("kind", "problem", "scope"))
    if (kind == "statement" or mechanism in STATEMENTS) and certificate.get("says") != mechanism:
        raise Rejected(f"{mechanism} is not what the certificate denies")
    if kind == "statement":
        return
    fits = "layer" if problem != "full" else "global gap" if scope == "global" else None
    if mechanism != fits if fits else mechanism in ("layer", "global gap"):
        raise Rejected(f"{mechanism} is not the mechanism of a {scope} certificate of the {problem} problem")
    if fits:
        return
    if mechanism == "saddle" and kind == "better":
        raise Rejected("no limit of depth 2 without shared weights is a saddle within its own gates and zeros")
    linear = not given.network.kinked
    expected = {"zero weight": linear, "dead neuron": not linear, "kink": not linear}
    if not expected.get(mechanism, True):
        raise Rejected(f"{mechanism} is not a mechanism of {given.network.activation} networks")
    if kind == "layer better":
        # The one layer that is trained: convex within the gates, and no neuron has trained weights on both sides.
        if mechanism != "kink":
            raise Rejected(f"{mechanism} is not the mechanism of a network with one trained layer")
        return
    sizes = given.network.sizes
    if kind == "better":
        moved = [rows(certificate["better"], "certificate.better", sizes)]
    else:
        moved = [rows(certificate[key], f"certificate.{key}", sizes) for key in ("d", "e") if certificate[key]]
    zeros = _zero_weights(given, theta) if linear else _dead_weights(given, theta)
    woken = any(point[layer][k] for point in moved for layer, k in zeros)
    if mechanism in ("zero weight", "dead neuron") and not woken:
        raise Rejected(f"the mechanism is {mechanism}, and no zero neuron is woken")
    if mechanism in ("saddle", "kink") and woken:
        raise Rejected(f"the mechanism is {mechanism}, and a zero neuron is woken")
    if mechanism == "kink" and kind == "curve" and not certificate["gates"]:
        raise Rejected("the mechanism is kink, and the curve chooses no gates")


def _zero_weights(given: Problem, theta: Theta) -> set[tuple[int, int]]:
    """The trained parameters that are zero."""
    trained = given.network.trained
    return {(layer, k) for layer, u in enumerate(theta) if trained[layer] for k, value in enumerate(u) if not value}


def _dead_weights(given: Problem, theta: Theta) -> set[tuple[int, int]]:
    """Zero weights into and out of neurons with no nonzero weight on one of the two sides.

    Where a neuron that is off passes something on, it takes zeros on both sides.
    """
    network = given.network
    found: set[tuple[int, int]] = set()
    for layer, width in enumerate(network.widths[1:-1]):
        if not all(network.trained[layer : layer + 2]):
            continue
        for j in range(width):
            incoming = {(layer, k) for k in network.incoming(layer, j)}
            outgoing = {(layer + 1, k) for k in network.outgoing(layer, j)}
            live = [any(theta[at][k] for at, k in side) for side in (incoming, outgoing)]
            if not (any(live) if network.slope else all(live)):
                found |= incoming | outgoing
    return found & _zero_weights(given, theta)
