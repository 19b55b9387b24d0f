"""theta as certificates have it: a row for every layer, the fixed ones among them; flat, the trained ones alone."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from harness.certificates.numbers import Rejected, rows
from harness.certificates.signs import Theta
from harness.problem.networks import Network
from harness.problem.numbers import Vector, squared_norm
from harness.problem.places import layer_name


def read_theta(value: object, field: str, network: Network) -> Theta:
    """Raises FieldError on a wrong shape, Rejected where a fixed layer has other numbers than the network's."""
    theta = rows(value, field, network.sizes)
    for layer, (own, fixed) in enumerate(zip(theta, network.fixed, strict=True)):
        if fixed not in (None, own):
            raise Rejected(f"{field} has other numbers for {layer_name(layer)}, which is fixed")
    return theta


def read_motion(value: object, field: str, network: Network) -> Vector:
    """A motion of the trained parameters, flat.  Raises FieldError, Rejected where it moves a fixed layer."""
    motion = rows(value, field, network.sizes)
    for layer, (own, trained) in enumerate(zip(motion, network.trained, strict=True)):
        if not trained and any(own):
            raise Rejected(f"{field} moves {layer_name(layer)}, which is fixed")
    return flat(network, motion)


def flat(network: Network, theta: Sequence[Vector]) -> Vector:
    """The trained parameters, one layer after another."""
    return tuple(v for u in network.of_trained(theta) for v in u)


def objective(network: Network, theta: Theta) -> Fraction:
    """1/2 |theta|^2 over the trained layers."""
    return squared_norm(flat(network, theta)) / 2
