"""A network as a graph: its nodes by layer, from the inputs to the outputs, and an edge for every weight.

Which places nodes have, and which edges there are; `drawing.py` draws it on paper, and `scene.py` on the site.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.problem.networks import Network
from harness.report.words import short

# With more edges than this their numbers would cover each other.
MAX_NUMBERED = 16


@dataclass(frozen=True)
class Edge:
    """The weight with this index of this layer, both from 0, from a node of one level to a node of the next."""

    layer: int
    parameter: int
    source: int
    target: int


def edges(network: Network) -> list[Edge]:
    """Every weight that is there, layer by layer, row by row."""
    return [
        Edge(layer, k, source, target)
        for layer, pattern in enumerate(network.patterns)
        for target, row in enumerate(pattern)
        for source, k in enumerate(row)
        if k >= 0
    ]


def place(network: Network, level: int, node: int) -> tuple[float, float]:
    """Of a node in the unit square, the first one of its level at the top.  Level 0 are the inputs."""
    return level / network.depth, 1.0 - (node + 0.5) / network.widths[level]


def number_place(network: Network, edge: Edge) -> tuple[float, float]:
    """Where an edge's number stands: in the middle if it is level, else before, since edges cross near the middle."""
    (a, b), (c, d) = ends(network, edge)
    part = 0.5 if b == d else 0.3
    return a + part * (c - a), b + part * (d - b)


def ends(network: Network, edge: Edge) -> tuple[tuple[float, float], tuple[float, float]]:
    """The places of its two nodes."""
    return place(network, edge.layer, edge.source), place(network, edge.layer + 1, edge.target)


def narrowing(network: Network) -> float:
    """What the widest line is multiplied by, so that those of a wide network do not cover each other."""
    return min(1.0, 4.0 / max(network.widths))


def node_text(network: Network, level: int, node: int) -> str:
    """What stands in a node: a coordinate or a neuron by its number, an output by its class, from 0."""
    if level < network.depth:
        return str(node + 1)
    return "Φ" if network.outputs == 1 else str(node)


def level_text(network: Network, level: int) -> str:
    """What a level is called."""
    if level == 0:
        return "inputs"
    if level == network.depth:
        return "output" if network.outputs == 1 else "classes"
    return "neurons" if network.depth == 2 else f"layer {level}"


def edge_text(network: Network, edge: Edge, weight: object) -> str:
    """Its number, with the name of its parameter where that occurs twice in the layer."""
    number = short(weight, 3).replace("-", "−")
    return f"$u_{{{edge.parameter}}}$ = {number}" if network.repeated[edge.layer] else number
