"""Lines of kinks: those whose normals are parallel on a face, and what the pairs of each add on either side."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from harness.flow.kinks.departure import Line
from harness.flow.kinks.gates import Gates
from harness.flow.kinks.normals import multiple
from harness.problem.numbers import nearest

# Of the length of a curved normal: a weight that has come to zero, and with it the kinks of all points that it alone
# carries to a neuron, is left at 1e-10 of the neuron by an event, and their normals differ by as much of what is below.
LANDED = 1e-7


def as_one(gates: Gates, lines: list[Line], theta: np.ndarray) -> list[Line]:
    """The same with those of deeper layers in one whose normals are parallel with the gates of the moment."""
    found, normals = list[Line](), list[np.ndarray]()
    for line in lines:
        normal = gates.normal_of(line, theta)
        for h, (one, other) in enumerate(zip(found, normals, strict=True)):
            scale = None if line.flat or one.flat else multiple(normal, other, LANDED)
            if scale is not None:
                found[h] = Line(False, [*one.members, *((i, u, t * scale) for i, u, t in line.members)])
                break
        else:
            found.append(line)
            normals.append(normal)
    return found


def singly(line: Line) -> list[Line]:
    """Its members, each as a line of its own."""
    return [Line(False, [(i, u, Fraction(1))]) for i, u, _ in line.members]


def factors(lines: list[Line], drive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the pairs of every line add on either side, as factors of its normal (departure.depart)."""
    plus = [sum(drive[i, u] * nearest(t) for i, u, t in line.members if t > 0) for line in lines]
    minus = [-sum(drive[i, u] * nearest(t) for i, u, t in line.members if t < 0) for line in lines]
    return np.array(plus), np.array(minus)
