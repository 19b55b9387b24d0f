"""Hand-made certificates of kind "bound" and "cells", false structures and other forgeries, for the checker's tests."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

from harness.problem.instances import Instance
from harness.problem.networks import Network, fully_connected, sparse

Certificate = dict[str, Any]


def instance_of(network: Network, x: list[list[Any]], y: list[int]) -> Instance:
    """The start plays no part in a certificate."""
    points = [[Fraction(a) for a in row] for row in x]
    return Instance.of(network, "exponential", points, y, [[0] * size for size in network.sizes])


def with_false_structure(certificate: Certificate) -> Iterator[Certificate]:
    """Every copy in which one sign or gate is another one than theta's."""
    structure = certificate["structure"]
    for row in [structure["outgoing"], *(structure["gates"] or [])]:
        for j, true in enumerate(row):
            for forged in {-1, 0, 1} - {true}:
                # A deep copy of both keeps the row a part of the certificate.
                copied: dict[str, Any] = copy.deepcopy({"certificate": certificate, "row": row})
                copied["row"][j] = forged
                yield copied["certificate"]


def changed(value: Any, path: Sequence[Any], new: Any) -> Any:
    """A copy of JSON data with another value at the path."""
    out = copy.deepcopy(value)
    place = out
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = new
    return out


def case(on: list[int] = [], **c: str) -> dict[str, Any]:  # noqa: B006 - never changed
    return {"on": on, "c": {key.removeprefix("s"): value for key, value in c.items()}}


# Both neurons along (0, 1): cost 4, a local optimum and not a global one (docs/statements.md, section 6).
TWO_POINTS = instance_of(fully_connected("relu", [2, 2]), [[1, "1/4"], [-1, "1/4"]], [1, 1])
ACTIVE: Certificate = {
    "kind": "bound",
    "problem": "full",
    "scope": "local",
    "theta": [["0", "6/5", "0", "8/5"], ["6/5", "8/5"]],
    "structure": {"outgoing": [1, 1], "gates": [[1, 1], [1, 1]]},
    "alpha": [2, 2],
    "neurons": [[{"sign": 1, "cases": [case()]}], [{"sign": 1, "cases": [case()]}]],
}

# One neuron a label; each has a kink on the other's point, where tilting only costs.
OPPOSITE = instance_of(fully_connected("relu", [2, 2]), [[1, 0], [0, 1]], [1, -1])
KINKS: Certificate = {
    "kind": "bound",
    "problem": "full",
    "scope": "local",
    "theta": [[1, 0, 0, 1], [1, -1]],
    "structure": {"outgoing": [1, -1], "gates": [[1, 0], [0, 1]]},
    "alpha": [1, 1],
    "neurons": [[{"sign": 1, "cases": [case(s1="0")]}], [{"sign": -1, "cases": [case(s0="0")]}]],
}
KINK_CELLS: Certificate = {
    **{key: KINKS[key] for key in ("problem", "scope", "theta", "structure")},
    "kind": "cells",
    "cells": [
        {
            "alpha": [1, 1],
            "neurons": [
                {"sign": 1, "on": [0, 1] if first else [0], "nu": {"1": 1} if first else [0, 0]},
                {"sign": -1, "on": [0, 1] if second else [1], "nu": {"0": "1"} if second else {}},
            ],
        }
        for first in (0, 1)
        for second in (0, 1)
    ],
}

# Neuron 1 is pressed against the kink from both sides: it sees coordinates 1 and 2, neuron 2 the third one only.
SPLIT = instance_of(sparse("relu", [[[1, 1, 0], [0, 0, 1]], [[1, 1]]]), [["5/4", 0, 0], [3, 4, 1]], [1, -1])
PRESSED: Certificate = {
    "kind": "bound",
    "problem": "full",
    "scope": "local",
    "theta": [["4/5", "-3/5", 1], [1, -1]],
    "structure": {"outgoing": [1, -1], "gates": [[1, 0], [0, 1]]},
    "alpha": [1, 1],
    "neurons": [[{"sign": 1, "cases": [case(s1="3/20")]}], [{"sign": -1, "cases": [case()]}]],
}
PRESSED_CELLS: Certificate = {
    **{key: PRESSED[key] for key in ("problem", "scope", "theta", "structure")},
    "kind": "cells",
    "cells": [
        {"alpha": [1, 1], "neurons": [{"sign": 1, "on": [0, 1], "nu": [0, "17/20"]}, {"sign": -1, "on": [1]}]},
        {"alpha": [1, 1], "neurons": [{"sign": 1, "on": [0], "nu": [0, "3/20"]}, {"sign": -1, "on": [0, 1]}]},
    ],
}

