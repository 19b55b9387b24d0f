"""Whether two instances are the same flow, named differently.

The names that do not matter: the order of points, of coordinates and of the hidden neurons of a layer; the sign of a
coordinate, of all labels at once together with the last layer, and of a hidden neuron of a linear network; and the
scale, x -> c x with theta -> c^(-1/m) theta in the m layers that are trained, which changes no output along the flow.
With several outputs the order of the classes does not matter, and outputs have no sign.

They are the isomorphisms of a graph: whatever has a sign (coordinates, linear neurons, a single output, parameters) is
a pair of nodes, one for either sign, and every number is a node between what it connects.  networkx does the search.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable
from fractions import Fraction
from typing import Any

from harness.problem.instances import Instance

_Node = tuple[Any, ...]


def same(a: Instance, b: Instance) -> bool:
    """Whether one is the other up to names, signs and scale."""
    if a == b:
        return True
    kinds = [(one.network.slope, one.network.trained, one.network.widths, one.loss, one.n) for one in (a, b)]
    if kinds[0] != kinds[1]:
        return False
    # a fifth of a second to load
    import networkx

    one, other = _labels(a), _labels(b)
    if Counter(one[0].values()) != Counter(other[0].values()):
        return False
    graphs = []
    for labels, edges in (one, other):
        graph = networkx.Graph()
        graph.add_nodes_from((node, {"label": label}) for node, label in labels.items())
        graph.add_edges_from(edges)
        graphs.append(graph)
    return bool(networkx.vf2pp_is_isomorphic(*graphs, node_label="label"))


def _labels(instance: Instance) -> tuple[dict[_Node, Hashable], list[tuple[_Node, _Node]]]:
    """The nodes of the graph with their labels, and its edges."""
    network = instance.network
    labels: dict[_Node, Hashable] = {}
    edges: list[tuple[_Node, _Node]] = []
    scale = _content(instance)

    def signs(layer: int) -> tuple[int, ...]:
        if layer == network.depth:
            return (1, -1) if network.outputs == 1 else (1,)
        return (1,) if network.kinked and layer else (1, -1)

    for layer, width in enumerate(network.widths):
        for j in range(width):
            labels |= {("unit", layer, j, s): ("unit", layer) for s in signs(layer)}
            if len(signs(layer)) == 2:
                edges.append((("unit", layer, j, 1), ("unit", layer, j, -1)))

    for i, (point, label) in enumerate(zip(instance.x, instance.y, strict=True)):
        labels[("point", i)] = "point"
        own = (0, label) if network.outputs == 1 else (label, 1)
        edges.append((("point", i), ("unit", network.depth, *own)))
        for c, number in enumerate(point):
            for s in (1, -1) if number else ():
                entry = ("x", i, c, s)
                labels[entry] = ("x", s * number / scale)
                edges += [(entry, ("point", i)), (entry, ("unit", 0, c, s))]

    layers = zip(network.patterns, instance.theta0, network.trained, strict=True)
    for layer, (pattern, u, trained) in enumerate(layers, start=1):
        for k, number in enumerate(u):
            moving = (1 if number > 0 else -1) * abs(number) ** network.degree * scale
            invariant = moving if trained else number
            for s in (1, -1):
                labels[("parameter", layer, k, s)] = ("parameter", layer, s * invariant)
            edges.append((("parameter", layer, k, 1), ("parameter", layer, k, -1)))
        for r, row in enumerate(pattern):
            for c, k in enumerate(row):
                for s in signs(layer - 1) if k >= 0 else ():
                    for t in signs(layer):
                        entry = ("weight", layer, r, c, s, t)
                        labels[entry] = ("weight", layer)
                        edges += [
                            (entry, ("unit", layer - 1, c, s)),
                            (entry, ("unit", layer, r, t)),
                            (entry, ("parameter", layer, k, s * t)),
                        ]
    return labels, edges


def _content(instance: Instance) -> Fraction:
    """The largest number of which every coordinate of every point is a multiple."""
    numbers = [a for point in instance.x for a in point]
    return Fraction(math.gcd(*(a.numerator for a in numbers)), 1) / math.lcm(*(a.denominator for a in numbers))
