"""Fixed first layers are folded into the points before a flow is followed, and unfolded from its limit.

A network whose first layers are not trained is a shallower one on what they make of the points, which is known exactly:
so the first layer that the trainer sees is trained, and its kinks are flat.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from harness.problem.instances import Instance
from harness.problem.kkt import between
from harness.problem.networks import Network, preactivations
from harness.problem.places import Kink, Place
from harness.problem.points import Point
from harness.problem.problems import Problem


@dataclass(frozen=True)
class Folded:
    """instance: what the trainer follows; None where the fixed layers send the point `lost` to zero.

    layers: how many have been folded.
    """

    original: Instance
    layers: int
    instance: Instance | None
    lost: int = -1

    def unfold(self, point: Point) -> Point:
        """The limit of the folded instance as one of the original."""
        if not self.layers:
            return point
        network, problem = self.original.network, self.original.problem
        fixed = [u for u in network.fixed_float[: self.layers] if u is not None]
        signs = [np.zeros((len(problem.rows), width), dtype=np.int8) for width in network.widths[1 : self.layers + 1]]
        for row, (sample, _) in enumerate(problem.rows):
            inputs = preactivations(network, self.original.theta0, problem.x[sample])
            for own, layer in zip(signs, inputs, strict=False):
                own[row] = [(a > 0) - (a < 0) for a in layer]
        zeros = [
            Kink(Place(i, layer, j), between(network, 0.0))
            for layer, own in enumerate(signs if network.kinked else ())
            for i, j in np.argwhere(own == 0).tolist()
        ]
        moved = [replace(kink, place=kink.place._replace(layer=kink.place.layer + self.layers)) for kink in point.kinks]
        return replace(
            point, problem=problem, theta=(*fixed, *point.theta), signs=(*signs, *point.signs), kinks=(*zeros, *moved)
        )


def fold(instance: Instance) -> Folded:
    """The fixed layers below the first that is trained, taken into the points."""
    network = instance.network
    layers = network.trained.index(True)
    if not layers:
        return Folded(instance, 0, instance)
    slope = network.slope
    x = []
    for i, point in enumerate(instance.x):
        inputs = preactivations(network, instance.theta0, point)[layers - 1]
        x.append(tuple(a if a > 0 else slope * a for a in inputs))
        if not any(x[-1]):
            return Folded(instance, layers, None, i)
    shallow = Network(network.activation, network.patterns[layers:], network.negative_slope, network.fixed[layers:])
    problem = Problem(shallow, tuple(x), instance.y)
    return Folded(instance, layers, Instance(problem, instance.loss, instance.theta0[layers:]))