# Each neuron is off on the other's point.
APART = instance_of(fully_connected("relu", [2, 2]), [[1, 0], ["-3/5", "4/5"]], [1, 1])
OFF: Certificate = {
    **ACTIVE,
    "theta": [[1, 0, "-3/5", "4/5"], [1, 1]],
    "structure": {"outgoing": [1, 1], "gates": [[1, -1], [-1, 1]]},
    "alpha": [1, 1],
}

# A dead neuron that nothing would wake, beside one that does all; optimal in every problem and scope.
SINGLE = instance_of(fully_connected("relu", [2, 2]), [["3/5", "4/5"]], [1])
DEAD: Certificate = {
    "kind": "bound",
    "problem": "full",
    "scope": "local",
    "theta": [["3/5", "4/5", 0, 0], [1, 0]],
    "structure": {"outgoing": [1, 0], "gates": [[1, 0]]},
    "alpha": [1],
    "neurons": [
        [{"sign": 1, "cases": [case()]}],
        [{"sign": 1, "cases": [case(), case([0])]}, {"sign": -1, "cases": [case()]}],
    ],
}
EVERY_SIGN = DEAD["neurons"][1]
DEAD_GLOBAL: Certificate = {**DEAD, "scope": "global", "neurons": [EVERY_SIGN, EVERY_SIGN]}
# The two neurons are interchangeable from afar, so 10 of the 16 pairs of cells are all there are.
_CELLS = [{"sign": s, "on": on} for s in (1, -1) for on in ([], [0])]
DEAD_CELLS: Certificate = {
    **{key: DEAD[key] for key in ("problem", "theta", "structure")},
    "kind": "cells",
    "scope": "global",
    "cells": [
        # Without a neuron that is on with sign 1 the cell has no feasible point: nu shows it, or alpha = 1 does.
        {"alpha": [1], "neurons": [a, b]}
        for i, a in enumerate(_CELLS)
        for b in _CELLS[i:]
    ],
}
DEAD_FIRST_LAYER: Certificate = {
    **DEAD,
    "problem": "layer 1",
    "neurons": [[{"sign": 1, "cases": [case()]}], None],
}
DEAD_SECOND_LAYER: Certificate = {**DEAD, "problem": "layer 2"}
del DEAD_SECOND_LAYER["neurons"]

LINEAR_POINTS = instance_of(fully_connected("linear", [2, 2]), [["3/5", "4/5"], [-3, -4]], [1, -1])
LINEAR: Certificate = {
    "kind": "bound",
    "problem": "full",
    "scope": "global",
    "theta": [["9/25", "12/25", "12/25", "16/25"], ["3/5", "4/5"]],
    "structure": {"outgoing": [1, 1], "gates": None},
    "alpha": [1, 0],
}

EXAMPLES: dict[str, tuple[Instance, Certificate, float]] = {
    "active": (TWO_POINTS, ACTIVE, 4.0),
    "active, layer 1": (TWO_POINTS, {**ACTIVE, "problem": "layer 1"}, 2.0),
    "active, layer 2": (TWO_POINTS, {**ACTIVE, "problem": "layer 2", "neurons": None}, 2.0),
    "kinks": (OPPOSITE, KINKS, 2.0),
    "kinks, layer 1": (OPPOSITE, {**KINKS, "problem": "layer 1"}, 1.0),
    "kinks, layer 2": (OPPOSITE, {**KINKS, "problem": "layer 2", "neurons": None}, 1.0),
    "kinks, cells": (OPPOSITE, KINK_CELLS, 2.0),
    "kinks, cells of layer 1": (OPPOSITE, {**KINK_CELLS, "problem": "layer 1"}, 1.0),
    "pressed": (SPLIT, PRESSED, 2.0),
    "pressed, layer 1": (SPLIT, {**PRESSED, "problem": "layer 1"}, 1.0),
    "pressed, cells": (SPLIT, PRESSED_CELLS, 2.0),
    "off": (APART, OFF, 2.0),
    "off, layer 1": (APART, {**OFF, "problem": "layer 1"}, 1.0),
    "off, layer 2": (APART, {**OFF, "problem": "layer 2", "neurons": None}, 1.0),
    "dead": (SINGLE, DEAD, 1.0),
    "dead, global": (SINGLE, DEAD_GLOBAL, 1.0),
    "dead, global cells": (SINGLE, DEAD_CELLS, 1.0),
    "dead, layer 1": (SINGLE, DEAD_FIRST_LAYER, 0.5),
    "dead, layer 2": (SINGLE, DEAD_SECOND_LAYER, 0.5),
    "linear": (LINEAR_POINTS, LINEAR, 1.0),
    "linear, layer 1": (LINEAR_POINTS, {**LINEAR, "problem": "layer 1"}, 0.5),
    "linear, layer 2": (LINEAR_POINTS, {**LINEAR, "problem": "layer 2"}, 0.5),
}
