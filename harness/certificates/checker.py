"""`check`: one certificate against one instance, in exact arithmetic.

What all certificates share: "problem" is one of problems.py, "scope" is "local" or "global", "theta" is the rounded
limit as exact numbers, "structure" the signs said of it (structures.py).  An accepted certificate proves

    bound, cells   every feasible point of the region (near the points with the structure, or anywhere) costs at least
                   (1 - 1e-9) times what theta costs once it is scaled to min q = 1: theta is optimal up to that gap;
    better         every feasible point with the structure is not optimal (better.py).

For a layer the problem is the one at the other layer of this very theta.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from harness.certificates.answer import Checked
from harness.certificates.balls import check_ball
from harness.certificates.better import Face, face_bound, read_face, require_better
from harness.certificates.bounds import Cases, LowerBound, gated_slope, linear_slope, lower_bound, read_cases, region
from harness.certificates.cells import Entry, joint_bounds, read_entries
from harness.certificates.curves import check_curve
from harness.certificates.descent import check_descent
from harness.certificates.halves import check_classes, check_mirrored
from harness.certificates.layers import check_layer
from harness.certificates.numbers import GAP, Rejected, choice, fields, float_up, least_positive, vector
from harness.certificates.parameters import read_theta
from harness.certificates.problems import NAMES, Block, Name, Theta, block_of, meant, neurons_of, value
from harness.certificates.products import check_cheaper, check_product
from harness.certificates.pulls import check_pulls
from harness.certificates.statements import check_statement
from harness.certificates.structures import Structure, read_structure, settle
from harness.certificates.vertices import check_vertices
from harness.problem.numbers import Vector
from harness.problem.problems import Problem

# Kinds with a file of their own, which have their own fields.
OTHER_KINDS: dict[str, Callable[[Problem, object], Checked]] = {
    "layer tree": check_layer,
    "layer better": check_layer,
    "product bound": check_product,
    "cheaper": check_cheaper,
    "curve": check_curve,
    "descent": check_descent,
    "ball": check_ball,
    "pulls": check_pulls,
    "vertices": check_vertices,
    "classes": check_classes,
    "mirrored": check_mirrored,
    "statement": check_statement,
}

_COMMON = ("kind", "problem", "scope", "theta", "structure")


@dataclass(frozen=True)
class Certificate:
    """A certificate that has been read, not believed.  body is what its kind adds."""

    kind: str
    problem: Name
    scope: str
    theta: Theta
    structure: Structure
    alpha: Vector | None = None
    cases: list[Cases] | None = None
    entries: list[Entry] | None = None
    better: Theta | None = None
    face: Face | None = None


def read_certificate(given: Problem, value: object) -> Certificate:
    """Raises FieldError on a wrong shape, and Rejected where the network is not covered."""
    neurons_of(given)
    kind = fields(value, "certificate", ("kind",), None)["kind"]
    kind = choice(kind, "certificate.kind", ("bound", "cells", "better"))
    own = {"bound": ("alpha",), "cells": ("cells",), "better": ("better", "face")}[kind]
    found = fields(value, "certificate", (*_COMMON, *own), ("neurons",) if kind == "bound" else ())
    width, n = given.network.widths[1], given.n
    common: dict[str, Any] = {
        "kind": kind,
        "problem": meant(given.network, choice(found["problem"], "certificate.problem", NAMES)),
        "scope": choice(found["scope"], "certificate.scope", ("local", "global")),
        "theta": read_theta(found["theta"], "certificate.theta", given.network),
        "structure": read_structure(found["structure"], "certificate.structure", given),
    }
    if kind == "bound":
        alpha = vector(found["alpha"], "certificate.alpha", n)
        cases = read_cases(found.get("neurons"), "certificate.neurons", width, n)
        return Certificate(**common, alpha=alpha, cases=cases)
    if kind == "cells":
        return Certificate(**common, entries=read_entries(found["cells"], "certificate.cells", width, n))
    better = read_theta(found["better"], "certificate.better", given.network)
    return Certificate(**common, better=better, face=read_face(found["face"], "certificate.face", width, n))


def check(given: Problem, certificate: dict[str, Any]) -> Checked:
    """Whether the certificate proves what it says of the instance.

    certificate: the JSON object as Python data.  Raises FieldError, naming the field, where its shape is wrong;
    content that is false is not an error but a rejection.
    """
    shown = math.inf
    try:
        other = OTHER_KINDS.get(str(fields(certificate, "certificate", ("kind",), None)["kind"]))
        if other is not None:
            return other(given, certificate)
        read = read_certificate(given, certificate)
        lowest = least_positive(given.margins(read.theta))
        exact = value(read.theta, lowest, read.problem)
        shown = float_up(exact)
        return _judge(given, read, exact)
    except Rejected as rejection:
        return Checked(False, str(rejection), shown)


def _judge(given: Problem, read: Certificate, limit_value: Fraction) -> Checked:
    neurons, structure, problem = neurons_of(given), read.structure, read.problem
    exact = settle(structure, neurons, read.theta)
    # From here on some feasible point has the structure, so no bound on such points can be infinite.
    if exact is not read.theta and min(given.margins(exact)) <= 0:
        raise Rejected("the point with the structure next to theta has a margin that is not positive")
    blocks = [block_of(given, neuron, read.theta, problem) for neuron in neurons]
    # A neuron with a zero coefficient, or whose vectors are all zero, adds nothing to any margin.
    blocks = [block for block in blocks if block.scale and any(map(any, block.vectors))]
    if read.kind == "better":
        assert read.better is not None
        assert read.face is not None
        alive = [block for block in blocks if not structure.dead(block.neuron)]
        floor = face_bound(given, problem, alive, structure, read.face)
        cheaper = require_better(given, problem, read.scope, neurons, structure, read.theta, read.better, floor)
        above = float_up(cheaper)
        below = floor.as_float()
        return Checked(
            True,
            f"a feasible point costs {above:.9g}, every feasible point with the structure at least {below:.9g}",
            float_up(limit_value),
            above,
            max(0.0, 1.0 - above / below),
        )
    bound = _bound(given, read, blocks) if read.kind == "bound" else _cells(given, read, blocks)
    below, above = bound.as_float(), float_up(limit_value)
    if not bound.at_least((1 - GAP) * limit_value):
        raise Rejected(f"the bound is {below:.12g}, less than (1 - 1e-9) times the value {above:.12g}")
    # The value is positive: theta has a positive margin.
    gap = max(0.0, float_up(1 - Fraction(below) / limit_value))
    where = "of the region" if read.scope == "local" else "at all"
    reason = f"no feasible point {where} costs less than {below:.12g}, which is within {gap:.1e} of the value"
    return Checked(True, reason, above, below, gap)


def _bound(given: Problem, read: Certificate, blocks: list[Block]) -> LowerBound:
    """The one bound of a certificate of kind "bound"."""
    assert read.alpha is not None
    ay = [a * label for a, label in zip(read.alpha, given.y, strict=True)]
    slopes: list[Fraction] = []
    for block in blocks:
        if not block.gated:
            slopes.append(linear_slope(block, [a * block.scale for a in ay]))
            continue
        if read.cases is None:
            raise Rejected('the gates are free to choose, and "neurons" gives no cases')
        where = region(block, read.structure, read.problem, read.scope)
        slopes.append(gated_slope(block, where, ay, read.cases[block.neuron.index]))
    return lower_bound(read.problem, read.alpha, slopes)


def _cells(given: Problem, read: Certificate, blocks: list[Block]) -> LowerBound:
    """The least bound of a certificate of kind "cells"."""
    assert read.entries is not None
    if not all(block.gated for block in blocks):
        raise Rejected('there are no cells where there are no gates: use kind "bound"')
    regions = [region(block, read.structure, read.problem, read.scope) for block in blocks]
    bounds = joint_bounds(read.problem, blocks, regions, given.y, read.entries)
    # A cell without feasible points bounds nothing; the cells that theta's own structure is in have some.
    return min((bound for bound in bounds if not bound.infinite), key=lambda bound: bound.measure)
