"""Strategies for architectures: networks up to their sizes.

The sizes of a network are not drawn first. They follow from how many coordinates, neurons and points are drawn with
the data and the start (strategies.instances), so that any one of these can be dropped while shrinking.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from hypothesis import strategies as st

from harness.problem.networks import Activation, Network
from strategies.numbers import Exact

Kind = Literal["fully connected", "diagonal", "sparse", "convolutional", "circulant"]
ACTIVATIONS: tuple[Activation, ...] = ("linear", "relu")
# Of leaky networks: between relu and linear, beyond the one and the other, the absolute value.
SLOPES = (Fraction(1, 2), Fraction(1, 10), Fraction(9, 10), Fraction(-1), Fraction(2), Fraction(-1, 2))
CLASSES = (2, 3, 4)
_AT_DEPTH_2: tuple[Kind, ...] = ("sparse", "convolutional", "circulant")


@dataclass(frozen=True)
class Architecture:
    """A kind of network, its activation and its depth, at least 2; harness.problem.networks says what the kinds are.

    slope: of "leaky_relu" alone.  fixed: the layers, counted from 1, that are not trained.  signed: whether their
    numbers are 1 and -1, both of them where there are two or more.  outputs: K.  biased: whether the points have a
    constant last coordinate.
    """

    kind: Kind
    activation: Activation
    depth: int = 2
    slope: Fraction | None = None
    fixed: tuple[int, ...] = ()
    signed: bool = False
    outputs: int = 1
    biased: bool = False

    def __post_init__(self) -> None:
        if self.depth < 2:
            raise ValueError("an architecture has depth 2 or more")
        if self.kind in _AT_DEPTH_2 and self.depth != 2:
            raise ValueError(f"{self.kind} networks are drawn at depth 2 only")
        if (self.slope is None) == (self.activation == "leaky_relu"):
            raise ValueError("a slope is of leaky_relu, which needs one")
        if not set(self.fixed) < set(range(1, self.depth + 1)):
            raise ValueError("some layer is trained, and only layers that there are can be fixed")
        if self.biased and self.kind != "fully connected":
            raise ValueError("only fully connected networks are drawn with a bias")

    def fixing(self, network: Network, theta: Sequence[Sequence[Exact]]) -> Network:
        """The network with what the architecture fixes fixed, at the numbers of theta.

        A zero would be a weight that is not there, and 1 stands for it.
        """
        return network.fixing({layer: self._fixed(theta[layer - 1]) for layer in self.fixed})

    def _fixed(self, numbers: Sequence[Exact]) -> list[Exact]:
        if not self.signed:
            return [a or 1 for a in numbers]
        signs: list[Exact] = [-1 if a < 0 else 1 for a in numbers]
        return [*signs[:-1], -signs[-1]] if len(signs) > 1 and len(set(signs)) == 1 else signs


Depths = int | Iterable[int]
Architectures = st.SearchStrategy[Architecture]


def fully_connected_networks(activation: Activation | None = None, depth: Depths = 2) -> Architectures:
    """Every entry its own parameter.

    activation: None draws linear or relu, and shrinks to "linear"; "leaky_relu" draws its slope too. depth: one, or
    several to draw from, and shrinks to the first of them.
    """
    return _architectures("fully connected", activation, depth)


def diagonal_networks(activation: Activation | None = None, depth: Depths = 2) -> Architectures:
    """One neuron a coordinate in every hidden layer. Arguments as for fully_connected_networks."""
    return _architectures("diagonal", activation, depth)


def sparse_networks(activation: Activation | None = None) -> Architectures:
    """Depth 2 without shared weights: every neuron sees a patch of its own, some see nothing or are not heard."""
    return _architectures("sparse", activation, 2)


def convolutional_networks(activation: Activation | None = None) -> Architectures:
    """Depth 2, one filter moved along the input: shared weights."""
    return _architectures("convolutional", activation, 2)


def circulant_networks(activation: Activation | None = None) -> Architectures:
    """Depth 2, one filter as wide as the input, moved around it."""
    return _architectures("circulant", activation, 2)


def unshared_networks(activation: Activation | None = None, depth: Depths = 2) -> Architectures:
    """No shared weights: fully connected first, then diagonal, then sparse (where depth 2 is allowed)."""
    depths = _depths(depth)
    families = [fully_connected_networks(activation, depths), diagonal_networks(activation, depths)]
    if 2 in depths:
        families.append(sparse_networks(activation))
    return st.one_of(families)


def networks(activation: Activation | None = None, depth: Depths = 2) -> Architectures:
    """Every kind: without shared weights first, then convolutional (where depth 2 is allowed)."""
    depths = _depths(depth)
    unshared = unshared_networks(activation, depths)
    return unshared | convolutional_networks(activation) if 2 in depths else unshared


def fixed_networks(depth: Depths = 2) -> Architectures:
    """Fully connected or diagonal, of every slope, with one layer that is not trained.

    Half of those whose outputs are fixed have them at 1 and -1. Shrinks to a linear network whose outputs are.
    """
    return st.sampled_from(fixed_members(_depths(depth)))


def multiclass_networks(depth: Depths = 2) -> Architectures:
    """Two to four outputs, of every kind and slope. Shrinks to a fully connected linear network with two."""
    return st.sampled_from(multiclass_members(_depths(depth)))


def biased_networks(depth: Depths = 2) -> Architectures:
    """Fully connected with biases in the first layer, of every slope. Shrinks to a relu network."""
    return st.sampled_from(biased_members(_depths(depth)))


def leaky_members(kind: Kind, depths: Iterable[int]) -> tuple[Architecture, ...]:
    """One architecture a slope and depth."""
    return tuple(Architecture(kind, "leaky_relu", depth, slope) for depth in depths for slope in SLOPES)


def fixed_members(depths: Iterable[int]) -> tuple[Architecture, ...]:
    """What fixed_networks draws from."""
    members: list[Architecture] = []
    for depth in depths:
        for plain in _of_every_slope("fully connected", depth):
            last = replace(plain, fixed=(depth,))
            first = [replace(plain, kind=kind, fixed=(layer,)) for kind in _DEEP for layer in range(1, depth)]
            members += [replace(last, signed=True), last, *first]
    return tuple(members)


def multiclass_members(depths: Iterable[int]) -> tuple[Architecture, ...]:
    """What multiclass_networks draws from."""
    return tuple(
        replace(plain, outputs=classes)
        for depth in depths
        for kind in (_WIDE if depth == 2 else _DEEP)
        for plain in _of_every_slope(kind, depth)
        for classes in CLASSES
    )


def biased_members(depths: Iterable[int]) -> tuple[Architecture, ...]:
    """What biased_networks draws from."""
    of_slopes = (replace(plain, biased=True) for m in depths for plain in _of_every_slope("fully connected", m))
    return tuple(sorted(of_slopes, key=lambda one: one.activation != "relu"))


_DEEP: tuple[Kind, ...] = ("fully connected", "diagonal")
_WIDE: tuple[Kind, ...] = (*_DEEP, "sparse", "convolutional")


def _of_every_slope(kind: Kind, depth: int) -> list[Architecture]:
    """Linear, relu, and two leaky ones, none of them rare."""
    leaky = [Architecture(kind, "leaky_relu", depth, slope) for slope in (SLOPES[0], SLOPES[3])]
    return [*(Architecture(kind, activation, depth) for activation in ACTIVATIONS), *leaky]


def _depths(depth: Depths) -> tuple[int, ...]:
    return (depth,) if isinstance(depth, int) else tuple(depth)


def _architectures(kind: Kind, activation: Activation | None, depth: Depths) -> Architectures:
    if activation == "leaky_relu":
        return st.sampled_from(leaky_members(kind, _depths(depth)))
    activations = ACTIVATIONS if activation is None else (activation,)
    return st.sampled_from([Architecture(kind, a, m) for m in _depths(depth) for a in activations])
