"""Whether two instances are the same flow, named differently.

The names that do not matter: the order of points, of coordinates and of the hidden neurons of a layer; the sign of a
coordinate, of all labels at once together with the last layer, and of a hidden neuron of a linear network; and the
scale, x -> c x with theta -> c^(-1/m) theta in the m layers that are trained, which changes no output along the flow.
With several outputs the order of the classes does not matter, and outputs have no sign.

They are the isomorphisms of a graph: whatever has a sign (coordinates, linear neurons, a single output, parameters) is
a pair of nodes, one for either sign, and every number is a node between what it connects.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable
from fractions import Fraction
from typing import Any

from harness.problem.instances import Instance

_Node = tuple[Any, ...]
_Graph = dict[_Node, set[_Node]]


def same(a: Instance, b: Instance) -> bool:
    """Whether one is the other up to names, signs and scale."""
    if a == b:
        return True
    kinds = [(one.network.slope, one.network.trained, one.network.widths, one.loss, one.n) for one in (a, b)]
    if kinds[0] != kinds[1]:
        return False
    one, other = _labels(a), _labels(b)
    return _isomorphic([_graph(*one), _graph(*other)], [dict(one[0]), dict(other[0])])


def _graph(labels: dict[_Node, Hashable], edges: list[tuple[_Node, _Node]]) -> _Graph:
    """The neighbours of every node."""
    graph: _Graph = {node: set() for node in labels}
    for v, w in edges:
        graph[v].add(w)
        graph[w].add(v)
    return graph


def _isomorphic(graphs: list[_Graph], colours: list[dict[_Node, Any]]) -> bool:
    """Whether two graphs are one, up to the names of nodes of equal colour.

    Nodes are told apart by their colours, those of their neighbours, and so on.  Where some are still alike, one of
    them is given a colour of its own in the first graph and each in turn in the second.
    """
    own = _refined(graphs, colours)
    sizes = [Counter(found.values()) for found in own]
    if sizes[0] != sizes[1]:
        return False
    alike = min(((size, colour) for colour, size in sizes[0].items() if size > 1), default=None)
    if alike is None:
        return True
    first, *_ = (node for node, colour in own[0].items() if colour == alike[1])
    marked = {**own[0], first: -1}
    return any(_isomorphic(graphs, [marked, {**own[1], w: -1}]) for w, c in own[1].items() if c == alike[1])


def _refined(graphs: list[_Graph], colours: list[dict[_Node, Any]]) -> list[dict[_Node, int]]:
    """Colours that tell apart what neighbours do (Weisfeiler and Leman), numbered alike in both graphs."""
    classes = 0
    while True:
        table: dict[Any, int] = {}
        own = [{node: table.setdefault(colour, len(table)) for node, colour in found.items()} for found in colours]
        if len(table) == classes:
            return own
        classes = len(table)
        colours = [
            {node: (found[node], tuple(sorted(found[near] for near in graph[node]))) for node in graph}
            for graph, found in zip(graphs, own, strict=True)
        ]


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
