"""Where one looks in a network: at a hidden neuron, or at its pre-activation on a sample.

In the code layers and neurons count from 0, in files and for people from 1; here the one becomes the other.  Samples
count from 0 everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from operator import index
from typing import Any, NamedTuple


class HiddenNeuron(NamedTuple):
    """layer, neuron: from 0."""

    layer: int
    neuron: int

    @classmethod
    def of_numbers(cls, layer: int, neuron: int) -> HiddenNeuron:
        """From what files have."""
        return cls(layer - 1, neuron - 1)

    @property
    def number(self) -> int:
        """From 1, within its layer."""
        return self.neuron + 1

    def as_json(self) -> list[int]:
        """[layer, neuron], from 1."""
        return [self.layer + 1, self.number]

    def short(self, depth: int) -> str:
        """Its number; with that of its layer in networks of several hidden layers."""
        return f"{self.number}" if depth == 2 else f"{self.layer + 1}.{self.number}"

    def __str__(self) -> str:
        return f"{neuron_name(self.neuron)} of {layer_name(self.layer)}"


class Place(NamedTuple):
    """A pre-activation.

    sample: from 0; with several outputs, where it matters which margin of the sample is meant, the row of the margin.
    layer, neuron: from 0.
    """

    sample: int
    layer: int
    neuron: int

    @property
    def hidden(self) -> HiddenNeuron:
        return HiddenNeuron(self.layer, self.neuron)

    def as_json(self) -> list[int]:
        """[sample, layer, neuron], the last two from 1."""
        return [self.sample, *self.hidden.as_json()]

    def __str__(self) -> str:
        return f"{self.hidden} on sample {self.sample}"


@dataclass(frozen=True)
class Kink:
    """A hidden pre-activation that is exactly zero at the point.

    place: with several outputs by the row of the margin.
    coefficient is one choice of the Clarke coefficient, between the two slopes, with which the KKT conditions hold.
    """

    place: Place
    coefficient: float

    @classmethod
    def of_json(cls, stored: Mapping[str, Any]) -> Kink:
        """From a record.  Raises KeyError, TypeError or ValueError where it is none."""
        sample, layer, neuron = (index(stored[key]) for key in ("sample", "layer", "neuron"))
        return cls(Place(sample, *HiddenNeuron.of_numbers(layer, neuron)), float(stored["coefficient"]))

    def as_json(self) -> dict[str, int | float]:
        """As records have it, by the row of the margin."""
        sample, layer, neuron = self.place.as_json()
        return {"sample": sample, "layer": layer, "neuron": neuron, "coefficient": float(self.coefficient)}


def layer_name(layer: int) -> str:
    """Of a layer from 0."""
    return f"layer {layer + 1}"


def layer_of(name: str) -> int:
    """The layer, from 0, that has this name."""
    return int(name.removeprefix("layer ")) - 1


def neuron_name(*neurons: int) -> str:
    """Of one hidden neuron, or of several, from 0, where it is plain of which layer they are."""
    *first, last = (str(j + 1) for j in neurons)
    return f"neurons {', '.join(first)} and {last}" if first else f"neuron {last}"
